package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// TestNoAnswerCarriesACause makes the gateway, the store, the hooks and the
// merchant's User fail with errors and answers that say the token, the salt
// and internals aloud. What browsers, JSON clients and the gateway get, and
// what the log keeps of the gateway's, has none of it.
func TestNoAnswerCarriesACause(t *testing.T) {
	t.Parallel()
	const internals = "SENTINEL-dsn-postgres"
	loud := fmt.Errorf("%s: row (%s, %s)", internals, tokenValue, gatewaytest.DefaultSalt)
	signed := func(members map[string]string) func(*shop, *http.Request) (*http.Response, error) {
		return func(s *shop, r *http.Request) (*http.Response, error) {
			body := s.gateway.SignedBody(`{"status":"FAILED","token":"`+tokenValue+`","resultDescription":"`+tokenValue+`"}`, members)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, nil
		}
	}
	aloud := "no such token " + tokenValue + " " + gatewaytest.DefaultSalt + " " + internals
	for _, tc := range []struct {
		name    string
		gateway func(*shop, *http.Request) (*http.Response, error)
		store   string // the method that fails
		hook    bool
		user    bool
	}{
		{name: "a refusal that echoes the token", gateway: signed(map[string]string{"code": "102000", "description": aloud})},
		{name: "a breakdown that echoes the token", gateway: signed(map[string]string{"code": "500000", "description": aloud})},
		{name: "an unsigned answer that echoes the token", gateway: signed(map[string]string{"code": "102000", "description": aloud, "signType": "NONE"})},
		{name: "a page that echoes the token", gateway: func(_ *shop, r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 500, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("<h1>" + aloud)), Request: r}, nil
		}},
		{name: "a transport that says too much", gateway: func(*shop, *http.Request) (*http.Response, error) { return nil, errors.New(internals) }},
		{name: "a store that cannot read", store: "Get"},
		{name: "a store that cannot save", store: "Save"},
		{name: "a store that cannot look up", store: "ByUser"},
		{name: "a store that cannot find tokens", store: "ByFingerprint"},
		{name: "a failing hook", hook: true},
		{name: "a failing session store", user: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var s *shop
			failing := false
			hook := func() error {
				if failing && tc.hook {
					return loud
				}
				return nil
			}
			s = newShop(t, withClient(func(c *codegrant.ClientConfig) {
				c.HTTPClient = &http.Client{Transport: &wireTap{reply: func(r *http.Request) (*http.Response, error) {
					if failing && tc.gateway != nil {
						return tc.gateway(s, r)
					}
					return s.gateway.Transport().RoundTrip(r)
				}}}
			}), withConfig(func(c *codegrant.Config) {
				c.Store = &faultyStore{TokenStore: memstore.New(), before: func(_ context.Context, method string) error {
					if failing && method == tc.store {
						return loud
					}
					return nil
				}}
				c.OnToken = func(context.Context, codegrant.Change) error { return hook() }
				c.OnPayment = func(context.Context, codegrant.PaymentNotification) error { return hook() }
				c.OnRefund = func(context.Context, codegrant.RefundNotification) error { return hook() }
				c.OnUnknown = func(context.Context, codegrant.Notification) error { return hook() }
				user := c.User
				c.User = func(r *http.Request) (string, error) {
					if failing && tc.user {
						return "", loud
					}
					return user(r)
				}
			}))
			token, pending := s.connect(t, "ann"), s.start(t, "ann")
			value := token.Value.Reveal()
			failing = true
			met := map[int]int{}
			for _, accept := range []string{"text/html", "application/json"} {
				header := []string{"Accept", accept}
				for name, a := range map[string]answer{
					"sign-up": s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}}, header...),
					"return":  s.browse(t, "ann", baseURL+"/return/"+pending.ID, header...),
					"status":  s.browse(t, "ann", baseURL+"/status", header...),
					"one":     s.browse(t, "ann", baseURL+"/status/"+token.ID, header...),
					"success": s.deliver(t, pending.ID, s.gateway.SignedBody(bizOf(created, pending.ID, "ann", tokenValue), nil)),
					"payment": s.deliver(t, "x", s.gateway.SignedBody(`{"notifyType":"RECHARGE","merchantTransactionId":"O","status":"SUCCESS","amount":"1.00","currency":"PHP"}`, nil)),
					"other":   s.deliver(t, "x", s.gateway.SignedBody(bizOf("ELSE", "R", "ann", tokenValue), nil)),
					"unbind":  s.submit(t, "ann", "/unbind", url.Values{"id": {token.ID}}, header...),
				} {
					met[a.Code]++
					shown := fmt.Sprint(a.Code, a.Header(), a.Body.String())
					for _, secret := range []string{tokenValue, value, gatewaytest.DefaultSalt, internals, "row ("} {
						requireWithout(t, shown, secret, name+" shows a cause to "+accept)
					}
				}
			}
			require.Positive(t, met[502]+met[503], "nothing failed")
			log := s.log.String()
			require.NotEmpty(t, log)
			requireWithout(t, log, value, "the log shows the user's token")
			if tc.gateway != nil { // what the merchant's own errors say is theirs to log
				requireWithout(t, log, tokenValue, "the log shows an echoed token")
				requireWithout(t, log, gatewaytest.DefaultSalt, "the log shows an echoed salt")
			}
		})
	}
}

// requireWithout is require.NotContains that does not print what it looked for.
func requireWithout(t testing.TB, text, secret, message string) {
	t.Helper()
	if strings.Contains(text, secret) {
		t.Fatal(message)
	}
}
