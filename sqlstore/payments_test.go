package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// payment returns a first record of an order that was paid and refunded.
func payment(id string) codegrant.Payment {
	amount := codegrant.Amount{Minor: 9900, Currency: "PHP"}
	return codegrant.Payment{
		ID: id, AccountID: "A1", OrderID: "order-" + id, UserID: "ann", TokenID: "REQ-1", Wallet: codegrant.GCash,
		Amount: amount, Attempt: 2, RequestID: "CHARGE-2", SentAt: created, Outcome: codegrant.Succeeded,
		Last: codegrant.PaymentNotification{OrderID: "order-" + id, Amount: amount, Status: codegrant.PaymentSuccess},
		Refunds: []codegrant.RefundRecord{{
			Number: 1, RefundID: "REFUND-1", Amount: amount, SentAt: created, Outcome: codegrant.Pending,
		}},
		Revision: 1, UnsettledSince: created.Add(time.Second), CreatedAt: created, UpdatedAt: created.Add(time.Minute),
	}
}

func TestTheColumnsOfAPaymentAreForQueriesOfTheMerchants(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store := newStore(t, db)
	p := payment("a")
	require.NoError(t, store.SavePayment(t.Context(), p))
	micros := func(at time.Time) string { return fmt.Sprint(at.UnixMicro()) }
	want := map[string]string{
		"id": "a", "account_id": "A1", "order_id": "order-a", "user_id": "ann", "token_id": "REQ-1", "wallet": "GCash",
		"attempt": "2", "outcome": "succeeded", "amount_minor": "9900", "currency": "PHP", "revision": "1",
		"unsettled_since": micros(p.UnsettledSince), "created_at": micros(created), "updated_at": micros(p.UpdatedAt),
		"record -> '$.Refunds[0].RefundID'": `"REFUND-1"`,
	}
	for name, value := range want {
		require.Equal(t, []string{value}, column(t, db, "SELECT "+name+" FROM codegrant_payments"), name)
	}
	p.Revision, p.UnsettledSince, p.Outcome, p.OrderID = 2, time.Time{}, codegrant.Failed, "changed"
	require.NoError(t, store.SavePayment(t.Context(), p))
	require.Equal(t, []string{"1"}, column(t, db, "SELECT COUNT(*) FROM codegrant_payments WHERE revision = 2"+
		" AND unsettled_since IS NULL AND outcome = 'failed' AND order_id = 'changed'"))
}

func TestAPaymentThatWouldNotComeBackExactlyIsRefused(t *testing.T) {
	t.Parallel()
	store := newStore(t, open(t, file(t)))
	many := make([]codegrant.RefundRecord, 3_000)
	for name, set := range map[string]func(*codegrant.Payment){
		"Last.Token is set":                func(p *codegrant.Payment) { p.Last.Token = codegrant.NewSecret("SECRET") },
		"ID is longer":                     func(p *codegrant.Payment) { p.ID = strings.Repeat("i", 257) },
		"OrderID is longer":                func(p *codegrant.Payment) { p.OrderID = strings.Repeat("i", 257) },
		"UserID is longer":                 func(p *codegrant.Payment) { p.UserID = strings.Repeat("i", 1025) },
		"Amount.Currency is longer":        func(p *codegrant.Payment) { p.Amount.Currency = strings.Repeat("i", 257) },
		"TokenID is not valid":             func(p *codegrant.Payment) { p.TokenID = "SECRET\x00" },
		"Wallet is not valid":              func(p *codegrant.Payment) { p.Wallet = "SECRET\xff" },
		"RequestID is not valid UTF-8":     func(p *codegrant.Payment) { p.RequestID = "SECRET\xff" },
		"Last.Remark is not valid UTF-8":   func(p *codegrant.Payment) { p.Last.Remark = "SECRET\xff" },
		"Refunds.Remark is not valid":      func(p *codegrant.Payment) { p.Refunds[0].Remark = "SECRET\xff" },
		"Refunds.Last.OrderID is not":      func(p *codegrant.Payment) { p.Refunds[0].Last.OrderID = "SECRET\xff" },
		"the record is longer than":        func(p *codegrant.Payment) { p.Refunds = many },
		"record cannot be written as JSON": func(p *codegrant.Payment) { p.SentAt = time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		refused := payment("a")
		set(&refused)
		err := store.SavePayment(t.Context(), refused)
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "sqlstore: save payment: ")
		require.NotContains(t, err.Error(), "SECRET")
		require.Equal(t, name == "Last.Token is set", errors.Is(err, sqlstore.ErrPlaintext), name)
		require.Error(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			return tx.(codegrant.PaymentStore).SavePayment(ctx, refused)
		}), name)
	}
	_, err := store.GetPayment(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	spacious := payment("a")
	spacious.Refunds = many[:1_000]
	require.NoError(t, store.SavePayment(t.Context(), spacious))
}

