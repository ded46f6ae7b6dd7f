package main

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demotest"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// openApp opens the shop on Fiber's own server.
func openApp(t *testing.T, newApp func(*codegrant.Client, string) (*fiber.App, error)) *demotest.Shop {
	t.Helper()
	return demotest.Open(t, func(listener net.Listener, client *codegrant.Client, url string) func() {
		app, err := newApp(client, url)
		require.NoError(t, err)
		go func() { _ = app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}) }()
		return func() { _ = app.Shutdown() }
	})
}

func TestOnePayment(t *testing.T) {
	t.Parallel()
	demotest.OnePayment(t, openApp(t, newApp))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	demotest.Refusals(t, openApp(t, newApp))
}

// Fiber parses every request of a connection into the same memory.
func TestWhatIsKeptIsNotOverwrittenByTheNextRequest(t *testing.T) {
	t.Parallel()
	shop := openApp(t, newApp)
	b := shop.Browser(t)
	back := b.Connect()
	for range 3 {
		b.Buy("XXXXX") // as long as GCash, in the place of the form's first field
	}
	require.Contains(t, b.Get(back).Body, "GCash is connected")
	require.Equal(t, "GCash", shop.Gateway.Ledger().Charges[0].Wallet)
	require.Equal(t, 1, shop.Paid())
}

func TestReturnPageFollowsTheRecord(t *testing.T) {
	t.Parallel()
	shop := openApp(t, newApp)
	b := shop.Browser(t)
	authURL := b.Start()
	back, err := shop.Gateway.ReturnURL(authURL)
	require.NoError(t, err)
	back = strings.TrimPrefix(back, shop.URL)

	waiting := b.Get(back + "?status=SUCCESS")
	require.Contains(t, waiting.Body, "Waiting for the wallet")
	require.Equal(t, "3", waiting.Header.Get("Refresh"))
	require.NoError(t, shop.Gateway.Approve(authURL))
	connected := b.Get(back)
	require.Contains(t, connected.Body, "GCash is connected")
	require.Empty(t, connected.Header.Get("Refresh"))
}

func TestReturnPageAsksWhatNobodyTold(t *testing.T) {
	t.Parallel()
	var later atomic.Int64 // how far the kit's clock is ahead
	shop := openApp(t, func(client *codegrant.Client, url string) (*fiber.App, error) {
		kit, err := codegrant.New(codegrant.Config{
			Client: client, Store: memstore.New(), BaseURL: url + "/wallet",
			User: func(*http.Request) (string, error) { return "", nil },
			Now:  func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
		})
		return routes(kit), err
	})
	shop.Gateway.LoseNotifications(true)
	b := shop.Browser(t)
	authURL := b.Start()
	require.NoError(t, shop.Gateway.Approve(authURL))
	require.Zero(t, shop.Delivered())
	later.Store(int64(time.Minute))
	back, err := shop.Gateway.ReturnURL(authURL)
	require.NoError(t, err)
	require.Contains(t, b.Get(strings.TrimPrefix(back, shop.URL)).Body, "GCash is connected")
}

func TestUnbindingWithoutAnAnswerStopsCharges(t *testing.T) {
	t.Parallel()
	shop := openApp(t, newApp)
	b := shop.Browser(t)
	b.Connect()
	shop.Gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetBefore})
	require.Equal(t, http.StatusSeeOther, b.Disconnect().Status)
	require.Equal(t, http.StatusConflict, b.Buy("late").Status)
	require.Zero(t, shop.Paid())
}

func TestErrorsSayNothingOfWhy(t *testing.T) {
	t.Parallel()
	shop := openApp(t, newApp)
	b := shop.Browser(t)
	shop.Gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.ResetAfter})
	for want, answer := range map[int]demotest.Answer{
		http.StatusBadGateway: b.Submit("/wallet/signup", url.Values{"wallet": {"GCash"}}),
		http.StatusBadRequest: b.Submit("/wallet/signup", url.Values{"wallet": {"<script>"}}),
		http.StatusNotFound:   b.Get("/wallet/nothing"),
	} {
		require.Equal(t, want, answer.Status)
		require.Equal(t, http.StatusText(want), answer.Body)
	}
}
