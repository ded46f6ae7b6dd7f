package diagnose

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// What is hidden: salts, values of members that hold secrets or personal data
// whatever happened to the quotes around them, and anything that looks like a
// token or a sign. PingPong v4, CodeGrant: tokens are 32 or 64 hex digits.
var (
	secretMember = regexp.MustCompile(`(?i)"?(?:token|userLoginId|authCode|authState|authUrl|salt|sign|cvv)` +
		`(?:["']|\\"|\\x22|%22|&quot;|&#34;|\\u0022)*\s*(?::|=|%3A)\s*` +
		`((?:["']|\\"|\\x22|%22|&quot;|&#34;|\\u0022)(?:[^"'\\]|\\[^"])*|[^"'&,}\\\s]*)`)
	hexRun = regexp.MustCompile(`[0-9A-Fa-f]{28,}`)
)

// Mask returns s fit for a terminal, with salts, tokens and signs replaced by
// their lengths.
func Mask(s string, salts []string) string { return masker{salts: salts}.mask(s) }

// masker hides secrets in what is shown.
type masker struct{ salts []string }

// ranges returns the hidden parts of s, in order, without overlaps.
func (m masker) ranges(s string) [][2]int {
	var found [][2]int
	lower := lowerASCII(s)
	for _, salt := range m.salts {
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
	for _, at := range hexRun.FindAllStringIndex(s, -1) {
		found = append(found, [2]int{at[0], at[1]})
	}
	for _, at := range secretMember.FindAllStringSubmatchIndex(s, -1) {
		from, to := at[2], at[3]
		for _, quote := range []string{`\x22`, `\u0022`, "&quot;", "&#34;", `\"`, "%22", `"`, "'"} {
			if strings.HasPrefix(s[from:to], quote) {
				from += len(quote)
				break
			}
		}
		if from < to {
			found = append(found, [2]int{from, to})
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

// mask returns s with every secret replaced by its length.
func (m masker) mask(s string) string {
	var out strings.Builder
	end := 0
	for _, r := range m.ranges(s) {
		out.WriteString(s[end:r[0]])
		fmt.Fprintf(&out, "[%d characters]", r[1]-r[0])
		end = r[1]
	}
	out.WriteString(s[end:])
	return printable(out.String())
}

// around returns the surroundings of byte at in s with secrets as bullets.
func (m masker) around(s string, at int) string {
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
	return printable(out.String())
}

// printable shows control characters and bad UTF-8 as escapes, so that a
// message cannot steer a terminal.
func printable(s string) string {
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

// shown is a member's name for people: only a short plain one is repeated.
func shown(name string) string {
	if len(name) > 40 || hexRun.MatchString(name) {
		return fmt.Sprintf("a name of %d bytes", len(name))
	}
	return printable(name)
}

func ticks(s string) string { return "`" + s + "`" }
