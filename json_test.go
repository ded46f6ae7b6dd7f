package codegrant

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The cases follow JSONTestSuite (Seriot): y_ must be read, n_ must not; its
// i_ cases, which RFC 8259 leaves open, are decided here. Its files hold any
// value; the protocol has objects only, so each value stands in one.

func TestJSONValuesThatAreRead(t *testing.T) {
	t.Parallel()
	values := []string{
		`null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `123`, `1.5`, `-0.0`, `0e1`, `0E+1`, `1e-2`, `123e45`, `20e1`,
		`123.456e78`, `1E22`, `-0.000000000000000000000000000000000000000000000000000000000000000000000000000001`,
		strings.Repeat("9", 500), `1e9999`,
		`""`, `" "`, `"a"`, `"\""`, `"\\"`, `"\/"`, `"/"`, `"\b\f\n\r\t"`, `"\u0000"`, `"\u001f"`, `"\u0020"`, `"\u0061"`,
		`"\u00e9"`, `"\u0123"`, `"\u0821"`, `"\uFFFF"`, `"\uFFFE"`, `"\uFDD0"`, `"\u2028\u2029"`, "\"\u2028\u2029\"",
		`"\uD801\udc37"`, `"\ud83d\ude39\ud83d\udc8d"`, `"\uDBFF\uDFFF"`, `"\uD800\uDC00"`, `"\u200B"`, `"\uA66D"`, `"\u0022"`,
		`"\u005C"`, `"new\u00A0line"`, "\"\x7f\"", "\"\u0080\"", "\"\ufeff\"", "\"\U0001F639\"", "\"\U0010FFFF\"", "\"€𝄞\"",
		`"a/*b*/c/*d//e"`, `"\\u0000"`, `"\\n"`, `"asd "`, "\"\uffff\"",
		`[]`, `[ ]`, `[1]`, `[ 1 , 2 ]`, `[null, 1, "1", {}]`, `[[]   ]`, `[[[]]]`, `[{"a":1},{"a":2}]`, "[1\n]", `["a",{"b":[{"c":"]}"}]}]`,
		`{}`, `{ }`, `{"a":{}}`, `{"a":"b"}`, `{"a":"b","c":"d"}`, `{"":0}`, `{"a\u0000b": 42}`, `{"a":[]}`, "{\n\"a\": \"b\"\n}",
		`{"a":"b","A":"c"}`, `{"a":{"a":{"a":1}}}`, `{"\uD801\udc37":1}`,
	}
	for _, value := range values {
		for _, text := range []string{`{"v":` + value + `}`, " \t\r\n{ \"v\" \t:\r\n" + value + " } \n", `{"before":[{"v":1}],"v":` + value + `,"after":{"v":2}}`} {
			doc, err := parseDocument([]byte(text))
			require.NoError(t, err, text)
			got, found := doc.get("v")
			require.True(t, found, text)

			var want map[string]json.RawMessage
			require.NoError(t, json.Unmarshal([]byte(text), &want), text)
			var s string
			switch value[0] {
			case '"':
				require.Equal(t, jsonString, got.kind)
				require.NoError(t, json.Unmarshal(want["v"], &s))
				require.Equal(t, s, string(got.value), text)
				require.Equal(t, s, doc.text("v"))
			case 'n':
				require.Equal(t, jsonNull, got.kind)
				require.Empty(t, doc.text("v"))
			case '{':
				require.Equal(t, jsonObject, got.kind)
				require.Equal(t, string(want["v"]), string(got.value))
				require.Empty(t, doc.text("v"))
			case '[':
				require.Equal(t, jsonArray, got.kind)
				require.Equal(t, string(want["v"]), string(got.value))
				require.Empty(t, doc.text("v"))
			default:
				require.Equal(t, jsonLiteral, got.kind)
				require.Equal(t, string(want["v"]), string(got.value))
				require.Equal(t, string(want["v"]), doc.text("v"))
			}
		}
	}
}

func TestJSONValuesThatAreRefused(t *testing.T) {
	t.Parallel()
	values := []string{
		``, ` `, `nul`, `nulll`, `tru`, `truth`, `True`, `NULL`, `fals`, `a`, `NaN`, `-NaN`, `Inf`, `Infinity`, `-Infinity`, `+Inf`,
		`+1`, `++1`, `-`, `- 1`, `--1`, `01`, `-01`, `00`, `0x1`, `0x`, `1.`, `.5`, `-.5`, `-2.`, `1.e1`, `1e`, `1e+`, `1E-`, `0e`, `0.e1`, `0.3e`,
		`1eE2`, `1 000`, `1a`, `1.2.3`, `0.1.2`, `1+2`, `-1x`, `1_0`, `１`, `1e1.5`, `2.e+3`, `9.e+`,
		`"`, `"a`, `"\"`, `"\x00"`, `"\a"`, `"\'"`, `"\u"`, `"\u0"`, `"\u00"`, `"\u000"`, `"\u00G0"`, `"\U0061"`, `"\uD800\u`, `"\uD800\u1`,
		`"\uD800\u1x"`, `"\u+061"`, `"\u 061"`, `'a'`, "\"\t\"", "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"a\\\n\"", "\"\\\t\"", "\"\\\x00\"", "\"\\é\"", `"\💩"`, `"a" "b"`, `"\u{61}"`,
		`"\ud800"`, `"\udc00"`, `"\ud800a"`, `"\ud800\n"`, `"\ud800\ud800"`, `"\udc00\ud800"`, `"\uDd1e\uD834"`, `"\uD834\\uDd1e"`, `"\uD834\uD"`, `"\ud800\u0061"`, `"\ud800\ue000"`, `"\udbff\uffff"`,
		"\"\xff\"", "\"\xc0\xaf\"", "\"\xe0\x80\xaf\"", "\"\xed\xa0\x80\"", "\"\xed\xb0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xf8\x88\x80\x80\x80\"", "\"\x80\"", "\"\xe2\x82\"", "\"\xc3\"",
		`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[,]`, `[1,,2]`, `[1 2]`, `["a" 1]`, `[1}`, `[{]`, `[1:2]`, `[a]`, `[[]`, `[]]`, `["":1]`, `[-]`, `[*]`, `["a",`, "[1\v]", "[\f]", "[\xff]", "[\u00a0]",
		`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,}`, `{"a"}`, `{"a" 1}`, `{"a",1}`, `{"a":1 "b":2}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a"::1}`, `{"a":1,,"b":2}`, `{"a":1}}`,
		`{:1}`, `{"a":"b"]`, `{"a":1;"b":2}`, `{"\ud800":1}`, "{\"\xff\":1}", `{"a":"a"/**/}`, `{"a":1}//`, `/**/1`, `1/**/`, `1//`, `#1`, "1\u2060", "\u00a01", "1\v", "1\f", "1\x00",
		`{"a":1,"a":2}`, `{"a":1,"a":1}`, `{"a":1,"\u0061":2}`, `{"":1,"":2}`, `[{"a":1,"a":2}]`, `{"b":{"a":1,"c":2,"a":3}}`, `{"b":[[{"a":1,"a":2}]]}`,
		`{"\ud83d\ude39":1,"😹":2}`, `"undefined" undefined`,
	}
	for _, value := range values {
		_, err := parseDocument([]byte(`{"v":` + value + `}`))
		require.Error(t, err, "%q", value)
		require.Contains(t, []string{
			"not valid JSON", "invalid UTF-8", "lone surrogate", "duplicate member", "bytes after the object",
		}, err.Error(), "an error that may repeat the input")
	}

	documents := []string{
		"", " ", "\x00", "null", "true", "1", `"a"`, "[]", `[{"a":1}]`, "{", "}", "{}{}", "{},{}", "{}{", "{}x", "{} x", "{}\x00", "{}\v", "{}\u00a0", "{}#", "{}//", "{};",
		"\ufeff{}", "{}\ufeff", "\v{}", "\f{}", "\u00a0{}", "\u2060{}", "{}\xff", "\xff{}", "\xef\xbb{}", "\xff\xfe{\x00}\x00", "\x00{\x00}", "a{}", "//\n{}", "/**/{}", "<{}>", ")]}',\n{}",
		`{"a":1}{"a":2}`, `{"a":1,"a":2}`, `{"a":1,"b":2,"a":3}`,
	}
	for _, text := range documents {
		_, err := parseDocument([]byte(text))
		require.Error(t, err, "%q", text)
	}
	_, err := parseDocument(nil)
	require.Error(t, err)
}

