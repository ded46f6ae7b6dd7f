package codegrant_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestRefundsNeverExceedThePayment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newLedgerShop(t)
		s.connect(t, "ann")
		_, err := s.Charge(t.Context(), chargeParams("ann", "order-1")) // 100.50
		require.NoError(t, err)
		nodes := []*codegrant.Kit{s.Kit, s.node(t, ledger(s)), s.node(t, ledger(s))}
		var paidBack, refused atomic.Int64
		var running sync.WaitGroup
		for i := range 30 {
			running.Go(func() {
				receipt, err := nodes[i%3].Refund(t.Context(), codegrant.RefundParams{
					OrderID: "order-1", Number: i + 1, Amount: codegrant.Amount{Minor: 1000, Currency: "PHP"},
				})
				switch {
				case err == nil && receipt.Outcome == codegrant.Succeeded:
					paidBack.Add(1)
				case errors.Is(err, codegrant.ErrInvalidRequest):
					refused.Add(1)
				default:
					t.Errorf("%+v %v", receipt, err)
				}
			})
		}
		running.Wait()
		require.EqualValues(t, 10, paidBack.Load())
		require.EqualValues(t, 20, refused.Load(), "refused before the network")
		require.Len(t, s.gateway.Ledger().Refunds, 10)

		again, err := s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Number: 99, Amount: codegrant.Amount{Minor: 50, Currency: "PHP"}})
		require.NoError(t, err, "what is left can be paid back")
		require.Equal(t, codegrant.Succeeded, again.Outcome)
		s.gateway.Wait()
		p := s.payment(t, "order-1")
		require.Len(t, p.Refunds, 11)
		require.True(t, p.UnsettledSince.IsZero())
	})
}

func TestEveryFaultOfARecordedRefundIsSettledByASweep(t *testing.T) {
	t.Parallel()
	for kind := gatewaytest.TimeoutBefore; kind <= gatewaytest.HTMLAnswer; kind++ {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, asked := newLedgerShop(t)
				s.connect(t, "ann")
				s.silence()
				_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
				require.NoError(t, err)
				params := codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 10050, Currency: "PHP"}, Remark: "sorry"}
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: kind})
				_, err = s.Refund(t.Context(), params)
				require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
				_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Number: 2, Amount: codegrant.Amount{Minor: 1, Currency: "PHP"}})
				require.ErrorIs(t, err, codegrant.ErrInvalidRequest, "what may have been paid back counts")

				time.Sleep(time.Minute)
				_, err = s.Reconcile(t.Context())
				require.NoError(t, err)
				p := s.payment(t, "order-1")
				require.Equal(t, codegrant.Succeeded, p.Refunds[0].Outcome)
				require.Equal(t, codegrant.Succeeded, p.Refunds[0].Handled)
				require.True(t, p.UnsettledSince.IsZero())
				require.Len(t, s.gateway.Ledger().Refunds, 1)

				calls := total(asked.about(refundPath)) + total(asked.about(refundQueryPath))
				receipt, err := s.Refund(t.Context(), params)
				require.NoError(t, err)
				require.Equal(t, codegrant.Succeeded, receipt.Outcome)
				require.Equal(t, calls, total(asked.about(refundPath))+total(asked.about(refundQueryPath)))
				_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 1, Currency: "PHP"}})
				require.ErrorIs(t, err, codegrant.ErrConflict, "the same number over another amount")
			})
		})
	}
}

func TestOrdersFromBeforeTheRecords(t *testing.T) {
	t.Parallel()
	s, _ := newAskedShop(t) // no PaymentStore yet
	s.connect(t, "ann")
	s.silence()
	_, err := s.Payment(t.Context(), "order-1")
	require.ErrorIs(t, err, codegrant.ErrDisabled)
	_, err = s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)

	kit := s.node(t, ledger(s))
	_, err = kit.Refund(t.Context(), codegrant.RefundParams{OrderID: "no such order", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	receipt, err := kit.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	receipt, err = kit.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	require.Equal(t, []string{"order-1"}, s.succeeded())
}

func TestAnUnpaidOrderIsNotRefunded(t *testing.T) {
	t.Parallel()
	s, asked := newLedgerShop(t, withGateway(func(g *gatewaytest.Config) { g.FailFirst = true }))
	s.connect(t, "ann")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
	require.ErrorIs(t, err, codegrant.ErrConflict)
	require.Zero(t, total(asked.about(refundPath)))
}
