package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

const (
	payPath         = "/v4/payment/unifiedPay"
	payQueryPath    = "/v4/payment/query"
	refundPath      = "/v4/payment/refund"
	refundQueryPath = "/v4/refund/query"
)

// newLedgerShop is a shop that records its payments.
func newLedgerShop(t testing.TB, options ...shopOption) (*shop, *asked) {
	options = append([]shopOption{withConfig(func(c *codegrant.Config) {
		c.Payments = c.Store.(codegrant.PaymentStore)
		quick(c)
	})}, options...)
	return newAskedShop(t, options...)
}

func (s *shop) payment(t testing.TB, order string) codegrant.Payment {
	t.Helper()
	p, err := s.Payment(t.Context(), order)
	require.NoError(t, err)
	return p
}

func TestASettledOrderIsAnsweredWithoutACall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newLedgerShop(t)
		token := s.connect(t, "ann")
		first, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, first.Outcome)
		s.gateway.Wait()
		_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
		require.NoError(t, err)

		calls := total(asked.about(payPath)) + total(asked.about(payQueryPath))
		again, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err, "no token is needed for what is settled")
		first.Description = "" // texts are not kept
		require.Equal(t, first, again)
		require.Equal(t, calls, total(asked.about(payPath))+total(asked.about(payQueryPath)))

		p := s.payment(t, "order-1")
		require.Equal(t, token.ID, p.TokenID)
		require.Equal(t, codegrant.Succeeded, p.Handled)
		require.True(t, p.UnsettledSince.IsZero())
		require.True(t, p.Last.Token.IsZero())
		require.Len(t, s.heardPayments(), 1, "the answer and the notification are one piece of news")
	})
}

func TestWhatDoesNotFitTheRecordIsRefusedBeforeTheNetwork(t *testing.T) {
	t.Parallel()
	decline := gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline, Code: "301003"}
	for _, tc := range []struct {
		name   string
		fault  gatewaytest.Fault // at the first attempt
		change func(*codegrant.ChargeParams)
		is     error
	}{
		{"another user's order", decline, func(p *codegrant.ChargeParams) { p.UserID = "bob" }, codegrant.ErrNotOwner},
		{"another user's paid order", gatewaytest.Fault{}, func(p *codegrant.ChargeParams) { p.UserID = "bob" }, codegrant.ErrNotOwner},
		{"the same attempt over another amount", decline, func(p *codegrant.ChargeParams) { p.Amount.Minor++ }, codegrant.ErrConflict},
		{"the same attempt with another token", decline, func(p *codegrant.ChargeParams) { p.TokenID = "OTHER" }, codegrant.ErrConflict},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, asked := newLedgerShop(t)
			s.connect(t, "ann")
			s.connect(t, "bob")
			if tc.fault.Kind != 0 {
				s.gateway.Inject(tc.fault)
			}
			_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
			require.NoError(t, err)
			params := chargeParams("ann", "order-1")
			tc.change(&params)
			_, err = s.Charge(t.Context(), params)
			require.ErrorIs(t, err, tc.is)
			require.Equal(t, 1, total(asked.about(payPath)))
		})
	}
	t.Run("an attempt before the newest", func(t *testing.T) {
		t.Parallel()
		s, _ := newLedgerShop(t, withGateway(func(g *gatewaytest.Config) { g.FailFirst = true }))
		s.connect(t, "ann")
		params := chargeParams("ann", "order-1")
		failed, err := s.Charge(t.Context(), params)
		require.NoError(t, err)
		require.Equal(t, codegrant.Failed, failed.Outcome)
		params.Attempt = 2
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
		_, err = s.Charge(t.Context(), params)
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		params.Attempt = 1
		_, err = s.Charge(t.Context(), params)
		require.ErrorIs(t, err, codegrant.ErrConflict)
	})
}

func TestANewAttemptWaitsForTheRecordedOne(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		kind    gatewaytest.FaultKind // at the first attempt
		outcome codegrant.Outcome     // of the second; empty for a conflict
		after   time.Duration         // between the two
	}{
		{"the first had succeeded", gatewaytest.ResetAfter, codegrant.Succeeded, 0},
		{"nobody knows of the first yet", gatewaytest.ResetBefore, "", 0},
		{"the first will not be executed any more", gatewaytest.ResetBefore, codegrant.Succeeded, 2 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, _ := newLedgerShop(t)
				s.connect(t, "ann")
				s.silence()
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: tc.kind})
				params := chargeParams("ann", "order-1")
				_, err := s.Charge(t.Context(), params)
				require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
				time.Sleep(tc.after)
				params.Attempt = 2
				receipt, err := s.Charge(t.Context(), params)
				if tc.outcome == "" {
					require.ErrorIs(t, err, codegrant.ErrConflict)
					params.Attempt = 1
					receipt, err = s.Charge(t.Context(), params)
				}
				require.NoError(t, err)
				require.Equal(t, codegrant.Succeeded, receipt.Outcome)
				require.Equal(t, []string{"order-1"}, s.succeeded())
			})
		})
	}
}

