package codegrant

import (
	"bytes"
	"math"
	"unicode/utf8"
)

// The reader below is the only JSON decoder on the signed path. Stock decoders
// accept duplicate members, match names without regard to case and repair bad
// UTF-8, and each of these lets what is verified differ from what is used.

const (
	maxDepth         = 16  // nested objects and arrays
	maxObjectMembers = 128 // members of one object
)

// formError is why a message cannot be read. It repeats nothing of the message,
// and as a constant it costs whoever is refused nothing.
type formError string

// Error returns the reason.
func (e formError) Error() string { return string(e) }

const (
	errSyntax    formError = "not valid JSON"
	errUTF8      formError = "invalid UTF-8"
	errNoObject  formError = "not a JSON object"
	errTrailing  formError = "bytes after the object"
	errDepth     formError = "nested too deeply"
	errMembers   formError = "too many members"
	errDuplicate formError = "duplicate member"
	errSurrogate formError = "lone surrogate"
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

	escapes uint8 // of a string: what its escapes stand for
	hash    uint8 // nameHash of name
}

// document is one JSON object read strictly: valid UTF-8, no duplicate names,
// no lone surrogates, nothing but white space around it. Members of nested
// objects follow their parent; the inside of arrays is checked, not listed.
// Names and values are pieces of the input, or of scratch where the input has
// an escape.
type document struct {
	members []member
	first   [64]uint8 // by hash of a name: 0 when there is none, else no member before first-1 has it
	names   [][]byte  // of the objects that are being read, outermost first
	scratch []byte
}

func parseDocument(data []byte) (document, error) {
	if !utf8.Valid(data) {
		return document{}, errUTF8
	}
	var d document
	if err := d.read(data); err != nil {
		return document{}, err
	}
	return d, nil
}

// read reads data, which is valid UTF-8, into an empty document.
func (d *document) read(data []byte) error {
	if d.members == nil {
		n := min(16, 2+len(data)/48) // enough for the protocol's own
		d.members, d.names = make([]member, 0, n), make([][]byte, 0, n)
	}
	p := jsonParser{data: data, doc: d}
	p.space()
	if p.peek() != '{' {
		return errNoObject
	}
	if err := p.object(-1, 1, true); err != nil {
		return err
	}
	p.space()
	if p.pos != len(data) {
		return errTrailing
	}
	return nil
}

// wipe empties d for the next input. Nothing of the last one stays.
func (d *document) wipe() {
	d.members, d.first = wiped(d.members), [64]uint8{}
	// These two hold more than their length says.
	d.names, d.scratch = wiped(d.names[:cap(d.names)]), wiped(d.scratch[:cap(d.scratch)])
}

// wiped returns s cleared and empty.
func wiped[T any](s []T) []T {
	clear(s)
	return s[:0]
}

// get returns the member at path, one name per level.
func (d *document) get(path ...string) (member, bool) {
	if i := d.find(path); i >= 0 {
		return d.members[i], true
	}
	return member{}, false
}

// find returns the index of the member at path, -1 when there is none.
func (d *document) find(path []string) int {
	at := -1
	for _, name := range path {
		if at = d.child(at, name); at < 0 {
			return -1
		}
	}
	return at
}

// child returns the index of the member with that name in the object at parent,
// -1 when there is none.
func (d *document) child(parent int, name string) int {
	hash := nameHash(name)
	first := d.first[hash%64]
	if first == 0 {
		return -1
	}
	for i := max(parent+1, int(first)-1); i < len(d.members); i++ {
		if m := &d.members[i]; m.hash == hash && m.parent == parent && string(m.name) == name {
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
	doc     *document
	escapes uint8 // of the last string
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// space skips white space, of which most messages have none.
func (p *jsonParser) space() {
	if p.pos < len(p.data) && p.data[p.pos] <= ' ' {
		p.skipSpace()
	}
}

func (p *jsonParser) skipSpace() {
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
		return errDepth
	}
	p.pos++ // '{'
	p.space()
	if p.peek() == '}' {
		p.pos++
		return nil
	}
	first := len(p.doc.names)
	var seen nameSet
	for n := 0; ; n++ {
		if n == maxObjectMembers {
			return errMembers
		}
		if p.peek() != '"' {
			return errSyntax
		}
		name, err := p.str()
		if err != nil {
			return err
		}
		hash := nameHash(name)
		// Equal names have equal hashes, so that most names need no comparison.
		bit := uint64(1) << (hash % 64)
		if (seen.hashes&bit != 0 || n >= fewMembers) && !seen.add(name, p.doc.names[first:]) {
			return errDuplicate
		}
		seen.hashes |= bit
		p.doc.names = append(p.doc.names, name)
		p.space()
		if p.peek() != ':' {
			return errSyntax
		}
		p.pos++
		p.space()
		if err := p.member(parent, depth, list, name, hash); err != nil {
			return err
		}
		p.space()
		switch p.peek() {
		case ',':
			p.pos++
			p.space()
		case '}':
			p.pos++
			p.doc.names = p.doc.names[:first]
			return nil
		default:
			return errSyntax
		}
	}
}

// member reads the value of name and lists both.
func (p *jsonParser) member(parent, depth int, list bool, name []byte, hash uint8) error {
	if !list {
		_, _, err := p.value(depth)
		return err
	}
	index := len(p.doc.members)
	p.doc.members = append(p.doc.members, member{parent: parent, name: name, hash: hash})
	if first := &p.doc.first[hash%64]; *first == 0 {
		*first = uint8(min(index+1, math.MaxUint8))
	}
	var kind jsonKind
	var value []byte
	var err error
	switch start := p.pos; p.peek() {
	case '"':
		kind = jsonString
		value, err = p.str()
	case '{':
		kind, err = jsonObject, p.object(index, depth+1, true)
		value = p.data[start:p.pos]
	default:
		kind, value, err = p.value(depth)
	}
	m := &p.doc.members[index]
	m.kind, m.value, m.escapes = kind, value, p.escapes
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
		return errDepth
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

// arrayItems returns the raw elements of an array that was read strictly.
func arrayItems(array []byte) ([][]byte, error) {
	p := jsonParser{data: array, pos: 1, doc: &document{}}
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

// fewMembers are compared with each other. No message of the protocol has an
// object of more.
const fewMembers = 32

// nameSet finds a name that an object has twice.
type nameSet struct {
	hashes uint64          // bit h is set when a name with the hash h was added
	many   map[string]bool // all names, once they are no longer few
}

// add reports whether name is none of the earlier ones. From fewMembers on it
// is told every name.
func (s *nameSet) add(name []byte, earlier [][]byte) bool {
	if len(earlier) < fewMembers {
		for _, e := range earlier {
			if bytes.Equal(e, name) {
				return false
			}
		}
		return true
	}
	if s.many == nil {
		s.many = make(map[string]bool, maxObjectMembers)
		for _, e := range earlier {
			s.many[string(e)] = true
		}
	}
	if s.many[string(name)] {
		return false
	}
	s.many[string(name)] = true
	return true
}

func nameHash[T string | []byte](name T) uint8 {
	if len(name) == 0 {
		return 0
	}
	return 5*uint8(len(name)) + 3*name[0] + name[len(name)-1] //nolint:gosec // G115: of the length the lowest bits
}
