package codegrant

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"
)

// The reader below is the only JSON decoder on the signed path. Stock decoders
// accept duplicate members, match names without regard to case and repair bad
// UTF-8, and each of these lets what is verified differ from what is used.

const (
	maxDepth         = 16  // nested objects and arrays
	maxObjectMembers = 128 // members of one object
	fewMembers       = 16  // as many are compared one by one, which no message of the protocol exceeds by much
)

type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonString
	jsonLiteral // a number, true or false
	jsonObject
	jsonArray
)

// member is one name and value of a document.
type member struct {
	parent int      // index of the object it is in; -1 at the top level
	name   []byte   // unescaped
	value  []byte   // a string unescaped; anything else as the raw bytes
	kind   jsonKind // what value is
}

// document is one JSON object read strictly: valid UTF-8, no duplicate names,
// no lone surrogates, nothing but white space around it. Members of nested
// objects follow their parent; the inside of arrays is checked, not listed.
type document struct {
	members []member
}

func parseDocument(data []byte) (document, error) {
	if !utf8.Valid(data) {
		return document{}, errors.New("invalid UTF-8")
	}
	p := jsonParser{data: data}
	p.space()
	if p.peek() != '{' {
		return document{}, errors.New("not a JSON object")
	}
	p.doc.members = make([]member, 0, min(16, 2+len(data)/48)) // enough for the protocol's own
	if err := p.object(-1, 1, true); err != nil {
		return document{}, err
	}
	p.space()
	if p.pos != len(data) {
		return document{}, errors.New("bytes after the object")
	}
	return p.doc, nil
}

// get returns the member at path, one name per level.
func (d *document) get(path ...string) (member, bool) {
	parent := -1
	for _, name := range path {
		if parent = d.child(parent, name); parent < 0 {
			return member{}, false
		}
	}
	if parent < 0 {
		return member{}, false
	}
	return d.members[parent], true
}

// at is get with the names in one text, separated by dots, as in a wire tag.
func (d *document) at(path string) (member, bool) {
	parent := -1
	for more := true; more; {
		var name string
		name, path, more = strings.Cut(path, ".")
		if parent = d.child(parent, name); parent < 0 {
			return member{}, false
		}
	}
	return d.members[parent], true
}

// child returns the index of the member with that name in the object at parent,
// -1 when there is none.
func (d *document) child(parent int, name string) int {
	for i := parent + 1; i < len(d.members); i++ {
		if m := &d.members[i]; m.parent == parent && string(m.name) == name {
			return i
		}
	}
	return -1
}

// text returns the member at path as text: a string's content, a number or
// boolean as written, "" when it is absent, null or nested.
func (d *document) text(path ...string) string {
	m, _ := d.get(path...)
	if m.kind == jsonString || m.kind == jsonLiteral {
		return string(m.value)
	}
	return ""
}

type jsonParser struct {
	data    []byte
	pos     int
	doc     document
	scratch []byte // unescaped strings; never outgrows its first capacity
}

var errSyntax = errors.New("not valid JSON")

func (p *jsonParser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

func (p *jsonParser) space() {
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
// document under parent; the others are only checked.
func (p *jsonParser) object(parent, depth int, list bool) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	p.pos++ // '{'
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	var names [fewMembers][]byte // of the first members; more of them go into seen
	var seen map[string]bool
	for n := 0; ; n++ {
		if n == maxObjectMembers {
			return errors.New("too many members")
		}
		if p.peek() != '"' {
			return errSyntax
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		for _, earlier := range names[:min(n, fewMembers)] {
			if bytes.Equal(earlier, name) {
				return errors.New("duplicate member")
			}
		}
		switch {
		case n < fewMembers:
			names[n] = name
		case seen[string(name)]:
			return errors.New("duplicate member")
		case seen == nil:
			seen = make(map[string]bool, maxObjectMembers-fewMembers)
			fallthrough
		default:
			seen[string(name)] = true
		}
		p.space()
		if p.peek() != ':' {
			return errSyntax
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
			return errSyntax
		}
	}
}

// member reads the value of name and lists both.
func (p *jsonParser) member(parent, depth int, list bool, name []byte) error {
	if !list {
		_, _, err := p.value(depth)
		return err
	}
	index := len(p.doc.members)
	p.doc.members = append(p.doc.members, member{parent: parent, name: name})
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

func (p *jsonParser) value(depth int) (jsonKind, []byte, error) {
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
	return 0, nil, errSyntax
}

func (p *jsonParser) array(depth int) error {
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
			return errSyntax
		}
	}
}

// number reads a number by the grammar of RFC 8259, section 6.
func (p *jsonParser) number() error {
	if p.peek() == '-' {
		p.pos++
	}
	if p.peek() == '0' {
		p.pos++
	} else if !p.digits() {
		return errSyntax
	}
	if p.peek() == '.' {
		p.pos++
		if !p.digits() {
			return errSyntax
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.pos++
		if c := p.peek(); c == '+' || c == '-' {
			p.pos++
		}
		if !p.digits() {
			return errSyntax
		}
	}
	return nil
}

func (p *jsonParser) digits() bool {
	start := p.pos
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.pos++
	}
	return p.pos > start
}

// str reads a string whose '"' is next and returns its unescaped content: a
// piece of the input when nothing is escaped.
func (p *jsonParser) str() ([]byte, error) {
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
			return nil, errSyntax
		}
		p.pos++
	}
	return nil, errSyntax
}

// escaped finishes a string that began at start and has its first escape at
// the current position.
func (p *jsonParser) escaped(start int) ([]byte, error) {
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
			return nil, errSyntax
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
			return nil, errSyntax
		}
		p.pos++
	}
	return nil, errSyntax
}

// unicodeEscape reads an escape whose 'u' is next, with its second half when
// it is a surrogate pair.
func (p *jsonParser) unicodeEscape() (rune, error) {
	high, ok := p.hex4()
	if !ok {
		return 0, errSyntax
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
		return 0, errSyntax
	}
	if low < 0xDC00 || low > 0xDFFF {
		return 0, errors.New("lone surrogate")
	}
	return 0x10000 + (high-0xD800)<<10 + (low - 0xDC00), nil
}

// hex4 reads 'u' and four hexadecimal digits.
func (p *jsonParser) hex4() (rune, bool) {
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

// arrayItems returns the raw elements of an array that was read strictly.
func arrayItems(array []byte) ([][]byte, error) {
	p := jsonParser{data: array, pos: 1}
	var items [][]byte
	for p.space(); p.peek() != ']'; p.space() {
		start := p.pos
		if _, _, err := p.value(0); err != nil {
			return nil, err
		}
		items = append(items, array[start:p.pos])
		p.space()
		if p.peek() == ',' {
			p.pos++
		}
	}
	return items, nil
}
