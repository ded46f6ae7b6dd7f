package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

// remembering keeps every revision that was saved.
type remembering struct {
	codegrant.TokenStore
	mu    sync.Mutex
	saved map[int64]codegrant.Token
}

func (r *remembering) Save(ctx context.Context, t codegrant.Token) error {
	err := r.TokenStore.Save(ctx, t)
	if err == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.saved[t.Revision] = t
	}
	return err
}

// replica is another process: a kit of its own, with its own locks, over the
// same store.
func (s *shop) replica(t *testing.T, store codegrant.TokenStore, hook func(context.Context, codegrant.Change) error) *codegrant.Kit {
	t.Helper()
	kit, err := codegrant.New(codegrant.Config{
		Client: s.client, Store: store, BaseURL: baseURL, Logger: slog.New(slog.DiscardHandler), OnToken: hook,
		User: func(*http.Request) (string, error) { return "ann", nil },
	})
	require.NoError(t, err)
	return kit
}

// overtaken is a sign-up that two processes work on.
type overtaken struct {
	*shop
	store *remembering
	id    string
	hear  func(context.Context, codegrant.Change) error // nil: no hook
	mu    sync.Mutex
	heard []codegrant.Change
	fails int // calls of the hook that fail
}

func newOvertaken(t *testing.T, hooked bool, fails int) *overtaken {
	t.Helper()
	o := &overtaken{store: &remembering{TokenStore: memstore.New(), saved: map[int64]codegrant.Token{}}, fails: fails}
	o.shop = newShop(t, withConfig(func(c *codegrant.Config) { c.Store, c.OnToken = o.store, nil }))
	o.id = o.start(t, "ann").ID
	if hooked {
		o.hear = func(_ context.Context, c codegrant.Change) error {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.fails--; o.fails >= 0 {
				return errors.New("not now")
			}
			o.heard = append(o.heard, c)
			return nil
		}
	}
	return o
}

// tell repeats a message until it is accepted, as the gateway does.
func (o *overtaken) tell(kit *codegrant.Kit, message string) error {
	id := o.id
	body := o.gateway.SignedBody(bizOf(message, id, "ann", tokenValue), nil)
	var err error
	for range 5 {
		if err = kit.Apply(context.Background(), body, id); err == nil {
			return nil
		}
	}
	return err
}

// judge compares the end with what must come of these messages, in whatever
// order they came.
func (o *overtaken) judge(t *testing.T, messages []string, what string) {
	t.Helper()
	want, by := codegrant.StatusActive, codegrant.EndedBy("")
	for _, message := range messages {
		if message == endedByUser {
			want, by = codegrant.StatusUnbound, codegrant.EndedByUser
		}
	}
	got := o.get(t, o.id)
	require.Equal(t, []any{want, want, by}, []any{got.Status, got.Handled, got.EndedBy}, what)
	require.Equal(t, got, o.store.saved[got.Revision], what)
	if o.hear == nil {
		return
	}
	told := false
	for _, c := range o.heard {
		told = told || c.Token.Status == want
		require.Equal(t, o.store.saved[c.Token.Revision], c.Token, "%s: the hook heard of what was never saved", what)
	}
	require.True(t, told, what)
}

// A kit takes the record that it has just read for the newest. Another process
// may change it at any moment: before each call of the store, and before and
// after the hook.
func TestAnotherProcessMayChangeTheRecordBeforeAnyCall(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, hooked := range []bool{false, true} {
		for _, fails := range []int{0, 1, 2} {
			for _, own := range []string{created, endedByUser} {
				for _, others := range [][]string{
					{created}, {endedByUser}, {created, created}, {created, endedByUser}, {endedByUser, created},
				} {
					for call := range 12 {
						for _, then := range []int{100, call + 1, call + 2} { // a second interruption, or none
							what := fmt.Sprintf("hook %t failing %d, %s, %q at call %d and %d", hooked, fails, own, others, call, then)
							o := newOvertaken(t, hooked, fails)
							other := o.replica(t, o.store, o.hear)
							calls, left := 0, others
							interrupted := &faultyStore{TokenStore: o.store, before: func(context.Context, string) error {
								var err error
								if calls == call || calls == then {
									n := len(left)
									if calls == call && then < 100 {
										n = 1
									}
									for _, message := range left[:min(n, len(left))] {
										err = errors.Join(err, o.tell(other, message))
									}
									left = left[min(n, len(left)):]
								}
								calls++
								return err
							}}
							require.NoError(t, o.tell(o.replica(t, interrupted, o.hear), own), what)
							for _, message := range left {
								require.NoError(t, o.tell(other, message), what)
							}
							o.judge(t, append([]string{own}, others...), what)
							tried++
						}
					}
				}
			}
		}
	}
	require.Equal(t, 2*3*2*5*12*3, tried)
}

