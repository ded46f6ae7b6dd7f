package codegrant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func addJSONSeeds(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a":"b"} `, `{"a":1,"a":2}`, `{"a":{"b":[{"c":"]}"}]},"d":null}`, `{"a":"\ud83d\ude39\u00e9\n\""}`,
		`{"a":"\ud800"}`, `{"a":-1.5e+3,"b":true,"c":false}`, `{"a":01}`, `{"a":1}{"b":2}`, "\ufeff{}", "{\"a\":\"\xff\"}",
		`{"accId":"2022102018024210348883","signType":"SHA256","sign":"AB","bizContent":"{\"a\":\"b&c\"}","version":"1.0"}`,
		`{"signType":"MD5","sign":"AB","bizContent":{"a":"b"},"description":"x&y=z","":1}`,
		`{"bizContent":" {} ","sign":"00","signType":"SHA256","code":"","x":null,"y":7,"z":[1]}`,
		strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17),
		`{"a":"\udc00"}`, `{"a":"\ud800\\udc00"}`, `{"a":"\ud800\ud800\udc00"}`, `{"\u0061":1,"a":2}`, `{"a":[{"b":1,"b":2}]}`,
		`{"a":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}`, `{"a":1,}`, `{"a":.5}`, `{"a":1.}`, `{"a":+1}`, `{"a":1e}`, `{"a":nul}`, `{'a':1}`, `{"a":"\x"}`, "{\"a\":\"\t\"}",
		`{"sign":null,"signType":"SHA256","bizContent":"{}"}`, `{"sign":["AB"],"signType":"SHA256","bizContent":"{}"}`,
		`{"sign":"AB","signType":"SHA256","bizContent":"{}","code":1}`, `{"sign":"AB","signType":"SHA256","bizContent":"{}","code":"1234567"}`,
		`{"sign":"AB","signType":"SHA256","bizContent":"{}","a&b":"c"}`, `{"sign":"AB","signType":"SHA256","bizContent":"{}","a":"b&c=d"}`,
		`{"sign":"AB","signType":"SHA256","bizContent":"{}","a":"\u0000"}`, `{"sign":"AB","signType":"SHA256","bizContent":"\u0009{\u000d}\u000a","description":"\u0009"}`,
		`{"a":"\ud800\u0041"}`, `{"a":"\ud83dx\ude39"}`, "{\"sign\":\"AB\",\"signType\":\"SHA256\",\"bizContent\":\"{}\",\"a\":\"\x7f\"}",
		`{"sign":"AB","signType":"SHA256","bizContent":"{}","a=b":"c"}`, `{"sign":"AB","signType":"SHA256","bizContent":"{}","":"c"}`,
		strings.Repeat(`{"a":`, 16) + `1` + strings.Repeat(`}`, 16), numbered(128, ``), numbered(129, ``),
		numbered(29, `"sign":"AB","signType":"SHA256","bizContent":"{}",`), numbered(30, `"sign":"AB","signType":"SHA256","bizContent":"{}",`),
		`{"sign":"AB","signType":"SHA256","description":"no content"}`, `{"sign":"AB","signType":"SHA256","bizContent":"{} {}"}`,
		`{"sign":"AB","signType":"SHA256","bizContent":["{}"]}`, `{"sign":"AB","signType":"SHA256","bizContent":{"a":1,"a":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Add(fuzzSeal(map[string]string{"accId": fuzzStore, "signType": "SHA256", "bizContent": `{"notifyType":"RECHARGE"}`}))
}

// numbered is an object of n members and those that come first.
func numbered(n int, first string) string {
	text := "{" + first
	for i := range n {
		text += fmt.Sprintf(`"%d":%d,`, i, i)
	}
	return strings.TrimSuffix(text, ",") + "}"
}

// FuzzParseDocument: the scanner reads exactly what a strict decoder reads, no
// more and no less, and finds the same in it.
func FuzzParseDocument(f *testing.F) {
	addJSONSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		doc, err := parseDocument(data)
		require.Equal(t, before, data, "the input was changed")
		refusal := strictJSON(data)
		require.Equal(t, refusal == nil, err == nil, "scanner: %v; strict decoder: %v", err, refusal)
		if err != nil {
			require.Less(t, len(err.Error()), 40, "an error that may repeat the input")
			return
		}
		require.Equal(t, len(doc.members), sameObject(t, &doc, -1, data), "no member is lost, none is there twice")
	})
}

