package hostiletest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/codegrant/codegrant/gatewaytest"
)

func lower(s string) string { return strings.ToLower(s) }

// escapedThroughout spells every character of every name and text as an escape.
func escapedThroughout(l *genuine) []byte {
	var out strings.Builder
	escape := func(s string) {
		out.WriteByte('"')
		for _, unit := range utf16.Encode([]rune(s)) {
			fmt.Fprintf(&out, `\u%04X`, unit)
		}
		out.WriteByte('"')
	}
	out.WriteByte('{')
	for _, p := range l.parts {
		escape(p.name)
		out.WriteByte(':')
		if p.literal {
			out.WriteString(p.value)
		} else {
			escape(p.value)
		}
		out.WriteByte(',')
	}
	escape("sign")
	out.WriteByte(':')
	escape(l.sign)
	return []byte(out.String() + "}")
}

// resplit takes the signed text apart at other places: at every '&' and every
// '=' alone, and at many of them at once.
func (f *forger) resplit(l *genuine) {
	pieces := strings.Split(l.canonical(), "&")
	own := make([]bool, len(pieces)) // whether a piece begins a member, in the genuine message
	for i, at := 0, 0; i < len(pieces); i++ {
		for _, p := range l.signed() {
			own[i] = own[i] || (at == strings.Index("&"+l.canonical(), "&"+p.name+"="+p.value))
		}
		at += len(pieces[i]) + 1
	}
	try := func(begins []bool, equals int) {
		var parts []part
		for i, piece := range pieces {
			if begins[i] || i == 0 {
				parts = append(parts, part{value: piece})
			} else {
				parts[len(parts)-1].value += "&" + piece
			}
		}
		for i, p := range parts {
			at := strings.Index(p.value, "=")
			if i == equals%len(parts) {
				for range equals / len(parts) { // a later '=' ends the name
					if next := strings.Index(p.value[at+1:], "="); next >= 0 {
						at += 1 + next
					}
				}
			}
			if at < 0 {
				return // '=' would have to be added
			}
			parts[i] = part{name: p.value[:at], value: p.value[at+1:]}
		}
		f.emit(l, "re-split", written(parts, l.sign))
		asObject := slices.Clone(parts)
		for i, p := range asObject {
			asObject[i].literal = json.Valid([]byte(p.value))
		}
		f.emit(l, "re-split", written(asObject, l.sign))
		for _, name := range []string{"accId", "bizContent", "clientId", "code", "description", "signType"} {
			if slices.ContainsFunc(parts, func(p part) bool { return p.name == name }) {
				continue
			}
			// What was taken away comes back unsigned: null and blank are not signed.
			f.emit(l, "re-split", written(append(slices.Clone(parts), part{name: name, value: "null", literal: true}), l.sign))
			f.emit(l, "re-split", written(append(slices.Clone(parts), part{name: name, value: " "}), l.sign))
		}
	}
	for i := range pieces {
		other := slices.Clone(own)
		other[i] = !other[i]
		try(other, 0)
		for equals := range 20 {
			try(own, equals)
			try(other, equals)
		}
	}
	for range f.size(100) {
		other := slices.Clone(own)
		for range 1 + f.IntN(4) {
			i := f.IntN(len(other))
			other[i] = !other[i]
		}
		try(other, f.IntN(60))
	}
}

// evil values are what a forger would like a member to be.
func evil(l *genuine, name string) []string {
	switch name {
	case "accId":
		return []string{"2022102018024210348883", "x"}
	case "clientId":
		return []string{"2022102018024210348"}
	case "code":
		return []string{"000000", "999999"}
	case "signType":
		return []string{"MD5", "SHA256", "none"}
	case "version":
		return []string{"1.0", "2.0"}
	case "sign":
		return []string{strings.Repeat("0", len(l.sign)), digestOf(l.account.Digest, l.canonical())}
	case "bizContent":
		return []string{
			`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"RECORD-1","merchantUserId":"eve","token":"EVIL"}`,
			`{"notifyType":"RECHARGE","status":"SUCCESS","merchantTransactionId":"PMT-1","amount":"1","currency":"HKD"}`,
		}
	}
	return []string{"EVIL"}
}

var protocolNames = []string{"accId", "bizContent", "clientId", "code", "description", "sign", "signType", "version"}

