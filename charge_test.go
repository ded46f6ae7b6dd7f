package codegrant_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// succeeded lists the orders that the gateway charged.
func (s *shop) succeeded() []string {
	var orders []string
	for _, c := range s.gateway.Ledger().Charges {
		if c.Status == gatewaytest.StatusSuccess {
			orders = append(orders, c.OrderID)
		}
	}
	return orders
}

func TestChargeOutcomes(t *testing.T) {
	t.Parallel()
	t.Run("repeating a charge charges once", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		first, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		again, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.Equal(t, first, again)
		require.Equal(t, []string{"order-1"}, s.succeeded())
	})
	t.Run("a decline is an outcome and not an error", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline, Code: "301003"})
		receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.Equal(t, codegrant.Failed, receipt.Outcome)
		require.Equal(t, "301003", receipt.Code)
		require.NotEmpty(t, receipt.Description)
		require.False(t, receipt.TokenGone)
	})
	t.Run("a payment in the works is pending until its notification", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.ProcessingFirst = true }))
		s.connect(t, "ann")
		receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.Equal(t, codegrant.Pending, receipt.Outcome)
		require.NoError(t, s.gateway.Settle("order-1"))
		require.Equal(t, codegrant.PaymentSuccess, s.heardPayments()[0].Status)
		receipt, err = s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.Equal(t, []string{"order-1"}, s.succeeded())
	})
	t.Run("another user's token is refused before the network", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		token := s.connect(t, "ann")
		params := chargeParams("bob", "order-1")
		params.TokenID = token.ID
		_, err := s.Charge(t.Context(), params)
		require.ErrorIs(t, err, codegrant.ErrNotOwner)
		require.Empty(t, s.gateway.Ledger().Charges)
	})
	t.Run("a wrong request is refused with every problem", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		_, err := s.Charge(t.Context(), codegrant.ChargeParams{UserID: "ann", OrderID: "<1>", Amount: codegrant.Amount{Minor: -5, Currency: "PHP"}})
		var bad *codegrant.RequestError
		require.ErrorAs(t, err, &bad)
		var wires []string
		for _, p := range bad.Problems {
			wires = append(wires, p.Wire)
		}
		require.ElementsMatch(t, []string{"merchantTransactionId", "amount", "shopperIP", "customer.email"}, wires)
		require.Empty(t, s.gateway.Ledger().Charges)
	})
	t.Run("the wallet that is asked for is charged", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		second, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.DANA})
		require.NoError(t, err)
		require.NoError(t, s.gateway.Approve(second.AuthURL))
		params := chargeParams("ann", "order-1")
		params.Wallet = codegrant.GCash
		_, err = s.Charge(t.Context(), params)
		require.NoError(t, err)
		require.Equal(t, "GCash", s.gateway.Ledger().Charges[0].Wallet)
		params.OrderID, params.Wallet = "order-2", codegrant.Boost
		_, err = s.Charge(t.Context(), params)
		require.ErrorIs(t, err, codegrant.ErrNoToken)
	})
}

