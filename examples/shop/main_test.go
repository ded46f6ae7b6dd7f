package main

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, stdout)
		_ = stdout.Close()
	}()
	var addresses []string
	lines := bufio.NewScanner(output)
	for len(addresses) < 3 && lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			addresses = append(addresses, strings.Fields(lines.Text()[i:])[0])
		}
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	require.Len(t, addresses, 3)
	for _, address := range addresses {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}

	taken := strings.TrimPrefix(addresses[0], "http://")
	require.ErrorContains(t, run(t.Context(), []string{"-addr", taken}, io.Discard), "already in use: choose another port")
	stop()
	require.NoError(t, <-ended)
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-addr 0.0.0.0:0":           "use 127.0.0.1",
		"-addr :0":                  "use 127.0.0.1",
		"-gateway-addr example:0":   "use 127.0.0.1",
		"-addr 8080":                "is not host:port",
		"-port 8080":                "see -help",
		"-addr 127.0.0.1:123456789": "-addr: listen tcp",
	} {
		require.ErrorContains(t, run(t.Context(), strings.Fields(args), io.Discard), want, args)
	}
	var help strings.Builder
	require.NoError(t, run(t.Context(), []string{"-help"}, &help))
	require.Contains(t, help.String(), "-gateway-addr")
}

func TestLoginStartsANewSession(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.open()
	require.Equal(t, "/login?m=sign-in", b.get("/orders").path)
	require.Contains(t, b.get("/login").body, "Any name works")
	for _, bad := range []string{"", "   ", strings.Repeat("x", 41), "a\x00b"} {
		require.Equal(t, http.StatusUnprocessableEntity, b.submit("/login", url.Values{"name": {bad}}).status)
	}
	address, err := url.Parse(s.url)
	require.NoError(t, err)
	b.submit("/login", url.Values{"name": {"Mia"}})
	first := b.client.Jar.Cookies(address)[0].Value
	b.submit("/login", url.Values{"name": {"Mia"}})
	second := b.client.Jar.Cookies(address)[0].Value
	require.NotEqual(t, first, second)
	stale := s.open()
	stale.client.Jar.SetCookies(address, []*http.Cookie{{Name: sessionCookie, Value: first}})
	require.Equal(t, "/login", stale.get("/").path, "the old one has ended")

	require.Equal(t, "/login?m=signed-out", b.submit("/logout", nil).path)
	require.Equal(t, "/login", b.get("/").path)
}

func TestSessionCookie(t *testing.T) {
	t.Parallel()
	for _, secure := range []bool{false, true} {
		w := httptest.NewRecorder()
		newSessions(secure).start(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil), "Mia")
		cookie := w.Result().Cookies()[0]
		require.True(t, cookie.HttpOnly)
		require.Equal(t, secure, cookie.Secure)
		require.Equal(t, http.SameSiteLaxMode, cookie.SameSite)
	}
}

func TestNamesAreEscaped(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit(`<script>alert("x")</script>`)
	b.connect("GCash")
	b.buy("tea")
	for _, path := range []string{"/", "/wallets", "/orders", "/nothing"} {
		page := b.get(path)
		require.NotContains(t, page.body, "<script>alert")
		require.Contains(t, page.body, "&lt;script&gt;")
		policy := page.header.Get("Content-Security-Policy")
		require.Contains(t, policy, "script-src 'self'")
		require.NotContains(t, policy, "unsafe")
	}
}

func TestOtherSitesCannotPost(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	for _, path := range []string{"/login", "/logout", "/buy", "/orders/refund", "/orders/check", "/wallet/signup", "/wallet/unbind"} {
		answer := b.do(http.MethodPost, path, url.Values{"wallet": {"GCash"}}, "Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example")
		require.Equal(t, http.StatusForbidden, answer.status, path)
		require.Contains(t, answer.body, "Not from this shop", path)
	}
	require.Equal(t, http.StatusOK, b.get("/").status)
}

func TestErrorsLookLikeTheShop(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	missing := b.get("/wallet/return/ABCDEF")
	require.Equal(t, http.StatusNotFound, missing.status)
	require.Contains(t, missing.body, `id="problem"`)
	require.Contains(t, missing.body, "Corner Shop")

	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Status500Before})
	broken := b.submit("/wallet/signup", url.Values{"wallet": {"GCash"}})
	require.Equal(t, http.StatusBadGateway, broken.status)
	require.Contains(t, broken.body, "did not answer")
	require.Contains(t, broken.body, `href="/wallets"`)

	back := b.returning(b.startConnecting("DANA"))
	require.Contains(t, s.open().get(back).body, "Please sign in")
	require.Equal(t, http.StatusNotFound, s.visit("Ben").get(back).status)
}

func TestOtherNamesOfTheMachineAreSentOn(t *testing.T) {
	t.Parallel()
	s, err := newShop("http://127.0.0.1:8080", "http://127.0.0.1:9", slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	w := httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:8080/orders?x=1", nil))
	require.Equal(t, http.StatusTemporaryRedirect, w.Code)
	require.Equal(t, "http://127.0.0.1:8080/orders?x=1", w.Header().Get("Location"))
	w = httptest.NewRecorder()
	s.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://evil.example/buy", nil))
	require.Equal(t, http.StatusMisdirectedRequest, w.Code)
}

func TestEveryProductHasAPriceForEveryWallet(t *testing.T) {
	t.Parallel()
	for _, p := range catalog() {
		for _, wallet := range codegrant.Wallets() {
			require.Positive(t, p.price(wallet.Wallet).Minor, "%s %s", p.SKU, wallet.Wallet)
		}
	}
}

func TestOrderStatesTakeNotificationsInAnyOrder(t *testing.T) {
	t.Parallel()
	price := codegrant.Amount{Minor: 100, Currency: "HKD"}
	newBook := func() *orderBook {
		b := newOrderBook(slog.New(slog.DiscardHandler))
		require.True(t, b.place(order{ID: "1", UserID: "mia", Amount: price}))
		require.False(t, b.place(order{ID: "1", UserID: "ben", Amount: price}))
		return b
	}
	state := func(b *orderBook) orderState { o, _ := b.find("mia", "1"); return o.State }

	b := newBook()
	b.pay("1", codegrant.Amount{Minor: 1, Currency: "HKD"})
	require.Equal(t, waiting, state(b), "not the price")
	b.decline("1", "no", false)
	b.pay("1", price)
	require.Equal(t, paid, state(b), "FAILED is not final")
	b.decline("1", "no", false)
	require.Equal(t, paid, state(b), "SUCCESS is")

	first, ok := b.askRefund("1")
	require.True(t, ok)
	_, ok = b.askRefund("1")
	require.False(t, ok)
	b.keep("1", "R1", "refused")
	second, _ := b.askRefund("1")
	require.Equal(t, first+1, second)
	b.keep("1", "R1", "refused")
	require.Equal(t, refunding, state(b), "old news of the first refund")
	b.pay("1", price)
	b.refund("1", price)
	b.pay("1", price)
	b.keep("1", "R2", "late")
	require.Equal(t, refunded, state(b))
	b.pay("unknown", price)
}
