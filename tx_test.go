package codegrant_test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

// ledgerStore is a TxStore with a merchant's own table beside the records: one
// transaction at a time, kept only when it commits.
type ledgerStore struct {
	*memstore.Store
	mu        sync.Mutex
	rows      map[string]int // the merchant's table
	conflicts atomic.Int64   // commits to lose
}

type ledgerTx struct {
	codegrant.TokenStore
	saved []codegrant.Token
	rows  map[string]int
}

type ledgerKey struct{}

func newLedgerStore() *ledgerStore {
	return &ledgerStore{Store: memstore.New(), rows: map[string]int{}}
}

func (s *ledgerStore) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := &ledgerTx{TokenStore: s.Store, rows: maps.Clone(s.rows)}
	if err := fn(context.WithValue(ctx, ledgerKey{}, tx), tx); err != nil {
		return err
	}
	if s.conflicts.Add(-1) >= 0 {
		return codegrant.ErrConflict
	}
	for _, t := range tx.saved {
		if err := s.Save(ctx, t); err != nil {
			return err
		}
	}
	s.rows = tx.rows
	return nil
}

func (tx *ledgerTx) Save(_ context.Context, t codegrant.Token) error {
	tx.saved = append(tx.saved, t)
	return nil
}

func (s *ledgerStore) row(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows[id]
}

func TestHookInsideTheTransaction(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		fail      func(calls int64) error
		conflicts int64
		answers   []int
	}{
		{"commits with the record", nil, 0, []int{200, 200}},
		{"rolls back with a failing hook and runs again", func(n int64) error {
			if n == 1 {
				return errors.New("not now")
			}
			return nil
		}, 0, []int{503, 200, 200}},
		{"rolls back with a panicking hook", func(n int64) error {
			if n == 1 {
				panic("no")
			}
			return nil
		}, 0, []int{503, 200}},
		{"runs again when the commit is lost", nil, 3, []int{200, 200}},
		{"gives up when every commit is lost", nil, 8, []int{503, 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := newLedgerStore()
			var calls atomic.Int64
			s := newShop(t, withConfig(func(c *codegrant.Config) {
				c.Store = store
				c.OnToken = func(ctx context.Context, change codegrant.Change) error {
					tx := ctx.Value(ledgerKey{}).(*ledgerTx)
					tx.rows[change.Token.ID]++
					if tc.fail != nil {
						return tc.fail(calls.Add(1))
					}
					return nil
				}
			}))
			token := s.start(t, "ann")
			store.conflicts.Store(tc.conflicts)
			body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
			for _, want := range tc.answers {
				require.Equal(t, want, s.deliver(t, token.ID, body).Code)
				if want == 503 {
					require.Zero(t, store.row(token.ID))
					require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)
				}
			}
			require.Equal(t, 1, store.row(token.ID), "the merchant's row is written exactly once")
			got := s.get(t, token.ID)
			require.Equal(t, codegrant.StatusActive, got.Status)
			require.Equal(t, codegrant.StatusActive, got.Handled)
			require.True(t, got.UnsettledSince.IsZero())
		})
	}
}

func TestNoTransactionWhereNoHookNeedsOne(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*codegrant.Config){
		"no hook":          func(c *codegrant.Config) { c.OnToken, c.OnPayment, c.OnRefund = nil, nil, nil },
		"hooks after save": func(c *codegrant.Config) { c.HooksAfterSave = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, failing, calls := newLedgerStore(), true, 0
			s := newShop(t, withConfig(func(c *codegrant.Config) {
				c.Store, c.Payments = store, store
				if change(c); c.HooksAfterSave {
					c.OnToken = func(ctx context.Context, change codegrant.Change) error {
						require.Nil(t, ctx.Value(ledgerKey{}))
						kept, err := store.Get(ctx, change.Token.ID)
						require.NoError(t, err)
						require.Equal(t, change.Token.Revision, kept.Revision, "it is saved before")
						require.Less(t, kept.Handled, kept.Status, "and the hook is owed")
						if calls++; failing {
							return errors.New("not now")
						}
						return nil
					}
				}
			}))
			token := s.start(t, "ann")
			store.conflicts.Store(1000) // whoever begins a transaction fails
			body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
			if name == "hooks after save" {
				require.Equal(t, 503, s.deliver(t, token.ID, body).Code)
				failing = false
			}
			require.Equal(t, 200, s.deliver(t, token.ID, body).Code)
			require.Equal(t, 200, s.deliver(t, token.ID, body).Code)
			got := s.get(t, token.ID)
			require.Equal(t, []codegrant.Status{codegrant.StatusActive, codegrant.StatusActive}, []codegrant.Status{got.Status, got.Handled})
			if name == "hooks after save" {
				require.Equal(t, 2, calls)
			} else {
				require.Equal(t, int64(3), got.Revision, "made, sent to the wallet, active: one save each")
			}
		})
	}
}
