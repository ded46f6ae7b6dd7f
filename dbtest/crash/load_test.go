//go:build linux

package crash

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

const (
	// window is how far, in events, the shuffle carries a copy. It is wide
	// against the distance between a sign-up and its unbinding, so that about
	// half of the unbindings arrive first, and copies spread over many kills.
	window = 400
	// copies is the largest number of deliveries of one event; the mean is 4.
	copies = 7
)

// event is one notification: that a user signed up, or ended it in the wallet.
type event struct {
	user   int
	unbind bool
}

// load is everything that the gateway sends in one test.
type load struct {
	gateway *gatewaytest.Gateway
	users   int
	events  []event
	order   []int // an index of events for each delivery
}

// newLoad makes n events. Two thirds of the users also unbind, which makes the
// users 0.6 n.
func newLoad(t *testing.T, n int) *load {
	t.Helper()
	l := &load{gateway: gatewaytest.New(gatewaytest.Config{})}
	t.Cleanup(l.gateway.Close)
	for ; len(l.events) < n; l.users++ {
		l.events = append(l.events, event{user: l.users})
		if l.unbinds(l.users) && len(l.events) < n {
			l.events = append(l.events, event{user: l.users, unbind: true})
		}
	}
	l.shuffle(newRandom(t))
	return l
}

func (l *load) unbinds(user int) bool { return user%3 != 0 }

func (l *load) shuffle(random *rand.Rand) {
	type delivery struct {
		event int
		at    float64
	}
	var deliveries []delivery
	for i := range l.events {
		for range 1 + random.IntN(copies) {
			deliveries = append(deliveries, delivery{i, float64(i) + window*random.Float64()})
		}
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
	l.order = make([]int, len(deliveries))
	for i, d := range deliveries {
		l.order[i] = d.event
	}
}

// last is what must be the end of a user's sign-up.
func (l *load) last(user int) (codegrant.Status, codegrant.EndedBy) {
	// The last event may be a sign-up whose unbinding found no room.
	if l.unbinds(user) && l.events[len(l.events)-1] != (event{user: user}) {
		return codegrant.StatusUnbound, codegrant.EndedByUser
	}
	return codegrant.StatusActive, ""
}

func recordID(user int) string   { return fmt.Sprintf("CRASH%021d", user) }
func userID(user int) string     { return fmt.Sprintf("user-%d", user) }
func tokenValue(user int) string { return fmt.Sprintf("7dda0a6f%024x", user) }

// body is the same at every delivery of e.
func (l *load) body(e event) []byte {
	kind, request := "ACCESS_TOKEN_CREATION", recordID(e.user)
	if e.unbind {
		kind = "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER"
		if e.user%2 == 0 {
			request = "U" + request // the unbinding's own; the path then leads to the record
		}
	}
	return l.gateway.SignedBody(fmt.Sprintf(`{"notifyType":%q,"requestId":%q,"merchantUserId":%q,"token":%q,"userLoginId":"ann@example.com"}`,
		kind, request, userID(e.user), tokenValue(e.user)), nil)
}

// prepare stores the pending record of every user, as StartSignUp does.
func (l *load) prepare(t *testing.T, at target) {
	t.Helper()
	s := at.open(t)
	require.NoError(t, s.plain.Migrate(t.Context()))
	_, err := s.db.ExecContext(t.Context(), createRows)
	require.NoError(t, err)
	if at.keyed() {
		_, err := s.db.ExecContext(t.Context(), keyRows)
		require.NoError(t, err)
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	const batch = 1000
	for from := 0; from < l.users; from += batch {
		require.NoError(t, s.store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			for user := from; user < min(from+batch, l.users); user++ {
				if err := tx.Save(ctx, codegrant.Token{
					ID: recordID(user), AccountID: gatewaytest.DefaultAccountID, UserID: userID(user),
					Wallet: codegrant.GCash, Status: codegrant.StatusPending, Handled: codegrant.StatusPending,
					Revision: 1, ReturnTo: "/", CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
				}); err != nil {
					return err
				}
			}
			return nil
		}))
	}
	// Nothing here keeps the database open: after a kill its file is nobody's.
	require.NoError(t, s.db.Close())
}
