package codegrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

const (
	fuzzSalt  = "5A17C0DE96A7E5EED0000001"
	fuzzStore = "2022102018024210348883"
)

func fuzzAccount() Account {
	return Account{ID: fuzzStore, Salts: Salts("0123456789ABCDEF01234567", fuzzSalt)}.withDefaults()
}

// fuzzSeal signs by PingPong v4, section 3.1, and by nothing of the package.
func fuzzSeal(members map[string]string) []byte {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if strings.TrimSpace(members[name]) != "" {
			pairs = append(pairs, name+"="+members[name])
		}
	}
	sum := sha256.Sum256([]byte(fuzzSalt + strings.Join(pairs, "&")))
	sealed := maps.Clone(members)
	sealed["sign"] = strings.ToUpper(hex.EncodeToString(sum[:]))
	body, err := json.Marshal(sealed)
	if err != nil {
		panic(err)
	}
	return body
}

// meaning is what a message says to a stock decoder: blank members say nothing.
func meaning(t *testing.T, body []byte) map[string]string {
	var members map[string]string
	require.NoError(t, json.Unmarshal(body, &members))
	maps.DeleteFunc(members, func(_, value string) bool { return strings.TrimSpace(value) == "" })
	members["sign"] = strings.ToUpper(members["sign"])
	return members
}

// requireSealed wants a message that fuzzSeal would have made.
func requireSealed(t *testing.T, body []byte) {
	members := meaning(t, body)
	unsigned := maps.Clone(members)
	delete(unsigned, "sign")
	require.Equal(t, meaning(t, fuzzSeal(unsigned)), members, "a message that nobody sealed was believed")
}

func addJSONSeeds(f *testing.F) {
	for _, seed := range []string{
		`{}`, ` {"a":"b"} `, `{"a":1,"a":2}`, `{"a":{"b":[{"c":"]}"}]},"d":null}`, `{"a":"\ud83d\ude39\u00e9\n\""}`,
		`{"a":"\ud800"}`, `{"a":-1.5e+3,"b":true,"c":false}`, `{"a":01}`, `{"a":1}{"b":2}`, "\ufeff{}", "{\"a\":\"\xff\"}",
		`{"accId":"2022102018024210348883","signType":"SHA256","sign":"AB","bizContent":"{\"a\":\"b&c\"}","version":"1.0"}`,
		`{"signType":"MD5","sign":"AB","bizContent":{"a":"b"},"description":"x&y=z","":1}`,
		`{"bizContent":" {} ","sign":"00","signType":"SHA256","code":"","x":null,"y":7,"z":[1]}`,
		strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17),
	} {
		f.Add([]byte(seed))
	}
	f.Add(fuzzSeal(map[string]string{"accId": fuzzStore, "signType": "SHA256", "bizContent": `{"notifyType":"RECHARGE"}`}))
}

// FuzzParseDocument: what is read is JSON to everyone else too, and means the
// same there.
func FuzzParseDocument(f *testing.F) {
	addJSONSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := bytes.Clone(data)
		doc, err := parseDocument(data)
		require.Equal(t, before, data, "the input was changed")
		if err != nil {
			require.Less(t, len(err.Error()), 40, "an error that may repeat the input")
			return
		}
		require.True(t, json.Valid(data))
		var others map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &others))
		top := 0
		for i, m := range doc.members {
			require.Less(t, m.parent, i, "members follow their parent")
			if m.parent != -1 {
				require.Equal(t, jsonObject, doc.members[m.parent].kind)
				continue
			}
			top++
			raw, found := others[string(m.name)]
			require.True(t, found)
			switch m.kind {
			case jsonString:
				var s string
				require.NoError(t, json.Unmarshal(raw, &s))
				require.Equal(t, s, string(m.value))
				require.True(t, utf8.Valid(m.value))
			case jsonNull:
				require.Equal(t, "null", string(raw))
			default:
				require.Equal(t, string(raw), string(m.value))
			}
			if m.kind == jsonArray {
				items, err := arrayItems(m.value)
				require.NoError(t, err)
				var want []json.RawMessage
				require.NoError(t, json.Unmarshal(raw, &want))
				require.Len(t, items, len(want))
				for i, item := range items {
					require.Equal(t, string(want[i]), string(item))
				}
			}
		}
		require.Len(t, others, top, "no member is lost, none is there twice")
	})
}

