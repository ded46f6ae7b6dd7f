package dbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

func payment(id string) codegrant.Payment {
	amount := codegrant.Amount{Minor: 9900, Currency: "PHP"}
	return codegrant.Payment{
		ID: id, AccountID: "A1", OrderID: "SECRET-ORDER", UserID: "SECRET-USER", TokenID: "REQ-1", Wallet: codegrant.GCash,
		Amount: amount, Attempt: 1, Outcome: codegrant.Succeeded, SentAt: created,
		Last:     codegrant.PaymentNotification{Remark: "SECRET-REMARK", EndedAt: created},
		Refunds:  []codegrant.RefundRecord{{Number: 1, Amount: amount, Remark: "SECRET-REFUND", SentAt: created}},
		Revision: 1, UnsettledSince: created, CreatedAt: created, UpdatedAt: created,
	}
}

// The columns are said to be for queries of the merchants, on every server.
func TestTheColumnsOfAPaymentCanBeQueried(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		for i, id := range []string{"a", "b"} {
			p := payment(id)
			p.Amount.Minor += int64(i)
			require.NoError(t, store.SavePayment(t.Context(), p))
		}
		require.Equal(t, []string{"19801"}, column(t, db, "SELECT SUM(amount_minor) FROM codegrant_payments"+
			" WHERE user_id = 'SECRET-USER' AND currency = 'PHP' AND outcome = 'succeeded' AND attempt = 1"+
			" AND unsettled_since = created_at"))
		require.Equal(t, []string{"order: SECRET-ORDER"}, column(t, db, map[string]string{
			"SQLite":     "SELECT 'order: ' || (record ->> '$.OrderID') FROM codegrant_payments WHERE id = 'a'",
			"PostgreSQL": "SELECT 'order: ' || (record::jsonb ->> 'OrderID') FROM codegrant_payments WHERE id = 'a'",
			"MariaDB":    "SELECT CONCAT('order: ', JSON_VALUE(CONVERT(record USING utf8mb4), '$.OrderID')) FROM codegrant_payments WHERE id = 'a'",
		}[s.name]))
	})
}

// The room that is promised must be there, whatever a column's type is.
func TestARecordOfAMegabyteIsKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		p := payment("a")
		p.Last.Remark = ""
		empty, err := p.MarshalBinary()
		require.NoError(t, err)
		p.Last.Remark = strings.Repeat("r", 1<<20-len(empty))
		require.NoError(t, store.SavePayment(t.Context(), p))
		found, err := store.GetPayment(t.Context(), "a")
		require.NoError(t, err)
		require.Len(t, found.Last.Remark, len(p.Last.Remark))
		p.ID, p.Last.Remark = "b", p.Last.Remark+"r"
		require.ErrorContains(t, store.SavePayment(t.Context(), p), "the record is longer than")
	})
}

// Databases repeat values in their errors; the store's do not.
func TestErrorsOfPaymentsShowNoValues(t *testing.T) {
	t.Parallel()
	refusals := map[string][]string{
		"SQLite":     {"CREATE UNIQUE INDEX u ON codegrant_payments (user_id)"},
		"PostgreSQL": {"CREATE UNIQUE INDEX u ON codegrant_payments (user_id)", "ALTER TABLE codegrant_payments ALTER COLUMN record TYPE BIGINT USING 0"},
		"MariaDB":    {"ALTER TABLE codegrant_payments MODIFY record BIGINT", "ALTER TABLE codegrant_payments MODIFY user_id VARBINARY(5)"},
	}
	onEach(t, func(t *testing.T, s server) {
		for _, refusal := range refusals[s.name] {
			db := s.open(t, s.create(t))
			store := s.migrated(t, db)
			_, err := db.ExecContext(t.Context(), refusal)
			require.NoError(t, err)
			if strings.HasPrefix(refusal, "CREATE UNIQUE") {
				require.NoError(t, store.SavePayment(t.Context(), payment("a")))
			}
			err = store.SavePayment(t.Context(), payment("b"))
			require.ErrorContains(t, err, "sqlstore: save payment: ", refusal)
			require.NotErrorIs(t, err, codegrant.ErrConflict, "it would be tried for ever")
			var log strings.Builder
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "error", err)
			require.NotContains(t, fmt.Sprintf("%v %+v %q %s", err, err, err, log.String()), "SECRET")
		}
	})
}

// As TestAHookThatPassesOverADeadlockSavesNothing, where a payment is what is
// saved first.
func TestAHookThatPassesOverADeadlockSavesNoPayment(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.dialect != sqlstore.MySQL {
			t.Log("elsewhere a transaction that failed refuses everything that follows")
			return
		}
		store := s.migrated(t, s.open(t, s.create(t)))
		require.NoError(t, store.SavePayment(t.Context(), payment("a")))
		require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			payments := tx.(codegrant.PaymentStore)
			p, err := payments.GetPayment(ctx, "a")
			require.NoError(t, err)
			own, _ := sqlstore.Tx(ctx)
			_, err = own.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
			p.Revision++
			return payments.SavePayment(ctx, p)
		}), codegrant.ErrConflict)
		got, err := store.GetPayment(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Revision)
	})
}

// Two transactions save a token and a payment each, in opposite orders. The
// database ends one of them, which learns so as a conflict and keeps neither.
func TestADeadlockOfATokenAndAPaymentKeepsNeither(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.name == "SQLite" {
			return // it has no deadlocks: one writer at a time
		}
		store := s.migrated(t, s.open(t, s.create(t)))
		require.NoError(t, store.Save(t.Context(), token("a")))
		require.NoError(t, store.SavePayment(t.Context(), payment("a")))
		touchPayment := func(ctx context.Context, tx codegrant.TokenStore) error {
			p, err := tx.(codegrant.PaymentStore).GetPayment(ctx, "a")
			if err != nil {
				return err
			}
			p.Revision++
			return tx.(codegrant.PaymentStore).SavePayment(ctx, p)
		}
		touchToken := func(ctx context.Context, tx codegrant.TokenStore) error { return touch(ctx, tx, "a") }
		held := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		results := make(chan error, 2)
		for i, steps := range [2][2]func(context.Context, codegrant.TokenStore) error{
			{touchToken, touchPayment}, {touchPayment, touchToken},
		} {
			go func() {
				results <- store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
					if err := steps[0](ctx, tx); err != nil {
						return err
					}
					close(held[i])
					select {
					case <-held[1-i]:
					case <-time.After(20 * time.Second):
						return errors.New("the other one did not come")
					}
					return steps[1](ctx, tx)
				})
			}()
		}
		errs := []error{<-results, <-results}
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "one wins: %v", errs)
		require.ErrorIs(t, errors.Join(errs...), codegrant.ErrConflict)
		found, err := store.Get(t.Context(), "a")
		require.NoError(t, err)
		paid, err := store.GetPayment(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, []int64{2, 2}, []int64{found.Revision, paid.Revision})
	})
}
