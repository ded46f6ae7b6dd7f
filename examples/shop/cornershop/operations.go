package cornershop

import (
	"errors"
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
)

// operations is where the merchant's staff look after the wallets.
const operations = "/ops/wallets"

// sweepAfter is how long a record waits by itself. Quick, so that one can watch
// it heal; the default is a minute.
const sweepAfter = 5 * time.Second

// newConsole returns the operations page. This shop has no staff and is on this
// machine alone, so whoever is signed in plays one; a real one asks the login of
// its staff, which is never that of its buyers.
func (s *Shop) newConsole(store codegrant.TokenStore, payments codegrant.PaymentStore) (*console.Console, error) {
	return console.New(console.Config{
		Kit: s.kit, Store: store, Payments: payments,
		Sweep: s.kit.Reconcile, After: sweepAfter, Logger: s.log,
		Authorize: func(r *http.Request) (string, error) {
			found, ok, err := s.findSession(r)
			if err == nil && !ok {
				err = errors.New("nobody is signed in")
			}
			return found.Name, err
		},
	})
}
