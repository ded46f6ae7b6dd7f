package diagnose

import (
	"crypto/sha256"
	"fmt"
	"html"
	"math/bits"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// memberVariant is the members of a message after steps were undone.
type memberVariant struct {
	steps  []step
	fields []field
	rare   bool // too many of its kind to combine freely
}

// collector gathers variants whose text under the digest is a new one.
type collector struct {
	base []field
	all  []memberVariant
	seen map[[sha256.Size]byte]bool
	rare bool
	left int // bytes that variants may still take
	bounds
}

// maxVariants bounds the texts of one reading's variants, in bytes: a large
// bizContent has thousands of values.
const maxVariants = 24 << 20

func newCollector(fields []field) *collector {
	return &collector{base: fields, seen: make(map[[sha256.Size]byte]bool), left: maxVariants}
}

func (c *collector) add(id, detail string, fields []field) {
	text := canonical(fields)
	sum := sha256.Sum256([]byte(text))
	if c.seen[sum] {
		return
	}
	if c.left < len(text) {
		c.skip("some of the changes to single values, for they take more than %d MiB", maxVariants>>20)
		return
	}
	c.seen[sum] = true
	c.left -= len(text)
	c.all = append(c.all, memberVariant{[]step{{id, detail}}, fields, c.rare})
}

// each adds a variant for every member whose value change alters, and one in
// which all are altered.
func (c *collector) each(id, what string, change func(field) string) {
	everywhere, changed := slices.Clone(c.base), 0
	for i, f := range c.base {
		if f.name == "sign" || f.kind == kindNull {
			continue
		}
		if v := change(f); v != "" && v != f.value {
			c.add(id, what+" in "+f.name, with(c.base, i, v))
			everywhere = with(everywhere, i, v)
			changed++
		}
	}
	if changed > 1 {
		c.add(id, what+" in every member", everywhere)
	}
}

// undoMembers returns the members as they are and each way to undo one step.
func (d *diagnosis) undoMembers(fields []field) []memberVariant {
	c := newCollector(fields)
	c.seen[sha256.Sum256([]byte(canonical(fields)))] = true
	c.all = append(c.all, memberVariant{fields: fields})
	c.duplicates()
	c.whiteSpace()
	c.replaced(d)
	c.leftOut()
	c.missing(d)
	c.coding()
	c.spelling()
	c.asText()
	c.rare = true
	c.left /= 2 // leave as much for the styles
	kept := c.left
	c.leaves()
	c.left += kept
	c.bizContent()
	c.described()
	d.also(c.bounds)
	return c.all
}

func (c *collector) duplicates() {
	for _, keepLast := range []bool{false, true} {
		var kept []field
		for _, f := range c.base {
			if at := find(kept, f.name); at < 0 {
				kept = append(kept, f)
			} else if keepLast {
				kept[at] = f
			}
		}
		if len(kept) < len(c.base) {
			c.add("duplicate_member", map[bool]string{false: "the first one was signed", true: "the last one was signed"}[keepLast], kept)
		}
	}
}

func (c *collector) whiteSpace() {
	c.each("newline_added", "a line feed at the end", func(f field) string { return strings.TrimRight(f.value, "\r\n") })
	c.each("whitespace_added", "white space at the ends", func(f field) string { return strings.TrimSpace(f.value) })
	for _, end := range []string{"\n", "\r\n", " "} {
		c.each("value_trimmed", fmt.Sprintf("%q missing at the end", end), func(f field) string { return f.value + end })
	}
	c.each("value_trimmed", `" " missing at the start`, func(f field) string { return " " + f.value })
	c.each("line_ends_changed", "CR LF for LF", func(f field) string { return strings.ReplaceAll(f.value, "\r\n", "\n") })
	c.each("line_ends_changed", "LF for CR LF", func(f field) string { return strings.ReplaceAll(f.value, "\n", "\r\n") })
	c.each("line_breaks_inserted", "line breaks", func(f field) string { return breaks.ReplaceAllString(f.value, "") })
}

// replaced puts in what the configuration and the documents say.
func (c *collector) replaced(d *diagnosis) {
	for _, r := range []struct{ name, value string }{
		{"accId", d.AccountID}, {"clientId", d.ClientID}, {"version", "1.0"},
		{"signType", "SHA256"}, {"signType", "MD5"},
	} {
		if i := find(c.base, r.name); i >= 0 && r.value != "" {
			id := "member_changed"
			if strings.EqualFold(c.base[i].value, r.value) {
				id = "case_changed"
			}
			c.add(id, fmt.Sprintf("%s was %s when it was signed", r.name, r.value), with(c.base, i, r.value))
		}
	}
}

// leftOut tries every set of members that may have been added after signing.
func (c *collector) leftOut() {
	var at []int
	for i, f := range c.base {
		if f.name != "sign" && f.kind != kindNull {
			at = append(at, i)
		}
	}
	sets := make([]uint, 0, 256)
	for set := uint(1); len(at) <= 10 && set < 1<<len(at); set++ {
		sets = append(sets, set)
	}
	if len(at) > 10 {
		c.skip("several members added, for there are %d, more than 10", len(at))
		for i := range min(len(at), 60) {
			sets = append(sets, 1<<i)
		}
	}
	slices.SortStableFunc(sets, func(a, b uint) int { return bits.OnesCount(a) - bits.OnesCount(b) })
	for _, set := range sets {
		var kept []field
		var names []string
		for i, f := range c.base {
			if n := slices.Index(at, i); n >= 0 && set&(1<<n) != 0 {
				names = append(names, shown(f.name))
			} else {
				kept = append(kept, f)
			}
		}
		c.rare = len(names) > 2
		c.add("member_added", "not signed: "+strings.Join(names, ", "), kept)
	}
	c.rare = false
}

// missing adds documented members that are not there.
func (c *collector) missing(d *diagnosis) {
	add := func(name, value string) {
		if value != "" && find(c.base, name) < 0 {
			c.add("member_missing", fmt.Sprintf("signed: %s=%s", name, value), plus(c.base, name, value))
		}
	}
	add("accId", d.AccountID)
	add("clientId", d.ClientID)
	if id := valueOf(c.base, "accId"); len(id) > 3 {
		add("clientId", id[:len(id)-3])
	}
	add("version", "1.0")
	add("signType", "SHA256")
	add("signType", "MD5")
	if find(c.base, "accId") < 0 && find(c.base, "clientId") < 0 {
		c.add("member_missing", "signed: accId and clientId", plus(plus(c.base, "accId", d.AccountID), "clientId", d.ClientID))
	}
	for _, r := range resultCodes() {
		add("code", r.code)
		add("description", r.description)
	}
}

// described tries the result codes where both members about it are missing.
func (c *collector) described() {
	if find(c.base, "code") >= 0 || find(c.base, "description") >= 0 {
		return
	}
	for _, r := range resultCodes() {
		c.add("member_missing", "signed: code="+r.code+" and description="+r.description,
			plus(plus(c.base, "code", r.code), "description", r.description))
	}
}

// coding undoes what passed the values through another encoding.
func (c *collector) coding() {
	c.each("url_encoded", "URL-encoding added", func(f field) string { return unescape(url.QueryUnescape, f.value) })
	c.each("url_encoded", "URL-encoding added (blanks as %20)", func(f field) string { return unescape(url.PathUnescape, f.value) })
	c.each("url_decoded", "URL-encoding undone", func(f field) string { return url.QueryEscape(f.value) })
	c.each("url_decoded", "URL-encoding undone (blanks as %20)", func(f field) string { return encodeComponent(f.value) })
	c.each("url_decoded", "URL-encoding of blanks and non-ASCII undone", func(f field) string { return encodeOdd(f.value) })
	c.each("plus_for_blank", `"+" became a blank`, func(f field) string { return strings.ReplaceAll(f.value, " ", "+") })
	c.each("plus_for_blank", `a blank became "+"`, func(f field) string { return strings.ReplaceAll(f.value, "+", " ") })
	c.each("html_entities", "HTML entities added", func(f field) string { return html.UnescapeString(f.value) })
	c.each("html_entities", "HTML entities undone", func(f field) string { return html.EscapeString(f.value) })
	c.each("html_entities", `&quot; undone`, func(f field) string { return strings.ReplaceAll(f.value, `"`, "&quot;") })
	c.each("backslashes_added", "backslashes added", func(f field) string {
		return onlyIf(!isObject(f.value), stripSlashes(f.value)) // in JSON they are its own
	})
	c.each("backslashes_added", "backslashes doubled", func(f field) string { return strings.ReplaceAll(f.value, `\\`, `\`) })
	for _, cs := range charsets() {
		c.each("mojibake", "UTF-8 read as "+cs.name, func(f field) string {
			if ascii(f.value) {
				return ""
			}
			return cs.undoMojibake(f.value)
		})
	}
	c.each("unicode_normalized", "another Unicode normal form", func(f field) string { return norm.NFC.String(f.value) })
	c.each("unicode_normalized", "another Unicode normal form", func(f field) string { return norm.NFD.String(f.value) })
}

func unescape(with func(string) (string, error), s string) string {
	if !strings.Contains(s, "%") {
		return ""
	}
	out, err := with(s)
	return onlyIf(err == nil, out)
}

// encodeComponent is JavaScript's encodeURIComponent.
func encodeComponent(s string) string {
	out := strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	return strings.NewReplacer("%21", "!", "%27", "'", "%28", "(", "%29", ")", "%2A", "*").Replace(out)
}

// encodeOdd encodes only what a URL cannot hold.
func encodeOdd(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&out, "%%%02X", c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

// spelling undoes changes of letter case.
func (c *collector) spelling() {
	words := knownWords()
	renamed := slices.Clone(c.base)
	for i, f := range renamed {
		if w, ok := words[strings.ToLower(f.name)]; ok {
			renamed[i].name = w
		}
	}
	c.add("case_changed", "in the members' names", renamed)
	c.each("case_changed", "letter case", func(f field) string { return strings.ToUpper(f.value) })
	c.each("case_changed", "letter case", func(f field) string { return strings.ToLower(f.value) })
	c.each("case_changed", "the first letter's case", func(f field) string { return capitalized(f.value) })
	c.each("case_changed", "letter case of documented words", func(f field) string { return respell(f.value, words) })
	both := slices.Clone(renamed)
	for i, f := range both {
		both[i].value = respell(f.value, words)
	}
	c.add("case_changed", "letter case of documented words, everywhere", both)
}

func capitalized(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + strings.ToLower(s[1:])
}

// respell gives quoted words their documented letter case.
func respell(s string, words map[string]string) string {
	parts := strings.Split(s, `"`)
	for i, p := range parts {
		if w, ok := words[strings.ToLower(p)]; ok {
			parts[i] = w
		}
	}
	return strings.Join(parts, `"`)
}

// asText is what a program signs that does not sign the values themselves.
func (c *collector) asText() {
	c.each("values_quoted", "the JSON text with its quotes", func(f field) string { return f.raw })
	c.each("values_quoted", "the JSON text without its quotes", func(f field) string {
		return strings.TrimSuffix(strings.TrimPrefix(f.raw, `"`), `"`)
	})
	c.each("signed_url_encoded", "as PHP's urlencode writes it", func(f field) string { return url.QueryEscape(f.value) })
	i := find(c.base, "bizContent")
	if i < 0 {
		return
	}
	n, err := parseJSON(c.base[i].value)
	if err != nil || n.kind != kindObject {
		return
	}
	for what, text := range map[string]string{
		"[object Object] (JavaScript)": "[object Object]", "Array (PHP)": "Array", "a Map's toString (Java)": mapText(n),
	} {
		c.add("bizcontent_as_object_text", what, with(c.base, i, text))
	}
}

// mapText is Java's Map.toString.
func mapText(n *node) string {
	switch n.kind {
	case kindString:
		return n.text
	case kindObject, kindArray:
		parts := make([]string, len(n.items))
		for i, v := range n.items {
			if parts[i] = mapText(v); n.kind == kindObject {
				parts[i] = n.names[i].text + "=" + parts[i]
			}
		}
		open, end := "{", "}"
		if n.kind == kindArray {
			open, end = "[", "]"
		}
		return open + strings.Join(parts, ", ") + end
	}
	return n.raw
}