func TestJSONWithEachByteMissing(t *testing.T) {
	t.Parallel()
	text := []byte(`{"accId":"2018","n":-1.5e+3,"s":"a\n\u00e9\ud83d\ude39","o":{"p":[true,false,null,{"q":""}]},"z":{}}`)
	for end := range text {
		_, err := parseDocument(text[:end])
		require.Error(t, err, "%s", text[:end])
	}
	for i := range text {
		without := append(append([]byte{}, text[:i]...), text[i+1:]...)
		if _, err := parseDocument(without); err == nil {
			require.True(t, json.Valid(without), "%s", without)
		}
	}
}

func TestJSONLimits(t *testing.T) {
	t.Parallel()
	objects := func(n int) string { return strings.Repeat(`{"a":`, n-1) + `{}` + strings.Repeat("}", n-1) }
	arrays := func(n int) string { return `{"a":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}` }
	mixed := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2) }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":%d`, i, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	tests := []struct {
		name string
		text string
		ok   bool
	}{
		{"16 objects deep", objects(16), true},
		{"17 objects deep", objects(17), false},
		{"16 arrays deep", arrays(16), true},
		{"17 arrays deep", arrays(17), false},
		{"16 of both deep", mixed(16), true},
		{"18 of both deep", mixed(18), false},
		{"a million arrays deep", arrays(1 << 20), false},
		{"a million objects deep", strings.Repeat(`{"a":`, 1<<20), false},
		{"128 members", members(128), true},
		{"129 members", members(129), false},
		{"128 members further in", `{"a":[` + members(128) + `]}`, true},
		{"129 members further in", `{"a":[` + members(129) + `]}`, false},
		{"a thousand members in many objects", `{"a":` + members(100) + `,"b":` + members(100) + `,"c":` + members(128) + `}`, true},
		{"a long array", `{"a":[` + strings.Repeat("1,", 1<<16) + `1]}`, true},
		{"a long string", `{"a":"` + strings.Repeat(`\u00e9`, 1<<16) + `"}`, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := parseDocument([]byte(tt.text))
			require.Equal(t, tt.ok, err == nil, "%v", err)
		})
	}
}