func TestUnknownOutcomesResolve(t *testing.T) {
	t.Parallel()
	for _, kind := range []gatewaytest.FaultKind{
		gatewaytest.Status500Before, gatewaytest.Status500After, gatewaytest.ResetBefore, gatewaytest.ResetAfter,
		gatewaytest.Truncated, gatewaytest.Tampered, gatewaytest.Unsigned, gatewaytest.WrongSalt, gatewaytest.HTMLAnswer,
		gatewaytest.TimeoutBefore, gatewaytest.TimeoutAfter,
	} {
		for _, op := range []gatewaytest.Op{gatewaytest.OpPay, gatewaytest.OpRefund} {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t)
				s.connect(t, "ann")
				if op == gatewaytest.OpRefund {
					_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
					require.NoError(t, err)
				}
				s.gateway.Inject(gatewaytest.Fault{Op: op, Kind: kind})
				// The first attempt to find out fails as well.
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.ResetBefore})
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefundQuery, Kind: gatewaytest.ResetBefore})
				began := time.Now()
				act := func() (codegrant.Receipt, error) { return s.Charge(t.Context(), chargeParams("ann", "order-1")) }
				if op == gatewaytest.OpRefund {
					act = func() (codegrant.Receipt, error) {
						return s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: chargeParams("", "").Amount})
					}
				}
				_, err := act()
				require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, kind)
				require.LessOrEqual(t, time.Since(began), 30*time.Second)
				var unknown *codegrant.UnknownOutcomeError
				require.ErrorAs(t, err, &unknown)
				_, err = unknown.Resolve(t.Context())
				require.ErrorAs(t, err, &unknown, "still unknown: the query was lost too")
				receipt, err := unknown.Resolve(t.Context())
				require.NoError(t, err)
				require.Equal(t, codegrant.Succeeded, receipt.Outcome, kind)
				require.Equal(t, []string{"order-1"}, s.succeeded())
				require.Empty(t, s.gateway.Ledger().ChargedTwice())
				if op == gatewaytest.OpRefund {
					require.Len(t, s.gateway.Ledger().Refunds, 1)
				}
				s.gateway.Close()
			})
		}
	}
}

func TestAnUnknownChargeIsNotSentAgainOnceTheTokenEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
		_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		var unknown *codegrant.UnknownOutcomeError
		require.ErrorAs(t, err, &unknown)
		_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
		require.NoError(t, err)
		_, err = unknown.Resolve(t.Context())
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, "the request may still be on its way")
		time.Sleep(61 * time.Second)
		receipt, err := unknown.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Failed, receipt.Outcome)
		require.Empty(t, s.gateway.Ledger().Charges)
		s.gateway.Close()
	})
}

func TestALaterAttemptWaitsForTheEarlierOne(t *testing.T) {
	t.Parallel()
	attempt := func(n int) codegrant.ChargeParams {
		p := chargeParams("ann", "order-1")
		p.Attempt = n
		return p
	}
	t.Run("after a decline it charges", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.FailFirst = true }))
		s.connect(t, "ann")
		first, err := s.Charge(t.Context(), attempt(1))
		require.NoError(t, err)
		require.Equal(t, codegrant.Failed, first.Outcome)
		second, err := s.Charge(t.Context(), attempt(2))
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, second.Outcome)
		require.NotEqual(t, first.RequestID, second.RequestID)
		require.Equal(t, []string{"order-1"}, s.succeeded())
	})
	t.Run("after a success it returns that success", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		_, err := s.Charge(t.Context(), attempt(1))
		require.NoError(t, err)
		receipt, err := s.Charge(t.Context(), attempt(2))
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
		require.Equal(t, []string{"order-1"}, s.succeeded())
	})
	t.Run("after a success of another amount it says which", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		first, err := s.Charge(t.Context(), attempt(1))
		require.NoError(t, err)
		dearer := attempt(2)
		dearer.Amount.Minor *= 2
		receipt, err := s.Charge(t.Context(), dearer)
		require.NoError(t, err)
		require.Equal(t, first.Amount, receipt.Amount)
		require.Equal(t, first.RequestID, receipt.RequestID)
	})
	t.Run("while the first is in the works it is pending", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.ProcessingFirst = true }))
		s.connect(t, "ann")
		_, err := s.Charge(t.Context(), attempt(1))
		require.NoError(t, err)
		receipt, err := s.Charge(t.Context(), attempt(2))
		require.NoError(t, err)
		require.Equal(t, codegrant.Pending, receipt.Outcome)
		require.Len(t, s.gateway.Ledger().Charges, 1)
	})
	t.Run("where the gateway knows no first it refuses", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		_, err := s.Charge(t.Context(), attempt(2))
		require.ErrorIs(t, err, codegrant.ErrConflict)
		require.Empty(t, s.gateway.Ledger().Charges)
	})
	t.Run("where the attempt before was not seen it refuses", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline})
		_, err := s.Charge(t.Context(), attempt(1))
		require.NoError(t, err)
		_, err = s.Charge(t.Context(), attempt(3))
		require.ErrorIs(t, err, codegrant.ErrConflict)
	})
}

func TestOneOrderChargedFromEverywhereAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, withGateway(func(g *gatewaytest.Config) {
			g.Latency = 50 * time.Millisecond
			g.Rates = map[gatewaytest.FaultKind]float64{
				gatewaytest.ResetAfter: 0.15, gatewaytest.ResetBefore: 0.1, gatewaytest.Tampered: 0.05, gatewaytest.Status500After: 0.05,
			}
			g.Seed = 7
		}))
		var token codegrant.Token
		for token.AuthURL == "" {
			token, _ = s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
		}
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		var wg sync.WaitGroup
		var settled atomic.Int64
		for i := range 40 {
			order := "order-" + string(rune('A'+i%10))
			wg.Go(func() {
				_, err := s.Charge(t.Context(), chargeParams("ann", order))
				var unknown *codegrant.UnknownOutcomeError
				for errors.As(err, &unknown) {
					_, err = unknown.Resolve(t.Context())
				}
				if err != nil {
					t.Error(err)
				}
				settled.Add(1)
			})
		}
		wg.Wait()
		require.EqualValues(t, 40, settled.Load())
		require.Len(t, s.succeeded(), 10)
		require.Empty(t, s.gateway.Ledger().ChargedTwice())
		s.gateway.Close()
	})
}

func TestChargeObeysItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.TimeoutBefore})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := s.Charge(ctx, chargeParams("ann", "order-1"))
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 200*time.Millisecond, time.Since(began))
		s.gateway.Close()
	})
}

func TestAGatewayThatCannotBeReachedWasNotAsked(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.connect(t, "ann")
	dead := newShop(t, withConfig(func(c *codegrant.Config) { c.Store = s.store }), withClient(func(c *codegrant.ClientConfig) {
		c.HTTPClient = &http.Client{}
		c.Endpoints.Host = "http://127.0.0.1:1" // nothing listens there
	}))
	_, err := dead.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.ErrorIs(t, err, codegrant.ErrUnreachable)
	require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
}

func TestRefunds(t *testing.T) {
	t.Parallel()
	amount := func(minor int64) codegrant.Amount { return codegrant.Amount{Minor: minor, Currency: "PHP"} }
	s := newShop(t)
	s.connect(t, "ann")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	for range 2 {
		r, err := s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: amount(4000)})
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, r.Outcome)
	}
	require.Len(t, s.gateway.Ledger().Refunds, 1, "the same number is the same refund")
	r, err := s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Number: 2, Amount: amount(7000)})
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, r.Outcome, "more than was paid")
	require.True(t, strings.HasPrefix(r.Code, "108"), r.Code)
	r, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Number: 3, Amount: amount(6050)})
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, r.Outcome)
	s.gateway.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var refunded []codegrant.Amount
	for _, n := range s.refunds {
		if n.Status == codegrant.PaymentSuccess {
			refunded = append(refunded, n.Amount)
		}
	}
	require.ElementsMatch(t, []codegrant.Amount{amount(4000), amount(6050)}, refunded)
}

func TestARepetitionIsNotFailedByADeadToken(t *testing.T) {
	t.Parallel()
	s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }),
		withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled }))
	token := s.connect(t, "ann")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	// A gateway that judges the token before it looks for the request.
	strict := newShop(t, withConfig(func(c *codegrant.Config) { c.Store = s.store }), withClient(func(c *codegrant.ClientConfig) {
		inner := s.gateway.Transport()
		c.Endpoints.SignUpQuery = codegrant.Disabled
		c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/unifiedPay") {
				body := s.gateway.SignedBody("{}", map[string]string{"code": "102000", "description": "token does not exist"})
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body))}, nil
			}
			return inner.RoundTrip(r)
		})}
	}))
	receipt, err := strict.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome, "the order was paid while the token lived")
	require.True(t, receipt.TokenGone)
	require.False(t, s.get(t, token.ID).DoubtedAt.IsZero())
	receipt, err = strict.Charge(t.Context(), chargeParams("ann", "order-2"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, receipt.Outcome)

	found, err := s.QueryCharge(t.Context(), "order-1")
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, found.Outcome)
	require.Equal(t, chargeParams("", "").Amount, found.Amount)
	_, err = s.QueryCharge(t.Context(), "order-2")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = s.QueryRefund(t.Context(), "order-1", 1)
	require.ErrorIs(t, err, codegrant.ErrNotFound)
}

