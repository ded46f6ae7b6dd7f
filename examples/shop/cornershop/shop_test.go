package cornershop

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestEveryWalletConnectsPaysAndRefunds(t *testing.T) {
	t.Parallel()
	for _, wallet := range codegrant.Wallets() {
		name := string(wallet.Wallet)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, gatewaytest.Config{})
			b := s.visit("Mia")
			require.Contains(t, b.get("/").body, `id="no-wallet"`)

			authURL := b.startConnecting(name)
			back := b.returning(authURL)
			pending := b.get(back)
			require.Equal(t, "pending", attribute(pending.body, `data-wallet="`+name+`"`, "data-status"))
			require.Contains(t, pending.body, " data-live")
			require.Equal(t, "pending", b.wallet(name))
			require.NoError(t, s.gateway.Approve(authURL))
			connected := b.get(back)
			require.Equal(t, "active", attribute(connected.body, `data-wallet="`+name+`"`, "data-status"))
			require.NotContains(t, connected.body, " data-live")
			require.Contains(t, connected.body, `href="/">Continue to the shop`)
			require.Equal(t, "active", b.wallet(name))

			home := b.get("/").body
			mug, _ := findProduct("mug")
			require.Contains(t, home, mug.price(wallet.Wallet).String())
			id := b.buy("mug")
			require.Equal(t, "paid", b.order(id), "the answer tells, and the notification only again")
			require.Equal(t, "/orders", b.submit("/orders/refund", url.Values{"order": {id}}).path)
			b.submit("/orders/refund", url.Values{"order": {id}})
			require.Equal(t, "refunded", b.order(id))
			s.settled()
			require.Equal(t, "refunded", b.order(id))

			books := s.gateway.Ledger()
			require.Len(t, books.Charges, 1)
			require.Equal(t, wallet.Currencies[0], books.Charges[0].Currency)
			require.Len(t, books.Refunds, 1)
			require.Empty(t, books.ChargedTwice())
		})
	}
}

func TestFormThatIsSentTwiceBuysOnce(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("GCash")
	form := buyForm(b.get("/").body, "tea")
	var clicks sync.WaitGroup
	for range 8 {
		clicks.Go(func() { b.submit("/buy", form) })
	}
	clicks.Wait()
	require.Equal(t, "/orders?m=twice", b.submit("/buy", form).path)
	s.settled()
	require.Equal(t, "paid", b.order(form.Get("order")))
	require.Equal(t, 1, strings.Count(b.get("/orders").body, "data-order="))
	require.Len(t, s.gateway.Ledger().Charges, 1)
	require.Empty(t, s.gateway.Ledger().ChargedTwice())

	b.buy("tea")
	require.Len(t, s.gateway.Ledger().Charges, 2, "a new page is a new order")
}

func TestOrderNumberBuysOnlyWhatWasShown(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("GCash")
	b.connect("DANA")
	form := buyForm(b.get("/?wallet=GCash").body, "tea")
	for name, value := range map[string]string{"sku": "umbrella", "wallet": "DANA", "order": "MADE-UP"} {
		forged := url.Values{"order": form["order"], "sku": form["sku"], "wallet": form["wallet"]}
		forged.Set(name, value)
		require.Equal(t, "/?m=stale", b.submit("/buy", forged).path)
	}
	other := s.visit("Ben")
	other.connect("GCash")
	require.Equal(t, "/?m=stale", other.submit("/buy", form).path)
	b.submit("/login", url.Values{"name": {"Mia"}})
	require.Equal(t, "/?m=stale", b.submit("/buy", form).path, "a new session")
	require.Empty(t, s.gateway.Ledger().Charges)
}

func TestTwoWalletsChargeTheChosenOne(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("GCash")
	b.connect("DANA")
	require.Equal(t, "DANA", buyForm(b.get("/").body, "tea").Get("wallet"), "the newest one")
	form := buyForm(b.get("/?wallet=GCash").body, "tea")
	b.submit("/buy", form)
	charges := s.gateway.Ledger().Charges
	require.Len(t, charges, 1)
	require.Equal(t, "GCash", charges[0].Wallet)

	form = buyForm(b.get("/?wallet=GCash").body, "tea")
	require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
	require.Equal(t, "/wallets?m=connect", b.submit("/buy", form).path, "never another wallet instead")
	require.Len(t, s.gateway.Ledger().Charges, 1)
}

func TestBuyingWithoutAWalletLeadsToTheWallets(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	asked := b.submit("/buy", buyForm(b.get("/").body, "tea"))
	require.Equal(t, "/wallets?m=connect", asked.path)
	require.Contains(t, asked.body, "Connect a wallet first")
	require.Contains(t, b.get("/orders").body, "not bought anything yet")
}

func TestDisconnectInTheShop(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("TNG eWallet")
	page := b.get("/wallets").body
	require.Contains(t, page, `data-disconnect="TNG eWallet"`)
	id := attribute(page, `type="hidden" name="id"`, "value")
	after := b.submit("/wallet/unbind", url.Values{"id": {id}, "returnTo": {"/wallets"}})
	require.Equal(t, "/wallets", after.path)
	s.settled()
	require.Equal(t, "unbound", b.wallet("TNG eWallet"))
	require.Contains(t, b.get("/wallets").body, "TNG eWallet was disconnected")
	require.Equal(t, "/wallets?m=connect", b.submit("/buy", buyForm(b.get("/").body, "tea")).path)
	b.connect("TNG eWallet")
}

