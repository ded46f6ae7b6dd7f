package hostiletest

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// frailPayments is a PaymentStore as a breaking process sees it.
type frailPayments struct {
	codegrant.PaymentStore
	process *process
}

func (s frailPayments) GetPayment(ctx context.Context, id string) (p codegrant.Payment, err error) {
	err = s.process.call("GetPayment", func() error { p, err = s.PaymentStore.GetPayment(ctx, id); return err })
	return p, err
}

func (s frailPayments) SavePayment(ctx context.Context, p codegrant.Payment) error {
	return s.process.call("SavePayment", func() error { return s.PaymentStore.SavePayment(ctx, p) })
}

func (s frailPayments) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) (list []codegrant.Payment, err error) {
	err = s.process.call("UnsettledPayments", func() error { list, err = s.PaymentStore.UnsettledPayments(ctx, olderThan, limit); return err })
	return list, err
}

// frailInside is what a transaction of both hands out.
type frailInside struct {
	frailStore
	frailPayments
}

// frailTxPayments is a PaymentStore that is also a TxStore.
type frailTxPayments struct {
	frailTxStore
	frailPayments
}

// till is a shop that records its payments, and whose process can break.
type till struct {
	gateway *gatewaytest.Gateway
	target  target
	store   codegrant.TokenStore
	db      *sql.DB // nil without SQLite
	process process
	now     time.Time
	kit     *codegrant.Kit
	heard   []codegrant.PaymentStatus // what OnPayment accepted
	repaid  []codegrant.PaymentStatus // what OnRefund accepted
}

func newTill(t *testing.T, target target, failFirst bool) *till {
	s := &till{target: target, now: time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)}
	s.gateway = gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test", FailFirst: failFirst})
	t.Cleanup(s.gateway.Close)
	store, db, err := target.open()
	require.NoError(t, err)
	if db != nil {
		t.Cleanup(func() { require.NoError(t, db.Close()) })
	}
	s.store, s.db = store, db
	s.start(t)
	s.gateway.DeliverTo(http.StripPrefix("/wallet", s.kit))
	token, err := s.kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.NoError(t, err)
	require.NoError(t, s.gateway.Approve(token.AuthURL))
	// From here on only a sweep can heal.
	s.gateway.LoseNotifications(true)
	return s
}

// start is a new process in the place of the one that may have died.
func (s *till) start(t *testing.T) {
	s.process.revive()
	s.process.begin(breakage{})
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: frailTransport{&s.process, s.gateway.Transport(), func(string) {}}},
	})
	require.NoError(t, err)
	store := frail(&s.process, s.store, s.target.inTx)
	inner := frailPayments{s.store.(codegrant.PaymentStore), &s.process}
	payments := codegrant.PaymentStore(inner)
	if tx, ok := store.(frailTxStore); ok {
		payments = frailTxPayments{tx, inner}
	}
	s.kit, err = codegrant.New(codegrant.Config{
		Client: client, Store: store, BaseURL: baseURL, Payments: payments,
		User: func(*http.Request) (string, error) { return "", nil },
		OnPayment: func(ctx context.Context, n codegrant.PaymentNotification) error {
			return s.process.call("hook", func() error {
				s.heard = append(s.heard, n.Status)
				return s.effect(ctx, "payment "+n.RequestID, n.Status)
			})
		},
		OnRefund: func(ctx context.Context, n codegrant.RefundNotification) error {
			return s.process.call("hook", func() error {
				s.repaid = append(s.repaid, n.Status)
				return s.effect(ctx, "refund "+n.RefundID, n.Status)
			})
		},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return s.now },
		Timeout: time.Minute, Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
	})
	require.NoError(t, err)
}

// effect writes the merchant's own row into the hook's transaction.
func (s *till) effect(ctx context.Context, id string, status codegrant.PaymentStatus) error {
	tx, ok := sqlstore.Tx(ctx)
	if ok != s.target.inTx {
		return errors.New("the hook is not where the target says")
	}
	if !ok {
		return nil
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?, ?)", id+" "+string(status), 0)
	return err
}