func TestALaterAttemptThatCannotLookCanBeResolved(t *testing.T) {
	t.Parallel()
	s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.FailFirst = true }))
	s.connect(t, "ann")
	params := chargeParams("ann", "order-1")
	receipt, err := s.Charge(t.Context(), params)
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, receipt.Outcome)
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.ResetBefore})
	params.Attempt = 2
	_, err = s.Charge(t.Context(), params)
	var unknown *codegrant.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	require.Len(t, s.gateway.Ledger().Charges, 1, "the second attempt was not sent")
	receipt, err = unknown.Resolve(t.Context())
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	require.Equal(t, []string{"order-1"}, s.succeeded())
}

func TestARepetitionWithANewerTokenLearnsTheOutcome(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.connect(t, "ann")
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	s.connect(t, "ann")
	// The same number with another token: the gateway calls it a duplicate.
	receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	require.Equal(t, []string{"order-1"}, s.succeeded())
}

// Of two requests for one attempt the later one may still be on its way when
// the error of the earlier one is asked.
func TestAnEarlierErrorDoesNotDenyALaterRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		s.connect(t, "ann")
		inner := s.gateway.Transport()
		pays := 0
		other := newShop(t, withConfig(func(c *codegrant.Config) { c.Store = s.store }), withClient(func(c *codegrant.ClientConfig) {
			c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if !strings.HasSuffix(r.URL.Path, "/unifiedPay") {
					return inner.RoundTrip(r)
				}
				if pays++; pays == 2 { // 20 s late
					body, err := io.ReadAll(r.Body)
					require.NoError(t, err)
					r = r.Clone(context.WithoutCancel(r.Context()))
					r.Body = io.NopCloser(bytes.NewReader(body))
					time.AfterFunc(20*time.Second, func() { _, _ = inner.RoundTrip(r) })
				}
				return nil, io.ErrUnexpectedEOF
			})}
		}))
		_, err := other.Charge(t.Context(), chargeParams("ann", "order-1"))
		var first *codegrant.UnknownOutcomeError
		require.ErrorAs(t, err, &first)
		time.Sleep(55 * time.Second)
		_, err = first.Resolve(t.Context())
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, "sent again, and lost again")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetBefore})
		_, err = other.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		time.Sleep(10 * time.Second)
		_, err = first.Resolve(t.Context())
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, "the second request may still arrive")
		time.Sleep(30 * time.Second)
		receipt, err := first.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	})
}

func TestAnAttemptThatWasNotSentResolvesWithoutAToken(t *testing.T) {
	t.Parallel()
	s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.FailFirst = true }))
	s.connect(t, "ann")
	params := chargeParams("ann", "order-1")
	first, err := s.Charge(t.Context(), params)
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, first.Outcome)
	params.Attempt = 2
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.Tampered})
	_, err = s.Charge(t.Context(), params)
	var unknown *codegrant.UnknownOutcomeError
	require.ErrorAs(t, err, &unknown)
	_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
	require.NoError(t, err)

	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.ResetBefore})
	_, err = unknown.Resolve(t.Context())
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, "still nothing is known")
	require.ErrorAs(t, err, &unknown)
	receipt, err := unknown.Resolve(t.Context())
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, receipt.Outcome)
	require.Empty(t, s.succeeded())
}