func TestJSONLookUps(t *testing.T) {
	t.Parallel()
	doc, err := parseDocument([]byte(`{"a":{"type":"inner","n":{"x":"deep"}},"type":"outer","list":[{"type":"no"}],"":{"":"blank"},` +
		`"b":{"type":"second"},"num":1.50,"yes":true,"nil":null,"a.type":"dotted","esc\u0061ped":"\u0061\u0062","twice":"\"x\""}`))
	require.NoError(t, err)
	tests := []struct {
		path []string
		want string
	}{
		{[]string{"type"}, "outer"}, {[]string{"a", "type"}, "inner"}, {[]string{"b", "type"}, "second"},
		{[]string{"a", "n", "x"}, "deep"}, {[]string{"", ""}, "blank"}, {[]string{"num"}, "1.50"}, {[]string{"yes"}, "true"},
		{[]string{"a.type"}, "dotted"}, {[]string{"escaped"}, "ab"}, {[]string{"twice"}, `"x"`},
		{[]string{"nil"}, ""}, {[]string{"a"}, ""}, {[]string{"list"}, ""}, {[]string{"list", "type"}, ""}, {[]string{"TYPE"}, ""},
		{[]string{"a", "x"}, ""}, {[]string{"n"}, ""}, {[]string{"x"}, ""}, {[]string{"type", "type"}, ""}, {[]string{"missing", "x"}, ""}, {nil, ""},
		{[]string{"a", "b", "type"}, ""}, {[]string{"n", "x"}, ""},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, doc.text(tt.path...), "%q", tt.path)
	}
	_, found := doc.get("nil")
	require.True(t, found)
	_, found = doc.get("missing")
	require.False(t, found)
}

