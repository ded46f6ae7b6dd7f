package browsertest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// office is a merchant with something in every state, and the page on which
// their staff see it.
type office struct {
	*codegrant.Kit
	t       *testing.T
	gateway *gatewaytest.Server
	url     string
	later   atomic.Int64
	refuses atomic.Bool // hooks
}

func (o *office) now() time.Time { return time.Now().Add(time.Duration(o.later.Load())) }

// hook is OnToken and OnPayment.
func (o *office) hook() error {
	if o.refuses.Load() {
		return errors.New("the merchant's database is away")
	}
	return nil
}

func openOffice(t *testing.T) *office {
	t.Helper()
	o := &office{t: t, gateway: gatewaytest.NewServer(gatewaytest.Config{ProcessingFirst: true, NotifyRefusals: true})}
	t.Cleanup(o.gateway.Close)
	store, server := memstore.New(), httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	var err error
	o.Kit, err = codegrant.New(codegrant.Config{
		Client: o.gateway.Client(), Store: store, Payments: store, BaseURL: base + "/wallet", Now: o.now,
		User:      func(*http.Request) (string, error) { return "nobody", nil },
		OnToken:   func(context.Context, codegrant.Change) error { return o.hook() },
		OnPayment: func(context.Context, codegrant.PaymentNotification) error { return o.hook() },
		Logger:    slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ops, err := console.New(console.Config{
		Kit: o.Kit, Store: store, Payments: store, Sweep: o.Reconcile, Now: o.now, Logger: slog.New(slog.DiscardHandler),
		Authorize: func(*http.Request) (string, error) { return "Mia Santos", nil },
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", o.Kit))
	mux.Handle("/ops/wallets/", http.StripPrefix("/ops/wallets", ops))
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	o.url = base + "/ops/wallets/"
	o.populate()
	return o
}

// longName has no place to break.
var longName = strings.Repeat("averylongusername", 15)

func (o *office) connect(user string, wallet codegrant.Wallet) codegrant.Token {
	o.t.Helper()
	signUp, err := o.StartSignUp(o.t.Context(), codegrant.SignUpParams{UserID: user, Wallet: wallet})
	require.NoError(o.t, err)
	require.NoError(o.t, o.gateway.Approve(signUp.AuthURL))
	return signUp
}

func (o *office) charge(order string) {
	o.t.Helper()
	_, err := o.Charge(o.t.Context(), codegrant.ChargeParams{
		UserID: "user-2041", OrderID: order, Amount: codegrant.Amount{Minor: 350_00, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "buyer@example.com",
	})
	if err != nil {
		require.ErrorIs(o.t, err, codegrant.ErrOutcomeUnknown)
	}
	o.gateway.Wait()
}

func (o *office) populate() {
	t := o.t
	ago := func(d time.Duration) { o.later.Store(-int64(d)) }
	ago(40 * 24 * time.Hour)
	o.connect("user-2041", codegrant.GCash)
	require.NoError(t, o.gateway.UnbindInWallet("user-2041", string(codegrant.GCash)))
	ago(26 * time.Hour)
	o.connect("user-2041", codegrant.AlipayHK)
	o.connect("user-2041", codegrant.GCash)
	ago(0) // the gateway has no other clock
	o.charge("order-10007")
	require.NoError(t, o.gateway.Settle("order-10007"))
	_, err := o.Refund(t.Context(), codegrant.RefundParams{
		OrderID: "order-10007", Amount: codegrant.Amount{Minor: 50_00, Currency: "PHP"}, Remark: "one cup was broken",
	})
	require.NoError(t, err)
	o.gateway.Wait()
	ago(25 * time.Minute)
	o.gateway.LoseNotifications(true)
	o.connect("user-3120", codegrant.Kakaopay)
	o.connect(longName, codegrant.TNGeWallet)
	o.gateway.LoseNotifications(false)
	ago(12 * time.Minute)
	ended := o.connect("user-1877", codegrant.DANA)
	o.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.Status500Before})
	_, err = o.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "user-1877", TokenID: ended.ID})
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	ago(6 * time.Minute)
	o.charge("order-10011")
	o.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	o.charge("order-10012")
	ago(4 * time.Minute)
	o.refuses.Store(true)
	o.connect("user-4410", codegrant.Boost)
	o.charge("order-10013")
	require.NoError(t, o.gateway.Settle("order-10013"))
	o.gateway.Hold() // what was refused is not delivered again meanwhile
	o.refuses.Store(false)
	ago(0)
}

// TestConsole looks for a user, an order and a token as the merchant's staff do,
// without scripts, sweeps, and looks at every page in the light and the dark.
func TestConsole(t *testing.T) {
	chromium := findChromium(t)
	s := &street{browser: startChromium(t, chromium)}
	for _, on := range []screen{phone, desktop} {
		t.Run(on.name, func(t *testing.T) {
			o := openOffice(t)
			p := s.arrive(t, "console", on)
			_, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
			require.NoError(t, err)
			p.visit(o.url)
			p.reads("h1", "Overview")
			p.reads(".big", "7 records wait")
			p.look("overview")

			p.find("user-2041")
			p.arrives(o.url + "user?")
			p.reads("h1", "user-2041")
			require.Equal(t, 3, p.count(".list > li"))
			p.look("user")
			p.press(".list a")
			p.arrives(o.url + "token?")
			p.reads(".badge", "active")
			p.look("token")

			p.find("order-10007")
			p.arrives(o.url + "order?")
			p.reads("main", "Refund 1 succeeded")
			p.look("order")

			p.press(`nav a[href="unsettled"]`)
			p.reads("main", "OnToken owed")
			require.Equal(t, 7, p.count(".list > li"))
			p.look("unsettled")
			p.dark(true)
			p.look("unsettled-dark")
			p.dark(false)

			p.find(longName)
			p.reads("h1", longName)
			p.look("long-name")
			o.foundByValue(p)
			p.watch.expect("404")
			p.find("nobody")
			p.reads("h1", "Nothing found")
			p.look("nothing")

			p.visit(o.url)
			p.press(`form[action="sweep"] button`)
			p.reads("#sweep ~ div", "Last asked for by Mia Santos")
			require.Equal(t, o.url+"#sweep", p.at())
			p.wait(`document.querySelector(".counts dd")?.textContent === "7" ? "" : "not seven looked at"`)
			p.look("swept")
			p.dark(true)
			p.look("swept-dark")
			p.dark(false)
			p.keys()
		})
	}
}

// foundByValue pastes the value of a token, which no page and no address shows.
func (o *office) foundByValue(p *person) {
	value := o.gateway.Ledger().Agreements[1].Token
	require.NotEmpty(p.t, value)
	p.find(value)
	p.arrives(o.url + "token?")
	p.reads("[role=alert]", "which is a credential")
	p.look("pasted")
	require.NotContains(p.t, ask[string](p, `document.documentElement.outerHTML + location.href`), value)
}

// keys goes through the page as people without a mouse do: first past the
// navigation, and every stop shows that it is one.
func (p *person) keys() {
	p.t.Helper()
	if p.screen.touch {
		return
	}
	stops := ask[[]string](p, `(() => {
		const stops = [];
		for (const e of document.querySelectorAll("a, button, input, select")) {
			e.focus({focusVisible: true});
			if (document.activeElement !== e) stops.push("no stop: " + e.outerHTML);
			if (getComputedStyle(e).outlineStyle === "none") stops.push("no outline: " + e.outerHTML);
		}
		return stops;
	})()`)
	require.Empty(p.t, stops)
	require.Equal(p.t, "#main", ask[string](p, `document.querySelector("a, button, input").getAttribute("href")`))
}

// find types into the search box and presses the button.
func (p *person) find(name string) {
	p.t.Helper()
	p.types("#q", name)
	p.press(".search button")
}

func (p *person) dark(on bool) {
	p.t.Helper()
	scheme := "light"
	if on {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(p.t, err)
}