func TestDisconnectInTheWalletIsNoticed(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("GCash")
	form := buyForm(b.get("/").body, "tea")
	require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
	page := b.get("/wallets").body
	require.Equal(t, "unbound", attribute(page, `data-wallet="GCash"`, "data-status"))
	require.Contains(t, page, "Disconnected in the wallet")
	require.Contains(t, page, "GCash was disconnected in the wallet", "the hook")
	require.Contains(t, b.get("/").body, "You disconnected GCash in the wallet.")
	require.Equal(t, "/wallets?m=connect", b.submit("/buy", form).path)
	require.Empty(t, s.gateway.Ledger().Charges)
}

func TestWalletThatSaysNothingIsNoticedAtTheCharge(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{SilentWallets: []string{"GCash"}})
	b := s.visit("Mia")
	b.connect("GCash")
	require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
	require.Equal(t, "active", b.wallet("GCash"))
	id := b.buy("tea")
	require.Equal(t, "declined", b.order(id))
	require.Contains(t, b.get("/orders").body, `data-reconnect="GCash"`)
	require.Equal(t, "unbound", b.wallet("GCash"))
}

func TestDeclineIsShownAndTheNextOrderWorks(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("AlipayHK")
	for code, text := range map[string]string{"": "declined the payment", "301003": "over the wallet’s limit", "302000": "for safety"} {
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline, Code: code})
		id := b.buy("mug")
		s.settled()
		require.Equal(t, "declined", b.order(id))
		require.Contains(t, b.get("/orders").body, text)
	}
	id := b.buy("mug")
	s.settled()
	require.Equal(t, "paid", b.order(id))
	require.Equal(t, 1, s.successes())
}

func TestPendingPaymentWaitsForItsNotification(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{ProcessingFirst: true})
	b := s.visit("Mia")
	b.connect("Boost")
	id := b.buy("mug")
	require.Equal(t, "waiting", b.order(id))
	require.NoError(t, s.gateway.Settle(id))
	require.Equal(t, "paid", b.order(id))
	id = b.buy("mug")
	require.NoError(t, s.gateway.SettleFailed(id))
	require.Equal(t, "declined", b.order(id))
}

func TestUnknownOutcomeIsResolved(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]gatewaytest.FaultKind{
		"answer lost":         gatewaytest.ResetAfter,
		"request lost":        gatewaytest.ResetBefore,
		"error after charge":  gatewaytest.Status500After,
		"error before charge": gatewaytest.Status500Before,
		"forged answer":       gatewaytest.Tampered,
		"page of a proxy":     gatewaytest.HTMLAnswer,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, gatewaytest.Config{MutePayments: true}) // the receipt alone
			b := s.visit("Mia")
			b.connect("GCash")
			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: fault})
			id := b.buy("tea")
			s.settled()
			require.Equal(t, "paid", b.order(id))

			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: fault})
			b.submit("/orders/refund", url.Values{"order": {id}})
			s.settled()
			require.Equal(t, "refunded", b.order(id))
			require.Equal(t, 1, s.successes())
			require.Len(t, s.gateway.Ledger().Refunds, 1)
		})
	}
}

func TestUnknownOutcomeCanBeCheckedAgain(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{MutePayments: true})
	b := s.visit("Mia")
	b.connect("GCash")
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.Status500Before, Times: -1})
	id := b.buy("tea")
	s.settled()
	page := b.get("/orders").body
	require.Contains(t, page, `data-check="`+id+`"`)
	require.Contains(t, page, "Please do not buy it again meanwhile")
	require.NotContains(t, page, " data-live")
	require.Equal(t, "waiting", b.order(id))

	s.gateway.ClearFaults()
	require.Equal(t, http.StatusNotFound, s.visit("Ben").submit("/orders/check", url.Values{"order": {id}}).status)
	b.submit("/orders/check", url.Values{"order": {id}})
	s.settled()
	require.Equal(t, "paid", b.order(id))
	require.Equal(t, 1, s.successes())
}

func TestRefusedRefundCanBeAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	b := s.visit("Mia")
	b.connect("GCash")
	id := b.buy("tea")
	s.settled()
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.Decline})
	b.submit("/orders/refund", url.Values{"order": {id}})
	s.settled()
	require.Equal(t, "paid", b.order(id))
	require.Contains(t, b.get("/orders").body, "refused the refund")

	require.Equal(t, http.StatusNotFound, s.visit("Ben").submit("/orders/refund", url.Values{"order": {id}}).status)
	b.submit("/orders/refund", url.Values{"order": {id}})
	s.settled()
	require.Equal(t, "refunded", b.order(id))
}

func TestRefusedSignUpCanBeTriedAgain(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{NotifyRefusals: true})
	b := s.visit("Mia")
	authURL := b.startConnecting("GCash")
	require.NoError(t, s.gateway.Refuse(authURL))
	require.Contains(t, b.get(b.returning(authURL)).body, "GCash was not connected")
	require.Equal(t, "failed", b.wallet("GCash"))
	b.connect("GCash")
}
