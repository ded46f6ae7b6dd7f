package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/codegrant/codegrant"
)

func isolationCases() []testCase {
	return []testCase{
		txCase("nobody outside sees what is not committed", txBelongs, noDirtyRead),
		txCase("of two transactions that read the same record, one wins or both count", txReads, func(c *txTrial) {
			c.twoCount(func(ctx context.Context, tx codegrant.TokenStore, id string, other func()) error {
				t, err := tx.Get(ctx, id)
				if err != nil {
					return err
				}
				other()
				return tx.Save(ctx, counted(t))
			})
		}),
		txCase("a transaction that saved first loses nothing to one that comes later", txReads, func(c *txTrial) {
			c.twoCount(func(ctx context.Context, tx codegrant.TokenStore, id string, other func()) error {
				err := countUp(id)(ctx, tx)
				other()
				return err
			})
		}),
		txCase("what Get returned inside does not change before the commit", txReads, func(c *txTrial) {
			c.keepsWhatWasRead("get", func(ctx context.Context, tx codegrant.TokenStore, t codegrant.Token) error {
				_, err := tx.Get(ctx, t.ID)
				return err
			})
		}),
		txCase("what a look-up returned inside does not change before the commit", txReads, func(c *txTrial) {
			c.keepsWhatWasRead("fingerprint", func(ctx context.Context, tx codegrant.TokenStore, t codegrant.Token) error {
				_, err := tx.ByFingerprint(ctx, t.Fingerprint)
				return err
			})
			c.keepsWhatWasRead("user", func(ctx context.Context, tx codegrant.TokenStore, t codegrant.Token) error {
				_, err := tx.ByUser(ctx, t.AccountID, t.UserID)
				return err
			})
		}),
		txCase("32 concurrent transactions on one record lose no update", txErrors, func(c *txTrial) {
			t := c.token("counter")
			t.AuthState = "0"
			c.save(t)
			c.succeeds("transactions with retry", together(racers, func(int) error { return c.inTx(countUp(t.ID)) }))
			c.counted(t.ID, racers)
		}),
		txCase("concurrent transactions on different records all get through", txErrors, func(c *txTrial) {
			all := make([]codegrant.Token, racers)
			for i := range all {
				all[i] = c.token(fmt.Sprintf("racer-%02d", i))
				all[i].UserID = c.own
			}
			c.succeeds("transactions with retry", together(racers, func(i int) error { return c.inTx(saveAll(all[i])) }))
			c.sameRecords("ByUser", c.byUserOf(all), all...)
		}),
	}
}

// noDirtyRead reads beside a transaction that will be rolled back: whenever a
// read ends, it must not know of it.
func noDirtyRead(c *txTrial) {
	stored, changed, inserted := c.stored(c.filled(0, 1)), c.filled(1, 2), c.unsettled("new", c.epoch)
	reads := map[string]func(context.Context) ([]codegrant.Token, error){
		"Get": func(ctx context.Context) ([]codegrant.Token, error) {
			return one(c.store.Get(ctx, stored.ID))
		},
		"Get of an insert": func(ctx context.Context) ([]codegrant.Token, error) {
			return one(c.store.Get(ctx, inserted.ID))
		},
		"ByFingerprint": func(ctx context.Context) ([]codegrant.Token, error) {
			return one(c.store.ByFingerprint(ctx, changed.Fingerprint))
		},
		"ByUser": func(ctx context.Context) ([]codegrant.Token, error) {
			return c.store.ByUser(ctx, changed.AccountID, changed.UserID)
		},
		"Unsettled": func(ctx context.Context) ([]codegrant.Token, error) {
			return c.store.Unsettled(ctx, changed.UnsettledSince, 1_000)
		},
	}
	var (
		mu     sync.Mutex
		dirty  []string
		result <-chan error
	)
	c.rollsBack(func(ctx context.Context, tx codegrant.TokenStore) error {
		if err := saveAll(changed, inserted)(ctx, tx); err != nil {
			return err
		}
		result, _ = rival(func() error {
			readers, cancel := context.WithTimeout(c.ctx, patience)
			defer cancel()
			var done sync.WaitGroup
			for method, read := range reads {
				done.Go(func() {
					// A store may make readers wait, so an error is no fault.
					found, _ := read(readers)
					for _, t := range found {
						if t.ID == changed.ID && t.Revision == changed.Revision || t.ID == inserted.ID {
							mu.Lock()
							dirty = append(dirty, method)
							mu.Unlock()
						}
					}
				})
			}
			done.Wait()
			return nil
		})
		return nil
	})
	if result == nil {
		return // fn came to nothing, which rollsBack has said
	}
	if err := <-result; err != nil {
		c.fatalf("reading outside: %v", err)
	}
	slices.Sort(dirty)
	for _, method := range dirty {
		c.errorf("%s outside returned what a transaction had saved that was then rolled back", method)
	}
	c.finds(stored)
}

