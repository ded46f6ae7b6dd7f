package codegrant

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Strings are most of a message. They are read a word of eight bytes at a time.
const (
	wordSize = 8
	ones     = 0x0101010101010101 // a byte value times ones has it in every byte
	tops     = 0x8080808080808080
)

// What the escapes of a string stand for, of what not every text may hold.
const (
	escapedBlank   = 1 << iota // tab, line feed or carriage return
	escapedControl             // any other control character, but for DEL
)

// special marks, by the top bit of a byte, what ends a run of a string: '"',
// '\\' and control characters. The lowest mark is right; a subtraction that
// borrows may set wrong ones above it.
func special(w uint64) uint64 {
	low := w ^ ones*2 // '"' is the one byte that this brings below 0x21, beside the control characters
	slash := w ^ ones*'\\'
	return ((low - ones*0x21) | (slash - ones)) &^ w & tops
}

// str reads a string whose '"' is next and returns its unescaped content: a
// piece of the input when nothing is escaped. p.escapes says what was.
func (p *jsonParser) str() ([]byte, error) {
	p.escapes = 0
	data := p.data
	start := p.pos + 1 // behind '"'
	at := start
	for rest := data[start:]; len(rest) >= wordSize; rest = rest[wordSize:] {
		if marks := special(binary.LittleEndian.Uint64(rest)); marks != 0 {
			at += bits.TrailingZeros64(marks) / 8
			break
		}
		at += wordSize
	}
	for ; at < len(data); at++ { // the last bytes of the input, or the end that was found
		switch c := data[at]; {
		case c == '"':
			p.pos = at + 1
			return data[start:at:at], nil
		case c == '\\':
			p.pos = at
			return p.escaped(start)
		case c < 0x20:
			p.pos = at
			return nil, errSyntax
		}
	}
	p.pos = at
	return nil, errSyntax
}

// escaped finishes a string that began at start and has its first escape at
// the current position.
func (p *jsonParser) escaped(start int) ([]byte, error) {
	if len(p.doc.scratch) == 0 && cap(p.doc.scratch) < len(p.data) {
		// An escape is never shorter than what it stands for, so this is enough
		// for all strings of the input and the slices handed out stay put.
		p.doc.scratch = make([]byte, 0, len(p.data))
	}
	data, at := p.data, p.pos
	from, out := len(p.doc.scratch), p.doc.scratch[:cap(p.doc.scratch)]
	end := from + copy(out[from:], data[start:at])
	for at < len(data) {
		if len(data)-at >= wordSize {
			// What stands for itself is copied a word at a time. The bytes behind it
			// are overwritten by what follows.
			w := binary.LittleEndian.Uint64(data[at : at+wordSize])
			binary.LittleEndian.PutUint64(out[end:end+wordSize], w)
			marks := special(w)
			if marks == 0 {
				at, end = at+wordSize, end+wordSize
				continue
			}
			n := bits.TrailingZeros64(marks) / 8
			at, end = at+n, end+n
		}
		switch c := data[at]; {
		case c == '"':
			p.pos, p.doc.scratch = at+1, out[:end]
			return out[from:end:end], nil
		case c < 0x20:
			return nil, errSyntax
		case c != '\\': // one of the last bytes of the input
			out[end] = c
			at, end = at+1, end+1
		case at+1 < len(data) && data[at+1] == '"': // as nearly all are
			out[end] = '"'
			at, end = at+2, end+1
		default:
			p.pos = at + 1
			n, err := p.escape(out[end:])
			if err != nil {
				return nil, err
			}
			at, end = p.pos, end+n
		}
	}
	return nil, errSyntax
}

// escape reads an escape behind its '\\', and writes what it stands for to out.
func (p *jsonParser) escape(out []byte) (int, error) {
	c := p.peek()
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
		p.escapes |= escapedControl
	case 'f':
		c = '\f'
		p.escapes |= escapedControl
	case 'n':
		c = '\n'
		p.escapes |= escapedBlank
	case 'r':
		c = '\r'
		p.escapes |= escapedBlank
	case 't':
		c = '\t'
		p.escapes |= escapedBlank
	case 'u':
		r, err := p.unicodeEscape()
		if err != nil {
			return 0, err
		}
		switch {
		case r == '\t', r == '\n', r == '\r':
			p.escapes |= escapedBlank
		case r < 0x20:
			p.escapes |= escapedControl
		}
		return utf8.EncodeRune(out, r), nil
	default:
		return 0, errSyntax
	}
	out[0] = c
	p.pos++
	return 1, nil
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
		return 0, errSurrogate
	}
	p.pos++
	low, ok := p.hex4()
	if !ok {
		return 0, errSyntax
	}
	if low < 0xDC00 || low > 0xDFFF {
		return 0, errSurrogate
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