// FuzzReadEnvelope: the text under the digest can be taken apart in one way
// only, and gives back what the kit uses.
func FuzzReadEnvelope(f *testing.F) {
	addJSONSeeds(f)
	account := fuzzAccount()
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := readEnvelope(data, false)
		if err != nil {
			return
		}
		_, needErr := readEnvelope(data, true)
		require.Equal(t, len(e.bizContent) > 0, needErr == nil)
		require.NotEmpty(t, e.signType)
		require.LessOrEqual(t, len(e.signed), maxEnvelopeMembers)

		for _, keepEmpty := range []bool{false, true} {
			text := e.canonical([]byte("salt"), keepEmpty)
			require.True(t, bytes.HasPrefix(text, []byte("salt")))
			rest, names := string(text[4:]), []string{}
			for i, m := range e.signed {
				if !keepEmpty && blank(m) {
					continue
				}
				if len(names) > 0 {
					require.True(t, strings.HasPrefix(rest, "&"))
					rest = rest[1:]
				}
				pair := string(m.name) + "=" + string(m.value)
				require.True(t, strings.HasPrefix(rest, pair))
				rest = rest[len(pair):]
				names = append(names, string(m.name))
				if i > 0 {
					require.Less(t, string(e.signed[i-1].name), string(m.name), "sorted, and none twice")
				}
				require.NotContains(t, names[len(names)-1], "=")
				require.NotContains(t, names[len(names)-1], "&")
				if name := string(m.name); name != "bizContent" && name != "description" {
					require.NotContains(t, string(m.value), "&", "this value could be split again")
				}
			}
			require.Empty(t, rest)
			require.NotContains(t, names, "sign")
		}

		var others map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &others))
		for name, used := range map[string]string{
			"accId": e.accountID, "clientId": e.clientID, "code": e.code, "version": e.version, "signType": e.signType,
		} {
			var s string
			if json.Unmarshal(others[name], &s) == nil && strings.TrimSpace(s) != "" {
				require.Equal(t, s, used)
			}
			require.NotContains(t, used, "&")
			require.NotContains(t, used, "=")
		}
		if len(e.bizContent) > 0 {
			require.True(t, json.Valid(e.bizContent))
		}
		if _, err := e.verify(&account); err == nil {
			requireSealed(t, data) // only a seed can come here
		}
	})
}

