package hostiletest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing/iotest"
	"unicode/utf16"

	"github.com/codegrant/codegrant"
)

// just is a body that depends on nothing.
func just(body string) func(*besieged) string { return func(*besieged) string { return body } }

// around puts text around the genuine body.
func around(before, after string) func(*besieged) string {
	return func(b *besieged) string { return before + b.sign(nil) + after }
}

// notJSON are bodies that are not one JSON object in UTF-8.
func notJSON() []hostile {
	var table []hostile
	for name, body := range map[string]func(*besieged) string{
		"a form":                          just("notifyType=" + created + "&token=" + tokenValue + "&remark=" + marker),
		"XML":                             just("<notification><token>" + tokenValue + "</token><remark>" + marker + "</remark></notification>"),
		"an array around the object":      around("[", "]"),
		"a string":                        just(`"` + marker + `"`),
		"the word null":                   just("null"),
		"a number":                        just("20221020"),
		"nothing but blanks":              just(strings.Repeat(" \r\n\t", 100)),
		"a byte order mark":               around("\ufeff", ""),
		"UTF-16":                          func(b *besieged) string { return inUTF16(b.sign(nil)) },
		"a compressed body":               func(b *besieged) string { return zipped(b.sign(nil)) },
		"the object twice":                func(b *besieged) string { return b.sign(nil) + b.sign(nil) },
		"a brace too many":                around("", "}"),
		"a NUL after the object":          around("", "\x00"),
		"a comment":                       around("/* "+marker+" */", ""),
		"a comma after the last member":   edit(`"}`, `",}`),
		"a member without quotes":         edit(`"accId"`, `accId`),
		"single quotes":                   edit(`"accId"`, `'accId'`),
		"a word that JSON has not":        edit(`{"`, `{"zone":NaN,"`),
		"a number with a leading zero":    edit(`{"`, `{"zone":007,"`),
		"an escape that JSON has not":     edit(marker, `\x41`+marker),
		"a name without a value":          edit(`{"`, `{"zone","`),
		"an event-stream frame around":    around("data: ", "\n\n"),
		"the body as a string, sealed":    func(b *besieged) string { return encoded(b.sign(nil)) },
		"a garbage signature and no more": just("sign=DEADBEEF"),
	} {
		table = append(table, hostile{name: "not one JSON object: " + name, code: codegrant.ErrMalformed, body: body})
	}
	return table
}

func inUTF16(s string) string {
	var out bytes.Buffer
	for _, u := range utf16.Encode([]rune(s)) {
		out.Write([]byte{byte(u), byte(u >> 8)})
	}
	return out.String()
}

func zipped(s string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return out.String()
}

// goneBodies are bodies that somebody else has read, or that break off.
func goneBodies() []hostile {
	return []hostile{
		// Square accepts an empty body whatever the signature beside it.
		{name: "an empty body with a garbage signature, which Square takes for signed", code: codegrant.ErrBodyConsumed,
			body: just(""), change: func(r *http.Request) {
				r.Header.Set("X-Square-Hmacsha256-Signature", "garbage")
				r.Header.Set("Sign", "garbage")
			}},
		{name: "a request without any body", code: codegrant.ErrBodyConsumed, change: func(r *http.Request) { r.Body, r.ContentLength = nil, 0 }},
		{name: "http.NoBody", code: codegrant.ErrBodyConsumed, change: func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 0 }},
		// gopay #499, wechatpay-go #37, stripe-node #341.
		{name: "a body that middleware has read", code: codegrant.ErrBodyConsumed, change: func(r *http.Request) { _, _ = io.ReadAll(r.Body) }},
		{name: "a body that a form parser has read", code: codegrant.ErrBodyConsumed, change: func(r *http.Request) {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			_ = r.ParseForm()
		}},
		{name: "a body that middleware has read in part", code: codegrant.ErrMalformed,
			change: func(r *http.Request) { _, _ = io.CopyN(io.Discard, r.Body, 100) }},
		{name: "a body that middleware has closed", code: codegrant.ErrMalformed, change: func(r *http.Request) {
			r.Body = io.NopCloser(iotest.ErrReader(http.ErrBodyReadAfterClose))
		}},
		{name: "a body shorter than it was said to be", code: codegrant.ErrMalformed, change: func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 100), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}},
		{name: "a complete body and then a broken connection", code: codegrant.ErrMalformed, change: func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(r.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
		}},
		{name: "a broken connection whose error repeats the body", code: codegrant.ErrMalformed, change: func(r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(iotest.ErrReader(errors.New(string(body))))
		}},
	}
}

// tooLarge are bodies over the cap.
func tooLarge() []hostile {
	undeclared := func(r *http.Request) { r.ContentLength = -1 }
	endless := func(text string) func(*http.Request) {
		return func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(r.Body, &repeated{text: text}))
			r.ContentLength = -1
		}
	}
	filled := func(to int) func(*besieged) string {
		return func(b *besieged) string { return pad(b.sign(nil), to) }
	}
	table := []hostile{
		{name: "one byte over the cap", body: filled(defaultMaxBody + 1)},
		{name: "one byte over the cap, sent in chunks", body: filled(defaultMaxBody + 1), change: undeclared},
		{name: "3 MB, which Paddle answers 500 and so asks for again", body: filled(3 << 20)},
		{name: "3 MB, sent in chunks", body: filled(3 << 20), change: undeclared},
		{name: "3 MB, declared as little", body: filled(3 << 20), change: func(r *http.Request) { r.ContentLength = 10 }},
		{name: "a genuine body of which 1 TB is promised", change: func(r *http.Request) { r.ContentLength = 1 << 40 }},
		{name: "a genuine body and blanks without end", change: endless(" ")},
		{name: "blanks without end", body: just(""), change: endless("\n")},
		{name: "a string without end", body: just(`{"accId":"`), change: endless(marker)},
		{name: "members without end", body: just(`{`), change: endless(`"zone":1,`)},
		{name: "arrays in arrays without end", body: just(""), change: endless("[")},
		{name: "100,000 nested arrays", body: just(strings.Repeat("[", 1e5) + strings.Repeat("]", 1e5))},
		{name: "a million members", body: just(members(million))},
	}
	for i := range table {
		table[i].code = codegrant.ErrTooLarge
	}
	return table
}

// pad appends blanks to body up to a length.
func pad(body string, length int) string { return body + strings.Repeat(" ", max(0, length-len(body))) }

// repeated is a text again and again, without end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at]
		r.at = (r.at + 1) % len(r.text)
	}
	return len(p), nil
}

// wrongMethods carry a genuine body.
func wrongMethods() []hostile {
	table := []hostile{{
		name: "a GET that a header calls a POST", code: codegrant.ErrMethod, change: func(r *http.Request) {
			r.Method = http.MethodGet
			r.Header.Set("X-HTTP-Method-Override", http.MethodPost)
		},
	}}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
		http.MethodTrace, "post", "NOTIFY",
	} {
		name := "a genuine body by " + method
		if method == http.MethodGet {
			name += ", which GoCardless processes"
		}
		table = append(table, hostile{name: name, code: codegrant.ErrMethod, change: func(r *http.Request) { r.Method = method }})
	}
	return table
}
