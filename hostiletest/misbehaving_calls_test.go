package hostiletest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// TestStoresThatFailBetweenCalls breaks every single call of the store that a
// piece of work makes, before and after it was done. Doing the work again on a
// healthy store ends where it would have ended.
func TestStoresThatFailBetweenCalls(t *testing.T) {
	t.Parallel()
	notice := func(kind string) func(t *testing.T, m *merchant, token codegrant.Token) error {
		return func(t *testing.T, m *merchant, token codegrant.Token) error {
			value := token.Value.Reveal()
			if value == "" {
				value = tokenValue
			}
			body := m.gateway.SignedBody(`{"notifyType":"`+kind+`","requestId":"`+token.ID+`","merchantUserId":"ann","token":"`+value+`"}`, nil)
			w := m.post(t, token.ID, body)
			if w.Code == http.StatusOK {
				return nil
			}
			requireUnavailable(t, w)
			return errBroken
		}
	}
	for _, tc := range []struct {
		name   string
		calls  int // that the work makes, at least
		active bool
		status codegrant.Status
		work   func(t *testing.T, m *merchant, token codegrant.Token) error
	}{
		{"the sign-up's notification", 5, false, codegrant.StatusActive, notice(created)},
		{"a notification that is adopted", 5, false, codegrant.StatusActive, func(t *testing.T, m *merchant, token codegrant.Token) error {
			token.ID = "RESTORED"
			return notice(created)(t, m, token)
		}},
		{"an unbinding's notification", 5, true, codegrant.StatusUnbound, notice(endedByUser)},
		{"an unbinding that comes before the success", 5, false, codegrant.StatusUnbound, notice(endedByUser)},
		{"UnbindToken", 6, true, codegrant.StatusUnbound, func(t *testing.T, m *merchant, token codegrant.Token) error {
			_, err := m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
			return err
		}},
		{"Refresh", 5, false, codegrant.StatusActive, func(t *testing.T, m *merchant, token codegrant.Token) error {
			got, err := m.Refresh(t.Context(), token.ID)
			if err == nil && got.Status != codegrant.StatusActive {
				return errors.New("not active")
			}
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, how := range []mode{failBefore, failAfter, conflict} {
				for at := 0; ; at++ {
					p, honest := &process{}, memstore.New()
					m := newMerchant(t, func(s *setup) {
						s.kit.Store = frail(p, honest, false)
						s.gateway.SilentWallets = []string{"GCash"}
					})
					token := m.start(t, "ann")
					switch {
					case tc.active:
						require.NoError(t, m.gateway.Approve(token.AuthURL))
						token = m.get(t, token.ID)
						// The breakage is for the calls below and no others.
						m.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1})
					case tc.name == "Refresh":
						m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpNotifySignUp, Kind: gatewaytest.DropAll})
						require.NoError(t, m.gateway.Approve(token.AuthURL))
					}
					m.hooks.Store(0)
					p.begin(breakage{mode: how, at: at})
					err := tc.work(t, m, token)
					fired, _ := p.state()
					// Looking for older tokens of the wallet, to doubt them, is tried
					// once: it fails no work.
					doubting := p.firedOp == "ByUser"
					p.begin(breakage{})
					switch { // a look-up that finds nothing cannot fail afterwards
					case fired && how == failBefore && !doubting:
						require.Error(t, err, "call %d, %s", at, how)
					case !fired || (how == conflict && tc.name != "a notification that is adopted"): // which may be new
						require.NoError(t, err, "call %d, %s", at, how)
					}
					require.NoError(t, tc.work(t, m, token), "again after call %d, %s", at, how)
					id := token.ID
					if tc.name == "a notification that is adopted" {
						id = "RESTORED"
					}
					got := settleOwed(t, m, honest, id)
					require.Equal(t, tc.status, got.Status, "call %d, %s", at, how)
					require.Equal(t, tc.status, got.Handled, "call %d, %s", at, how)
					require.NotZero(t, m.hooks.Load(), "the hook was lost: call %d, %s", at, how)
					require.NotEmpty(t, got.Fingerprint)
					if !fired && at >= tc.calls {
						break
					}
				}
			}
		})
	}
}

// settleOwed returns the record. Where the agreement is over and the hook has
// not accepted that, the record must say that it is unsettled; the gateway's
// notification runs the hook.
func settleOwed(t *testing.T, m *merchant, honest *memstore.Store, id string) codegrant.Token {
	t.Helper()
	got, err := honest.Get(t.Context(), id)
	require.NoError(t, err)
	if got.Status == codegrant.StatusUnbound && got.Handled < got.Status {
		require.False(t, got.UnsettledSince.IsZero(), "nobody will find what is owed")
		body := m.gateway.SignedBody(`{"notifyType":"`+endedByUs+`","requestId":"`+id+`","token":"`+got.Value.Reveal()+`"}`, nil)
		require.Equal(t, http.StatusOK, m.post(t, id, body).Code)
		got, err = honest.Get(t.Context(), id)
		require.NoError(t, err)
	}
	return got
}

