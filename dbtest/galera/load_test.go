//go:build linux

package galera

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

const (
	// copies is the largest number of deliveries of one event; the mean is 4.
	copies = 7
	// Half of the events' copies are spread over many others. Those of the
	// other half come close together, so that several nodes work on one record
	// at a time.
	wide, narrow = 300, 4
	// senders is how many deliveries are under way at a time.
	senders = 16
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

	next     atomic.Int64
	attempts atomic.Int64
	extra    atomic.Int64 // deliveries that order does not have
	refused  [3]atomic.Int64
	accepted [3]atomic.Int64
	barriers []barrier
}

// barrier lets deliveries from a place in the order on pass when it opens.
type barrier struct {
	at   int
	open chan struct{}
}

// newLoad makes n events of users of whom two thirds also unbind.
func newLoad(t *testing.T, n int) *load {
	t.Helper()
	l := &load{gateway: gatewaytest.New(gatewaytest.Config{})}
	t.Cleanup(l.gateway.Close)
	for ; len(l.events) < n; l.users++ {
		l.events = append(l.events, event{user: l.users})
		if unbinds(l.users) {
			l.events = append(l.events, event{user: l.users, unbind: true})
		}
	}
	type delivery struct {
		event int
		at    float64
	}
	var deliveries []delivery
	for i, e := range l.events {
		window := float64(wide)
		if e.user%2 == 0 {
			window = narrow
		}
		for range 1 + rand.IntN(copies) {
			deliveries = append(deliveries, delivery{i, float64(i) + window*rand.Float64()})
		}
	}
	slices.SortStableFunc(deliveries, func(a, b delivery) int { return cmp.Compare(a.at, b.at) })
	for _, d := range deliveries {
		l.order = append(l.order, d.event)
	}
	return l
}

func unbinds(user int) bool { return user%3 != 0 }

// last is what must be the end of a user's sign-up.
func last(user int) (codegrant.Status, codegrant.EndedBy) {
	if unbinds(user) {
		return codegrant.StatusUnbound, codegrant.EndedByUser
	}
	return codegrant.StatusActive, ""
}

func recordID(user int) string   { return fmt.Sprintf("GALERA%020d", user) }
func userID(user int) string     { return fmt.Sprintf("user-%d", user) }
func tokenValue(user int) string { return fmt.Sprintf("7dda0a6f%024x", user) }

// body is the same at every delivery of e.
func body(g *gatewaytest.Gateway, e event) []byte {
	kind, request := "ACCESS_TOKEN_CREATION", recordID(e.user)
	if e.unbind {
		kind = "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER"
		if e.user%2 == 0 {
			request = "U" + request // the unbinding's own; the path then leads to the record
		}
	}
	return g.SignedBody(fmt.Sprintf(`{"notifyType":%q,"requestId":%q,"merchantUserId":%q,"token":%q,"userLoginId":"ann@example.com"}`,
		kind, request, userID(e.user), tokenValue(e.user)), nil)
}

// pending is the record of a user who was sent to the wallet.
func pending(user int) codegrant.Token {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return codegrant.Token{
		ID: recordID(user), AccountID: gatewaytest.DefaultAccountID, UserID: userID(user),
		Wallet: codegrant.GCash, Status: codegrant.StatusPending, Handled: codegrant.StatusPending,
		Revision: 1, ReturnTo: "/", CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
	}
}

func (l *load) prepare(t *testing.T, s *shop) {
	t.Helper()
	require.NoError(t, s.store.(codegrant.TxStore).InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		for user := range l.users {
			if err := tx.Save(ctx, pending(user)); err != nil {
				return err
			}
		}
		return nil
	}))
}

// post makes one attempt.
func (s *shop) post(g *gatewaytest.Gateway, e event) int {
	w := httptest.NewRecorder()
	s.notify.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/wallet/notify/"+recordID(e.user), bytes.NewReader(body(g, e))))
	return w.Code
}

// deliverAll returns when every copy was answered with 200.
func (l *load) deliverAll(ctx context.Context, shops []*shop) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for range senders {
		wg.Go(func() {
			for i := int(l.next.Add(1)) - 1; i < len(l.order) && ctx.Err() == nil; i = int(l.next.Add(1)) - 1 {
				err := l.hold(ctx, shops, i)
				if err == nil {
					err = l.deliver(ctx, shops, l.events[l.order[i]])
				}
				if err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// hold delivers again what was delivered before until the barriers in front of
// i are open: the nodes are never idle while one of them is down.
func (l *load) hold(ctx context.Context, shops []*shop, i int) error {
	for _, b := range l.barriers {
		for b.at <= i {
			select {
			case <-b.open:
			case <-ctx.Done():
				return ctx.Err()
			default:
				l.extra.Add(1)
				if err := l.deliver(ctx, shops, l.events[l.order[rand.IntN(b.at)]]); err != nil {
					return err
				}
				continue
			}
			break
		}
	}
	return nil
}

// deliver sends a copy to one node after the other, drawn each time, until one
// accepts it.
func (l *load) deliver(ctx context.Context, shops []*shop, e event) error {
	for ctx.Err() == nil {
		at := rand.IntN(len(shops))
		l.attempts.Add(1)
		switch status := shops[at].post(l.gateway, e); status {
		case http.StatusOK:
			l.accepted[at].Add(1)
			return nil
		case http.StatusServiceUnavailable:
			l.refused[at].Add(1)
		default:
			return fmt.Errorf("an attempt was answered with %d", status)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

func loads(counts *[3]atomic.Int64) (n [3]int64) {
	for i := range counts {
		n[i] = counts[i].Load()
	}
	return n
}
