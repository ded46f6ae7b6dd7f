package storetest

import (
	"context"
	"errors"
	"fmt"

	"github.com/codegrant/codegrant"
)

func commitCases() []testCase {
	return []testCase{
		txCase("what was committed is visible", txCommits, func(c *txTrial) {
			t, changed := c.filled(0, 1), c.filled(1, 2)
			c.commits(saveAll(t))
			c.finds(t)
			c.commits(saveAll(changed))
			c.finds(changed)
			c.hides(t)
		}),
		txCase("several records are committed together", txCommits, func(c *txTrial) {
			a, b := c.token("a"), c.token("b")
			c.save(a)
			a = next(a, func(t *codegrant.Token) { t.AuthState = "changed" })
			c.commits(saveAll(a, b))
			c.finds(a)
			c.finds(b)
		}),
		txCase("a record can be saved several times in one transaction", txBelongs, func(c *txTrial) {
			c.commits(saveAll(c.filled(0, 1), c.filled(1, 2), c.filled(2, 3)))
			c.finds(c.filled(2, 3))
			c.hides(c.filled(0, 1))
			c.hides(c.filled(1, 2))
		}),
		txCase("reads inside see what was saved inside", txBelongs, func(c *txTrial) {
			old, t := c.filled(0, 1), c.filled(1, 2)
			c.save(old)
			var inside *trial
			c.commits(func(ctx context.Context, tx codegrant.TokenStore) error {
				inside = &trial{ctx: ctx, store: tx, own: c.own}
				inside.guard(func() {
					inside.finds(old)
					inside.save(t)
					inside.finds(t)
					inside.hides(old)
					inside.sameRecords("Unsettled", inside.allUnsettled(t.UnsettledSince), t)
					inside.save(c.token("new"))
					inside.finds(c.token("new"))
				})
				if inside.lost {
					return codegrant.ErrConflict
				}
				return nil
			})
			c.seen = append(c.seen, inside.seen...)
			c.finds(t)
		}),
		txCase("absent is ErrNotFound inside, and spoils nothing", txCommits, func(c *txTrial) {
			t := c.token("after")
			c.commits(func(ctx context.Context, tx codegrant.TokenStore) error {
				_, err := tx.Get(ctx, t.ID)
				if errors.Is(err, codegrant.ErrNotFound) {
					_, err = tx.ByFingerprint(ctx, t.Fingerprint)
				}
				if errors.Is(err, codegrant.ErrConflict) {
					return err
				}
				if !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("a look-up of an absent record inside returned the error %v, want ErrNotFound", err)
				}
				return tx.Save(ctx, t)
			})
			c.finds(t)
		}),
	}
}

func rollbackCases() []testCase {
	return []testCase{
		txCase("an error rolls back an insert", txCommits, func(c *txTrial) {
			t := c.filled(0, 1)
			c.rollsBack(saveAll(t))
			c.lacks(t)
			c.save(t)
			c.finds(t)
		}),
		txCase("an error rolls back an update", txCommits, func(c *txTrial) {
			stored, changed := c.stored(c.filled(0, 1)), c.filled(1, 2)
			c.rollsBack(saveAll(changed, c.filled(2, 3)))
			c.finds(stored)
			c.hides(changed)
			c.save(changed)
			c.finds(changed)
		}),
		txCase("an error rolls back all records", txCommits, func(c *txTrial) {
			a, b, refused := c.stored(c.token("a")), c.token("b"), c.token("c")
			changed := next(a, func(t *codegrant.Token) { t.AuthState = "changed" })
			refused.Revision = 7
			if err := c.tx.InTx(c.ctx, saveAll(b, changed, refused)); err == nil {
				c.errorf("InTx returned nil though fn returned an error")
			}
			c.finds(a)
			c.lacks(b)
			c.lacks(refused)
		}),
		txCase("a panic rolls back and goes on to the caller", txCommits, func(c *txTrial) {
			stored, changed, inserted := c.stored(c.filled(0, 1)), c.filled(1, 2), c.token("new")
			type panicked struct{ value string }
			caught := func() (p any) {
				defer func() {
					if r := recover(); r != nil {
						p = r
					}
				}()
				return c.inTx(func(ctx context.Context, tx codegrant.TokenStore) error {
					if err := saveAll(changed, inserted)(ctx, tx); err != nil {
						return err
					}
					panic(panicked{"of the hook"})
				})
			}()
			if caught != (panicked{"of the hook"}) {
				c.errorf("fn panicked; instead of its panic the caller of InTx saw %v", caught)
			}
			c.finds(stored)
			c.hides(changed)
			c.lacks(inserted)
			c.commits(saveAll(changed, inserted)) // nothing is held any more
			c.finds(changed)
		}),
		txCase("the error of fn is returned as it is", txErrors, func(c *txTrial) {
			for _, want := range []error{errGivenUp, fmt.Errorf("hook: %w", errGivenUp), codegrant.ErrNotFound, &codegrant.Error{Op: "test"}} {
				//nolint:errorlint // as it is: not wrapped, not joined to another one
				if got := c.tx.InTx(c.ctx, func(context.Context, codegrant.TokenStore) error { return want }); got != want {
					c.errorf("fn returned %#v, InTx returned %#v", want, got)
				}
			}
		}),
		txCase("fn is called once", txOnce, func(c *txTrial) {
			stored := c.token("stored")
			c.save(stored)
			for what, fn := range map[string]txFunc{
				"nil":                      saveAll(c.token("new")),
				"an error":                 func(context.Context, codegrant.TokenStore) error { return errGivenUp },
				"ErrConflict":              func(context.Context, codegrant.TokenStore) error { return codegrant.ErrConflict },
				"a conflict of the record": saveAll(stored),
			} {
				calls := 0
				_ = c.tx.InTx(c.ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
					calls++
					return fn(ctx, tx)
				})
				if calls != 1 {
					c.errorf("fn, which returns %s, was called %d times in one InTx", what, calls)
				}
			}
		}),
	}
}