// judgeEffects wants one row for every outcome that the hooks accepted, and no
// other.
func (s *till) judgeEffects(t *testing.T, p codegrant.Payment) {
	if !s.target.inTx {
		return
	}
	rows, err := s.db.Query("SELECT id FROM effects")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	succeeded, refunded := 0, 0
	seen := map[string]bool{}
	for rows.Next() {
		var id string
		require.NoError(t, rows.Scan(&id))
		require.False(t, seen[id], "twice: %s", id)
		seen[id] = true
		switch success := strings.HasSuffix(id, " "+string(codegrant.PaymentSuccess)); {
		case strings.HasPrefix(id, "refund ") && success:
			refunded++
		case success:
			succeeded++
		}
	}
	require.NoError(t, rows.Err())
	if p.Handled == codegrant.Succeeded {
		require.Equal(t, 1, succeeded)
	} else {
		require.Zero(t, succeeded)
		require.True(t, seen["payment "+p.RequestID+" "+string(p.Last.Status)], "the failure of %v left no row", p)
	}
	require.Equal(t, len(p.Refunds), refunded)
}

func orderOf(amount int64) codegrant.ChargeParams {
	return codegrant.ChargeParams{
		UserID: "ann", OrderID: "ORDER-1", Amount: codegrant.Amount{Minor: amount, Currency: "PHP"},
		ShopperIP: "192.0.2.7", Email: "x@shop.test",
	}
}

// sweep lets enough time pass that nothing is on its way any more.
func (s *till) sweep(t *testing.T) {
	for range 2 { // what the first could only ask about, the second hears
		s.now = s.now.Add(4 * time.Hour)
		_, err := s.kit.Reconcile(t.Context())
		require.NoError(t, err)
	}
}

// judge compares record, hook and the gateway's books.
func (s *till) judge(t *testing.T) codegrant.Payment {
	ledger := s.gateway.Ledger()
	require.Empty(t, ledger.ChargedTwice())
	p, err := s.kit.Payment(t.Context(), "ORDER-1")
	if errors.Is(err, codegrant.ErrNotFound) {
		require.Empty(t, ledger.Charges, "the gateway heard of an order that was never recorded")
		return p
	}
	require.NoError(t, err)
	require.True(t, p.UnsettledSince.IsZero(), "%v", p)
	want := codegrant.Failed
	for _, c := range ledger.Charges {
		if c.Status == gatewaytest.StatusSuccess {
			want = codegrant.Succeeded
		}
	}
	require.Equal(t, want, p.Outcome)
	require.Equal(t, want, p.Handled)
	require.NotEmpty(t, s.heard, "never zero times")
	require.Equal(t, want == codegrant.Succeeded, s.heard[len(s.heard)-1] == codegrant.PaymentSuccess)
	paidBack := map[string]bool{}
	for _, r := range ledger.Refunds {
		require.False(t, paidBack[r.RefundID], "paid back twice")
		paidBack[r.RefundID] = true
	}
	require.Len(t, p.Refunds, len(paidBack))
	require.True(t, len(paidBack) == 0 || len(s.repaid) > 0, "never zero times")
	for _, r := range p.Refunds {
		require.Equal(t, codegrant.Succeeded, r.Outcome)
		require.Equal(t, codegrant.Succeeded, r.Handled)
	}
	s.judgeEffects(t, p)
	return p
}

