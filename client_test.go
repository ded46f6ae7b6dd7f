package codegrant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

const (
	rigHost  = "https://gateway.test"
	rigToken = "7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"
)

// sent is one request as it left the client.
type sent struct {
	method, url, body string
	header            http.Header
}

// wireTap notes every request and lets reply answer it.
type wireTap struct {
	reply func(*http.Request) (*http.Response, error)

	mu   sync.Mutex
	seen []sent
}

func (w *wireTap) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	w.seen = append(w.seen, sent{r.Method, r.URL.String(), string(body), r.Header.Clone()})
	w.mu.Unlock()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return w.reply(r)
}

func (w *wireTap) requests() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sent(nil), w.seen...)
}

// answering replies to everything with one status and body.
func answering(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

func rigAccount() codegrant.Account {
	return codegrant.Account{ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt)}
}

// tappedClient is a client whose requests reply answers.
func tappedClient(t testing.TB, reply func(*http.Request) (*http.Response, error),
	change ...func(*codegrant.ClientConfig)) (*codegrant.Client, *wireTap) {
	t.Helper()
	tap := &wireTap{reply: reply}
	cfg := codegrant.ClientConfig{
		Account:    rigAccount(),
		Endpoints:  codegrant.Endpoints{Host: rigHost},
		HTTPClient: &http.Client{Transport: tap},
	}
	for _, f := range change {
		f(&cfg)
	}
	client, err := codegrant.NewClient(cfg)
	require.NoError(t, err)
	return client, tap
}

// signedAnswer is an answer around biz, signed by code that is not the
// client's. A member "" is left out.
func signedAnswer(biz string, members map[string]string) string {
	return signedWith(gatewaytest.DefaultSalt, biz, members)
}

func signedWith(salt, biz string, members map[string]string) string {
	all := map[string]string{
		"accId": gatewaytest.DefaultAccountID, "clientId": gatewaytest.DefaultClientID,
		"code": "000000", "description": "Transaction succeeded", "signType": "SHA256", "bizContent": biz,
	}
	maps.Copy(all, members)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	all["sign"] = gatewaytest.Sign(salt, all["signType"], all)
	body, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(body)
}

func signUpRequest() codegrant.SignUpRequest {
	return codegrant.SignUpRequest{
		RequestID: "REQ-1", UserID: "user-1", Wallet: codegrant.GCash, Terminal: codegrant.SignUpOnH5,
		ResultURL: "https://shop.example/return", NotificationURL: "https://shop.example/notify",
	}
}

