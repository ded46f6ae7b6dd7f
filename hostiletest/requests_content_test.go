package hostiletest

import (
	"fmt"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// unreadable makes a table of bodies that are refused before their signature
// is judged; where it can be, the signature is genuine.
func unreadable(cases []hostile) []hostile {
	for i := range cases {
		cases[i].code = codegrant.ErrMalformed
	}
	return cases
}

// ambiguousRequests mean different things to different readers. Stock decoders
// let the last of two members win, and join name=value texts that can be split
// again.
func ambiguousRequests() []hostile {
	const account = `"accId":"` + gatewaytest.DefaultAccountID + `"`
	evil := `"bizContent":"{\"notifyType\":\"` + created + `\",\"token\":\"` + marker + `\"}"`
	return unreadable([]hostile{
		{name: "accId twice, the same", body: edit(`{"`, `{`+account+`,"`)},
		{name: "accId twice, once escaped", body: edit(`{"`, `{"\u0061ccId":"9","`)},
		{name: "bizContent twice, the evil one first", body: edit(`{"`, `{`+evil+`,"`)},
		{name: "bizContent twice, the evil one last", body: func(b *besieged) string {
			return strings.TrimSuffix(b.sign(nil), "}") + "," + evil + "}"
		}},
		{name: "sign twice", body: edit(`{"`, `{"sign":"","`)},
		{name: "an unknown member twice", body: func(b *besieged) string {
			return replaceOnce(b.sign(map[string]string{"zone": "9"}), `{"`, `{"zone":"8","`)
		}},
		{name: "a signed token twice in the content", body: signedBiz(`{"`, `{"token":"`+marker+`","`)},
		{name: "a signed token twice in the content, once escaped", body: signedBiz(`{"`, `{"\u0074oken":"`+marker+`","`)},
		{name: "a signed object in the content with a member twice", body: signedBiz(`{"`, `{"a":{"b":1,"b":2},"`)},
		{name: "a signed value that could be split into members", body: signed(map[string]string{"zone": "9&token=" + marker})},
		{name: "a signed accId that could be split", body: signed(map[string]string{"accId": gatewaytest.DefaultAccountID + "&a=b"})},
		{name: "a signed name with an equals sign", body: signed(map[string]string{"zone=9": marker})},
		{name: "a signed name with an ampersand", body: signed(map[string]string{"zone&token": marker})},
		{name: "a signed member without a name", body: func(b *besieged) string {
			return replaceOnce(b.sign(nil), `{"`, `{"":"`+marker+`","`)
		}},
	})
}

// badText holds what is no text.
func badText() []hostile {
	return unreadable([]hostile{
		{name: "a byte that is no UTF-8", body: edit(marker, marker+"\xff")},
		{name: "a NUL in two bytes", body: edit(marker, marker+"\xc0\x80")},
		{name: "a surrogate in UTF-8", body: edit(marker, marker+"\xed\xa0\x80")},
		{name: "half a character", body: edit(marker, "\xe4\xb8"+marker)},
		{name: "a character above the last", body: edit(marker, marker+"\xf4\x90\x80\x80")},
		{name: "a name that is no UTF-8", body: edit(`{"`, "{\"\xfe\":\"9\",\"")},
		// The padding of SHA-256 begins with 0x80 and goes on with NULs.
		{name: "the padding of a length extension", body: edit(marker, marker+"\x80\x00\x00\x01")},
		{name: "an escaped half of a pair", body: edit(`{"`, `{"zone":"\ud83d","`)},
		{name: "an escaped pair the wrong way round", body: edit(`{"`, `{"zone":"\ude39\ud83d","`)},
		{name: "a NUL", body: edit(marker, marker+"\x00")},
		{name: "a line end inside a string", body: edit(marker, marker+"\n")},
		{name: "a signed NUL in an escape", body: signed(map[string]string{"description": marker + "\x00"})},
		{name: "a signed control character", body: signed(map[string]string{"zone": marker + "\x1b[2J"})},
		{name: "a signed DEL", body: signed(map[string]string{"zone": marker + "\x7f"})},
		{name: "a signed NUL between the tokens of the content", body: signedBiz(`{"`, "{\x00\"")},
		{name: "a signed NUL in a name", body: signed(map[string]string{"zo\x00ne": marker})},
		{name: "a signed half of a pair in the content", body: signedBiz(marker, `\ud83d`)},
	})
}

// deepAndWide are bodies that cost a careless reader its stack or its time.
func deepAndWide() []hostile {
	nest := func(open, inside, end string, depth int) string {
		return strings.Repeat(open, depth) + inside + strings.Repeat(end, depth)
	}
	many := func(n int) map[string]string {
		extra := make(map[string]string, n)
		for i := range n {
			extra[fmt.Sprint("zone", i)] = "9"
		}
		return extra
	}
	return unreadable([]hostile{
		{name: "30,000 nested arrays", body: just(`{"a":` + nest("[", "", "]", 30_000) + `}`)},
		{name: "60,000 arrays that nobody closes", body: just(`{"a":` + nest("[", "", "", 60_000))},
		{name: "10,000 nested objects", body: just(nest(`{"a":`, "1", "}", 10_000))},
		{name: "10,000 nested arrays in a signed content", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": `{"a":` + nest("[", "", "]", 10_000) + `}`})
		}},
		{name: "17 nested objects in a signed content", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": nest(`{"a":`, "1", "}", 17)})
		}},
		{name: "a million members under a cap of 32 MiB", body: just(members(million)), maxBody: 32 << 20},
		{name: "ten thousand objects in a list, and one of 129 members", maxBody: 32 << 20,
			body: just(`{"a":[` + strings.Repeat(members(10)+",", 1e4) + members(129) + `]}`)},
		{name: "100,000 nested arrays under a cap of 32 MiB", body: just(nest("[", "", "]", 1e5)), maxBody: 32 << 20},
		{name: "40 signed members", body: signed(many(40))},
		{name: "129 members in a signed content", body: func(b *besieged) string { return b.sign(map[string]string{"bizContent": members(129)}) }},
		{name: "thousands of members of the same name", body: just(`{` + strings.Repeat(`"zone":1,`, 6000) + `"zone":1}`)},
	})
}