// TestADeathAtEveryPointOfAPayment lets the process die, or a call fail, before
// and behind every call that a charge and a refund make: of the store, of the
// gateway, of the hook. One restart and a sweep later every order is settled as
// the gateway's books say, nobody was charged twice, and the hook has heard it;
// what it wrote inside the transaction is there once. By default plain SQLite
// takes two of the cases, and under the race detector SQLite takes one, with its
// hooks inside, and no failing calls; -times 2 takes all.
func TestADeathAtEveryPointOfAPayment(t *testing.T) {
	t.Parallel()
	refund := codegrant.RefundParams{OrderID: "ORDER-1", Amount: codegrant.Amount{Minor: 500, Currency: "PHP"}}
	for _, target := range targets() {
		for _, tc := range []struct {
			name      string
			failFirst bool
			before    func(t *testing.T, s *till) // without a breakage
			do        func(ctx context.Context, s *till) error
		}{
			{"a charge", false, nil, func(ctx context.Context, s *till) error {
				_, err := s.kit.Charge(ctx, orderOf(1000))
				return err
			}},
			{"a charge and its resolving", false, nil, func(ctx context.Context, s *till) error {
				_, err := s.kit.Charge(ctx, orderOf(1000))
				var unknown *codegrant.UnknownOutcomeError
				if errors.As(err, &unknown) {
					_, err = unknown.Resolve(ctx)
				}
				return err
			}},
			{"a charge whose answer is lost, and its resolving", false, func(_ *testing.T, s *till) {
				// The gateway does not know either that the merchant knows.
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
			}, func(ctx context.Context, s *till) error {
				_, err := s.kit.Charge(ctx, orderOf(1000))
				var unknown *codegrant.UnknownOutcomeError
				if errors.As(err, &unknown) {
					_, err = unknown.Resolve(ctx)
				}
				return err
			}},
			{"a second attempt", true, func(t *testing.T, s *till) {
				receipt, err := s.kit.Charge(t.Context(), orderOf(1000))
				require.NoError(t, err)
				require.Equal(t, codegrant.Failed, receipt.Outcome)
			}, func(ctx context.Context, s *till) error {
				params := orderOf(1000)
				params.Attempt = 2
				_, err := s.kit.Charge(ctx, params)
				return err
			}},
			{"a refund", false, func(t *testing.T, s *till) {
				_, err := s.kit.Charge(t.Context(), orderOf(1000))
				require.NoError(t, err)
			}, func(ctx context.Context, s *till) error {
				_, err := s.kit.Refund(ctx, refund)
				return err
			}},
			{"a sweep", false, func(t *testing.T, s *till) {
				s.process.begin(breakage{mode: dieBefore, op: "SavePayment", at: 1})
				_, _ = s.kit.Charge(t.Context(), orderOf(1000))
				s.start(t)
				s.now = s.now.Add(4 * time.Hour)
			}, func(ctx context.Context, s *till) error {
				_, err := s.kit.Reconcile(ctx)
				return err
			}},
		} {
			switch {
			case target.name == "memstore", *timesFlag > 1:
			case slowdown > 1 && (!target.inTx || tc.name != "a charge"):
				continue // SQLite takes about ten times as long
			case !target.inTx && tc.name != "a charge" && tc.name != "a refund":
				continue // the kit goes the ways of memstore
			}
			t.Run(target.name+": "+tc.name, func(t *testing.T) {
				t.Parallel()
				points := 0
				modes := []mode{dieBefore, dieAfter, failBefore, failAfter, panicking}
				if target.inTx && slowdown > 1 && *timesFlag == 1 {
					modes = modes[:2]
				}
				for _, m := range modes {
					for at := 0; ; at++ {
						s := newTill(t, target, tc.failFirst)
						if tc.before != nil {
							tc.before(t, s)
						}
						s.process.begin(breakage{mode: m, at: at})
						_ = tc.do(t.Context(), s)
						fired, _ := s.process.state()
						s.gateway.ClearFaults()
						s.start(t)
						s.sweep(t)
						p := s.judge(t)
						if p.Outcome != codegrant.Succeeded {
							params := orderOf(1000)
							params.Attempt = p.Attempt + 1
							receipt, err := s.kit.Charge(t.Context(), params)
							require.NoError(t, err)
							if receipt.Outcome == codegrant.Failed && tc.failFirst {
								params.Attempt++
								receipt, err = s.kit.Charge(t.Context(), params)
								require.NoError(t, err)
							}
							require.Equal(t, codegrant.Succeeded, receipt.Outcome)
							s.judge(t)
						}
						if fired {
							points++
						} else if m != panicking || at > 20 { // only hooks panic, and nobody knows where
							break
						}
					}
				}
				require.Greater(t, points, 5*len(modes)-5)
				t.Logf("%d points", points)
			})
		}
	}
}
