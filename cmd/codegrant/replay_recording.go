package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// delivery is a notification to deliver. A file with the body alone gives one
// without a title.
type delivery struct {
	title string
	body  []byte
}

// readRecorded returns the notifications in data: the body alone, or those of
// a recording of probe, of which number picks one; 0 is all.
func readRecorded(data []byte, number int) ([]delivery, error) {
	lines, ok := readRecording(data)
	if !ok {
		if number != 0 {
			return nil, fmt.Errorf("%w: -n picks from a recording of codegrant probe, and this is none", errUsage)
		}
		return []delivery{{body: data}}, nil
	}
	var all []delivery
	for _, line := range lines {
		if line.Kind == "notification" {
			title := fmt.Sprintf("notification %d, of step %s at %s", len(all)+1, line.Step, line.Time.Format("15:04:05"))
			all = append(all, delivery{title, []byte(line.Request)})
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("the recording holds no notification: probe hears of some only with -notify-listen")
	case number < 0 || number > len(all):
		return nil, fmt.Errorf("%w: -n is 1 to %d in this recording", errUsage, len(all))
	case number > 0:
		return all[number-1 : number], nil
	}
	return all, nil
}

// readRecording reads the JSON lines that probe wrote. The last one may be cut.
func readRecording(data []byte) (lines []probeLine, ok bool) {
	for text := range bytes.Lines(data) {
		var line probeLine
		if json.Unmarshal(text, &line) != nil || line.Kind == "" || line.Time.IsZero() {
			break
		}
		lines = append(lines, line)
	}
	return lines, len(lines) > 0
}

// maskedMembers lists the members of a recorded bizContent whose values the
// recording does not hold. Recordings never hold tokens.
func maskedMembers(content string) []string {
	var names []string
	var walk func(path string, raw json.RawMessage)
	walk = func(path string, raw json.RawMessage) {
		var text string
		if json.Unmarshal(raw, &text) == nil && strings.Contains(text, "[masked ") {
			names = append(names, path)
			return
		}
		members, err := readObject(raw)
		if err != nil {
			if strings.Contains(string(raw), "[masked ") {
				names = append(names, path)
			}
			return
		}
		for _, m := range members {
			walk(strings.TrimPrefix(path+"."+m.name, "."), m.raw)
		}
	}
	walk("", json.RawMessage(content))
	return names
}

// changeContent replaces members of an object by texts and leaves the others
// as they are written. A dot in a name descends. Members that are not there
// are added only if add says so.
func changeContent(content string, changes settings, add bool) (string, error) {
	members, err := readObject([]byte(content))
	if err != nil {
		return "", err
	}
	for _, change := range changes {
		named := func(name string) int {
			return slices.IndexFunc(members, func(m member) bool { return m.name == name })
		}
		if at := named(change.name); at >= 0 {
			members[at].raw = compactJSON(string(change.raw))
			continue
		}
		outer, inner, deeper := strings.Cut(change.name, ".")
		if at := named(outer); deeper && at >= 0 {
			changed, err := changeContent(string(members[at].raw), settings{{inner, change.raw}}, add)
			if err != nil {
				return "", fmt.Errorf("%s: %w", outer, err)
			}
			members[at].raw = []byte(changed)
		} else if add {
			members = append(members, member{change.name, compactJSON(string(change.raw))})
		}
	}
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = string(compactJSON(m.name)) + ":" + string(m.raw)
	}
	return "{" + strings.Join(parts, ",") + "}", nil
}
