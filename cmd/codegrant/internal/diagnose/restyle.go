package diagnose

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// style is a way in which a JSON library writes what it has read.
type style struct {
	comma, colon, indent string
	order                string // "", "sorted" or "reversed"
	escape               escapes
	numbers              string // "", "shortest", "double", "quoted" or "unquoted"
}

// escapes is how strings are written; the zero value keeps them as they stand.
type escapes struct {
	name    string
	rewrite bool
	ascii   bool   // \u for everything outside ASCII
	upper   bool   // hexadecimal digits in capitals
	slash   bool   // \/
	coded   string // these as \u
}

type spacing struct{ name, comma, colon, indent string }

func spacings() []spacing {
	return []spacing{
		{"without white space", ",", ":", ""},
		{`with a blank after "," and ":"`, ", ", ": ", ""},
		{`with a blank after ":"`, ",", ": ", ""},
		{"indented by 2", ",", ": ", "  "},
		{"indented by 4", ",", ": ", "    "},
		{"indented by tabs", ",", ": ", "\t"},
		{`indented by 2 with " : "`, ",", " : ", "  "}, // Jackson
	}
}

func escapings() []escapes {
	const htmlSet, gson = "<>&\u2028\u2029", "<>&='\u2028\u2029"
	return []escapes{
		{},
		{name: "nothing escaped that JSON does not demand", rewrite: true},
		{name: `"/" as \/`, rewrite: true, slash: true},
		{name: `characters outside ASCII as \u`, rewrite: true, ascii: true},
		{name: `characters outside ASCII as \u in capitals`, rewrite: true, ascii: true, upper: true},
		{name: `"/" as \/ and characters outside ASCII as \u (PHP)`, rewrite: true, ascii: true, slash: true},
		{name: `"<", ">" and "&" as \u (Go)`, rewrite: true, coded: htmlSet},
		{name: `"<", ">", "&", "=" and "'" as \u (Gson)`, rewrite: true, coded: gson},
		{name: `all of HTML and outside ASCII as \u in capitals (.NET)`, rewrite: true, ascii: true, upper: true, coded: "<>&'+\"`"},
		{name: `"<", ">" and "&" and outside ASCII as \u`, rewrite: true, ascii: true, coded: htmlSet},
	}
}

// styled is JSON text in another style and what that style is.
type styled struct{ detail, text string }

// restyles writes n in every known style, as far as maxVariants reaches.
func restyles(n *node) (all []styled, complete bool) {
	seen := map[[sha256.Size]byte]bool{sha256.Sum256([]byte(n.raw)): true}
	left := maxVariants
	for _, numbers := range []string{"", "shortest", "double", "quoted", "unquoted"} {
		for _, order := range []string{"", "sorted", "reversed"} {
			for _, e := range escapings() {
				for _, sp := range spacings() {
					s := style{comma: sp.comma, colon: sp.colon, indent: sp.indent, order: order, escape: e, numbers: numbers}
					var out strings.Builder
					out.Grow(len(n.raw) * 5 / 4)
					s.write(&out, n, "")
					text := out.String()
					if sum := sha256.Sum256([]byte(text)); !seen[sum] {
						seen[sum] = true
						if left -= len(text); left < 0 {
							return all, false
						}
						all = append(all, styled{s.describe(sp.name), text})
					}
				}
			}
		}
	}
	return all, true
}

func (s style) describe(spacing string) string {
	parts := []string{spacing}
	if s.order != "" {
		parts = append(parts, "members "+s.order)
	}
	if s.escape.name != "" {
		parts = append(parts, s.escape.name)
	}
	if s.numbers != "" {
		parts = append(parts, "numbers "+s.numbers)
	}
	return strings.Join(parts, "; ")
}

func (s style) write(out *strings.Builder, n *node, margin string) {
	switch n.kind {
	case kindObject, kindArray:
		s.container(out, n, margin)
	case kindString:
		if s.numbers == "unquoted" && n.text != "" && isNumber(n.text) {
			out.WriteString(n.text)
			return
		}
		s.str(out, n)
	default:
		out.WriteString(s.literal(n))
	}
}

func (s style) container(out *strings.Builder, n *node, margin string) {
	open, end := "{", "}"
	if n.kind == kindArray {
		open, end = "[", "]"
	}
	out.WriteString(open)
	inner, line := margin+s.indent, func(string) {}
	if s.indent != "" && len(n.items) > 0 {
		line = func(m string) { out.WriteString("\n" + m) }
	}
	for i, at := range s.ordered(n) {
		if i > 0 {
			out.WriteString(s.comma)
		}
		line(inner)
		if n.kind == kindObject {
			s.str(out, n.names[at])
			out.WriteString(s.colon)
		}
		s.write(out, n.items[at], inner)
	}
	line(margin)
	out.WriteString(end)
}

func (s style) ordered(n *node) []int {
	at := make([]int, len(n.items))
	for i := range at {
		at[i] = i
	}
	if n.kind == kindObject && s.order == "sorted" {
		slices.SortStableFunc(at, func(a, b int) int { return strings.Compare(n.names[a].text, n.names[b].text) })
	}
	if n.kind == kindObject && s.order == "reversed" {
		slices.Reverse(at)
	}
	return at
}

func (s style) literal(n *node) string {
	if n.kind != kindLiteral || !isNumber(n.raw) {
		return n.raw
	}
	f, _ := strconv.ParseFloat(n.raw, 64)
	switch s.numbers {
	case "shortest":
		return strconv.FormatFloat(f, 'f', -1, 64)
	case "double":
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	case "quoted":
		return `"` + n.raw + `"`
	}
	return n.raw
}

func (s style) str(out *strings.Builder, n *node) {
	if !s.escape.rewrite {
		out.WriteString(n.raw)
		return
	}
	s.escape.quote(out, n.text)
}

func (e escapes) quote(out *strings.Builder, text string) {
	out.WriteByte('"')
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case r < 0x20 || (e.ascii && r >= utf8.RuneSelf) || strings.ContainsRune(e.coded, r):
			e.unicode(out, r)
		case r == '"' || r == '\\' || (r == '/' && e.slash):
			out.WriteByte('\\')
			out.WriteRune(r)
		default:
			out.WriteString(text[i : i+size])
		}
		i += size
	}
	out.WriteByte('"')
}

func (e escapes) unicode(out *strings.Builder, r rune) {
	if short := strings.IndexRune("\b\f\n\r\t", r); short >= 0 {
		out.WriteString(`\` + "bfnrt"[short:short+1])
		return
	}
	units := []rune{r}
	if r > 0xffff {
		high, low := utf16.EncodeRune(r)
		units = []rune{high, low}
	}
	for _, u := range units {
		if e.upper {
			fmt.Fprintf(out, `\u%04X`, u)
		} else {
			fmt.Fprintf(out, `\u%04x`, u)
		}
	}
}