// What the gateway signed must not be answered with an error for ever, and its
// JSON may say \u0000.
func TestWhatTheGatewaySaidMayHoldANUL(t *testing.T) {
	t.Parallel()
	store := newStore(t, open(t, file(t)))
	p := payment("a")
	p.Last.IssuerMessage = "declined\x00"
	require.NoError(t, store.SavePayment(t.Context(), p))
	found, err := store.GetPayment(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, p, found)
}

func TestARowThatHoldsNoPaymentIsSaidWithoutItsValue(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store := newStore(t, db)
	require.NoError(t, store.SavePayment(t.Context(), payment("a")))
	for _, record := range []string{"SECRET", "null", `{"Attempt":"SECRET"}`, ""} {
		_, err := db.ExecContext(t.Context(), "UPDATE codegrant_payments SET record = ?", record)
		require.NoError(t, err)
		_, err = store.GetPayment(t.Context(), "a")
		require.EqualError(t, err, "sqlstore: get payment: the column record holds no payment")
		_, err = store.UnsettledPayments(t.Context(), created.Add(time.Hour), 10)
		require.EqualError(t, err, "sqlstore: unsettled payments: the column record holds no payment")
	}
}

func TestSavingAPaymentIsOneStatement(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	newStore(t, open(t, dsn))
	var statements []string
	db, _ := openFaulty(t, dsn, func(query string) error {
		statements = append(statements, query)
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	p := payment("a")
	require.NoError(t, store.SavePayment(t.Context(), p)) // and a look at the durability
	statements = nil
	p.Revision = 2
	require.NoError(t, store.SavePayment(t.Context(), p))
	require.Len(t, statements, 1)
}

func TestSavingAPaymentIsTriedAgainAfterALostRace(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	newStore(t, open(t, dsn))
	var left atomic.Int64
	db, _ := openFaulty(t, dsn, func(query string) error {
		if strings.Contains(query, "codegrant_payments") && left.Add(-1) >= 0 {
			return busy{}
		}
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	left.Store(3)
	require.NoError(t, store.SavePayment(t.Context(), payment("a")))
	left.Store(3)
	_, err = store.GetPayment(t.Context(), "a")
	require.NoError(t, err)
	left.Store(1)
	require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		_ = tx.(codegrant.PaymentStore).SavePayment(ctx, payment("b"))
		require.ErrorIs(t, tx.Save(ctx, token("b")), codegrant.ErrConflict, "nothing more is done in it")
		return nil
	}), codegrant.ErrConflict)
}

// A hook of a payment writes in the transaction of the payment, and the kit
// may save a token in it.
func TestAHooksWritesCommitOrRollBackWithThePayment(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	refusal := errors.New("refused")
	for _, end := range []error{refusal, nil} {
		require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			require.NoError(t, store.SavePayment(ctx, payment("a")), "the store itself joins")
			found, err := tx.(codegrant.PaymentStore).GetPayment(context.Background(), "a")
			require.NoError(t, err)
			require.Equal(t, "order-a", found.OrderID)
			require.NoError(t, order(ctx, "a"))
			return end
		}), end)
		_, err := store.GetPayment(t.Context(), "a")
		require.Equal(t, end == nil, err == nil)
	}
	require.Equal(t, []string{"a"}, orders(t, db))
}