// TestJSONStringsDoNotOverlap: unescaped strings share one buffer.
func TestJSONStringsDoNotOverlap(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, `,"n\u0061%d":"\ud83d\ude39v\n%d"`, i, i)
	}
	text := []byte("{" + b.String()[1:] + "}")
	doc, err := parseDocument(text)
	require.NoError(t, err)
	for i := range 100 {
		m, found := doc.get(fmt.Sprintf("na%d", i))
		require.True(t, found)
		require.Equal(t, fmt.Sprintf("😹v\n%d", i), string(m.value))
		m.value = append(m.value, "!!!!!!!!!!!!"...) // must not reach a neighbour
	}
	require.Equal(t, "😹v\n50", doc.text("na50"))
}

func TestArrayItems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		`[]`: nil, `[ ]`: nil, `[1]`: {"1"}, "[ 1 ,\n\"a,]\\\"\" , {\"b\":[1,2]},[3,[4]] ,null]": {"1", `"a,]\""`, `{"b":[1,2]}`, "[3,[4]]", "null"},
	} {
		items, err := arrayItems([]byte(text))
		require.NoError(t, err, text)
		var got []string
		for _, item := range items {
			got = append(got, string(item))
		}
		require.Equal(t, want, got, text)
		var raw []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &raw))
		require.Len(t, got, len(raw))
	}
	for _, text := range []string{`[`, `[1`, `[1,`, `[{]`, `["`} {
		_, err := arrayItems([]byte(text))
		require.Error(t, err, text)
	}
}

func TestWireFormsThatDoNotExist(t *testing.T) {
	t.Parallel()
	_, err := encodeBiz(struct {
		X float64 `wire:"x"`
	}{1})
	require.ErrorContains(t, err, "no form")
	_, err = encodeBiz(struct {
		X []struct {
			Y bool `wire:"y"`
		} `wire:"x"`
	}{make([]struct {
		Y bool `wire:"y"`
	}, 1)})
	require.ErrorContains(t, err, "no form")
	_, err = encodeBiz(struct {
		A Amount `wire:"amount,currency"`
	}{Amount{1, "XXX"}})
	require.Error(t, err)
	doc, err := parseDocument([]byte(`{"x":"1","yes":true,"ms":"1693290395000","odd":"20230920120000","neg":"-693290395000"}`))
	require.NoError(t, err)
	require.ErrorContains(t, decodeBiz(&doc, &struct {
		X int `wire:"x"`
	}{}), "no form")
	var into struct {
		Skipped string
		Yes     bool      `wire:"yes"`
		At      time.Time `wire:"ms"`
		Odd     time.Time `wire:"odd"` // no time zone is stated for this form
		Neg     time.Time `wire:"neg"`
	}
	require.NoError(t, decodeBiz(&doc, &into))
	require.True(t, into.Yes)
	require.Equal(t, time.Date(2023, 8, 29, 6, 26, 35, 0, time.UTC), into.At)
	require.True(t, into.Odd.IsZero())
}

// TestTextWithControlsIsStillJSON: validation lets none through, yet the
// writer must not depend on it.
func TestTextWithControlsIsStillJSON(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for r := rune(0); r < 0x250; r++ {
		all.WriteRune(r)
	}
	var back string
	require.NoError(t, json.Unmarshal(appendJSONString(nil, all.String()), &back))
	require.Equal(t, all.String(), back)
	biz, err := encodeBiz(struct {
		A string `wire:"a.b.c"`
		B string `wire:"a.b.d"`
		C string `wire:"a.e"`
		D string `wire:"f"`
		E string `wire:"g.h|i"`
		F string
	}{"1", "2", "3", "4", "5", "6"})
	require.NoError(t, err)
	require.Equal(t, `{"a":{"b":{"c":"1","d":"2"},"e":"3"},"f":"4","g":{"h":"5"}}`, string(biz))
}

func TestADuplicateIsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	const most = maxObjectMembers
	for _, twice := range [][2]int{{0, 1}, {0, most - 1}, {14, 15}, {15, 16}, {16, 17}, {0, 16}, {30, 31}, {31, 32}, {32, 33}, {0, 31}, {0, 32}, {0, 33}, {31, most - 1}, {16, most - 1}, {most - 2, most - 1}} {
		var object []string
		for i := range most {
			object = append(object, fmt.Sprintf(`"m%d":%d`, i, i))
		}
		text := "{" + strings.Join(object, ",") + "}"
		_, err := parseDocument([]byte(text))
		require.NoError(t, err)
		object[twice[1]] = fmt.Sprintf(`"\u006d%d":0`, twice[0])
		text = "{" + strings.Join(object, ",") + "}"
		_, err = parseDocument([]byte(text))
		require.EqualError(t, err, "duplicate member", "%v", twice)
		_, err = parseDocument([]byte(`{"nested":[` + text + `]}`))
		require.EqualError(t, err, "duplicate member", "%v, nested", twice)
	}
}

// A request's bytes, to the last one: the order of the fields, the objects that
// are opened and closed between them, and what is left out.
func TestRequestsByteForByte(t *testing.T) {
	t.Parallel()
	token, amount := NewSecret("T"), Amount{Minor: 5, Currency: "USD"}
	type item struct {
		Price Amount  `wire:"price.amount,price.currency"`
		Name  string  `wire:"name"`
		Parts []Goods `wire:"parts"`
		Count int     `wire:"count"`
	}
	for name, tt := range map[string]struct {
		request any
		want    string
	}{
		"nothing": {SignUpQuery{}, `{}`},
		"an object at the end": {UnbindRequest{UserID: "U", Token: token, Wallet: GCash},
			`{"merchantUserId":"U","token":"T","paymentMethod":{"type":"GCash"}}`},
		"an object whose only field is empty": {SignUpQuery{RequestID: "R", bizType: "B"}, `{"requestId":"R","bizType":"B"}`},
		"objects next to each other": {PayRequest{Email: "a@b", Terminal: PayOnPC, Amount: amount},
			`{"amount":"0.05","currency":"USD","customer":{"email":"a@b"},"device":{"orderTerminal":"02"},"captureDelayHours":0}`},
		"text that wants escapes": {SignUpQuery{UserID: "\"\\\x00\x1f\n/<&\x7f茶😀\u2028"},
			`{"merchantUserId":"\"\\\u0000\u001f\u000a/<&` + "\x7f茶😀\u2028" + `"}`},
		"a list inside an object, objects inside a list": {struct {
			A string `wire:"a.b.c"`
			L []item `wire:"a.b.list"`
			B string `wire:"a.d"`
		}{"1", []item{{Price: amount, Name: "x", Count: -1}, {Price: amount, Parts: []Goods{{Name: "y"}, {SKU: "z"}}}}, "2"},
			`{"a":{"b":{"c":"1","list":[{"price":{"amount":"0.05","currency":"USD"},"name":"x","count":-1},` +
				`{"price":{"amount":"0.05","currency":"USD"},"parts":[{"name":"y"},{"sku":"z"}],"count":0}]},"d":"2"}}`},
	} {
		got, err := encodeBiz(tt.request)
		require.NoError(t, err, name)
		require.Equal(t, tt.want, string(got), name)
	}
}

// Eight bytes at a time: each byte at each place, among each other.
func TestWhatEndsARunOfAString(t *testing.T) {
	t.Parallel()
	for other := range 256 {
		for c := range 256 {
			for at := range wordSize {
				text := bytes.Repeat([]byte{byte(other)}, wordSize)
				text[at] = byte(c)
				want := slices.IndexFunc(text, func(b byte) bool { return b < 0x20 || b == '"' || b == '\\' })
				marks := special(binary.LittleEndian.Uint64(text))
				if marks == 0 {
					require.Negative(t, want, "%q", text)
				} else if got := bits.TrailingZeros64(marks) / 8; got != want {
					require.Equal(t, want, got, "%q", text)
				}
			}
		}
	}
}

