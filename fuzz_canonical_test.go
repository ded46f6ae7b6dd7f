package codegrant

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// referenceText is the text under the digest by PingPong v4, section 3.1: the
// Java helper's, or with keepEmpty the PHP helper's.
func referenceText(members map[string]string, keepEmpty bool) string {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name != "sign" && (keepEmpty || strings.TrimSpace(members[name]) != "") {
			pairs = append(pairs, name+"="+members[name])
		}
	}
	return strings.Join(pairs, "&")
}

// writeEnvelope writes members as JSON strings, in the order that is furthest
// from the digest's.
func writeEnvelope(members map[string]string) []byte {
	body := []byte("{")
	names := slices.Sorted(maps.Keys(members))
	slices.Reverse(names)
	for i, name := range names {
		if i > 0 {
			body = append(body, ',')
		}
		body = appendJSONString(body, name)
		body = appendJSONString(append(body, ':'), members[name])
	}
	return append(body, '}')
}

// cuts returns the ways to take text apart into name=value pairs: every choice
// of '&' as a separator, up to limit, and per pair the first '=' or, once for
// each, a later one.
func cuts(text string, limit int) []map[string]string {
	pieces := strings.Split(text, "&")
	var all []map[string]string
	for choice := 0; choice < 1<<(len(pieces)-1) && len(all) < limit; choice++ {
		pairs := []string{pieces[0]}
		for i, piece := range pieces[1:] {
			if choice>>i&1 == 0 {
				pairs = append(pairs, piece)
			} else {
				pairs[len(pairs)-1] += "&" + piece
			}
		}
		members := map[string]string{}
		for _, pair := range pairs {
			name, value, found := strings.Cut(pair, "=")
			if _, twice := members[name]; !found || twice {
				members = nil
				break
			}
			members[name] = value
		}
		if members == nil {
			continue
		}
		all = append(all, members)
		for name, value := range members {
			if before, after, found := strings.Cut(value, "="); found {
				other := maps.Clone(members)
				delete(other, name)
				other[name+"="+before] = after
				all = append(all, other)
			}
		}
	}
	return all
}

// FuzzCanonicalText: the text under the digest is what the rule says, and it
// can be taken apart in one way only: whatever else the same text could be
// split into is either refused or says the same in all that the kit acts on,
// which is everything but description and members that it does not know.
func FuzzCanonicalText(f *testing.F) {
	biz := `{"notifyType":"RECHARGE","remark":"a&code=1"}`
	for _, seed := range [][6]string{
		{fuzzStore, biz, "000000", "Transaction succeeded", "", ""},
		{fuzzStore, biz, "", "paid&signType=MD5", "", ""},
		{"", `{}`, "1", "a&description=b&extra=c", "extra", "x=y"},
		{fuzzStore, " {\"a\":\"b\"}\n", "000000", "&", "zzz", "="},
		{fuzzStore, `{"a":"&clientId=1&code=1&description=x"}`, " ", "", "version", "1.0"},
		{fuzzStore, `{"a":"b"}&clientId=1`, "000000", "x", "code2", "\u00a0"},
		{fuzzStore, `{}`, "000000", "用户&f=1&g=2", "d", ""},
		{fuzzStore, `{}`, "000000", "x", "bizContent&code", "1"},
		{fuzzStore, `{"a":"b=c"}`, "000000", "a=b", "Zed", "x=y"},
		{fuzzStore, `{"a":"b=c"}`, "000000", "", "bizContent ", "{}"},
		{fuzzStore, `{}`, "000000", "x\x00", "a=b", "1"},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], false)
		f.Add(seed[0], seed[1], seed[2], seed[3], seed[4], seed[5], true)
	}
	f.Fuzz(func(t *testing.T, accountID, biz, code, description, name, value string, md5 bool) {
		for _, s := range []string{accountID, biz, code, description, name, value} {
			if !utf8.ValidString(s) || len(s) > 300 || strings.Count(s, "&") > 6 {
				return
			}
		}
		members := map[string]string{
			name: value, "accId": accountID, "bizContent": biz, "code": code, "description": description,
			"signType": "SHA256", "sign": strings.Repeat("0", 64),
		}
		if md5 {
			members["signType"] = "MD5"
		}
		e, err := readEnvelope(writeEnvelope(members), false)
		if err != nil {
			return
		}
		for _, keepEmpty := range []bool{false, true} {
			text := string(e.canonical([]byte("salt"), keepEmpty))
			require.Equal(t, "salt"+referenceText(members, keepEmpty), text)
			text = text[len("salt"):]
			for _, other := range cuts(text, 300) {
				other["sign"] = members["sign"]
				again, err := readEnvelope(writeEnvelope(other), false)
				if err != nil || (string(again.canonical(nil, false)) != text && string(again.canonical(nil, true)) != text) {
					continue // refused, or its digest is another: names out of order
				}
				require.Equal(t, acted(e), acted(again), "the text was split again into another message")
			}
		}
	})
}

// acted is what the kit acts on of an envelope.
func acted(e *envelope) []string {
	return []string{string(e.accountID), string(e.clientID), string(e.code), string(e.signType), string(e.version), string(bytes.TrimSpace(e.bizContent))}
}
