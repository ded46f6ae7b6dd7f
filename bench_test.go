package codegrant

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// benchBody is a payment notification with the members that PingPong v4 gives
// one, of the usual size.
func benchBody(tb testing.TB, a *Account) []byte {
	tb.Helper()
	biz := `{"notifyType":"RECHARGE","status":"SUCCESS","transactionId":"2023092050004595","merchantTransactionId":` +
		`"PMT-9ICSCWF9H51695189441815","requestId":"PMT-9ICSCWF9H51695189441815","amount":"100.000000","currency":"HKD",` +
		`"transactionTime":"1693290395000","paymentMethod":{"type":"AlipayHK"},"token":"7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"}`
	members := map[string]string{
		"accId": a.ID, "bizContent": biz, "clientId": a.ClientID, "code": "000000",
		"description": "Transaction succeeded", "signType": "SHA256",
	}
	sum := sha256.Sum256([]byte(a.Salts[0].Reveal() + referenceText(members, false)))
	body := fmt.Appendf(nil, `{"accId":%q,"clientId":%q,"signType":"SHA256","sign":"%X","code":"000000","description":%q,"bizContent":`,
		a.ID, a.ClientID, sum, members["description"])
	body = append(appendJSONString(body, biz), '}')
	require.Greater(tb, len(body), 600)
	require.Less(tb, len(body), 700)
	return body
}

func benchAccount() *Account {
	a := Account{ID: "2018092714313010016291", Salts: Salts("F78BC96A55548B2319EE68E0")}.withDefaults()
	return &a
}

// signedText is what the digest of body covers.
func signedText(tb testing.TB, a *Account, body []byte) []byte {
	tb.Helper()
	env, err := readEnvelope(body, true)
	require.NoError(tb, err)
	defer env.release()
	return env.canonical([]byte(a.Salts[0].Reveal()), false)
}

// judge is what a notification costs before anything is decoded.
func judge(body []byte, a *Account) error {
	env, err := readEnvelope(body, true)
	if err != nil {
		return err
	}
	defer env.release()
	_, err = env.verify(a)
	return err
}

// BenchmarkSHA256Floor is the digest alone: the floor under every verification.
func BenchmarkSHA256Floor(b *testing.B) {
	a := benchAccount()
	text := signedText(b, a, benchBody(b, a))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		_ = sha256.Sum256(text)
	}
}

func BenchmarkSign(b *testing.B) {
	a := benchAccount()
	biz := []byte(`{"requestId":"REQ-0001","merchantUserId":"1260489643332513151","bizType":"CodeGrant"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.seal(biz); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyEnvelope reads the whole message strictly, its content too.
func BenchmarkVerifyEnvelope(b *testing.B) {
	a := benchAccount()
	body := benchBody(b, a)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := judge(body, a); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefuseForgery must not cost more than BenchmarkVerifyEnvelope.
func BenchmarkRefuseForgery(b *testing.B) {
	a := benchAccount()
	body := []byte(strings.Replace(string(benchBody(b, a)), "100.000000", "900.000000", 1))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := judge(body, a); err == nil {
			b.Fatal("accepted")
		}
	}
}

// BenchmarkTwoSalts is BenchmarkVerifyEnvelope with an old salt beside the new.
func BenchmarkTwoSalts(b *testing.B) {
	body := benchBody(b, benchAccount())
	a := benchAccount()
	a.Salts = Salts("0123456789ABCDEF01234567", "F78BC96A55548B2319EE68E0")
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := judge(body, a); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyAndParse(b *testing.B) {
	a := benchAccount()
	body := benchBody(b, a)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if n, err := ParseNotification(body, *a); err != nil || n.Payment == nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseEncodingJSON decodes the same body without verifying it, for
// comparison.
func BenchmarkParseEncodingJSON(b *testing.B) {
	body := benchBody(b, benchAccount())
	b.ReportAllocs()
	for b.Loop() {
		var env struct{ BizContent string }
		var biz map[string]any
		if json.Unmarshal(body, &env) != nil || json.Unmarshal([]byte(env.BizContent), &biz) != nil {
			b.Fatal("unreadable")
		}
	}
}

// benchStore is as fast as a store can be: one record that is always there.
type benchStore struct{ t Token }

func (s *benchStore) Get(context.Context, string) (Token, error) { return s.t, nil }
func (s *benchStore) Save(_ context.Context, t Token) error      { s.t = t; return nil }
func (s *benchStore) ByFingerprint(context.Context, string) (Token, error) {
	return Token{}, ErrNotFound
}
func (s *benchStore) ByUser(context.Context, string, string) ([]Token, error) {
	return []Token{s.t}, nil
}
func (s *benchStore) Unsettled(context.Context, time.Time, int) ([]Token, error) { return nil, nil }

func benchKit(b testing.TB, store TokenStore) *Kit {
	b.Helper()
	client, err := NewClient(ClientConfig{
		Account:   Account{ID: "2018092714313010016291", Salts: Salts("F78BC96A55548B2319EE68E0")},
		Endpoints: Sandbox(),
	})
	if err != nil {
		b.Fatal(err)
	}
	kit, err := New(Config{
		Client: client, Store: store, BaseURL: "https://shop.example/wallet",
		User:   func(*http.Request) (string, error) { return "ann", nil },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	return kit
}

// sink is a ResponseWriter that costs nothing, so that what is counted is the
// handler's.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header               { return s.header }
func (s *sink) WriteHeader(status int)            { s.status = status }
func (s *sink) Write(p []byte) (int, error)       { return len(p), nil }
func (s *sink) WriteString(p string) (int, error) { return len(p), nil }
func (s *sink) SetReadDeadline(time.Time) error   { return nil }

// BenchmarkNotifyHandler is a first delivery, two saves and the hook, and the
// same delivery again.
func BenchmarkNotifyHandler(b *testing.B) {
	first, again := benchDeliveries(b)
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			first()
		}
	})
	b.Run("again", func(b *testing.B) {
		first()
		b.ReportAllocs()
		for b.Loop() {
			again()
		}
	})
}

// benchDeliveries returns what makes a first delivery, and what makes the same
// one again.
func benchDeliveries(b testing.TB) (first, again func()) {
	b.Helper()
	store := &benchStore{}
	kit := benchKit(b, store)
	biz := `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0001","merchantUserId":"1260489643332513151","token":"7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"}`
	body, err := kit.client.account.seal([]byte(biz))
	if err != nil {
		b.Fatal(err)
	}
	pending := Token{
		ID: "REQ-0001", AccountID: "2018092714313010016291", UserID: "1260489643332513151",
		Status: StatusPending, Handled: StatusPending, Revision: 1,
	}
	handler := kit.Notify()
	r := httptest.NewRequest(http.MethodPost, "/notify/REQ-0001", nil)
	reader := bytes.NewReader(body)
	r.Body, r.ContentLength = io.NopCloser(reader), int64(len(body))
	w := &sink{header: http.Header{}}
	again = func() {
		clear(w.header)
		reader.Reset(body)
		handler.ServeHTTP(w, r)
		if w.status != http.StatusOK || store.t.Handled != StatusActive {
			b.Fatal(w.status)
		}
	}
	first = func() {
		store.t = pending
		again()
	}
	return first, again
}
