package main

import (
	"crypto/md5" //nolint:gosec // G501: one of the two digests of the protocol
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// probeMessage is a message of the gateway, read without the library, so that
// what the library would refuse can be seen and explained.
type probeMessage struct {
	members map[string]json.RawMessage
	biz     map[string]any // bizContent, whether string or object; nil when there is none
	object  bool           // bizContent came as an object
	signed  probeSignature
}

// readProbeMessage returns nil when body is no JSON object.
func readProbeMessage(body []byte, salts []codegrant.Secret) *probeMessage {
	m := &probeMessage{}
	if json.Unmarshal(body, &m.members) != nil || m.members == nil {
		return nil
	}
	text := m.text("bizContent")
	if raw := m.members["bizContent"]; len(raw) > 0 && raw[0] == '{' {
		m.object, text = true, string(raw)
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	if decoder.Decode(&m.biz) != nil {
		m.biz = nil
	}
	m.signed = judgeSignature(m.members, salts)
	return m
}

// text returns a top-level string member.
func (m *probeMessage) text(name string) string {
	var s string
	_ = json.Unmarshal(m.members[name], &s) // anything else counts as absent
	return s
}

// field returns a scalar of bizContent as text; a dot descends.
func (m *probeMessage) field(path string) string {
	return probeField(m.biz, path)
}

func probeField(object map[string]any, path string) string {
	name, rest, deeper := strings.Cut(path, ".")
	switch v := object[name].(type) {
	case map[string]any:
		if deeper {
			return probeField(v, rest)
		}
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "true"
		}
		return "false"
	}
	return ""
}

// names lists the top-level members, sorted.
func (m *probeMessage) names() string {
	names := make([]string, 0, len(m.members))
	for name := range m.members {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// bizNames lists the paths in bizContent, sorted; "[]" stands for the items of
// an array.
func (m *probeMessage) bizNames() []string {
	var paths []string
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, inner := range v {
				walk(strings.TrimPrefix(prefix+"."+name, "."), inner)
			}
		case []any:
			for _, inner := range v[:min(1, len(v))] {
				walk(prefix+"[]", inner)
			}
		default:
			paths = append(paths, prefix)
		}
	}
	walk("", m.biz)
	slices.Sort(paths)
	return paths
}

// probeSignature says how a message's sign came out.
type probeSignature struct {
	present, valid bool
	signType       string
	hasEmpty       bool // some member is an empty string
	keepEmpty      bool // fits only with these kept as "name="
}

func (s probeSignature) String() string {
	switch {
	case !s.present:
		return "unsigned"
	case s.valid && s.keepEmpty:
		return "signed with " + s.signType + " over its empty values too"
	case s.valid:
		return "signed with " + s.signType
	}
	return "signed, but by none of the salts"
}

func judgeSignature(members map[string]json.RawMessage, salts []codegrant.Secret) probeSignature {
	fields := make(map[string]string)
	s := probeSignature{}
	for name, raw := range members {
		if string(raw) == "null" {
			continue
		}
		value := string(raw)
		if raw[0] == '"' {
			_ = json.Unmarshal(raw, &value) // it was valid a moment ago
			s.hasEmpty = s.hasEmpty || strings.TrimSpace(value) == ""
		}
		fields[name] = value
	}
	sign := fields["sign"]
	delete(fields, "sign")
	s.signType, s.present = fields["signType"], sign != ""
	for _, keep := range []bool{false, true} {
		for _, salt := range salts {
			if s.present && strings.EqualFold(sign, signatureOf(salt.Reveal(), s.signType, fields, keep)) {
				s.valid, s.keepEmpty = true, keep
				return s
			}
		}
	}
	return s
}

// signatureOf is PingPong v4's signature, written apart from the library's so
// that the probe does not repeat a mistake of it. keepEmpty is the PHP
// helper's reading, by which an empty value counts.
func signatureOf(salt, signType string, fields map[string]string, keepEmpty bool) string {
	var pairs []string
	for name, value := range fields {
		if keepEmpty || strings.TrimSpace(value) != "" {
			pairs = append(pairs, name+"="+value)
		}
	}
	slices.SortFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	content := []byte(salt + strings.Join(pairs, "&"))
	switch signType {
	case "SHA256":
		sum := sha256.Sum256(content)
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	case "MD5":
		sum := md5.Sum(content) //nolint:gosec // G401: the protocol's choice
		return strings.ToUpper(hex.EncodeToString(sum[:]))
	}
	return ""
}

// signedProbeRequest is the request envelope around biz, any JSON object.
// Unlike the library it sends what it is given, '<' included.
func signedProbeRequest(a codegrant.Account, salt string, biz map[string]any) []byte {
	content := string(compactJSON(biz))
	fields := map[string]string{
		"accId": a.ID, "clientId": a.ClientID, "signType": string(a.Digest), "version": "1.0", "bizContent": content,
	}
	fields["sign"] = signatureOf(salt, string(a.Digest), fields, false)
	return compactJSON(fields)
}