// duplicated gives a member twice, the evil one in any place and under any
// spelling of the same name.
func (f *forger) duplicated(l *genuine) {
	members := append(slices.Clone(l.parts), part{name: "sign", value: l.sign})
	for _, name := range protocolNames {
		twins := []string{`null`, `""`, `" "`, quoted(l.value(name)), `[]`, `{}`, `0`}
		for _, value := range evil(l, name) {
			twins = append(twins, quoted(value), "["+quoted(value)+"]")
			if value[0] == '{' {
				twins = append(twins, value)
			}
		}
		escapedFirst := fmt.Sprintf(`"\u%04x%s"`, name[0], name[1:])
		escapedLast := fmt.Sprintf(`"%s\u%04X"`, name[:len(name)-1], name[len(name)-1])
		for _, spelling := range []string{quoted(name), escapedFirst, escapedLast} {
			for _, twin := range twins {
				for place := 0; place <= len(members); place++ {
					if place > 0 && place < len(members) && !f.sampled(8) {
						continue // first and last always, between them some
					}
					var out strings.Builder
					out.WriteByte('{')
					for i, p := range members {
						if i == place {
							out.WriteString(spelling + ":" + twin + ",")
						}
						out.WriteString(quoted(p.name) + ":" + p.text() + ",")
					}
					body := strings.TrimSuffix(out.String(), ",")
					if place == len(members) {
						body += "," + spelling + ":" + twin
					}
					if !slices.ContainsFunc(members, func(p part) bool { return p.name == name }) {
						continue // nothing to be a twin of
					}
					f.emit(l, "duplicated", []byte(body+"}"))
				}
			}
		}
	}
}

// recased writes a member's name in other letters, in place of the genuine one
// and beside it.
func (f *forger) recased(l *genuine) {
	for _, name := range protocolNames {
		for _, other := range []string{
			strings.ToUpper(name), strings.ToLower(name), strings.ToUpper(name[:1]) + name[1:], name + " ", " " + name, name + "\u200b", name + "\x00", "\ufeff" + name,
			strings.ReplaceAll(name, "s", "ſ"), strings.ReplaceAll(name, "i", "ı"), strings.ReplaceAll(name, "c", "с"), name + "[]", name + ".0", name + "=", name + "&",
		} {
			if other == name {
				continue
			}
			renamed := slices.Clone(append(l.parts, part{name: "sign", value: l.sign}))
			for i, p := range renamed {
				if p.name == name {
					renamed[i].name = other
				}
			}
			f.emit(l, "other letter case", unsigned(renamed))
			for _, value := range evil(l, name) {
				f.emit(l, "other letter case", written(append(slices.Clone(l.parts), part{name: other, value: value}), l.sign))
				f.emit(l, "other letter case", written(append([]part{{name: other, value: value}}, l.parts...), l.sign))
			}
		}
	}
}

// reordered moves what stands in bizContent, and the members' values among
// their names.
func (f *forger) reordered(l *genuine) {
	var inner map[string]json.RawMessage
	if json.Unmarshal([]byte(l.value("bizContent")), &inner) != nil {
		panic("the letter has no bizContent")
	}
	names := make([]string, 0, len(inner))
	for name := range inner {
		names = append(names, name)
	}
	slices.Sort(names)
	emit := func(values []string) {
		var pairs []string
		for i, name := range names {
			pairs = append(pairs, quoted(name)+":"+string(inner[values[i]]))
		}
		f.Shuffle(len(pairs), func(i, j int) { pairs[i], pairs[j] = pairs[j], pairs[i] })
		f.emit(l, "reordered", written(l.with("bizContent", "{"+strings.Join(pairs, ",")+"}"), l.sign))
	}
	for range f.size(60) {
		emit(names) // the same members in another order
		values := slices.Clone(names)
		i, j := f.IntN(len(values)), f.IntN(len(values))
		values[i], values[j] = values[j], values[i]
		emit(values) // two values changed places
	}
	for i := range l.parts {
		for j := range i {
			swapped := slices.Clone(l.parts)
			swapped[i].value, swapped[j].value = swapped[j].value, swapped[i].value
			swapped[i].literal, swapped[j].literal = swapped[j].literal, swapped[i].literal
			f.emit(l, "reordered", written(swapped, l.sign))
		}
	}
}