// badMembers are signed, and lack what the protocol demands or have it in
// another form.
func badMembers() []hostile {
	payment := func(fields string) func(*besieged) string {
		return func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": `{"notifyType":"RECHARGE","merchantTransactionId":"` + marker + `",` + fields + `}`})
		}
	}
	return unreadable([]hostile{
		// What Omise panics on, signed: an event without data.
		{name: "a signed envelope without content", body: signed(map[string]string{"bizContent": ""})},
		{name: "a content that is null", body: func(b *besieged) string {
			return replaceOnce(b.sign(map[string]string{"bizContent": ""}), `{"`, `{"bizContent":null,"`)
		}},
		{name: "a signed content of blanks", body: func(b *besieged) string {
			return replaceOnce(b.sign(map[string]string{"bizContent": ""}), `{"`, `{"bizContent":"  ","`)
		}},
		{name: "a signed content that is a list", body: signed(map[string]string{"bizContent": `["` + marker + `"]`})},
		{name: "a signed content that is a word", body: signed(map[string]string{"bizContent": marker})},
		{name: "a signed content that is cut", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": strings.TrimSuffix(b.biz(), "}")})
		}},
		{name: "a signed content with bytes after it", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": b.biz() + "{}"})
		}},
		{name: "a signed content in a string in a string", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": encoded(b.biz())})
		}},
		{name: "signType is absent", body: sealedBy(gatewaytest.DefaultSalt, gatewaytest.SHA256, map[string]string{"signType": ""})},
		{name: "sign and nothing else", body: just(`{"sign":"` + strings.Repeat("A", 64) + `"}`)},
		{name: "signType is unknown", body: edit(`"SHA256"`, `"NONE"`)},
		{name: "signType is in small letters", body: edit(`"SHA256"`, `"sha256"`)},
		{name: "signType is null", body: edit(`"SHA256"`, `null`)},
		{name: "signType is a list", body: edit(`"SHA256"`, `["SHA256"]`)},
		{name: "accId is a number", body: edit(`"`+gatewaytest.DefaultAccountID+`"`, gatewaytest.DefaultAccountID)},
		{name: "a signed accId that is a path", body: signed(map[string]string{"accId": "../" + marker})},
		{name: "a signed accId of 65 characters", body: signed(map[string]string{"accId": strings.Repeat("2", 65)})},
		{name: "a signed clientId with markup", body: signed(map[string]string{"clientId": "<script>" + marker})},
		{name: "a signed code of seven characters", body: signed(map[string]string{"code": "0000001"})},
		{name: "a signed code with a blank", body: signed(map[string]string{"code": "00 00"})},
		{name: "a signed version 2.0", body: signed(map[string]string{"version": "2.0"})},
		{name: "description is an object", body: edit(`{"`, `{"description":{},"`)},
		{name: "a signed amount with an exponent", body: payment(`"amount":1e3,"currency":"HKD"`)},
		{name: "a signed amount below nothing", body: payment(`"amount":"-1.00","currency":"HKD"`)},
		{name: "a signed amount of words", body: payment(`"amount":"` + marker + `","currency":"HKD"`)},
		{name: "a signed amount beyond all numbers", body: payment(`"amount":"99999999999999999999","currency":"HKD"`)},
		{name: "a signed currency of words", body: payment(`"amount":"1.00","currency":"` + marker + `"`)},
	})
}
