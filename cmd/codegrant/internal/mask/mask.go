// Package mask takes secrets out of what the command prints and records: salts,
// members with secret names, and what looks like a credential under a name that
// nobody knows. Masker is for text in any state, damaged or not; Memory is for
// messages that stay JSON, and remembers what it has seen.
package mask

import (
	"fmt"
	"slices"
	"strings"
)

// Text returns s fit for a terminal, with salts, tokens and signs replaced by
// their lengths.
func Text(s string, salts []string) string { return Masker{Salts: salts}.Text(s) }

// Masker hides secrets in what is shown.
type Masker struct{ Salts []string }

// ranges returns the hidden parts of s, in order, without overlaps.
func (m Masker) ranges(s string) [][2]int {
	found := append(secretValues(s), credentials(s)...)
	lower := lowerASCII(s)
	for _, salt := range m.Salts {
		if salt = lowerASCII(strings.TrimSpace(salt)); len(salt) < 4 {
			continue
		}
		for from := 0; ; {
			at := strings.Index(lower[from:], salt)
			if at < 0 {
				break
			}
			found = append(found, [2]int{from + at, from + at + len(salt)})
			from += at + len(salt)
		}
	}
	return merged(found)
}

// lowerASCII keeps every byte in its place, which strings.ToLower does not.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func merged(found [][2]int) [][2]int {
	slices.SortFunc(found, func(a, b [2]int) int { return a[0] - b[0] })
	var all [][2]int
	for _, f := range found {
		if last := len(all) - 1; last >= 0 && f[0] <= all[last][1] {
			all[last][1] = max(all[last][1], f[1])
		} else {
			all = append(all, f)
		}
	}
	return all
}

// Text returns s with every secret replaced by its length.
func (m Masker) Text(s string) string {
	var out strings.Builder
	end := 0
	for _, r := range m.ranges(s) {
		out.WriteString(s[end:r[0]])
		fmt.Fprintf(&out, "[%d characters]", r[1]-r[0])
		end = r[1]
	}
	out.WriteString(s[end:])
	return Printable(out.String())
}

// Around returns the surroundings of byte at in s with secrets as bullets.
func (m Masker) Around(s string, at int) string {
	const before, after = 24, 36
	from, to := max(0, at-before), min(len(s), at+after)
	hidden := m.ranges(s)
	var out strings.Builder
	for i := from; i < to; i++ {
		if slices.ContainsFunc(hidden, func(r [2]int) bool { return r[0] <= i && i < r[1] }) {
			out.WriteByte('*')
		} else {
			out.WriteByte(s[i])
		}
	}
	return Printable(out.String())
}

// Printable shows control characters and bad UTF-8 as escapes, so that a
// message cannot steer a terminal.
func Printable(s string) string {
	var out strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\ufffd") {
		switch {
		case r == '\n':
			out.WriteString(`\n`)
		case r == '\r':
			out.WriteString(`\r`)
		case r == '\t':
			out.WriteString(`\t`)
		case r < 0x20 || (r >= 0x7f && r < 0xa0) || r == '\u2028' || r == '\u2029' || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069):
			fmt.Fprintf(&out, `\x%02x`, r)
		default:
			out.WriteRune(r)
		}
	}
	return out.String()
}