func TestNewsOfAnOrderInAnyOrder(t *testing.T) {
	t.Parallel()
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	t.Cleanup(gateway.Close)
	notice := func(attempt int, status string) []byte {
		return gateway.SignedBody(fmt.Sprintf(`{"notifyType":"RECHARGE","merchantTransactionId":"order-1","requestId":"ATTEMPT-%d",`+
			`"status":%q,"amount":"100.500000","currency":"PHP","transactionId":"T%d","token":"x"}`, attempt, status, attempt), nil)
	}
	notices := [][]byte{notice(1, "FAILED"), notice(1, "SUCCESS"), notice(1, "FAILED"), notice(1, "PROCESSING"), notice(1, "SUCCESS")}
	permuteBodies(notices, func(order [][]byte) {
		var heard []codegrant.PaymentStatus
		store := memstore.New()
		kit, err := codegrant.New(codegrant.Config{
			Client: gateway.Client(), Store: store, Payments: store, BaseURL: baseURL, User: func(*http.Request) (string, error) { return "", nil },
			OnPayment: func(_ context.Context, n codegrant.PaymentNotification) error {
				heard = append(heard, n.Status)
				return nil
			},
			Logger: slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		for _, body := range order {
			require.NoError(t, kit.Apply(t.Context(), body, ""))
		}
		p, err := kit.Payment(t.Context(), "order-1")
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, p.Outcome)
		require.Equal(t, codegrant.Succeeded, p.Handled)
		require.True(t, p.UnsettledSince.IsZero())
		require.Equal(t, codegrant.PaymentSuccess, heard[len(heard)-1])
		require.LessOrEqual(t, len(heard), 2, "a failure at most, and the success")
	})
}

// permuteBodies calls visit with every order of bodies.
func permuteBodies(bodies [][]byte, visit func([][]byte)) {
	var rest func(n int)
	rest = func(n int) {
		if n == len(bodies) {
			visit(bodies)
			return
		}
		for i := n; i < len(bodies); i++ {
			bodies[n], bodies[i] = bodies[i], bodies[n]
			rest(n + 1)
			bodies[n], bodies[i] = bodies[i], bodies[n]
		}
	}
	rest(0)
}

func TestAPaymentHookThatFailsIsOwed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		failing := true
		calls := 0
		s, _ := newLedgerShop(t, withConfig(func(c *codegrant.Config) {
			c.OnPayment = func(context.Context, codegrant.PaymentNotification) error {
				calls++
				if failing {
					return errors.New("the books are closed")
				}
				return nil
			}
		}))
		s.connect(t, "ann")
		s.silence()
		receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err, "the money moved")
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
		require.Equal(t, 1, calls)
		require.Empty(t, s.payment(t, "order-1").Handled)

		time.Sleep(time.Minute)
		sweep, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, sweep.Failed)
		failing = false
		time.Sleep(longAgo)
		sweep, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 1, Settled: 1}, sweep)
		require.Equal(t, 3, calls)
		require.Equal(t, codegrant.Succeeded, s.payment(t, "order-1").Handled)
	})
}

func TestEveryFaultOfARecordedChargeIsSettledByASweep(t *testing.T) {
	t.Parallel()
	for kind := gatewaytest.TimeoutBefore; kind <= gatewaytest.Decline; kind++ {
		for _, repeat := range []bool{false, true} {
			t.Run(fmt.Sprint(kind, " ", repeat), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s, _ := newLedgerShop(t)
					s.connect(t, "ann")
					s.silence()
					s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: kind, Code: "500000"})
					_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
					if kind != gatewaytest.Decline {
						require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
						require.Empty(t, s.payment(t, "order-1").Outcome)
					}
					if repeat {
						var unknown *codegrant.UnknownOutcomeError
						if errors.As(err, &unknown) {
							receipt, err := unknown.Resolve(t.Context())
							require.NoError(t, err)
							require.NotEmpty(t, receipt.Outcome)
						}
					}
					time.Sleep(5 * time.Minute)
					_, err = s.Reconcile(t.Context())
					require.NoError(t, err)
					p := s.payment(t, "order-1")
					require.True(t, p.UnsettledSince.IsZero())
					want := codegrant.Failed
					if len(s.succeeded()) == 1 {
						want = codegrant.Succeeded
					}
					require.Equal(t, want, p.Outcome)
					require.Equal(t, want, p.Handled)
					require.LessOrEqual(t, len(s.succeeded()), 1)

					// Whatever it was, the next sensible call ends in one payment.
					params := chargeParams("ann", "order-1")
					if want == codegrant.Failed {
						params.Attempt = 2
					}
					receipt, err := s.Charge(t.Context(), params)
					require.NoError(t, err)
					require.Equal(t, codegrant.Succeeded, receipt.Outcome)
					require.Equal(t, []string{"order-1"}, s.succeeded())
				})
			})
		}
	}
}