func txConflictCases() []testCase {
	return []testCase{
		txCase("a conflict inside is ErrConflict and changes nothing", saveConflicts, func(c *txTrial) {
			stored := c.atRevision(3)
			for i, revision := range []int64{1, 3, 5} {
				refused := c.filled(4+i, revision)
				_ = c.tx.InTx(c.ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
					err := tx.Save(ctx, refused)
					if !errors.Is(err, codegrant.ErrConflict) {
						c.errorf("Save of revision %d over revision 3 inside returned %v, want ErrConflict", revision, err)
					}
					return err
				})
				c.finds(stored)
				c.hides(refused)
			}
		}),
		txCase("a conflict with what the same transaction saved is ErrConflict", saveConflicts, func(c *txTrial) {
			t := c.filled(0, 1)
			err := c.tx.InTx(c.ctx, saveAll(t, c.filled(1, 1)))
			if !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("two inserts of one id inside returned %v, want ErrConflict", err)
			}
			c.lacks(t)
		}),
		txCase("ErrConflict of a Save inside comes out of InTx", txErrors, func(c *txTrial) {
			stored, other := c.stored(c.filled(0, 1)), c.token("other")
			if err := c.tx.InTx(c.ctx, saveAll(other, c.filled(1, 1))); !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("InTx returned %v, want ErrConflict", err)
			}
			c.finds(stored)
			c.lacks(other)
		}),
		txCase("InTx returns nil only if it committed, also after a conflict that fn passed over", txCommits, func(c *txTrial) {
			stored, after := c.stored(c.filled(0, 1)), c.token("after")
			err := c.tx.InTx(c.ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				_ = tx.Save(ctx, c.filled(1, 1))
				return tx.Save(ctx, after)
			})
			if err == nil {
				c.finds(after)
			} else {
				c.lacks(after)
			}
			c.finds(stored)
		}),
	}
}

func txContextCases() []testCase {
	return []testCase{
		txCase("the context of fn is made from the context of InTx", txBelongs, func(c *txTrial) {
			type key struct{}
			outer, cancel := context.WithCancel(context.WithValue(c.ctx, key{}, c.own))
			defer cancel()
			called := false
			_ = c.tx.InTx(outer, func(ctx context.Context, _ codegrant.TokenStore) error {
				called = true
				if got := ctx.Value(key{}); got != c.own {
					c.errorf("a value of the context of InTx is %v in the context of fn", got)
				}
				if cancel(); ctx.Done() == nil {
					c.errorf("the context of fn cannot be cancelled")
					return nil
				}
				if _, ended := rival(func() error { <-ctx.Done(); return nil }); !ended {
					c.errorf("the context of fn did not end with the context of InTx")
				}
				return nil
			})
			if !called {
				c.errorf("fn was not called")
			}
		}),
		txCase("an ended context starts no transaction", concurrentOrEnded, func(c *txTrial) {
			for how, ctx := range c.endedContexts() {
				t := c.token("late")
				c.stops(how+" InTx", c.tx.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
					c.errorf("fn was called with %s context", how)
					return tx.Save(ctx, t)
				}))
				c.lacks(t)
			}
		}),
		txCase("a context that ends in fn commits nothing", concurrentOrEnded, func(c *txTrial) {
			stored, changed, inserted := c.stored(c.filled(0, 1)), c.filled(1, 2), c.token("new")
			ctx, cancel := context.WithCancel(c.ctx)
			defer cancel()
			if err := c.tx.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				defer cancel()
				return saveAll(changed, inserted)(ctx, tx)
			}); err == nil {
				c.errorf("InTx returned nil though its context was cancelled before fn returned")
			}
			c.finds(stored)
			c.hides(changed)
			c.lacks(inserted)
		}),
	}
}
