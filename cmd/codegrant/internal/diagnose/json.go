package diagnose

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The reader below is lenient on purpose: it keeps bad UTF-8, raw control
// characters and duplicate names, because what was damaged is what must be
// read here. It is for diagnosis only; nothing is verified with it.

type kind byte

const (
	kindNull    kind = 'n'
	kindString  kind = 's'
	kindLiteral kind = 'l' // number, true, false
	kindObject  kind = 'o'
	kindArray   kind = 'a'
)

// node is one JSON value.
type node struct {
	kind  kind
	raw   string  // as it stands
	pos   int     // where raw begins
	text  string  // a string's content, unescaped
	names []*node // of an object's members
	items []*node // values of an object or an array
}

var (
	errCut    = errors.New("the JSON text ends too early")
	errSyntax = errors.New("not JSON")
)

const maxNesting = 64

// parseJSON reads one value with nothing but white space around it.
func parseJSON(s string) (*node, error) {
	n, rest, err := parsePrefix(s)
	if err == nil && rest != "" {
		return nil, errSyntax
	}
	return n, err
}

// parsePrefix reads one value and returns what follows it.
func parsePrefix(s string) (*node, string, error) {
	r := reader{s: s}
	r.space()
	n, err := r.value(0)
	r.space()
	return n, s[min(r.pos, len(s)):], err
}

type reader struct {
	s   string
	pos int
}

func (r *reader) space() {
	for r.pos < len(r.s) && strings.IndexByte(" \t\r\n", r.s[r.pos]) >= 0 {
		r.pos++
	}
}

func (r *reader) value(depth int) (*node, error) {
	if r.pos >= len(r.s) {
		return nil, errCut
	}
	if depth > maxNesting {
		return nil, errSyntax
	}
	switch c := r.s[r.pos]; c {
	case '"':
		return r.str()
	case '{', '[':
		return r.container(c, depth)
	default:
		return r.literal()
	}
}

func (r *reader) literal() (*node, error) {
	start := r.pos
	for r.pos < len(r.s) && strings.IndexByte("+-.0123456789abcdefghijklmnopqrstuvwxyzE", r.s[r.pos]) >= 0 {
		r.pos++
	}
	switch raw := r.s[start:r.pos]; {
	case raw == "null":
		return &node{kind: kindNull, raw: raw, pos: start}, nil
	case raw == "true", raw == "false", isNumber(raw):
		return &node{kind: kindLiteral, raw: raw, pos: start}, nil
	case r.pos == len(r.s) && (raw == "-" || strings.HasPrefix("true", raw) || strings.HasPrefix("false", raw) || strings.HasPrefix("null", raw)):
		return nil, errCut
	}
	return nil, errSyntax
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return (err == nil || errors.Is(err, strconv.ErrRange)) && strings.IndexByte("-0123456789", s[0]) >= 0
}

func (r *reader) container(open byte, depth int) (*node, error) {
	n, end, start := &node{kind: kindObject, pos: r.pos}, byte('}'), r.pos
	if open == '[' {
		n.kind, end = kindArray, ']'
	}
	r.pos++
	r.space()
	if r.pos < len(r.s) && r.s[r.pos] == end {
		r.pos++
		n.raw = r.s[start:r.pos]
		return n, nil
	}
	for {
		if err := r.entry(n, depth); err != nil {
			return nil, err
		}
		r.space()
		switch {
		case r.pos >= len(r.s):
			return nil, errCut
		case r.s[r.pos] == ',':
			r.pos++
			r.space()
		case r.s[r.pos] == end:
			r.pos++
			n.raw = r.s[start:r.pos]
			return n, nil
		default:
			return nil, errSyntax
		}
	}
}

// entry reads one element, with its name in an object.
func (r *reader) entry(n *node, depth int) error {
	if n.kind == kindObject {
		switch {
		case r.pos >= len(r.s):
			return errCut
		case r.s[r.pos] != '"':
			return errSyntax
		}
		name, err := r.str()
		if err != nil {
			return err
		}
		n.names = append(n.names, name)
		r.space()
		switch {
		case r.pos >= len(r.s):
			return errCut
		case r.s[r.pos] != ':':
			return errSyntax
		}
		r.pos++
		r.space()
	}
	v, err := r.value(depth + 1)
	if err != nil {
		return err
	}
	n.items = append(n.items, v)
	return nil
}

func (r *reader) str() (*node, error) {
	start := r.pos
	r.pos++
	var out strings.Builder
	for r.pos < len(r.s) {
		c := r.s[r.pos]
		r.pos++
		switch c {
		case '"':
			return &node{kind: kindString, raw: r.s[start:r.pos], pos: start, text: out.String()}, nil
		case '\\':
			if err := r.escape(&out); err != nil {
				return nil, err
			}
		default:
			out.WriteByte(c)
		}
	}
	return nil, errCut
}

func (r *reader) escape(out *strings.Builder) error {
	if r.pos >= len(r.s) {
		return errCut
	}
	c := r.s[r.pos]
	r.pos++
	switch c {
	case '"', '\\', '/':
		out.WriteByte(c)
	case 'b':
		out.WriteByte('\b')
	case 'f':
		out.WriteByte('\f')
	case 'n':
		out.WriteByte('\n')
	case 'r':
		out.WriteByte('\r')
	case 't':
		out.WriteByte('\t')
	case 'u':
		return r.unicode(out)
	default:
		return errSyntax
	}
	return nil
}

func (r *reader) unicode(out *strings.Builder) error {
	high, err := r.hex4()
	if err != nil {
		return err
	}
	if utf16.IsSurrogate(high) && strings.HasPrefix(r.s[r.pos:], `\u`) {
		r.pos += 2
		low, err := r.hex4()
		if err != nil {
			return err
		}
		high = utf16.DecodeRune(high, low)
	}
	out.WriteRune(high) // a lone half becomes U+FFFD
	return nil
}

func (r *reader) hex4() (rune, error) {
	if r.pos+4 > len(r.s) {
		return utf8.RuneError, errCut
	}
	v, err := strconv.ParseUint(r.s[r.pos:r.pos+4], 16, 16)
	if err != nil {
		return utf8.RuneError, errSyntax
	}
	r.pos += 4
	return rune(v), nil
}