func TestOneSweepFindsWhatBecameOfEveryPayment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newLedgerShop(t, withGateway(func(g *gatewaytest.Config) { g.ProcessingFirst = true }))
		s.connect(t, "ann")
		s.silence()
		const n = 1000
		for i := range n {
			order := fmt.Sprint("order-", i)
			receipt, err := s.Charge(t.Context(), chargeParams("ann", order))
			require.NoError(t, err)
			require.Equal(t, codegrant.Pending, receipt.Outcome)
			switch i % 3 {
			case 0:
				require.NoError(t, s.gateway.Settle(order))
			case 1:
				require.NoError(t, s.gateway.SettleFailed(order))
			}
		}
		time.Sleep(time.Minute)
		nodes := []*codegrant.Kit{s.Kit, s.node(t, ledger(s)), s.node(t, ledger(s))}
		var looked, settled atomic.Int64
		var running sync.WaitGroup
		for _, kit := range nodes {
			running.Go(func() {
				sweep, err := kit.Reconcile(t.Context())
				if err != nil || sweep.Failed > 0 {
					t.Errorf("%+v %v", sweep, err)
				}
				looked.Add(int64(sweep.Looked))
				settled.Add(int64(sweep.Settled))
			})
		}
		running.Wait()
		require.EqualValues(t, n, looked.Load())
		require.EqualValues(t, 667, settled.Load())
		require.Equal(t, n, total(asked.about(payQueryPath)), "an order was asked about twice")
		for i := range n {
			want := []codegrant.Outcome{codegrant.Succeeded, codegrant.Failed, codegrant.Pending}[i%3]
			require.Equal(t, want, s.payment(t, fmt.Sprint("order-", i)).Outcome)
		}
		require.Len(t, s.heardPayments(), 667)
	})
}

// ledger makes another node like a shop with recorded payments.
func ledger(s *shop) func(*codegrant.Config) {
	return func(c *codegrant.Config) {
		quick(c)
		c.Payments = s.store.(codegrant.PaymentStore)
		c.OnPayment = func(_ context.Context, n codegrant.PaymentNotification) error {
			return s.record(func() { s.payments = append(s.payments, n) })
		}
	}
}

func TestAPaymentSurvivesBinary(t *testing.T) {
	t.Parallel()
	p := codegrant.Payment{
		ID: "P", OrderID: "order-1", Amount: codegrant.Amount{Minor: 5, Currency: "PHP"}, Outcome: codegrant.Succeeded,
		Last:      codegrant.PaymentNotification{Status: codegrant.PaymentSuccess, StartedAt: time.UnixMilli(1693290395000).UTC()},
		Refunds:   []codegrant.RefundRecord{{Number: 1, RefundID: "R", Outcome: codegrant.Failed, SentAt: time.UnixMicro(7).UTC()}},
		CreatedAt: time.UnixMicro(1).UTC(), Revision: 3,
	}
	data, err := p.MarshalBinary()
	require.NoError(t, err)
	var read codegrant.Payment
	require.NoError(t, read.UnmarshalBinary(data))
	require.Equal(t, p, read)
	for _, garbage := range []string{"", "x", "null", "[]", `{"Revision":"x"}`} {
		require.Error(t, read.UnmarshalBinary([]byte(garbage)), garbage)
	}
}

func TestWhatIsUnknownBeforeARecordedCallCanBeResolved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newLedgerShop(t)
		s.connect(t, "ann")
		s.silence()
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
		params := chargeParams("ann", "order-1")
		_, err := s.Charge(t.Context(), params)
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)

		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.Tampered, Times: 2})
		params.Attempt = 2
		var unknown, unknownRefund *codegrant.UnknownOutcomeError
		_, err = s.Charge(t.Context(), params)
		require.ErrorAs(t, err, &unknown)
		_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 50, Currency: "PHP"}})
		require.ErrorAs(t, err, &unknownRefund)
		receipt, err := unknown.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome, "the first attempt had")
		receipt, err = unknownRefund.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
		require.Equal(t, []string{"order-1"}, s.succeeded())
		require.Len(t, s.gateway.Ledger().Refunds, 1)
	})
}