func payRequest() codegrant.PayRequest {
	return codegrant.PayRequest{
		RequestID: "PAY-1", OrderID: "ORDER-1", UserID: "user-1", Token: codegrant.NewSecret(rigToken),
		Wallet: codegrant.GCash, Amount: codegrant.Amount{Minor: 10000, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "pass@pingpongx.com", Terminal: codegrant.PayOnPC,
	}
}

func refundRequest() codegrant.RefundRequest {
	return codegrant.RefundRequest{
		OrderID: "ORDER-1", RefundID: "REFUND-1", Amount: codegrant.Amount{Minor: 3050, Currency: "PHP"},
	}
}

func prepareRequest() codegrant.PrepareRequest {
	return codegrant.PrepareRequest{
		RequestID: "OLD-1", UserID: "user-1", Wallet: codegrant.AlipayHK, Terminal: codegrant.SignUpOnPC,
		RedirectURL: "https://shop.example/back", NotificationURL: "https://shop.example/notify",
	}
}

func send[R, A any](f func(*codegrant.Client, context.Context, R) (A, error), r R) func(context.Context, *codegrant.Client) (any, error) {
	return func(ctx context.Context, c *codegrant.Client) (any, error) { return f(c, ctx, r) }
}

func sendOnly[R any](f func(*codegrant.Client, context.Context, R) error, r R) func(context.Context, *codegrant.Client) (any, error) {
	return func(ctx context.Context, c *codegrant.Client) (any, error) { return nil, f(c, ctx, r) }
}

// operation is one method of the client with a valid request.
type operation struct {
	name string
	op   gatewaytest.Op
	path string
	send func(context.Context, *codegrant.Client) (any, error)
	biz  string // bizContent of a success
}

// operations is every method of the client.
func operations() []operation {
	token := codegrant.NewSecret(rigToken)
	pays := `{"merchantTransactionId":"ORDER-1","requestId":"PAY-1","transactionId":"T1","status":"SUCCESS","amount":"100.000000","currency":"PHP"}`
	refunds := `{"merchantTransactionId":"ORDER-1","merchantRefundId":"REFUND-1","refundId":"G1","status":"SUCCESS","amount":"30.500000","currency":"PHP"}`
	return []operation{
		{"sign-up", gatewaytest.OpSignUp, "/v4/paymethod/bind",
			send((*codegrant.Client).SignUp, signUpRequest()), `{"authUrl":"https://wallet.example/"}`},
		{"sign-up query", gatewaytest.OpSignUpQuery, "/v4/paymethod/query",
			send((*codegrant.Client).QuerySignUp, codegrant.SignUpQuery{RequestID: "REQ-1", UserID: "user-1"}), `{"status":"SUCCESS"}`},
		{"unbind", gatewaytest.OpUnbind, "/v4/paymethod/unbind",
			sendOnly((*codegrant.Client).Unbind, codegrant.UnbindRequest{RequestID: "U-1", UserID: "user-1", Token: token}), `{"status":"SUCCESS"}`},
		{"pay", gatewaytest.OpPay, "/v4/payment/unifiedPay",
			send((*codegrant.Client).Pay, payRequest()), pays},
		{"payment query", gatewaytest.OpPayQuery, "/v4/payment/query",
			send((*codegrant.Client).QueryPayment, codegrant.PaymentQuery{OrderID: "ORDER-1"}), pays},
		{"refund", gatewaytest.OpRefund, "/v4/payment/refund",
			send((*codegrant.Client).Refund, refundRequest()), refunds},
		{"refund query", gatewaytest.OpRefundQuery, "/v4/refund/query",
			send((*codegrant.Client).QueryRefund, codegrant.RefundQuery{OrderID: "ORDER-1", RefundID: "REFUND-1"}), refunds},
		{"prepare", gatewaytest.OpPrepare, "/v4/authorization/prepare",
			send((*codegrant.Client).Prepare, prepareRequest()), `{"authUrl":"https://wallet.example/"}`},
		{"applyToken", gatewaytest.OpApplyToken, "/v4/authorization/applyToken",
			send((*codegrant.Client).ApplyToken, codegrant.ApplyTokenRequest{
				RequestID: "A-1", UserID: "user-1", AuthCode: codegrant.NewSecret("auth-code-1234567"), AuthState: "state-1",
			}), `{"token":"` + rigToken + `"}`},
		{"cancelToken", gatewaytest.OpCancelToken, "/v4/authorization/cancelToken",
			sendOnly((*codegrant.Client).CancelToken, codegrant.CancelTokenRequest{RequestID: "C-1", UserID: "user-1", Token: token}), `{"cancelSuccess":true}`},
		{"list", gatewaytest.OpList, "/v4/authorization/list",
			send((*codegrant.Client).ListTokens, codegrant.ListTokensRequest{RequestID: "L-1", UserID: "user-1", Token: token}), `{"queryData":[]}`},
	}
}

func TestEveryOperationIsOnePostWithBothHeaders(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			client, tap := tappedClient(t, answering(200, signedAnswer(o.biz, nil)))
			_, err := o.send(t.Context(), client)
			require.NoError(t, err)
			require.Len(t, tap.requests(), 1)
			r := tap.requests()[0]
			require.Equal(t, http.MethodPost, r.method)
			require.Equal(t, rigHost+o.path, r.url)
			require.Equal(t, []string{"application/json"}, r.header["Content-Type"])
			require.Equal(t, []string{"application/json"}, r.header["Accept"])
			require.Empty(t, r.header.Get("Authorization"))
		})
	}
}

func TestAnOperationThatIsSwitchedOffSendsNothing(t *testing.T) {
	t.Parallel()
	off := codegrant.Disabled
	for _, o := range operations() {
		client, tap := tappedClient(t, answering(200, signedAnswer(o.biz, nil)), func(cfg *codegrant.ClientConfig) {
			cfg.Endpoints = codegrant.Endpoints{
				Host: rigHost, SignUp: off, SignUpQuery: off, Unbind: off, Pay: off, PaymentQuery: off, Refund: off,
				RefundQuery: off, Prepare: off, ApplyToken: off, CancelToken: off, ListTokens: off,
			}
		})
		_, err := o.send(t.Context(), client)
		require.ErrorIs(t, err, codegrant.ErrDisabled, o.name)
		require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown, o.name)
		require.Empty(t, tap.requests(), o.name)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			moved := answering(status, "moved")
			tap := &wireTap{reply: func(r *http.Request) (*http.Response, error) {
				resp, err := moved(r)
				resp.Header.Set("Location", "https://elsewhere.test/")
				return resp, err
			}}
			asked := 0
			own := &http.Client{Transport: tap, CheckRedirect: func(*http.Request, []*http.Request) error { asked++; return nil }}
			client, err := codegrant.NewClient(codegrant.ClientConfig{
				Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: rigHost}, HTTPClient: own,
			})
			require.NoError(t, err)
			_, err = client.Pay(t.Context(), payRequest())
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			require.Len(t, tap.requests(), 1)
			require.Zero(t, asked, "the caller's rule was asked")
			require.NoError(t, own.CheckRedirect(nil, nil), "the caller's own client was changed")
			require.Equal(t, 1, asked)
		})
	}
}

func TestTheCallersHTTPClientIsLeftAsItIs(t *testing.T) {
	t.Parallel()
	tap := &wireTap{reply: answering(200, signedAnswer(`{"status":"SUCCESS"}`, nil))}
	own := &http.Client{Transport: tap, Timeout: time.Hour}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: rigHost}, HTTPClient: own,
	})
	require.NoError(t, err)
	own.Transport = nil // what the caller does later is not the client's business
	_, err = client.Pay(t.Context(), payRequest())
	require.NoError(t, err)
	require.Len(t, tap.requests(), 1)
	require.Nil(t, own.CheckRedirect)
	require.Nil(t, own.Jar)
	require.Equal(t, time.Hour, own.Timeout)
}

