package codegrant

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// pair is a signed member that can be compared.
type pair struct{ name, value string }

// requireLikeReference holds the reading, the verdict and what is decoded to
// those of the reference: of every message the same, errors to the letter.
func requireLikeReference(t testing.TB, body []byte, a Account) {
	t.Helper()
	before := bytes.Clone(body)
	for _, needBiz := range []bool{true, false} {
		ref, refusal := refRead(body, needBiz)
		e, err := readEnvelope(body, needBiz)
		requireSameError(t, refusal, err, body)
		if err != nil {
			continue
		}
		var want, got []pair
		for _, m := range ref.signed {
			want = append(want, pair{string(m.name), string(m.value)})
		}
		for _, m := range e.signed {
			got = append(got, pair{string(m.name), string(m.value)})
		}
		require.Equal(t, want, got, "%q", body)
		require.Equal(t,
			[]string{ref.accountID, ref.clientID, ref.code, ref.description, ref.signType, ref.version, string(ref.sign), string(ref.bizContent)},
			[]string{string(e.accountID), string(e.clientID), string(e.code), string(e.description), string(e.signType), string(e.version), string(e.sign), string(e.bizContent)})
		require.Len(t, e.biz.members, len(ref.biz.members))
		for i, m := range e.biz.members {
			r := ref.biz.members[i]
			require.Equal(t, []any{r.parent, r.kind, string(r.name), string(r.value)}, []any{m.parent, m.kind, string(m.name), string(m.value)})
		}
		for _, keepEmpty := range []bool{false, true} {
			require.Equal(t, string(ref.canonical(nil, keepEmpty)), string(e.canonical(nil, keepEmpty)))
			require.LessOrEqual(t, len(e.canonical(nil, keepEmpty)), e.canonicalSize())
		}
		wantSalt, refusal := ref.verify(&a)
		salt, err := e.verify(&a)
		requireSameError(t, refusal, err, body)
		require.Equal(t, wantSalt, salt)
		e.release()
	}
	want, refusal := refParseNotification(body, a)
	n, err := ParseNotification(body, a)
	requireSameError(t, refusal, err, body)
	require.Equal(t, revealed(want), revealed(n))
	require.Equal(t, before, body, "the body was changed")
}

func requireSameError(t testing.TB, want, got error, body []byte) {
	t.Helper()
	if want == nil {
		require.NoError(t, got, "%q", body)
		return
	}
	require.EqualError(t, got, want.Error(), "%q", body)
	require.Equal(t, codeOf(want), codeOf(got))
}

// revealed is a notification that can be compared, the secrets in the clear.
func revealed(n Notification) []any {
	all := []any{n.Raw.Reveal(), n.Token.Reveal(), n.LoginID.Reveal(), nil, nil}
	if n.Payment != nil {
		p := *n.Payment
		all[3] = p.Token.Reveal()
		p.Token = Secret{}
		all = append(all, p)
	}
	if n.Refund != nil {
		all = append(all, *n.Refund)
	}
	n.Raw, n.Token, n.LoginID, n.Payment, n.Refund = Secret{}, Secret{}, Secret{}, nil, nil
	return append(all, n)
}

// mutator changes messages in the ways of those who forge them.
type mutator struct {
	*rand.Rand
	pieces []string
}

func newMutator(seed uint64) *mutator {
	m := &mutator{Rand: rand.New(rand.NewPCG(seed, 1))}
	for _, c := range "\x00\t\n\r \"\\/{}[],:&=0-9.eE+utfn\x7f\x1f" {
		m.pieces = append(m.pieces, string(c))
	}
	m.pieces = append(m.pieces,
		`\"`, `\\`, `\/`, `\n`, `\t`, `\r`, `\b`, `\f`, `\u0000`, `\u0020`, `\u0026`, `\u003d`, `\u0061`, `\u007f`, `\u00e9`, `\u00G0`, `\ud83d\ude39`, `\ud83d`,
		`\ude39`, `\\u0061`, `\\\"`, `\\\\`, `\\n`, `\\ud83d\\ude39`, `\\ud83d`, "é", "用户", "😹", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf0\x9f", "\u00a0", "\u2028",
		`null`, `true`, `false`, `-1.5e+3`, `01`, `1.`, `{}`, `[]`, `[{"a":1,"a":2}]`, `{"a":{"b":{}}}`, `""`, `" "`, `"\u00a0"`, `,"code":""`, `,"code":" "`, `,"x":null`,
		`,"accId":"1"`, `,"\u0061ccId":"1"`, `,"zzz":"\u0080"`, `,"x":"a&b"`, `,"a=b":"c"`, `,"":"c"`, `,"description":"a&b=c"`, `,"version":"1.0"`, `,"sign":"00"`, `,"bizContent":{}`,
		`\"status\":\"FAILED\",`, `\"amount\":30.5,`, `\"currency\":\"KRW\",`, `\"token\":null,`, `\"paymentMethod\":{\"type\":\"x\"},`, `MD5`, `SHA256`, strings.Repeat("[", 17), strings.Repeat("a", 9))
	return m
}