// Unbinding begins with a record that was read before; the wallet may have
// ended it meanwhile, or another process.
func TestAnotherProcessMayEndTheTokenBeforeAnyCallOfUnbind(t *testing.T) {
	t.Parallel()
	for call := range 8 {
		o := newOvertaken(t, true, 0)
		other := o.replica(t, o.store, o.hear)
		require.NoError(t, o.tell(other, created))
		calls := 0
		interrupted := &faultyStore{TokenStore: o.store, before: func(context.Context, string) error {
			calls++
			if calls == call+1 {
				return o.tell(other, endedByUser)
			}
			return nil
		}}
		_, err := o.replica(t, interrupted, o.hear).UnbindToken(context.Background(), codegrant.UnbindParams{UserID: "ann", TokenID: o.id})
		if err != nil {
			require.NotErrorIs(t, err, codegrant.ErrConflict, "call %d", call)
		}
		require.NoError(t, o.tell(other, endedByUser))
		got := o.get(t, o.id)
		require.Equal(t, []codegrant.Status{codegrant.StatusUnbound, codegrant.StatusUnbound},
			[]codegrant.Status{got.Status, got.Handled}, "call %d", call)
		require.Equal(t, got, o.store.saved[got.Revision])
	}
}

// A record that seems to need no change is read again: another process may have
// made the sign-up active since.
func TestUnbindEndsATokenThatBecameActiveAfterItWasRead(t *testing.T) {
	t.Parallel()
	o := newOvertaken(t, true, 0)
	other := o.replica(t, o.store, o.hear)
	calls := 0
	interrupted := &faultyStore{TokenStore: o.store, before: func(context.Context, string) error {
		if calls++; calls == 2 { // the first one found it pending
			return o.tell(other, created)
		}
		return nil
	}}
	got, err := o.replica(t, interrupted, o.hear).UnbindToken(context.Background(), codegrant.UnbindParams{UserID: "ann", TokenID: o.id})
	require.NotErrorIs(t, err, codegrant.ErrNoToken)
	require.GreaterOrEqual(t, got.Status, codegrant.StatusUnbinding, "no new charge may start")
}

// The same notifications reach two processes, thirteen copies of each at once.
func TestThirteenCopiesAtOnceInTwoProcesses(t *testing.T) {
	t.Parallel()
	for round := range 60 {
		o := newOvertaken(t, round%3 > 0, round%3-1)
		kits := []*codegrant.Kit{o.replica(t, o.store, o.hear), o.replica(t, o.store, o.hear)}
		var wg sync.WaitGroup
		for copied := range 13 {
			for _, message := range []string{created, endedByUser} {
				for _, kit := range kits {
					wg.Go(func() {
						if err := o.tell(kit, message); err != nil {
							t.Errorf("round %d, copy %d of %s: %v", round, copied, message, err)
						}
					})
				}
			}
		}
		wg.Wait()
		what := fmt.Sprint("round ", round)
		o.judge(t, []string{created, endedByUser}, what)
		require.LessOrEqual(t, o.get(t, o.id).Revision, int64(2+4), "%s: a record is saved for news only", what)
		require.NotContains(t, strings.ToLower(o.log.String()), "panic")
	}
}
