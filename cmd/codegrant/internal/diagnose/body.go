package diagnose

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// step is one thing that was undone to make the signature fit.
type step struct {
	id     string
	detail string
}

// bodyVariant is the body after steps were undone.
type bodyVariant struct {
	steps []step
	body  string
}

// maxUnpacked caps what a compressed body may grow to, in bytes.
const maxUnpacked = 4 << 20

// bodies returns the body as it is, then with one step undone, then with two.
func bodies(body string) []bodyVariant {
	all := []bodyVariant{{body: body}}
	seen := map[string]bool{body: true}
	from := 0
	for range 2 {
		end := len(all)
		for _, v := range all[from:end] {
			for _, next := range undoBody(v.body) {
				if next.body == "" || seen[next.body] {
					continue
				}
				seen[next.body] = true
				next.steps = append(append([]step(nil), v.steps...), next.steps...)
				all = append(all, next)
			}
		}
		from = end
	}
	return all
}

func undoBody(body string) []bodyVariant {
	var all []bodyVariant
	add := func(id, detail, undone string) {
		all = append(all, bodyVariant{[]step{{id, detail}}, undone})
	}
	for _, u := range []struct {
		id     string
		detail string
		undo   func(string) string
	}{
		{"bom", "", func(s string) string { return cutPrefix(s, "\ufeff") }},
		{"utf16", "", fromUTF16},
		{"gzip", "gzip", func(s string) string { return unpack(gzipReader, s) }},
		{"gzip", "zlib", func(s string) string { return unpack(zlibReader, s) }},
		{"gzip", "deflate", func(s string) string { return unpack(flateReader, s) }},
		{"base64_body", "", fromBase64},
		{"log_escaped", `\xHH`, fromHexEscapes},
		{"double_quoted", "", stringContent},
		{"array_wrapper", "", onlyElement},
		{"wrapped_in_object", "", wrapped},
		{"form_encoded", "", fromForm},
		{"body_url_encoded", "", fromPercent},
		{"html_entities", "in the whole body", func(s string) string { return onlyIf(!isObject(s), html.UnescapeString(s)) }},
		{"backslashes_added", "in the whole body", func(s string) string { return onlyIf(!isObject(s), stripSlashes(s)) }},
		{"line_breaks_inserted", "", func(s string) string { return onlyIf(!isObject(s), breaks.ReplaceAllString(s, "")) }},
		{"surrounded_by_text", "", embedded},
	} {
		add(u.id, u.detail, u.undo(body))
	}
	if !utf8.ValidString(body) {
		for _, c := range charsets() {
			add("charset_not_utf8", c.name, c.decode(body))
		}
	}
	for _, end := range []string{"}", `"}`, `"}"}`, `}"}`, `"`} {
		if _, err := parseJSON(body); errors.Is(err, errCut) && isObject(body+end) {
			add("body_truncated", "the end "+end+" is missing", body+end)
		}
	}
	return all
}

var (
	breaks    = regexp.MustCompile(`\r?\n[ \t]*`)
	hexEscape = regexp.MustCompile(`\\x([0-9A-Fa-f]{2})`)
)

func onlyIf(condition bool, s string) string {
	if condition {
		return s
	}
	return ""
}

func cutPrefix(s, prefix string) string {
	rest, ok := strings.CutPrefix(s, prefix)
	return onlyIf(ok, rest)
}

func isObject(s string) bool {
	n, err := parseJSON(s)
	return err == nil && n.kind == kindObject
}

func fromUTF16(s string) string {
	if len(s) < 4 || len(s)%2 != 0 {
		return ""
	}
	little := s[1] == 0 || strings.HasPrefix(s, "\xff\xfe")
	if big := s[0] == 0 || strings.HasPrefix(s, "\xfe\xff"); !little && !big {
		return ""
	}
	units := make([]uint16, 0, len(s)/2)
	for i := 0; i+1 < len(s); i += 2 {
		low, high := s[i], s[i+1]
		if !little {
			low, high = high, low
		}
		units = append(units, uint16(high)<<8|uint16(low))
	}
	return strings.TrimPrefix(string(utf16.Decode(units)), "\ufeff")
}