// change makes a copy of body with one to three changes.
func (m *mutator) change(body []byte) []byte {
	body = bytes.Clone(body)
	for range 1 + m.IntN(3) {
		if len(body) == 0 {
			return body
		}
		at := m.IntN(len(body))
		end := min(len(body), at+m.IntN(12))
		piece := []byte(m.pieces[m.IntN(len(m.pieces))])
		switch m.IntN(8) {
		case 0:
			body[at] ^= 1 << m.IntN(8)
		case 1:
			body = slices.Insert(body, at, piece...)
		case 2:
			body = slices.Replace(body, at, end, piece...)
		case 3:
			body = slices.Delete(body, at, end)
		case 4: // something said twice
			body = slices.Insert(body, m.IntN(len(body)), body[at:min(len(body), at+m.IntN(60))]...)
		case 5: // before a member or behind one
			if i := bytes.IndexByte(body[at:], ','); i >= 0 {
				body = slices.Insert(body, at+i, piece...)
			}
		case 6:
			body = body[:at]
		case 7: // the case of a letter, of the digest too
			body = append(append(body[:at:at], bytes.ToLower(body[at:end])...), body[end:]...)
		}
	}
	return body
}

// referenceAccount has fuzzSalt between a shorter salt, which signs, and a
// longer one.
func referenceAccount() Account {
	return Account{ID: fuzzStore, Salts: Salts("0123456789ABCDEF", fuzzSalt, "0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF")}.withDefaults()
}

// referenceSeeds are messages of every kind, the first twelve accepted by
// referenceAccount and fuzzAccount, and then the vectors.
func referenceSeeds(t testing.TB) [][]byte {
	account := fuzzAccount()
	var seeds [][]byte
	for _, biz := range []string{
		`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0001","merchantUserId":"1260489643332513151","token":"T-1","paymentMethod":{"type":"GCash"},"userLoginId":"a***@x","expireTime":"2030-01-01 00:00:00"}`,
		`{"notifyType":"RECHARGE","status":"SUCCESS","transactionId":"2023092050004595","merchantTransactionId":"PMT-1","requestId":"PMT-1","amount":"100.000000","currency":"HKD","transactionTime":"1693290395000","transactionEndingTime":"1693290395001","paymentMethod":{"type":"AlipayHK","x":[1,{"y":[2]}]},"payMethod":"no","token":"7dda0a6f","remark":"a&b=c","exchangedAmount":12.5,"issuerInfo":{"issuerResultCode":"00","issuerResultMsg":"ok"}}`,
		`{"notifyType":"REFUND","merchantTransactionId":"O","merchantRefundId":"R","refundId":"G","amount":30.5,"currency":"PHP","status":"SUCCESS","refundTime":"1693290395000"}`,
		"{\n\t\"notifyType\" : \"ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER\",\r\n \"merchantUserId\":\"用户\\u00e9\\\"\\ud83d\\ude39\",\"token\":\"T\\/2\",\"extra\":{\"a\":{\"type\":\"z\"}},\"nothing\":null,\"yes\":true}",
		`{"notifyType":"CAPTURE"}`, `{}`,
	} {
		for _, extra := range []map[string]string{
			{"clientId": account.ClientID, "code": "000000", "description": "Transaction succeeded", "version": "1.0"},
			{"code": "", "description": " ", "zeta": "1", "Alpha": "x=y"},
		} {
			extra["accId"], extra["signType"], extra["bizContent"] = fuzzStore, "SHA256", biz
			seeds = append(seeds, fuzzSeal(extra))
		}
	}
	for _, v := range loadVectors(t) {
		seeds = append(seeds, v.body(t))
	}
	return seeds
}

// TestTheReadingIsTheReferences looks for a message of which the fast reading
// and the one that it replaced say anything different.
func TestTheReadingIsTheReferences(t *testing.T) {
	t.Parallel()
	rounds := 50_000 // of two messages each
	if raceEnabled || testing.Short() {
		rounds = 5_000
	}
	account := referenceAccount()
	seeds := referenceSeeds(t)
	for _, body := range seeds {
		requireLikeReference(t, body, account)
	}
	for _, v := range loadVectors(t) {
		a := Account{ID: v.AccountID, ClientID: v.ClientID, Salts: Salts(v.Salts...), Digest: v.Digest}
		if a.ID == "" {
			a.ID = fuzzStore
		}
		requireLikeReference(t, v.body(t), a)
	}
	m := newMutator(20260827)
	for i := range rounds {
		seed := seeds[m.IntN(len(seeds))]
		if i%2 == 0 {
			seed = seeds[m.IntN(12)] // those that are accepted as they stand
		}
		requireLikeReference(t, m.change(seed), account)
		if e, err := refRead(seed, true); err == nil { // its content, sealed after the change
			sealed, err := account.seal(m.change(e.bizContent))
			require.NoError(t, err)
			requireLikeReference(t, sealed, account)
		}
	}
}

// FuzzEnvelopeAgainstReference is the same with the fuzzer's own changes, and
// with content that is sealed after it was changed.
func FuzzEnvelopeAgainstReference(f *testing.F) {
	account := referenceAccount()
	for _, body := range referenceSeeds(f) {
		f.Add(body, uint64(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, seed uint64) {
		requireLikeReference(t, body, account)
		if seed != 0 {
			body = newMutator(seed).change(body)
			requireLikeReference(t, body, account)
		}
		sealed, err := account.seal(body)
		require.NoError(t, err)
		requireLikeReference(t, sealed, account)
	})
}
