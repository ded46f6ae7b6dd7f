package codegrant

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// The scanner as it was before it was made fast, kept as the judge of the one
// that replaced it.

// refMember is one name and value of a refDocument.
type refMember struct {
	parent int      // index of the object it is in; -1 at the top level
	name   []byte   // unescaped
	value  []byte   // a string unescaped; anything else as the raw bytes
	kind   jsonKind // what value is
}

// refDocument is one JSON object read strictly: valid UTF-8, no duplicate names,
// no lone surrogates, nothing but white space around it. Members of nested
// objects follow their parent; the inside of arrays is checked, not listed.
type refDocument struct {
	members []refMember
}

func refParse(data []byte) (refDocument, error) {
	if !utf8.Valid(data) {
		return refDocument{}, errors.New("invalid UTF-8")
	}
	p := refParser{data: data}
	p.space()
	if p.peek() != '{' {
		return refDocument{}, errors.New("not a JSON object")
	}
	p.doc.members = make([]refMember, 0, min(16, 2+len(data)/48)) // enough for the protocol's own
	if err := p.object(-1, 1, true); err != nil {
		return refDocument{}, err
	}
	p.space()
	if p.pos != len(data) {
		return refDocument{}, errors.New("bytes after the object")
	}
	return p.doc, nil
}

// at is get with the names in one text, separated by dots, as in a wire tag.
func (d *refDocument) at(path string) (refMember, bool) {
	parent := -1
	for more := true; more; {
		var name string
		name, path, more = strings.Cut(path, ".")
		if parent = d.child(parent, name); parent < 0 {
			return refMember{}, false
		}
	}
	return d.members[parent], true
}

// child returns the index of the member with that name in the object at parent,
// -1 when there is none.
func (d *refDocument) child(parent int, name string) int {
	for i := parent + 1; i < len(d.members); i++ {
		if m := &d.members[i]; m.parent == parent && string(m.name) == name {
			return i
		}
	}
	return -1
}

type refParser struct {
	data    []byte
	pos     int
	doc     refDocument
	scratch []byte // unescaped strings; never outgrows its first capacity
}

const refFewMembers = 16

var errRefSyntax = errors.New("not valid JSON")

func (p *refParser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *refParser) space() {
	for p.pos < len(p.data) {
		switch p.data[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// object reads an object whose '{' is next. Listed members go to the
// refDocument under parent; the others are only checked.
func (p *refParser) object(parent, depth int, list bool) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	p.pos++ // '{'
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	var names [refFewMembers][]byte // of the first members; more of them go into seen
	var seen map[string]bool
	for n := 0; ; n++ {
		if n == maxObjectMembers {
			return errors.New("too many members")
		}
		if p.peek() != '"' {
			return errRefSyntax
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		for _, earlier := range names[:min(n, refFewMembers)] {
			if bytes.Equal(earlier, name) {
				return errors.New("duplicate member")
			}
		}
		switch {
		case n < refFewMembers:
			names[n] = name
		case seen[string(name)]:
			return errors.New("duplicate member")
		case seen == nil:
			seen = make(map[string]bool, maxObjectMembers-refFewMembers)
			fallthrough
		default:
			seen[string(name)] = true
		}
		p.space()
		if p.peek() != ':' {
			return errRefSyntax
		}
		p.pos++
		p.space()
		if err := p.member(parent, depth, list, name); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case '}':
			p.pos++
			return nil
		default:
			return errRefSyntax
		}
	}
}

// member reads the value of name and lists both.
func (p *refParser) member(parent, depth int, list bool, name []byte) error {
	if !list {
		_, _, err := p.value(depth)
		return err
	}
	index := len(p.doc.members)
	p.doc.members = append(p.doc.members, refMember{parent: parent, name: name})
	var kind jsonKind
	var value []byte
	var err error
	if p.peek() == '{' {
		start := p.pos
		kind, err = jsonObject, p.object(index, depth+1, true)
		value = p.data[start:p.pos]
	} else {
		kind, value, err = p.value(depth)
	}
	p.doc.members[index].kind, p.doc.members[index].value = kind, value
	return err
}

func (p *refParser) value(depth int) (jsonKind, []byte, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '"':
		s, err := p.str()
		return jsonString, s, err
	case c == '{':
		err := p.object(-1, depth+1, false)
		return jsonObject, p.data[start:p.pos], err
	case c == '[':
		err := p.array(depth + 1)
		return jsonArray, p.data[start:p.pos], err
	case c == '-' || (c >= '0' && c <= '9'):
		err := p.number()
		return jsonLiteral, p.data[start:p.pos], err
	case bytes.HasPrefix(p.data[p.pos:], []byte("true")):
		p.pos += 4
		return jsonLiteral, p.data[start:p.pos], nil
	case bytes.HasPrefix(p.data[p.pos:], []byte("false")):
		p.pos += 5
		return jsonLiteral, p.data[start:p.pos], nil
	case bytes.HasPrefix(p.data[p.pos:], []byte("null")):
		p.pos += 4
		return jsonNull, nil, nil
	}
	return 0, nil, errRefSyntax
}

func (p *refParser) array(depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	p.pos++ // '['
	p.space()
	if p.peek() == ']' {
		p.pos++
		return nil
	}
	for {
		if _, _, err := p.value(depth); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case ']':
			p.pos++
			return nil
		default:
			return errRefSyntax
		}
	}
}