// FuzzParseNotification: noise never verifies, and what is sealed is read as
// it was written.
func FuzzParseNotification(f *testing.F) {
	account := fuzzAccount()
	for _, biz := range []string{
		`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"R","merchantUserId":"U","token":"T"}`,
		`{"notifyType":"RECHARGE","merchantTransactionId":"O","status":"SUCCESS","amount":"100.000000","currency":"HKD","transactionTime":"1693290395000"}`,
		`{"notifyType":"REFUND","merchantRefundId":"R","amount":30.5,"currency":"PHP"}`, `{"notifyType":"CAPTURE"}`, `{}`, `[]`, ``, `{"a":1,"a":2}`,
		`{"token":"T&accId=1","merchantUserId":"用户"}`, `{"notifyType":"RECHARGE","amount":"-1","currency":"HKD"}`,
	} {
		f.Add([]byte(biz), "Transaction succeeded", byte(1))
		f.Add(fuzzSeal(map[string]string{"accId": fuzzStore, "signType": "SHA256", "bizContent": biz}), "a&b=c", byte(2))
	}
	f.Fuzz(func(t *testing.T, biz []byte, description string, flip byte) {
		n, err := ParseNotification(biz, account)
		if err != nil {
			require.Equal(t, Notification{}, n)
		} else {
			requireSealed(t, biz)
		}

		// bizContent must survive json.Marshal in the signer above.
		if !utf8.Valid(biz) || !utf8.ValidString(description) {
			return
		}
		members := map[string]string{
			"accId": account.ID, "clientId": account.ClientID, "code": "000000", "description": description,
			"signType": "SHA256", "bizContent": string(biz),
		}
		body := fuzzSeal(members)
		n, err = ParseNotification(body, account)
		doc, docErr := parseDocument(biz)
		if docErr != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		if err != nil { // refused for its form, never for its signature
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		require.Equal(t, 1, n.Salt)
		require.Equal(t, account.ID, n.AccountID)
		require.Equal(t, doc.text("notifyType"), n.Type)
		require.Equal(t, doc.text("requestId"), n.RequestID)
		require.Equal(t, doc.text("merchantUserId"), n.UserID)
		require.Equal(t, doc.text("token"), n.Token.Reveal())
		require.Equal(t, string(body), n.Raw.Reveal())
		if strings.TrimSpace(description) != "" {
			require.Equal(t, description, n.Description)
		}
		require.Equal(t, n.Kind == KindPayment, n.Payment != nil)
		require.Equal(t, n.Kind == KindRefund, n.Refund != nil)

		// One changed bit, anywhere, and nothing is left of it.
		forged := bytes.Clone(body)
		forged[int(flip)*len(forged)/256] ^= 1 << (flip % 8)
		n, err = ParseNotification(forged, account)
		if err == nil {
			require.Equal(t, meaning(t, body), meaning(t, forged), "a forgery was believed")
			return
		}
		require.Equal(t, Notification{}, n)
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, text := range []string{"0", "100", "100.5", "100.000000", "92233720368547758.07", "92233720368547758.08", "9223372036854775807", "1e2", "-1", ".5", "5.", "00.010"} {
		f.Add(text, "HKD", int64(1))
		f.Add(text, "KRW", int64(-1<<63))
	}
	plain := regexp.MustCompile(`^[0-9]+(\.[0-9]+)?$`)
	f.Fuzz(func(t *testing.T, text, currency string, minor int64) {
		places, known := decimals(currency)
		got, err := ParseAmount(text, currency)
		if err == nil {
			require.True(t, known)
			require.Regexp(t, plain, text)
			require.Equal(t, currency, got.Currency)
			exact, _ := new(big.Rat).SetString(text)
			exact.Mul(exact, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)))
			require.True(t, exact.IsInt())
			require.Equal(t, exact.Num().String(), big.NewInt(got.Minor).String())
		} else if known && plain.MatchString(text) && len(text) < 15 {
			_, fraction, _ := strings.Cut(text, ".")
			require.Greater(t, len(strings.TrimRight(fraction, "0")), places, "a good amount was refused")
		}
		decimal, err := Amount{minor, currency}.Decimal()
		require.Equal(t, known, err == nil)
		if err == nil && minor >= 0 {
			back, err := ParseAmount(decimal, currency)
			require.NoError(t, err)
			require.Equal(t, minor, back.Minor)
		}
	})
}

// browserSees is what the WHATWG URL standard does before it reads an address:
// it takes out tabs and line ends, cuts blanks and controls off both ends, and
// reads '\' as '/'.
func browserSees(target string) string {
	target = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(target)
	target = strings.TrimFunc(target, func(r rune) bool { return r <= ' ' })
	path, rest := target, ""
	if i := strings.IndexAny(target, "?#"); i >= 0 {
		path, rest = target[:i], target[i:]
	}
	return strings.ReplaceAll(path, `\`, "/") + rest
}

// FuzzValidTarget: no browser leaves the shop by a target that is a path, and
// an absolute one names its host in the open.
func FuzzValidTarget(f *testing.F) {
	for _, target := range []string{
		"/", "/account", "/a?b=c#d", "//evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example", "///evil.example",
		"https://shop.example/x", "https://evil.example", "http://evil.example", "http://localhost:8080/", "https:evil.example", "https:/evil.example", "https:///evil.example",
		"javascript:alert(1)", "data:text/html,x", "https://shop.example@evil.example", "https://shop.example\\@evil.example", "/..//evil.example", "/.//evil.example",
		"/%2f/evil.example", "/%5cevil.example", " //evil.example", "\x00//evil.example", "/\x00/evil.example", "https://[::1]/", "https://:443/", "HTTPS://SHOP.example", "?x", "#x", "", "x", "/é",
		"https://shop.example:80:80/", "https://%65vil.example/", "/;//evil.example", "https://evil。example/", "/\u2028/evil.example", "https://shop.example?x", "//", "/?//evil.example", "https://", "/#\x00", "/#\x1b[2J", "https://shop.example/#\x7f",
	} {
		f.Add(target)
	}
	base, err := url.Parse("https://shop.example/wallet/return/1")
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, target string) {
		if !validTarget(target) {
			return
		}
		require.False(t, strings.ContainsAny(target, `\ <>"`) || strings.IndexFunc(target, unicode.IsControl) >= 0)
		seen := browserSees(target)
		require.Equal(t, target, seen, "browsers read it otherwise")
		u, err := url.Parse(seen)
		require.NoError(t, err)
		require.Nil(t, u.User)
		resolved := base.ResolveReference(u)
		if strings.HasPrefix(target, "/") {
			require.False(t, strings.HasPrefix(target, "//"))
			require.Equal(t, "shop.example", resolved.Host)
			require.Equal(t, "https", resolved.Scheme)
			return
		}
		require.NotEmpty(t, u.Hostname(), "an absolute target without a host")
		require.Equal(t, u.Host, resolved.Host)
		scheme, rest, found := strings.Cut(target, "://")
		require.True(t, found)
		require.True(t, strings.HasPrefix(rest, u.Host) || strings.Contains(rest, "%"), "the host stands in the open")
		require.True(t, strings.EqualFold(scheme, "https") || (strings.EqualFold(scheme, "http") && isLoopback(u.Hostname())))
	})
}
