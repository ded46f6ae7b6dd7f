package browsertest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// buyer is who pays with a wallet, on which screen, and what they pay for tea.
type buyer struct {
	wallet         codegrant.Wallet
	phone, desktop string
	price          string
}

// mainJob is what the shop is for, from the first visit to the end of the
// agreement, from both sides.
func (s *street) mainJob(t *testing.T, b buyer, on screen) {
	wallet, name := string(b.wallet), b.desktop
	if on.touch {
		name = b.phone
	}
	p := s.arrive(t, wallet, on)
	p.visit(s.shop.url)
	p.sees("#login")
	p.look("sign-in")
	p.signsIn(name)
	p.sees("#no-wallet")
	p.look("shop-without-wallet")

	p.goes("/wallets")
	p.look("wallets")
	p.startsConnecting(wallet)
	p.reads("h1", wallet)
	p.reads("#wallet", wallet)
	p.look("consent")
	p.press("#agree")
	p.arrives(s.shop.url + "/wallet/return/")
	p.sees(result(wallet, "pending"))
	p.look("pending")
	p.sees(result(wallet, "active"))
	p.look("connected")
	p.press("#continue")
	p.arrives(s.shop.url + "/")
	p.sees(fmt.Sprintf("#pay-with[data-wallet=%q]", wallet))
	require.Equal(t, b.price, p.text("[data-product=tea] [data-price]"))
	p.look("shop")

	order := p.buys("tea")
	p.sees(state(order, "paid"))
	p.reads("[data-order]", b.price)
	require.Equal(t, 1, p.count("[data-order]"))
	p.look("order-paid")
	p.press(fmt.Sprintf("[data-refund=%q]", order))
	p.sees(state(order, "refunded"))
	p.look("refunded")

	p.goes("/wallets")
	p.press(fmt.Sprintf("[data-disconnect=%q]", wallet))
	p.sees(row(wallet, "unbound"))
	p.look("disconnected-here")

	p.connects(wallet)
	p.look("connected-again")
	p.goes("/wallets")
	p.sees(row(wallet, "active"))
	p.look("wallets-connected")
	back := p.opens("#wallet-app")
	p.reads("#live .brand", wallet)
	require.Equal(t, 1, p.count("#live section"), "the first agreement has ended")
	p.reads("#ended", "Ended by the merchant")
	p.look("wallet-app")
	agreement := p.attribute("#live section", "id")
	p.press("#live [name=unbind]")
	p.reads("#ended #"+agreement, "Ended by the user in the wallet")
	p.sees("#none")
	p.look("wallet-app-unbound")
	back()
	p.sees(row(wallet, "unbound"))
	p.reads(row(wallet, "unbound"), "in the wallet")
	p.look("disconnected-in-the-wallet")

	p.goes("/")
	p.reads("#no-wallet", "You disconnected "+wallet)
	p.look("shop-after-disconnecting")
	p.press("[data-buy=tea]")
	p.arrives(s.shop.url + "/wallets")
	p.reads("#notice", "Nothing was charged")
	p.look("connect-first")
	p.goes("/orders")
	require.Equal(t, 1, p.count("[data-order]"), "nothing was bought without a wallet")
	_, _, requests := p.watch.found()
	require.Greater(t, requests, 20, "requests are not being watched")
}

// signsIn types a name on the login page.
func (p *person) signsIn(name string) {
	p.t.Helper()
	p.types("#name", name)
	p.press("#login")
	p.reads("#user", name)
}

// enters opens the shop and signs in.
func (p *person) enters(name string) {
	p.t.Helper()
	p.visit(p.shop.url)
	p.signsIn(name)
}

// goes follows a link of the navigation.
func (p *person) goes(path string) {
	p.t.Helper()
	p.press(fmt.Sprintf("nav a[href=%q]", path))
	p.sees(fmt.Sprintf(`nav a[href=%q][aria-current=page]`, path))
	p.arrives(p.shop.url + path)
}

// startsConnecting presses the button on the wallets page and comes to the
// wallet's own.
func (p *person) startsConnecting(wallet string) {
	p.t.Helper()
	p.press(fmt.Sprintf("[data-connect=%q]", wallet))
	p.sees("#agree")
}

// connects does it all, from the wallets page to the shop.
func (p *person) connects(wallet string) {
	p.t.Helper()
	p.startsConnecting(wallet)
	p.press("#agree")
	p.sees(result(wallet, "active"))
	p.press("#continue")
	p.sees(fmt.Sprintf("#pay-with[data-wallet=%q]", wallet))
}

// buys presses one button and returns the order's number.
func (p *person) buys(sku string) string {
	p.t.Helper()
	p.sees(fmt.Sprintf("[data-buy=%q]", sku))
	order := p.attribute(fmt.Sprintf("[data-product=%q] [name=order]", sku), "value")
	p.press(fmt.Sprintf("[data-buy=%q]", sku))
	p.arrives(p.shop.url + "/orders")
	return order
}

// result is the shop's return page.
func result(wallet, status string) string {
	return fmt.Sprintf("#result[data-wallet=%q][data-status=%q]", wallet, status)
}

// row is a wallet on the wallets page.
func row(wallet, status string) string {
	return fmt.Sprintf("li[data-wallet=%q][data-status=%q]", wallet, status)
}

// state is an order on the orders page.
func state(order, state string) string {
	return fmt.Sprintf("[data-order=%q][data-state=%q]", order, state)
}

// ledger checks what the gateway did for all these people.
func (s *street) ledger(t *testing.T) {
	for _, on := range []screen{phone, desktop} {
		p := s.arrive(t, "ledger", on)
		p.visit(s.shop.ledger)
		p.sees("#charges")
		require.Zero(t, p.count("#twice"), "somebody was charged twice")
		require.Equal(t, p.count("#charges tbody tr"), p.count("#charges .badge.SUCCESS"))
		require.Equal(t, 6, p.count("#refunds .badge.SUCCESS"))
		p.look("all")
	}
}
