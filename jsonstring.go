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
	low, slash := w^ones*2, w^ones*'\\' // '"' is among the low ones by itself: '"'^2 == 0x20
	return ((low - ones*0x21) | (slash - ones)) &^ w & tops
}

// str reads a string whose '"' is next and returns its unescaped content: a
// piece of the input when nothing is escaped. p.escapes says what was.
func (p *jsonParser) str() ([]byte, error) {
	p.escapes = 0
	data := p.data
	start := p.pos + 1 // behind '"'
	at := start
	for len(data)-at >= wordSize {
		marks := special(binary.LittleEndian.Uint64(data[at:]))
		if marks == 0 {
			at += wordSize
			continue
		}
		at += bits.TrailingZeros64(marks) / 8
		if data[at] == '"' {
			p.pos = at + 1
			return data[start:at:at], nil
		}
		break
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
	from := len(p.doc.scratch)
	out := append(p.doc.scratch, p.data[start:p.pos]...)
	data, at := p.data, p.pos
	for {
		// What stands for itself is copied a word at a time. The bytes behind it
		// are overwritten by what follows.
		n := len(out)
		for room := out[:cap(out)]; len(data)-at >= wordSize; {
			w := binary.LittleEndian.Uint64(data[at:])
			binary.LittleEndian.PutUint64(room[n:], w)
			marks := special(w)
			if marks == 0 {
				n, at = n+wordSize, at+wordSize
				continue
			}
			clean := bits.TrailingZeros64(marks) / 8
			n, at = n+clean, at+clean
			if data[at] != '\\' || at+1 == len(data) || data[at+1] != '"' && data[at+1] != '\\' {
				break
			}
			room[n] = data[at+1] // what most escapes are for
			n, at = n+1, at+2
		}
		out = out[:n]
		if at == len(data) {
			return nil, errSyntax
		}
		c := data[at]
		at++
		switch {
		case c == '"':
			p.pos, p.doc.scratch = at, out
			return out[from:len(out):len(out)], nil
		case c < 0x20, c == '\\' && at == len(data):
			return nil, errSyntax
		case c != '\\': // one of the last bytes of the input
			out = append(out, c)
			continue
		}
		switch c := data[at]; c {
		case '"', '\\', '/':
			out = append(out, c)
		case 'b':
			out = append(out, '\b')
			p.escapes |= escapedControl
		case 'f':
			out = append(out, '\f')
			p.escapes |= escapedControl
		case 'n':
			out = append(out, '\n')
			p.escapes |= escapedBlank
		case 'r':
			out = append(out, '\r')
			p.escapes |= escapedBlank
		case 't':
			out = append(out, '\t')
			p.escapes |= escapedBlank
		case 'u':
			p.pos = at
			r, err := p.unicodeEscape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
			switch {
			case r == '\t', r == '\n', r == '\r':
				p.escapes |= escapedBlank
			case r < 0x20:
				p.escapes |= escapedControl
			}
			at = p.pos
			continue
		default:
			return nil, errSyntax
		}
		at++
	}
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
