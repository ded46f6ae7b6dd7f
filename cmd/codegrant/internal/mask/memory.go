package mask

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"sync"
)

// Memory masks what stays JSON: the salts, members with secret names at any
// depth, what looks like a credential, and whatever such a member was seen to
// hold wherever it comes again. It is safe for concurrent use.
type Memory struct {
	mu    sync.Mutex
	known map[string]string // the secret and what to show instead
}

// NewMemory returns a Memory that knows the salts.
func NewMemory(salts []string) *Memory {
	m := &Memory{known: make(map[string]string)}
	for _, salt := range salts {
		m.known[salt] = "[masked salt]"
	}
	return m
}

// urlSecret finds secrets among the parameters of a URL, escaped or not.
var urlSecret = regexp.MustCompile(`((?:sign|token|userLoginId|authCode|authState|referenceAgreementId)(?:=|%22%3A%22|%3D))([^&"%\\\s]+)`)

// learn remembers a secret that must not be shown from now on.
func (m *Memory) learn(name, value string) string {
	shown := fmt.Sprintf("[masked %s, %s]", name, Shape(value))
	if len(value) >= 6 {
		m.mu.Lock()
		if _, found := m.known[value]; !found {
			m.known[value] = shown
		}
		m.mu.Unlock()
	}
	return shown
}

// Text masks a text of any kind.
func (m *Memory) Text(s string) string {
	s = urlSecret.ReplaceAllStringFunc(s, func(found string) string {
		parts := urlSecret.FindStringSubmatch(found)
		return parts[1] + m.learn("value", parts[2])
	})
	m.mu.Lock()
	secrets := make([]string, 0, len(m.known))
	for secret := range m.known {
		secrets = append(secrets, secret)
	}
	sort.Slice(secrets, func(i, j int) bool { return len(secrets[i]) > len(secrets[j]) })
	for _, secret := range secrets {
		s = strings.ReplaceAll(s, secret, m.known[secret])
	}
	m.mu.Unlock()
	return hexRun.ReplaceAllStringFunc(s, func(run string) string {
		return fmt.Sprintf("[masked, %d hex]", len(run))
	})
}

// Body masks a message. Order, spacing and the form of all other members stay
// as they were sent.
func (m *Memory) Body(body []byte) string {
	return m.Text(string(m.members(body)))
}

// members replaces the values of secret members in a JSON text, and in JSON
// texts inside its strings. What is no JSON stays as it is.
func (m *Memory) members(body []byte) []byte {
	if !json.Valid(body) {
		return body
	}
	var out bytes.Buffer
	decoder := json.NewDecoder(bytes.NewReader(body))
	done := 0
	var inObject []bool // for each open bracket
	name, wantName := "", false
	for {
		token, err := decoder.Token()
		if err != nil {
			out.Write(body[done:])
			return out.Bytes()
		}
		end := int(decoder.InputOffset())
		switch token := token.(type) {
		case json.Delim:
			switch token {
			case '{', '[':
				inObject = append(inObject, token == '{')
				wantName = token == '{'
				if token == '[' { // each of its values has the array's name
					continue
				}
			default:
				inObject = inObject[:len(inObject)-1]
				wantName = len(inObject) > 0 && inObject[len(inObject)-1]
			}
			name = ""
			continue
		case string:
			if wantName {
				name, wantName = token, false
				continue
			}
			if shown, changed := m.member(name, token); changed {
				start := end - len(lastString(body[:end]))
				out.Write(body[done:start])
				out.Write(quoted(shown))
				done = end
			}
		case json.Number, float64, bool, nil:
			if IsSecret(name) && token != nil {
				start := end
				for start > done && !bytes.ContainsRune([]byte(" \t\r\n:,["), rune(body[start-1])) {
					start--
				}
				out.Write(body[done:start])
				out.Write(quoted(m.learn(name, string(body[start:end]))))
				done = end
			}
		}
		wantName = len(inObject) > 0 && inObject[len(inObject)-1]
	}
}

// member returns what to show for a string member, and whether that differs.
func (m *Memory) member(name, value string) (string, bool) {
	if IsSecret(name) && value != "" {
		return m.learn(name, value), true
	}
	if trimmed := strings.TrimSpace(value); strings.HasPrefix(trimmed, "{") || strings.HasPrefix(trimmed, "[") {
		if masked := m.members([]byte(value)); string(masked) != value {
			return string(masked), true
		}
		return value, false
	}
	if slices.Contains(plainNames(), name) {
		return value, false
	}
	shown, end := "", 0
	for _, at := range merged(credentials(value)) {
		shown += value[end:at[0]] + m.learn(name, value[at[0]:at[1]])
		end = at[1]
	}
	return shown + value[end:], end > 0
}

// quoted is s as a JSON string, with '<', '>' and '&' as they are.
func quoted(s string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string has a JSON form
	return bytes.TrimSpace(out.Bytes())
}

// lastString returns the JSON string that text ends with, quotes included.
func lastString(text []byte) []byte {
	for i := len(text) - 2; i >= 0; i-- {
		if text[i] != '"' {
			continue
		}
		backslashes := 0
		for i-1-backslashes >= 0 && text[i-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return text[i:]
		}
	}
	return text
}

// Shape describes a secret without showing it.
func Shape(value string) string {
	kind := "characters"
	switch {
	case regexp.MustCompile(`^[0-9]+$`).MatchString(value):
		kind = "digits"
	case regexp.MustCompile(`^[0-9a-f]+$`).MatchString(value):
		kind = "lower-case hex digits"
	case regexp.MustCompile(`^[0-9A-F]+$`).MatchString(value):
		kind = "upper-case hex digits"
	}
	return fmt.Sprintf("%d %s", len(value), kind)
}
