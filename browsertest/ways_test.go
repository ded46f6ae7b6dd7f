package browsertest

import (
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// refusal is a user who says no in the wallet.
func (s *street) refusal(t *testing.T) {
	p := s.arrive(t, "refuse", phone)
	p.enters("Refusing Rita")
	p.goes("/wallets")
	p.startsConnecting("DANA")
	p.press("#refuse")
	p.arrives(s.shop.url + "/wallet/return/")
	p.sees(result("DANA", "failed"))
	p.reads("#result", "The wallet did not agree, and nothing was charged.")
	p.look("refused")
	p.press("#continue")
	p.sees(row("DANA", "failed"))
	p.sees(`[data-connect="DANA"]`)
	p.look("wallets")
}

// undecided is a user who comes back without an answer and goes on later.
func (s *street) undecided(t *testing.T) {
	p := s.arrive(t, "leave", desktop)
	p.enters("Undecided Uma")
	p.goes("/wallets")
	p.startsConnecting("Boost")
	p.press("#leave")
	p.arrives(s.shop.url + "/wallet/return/")
	p.sees(result("Boost", "pending"))
	p.look("still-pending")
	p.press("#continue")
	p.sees(row("Boost", "pending"))
	p.look("wallets-pending")
	p.press(`[data-continue="Boost"]`)
	p.sees("#agree")
	p.press("#agree")
	p.sees(result("Boost", "active"))
	p.goes("/wallets")
	p.sees(row("Boost", "active"))
	p.press("#logout")
	p.sees("#login")
	p.look("signed-out")
}

// withoutScripts pays where no page may run one: pages reload instead.
func (s *street) withoutScripts(t *testing.T) {
	p := s.arrive(t, "no-scripts", phone)
	_, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	p.enters("Plain Paul")
	p.goes("/wallets")
	p.startsConnecting("TNG eWallet")
	p.press("#agree")
	p.sees(result("TNG eWallet", "pending"))
	require.Equal(t, 1, p.count("meta[http-equiv=refresh]"), "scripts are still on")
	p.look("pending")
	p.sees(result("TNG eWallet", "active"))
	p.look("connected")
	p.press("#continue")
	order := p.buys("mug")
	p.sees(state(order, "paid"))
	p.look("order-paid")
}

// lost is a user of whom no notification reaches the shop. The shop asks by
// itself, also when nobody waits on the return page.
func (s *street) lost(t *testing.T) {
	operator := s.arrive(t, "lost-operator", desktop)
	operator.visit(s.shop.ledger)
	operator.press("[name=lose][value=yes]")
	operator.sees("[name=lose][value=no]")
	operator.look("notifications-are-lost")

	p := s.arrive(t, "lost", phone)
	p.enters("Lost Lena")
	p.goes("/wallets")
	p.startsConnecting("GCash")
	p.press("#agree")
	p.arrives(s.shop.url + "/wallet/return/")
	p.press("#continue")
	p.sees(row("GCash", "pending"))
	p.look("pending")
	p.sees(row("GCash", "active"))
	p.look("healed")
	p.goes("/")
	order := p.buys("tea")
	p.sees(state(order, "paid"))
	p.look("order-paid")

	operator.visit(s.shop.ledger)
	operator.sees("#notifications .badge.lost")
	operator.press("[name=lose][value=no]")
	operator.sees("[name=lose][value=yes]")
	operator.look("notifications-are-delivered")
}

// emptyName gets an answer next to the field.
func (s *street) emptyName(t *testing.T) {
	p := s.arrive(t, "login", phone)
	p.watch.expect("422")
	p.visit(s.shop.url + "/orders")
	p.reads("#notice", "Sign in first")
	p.types("#name", "   ")
	p.press("#login")
	p.sees("#name-error")
	require.Equal(t, "name-error", p.attribute("#name", "aria-describedby"))
	p.look("empty-name")
}
