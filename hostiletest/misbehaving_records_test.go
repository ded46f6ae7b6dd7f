package hostiletest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// deed is something that a user or the shop does with the user's token.
type deed struct {
	name string
	do   func(ctx context.Context, m *merchant, id string) (*httptest.ResponseRecorder, error)
}

func deeds() []deed {
	call := func(name string, do func(ctx context.Context, m *merchant, id string) error) deed {
		return deed{name, func(ctx context.Context, m *merchant, id string) (*httptest.ResponseRecorder, error) {
			return nil, do(ctx, m, id)
		}}
	}
	page := func(name, method, target, body, accept string) deed {
		return deed{name, func(ctx context.Context, m *merchant, id string) (*httptest.ResponseRecorder, error) {
			r := browser(ctx, method, strings.ReplaceAll(target, "{id}", id), strings.ReplaceAll(body, "{id}", id))
			r.Header.Set("Accept", accept)
			w := httptest.NewRecorder()
			m.handler.ServeHTTP(w, r)
			if w.Code < 400 {
				return w, nil
			}
			return w, errors.New(http.StatusText(w.Code))
		}}
	}
	params := codegrant.ChargeParams{UserID: "ann", OrderID: "ORDER-1", Amount: orderPrice, ShopperIP: "192.0.2.7", Email: "x@shop.test"}
	return []deed{
		call("Charge", func(ctx context.Context, m *merchant, _ string) error { _, err := m.Charge(ctx, params); return err }),
		call("Charge of a record", func(ctx context.Context, m *merchant, id string) error {
			p := params
			p.TokenID = id
			_, err := m.Charge(ctx, p)
			return err
		}),
		call("UnbindToken", func(ctx context.Context, m *merchant, _ string) error {
			_, err := m.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann"})
			return err
		}),
		call("UnbindToken of a record", func(ctx context.Context, m *merchant, id string) error {
			_, err := m.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann", TokenID: id})
			return err
		}),
		call("ActiveToken", func(ctx context.Context, m *merchant, _ string) error {
			_, err := m.ActiveToken(ctx, "ann", "")
			return err
		}),
		call("Tokens", func(ctx context.Context, m *merchant, _ string) error { _, err := m.Tokens(ctx, "ann"); return err }),
		call("Refresh", func(ctx context.Context, m *merchant, id string) error { _, err := m.Refresh(ctx, id); return err }),
		page("the unbind form", "POST", "/unbind", "id={id}", "text/html"),
		page("the unbind form in JSON", "POST", "/unbind", "id={id}", "application/json"),
		page("the status", "GET", "/status", "", "application/json"),
		page("the status of a record", "GET", "/status/{id}", "", "application/json"),
		page("the return page", "GET", "/return/{id}", "", "text/html"),
		page("the return page in JSON", "GET", "/return/{id}", "", "application/json"),
	}
}

// browser is a request of ann's browser to one of the endpoints.
func browser(ctx context.Context, method, target, body string) *http.Request {
	r := httptest.NewRequestWithContext(ctx, method, baseURL+target, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-User", "ann")
	return r
}

// TestSomebodyElsesRecord: what a broken store returns instead of the record
// asked for is not charged, unbound or shown.
func TestSomebodyElsesRecord(t *testing.T) {
	t.Parallel()
	for _, owner := range []string{"bob", "Ann", "another account's ann", "nobody"} {
		for _, d := range deeds() {
			t.Run(owner+", "+d.name, func(t *testing.T) {
				t.Parallel()
				m, odd, honest := withOddStore(t)
				id := m.connect(t, "ann").ID
				var other codegrant.Token
				if owner != "nobody" {
					other = m.connect(t, owner)
				}
				if owner == "another account's ann" {
					other.UserID, other.AccountID = "ann", "9999999999999999999001"
				}
				odd.get = func(context.Context, string) (codegrant.Token, error) { return other, nil }
				odd.byUser = func(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
					list, err := honest.ByUser(ctx, accountID, userID)
					return append(list, other), err
				}
				w, err := d.do(t.Context(), m, id)
				require.Error(t, err)
				if w != nil {
					require.Equal(t, http.StatusServiceUnavailable, w.Code)
					require.NotContains(t, w.Body.String(), "record")
					if other.ID != "" {
						require.NotContains(t, w.Body.String(), other.ID)
					}
				}
				require.Empty(t, m.gateway.Ledger().Charges)
				for _, a := range m.gateway.Ledger().Agreements {
					require.Equal(t, gatewaytest.StatusSuccess, a.Status)
				}
				if owner != "nobody" && owner != "another account's ann" {
					got, err := honest.Get(t.Context(), other.ID)
					require.NoError(t, err)
					require.Equal(t, other.Revision, got.Revision, "it was acted on")
				}
				odd.heal()
				_, err = d.do(t.Context(), m, id)
				require.NoError(t, err)
			})
		}
	}
}

// TestNoEndpointTellsWhyTheStoreFailed: errors of a store may name hosts and
// passwords, and worse.
func TestNoEndpointTellsWhyTheStoreFailed(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial shop:" + gatewaytest.DefaultSalt + "@db.internal: " + tokenValue)
	all := append(deeds(), deed{"the sign-up form", func(ctx context.Context, m *merchant, _ string) (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		m.handler.ServeHTTP(w, browser(ctx, "POST", "/signup", "wallet=GCash"))
		return w, nil
	}})
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			m, odd, _ := withOddStore(t)
			id := m.connect(t, "ann").ID
			odd.get = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, secret }
			odd.save = func(context.Context, codegrant.Token) error { return secret }
			odd.byUser = func(context.Context, string, string) ([]codegrant.Token, error) { return nil, secret }
			odd.byFingerprint = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, secret }
			w, err := d.do(t.Context(), m, id)
			if w == nil {
				require.ErrorIs(t, err, codegrant.ErrStore)
				require.ErrorIs(t, err, secret, "the shop's own code may look at the cause")
				return
			}
			require.Equal(t, http.StatusServiceUnavailable, w.Code)
			requireNoSecret(t, w.Body.String()+strings.Join(w.Header().Values("Location"), " "))
			require.NotContains(t, w.Body.String(), "db.internal")
		})
	}
}

// TestASlowStoreEndsEveryRequest: the endpoints of a browser end within their
// time too, and nothing is left running.
func TestASlowStoreEndsEveryRequest(t *testing.T) {
	t.Parallel()
	for _, d := range deeds() {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMerchant(t)
				id := m.connect(t, "ann").ID
				var slow atomic.Bool
				m.store.before = func(ctx context.Context, _ string) error {
					if slow.Load() {
						<-ctx.Done()
						return ctx.Err()
					}
					return nil
				}
				slow.Store(true)
				// What takes a context ends with it, or, where it must not be cut
				// in half, after the time of the gateway's client and twice its own.
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				began := time.Now()
				w, err := d.do(ctx, m, id)
				require.Error(t, err)
				require.LessOrEqual(t, time.Since(began), 36*time.Second)
				if !strings.Contains(d.name, "nbind") {
					require.LessOrEqual(t, time.Since(began), 3*time.Second)
				}
				if w != nil {
					require.Equal(t, http.StatusServiceUnavailable, w.Code)
				} else {
					require.ErrorIs(t, err, codegrant.ErrDeadline)
				}
				slow.Store(false)
				time.Sleep(time.Minute) // a query that is shared goes on without its caller
				_, err = d.do(t.Context(), m, id)
				require.NoError(t, err)
				require.Equal(t, m.get(t, id).Status, m.get(t, id).Handled)
			})
		})
	}
}