func gzipReader(r io.Reader) (io.Reader, error)  { return gzip.NewReader(r) }
func zlibReader(r io.Reader) (io.Reader, error)  { return zlib.NewReader(r) }
func flateReader(r io.Reader) (io.Reader, error) { return flate.NewReader(r), nil }

func unpack(open func(io.Reader) (io.Reader, error), s string) string {
	r, err := open(strings.NewReader(s))
	if err != nil {
		return ""
	}
	out, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
	return onlyIf(err == nil && bytes.ContainsRune(out, '{'), string(out))
}

func fromBase64(s string) string {
	s = strings.Trim(strings.TrimSpace(s), `"`)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if out, err := e.DecodeString(s); err == nil && len(out) > 8 {
			return string(out)
		}
	}
	return ""
}

// fromHexEscapes undoes what nginx and Apache do to a logged body.
func fromHexEscapes(s string) string {
	if !hexEscape.MatchString(s) {
		return ""
	}
	s = strings.ReplaceAll(s, `\"`, `"`) // Apache escapes quotes in its own way
	return hexEscape.ReplaceAllStringFunc(s, func(e string) string {
		v, _ := strconv.ParseUint(e[2:], 16, 8)
		return string([]byte{byte(v)})
	})
}

func stringContent(s string) string {
	n, err := parseJSON(s)
	return onlyIf(err == nil && n.kind == kindString, safeText(n))
}

func safeText(n *node) string {
	if n == nil {
		return ""
	}
	return n.text
}

func onlyElement(s string) string {
	n, err := parseJSON(s)
	if err != nil || n.kind != kindArray || len(n.items) == 0 {
		return ""
	}
	if n.items[0].kind == kindString {
		return n.items[0].text
	}
	return n.items[0].raw
}

// wrapped returns the signed message inside another object.
func wrapped(s string) string {
	n, err := parseJSON(s)
	if err != nil || n.kind != kindObject {
		return ""
	}
	for _, v := range n.items {
		inner := v.raw
		if v.kind == kindString {
			inner = v.text
		}
		if fields, err := readFields(inner); err == nil && find(fields, "sign") >= 0 {
			return inner
		}
	}
	return ""
}

// fromForm turns a form into the JSON that it should have been.
func fromForm(s string) string {
	if strings.ContainsAny(strings.TrimSpace(s), "{\n") || !strings.Contains(s, "=") {
		return ""
	}
	values, err := url.ParseQuery(strings.TrimSpace(s))
	if err != nil {
		return ""
	}
	flat := make(map[string]string, len(values))
	for name, v := range values {
		switch {
		case isObject(name): // the whole body as a name without a value
			return name
		case len(values) == 1 && isObject(v[0]):
			return v[0]
		}
		flat[name] = v[0]
	}
	out, err := json.Marshal(flat)
	return onlyIf(err == nil, string(out))
}

func fromPercent(s string) string {
	if !strings.Contains(s, "%7B") && !strings.Contains(s, "%7b") || isObject(s) {
		return ""
	}
	out, err := url.QueryUnescape(strings.TrimSpace(s))
	return onlyIf(err == nil, out)
}

// embedded returns the signed object in a line of a log or a dump of HTTP.
func embedded(s string) string {
	for i, tries := 0, 0; tries < 20; tries++ {
		at := strings.IndexByte(s[i:], '{')
		if at < 0 {
			return ""
		}
		i += at
		if n, rest, err := parsePrefix(s[i:]); err == nil && find(fieldsOf(n), "sign") >= 0 {
			return onlyIf(i > 0 || rest != "", n.raw)
		}
		i++
	}
	return ""
}

// stripSlashes takes one layer of backslashes away, as PHP's stripslashes does.
func stripSlashes(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		out.WriteByte(s[i])
	}
	return out.String()
}