func TestAnswersAreCapped(t *testing.T) {
	t.Parallel()
	body := signedAnswer(`{"status":"SUCCESS"}`, nil)
	tests := []struct {
		name string
		max  int64
		ok   bool
	}{
		{"the default takes it", 0, true},
		{"exactly the cap passes", int64(len(body)), true},
		{"one byte over the cap is not read", int64(len(body)) - 1, false},
		{"the largest cap there is means no cap", math.MaxInt64, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(200, body), func(cfg *codegrant.ClientConfig) { cfg.MaxResponse = tt.max })
			_, err := client.Pay(t.Context(), payRequest())
			if tt.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, codegrant.ErrTooLarge)
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		})
	}

	t.Run("the default is 1 MiB", func(t *testing.T) {
		t.Parallel()
		client, _ := tappedClient(t, answering(200, strings.Repeat(" ", 1<<20-len(body))+body))
		_, err := client.Pay(t.Context(), payRequest())
		require.NoError(t, err)
		client, _ = tappedClient(t, answering(200, strings.Repeat(" ", 1<<20-len(body)+1)+body))
		_, err = client.Pay(t.Context(), payRequest())
		require.ErrorIs(t, err, codegrant.ErrTooLarge)
	})
}

func TestAContextThatHasEndedSendsNothing(t *testing.T) {
	t.Parallel()
	client, _ := tappedClient(t, nil, func(cfg *codegrant.ClientConfig) {
		cfg.HTTPClient = &http.Client{Transport: &http.Transport{
			DialContext: func(context.Context, string, string) (net.Conn, error) {
				t.Error("a connection was made")
				return nil, io.EOF
			},
		}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, o := range operations() {
		_, err := o.send(ctx, client)
		require.ErrorIs(t, err, context.Canceled, o.name)
		require.NotErrorIs(t, err, codegrant.ErrRefused, o.name)
	}
}

func TestACallThatIsCutShortHasAnUnknownOutcome(t *testing.T) {
	t.Parallel()
	hang := func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	tests := []struct {
		name    string
		timeout time.Duration // of the client
		ctx     func(context.Context) (context.Context, context.CancelFunc)
		want    error
		after   time.Duration
	}{
		{"by the default time-out", 0, context.WithCancel, context.DeadlineExceeded, 30 * time.Second},
		{"by the client's time-out", 4 * time.Second, context.WithCancel, context.DeadlineExceeded, 4 * time.Second},
		{"by the caller's deadline", 0, func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, time.Second)
		}, context.DeadlineExceeded, time.Second},
		{"by the caller", 0, func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			time.AfterFunc(2*time.Second, cancel)
			return ctx, cancel
		}, context.Canceled, 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client, tap := tappedClient(t, hang, func(cfg *codegrant.ClientConfig) { cfg.Timeout = tt.timeout })
				ctx, cancel := tt.ctx(t.Context())
				defer cancel()
				start := time.Now()
				_, err := client.Pay(ctx, payRequest())
				require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
				require.ErrorIs(t, err, tt.want)
				require.Equal(t, tt.after, time.Since(start))
				require.Len(t, tap.requests(), 1, "the client never repeats")
			})
		})
	}
}

func TestOnlyACallWithoutAConnectionIsKnownNotToHaveHappened(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := "http://" + listener.Addr().String()
	require.NoError(t, listener.Close())

	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: closed}, HTTPClient: &http.Client{Transport: &http.Transport{}},
	})
	require.NoError(t, err)
	for _, o := range operations() {
		_, err := o.send(t.Context(), client)
		require.ErrorIs(t, err, codegrant.ErrUnreachable, o.name)
		require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown, o.name)
	}

	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"an unknown host", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}, codegrant.ErrUnreachable},
		{"a reset while writing", &net.OpError{Op: "write", Err: io.ErrClosedPipe}, codegrant.ErrOutcomeUnknown},
		{"a reset while reading", &net.OpError{Op: "read", Err: io.ErrClosedPipe}, codegrant.ErrOutcomeUnknown},
		{"an end without an answer", io.EOF, codegrant.ErrOutcomeUnknown},
		{"a failure nobody knows", fmt.Errorf("strange"), codegrant.ErrOutcomeUnknown},
	} {
		client, _ := tappedClient(t, func(*http.Request) (*http.Response, error) { return nil, tt.err })
		_, err := client.Pay(t.Context(), payRequest())
		require.ErrorIs(t, err, tt.want, tt.name)
		require.ErrorIs(t, err, tt.err, tt.name)
	}
}

func TestAClientServesManyGoroutines(t *testing.T) {
	t.Parallel()
	client, tap := tappedClient(t, answering(200, signedAnswer(`{"status":"SUCCESS"}`, nil)))
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			_, err := client.Pay(context.Background(), payRequest())
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.Len(t, tap.requests(), 8)
}
