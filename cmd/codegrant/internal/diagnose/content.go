package diagnose

import (
	"html"
	"math"
	"net/url"
	"strconv"
	"strings"
)

// maxRestyled is how large a bizContent may be, in bytes, to be written in
// every style: there are about a thousand.
const maxRestyled = 64 << 10

// bizContent writes it in every style that a JSON library might have had
// before something read it and wrote it again.
func (c *collector) bizContent() {
	i := find(c.base, "bizContent")
	if i < 0 {
		return
	}
	n, err := parseJSON(c.base[i].value)
	if err != nil {
		return
	}
	id := "bizcontent_reencoded"
	if c.base[i].kind == kindObject {
		id = "bizcontent_object"
	}
	if n.kind == kindString { // a string of a string
		c.add("bizcontent_quoted", "", with(c.base, i, n.text))
		return
	}
	if len(n.raw) > maxRestyled {
		c.skip("other ways to write bizContent, for it has %d bytes, more than %d", len(n.raw), maxRestyled)
		return
	}
	all, complete := restyles(n)
	if !complete {
		c.skip("some of the ways to write bizContent, for they take more than %d MiB", maxVariants>>20)
	}
	for _, s := range all {
		c.add(id, "signed: "+s.detail, with(c.base, i, s.text))
	}
}

// leaves changes one value, or takes out one member, inside bizContent.
func (c *collector) leaves() {
	i := find(c.base, "bizContent")
	if i < 0 {
		return
	}
	text := c.base[i].value
	n, err := parseJSON(text)
	if err != nil || n.kind != kindObject {
		return
	}
	c.inside(i, text, n, "")
}

func (c *collector) inside(i int, text string, n *node, path string) {
	for at, v := range n.items {
		if c.left < len(text) {
			c.skip("some of the changes to single values, for they take more than %d MiB", maxVariants>>20)
			return
		}
		name := path + "[" + strconv.Itoa(at) + "]"
		if n.kind == kindObject {
			name = shown(n.names[at].text)
			if path != "" {
				name = path + "." + name
			}
			c.add("bizcontent_member_added", name, with(c.base, i, cutMember(text, n, at)))
		}
		put := func(id, raw string) {
			c.add(id, name+" in bizContent", with(c.base, i, text[:v.pos]+raw+text[v.pos+len(v.raw):]))
		}
		switch v.kind {
		case kindObject, kindArray:
			c.inside(i, text, v, name)
		case kindString:
			changedStrings(v, put)
		case kindLiteral:
			changedNumbers(v, put)
		}
	}
}

// cutMember returns text without one member and the comma beside it.
func cutMember(text string, n *node, at int) string {
	from, to := n.names[at].pos, n.items[at].pos+len(n.items[at].raw)
	switch {
	case at+1 < len(n.names):
		to = n.names[at+1].pos
	case at > 0:
		from = n.items[at-1].pos + len(n.items[at-1].raw)
	}
	return text[:from] + text[to:]
}

func changedStrings(v *node, put func(id, raw string)) {
	quote := func(id, s string) {
		if s == v.text || s == "" {
			return
		}
		var out strings.Builder
		escapes{rewrite: true}.quote(&out, s)
		put(id, out.String())
	}
	quote("whitespace_added", strings.TrimSpace(v.text))
	quote("value_trimmed", v.text+" ")
	quote("value_trimmed", " "+v.text)
	quote("case_changed", strings.ToLower(v.text))
	quote("case_changed", strings.ToUpper(v.text))
	quote("case_changed", capitalized(v.text))
	quote("url_encoded", unescape(url.QueryUnescape, v.text))
	quote("url_encoded", unescape(url.PathUnescape, v.text))
	quote("url_decoded", url.QueryEscape(v.text))
	quote("url_decoded", encodeComponent(v.text))
	quote("url_decoded", encodeOdd(v.text))
	for _, u := range recodedURLs(v.text) {
		quote("url_decoded", u)
	}
	quote("plus_for_blank", strings.ReplaceAll(v.text, " ", "+"))
	quote("plus_for_blank", strings.ReplaceAll(v.text, "+", " "))
	quote("html_entities", html.UnescapeString(v.text))
	quote("html_entities", html.EscapeString(v.text))
	if v.text != "" && isNumber(v.text) {
		put("number_reformatted", v.text)
	}
}

// recodedURLs encodes the query values of a URL, the way they may have been
// before something decoded the whole.
func recodedURLs(s string) []string {
	base, query, ok := strings.Cut(s, "?")
	if !ok {
		return nil
	}
	pairs := strings.Split(query, "&")
	plus, percent := make([]string, len(pairs)), make([]string, len(pairs))
	for i, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		plus[i] = name + "=" + url.QueryEscape(value)
		percent[i] = name + "=" + encodeComponent(value)
	}
	return []string{base + "?" + strings.Join(plus, "&"), base + "?" + strings.Join(percent, "&")}
}

// changedNumbers are the forms in which one number may have been written.
func changedNumbers(v *node, put func(id, raw string)) {
	put("number_reformatted", `"`+v.raw+`"`)
	f, err := strconv.ParseFloat(v.raw, 64)
	if err != nil || !isNumber(v.raw) {
		return
	}
	for _, form := range []struct {
		format byte
		digits int
	}{{'f', -1}, {'f', 1}, {'f', 2}, {'f', 3}, {'f', 6}, {'e', -1}, {'E', 1}, {'g', -1}} {
		text := strconv.FormatFloat(f, form.format, form.digits, 64)
		put("number_reformatted", text)
		put("number_reformatted", `"`+text+`"`)
	}
	// Beyond 2^53 several integers became the same number.
	const safe = 1 << 53
	if f < safe || f > math.MaxInt64/2 {
		return
	}
	for n := int64(f) - 1024; n <= int64(f)+1024; n++ {
		if float64(n) == f {
			put("number_precision_lost", strconv.FormatInt(n, 10))
			put("number_precision_lost", `"`+strconv.FormatInt(n, 10)+`"`)
		}
	}
}
