package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/codegrant/codegrant"
)

// oddTx is a TxStore whose InTx does something else with a right one.
type oddTx struct {
	optimist
	inTx func(o optimist, ctx context.Context, fn txFunc) error
}

func (s oddTx) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	return s.inTx(s.optimist, ctx, fn)
}

func odd(inTx func(o optimist, ctx context.Context, fn txFunc) error) func() codegrant.TokenStore {
	return func() codegrant.TokenStore { return oddTx{newOptimist(), inTx} }
}

func brokenTxStores() []brokenStore[codegrant.TokenStore] {
	return []brokenStore[codegrant.TokenStore]{
		{name: "InTx commits on an error", among: []string{
			"an error rolls back an insert",
			"an error rolls back an update",
			"an error rolls back all records",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			var hook error
			err := o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				hook = fn(ctx, tx)
				return nil
			})
			if hook != nil {
				return hook
			}
			return err
		})},
		{name: "InTx commits on a panic", breaks: []string{"a panic rolls back and goes on to the caller"}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			var panicked any
			err := o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				defer func() { panicked = recover() }()
				return fn(ctx, tx)
			})
			if panicked != nil {
				panic(panicked)
			}
			return err
		})},
		{name: "InTx swallows the error", among: []string{
			"the error of fn is returned as it is",
			"ErrConflict of a Save inside comes out of InTx",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			_ = o.InTx(ctx, fn)
			return nil
		})},
		{name: "InTx swallows the panic", breaks: []string{"a panic rolls back and goes on to the caller"}, store: odd(func(o optimist, ctx context.Context, fn txFunc) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("recovered: %v", p)
				}
			}()
			return o.InTx(ctx, fn)
		})},
		{name: "InTx wraps the error", breaks: []string{"the error of fn is returned as it is"}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			if err := o.InTx(ctx, fn); err != nil {
				return fmt.Errorf("transaction: %w", err)
			}
			return nil
		})},
		{name: "InTx runs fn twice", breaks: []string{
			"fn is called once",
			"of two transactions that read the same record, one wins or both count",
			"a transaction that saved first loses nothing to one that comes later",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			err := o.InTx(ctx, fn)
			if errors.Is(err, codegrant.ErrConflict) {
				err = o.InTx(ctx, fn)
			}
			return err
		})},
		{name: "InTx writes at once and takes it back", breaks: []string{
			"nobody outside sees what is not committed",
			"of two transactions that read the same record, one wins or both count",
			"what Get returned inside does not change before the commit",
			"what a look-up returned inside does not change before the commit",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) (err error) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			before := o.copied()
			committed := false
			defer func() {
				if !committed {
					o.lock <- struct{}{}
					maps.DeleteFunc(o.records, func(string, codegrant.Token) bool { return true })
					maps.Copy(o.records, before)
					<-o.lock
				}
			}()
			if err = fn(ctx, o.memory); err == nil {
				err = ctx.Err()
			}
			committed = err == nil
			return err
		}), only: withoutRaces()},
		{name: "InTx is no transaction", among: []string{
			"an error rolls back an insert",
			"an error rolls back an update",
			"a panic rolls back and goes on to the caller",
			"nobody outside sees what is not committed",
			"a context that ends in fn commits nothing",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fn(ctx, o.memory)
		}), only: withoutRaces()},
		{name: "the last transaction wins", breaks: []string{
			"of two transactions that read the same record, one wins or both count",
			"a transaction that saved first loses nothing to one that comes later",
			"what Get returned inside does not change before the commit",
			"what a look-up returned inside does not change before the commit",
		}, store: func() codegrant.TokenStore {
			o := newOptimist()
			o.changed = func(_, _ codegrant.Token) bool { return false }
			return o
		}, only: withoutRaces()},
		{name: "a transaction forgets what it read", breaks: []string{
			"what Get returned inside does not change before the commit",
			"what a look-up returned inside does not change before the commit",
		}, store: func() codegrant.TokenStore {
			o := newOptimist()
			o.blind = true
			return o
		}},
		{name: "a transaction that lost gets another error", breaks: []string{
			"of two transactions that read the same record, one wins or both count",
			"a transaction that saved first loses nothing to one that comes later",
			"what Get returned inside does not change before the commit",
			"what a look-up returned inside does not change before the commit",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			var hook error
			err := o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				hook = fn(ctx, tx)
				return hook
			})
			if err != nil && hook == nil && ctx.Err() == nil {
				return errors.New("could not serialize access")
			}
			return err
		}), only: withoutRaces()},
		{name: "InTx ignores an ended context", breaks: []string{
			"the context of fn is made from the context of InTx",
			"an ended context starts no transaction",
			"a context that ends in fn commits nothing",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			return o.InTx(context.WithoutCancel(ctx), fn)
		})},
		{name: "fn gets a context of its own", breaks: []string{"the context of fn is made from the context of InTx"}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			return o.InTx(ctx, func(_ context.Context, tx codegrant.TokenStore) error { return fn(context.Background(), tx) })
		})},
		{name: "reads inside pass the transaction by", breaks: []string{
			"reads inside see what was saved inside",
			"what Get returned inside does not change before the commit",
			"what a look-up returned inside does not change before the commit",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			return o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				return fn(ctx, passingBy{tx, o.memory})
			})
		}), only: withoutRaces()},
		{name: "a conflict spoils the transaction unnoticed", breaks: []string{"InTx returns nil only if it committed, also after a conflict that fn passed over"}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			errSpoilt := errors.New("spoilt")
			err := o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				watched := &watched{TokenStore: tx}
				if err := fn(ctx, watched); err != nil {
					return err
				}
				if watched.conflict {
					return errSpoilt
				}
				return nil
			})
			if errors.Is(err, errSpoilt) {
				return nil
			}
			return err
		})},
		{name: "Save inside does not say that it conflicted", breaks: []string{
			"an error rolls back all records",
			"a conflict inside is ErrConflict and changes nothing",
			"a conflict with what the same transaction saved is ErrConflict",
			"ErrConflict of a Save inside comes out of InTx",
		}, store: odd(func(o optimist, ctx context.Context, fn txFunc) error {
			return o.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				return fn(ctx, &watched{TokenStore: tx, quiet: true})
			})
		})},
	}
}

// withoutRaces are the cases whose outcome is the same in every run also for a
// store without isolation.
func withoutRaces() []string {
	var names []string
	for _, tc := range txStoreCases() {
		if tc.name != "32 concurrent transactions on one record lose no update" &&
			tc.name != "concurrent transactions on different records all get through" {
			names = append(names, tc.name)
		}
	}
	return names
}

func (m *memory) copied() map[string]codegrant.Token {
	m.lock <- struct{}{}
	defer func() { <-m.lock }()
	return maps.Clone(m.records)
}

// passingBy reads from the store what a transaction should read.
type passingBy struct {
	codegrant.TokenStore
	outside codegrant.TokenStore
}

func (s passingBy) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return s.outside.Get(ctx, id)
}

func (s passingBy) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	return s.outside.ByUser(ctx, account, user)
}

// watched notes whether a Save conflicted.
type watched struct {
	codegrant.TokenStore
	quiet    bool
	conflict bool
}

func (s *watched) Save(ctx context.Context, t codegrant.Token) error {
	err := s.TokenStore.Save(ctx, t)
	s.conflict = s.conflict || errors.Is(err, codegrant.ErrConflict)
	if s.quiet {
		return nil
	}
	return err
}
