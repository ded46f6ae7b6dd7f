package hostiletest

import (
	"bytes"
	"encoding/json"
	"maps"
	"strconv"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// edit changes the genuine body in one place, without a new signature.
func edit(old, replacement string) func(*besieged) string {
	return func(b *besieged) string { return replaceOnce(b.sign(nil), old, replacement) }
}

// signed signs the genuine content with other top-level members.
func signed(extra map[string]string) func(*besieged) string {
	return func(b *besieged) string { return b.sign(extra) }
}

// signedBiz signs an edited content.
func signedBiz(old, replacement string) func(*besieged) string {
	return func(b *besieged) string {
		return b.sign(map[string]string{"bizContent": replaceOnce(b.biz(), old, replacement)})
	}
}

func replaceOnce(s, old, replacement string) string {
	if !strings.Contains(s, old) {
		panic("the body has no " + old)
	}
	return strings.Replace(s, old, replacement, 1)
}

// resigned replaces the signature of the genuine body.
func resigned(sign func(genuine string) any) func(*besieged) string {
	return func(b *besieged) string {
		var body map[string]any
		if err := json.Unmarshal([]byte(b.sign(nil)), &body); err != nil {
			panic(err)
		}
		if body["sign"] = sign(body["sign"].(string)); body["sign"] == nil {
			delete(body, "sign")
		}
		return encoded(body)
	}
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sealedBy signs the genuine content as another salt would.
func sealedBy(salt, digest string, change map[string]string) func(*besieged) string {
	return func(b *besieged) string {
		members := map[string]string{
			"accId": gatewaytest.DefaultAccountID, "clientId": gatewaytest.DefaultClientID, "signType": gatewaytest.SHA256,
			"bizContent": b.biz(),
		}
		maps.Copy(members, change)
		maps.DeleteFunc(members, func(_, value string) bool { return value == "" })
		members["sign"] = gatewaytest.Sign(salt, digest, members)
		return encoded(members)
	}
}

// unsignedRequests have no signature.
func unsignedRequests() []hostile {
	const unsigned = codegrant.ErrBadSignature
	return []hostile{
		{name: "the older flat body without a signature", code: unsigned, body: func(b *besieged) string { return b.biz() }},
		{name: "an envelope without sign and signType", code: unsigned, body: func(b *besieged) string {
			return encoded(map[string]string{"accId": gatewaytest.DefaultAccountID, "bizContent": b.biz()})
		}},
		// Where Mollie's signature is absent, its verifier returns no error.
		{name: "sign is absent, which Mollie's caller may take for signed", code: unsigned,
			body: resigned(func(string) any { return nil })},
		{name: "sign is null", code: unsigned, body: resigned(func(string) any { return json.RawMessage("null") })},
		{name: "sign is empty", code: unsigned, body: resigned(func(string) any { return "" })},
		{name: "sign is blank", code: unsigned, body: resigned(func(string) any { return strings.Repeat(" ", 64) })},
		{name: "sign is in another letter case", code: unsigned, body: edit(`"sign"`, `"Sign"`)},
		{name: "an empty object", code: unsigned, body: just("{}")},
		// Omise panics on these two, or believes the first.
		{name: "an event without data, which Omise panics on", code: unsigned,
			body: just(`{"notifyType":"RECHARGE","remark":"` + marker + `"}`)},
		{name: "an unsigned event of another gateway, which Omise believes", code: unsigned,
			body: just(`{"object":"event","key":"charge.complete","data":{"object":"charge","id":"` + marker + `"}}`)},
	}
}

// forgedRequests have a signature that is not the gateway's.
func forgedRequests() []hostile {
	flip := func(s string, i int) string {
		digit := "0"
		if s[i] == '0' {
			digit = "1"
		}
		return s[:i] + digit + s[i+1:]
	}
	sign := func(f func(string) any) func(*besieged) string { return resigned(f) }
	var table []hostile
	for _, tc := range []struct {
		name string
		body func(*besieged) string
	}{
		{"the first digit of sign is another", sign(func(s string) any { return flip(s, 0) })},
		{"the last digit of sign is another", sign(func(s string) any { return flip(s, 63) })},
		{"sign is a digit short", sign(func(s string) any { return s[1:] })},
		{"sign is a digit long", sign(func(s string) any { return s + "0" })},
		{"sign has blanks around it", sign(func(s string) any { return " " + s + " " })},
		{"sign is no hexadecimal number", sign(func(s string) any { return strings.Repeat("Z", 64) })},
		{"sign is zeros", sign(func(s string) any { return strings.Repeat("0", 64) })},
		{"sign is twice the genuine one", sign(func(s string) any { return s + s })},
		{"sign is a number", sign(func(string) any { return 20221020 })},
		{"sign is true", sign(func(string) any { return true })},
		{"sign is a list with the genuine one", sign(func(s string) any { return []string{s} })},
		{"sign is an object with the genuine one", sign(func(s string) any { return map[string]string{"SHA256": s} })},
		{"sign is that of another message", func(b *besieged) string {
			var other map[string]any
			if err := json.Unmarshal([]byte(b.sign(map[string]string{"code": "000001"})), &other); err != nil {
				panic(err)
			}
			return resigned(func(string) any { return other["sign"] })(b)
		}},
		{"another salt", sealedBy(otherSalt, gatewaytest.SHA256, nil)},
		{"no salt at all", sealedBy("", gatewaytest.SHA256, nil)},
		{"the salt with a blank", sealedBy(gatewaytest.DefaultSalt+" ", gatewaytest.SHA256, nil)},
		{"another user", edit(`\"ann\"`, `\"eve\"`)},
		{"another token", edit(tokenValue, strings.Repeat("0", 64))},
		{"another type", edit(created, endedByUser)},
		{"a blank after the content", edit(`}"`, `} "`)},
		{"a member more", edit(`{"`, `{"zone":"9","`)},
		{"a number more", edit(`{"`, `{"zone":9,"`)},
		{"a member fewer", edit(`"description"`, `"sign2"`)},
		{"a member in another letter case", edit(`"accId"`, `"ACCID"`)},
		{"a member turned into null", edit(`"code":"000000"`, `"code":null`)},
		{"a name with a blank", edit(`"accId"`, `"accId "`)},
		{"a second token in another letter case", edit(`{"`, `{"TOKEN":"`+marker+`","`)},
		{"the wrong digest, properly signed", signed(map[string]string{"signType": gatewaytest.MD5})},
		{"the wrong digest named over the right one", edit(`"SHA256"`, `"MD5"`)},
		{"an MD5 under the name of SHA256", sealedBy(gatewaytest.DefaultSalt, gatewaytest.MD5, nil)},
		{"a SHA256 of the other digest's text", sealedBy(gatewaytest.DefaultSalt, gatewaytest.SHA256, map[string]string{"signType": gatewaytest.MD5})},
	} {
		table = append(table, hostile{name: "forged: " + tc.name, code: codegrant.ErrBadSignature, body: tc.body})
	}
	return table
}

// wrongAccounts are signed, but not for this account.
func wrongAccounts() []hostile {
	var table []hostile
	for name, change := range map[string]map[string]string{
		"another store of the same merchant":  {"accId": gatewaytest.DefaultClientID + "001"},
		"another merchant":                    {"clientId": "9999999999999999999"},
		"another store without its merchant":  {"accId": "9999999999999999999001", "clientId": ""},
		"the merchant's number for the store": {"accId": gatewaytest.DefaultClientID},
		"the numbers exchanged":               {"accId": gatewaytest.DefaultClientID, "clientId": gatewaytest.DefaultAccountID},
	} {
		table = append(table,
			hostile{name: "our salt, " + name, code: codegrant.ErrWrongAccount, body: signed(change)},
			hostile{name: "its own salt, " + name, code: codegrant.ErrWrongAccount, body: sealedBy(otherSalt, gatewaytest.SHA256, change)},
		)
	}
	return table
}

// million is a tenth of its name under the race detector.
const million = 1_000_000 / slowdown

// members is an object of n members.
func members(n int) string {
	out := append(make([]byte, 0, 16*n), '{')
	for i := range n {
		out = append(strconv.AppendInt(append(out, `"m`...), int64(i), 10), `":"0",`...)
	}
	return string(append(bytes.TrimSuffix(out, []byte(",")), '}'))
}