// number reads a number by the grammar of RFC 8259, section 6.
func (p *refParser) number() error {
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return errRefSyntax
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return errRefSyntax
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return errRefSyntax
		}
	}
	return nil
}

func (p *refParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// str reads a string whose '"' is next and returns its unescaped content: a
// piece of the input when nothing is escaped.
func (p *refParser) str() ([]byte, error) {
	p.pos++ // '"'
	start := p.pos
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; {
		case c == '"':
			s := p.data[start:p.pos]
			p.pos++
			return s, nil
		case c == '\\':
			return p.escaped(start)
		case c < 0x20:
			return nil, errRefSyntax
		}
		p.pos++
	}
	return nil, errRefSyntax
}

// escaped finishes a string that began at start and has its first escape at
// the current position.
func (p *refParser) escaped(start int) ([]byte, error) {
	if p.scratch == nil {
		// An escape is never shorter than what it stands for, so this is enough
		// for all strings of the input and the slices handed out stay put.
		p.scratch = make([]byte, 0, len(p.data))
	}
	from := len(p.scratch)
	out := append(p.scratch, p.data[start:p.pos]...)
	for p.pos < len(p.data) {
		c := p.data[p.pos]
		switch {
		case c == '"':
			p.pos++
			p.scratch = out
			return out[from:len(out):len(out)], nil
		case c < 0x20:
			return nil, errRefSyntax
		case c != '\\':
			out = append(out, c)
			p.pos++
			continue
		}
		p.pos++
		switch c := p.peek(); c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, err := p.unicodeEscape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
			continue
		default:
			return nil, errRefSyntax
		}
		p.pos++
	}
	return nil, errRefSyntax
}

// unicodeEscape reads an escape whose 'u' is next, with its second half when
// it is a surrogate pair.
func (p *refParser) unicodeEscape() (rune, error) {
	high, ok := p.hex4()
	if !ok {
		return 0, errRefSyntax
	}
	if high < 0xD800 || high > 0xDFFF {
		return high, nil
	}
	if high > 0xDBFF || !bytes.HasPrefix(p.data[p.pos:], []byte(`\u`)) {
		return 0, errors.New("lone surrogate")
	}
	p.pos++
	low, ok := p.hex4()
	if !ok {
		return 0, errRefSyntax
	}
	if low < 0xDC00 || low > 0xDFFF {
		return 0, errors.New("lone surrogate")
	}
	return 0x10000 + (high-0xD800)<<10 + (low - 0xDC00), nil
}

// hex4 reads 'u' and four hexadecimal digits.
func (p *refParser) hex4() (rune, bool) {
	if len(p.data)-p.pos < 5 {
		return 0, false
	}
	var r rune
	for _, c := range p.data[p.pos+1 : p.pos+5] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	p.pos += 5
	return r, true
}
