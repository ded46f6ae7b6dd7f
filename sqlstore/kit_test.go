package sqlstore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

// The arrangement that the documentation advises: tokens are sealed, payments
// go to the store beneath the seal. What the hooks write through Tx commits
// with the payment, so it is there once, however often they fail.
func TestAKitWithSealedTokensAndPaymentsBeneathTheSeal(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	_, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id TEXT)") // no key: twice would be seen
	require.NoError(t, err)
	plain, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	require.NoError(t, plain.Migrate(t.Context()))
	keys, err := seal.ParseKeyring("k1:" + base64.StdEncoding.EncodeToString([]byte("a key for tests, and for nothing")))
	require.NoError(t, err)
	sealed, err := seal.New(plain, keys)
	require.NoError(t, err)

	gateway := gatewaytest.New(gatewaytest.Config{ProcessingFirst: true})
	t.Cleanup(gateway.Close)
	failures := map[string]int{"paid ": 1, "refunded ": 1}
	heard := func(ctx context.Context, what string) error {
		if err := order(ctx, what); err != nil {
			return err
		}
		kind, _, _ := strings.Cut(what, "order")
		if failures[kind]--; failures[kind] >= 0 {
			return errors.New("the printer is jammed")
		}
		return nil
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: sealed, Payments: plain, BaseURL: "https://shop.test/wallet",
		Logger: slog.New(slog.DiscardHandler),
		User:   func(*http.Request) (string, error) { return "ann", nil },
		OnPayment: func(ctx context.Context, n codegrant.PaymentNotification) error {
			return heard(ctx, "paid "+n.OrderID)
		},
		OnRefund: func(ctx context.Context, n codegrant.RefundNotification) error {
			return heard(ctx, "refunded "+n.OrderID)
		},
	})
	require.NoError(t, err)
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))

	signUp, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.NoError(t, err)
	require.NoError(t, gateway.Approve(signUp.AuthURL))
	token, err := kit.ActiveToken(t.Context(), "ann", "")
	require.NoError(t, err)

	amount := codegrant.Amount{Minor: 10050, Currency: "PHP"}
	receipt, err := kit.Charge(t.Context(), codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: amount, ShopperIP: "203.0.113.7", Email: "user@example.com",
	})
	require.NoError(t, err)
	require.Equal(t, codegrant.Pending, receipt.Outcome)
	waiting, err := plain.UnsettledPayments(t.Context(), created.AddDate(90, 0, 0), 10)
	require.NoError(t, err)
	require.Len(t, waiting, 1)

	_ = gateway.Settle("order-1") // its first delivery meets the printer
	require.Empty(t, orders(t, db), "what a hook wrote that failed is rolled back")
	last := gateway.Notifications()
	attempt, err := gateway.Redeliver(last[len(last)-1].ID)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, attempt.Status)
	require.Equal(t, []string{"paid order-1"}, orders(t, db))

	_, err = kit.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 50, Currency: "PHP"}})
	require.NoError(t, err)
	last = gateway.Notifications()
	for range 2 {
		_, err = gateway.Redeliver(last[len(last)-1].ID)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"paid order-1", "refunded order-1"}, orders(t, db))

	found, err := kit.Payment(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, found.Handled)
	require.Equal(t, codegrant.Succeeded, found.Refunds[0].Handled)
	require.True(t, found.UnsettledSince.IsZero())
	require.Equal(t, []string{"10050"}, column(t, db, "SELECT amount_minor FROM codegrant_payments"+
		" WHERE order_id = 'order-1' AND user_id = 'ann' AND outcome = 'succeeded' AND unsettled_since IS NULL"))
	withToken := column(t, db, "SELECT COUNT(*) FROM codegrant_payments WHERE instr(record, ?) > 0", token.Value.Reveal())
	require.Equal(t, []string{"0"}, withToken, "the token is in a payment's record")
}
