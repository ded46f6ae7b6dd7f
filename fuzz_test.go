package codegrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
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
