package codegrant

import (
	"bytes"
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

// The parents of members that are in no other member.
const (
	topLevel = -1
	inArray  = -2 // while the array is read: see value
)

// member is one name and value of a document.
type member struct {
	parent int      // index of the object it is in, or topLevel
	name   []byte   // unescaped
	value  []byte   // a string unescaped; anything else as the raw bytes
	kind   jsonKind // what value is

	escapes uint8 // of a string: what its escapes stand for
}

// document is one JSON object read strictly: valid UTF-8, no duplicate names,
// no lone surrogates, nothing but white space around it. Members of nested
// objects follow their parent; the inside of arrays is checked, not listed.
// Names and values are pieces of the input, or of scratch where the input has
// an escape. Behind the members there is nothing but zeros.
type document struct {
	members []member
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
		d.members = make([]member, 0, min(16, 2+len(data)/48)) // enough for the protocol's own
	}
	p := jsonParser{data: data, doc: d}
	if p.next() != '{' {
		return errNoObject
	}
	if err := p.object(topLevel, 1); err != nil {
		return err
	}
	p.next()
	if p.pos != len(data) {
		return errTrailing
	}
	return nil
}

// wipe empties d for the next input. Nothing of the last one stays.
func (d *document) wipe() {
	d.cut(0)
	d.scratch = wiped(d.scratch)
}

// add lists one more member, which is zero. It may move the others.
func (d *document) add() *member {
	n := len(d.members)
	if n < cap(d.members) {
		d.members = d.members[:n+1]
	} else {
		d.members = append(d.members, member{})
	}
	return &d.members[n]
}

// cut takes away the members from first on.
func (d *document) cut(first int) {
	clear(d.members[first:])
	d.members = d.members[:first]
}

// wiped returns s, empty and cleared to its capacity.
func wiped[T any](s []T) []T {
	clear(s[:cap(s)])
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
	at := topLevel
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
	doc     *document
	escapes uint8 // of the last string
}

func (p *jsonParser) peek() byte {
	if p.pos < len(p.data) {
		return p.data[p.pos]
	}
	return 0
}

// next skips white space, of which most messages have none, and returns the
// byte behind it, 0 at the end.
func (p *jsonParser) next() byte {
	if p.pos < len(p.data) && p.data[p.pos] > ' ' {
		return p.data[p.pos]
	}
	return p.skipSpace()
}

func (p *jsonParser) skipSpace() byte {
	for p.pos < len(p.data) {
		switch c := p.data[p.pos]; c {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return c
		}
	}
	return 0
}

// object reads an object whose '{' is next, and lists its members under parent.
func (p *jsonParser) object(parent, depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	p.pos++ // '{'
	if p.next() == '}' {
		p.pos++
		return nil
	}
	seen := nameSet{doc: p.doc}
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
		if !seen.add(name, n) {
			return errDuplicate
		}
		if p.next() != ':' {
			return errSyntax
		}
		p.pos++
		p.next()
		if err := p.member(parent, depth, name); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.pos++
			p.next()
		case '}':
			p.pos++
			return nil
		default:
			return errSyntax
		}
	}
}

// member reads the value of name and lists both.
func (p *jsonParser) member(parent, depth int, name []byte) error {
	var kind jsonKind
	var value []byte
	var err error
	start := p.pos
	switch p.peek() {
	case '"':
		kind = jsonString
		value, err = p.str()
	case '{': // which is listed before what is in it
		index := len(p.doc.members)
		m := p.doc.add()
		m.parent, m.name, m.kind = parent, name, jsonObject
		err = p.object(index, depth+1)
		p.doc.members[index].value = p.data[start:p.pos]
		return err
	default:
		kind, value, err = p.value(depth)
	}
	m := p.doc.add()
	m.parent, m.name, m.value, m.kind, m.escapes = parent, name, value, kind, p.escapes
	return err
}

func (p *jsonParser) value(depth int) (jsonKind, []byte, error) {
	start := p.pos
	switch c := p.peek(); {
	case c == '"':
		s, err := p.str()
		return jsonString, s, err
	case c == '{': // in an array: its members are there only to be told apart
		first := len(p.doc.members)
		err := p.object(inArray, depth+1)
		p.doc.cut(first)
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
	if p.next() == ']' {
		p.pos++
		return nil
	}
	for {
		if _, _, err := p.value(depth); err != nil {
			return err
		}
		switch p.next() {
		case ',':
			p.pos++
			p.next()
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
	for p.next() != ']' {
		start := p.pos
		if _, _, err := p.value(0); err != nil {
			return nil, err
		}
		items = append(items, array[start:p.pos])
		if p.next() == ',' {
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
	doc    *document
	own    [fewMembers]int32 // the object's first members, by their index: what is in them may be many
	hashes uint64            // bit h is set when a name with the hash h was added
	many   map[string]bool   // all names, once they are no longer few
}

// add reports whether name is none of the n that were added before. It is that of
// the next member of the document.
func (s *nameSet) add(name []byte, n int) bool {
	if n < fewMembers {
		// Equal names have equal hashes, so that most names need no comparison.
		bit := uint64(1) << nameHash(name)
		if s.hashes&bit != 0 && s.has(name, n) {
			return false
		}
		s.hashes |= bit
		s.own[n] = int32(len(s.doc.members)) //nolint:gosec // G115: fewer than there are bytes
		return true
	}
	if s.many == nil {
		s.many = make(map[string]bool, maxObjectMembers)
		for _, i := range s.own {
			s.many[string(s.doc.members[i].name)] = true
		}
	}
	if s.many[string(name)] {
		return false
	}
	s.many[string(name)] = true
	return true
}

func (s *nameSet) has(name []byte, n int) bool {
	for _, i := range s.own[:n] {
		if bytes.Equal(s.doc.members[i].name, name) {
			return true
		}
	}
	return false
}

// nameHashes is how many hashes names have.
const nameHashes = 64

func nameHash[T string | []byte](name T) uint {
	if len(name) == 0 {
		return 0
	}
	return (5*uint(len(name)) + 3*uint(name[0]) + uint(name[len(name)-1])) % nameHashes
}
