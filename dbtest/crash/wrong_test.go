//go:build linux

package crash

import (
	"context"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// answersFirst says OK and works afterwards, as one does who has read that
// gateways want an answer quickly: what a crash interrupts never comes again.
func answersFirst(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	kit, err := codegrant.New(cfg)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
		go func() { _ = kit.Apply(r.Context(), body, path.Base(r.URL.Path)) }()
	}), nil
}

// outside writes the merchant's row in a transaction of its own: the store
// does not show that it has any, so the kit saves, calls the hook and then
// saves that it was called.
func outside(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	cfg.Store = struct{ codegrant.TokenStore }{s.store}
	cfg.OnToken = func(ctx context.Context, c codegrant.Change) error { return s.note(ctx, s.db, c.Token) }
	kit, err := codegrant.New(cfg)
	if err != nil {
		return nil, err
	}
	return kit.Notify(), nil
}

// unguarded saves whatever comes and tells the merchant each time: no revision
// and no Handled keep a second copy from being news.
func unguarded(s *shop) (http.Handler, error) {
	return s.naive(func(t codegrant.Token, n codegrant.Notification) (codegrant.Token, bool) {
		t, _ = codegrant.Transition(t, n, time.Now())
		return t, true
	}), nil
}

// lastWins believes that what arrives last is what happened last.
func lastWins(s *shop) (http.Handler, error) {
	return s.naive(func(t codegrant.Token, n codegrant.Notification) (codegrant.Token, bool) {
		t.Value, t.Fingerprint = n.Token, codegrant.Fingerprint(n.Token)
		t.Status, t.EndedBy = codegrant.StatusActive, ""
		if n.Kind == codegrant.KindUnboundByUser {
			t.Status, t.EndedBy = codegrant.StatusUnbound, codegrant.EndedByUser
		}
		return t, t.Status > t.Handled
	}), nil
}

// naive is a receiver that somebody wrote by hand: one transaction for the
// record and the row, and change says what both become.
func (s *shop) naive(change func(codegrant.Token, codegrant.Notification) (next codegrant.Token, news bool)) http.Handler {
	account := codegrant.Account{
		ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
		Salts: codegrant.Salts(gatewaytest.DefaultSalt),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		n, parseErr := codegrant.ParseNotification(body, account)
		if err != nil || parseErr != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		err = s.store.InTx(r.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			t, err := tx.Get(ctx, path.Base(r.URL.Path))
			if err != nil {
				return err
			}
			next, news := change(t, n)
			next.Revision++
			if news {
				next.Handled, next.UnsettledSince = next.Status, time.Time{}
				own, _ := sqlstore.Tx(ctx)
				if err := s.note(ctx, own, next); err != nil {
					return err
				}
			}
			return tx.Save(ctx, next)
		})
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
}
