package diagnose

import (
	"slices"
	"strings"
)

// field is one top-level member of a message as it goes into the text under
// the digest: a string unescaped, anything else as it stands.
type field struct {
	name, value string
	raw         string // the JSON value as it stands
	kind        kind
}

// readFields returns the members of the object that body is, in their order.
func readFields(body string) ([]field, error) {
	n, err := parseJSON(body)
	if err != nil {
		return nil, err
	}
	if n.kind != kindObject {
		return nil, errSyntax
	}
	return fieldsOf(n), nil
}

func fieldsOf(n *node) []field {
	fields := make([]field, len(n.items))
	for i, v := range n.items {
		fields[i] = field{name: n.names[i].text, value: v.raw, raw: v.raw, kind: v.kind}
		if v.kind == kindString {
			fields[i].value = v.text
		}
	}
	return fields
}

func find(fields []field, name string) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.name == name })
}

func valueOf(fields []field, name string) string {
	if i := find(fields, name); i >= 0 {
		return fields[i].value
	}
	return ""
}

// with returns a copy of fields in which the i-th has another value.
func with(fields []field, i int, value string) []field {
	changed := slices.Clone(fields)
	changed[i].value = value
	if changed[i].kind != kindNull {
		changed[i].kind = kindString
	}
	return changed
}

func without(fields []field, i int) []field {
	return slices.Delete(slices.Clone(fields), i, i+1)
}

// plus returns a copy of fields with one more.
func plus(fields []field, name, value string) []field {
	return append(slices.Clip(slices.Clone(fields)), field{name: name, value: value, raw: value, kind: kindString})
}

func (f field) blank() bool {
	return f.kind == kindString && strings.TrimSpace(f.value) == ""
}

// canonical is the text under the digest without the salt.
// PingPong v4, Signature Convention.
func canonical(fields []field) string {
	return join(signed(fields, false), "&")
}

// signed returns the members that count, sorted by name.
func signed(fields []field, keepEmpty bool) []field {
	kept := make([]field, 0, len(fields))
	for _, f := range fields {
		if f.name != "sign" && f.kind != kindNull && (keepEmpty || !f.blank()) {
			kept = append(kept, f)
		}
	}
	slices.SortStableFunc(kept, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return kept
}

func join(fields []field, separator string) string {
	size := 0
	for _, f := range fields {
		size += len(separator) + len(f.name) + len(f.value) + 1
	}
	var out strings.Builder
	out.Grow(size)
	for i, f := range fields {
		if i > 0 {
			out.WriteString(separator)
		}
		out.WriteString(f.name)
		out.WriteByte('=')
		out.WriteString(f.value)
	}
	return out.String()
}
