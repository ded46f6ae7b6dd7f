package cornershop

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

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
		s := &Shop{sessions: NewSessionBook(), baseURL: "http://127.0.0.1"}
		if secure {
			s.baseURL = "https://shop.example"
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", nil)
		require.NoError(t, s.startSession(w, r, "Mia"))
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
	s, err := newShop("http://127.0.0.1:8080", "http://127.0.0.1:9", memstore.New())
	require.NoError(t, err)
	t.Cleanup(s.Close)
	w := httptest.NewRecorder()
	s.Routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:8080/orders?x=1", nil))
	require.Equal(t, http.StatusTemporaryRedirect, w.Code)
	require.Equal(t, "http://127.0.0.1:8080/orders?x=1", w.Header().Get("Location"))
	w = httptest.NewRecorder()
	s.Routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://evil.example/buy", nil))
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