// TestFieldsAreFoundByTheirWholePath: names repeat at other places, and some
// have the same hash.
func TestFieldsAreFoundByTheirWholePath(t *testing.T) {
	t.Parallel()
	require.Equal(t, nameHash("abcd"), nameHash("aXYd"))
	type target struct {
		Type    string `wire:"type"`
		Inner   string `wire:"o.type"`
		Deeper  string `wire:"o.p.type"`
		Either  string `wire:"first|o.second|third"`
		One     string `wire:"abcd"`
		Other   string `wire:"aXYd"`
		Blank   string `wire:"e."`
		Amount  Amount `wire:"o.amount,o.currency"`
		Missing string `wire:"missing.type"`
	}
	for _, tt := range []struct {
		name, text string
		want       target
	}{
		{"each at its place", `{"type":"1","o":{"type":"2","p":{"type":"3"}},"abcd":"4","aXYd":"5","e":{"":"6"}}`,
			target{Type: "1", Inner: "2", Deeper: "3", One: "4", Other: "5", Blank: "6"}},
		{"an object before what has its members' names", `{"o":{"p":{"type":"3"},"type":"2"},"type":"1"}`, target{Type: "1", Inner: "2", Deeper: "3"}},
		{"only further in", `{"x":{"type":"no","o":{"type":"no"},"abcd":"no"},"p":{"type":"no"}}`, target{}},
		{"objects that are texts", `{"o":"type","e":"","missing":"type"}`, target{}},
		{"in an array", `{"o":[{"type":"no"}],"x":[{"type":"no","abcd":"no","o":{"type":"no"}}],"type":"1"}`, target{Type: "1"}},
		{"a name with the same hash alone", `{"aXYd":"5","aZZd":"no"}`, target{Other: "5"}},
		{"the first spelling", `{"third":"c","o":{"second":"b"},"first":"a"}`, target{Either: "a"}},
		{"the second, beside one that says nothing", `{"third":"c","o":{"second":"b"},"first":""}`, target{Either: "b"}},
		{"the last, beside null and an object", `{"third":"c","o":{"second":{"x":"b"}},"first":null}`, target{Either: "c"}},
		{"an amount in an object", `{"amount":"7","currency":"KRW","o":{"amount":"1.5","currency":"HKD"}}`, target{Amount: Amount{150, "HKD"}}},
		{"a currency without an amount", `{"o":{"currency":"HKD"}}`, target{Amount: Amount{0, "HKD"}}},
		{"an amount without a currency", `{"o":{"amount":"x"}}`, target{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc, err := parseDocument([]byte(tt.text))
			require.NoError(t, err)
			var got target
			require.NoError(t, decodeBiz(&doc, &got))
			require.Equal(t, tt.want, got)
		})
	}
}

func TestADuplicateOfAnUncommonHashIsFoundBehindManyNames(t *testing.T) {
	t.Parallel()
	text := "{"
	for i := range fewMembers + 8 {
		text += fmt.Sprintf(`"a%02da":%d,`, i, i) // all of one hash
	}
	text += `"x":0`
	require.NotEqual(t, nameHash("x")%64, nameHash("a00a")%64)
	_, err := parseDocument([]byte(text + "}"))
	require.NoError(t, err)
	_, err = parseDocument([]byte(text + `,"x":0}`))
	require.EqualError(t, err, "duplicate member")
}

func TestEachObjectMayHaveTheNamesOfAnother(t *testing.T) {
	t.Parallel()
	many := strings.Trim(numbered(fewMembers+8, ""), "{}")
	for _, text := range []string{
		`{"a":1,"o":{"a":2,"o":{"a":3}},"l":[{"a":4,"l":[{"a":5},{"a":6}],"o":{"a":7,"l":8}}],"b":{"a":9}}`,
		`{"abcd":1,"o":{"aXYd":2},"aXYd":3}`, `{"l":[{"abcd":1,"o":{"aXYd":2},"aXYd":3}]}`, // with one hash
		`{"abcd":1,"l":[{"aXYd":2,"abcd":3}],"aXYd":4}`,
		`{"o":{` + many + `},` + many + `}`, `{` + many + `,"o":{` + many + `,"o":{` + many + `}}}`,
		`{"l":[{"o":{` + many + `},` + many + `}],` + many + `}`, `{` + many + `,"l":[{` + many + `},{"l":[{` + many + `}],` + many + `}]}`,
	} {
		require.NoError(t, strictJSON([]byte(text)))
		doc, err := parseDocument([]byte(text))
		require.NoError(t, err, "%s", text)
		require.Equal(t, len(doc.members), sameObject(t, &doc, topLevel, []byte(text)))
	}
}
