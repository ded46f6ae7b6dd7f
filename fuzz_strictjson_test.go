package codegrant

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strconv"
	"unicode/utf8"
)

// strictJSON reports, by the standard decoder and none of the package's code,
// whether data is what the signed path may read: one RFC 8259 object of valid
// UTF-8, no name twice in an object, no lone surrogate, and within the bounds
// that the package sets on depth and size. The decoder refuses grammar; the
// rest, which it lets pass or repairs, is looked for here.
func strictJSON(data []byte) error {
	if !utf8.Valid(data) {
		return errors.New("invalid UTF-8")
	}
	if !json.Valid(data) {
		return errors.New("no JSON")
	}
	if loneSurrogate(data) {
		return errors.New("lone surrogate")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	first, err := d.Token()
	if err != nil || first != json.Delim('{') {
		return errors.New("no object")
	}
	if err := strictContainer(d, json.Delim('{'), 1); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows")
	}
	return nil
}

// strictContainer reads to the end of the object or array that was opened.
func strictContainer(d *json.Decoder, kind json.Delim, depth int) error {
	if depth > 16 {
		return errors.New("too deep")
	}
	names := map[string]bool{}
	for d.More() {
		if kind == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			if names[name.(string)] {
				return errors.New("a name twice")
			}
			names[name.(string)] = true
			if len(names) > 128 {
				return errors.New("too many members")
			}
		}
		token, err := d.Token()
		if err != nil {
			return err
		}
		if inner, opened := token.(json.Delim); opened {
			if err := strictContainer(d, inner, depth+1); err != nil {
				return err
			}
		}
	}
	_, err := d.Token()
	return err
}

// escape matches one escape of a JSON string; in valid JSON a backslash stands
// nowhere else.
var escape = regexp.MustCompile(`\\(u[0-9a-fA-F]{4}|[^u])`)

// loneSurrogate looks for half a surrogate pair in valid JSON. A pair is two
// escapes that touch, high before low.
func loneSurrogate(data []byte) bool {
	highEnds := -1 // where the high half that waits for its low half ended
	for _, at := range escape.FindAllIndex(data, -1) {
		unit := uint64(0)
		if data[at[0]+1] == 'u' {
			unit, _ = strconv.ParseUint(string(data[at[0]+2:at[1]]), 16, 32)
		}
		low, touching := unit >= 0xDC00 && unit <= 0xDFFF, highEnds == at[0]
		if (low && !touching) || (highEnds >= 0 && (!low || !touching)) {
			return true
		}
		highEnds = -1
		if unit >= 0xD800 && unit <= 0xDBFF {
			highEnds = at[1]
		}
	}
	return highEnds >= 0
}