// sameObject compares the members that doc lists under parent, and those below
// them, with what the standard decoder finds in raw, and counts them.
func sameObject(t *testing.T, doc *document, parent int, raw []byte) int {
	var others map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(raw, &others))
	counted := 0
	for i, m := range doc.members {
		if m.parent != parent {
			continue
		}
		require.Less(t, m.parent, i, "members follow their parent")
		other, found := others[string(m.name)]
		require.True(t, found)
		delete(others, string(m.name))
		counted++
		if m.kind != jsonString && m.kind != jsonNull {
			require.Equal(t, string(other), string(m.value))
		}
		switch other[0] {
		case '"':
			require.Equal(t, jsonString, m.kind)
			var s string
			require.NoError(t, json.Unmarshal(other, &s))
			require.Equal(t, s, string(m.value))
			require.True(t, utf8.Valid(m.value))
		case 'n':
			require.Equal(t, jsonNull, m.kind)
		case '{':
			require.Equal(t, jsonObject, m.kind)
			counted += sameObject(t, doc, i, other)
		case '[':
			require.Equal(t, jsonArray, m.kind)
			items, err := arrayItems(m.value)
			require.NoError(t, err)
			var want []json.RawMessage
			require.NoError(t, json.Unmarshal(other, &want))
			require.Len(t, items, len(want))
			for i, item := range items {
				require.Equal(t, string(want[i]), string(item))
			}
		default:
			require.Equal(t, jsonLiteral, m.kind)
		}
	}
	require.Empty(t, others)
	return counted
}

// reading is an envelope as the rules at the head of testdata/vectors.json
// read it, by the standard decoder alone.
type reading struct {
	members map[string]string // every top-level member that is not null, sign too
	strings map[string]bool   // which of them are JSON strings
}

var (
	idForm   = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)
	codeForm = regexp.MustCompile(`^[0-9A-Za-z]{1,6}$`)
	control  = regexp.MustCompile("[\x00-\x1f\x7f]")
)

// blankText is a member that counts as absent.
func (r reading) blankText(name string) bool {
	return r.strings[name] && strings.TrimSpace(r.members[name]) == ""
}

// value is a member's text, "" for a blank one.
func (r reading) value(name string) string {
	if r.blankText(name) {
		return ""
	}
	return r.members[name]
}

func strictEnvelope(data []byte, needBiz bool) (reading, error) {
	r := reading{members: map[string]string{}, strings: map[string]bool{}}
	malformed := func(why string) (reading, error) { return r, wrap("read", ErrMalformed, errors.New(why)) }
	if err := strictJSON(data); err != nil {
		return malformed(err.Error())
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil || len(raw) > 32 {
		return malformed("top level")
	}
	protocolTexts := []string{"accId", "clientId", "code", "description", "signType", "version"}
	for name, value := range raw {
		if name == "" || strings.ContainsAny(name, "&=") || control.MatchString(name) {
			return malformed("name")
		}
		if string(value) == "null" {
			continue
		}
		text := string(value)
		if value[0] == '"' {
			if err := json.Unmarshal(value, &text); err != nil {
				return malformed(err.Error())
			}
			r.strings[name] = true
		} else if slices.Contains(protocolTexts, name) {
			return malformed("no string")
		}
		r.members[name] = text
		visible := text
		if name == "bizContent" {
			visible = strings.NewReplacer("\t", "", "\r", "", "\n", "").Replace(text)
		}
		if control.MatchString(visible) || (name != "bizContent" && name != "description" && strings.Contains(text, "&")) {
			return malformed("value")
		}
	}
	if r.value("sign") == "" {
		return r, wrap("read", ErrBadSignature, errors.New("no sign"))
	}
	biz, id, client := r.value("bizContent"), r.value("accId"), r.value("clientId")
	switch {
	case needBiz && biz == "", biz != "" && strictJSON([]byte(biz)) != nil:
		return malformed("bizContent")
	case r.value("signType") != "SHA256" && r.value("signType") != "MD5":
		return malformed("signType")
	case id != "" && !idForm.MatchString(id), client != "" && !idForm.MatchString(client):
		return malformed("ids")
	case r.value("version") != "" && r.value("version") != "1.0":
		return malformed("version")
	case r.value("code") != "" && !codeForm.MatchString(r.value("code")):
		return malformed("code")
	}
	return r, nil
}

// FuzzReadEnvelope: of every message the scanner and the rules as the vectors
// state them come to the same verdict, and what the kit uses is what a strict
// decoder finds.
func FuzzReadEnvelope(f *testing.F) {
	addJSONSeeds(f)
	account := fuzzAccount()
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, needBiz := range []bool{false, true} {
			e, err := readEnvelope(data, needBiz)
			r, refusal := strictEnvelope(data, needBiz)
			require.Equal(t, codeOf(refusal), codeOf(err), "scanner: %v; rules: %v", err, refusal)
			if err != nil {
				require.Less(t, len(err.Error()), 120, "an error that may repeat the input")
				continue
			}
			for name, used := range map[string]string{
				"accId": string(e.accountID), "clientId": string(e.clientID), "code": string(e.code), "version": string(e.version),
				"signType": string(e.signType), "description": string(e.description), "bizContent": string(e.bizContent), "sign": string(e.sign),
			} {
				require.Equal(t, r.value(name), used, name)
			}
			signed := 0
			for name := range r.members {
				if name != "sign" {
					signed++
				}
			}
			require.Len(t, e.signed, signed)
			for _, m := range e.signed {
				require.Equal(t, r.members[string(m.name)], string(m.value))
			}
			if _, err := e.verify(&account); err == nil {
				requireSealed(t, data) // only a seed can come here
			}
		}
	})
}
