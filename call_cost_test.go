package codegrant

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// instant is a gateway without latency.
type instant struct {
	status int
	answer func(path string) []byte
}

func (g instant) RoundTrip(r *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, r.Body)
	return &http.Response{
		StatusCode: g.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(g.answer(r.URL.Path))),
	}, nil
}

func instantClient(t *testing.T, gateway instant) *Client {
	t.Helper()
	client, err := NewClient(ClientConfig{
		Account: fuzzAccount(), Endpoints: Sandbox(), HTTPClient: &http.Client{Transport: gateway},
	})
	require.NoError(t, err)
	return client
}

func coded(code, biz string) []byte {
	return fuzzSeal(map[string]string{"accId": fuzzStore, "signType": "SHA256", "code": code, "bizContent": biz})
}

func costPayRequest(order string) PayRequest {
	return PayRequest{
		RequestID: "PAY-1", OrderID: order, UserID: "ann", Token: NewSecret(strings.Repeat("7", 64)), Wallet: GCash,
		Amount: Amount{Minor: 10000, Currency: "KRW"}, ShopperIP: "203.0.113.9", Email: "ann@example.com", Terminal: PayOnPC,
	}
}

// What a call costs beside a post without it: what it checks, writes, signs,
// verifies, reads and keeps. Time-outs and the validator take most. The test runs
// alone, for what it counts is the process's.
func TestCallsAllocateLittleBesideThePost(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	paid := coded("000000", `{"merchantTransactionId":"ORDER-1","transactionId":"2023092050004595",`+
		`"status":"SUCCESS","amount":"10000","currency":"KRW","paymentMethod":{"type":"GCash"}}`)
	started := coded("000000", `{"token":"`+strings.Repeat("5", 64)+`","authUrl":"https://wallet.test/auth?authState=1"}`)
	gateway := instant{http.StatusOK, func(path string) []byte {
		if path == "/v4/payment/unifiedPay" {
			return paid
		}
		return started
	}}
	store := &benchStore{}
	kit, err := New(Config{
		Client: instantClient(t, gateway), Store: store, BaseURL: "https://shop.example/wallet",
		User:   func(*http.Request) (string, error) { return "ann", nil },
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	active := Token{
		ID: "RECORD-1", AccountID: kit.client.account.ID, UserID: "ann", Wallet: GCash, Status: StatusActive,
		Handled: StatusActive, Revision: 1, Value: NewSecret(strings.Repeat("7", 64)),
	}
	charge := ChargeParams{
		UserID: "ann", OrderID: "ORDER-1", Amount: Amount{Minor: 10000, Currency: "KRW"}, TokenID: active.ID,
		ShopperIP: "203.0.113.9", Email: "ann@example.com",
	}
	body := bytes.Repeat([]byte("x"), 700)
	plain := &http.Client{Transport: gateway}
	post := testing.AllocsPerRun(200, func() {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, Sandbox().Host+"/v4/payment/unifiedPay", bytes.NewReader(body))
		if err != nil {
			t.Error(err)
			return
		}
		response, err := plain.Do(r)
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.ReadAll(response.Body)
		_ = response.Body.Close()
	})
	for _, tt := range []struct {
		name string
		most float64
		call func() error
	}{
		{"Charge", 41, func() error {
			store.t = active
			receipt, err := kit.Charge(context.Background(), charge)
			if err == nil && receipt.Outcome != Succeeded {
				err = fmt.Errorf("outcome %s", receipt.Outcome)
			}
			return err
		}},
		{"StartSignUp", 42, func() error {
			_, err := kit.StartSignUp(context.Background(), SignUpParams{UserID: "bob", Wallet: GCash})
			return err
		}},
	} {
		require.NoError(t, tt.call(), tt.name)
		got := testing.AllocsPerRun(200, func() {
			if err := tt.call(); err != nil {
				t.Error(err)
			}
		})
		require.LessOrEqual(t, got-post, tt.most, tt.name)
	}
}

// An envelope that went back to the pool twice would be two messages' at once.
// The test runs alone, so that what it finds in the pool is what a call left.
func TestAnAnswersEnvelopeIsReleasedOnce(t *testing.T) {
	good := coded("000000", `{"status":"SUCCESS","amount":"10000","currency":"KRW","authUrl":"https://w.test/","token":"t"}`)
	for name, tt := range map[string]struct {
		status int
		body   []byte
	}{
		"success":                  {200, good},
		"success, but overloaded":  {429, good},
		"success, but broken":      {503, good},
		"success of another":       {200, coded("000000", `{"status":"SUCCESS","merchantTransactionId":"O-2","merchantRefundId":"R-2"}`)},
		"an amount that is none":   {200, coded("000000", `{"status":"SUCCESS","amount":"1e2","currency":"KRW"}`)},
		"two agreements":           {200, coded("000000", `{"queryData":[{"token":"a"},{"token":"b"}]}`)},
		"agreements that are none": {200, coded("000000", `{"queryData":[1,2]}`)},
		"nothing":                  {200, coded("000000", `{}`)},
		"no content":               {200, coded("001000", "")},
		"not found":                {200, coded("107001", `{}`)},
		"refused":                  {200, coded("102000", `{}`)},
		"broken inside":            {200, coded("500000", `{}`)},
		"forged":                   {200, bytes.Replace(good, []byte("SUCCESS"), []byte("SUCCESZ"), 1)},
		"another account's":        {200, bytes.Replace(good, []byte(fuzzStore), []byte("2018092714313010016292"), 1)},
		"unreadable":               {200, []byte("<html>")},
	} {
		client := instantClient(t, instant{tt.status, func(string) []byte { return tt.body }})
		ctx, secret := t.Context(), NewSecret("T")
		for range 3 { // the scheduler may move a test away from what it put
			for call, send := range map[string]func(){
				"pay":           func() { _, _ = client.Pay(ctx, costPayRequest("O-1")) },
				"payment query": func() { _, _ = client.QueryPayment(ctx, PaymentQuery{OrderID: "O-1"}) },
				"refund": func() {
					_, _ = client.Refund(ctx, RefundRequest{OrderID: "O-1", RefundID: "R-1", Amount: Amount{10000, "KRW"}})
				},
				"refund query": func() { _, _ = client.QueryRefund(ctx, RefundQuery{OrderID: "O-1", RefundID: "R-1"}) },
				"sign-up query": func() {
					_, _ = client.QuerySignUp(ctx, SignUpQuery{RequestID: "Q", UserID: "U"})
				},
				"unbind": func() { _ = client.Unbind(ctx, UnbindRequest{RequestID: "Q", UserID: "U", Token: secret}) },
				"list":   func() { _, _ = client.ListTokens(ctx, ListTokensRequest{RequestID: "Q", UserID: "U"}) },
			} {
				send()
				one, two := envelopes.Get(), envelopes.Get()
				require.NotSame(t, one, two, "%s: %s", name, call)
			}
		}
	}
}

// Calls that are made at the same time do not read each other's answers.
func TestAnswersInParallel(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for worker := range 8 {
		answer := map[string][]byte{}
		client := instantClient(t, instant{http.StatusOK, func(path string) []byte { return answer[path] }})
		wg.Go(func() {
			for i := range 100 {
				id := fmt.Sprintf("%d-%d", worker, i)
				text := strings.Repeat("é", i) + id
				answer["/v4/payment/unifiedPay"] = coded("000000", `{"status":"SUCCESS","merchantTransactionId":"`+id+`","remark":"`+text+`"}`)
				answer["/v4/authorization/list"] = coded("000000", `{"queryData":[{"token":"`+id+`","merchantUserId":"`+text+`"}]}`)
				paid, err := client.Pay(t.Context(), costPayRequest(id))
				list, listErr := client.ListTokens(t.Context(), ListTokensRequest{RequestID: "Q", UserID: "U"})
				if err != nil || listErr != nil || paid.OrderID != id || paid.Remark != text ||
					len(list) != 1 || list[0].Token.Reveal() != id || list[0].UserID != text {
					t.Errorf("%s: %v %v: another answer was read", id, err, listErr)
					return
				}
			}
		})
	}
	wg.Wait()
}
