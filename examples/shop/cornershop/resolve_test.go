package cornershop

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestMoneyThatIsNotThePriceIsNotRecorded(t *testing.T) {
	t.Parallel()
	s := newStreet(t, gatewaytest.Config{})
	price := codegrant.Amount{Minor: 100, Currency: "HKD"}
	_, err := s.shop.orders.Place(t.Context(), Order{ID: "1", Amount: price})
	require.NoError(t, err)
	state := func() OrderState {
		o, _, err := s.shop.orders.Find(t.Context(), "1")
		require.NoError(t, err)
		return o.State
	}
	success := codegrant.PaymentNotification{OrderID: "1", Status: codegrant.PaymentSuccess, Amount: codegrant.Amount{Minor: 1, Currency: "HKD"}}
	require.NoError(t, s.shop.onPayment(t.Context(), success))
	require.Equal(t, Waiting, state())
	success.Amount = price
	require.NoError(t, s.shop.onPayment(t.Context(), success))
	require.Equal(t, Paid, state())
	partly := codegrant.RefundNotification{OrderID: "1", Status: codegrant.PaymentSuccess, Amount: codegrant.Amount{Minor: 1, Currency: "HKD"}}
	require.NoError(t, s.shop.onRefund(t.Context(), partly))
	require.Equal(t, Paid, state())
	success.OrderID = "unknown"
	require.NoError(t, s.shop.onPayment(t.Context(), success))
}

// restarted is a new shop with what the old one has stored.
func (s *street) restarted() {
	s.t.Helper()
	s.shop.Close()
	next, err := New(Config{
		BaseURL: s.url, GatewayURL: s.gateway.URL, Log: s.shop.log, Store: s.store, Payments: s.store,
		Orders: s.shop.orders, Sessions: s.shop.sessions, News: s.shop.news,
	})
	require.NoError(s.t, err)
	s.shop = next
	s.routes.Store(next.Routes())
	s.t.Cleanup(next.Close)
}

func TestUnfinishedOrdersAreTakenUpAfterARestart(t *testing.T) {
	t.Parallel()
	// Nothing but the answer to a question tells.
	s := newStreet(t, gatewaytest.Config{MutePayments: true, ProcessingFirst: true})
	b := s.visit("Mia")
	b.connect("GCash")
	charged, refunding := b.buy("tea"), b.buy("mug")
	processing := b.buy("notebook")
	for _, id := range []string{charged, refunding, processing} {
		require.Equal(t, "waiting", b.order(id))
		require.NoError(t, s.gateway.Settle(id))
	}
	o, _, err := s.shop.orders.Find(t.Context(), refunding)
	require.NoError(t, err)

	// Orders whose request an earlier process never sent.
	young, old := o, o
	young.ID, young.At = "YOUNG", time.Now()
	old.ID, old.At = "OLD", time.Now().Add(-time.Minute)
	for _, each := range []Order{young, old} {
		_, err := s.shop.orders.Place(t.Context(), each)
		require.NoError(t, err)
	}
	require.NoError(t, s.shop.orders.Pay(t.Context(), refunding))
	_, _, err = s.shop.orders.AskRefund(t.Context(), refunding)
	require.NoError(t, err)

	s.restarted()
	for id, want := range map[string]string{charged: "paid", processing: "paid", refunding: "refunded", "OLD": "declined"} {
		require.Eventually(t, func() bool { return b.order(id) == want }, 10*time.Second, 10*time.Millisecond, "%s %s", id, want)
	}
	require.Equal(t, "waiting", b.order("YOUNG"), "its request may still be on the way")
	require.Contains(t, b.get("/orders").body, "We could not reach GCash. Nothing was charged.")
	require.Len(t, s.gateway.Ledger().Refunds, 1)
	require.Len(t, s.gateway.Ledger().Charges, 3, "a restart charges nobody")
}
