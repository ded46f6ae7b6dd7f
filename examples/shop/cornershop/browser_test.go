package cornershop

import (
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// street is a shop with the simulator that it talks to.
type street struct {
	t       *testing.T
	shop    *Shop
	url     string
	gateway *gatewaytest.Server
	store   *memstore.Store
	routes  atomic.Value // of the shop, which may be another one by now
}

func newStreet(t *testing.T, cfg gatewaytest.Config) *street {
	t.Helper()
	gateway := gatewaytest.NewServer(cfg)
	server := httptest.NewUnstartedServer(nil)
	store := memstore.New()
	s, err := newShop("http://"+server.Listener.Addr().String(), gateway.URL, store)
	require.NoError(t, err)
	s.retryAfter = []time.Duration{0, 0}
	made := &street{t: t, shop: s, url: "http://" + server.Listener.Addr().String(), gateway: gateway, store: store}
	made.routes.Store(s.Routes())
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		made.routes.Load().(http.Handler).ServeHTTP(w, r)
	})
	server.Start()
	t.Cleanup(func() {
		s.Close()
		gateway.Close()
		server.Close()
	})
	return made
}

// newShop returns a shop that keeps everything in memory.
func newShop(baseURL, gatewayURL string, store *memstore.Store) (*Shop, error) {
	return New(Config{
		BaseURL: baseURL, GatewayURL: gatewayURL, Store: store, Payments: store, Log: slog.New(slog.DiscardHandler),
		Orders: NewOrderBook(), Sessions: NewSessionBook(), News: NewNewsBook(),
	})
}

// settled waits until nobody is doing anything any more.
func (s *street) settled() {
	s.shop.background.Wait()
	s.gateway.Wait()
}

// browser is one person's: it keeps cookies and follows links within the shop.
type browser struct {
	*street
	client *http.Client
}

func (s *street) open() *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	return &browser{s, &http.Client{Jar: jar, Timeout: 30 * time.Second, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if "http://"+r.URL.Host != s.url {
			return http.ErrUseLastResponse
		}
		return nil
	}}}
}

// visit is somebody who has signed in.
func (s *street) visit(name string) *browser {
	b := s.open()
	b.submit("/login", url.Values{"name": {name}})
	return b
}

// screen is what the browser shows.
type screen struct {
	status   int
	path     string // with the query
	location string // where the browser is being sent outside of the shop
	header   http.Header
	body     string
}

func (b *browser) do(method, path string, form url.Values, header ...string) screen {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(form.Encode()))
	require.NoError(b.t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := b.client.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return screen{
		status: response.StatusCode, path: response.Request.URL.RequestURI(),
		location: response.Header.Get("Location"), header: response.Header, body: string(body),
	}
}

func (b *browser) get(path string) screen { b.t.Helper(); return b.do(http.MethodGet, path, nil) }

func (b *browser) submit(path string, form url.Values) screen {
	b.t.Helper()
	return b.do(http.MethodPost, path, form)
}

// attribute returns the attribute that follows a marked one, "" when absent:
// attribute(body, `data-wallet="GCash"`, "data-status").
func attribute(body, marked, name string) string {
	found := regexp.MustCompile(regexp.QuoteMeta(marked) + ` ` + name + `="([^"]*)"`).FindStringSubmatch(body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// buyForm returns what the button of a product sends.
func buyForm(body, sku string) url.Values {
	_, card, _ := strings.Cut(body, fmt.Sprintf(`data-product=%q`, sku))
	form := url.Values{}
	for _, name := range []string{"order", "sku", "wallet"} {
		form.Set(name, attribute(card, fmt.Sprintf(`type="hidden" name=%q`, name), "value"))
	}
	return form
}

// startConnecting presses the button on the wallets page and returns the
// wallet's page.
func (b *browser) startConnecting(wallet string) string {
	b.t.Helper()
	require.Contains(b.t, b.get("/wallets").body, fmt.Sprintf(`data-connect=%q`, wallet))
	away := b.submit("/wallet/signup", url.Values{"wallet": {wallet}, "returnTo": {"/"}})
	require.Equal(b.t, http.StatusSeeOther, away.status, away.body)
	require.True(b.t, strings.HasPrefix(away.location, b.gateway.URL), away.location)
	return away.location
}

// returning is where the wallet's page sends the browser back to.
func (b *browser) returning(authURL string) string {
	b.t.Helper()
	back, err := b.gateway.ReturnURL(authURL)
	require.NoError(b.t, err)
	require.True(b.t, strings.HasPrefix(back, b.url), back)
	return strings.TrimPrefix(back, b.url)
}

func (b *browser) connect(wallet string) {
	b.t.Helper()
	require.NoError(b.t, b.gateway.Approve(b.startConnecting(wallet)))
	require.Equal(b.t, "active", b.wallet(wallet))
}

// wallet returns the status that the wallets page shows.
func (b *browser) wallet(name string) string {
	b.t.Helper()
	return attribute(b.get("/wallets").body, fmt.Sprintf(`data-wallet=%q`, name), "data-status")
}

// buy presses a product's button and returns the order's number.
func (b *browser) buy(sku string) string {
	b.t.Helper()
	form := buyForm(b.get("/").body, sku)
	after := b.submit("/buy", form)
	require.Equal(b.t, "/orders", after.path)
	return form.Get("order")
}

// order returns the state that the orders page shows.
func (b *browser) order(id string) string {
	b.t.Helper()
	return attribute(b.get("/orders").body, fmt.Sprintf(`data-order=%q`, id), "data-state")
}

// successes counts the charges that moved money.
func (s *street) successes() int {
	n := 0
	for _, charge := range s.gateway.Ledger().Charges {
		if charge.Status == gatewaytest.StatusSuccess {
			n++
		}
	}
	return n
}