// TestStoresThatFailDuringASignUpOrACharge: these are not delivered again by
// anybody, so what they return must be true.
func TestStoresThatFailDuringASignUpOrACharge(t *testing.T) {
	t.Parallel()
	for _, how := range []mode{failBefore, failAfter, conflict} {
		for at := range 8 {
			p, honest := &process{}, memstore.New()
			m := newMerchant(t, func(s *setup) { s.kit.Store = frail(p, honest, false) })
			p.begin(breakage{mode: how, at: at})
			token, err := m.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
			fired, _ := p.state()
			p.begin(breakage{})
			if fired && (how != conflict || at == 0) {
				require.Error(t, err)
				token = m.start(t, "ann") // the user tries again
			} else {
				require.NoError(t, err)
			}
			require.NoError(t, m.gateway.Approve(token.AuthURL))
			require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Handled)

			params := codegrant.ChargeParams{UserID: "ann", OrderID: "ORDER-1", Amount: orderPrice, ShopperIP: "192.0.2.7", Email: "x@shop.test"}
			p.begin(breakage{mode: how, at: at})
			receipt, err := m.Charge(t.Context(), params)
			fired, _ = p.state()
			p.begin(breakage{})
			if fired && how != conflict {
				require.ErrorIs(t, err, codegrant.ErrStore)
				require.Empty(t, m.gateway.Ledger().Charges, "and nothing was sent")
				receipt, err = m.Charge(t.Context(), params)
			}
			require.NoError(t, err)
			require.Equal(t, codegrant.Succeeded, receipt.Outcome)
			require.Len(t, m.gateway.Ledger().Charges, 1)
		}
	}
}

// TestAChargeIsToldApartFromItsStore: when the gateway does not know the token,
// the receipt says so whatever the store does to the doubt.
func TestAChargeIsToldApartFromItsStore(t *testing.T) {
	t.Parallel()
	for at := range 10 {
		p, honest := &process{}, memstore.New()
		m := newMerchant(t, func(s *setup) {
			s.kit.Store = frail(p, honest, false)
			s.gateway.SilentWallets = []string{"GCash"}
		})
		id := m.connect(t, "ann").ID
		require.NoError(t, m.gateway.UnbindInWallet("ann", "GCash"))
		p.begin(breakage{mode: failBefore, at: at + 1}) // the first call finds the token
		receipt, err := m.Charge(t.Context(), codegrant.ChargeParams{
			UserID: "ann", OrderID: "ORDER-1", Amount: orderPrice, ShopperIP: "192.0.2.7", Email: "x@shop.test",
		})
		p.begin(breakage{})
		require.NoError(t, err)
		require.Equal(t, codegrant.Failed, receipt.Outcome)
		require.True(t, receipt.TokenGone)
		_, err = m.Refresh(t.Context(), id)
		require.NoError(t, err)
		got := settleOwed(t, m, honest, id)
		require.Equal(t, codegrant.StatusUnbound, got.Status)
		require.Equal(t, codegrant.StatusUnbound, got.Handled)
		require.Empty(t, m.gateway.Ledger().Charges)
	}
}

// TestMisbehavingUserFunction: who is signed in is the merchant's code too. A
// panic goes to the merchant's own middleware or to net/http, and an answer
// waits as long as that function does, which has the request's context.
func TestMisbehavingUserFunction(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		took time.Duration
		user func(*http.Request) (string, error)
	}{
		{"fails with a secret", 0, func(*http.Request) (string, error) { return "", errors.New("session: " + tokenValue) }},
		{"names a user beside the error", 0, func(*http.Request) (string, error) { return "ann", errBroken }},
		{"returns the kit's own code", 0, func(*http.Request) (string, error) { return "ann", codegrant.ErrNotFound }},
		{"hangs until the request ends", time.Second, func(r *http.Request) (string, error) {
			<-r.Context().Done()
			return "", r.Context().Err()
		}},
	} {
		for _, target := range [][2]string{{"POST", "/signup"}, {"POST", "/unbind"}, {"GET", "/status"}, {"GET", "/return/ABC"}} {
			t.Run(tc.name+", "+target[1], func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					m := newMerchant(t, func(s *setup) { s.kit.User = tc.user })
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					w := httptest.NewRecorder()
					began := time.Now()
					m.handler.ServeHTTP(w, browser(ctx, target[0], target[1], "wallet=GCash"))
					require.Equal(t, tc.took, time.Since(began))
					require.Equal(t, http.StatusServiceUnavailable, w.Code)
					requireNoSecret(t, w.Body.String())
					require.Zero(t, m.store.calls.Load())
					require.Empty(t, m.gateway.Ledger().Agreements)
				})
			})
		}
	}
	t.Run("panics", func(t *testing.T) {
		t.Parallel()
		m := newMerchant(t, func(s *setup) { s.kit.User = func(*http.Request) (string, error) { panic(shopSecret) } })
		require.Panics(t, func() {
			m.handler.ServeHTTP(httptest.NewRecorder(), browser(t.Context(), "POST", "/signup", "wallet=GCash"))
		})
		requireNoSecret(t, m.log.String())
		require.Zero(t, m.store.calls.Load())
	})
}
