package demotest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/codegrant/codegrant/gatewaytest"
)

func contains(t *testing.T, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%q is not in %q", part, text)
	}
}

// OnePayment is the whole life of a wallet at the shop: connected, charged, charged
// again for the same order, disconnected. Money moves once.
func OnePayment(t *testing.T, s *Shop) {
	t.Helper()
	b := s.Browser(t)
	contains(t, b.Get("/").Body, "No wallet is connected")
	equal(t, http.StatusConflict, b.Buy("too-early").Status, "buying without a wallet")

	back := b.Get(b.Connect())
	equal(t, http.StatusOK, back.Status, "the return page")
	contains(t, back.Body, "GCash is connected")

	equal(t, "no-store", b.Get("/").Header.Get("Cache-Control"), "caching of the page")

	order := b.Field("order")
	for range 2 {
		bought := b.Buy(order)
		equal(t, http.StatusOK, bought.Status, "buying: "+bought.Body)
		contains(t, bought.Body, "Paid 350.00 PHP. Order "+order)
		equal(t, 1, len(s.Gateway.Ledger().Charges), "charges at the gateway")
	}
	equal(t, http.StatusOK, s.Delivered(), "the notification of the payment")
	contains(t, s.Sent(), "127.0.0.1")
	equal(t, false, strings.Contains(s.Sent(), elsewhere), "believing the browser about its address")

	gone := b.Disconnect()
	equal(t, http.StatusSeeOther, gone.Status, "disconnecting: "+gone.Body)
	equal(t, "no-store", gone.Header.Get("Cache-Control"), "caching of the answer")
	equal(t, "/", gone.Location, "where the browser goes after disconnecting")
	contains(t, b.Get("/").Body, "No wallet is connected")
	equal(t, gatewaytest.EndedByMerchant, s.Gateway.Ledger().Agreements[0].EndedBy, "who ended the agreement")
	equal(t, http.StatusConflict, b.Buy("too-late").Status, "buying after disconnecting")

	equal(t, 1, s.Paid(), "payments")
	equal(t, 0, len(s.Gateway.Ledger().ChargedTwice()), "orders charged twice")
}

// Refusals is what the shop must refuse, whatever the framework does around
// the kit.
func Refusals(t *testing.T, s *Shop) {
	t.Helper()
	b, other := s.Browser(t), s.Browser(t)
	back := b.Connect()
	id := b.Field("id")
	gcash := url.Values{"wallet": {"GCash"}}

	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site"},
		{"Sec-Fetch-Site", "same-site"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		{"Sec-Fetch-Site", "", "Origin", "null"},
		{"Sec-Fetch-Site", "", "Origin", "https://evil.example", "X-Forwarded-Host", "evil.example"},
	} {
		equal(t, http.StatusForbidden, b.Submit("/wallet/signup", gcash, header...).Status, strings.Join(header, " "))
		equal(t, http.StatusForbidden, b.Submit("/wallet/unbind", url.Values{"id": {id}}, header...).Status, strings.Join(header, " "))
		equal(t, http.StatusForbidden, b.Submit("/buy", url.Values{"order": {"o"}}, header...).Status, strings.Join(header, " "))
	}
	for _, path := range []string{"/wallet/signup", "/wallet/unbind", "/wallet/notify/" + id} {
		equal(t, http.StatusMethodNotAllowed, b.Get(path).Status, "GET "+path)
	}
	nobodys := "/wallet/return/" + strings.Repeat("A", 26)
	for _, answer := range []Answer{other.Get(back), other.Get(nobodys), b.Get(nobodys)} {
		equal(t, http.StatusNotFound, answer.Status, "somebody else's return page")
		if strings.Contains(answer.Body, "GCash") {
			t.Fatal("somebody else's record is shown")
		}
		equal(t, "no-store", answer.Header.Get("Cache-Control"), "caching of the return page")
	}
	equal(t, http.StatusNotFound, other.Submit("/wallet/unbind", url.Values{"id": {id}}).Status, "unbinding somebody else's wallet")
	stranger := &Browser{t: t, shop: s, client: &http.Client{}}
	equal(t, http.StatusUnauthorized, stranger.Submit("/wallet/signup", gcash).Status, "signing up without a session")

	for name, tc := range map[string]struct {
		body   string
		header []string
		want   int
	}{
		"nothing":         {"", nil, http.StatusBadRequest},
		"no JSON":         {"hello", nil, http.StatusBadRequest},
		"a forged one":    {string(forged(s)), nil, http.StatusUnauthorized},
		"a very long one": {strings.Repeat("x", 65<<10), nil, http.StatusRequestEntityTooLarge},
		"one in gzip, which is not what was signed": {
			zipped(t, s.Gateway.SignedBody(`{"notifyType":"NEWS"}`, nil)), []string{"Content-Encoding", "gzip"}, http.StatusBadRequest,
		},
	} {
		answer := b.Do(http.MethodPost, "/wallet/notify/"+id, tc.body, append(tc.header, "Content-Type", "application/json")...)
		equal(t, tc.want, answer.Status, name)
		equal(t, http.StatusText(tc.want), answer.Body, name)
		equal(t, "no-store", answer.Header.Get("Cache-Control"), name)
	}
	genuine := b.Do(http.MethodPost, "/wallet/notify/"+id, string(s.Gateway.SignedBody(`{"notifyType":"NEWS"}`, nil)))
	equal(t, "200 OK", fmt.Sprint(genuine.Status, " ", genuine.Body), "a genuine notification")
	contains(t, b.Get("/").Body, "GCash is connected")
	equal(t, 0, len(s.Gateway.Ledger().Charges), "charges")
}

func zipped(t *testing.T, body []byte) string {
	t.Helper()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := w.Write(body)
	must(t, err)
	must(t, w.Close())
	return zipped.String()
}

// forged is a notification that was signed and then changed.
func forged(s *Shop) []byte {
	body := s.Gateway.SignedBody(`{"notifyType":"CANCEL"}`, nil)
	return []byte(strings.Replace(string(body), "CANCEL", "CANCEl", 1))
}