func one(t codegrant.Token, err error) ([]codegrant.Token, error) {
	return []codegrant.Token{t}, err
}

// twoCount lets first count a record up in a transaction, and call other
// somewhere, where another transaction does the same. Who lost tries again:
// afterwards both have counted. That both lose is bad luck and no fault.
func (c *txTrial) twoCount(first func(ctx context.Context, tx codegrant.TokenStore, id string, other func()) error) {
	t := c.token("counter")
	t.AuthState = "0"
	c.save(t)
	var result <-chan error
	err := c.tx.InTx(c.ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		return first(ctx, tx, t.ID, func() {
			result, _ = rival(func() error { return c.tx.InTx(c.ctx, countUp(t.ID)) })
		})
	})
	if result == nil {
		c.fatalf("InTx returned %v and did not run fn to its end", err)
	}
	errs := []error{err, <-result}
	wins := 0
	for i, err := range errs {
		switch {
		case err == nil:
			wins++
		case !errors.Is(err, codegrant.ErrConflict):
			c.errorf("of two transactions, number %d returned the error %v, want nil or ErrConflict", i+1, err)
		}
	}
	c.counted(t.ID, wins)
	for _, err := range errs {
		if err == nil {
			continue
		}
		if err := c.inTx(countUp(t.ID)); err != nil {
			c.errorf("the transaction that lost, tried again with nobody else there, returned %v", err)
		}
	}
	c.counted(t.ID, 2)
}

// keepsWhatWasRead reads a record inside, changes it outside, and saves
// another one inside. If the change came through while the transaction was
// open, the transaction must not commit: it relied on what it had read.
func (c *txTrial) keepsWhatWasRead(name string, read func(context.Context, codegrant.TokenStore, codegrant.Token) error) {
	t, other := c.token("read-"+name), c.token("other-"+name)
	c.save(t)
	changed := next(t, func(t *codegrant.Token) { t.Status = codegrant.StatusUnbound })
	var (
		result <-chan error
		early  bool
	)
	err := c.tx.InTx(c.ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		if err := read(ctx, tx, t); err != nil {
			return fmt.Errorf("the read inside: %w", err)
		}
		result, early = rival(func() error { return c.store.Save(c.ctx, changed) })
		return tx.Save(ctx, other)
	})
	if result == nil {
		c.fatalf("InTx returned %v", err)
	}
	saved := <-result
	if err != nil && !errors.Is(err, codegrant.ErrConflict) {
		c.errorf("InTx returned the error %v, want nil or ErrConflict", err)
	}
	if early && saved == nil && err == nil {
		c.errorf("a record that was read inside was changed outside before the commit, and InTx returned nil")
	}
	if saved != nil && !errors.Is(saved, codegrant.ErrConflict) {
		c.errorf("Save outside returned the error %v, want nil", saved)
	}
	if err == nil {
		c.finds(other)
	} else {
		c.lacks(other)
	}
}