// reencoded writes the text under the digest in another way that some reader
// takes for the same, or the whole body in another format.
func (f *forger) reencoded(l *genuine) {
	for _, p := range l.parts {
		for at := range len(p.value) + 1 {
			before, after := p.value[:at], p.value[at:]
			variants := []string{before + " " + after, before + "\n" + after, before + `\` + after, before + "\u00a0" + after, before + "\x00" + after}
			if after != "" && after[0] < 0x80 {
				c, rest := after[0], after[1:]
				variants = append(
					variants, fmt.Sprintf(`%s\u%04x%s`, before, c, rest), fmt.Sprintf("%s%%%02X%s", before, c, rest),
					fmt.Sprintf("%s&#%d;%s", before, c, rest), before+string(rune(0xFEE0+int(c)))+rest, before+swapCase(c)+rest,
				)
			}
			for _, v := range variants {
				if f.sampled(6) {
					f.emit(l, "re-encoded", written(l.with(p.name, v), l.sign))
				}
			}
		}
		replacements := []string{
			"&", `\u0026`, "&", "&amp;", "=", `\u003d`, "/", `\/`, `\/`, "/", `\u00e9`, "é", "é", "e\u0301", "é", `\u00e9`, "用户", `\u7528\u6237`, " ", "+", " ", "", "+", " ",
			`":"`, `": "`, `,"`, `, "`, "100.000000", "100", "100.000000", "100.0", "100.000000", "1e2", "30.50", "30.5", "30.50", `"30.50"`, `:100`, `:"100"`, ":100", ":100.0", ":100", ":1e2",
			"\t", "", "\n", "\r\n", "SUCCESS", "success", "HKD", "hkd", `"`, "'", `\"`, `"`, `\\`, `\`, "{", "[{", "}", "}]", "}", ",}", "}", `,"a":1}`, "}", "}\x00", "{", "\ufeff{", "{", "/**/{", "%E7%9A", "\ue79a",
		}
		for i := 0; i < len(replacements); i += 2 {
			from, to := replacements[i], replacements[i+1]
			f.emit(l, "re-encoded", written(l.with(p.name, strings.ReplaceAll(p.value, from, to)), l.sign))
			f.emit(l, "re-encoded", written(l.with(p.name, strings.Replace(p.value, from, to, 1)), l.sign))
		}
		unescaped, err := url.QueryUnescape(p.value)
		if err == nil {
			f.emit(l, "re-encoded", written(l.with(p.name, unescaped), l.sign))
		}
		compact := bytes.Buffer{}
		if json.Compact(&compact, []byte(p.value)) == nil {
			f.emit(l, "re-encoded", written(l.with(p.name, compact.String()), l.sign))
		}
		for _, v := range []string{
			url.QueryEscape(p.value), base64.StdEncoding.EncodeToString([]byte(p.value)), strings.TrimSpace(p.value), p.value + " ", " " + p.value, strings.ToUpper(p.value), strings.ToLower(p.value),
			p.value + p.value, quoted(p.value),
		} {
			f.emit(l, "re-encoded", written(l.with(p.name, v), l.sign))
			f.emit(l, "re-encoded", written(append(l.without(p.name), part{name: p.name, value: "[" + quoted(v) + "]", literal: true}), l.sign))
		}
	}
	body := l.body()
	wide := binary.LittleEndian.AppendUint16(nil, 0xFEFF)
	for _, unit := range utf16.Encode([]rune(string(body))) {
		wide = binary.LittleEndian.AppendUint16(wide, unit)
	}
	for _, whole := range [][]byte{
		wide, wide[2:], append([]byte("\ufeff"), body...), append([]byte("["), append(body, ']')...), append(slices.Clone(body), body...), append(slices.Clone(body), '\n', '{', '}'),
		[]byte(base64.StdEncoding.EncodeToString(body)), []byte(l.canonical() + "&sign=" + l.sign), []byte(url.QueryEscape(string(body))), []byte(quoted(string(body))),
		append(slices.Clone(body), 0), append([]byte(")]}',\n"), body...), bytes.TrimSuffix(body, []byte("}")), append(bytes.TrimSuffix(slices.Clone(body), []byte("}")), ',', '}'),
		bytes.ReplaceAll(body, []byte(`"`), []byte(`'`)), append(slices.Clone(body), []byte("// end")...), []byte("<xml>" + string(body) + "</xml>"),
	} {
		f.emit(l, "re-encoded", whole)
	}
}

func swapCase(c byte) string {
	if c >= 'a' && c <= 'z' {
		return string(rune(c - 'a' + 'A'))
	}
	return strings.ToLower(string(rune(c)))
}

// changed damages every byte of the body, and drops and replaces members.
func (f *forger) changed(l *genuine) {
	body := l.body()
	for round := range f.size(1) {
		for at := range body {
			flipped := bytes.Clone(body)
			flipped[at] ^= 1 << f.IntN(8)
			for range round { // in longer tests there is more than one
				flipped[f.IntN(len(body))] ^= 1 << f.IntN(8)
			}
			f.emit(l, "changed", flipped)
			switch f.IntN(3) {
			case 0:
				f.emit(l, "changed", slices.Delete(bytes.Clone(body), at, at+1))
			case 1:
				f.emit(l, "changed", slices.Insert(bytes.Clone(body), at, byte(f.IntN(256))))
			default:
				f.emit(l, "changed", body[:at+1])
			}
		}
	}
	for _, p := range l.parts {
		f.emit(l, "changed", written(l.without(p.name), l.sign))
		f.emit(l, "changed", written(append(l.without(p.name), part{name: p.name, value: "null", literal: true}), l.sign))
		for _, value := range append(evil(l, p.name), "", " ", "0", "{}", `{"notifyType":"RECHARGE"}`, strings.Repeat("x", 1000)) {
			f.emit(l, "changed", written(l.with(p.name, value), l.sign))
		}
	}
	for _, name := range append(slices.Clone(protocolNames), "token", "notifyType", "zzz", "a") {
		if l.value(name) == "" && name != "sign" {
			for _, value := range evil(l, name) {
				f.emit(l, "changed", written(l.with(name, value), l.sign))
			}
		}
	}
}

// resigned puts other digests into the place of the genuine one.
func (f *forger) resigned(l *genuine) {
	text, other := l.canonical(), gatewaytest.MD5
	if l.account.Digest == gatewaytest.MD5 {
		other = gatewaytest.SHA256
	}
	signs := []string{
		"", " ", "null", digestOf("SHA256", ""), digestOf("MD5", ""), digestOf("SHA256", text), digestOf("MD5", text), l.sign + l.sign, l.sign + " ", " " + l.sign, "0x" + l.sign,
		l.sign + "\n", l.sign + "\x00", strings.Repeat("0", len(l.sign)), strings.Repeat("F", len(l.sign)), strings.Repeat("0", 32), strings.Repeat("0", 64), "sha256=" + l.sign, l.sign + "," + l.sign,
		base64.StdEncoding.EncodeToString([]byte(l.sign)), strings.ReplaceAll(l.sign, "0", "O"), strings.ReplaceAll(l.sign, "A", "А"), "%" + l.sign, "*", "[" + l.sign + "]",
	}
	for at := range len(l.sign) {
		signs = append(signs, l.sign[:at], l.sign[at:], l.sign[:at]+"0"+l.sign[at:], l.sign+l.sign[:at], l.sign[at:]+l.sign[:at], l.sign[:at]+"G"+l.sign[at+1:])
		for _, digit := range "0123456789ABCDEF" {
			if !f.sampled(8) {
				continue
			}
			if changed := l.sign[:at] + string(digit) + l.sign[at+1:]; changed != l.sign {
				signs = append(signs, changed)
			}
		}
	}
	for range f.size(300) {
		random := []byte(l.sign)
		for range 1 + f.IntN(len(random)) {
			random[f.IntN(len(random))] = "0123456789ABCDEF"[f.IntN(16)]
		}
		signs = append(signs, string(random))
	}
	for _, sign := range signs {
		f.emit(l, "another digest", written(l.parts, sign))
		if f.sampled(8) {
			f.emit(l, "another digest", written(l.with("signType", other), sign))
		}
	}
	for _, literal := range []string{"null", "true", "0", "[]", "{}", "[" + quoted(l.sign) + "]", `{"sign":` + quoted(l.sign) + "}", "1e3", "-1", "0.0"} {
		f.emit(l, "another digest", unsigned(append(slices.Clone(l.parts), part{name: "sign", value: literal, literal: true})))
	}
	f.emit(l, "another digest", unsigned(l.parts))
}

// misdirected are messages that somebody signed, for another account or by a
// salt that is not live.
func (f *forger) misdirected(l *genuine) {
	for i := range f.size(60) {
		text := fmt.Sprintf(`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"RECORD-%d","merchantUserId":"ann","token":"EVIL-%d"}`, i, f.IntN(1000))
		foreign := *l
		foreign.parts = l.with("bizContent", text)
		salts := []string{"5A17C0DE96A7E5EED0000001", ownID, "", lower(ownSalt), ownSalt + "\n", " " + ownSalt, ownSalt[1:], ownSalt + ownSalt}
		f.emit(l, "another salt", written(foreign.parts, signedBy(salts[i%len(salts)], &foreign)))

		// Two stores of one merchant may share a salt: then only the names tell.
		foreign.parts = slices.DeleteFunc(foreign.parts, func(p part) bool { return p.name == "accId" })
		foreign.parts = append(foreign.parts, part{name: "accId", value: fmt.Sprint("2018092714313010016", f.IntN(290))})
		f.emit(l, "another account", written(foreign.parts, signedBy(ownSalt, &foreign)))
		foreign.parts = l.with("clientId", fmt.Sprint(2018092714313010017+f.IntN(1000)))
		f.emit(l, "another account", written(foreign.parts, signedBy(ownSalt, &foreign)))
	}
}
