package gatewaytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// shop is a merchant with a notification endpoint, in memory.
type shop struct {
	t       *testing.T
	gateway *gatewaytest.Gateway
	client  *http.Client

	mu      sync.Mutex
	inbox   []string
	answers []func(http.ResponseWriter, *http.Request)
	next    []func(http.ResponseWriter, *http.Request) // answers of the shop after a restart
}

func newShop(t *testing.T, cfg gatewaytest.Config) *shop {
	s := &shop{t: t}
	cfg.Seed = 1
	cfg.BaseURL = "http://gateway.test"
	cfg.HTTPClient = &http.Client{Transport: gatewaytest.HandlerTransport(s), Timeout: 10 * time.Second}
	s.gateway = gatewaytest.New(cfg)
	s.client = &http.Client{
		Transport: s.gateway.Transport(),
		Timeout:   30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	t.Cleanup(s.gateway.Close)
	return s
}

// ServeHTTP records a notification and answers with the next of s.answers, or
// OK when there is none.
func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.inbox = append(s.inbox, string(body))
	var reply func(http.ResponseWriter, *http.Request)
	if len(s.answers) > 0 {
		reply, s.answers = s.answers[0], s.answers[1:]
	}
	s.mu.Unlock()
	if reply != nil {
		reply(w, r)
		return
	}
	_, _ = io.WriteString(w, "OK")
}

func (s *shop) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.inbox)
}

type object = map[string]any

// post sends a signed call; change edits the envelope before it is signed.
func (s *shop) post(path string, biz any, change ...func(map[string]string)) (*http.Response, error) {
	text, err := json.Marshal(biz)
	require.NoError(s.t, err)
	members := map[string]string{
		"accId":      gatewaytest.DefaultAccountID,
		"clientId":   gatewaytest.DefaultClientID,
		"signType":   gatewaytest.SHA256,
		"version":    "1.0",
		"bizContent": string(text),
	}
	for _, edit := range change {
		edit(members)
	}
	if members["sign"] == "" {
		members["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, members["signType"], members)
	}
	body, err := json.Marshal(members)
	require.NoError(s.t, err)
	return s.send(context.Background(), path, body)
}

func (s *shop) send(ctx context.Context, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://gateway.test"+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	return s.client.Do(req)
}

// result is a decoded answer. Envelope holds the members as signed.
type result struct {
	Envelope map[string]string
	Biz      object
}

func (r result) code() string { return r.Envelope["code"] }

func (r result) biz(name string) string {
	text, _ := r.Biz[name].(string)
	return text
}

func (s *shop) read(resp *http.Response) result {
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, http.StatusOK, resp.StatusCode, string(body))
	var r result
	require.NoError(s.t, json.Unmarshal(body, &r.Envelope), string(body))
	if r.Envelope["bizContent"] != "" {
		require.NoError(s.t, json.Unmarshal([]byte(r.Envelope["bizContent"]), &r.Biz))
	}
	return r
}

// call is post for answers that must be signed.
func (s *shop) call(path string, biz any, change ...func(map[string]string)) result {
	s.t.Helper()
	resp, err := s.post(path, biz, change...)
	require.NoError(s.t, err)
	r := s.read(resp)
	require.True(s.t, signed(r.Envelope), "answer is not signed: %v", r.Envelope)
	return r
}

func signed(members map[string]string) bool {
	return members["sign"] != "" &&
		members["sign"] == gatewaytest.Sign(gatewaytest.DefaultSalt, members["signType"], members)
}

func with(biz object, changes object) object {
	changed := maps.Clone(biz)
	maps.Copy(changed, changes)
	maps.DeleteFunc(changed, func(_ string, value any) bool { return value == nil })
	return changed
}

func bindRequest() object {
	return object{
		"requestId":         "REQ-1",
		"merchantUserId":    "user-1",
		"paymentMethod":     object{"type": "GCash"},
		"merchantResultUrl": "https://shop.example/return/1",
		"notificationUrl":   "https://shop.example/notify/1",
		"device":            object{"orderTerminal": "01"},
		"bizType":           "CodeGrant",
	}
}

func payRequest(token string) object {
	return object{
		"token":                 token,
		"bizType":               "CodeGrant",
		"merchantUserId":        "user-1",
		"paymentMethod":         object{"type": "GCash"},
		"requestId":             "PAY-1",
		"merchantTransactionId": "ORDER-1",
		"amount":                "100",
		"currency":              "PHP",
		"captureDelayHours":     0,
		"shopperIP":             "192.0.2.7",
		"notificationUrl":       "https://shop.example/pay",
		"customer":              object{"email": "user@example.com"},
		"device":                object{"orderTerminal": "02"},
	}
}

// signUp makes a sign-up, lets the user agree and returns the paying token.
func (s *shop) signUp(changes object) string {
	s.t.Helper()
	bound := s.call("/v4/paymethod/bind", with(bindRequest(), changes))
	require.NoError(s.t, s.gateway.Approve(bound.biz("authUrl")))
	agreements := s.gateway.Ledger().Agreements
	return agreements[len(agreements)-1].Token
}
