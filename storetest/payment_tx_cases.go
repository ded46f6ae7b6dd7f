package storetest

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/codegrant/codegrant"
)

func paymentCommitCases() []testCase {
	return []testCase{
		txCase("the store inside is a PaymentStore", paymentsInTx, func(c *txTrial) {
			c.commits(func(_ context.Context, tx codegrant.TokenStore) error {
				if _, ok := tx.(codegrant.PaymentStore); !ok {
					c.errorf("the store that InTx handed to fn is no PaymentStore")
				}
				return nil
			})
		}),
		txCase("what was committed of payments is visible", txCommits, func(c *txTrial) {
			p, changed := c.filledPayment(0, 1), c.filledPayment(1, 2)
			c.commits(saveAllPayments(p))
			c.holdsPayments(p)
			c.commits(saveAllPayments(changed, c.waiting("other", c.epoch)))
			c.holdsPayments(changed, c.waiting("other", c.epoch))
			c.hidesPayment(p)
		}),
		txCase("a token and a payment are committed together", paymentsInTx, func(c *txTrial) {
			t, p := c.filled(0, 1), c.filledPayment(0, 1)
			c.commits(both(saveAll(t), saveAllPayments(p)))
			c.finds(t)
			c.holdsPayments(p)
			t, p = c.filled(1, 2), c.filledPayment(1, 2)
			c.commits(both(saveAllPayments(p), saveAll(t)))
			c.finds(t)
			c.holdsPayments(p)
		}),
		txCase("a payment can be saved several times in one transaction", txBelongs, func(c *txTrial) {
			c.commits(saveAllPayments(c.filledPayment(0, 1), c.filledPayment(1, 2), c.filledPayment(2, 3)))
			c.holdsPayments(c.filledPayment(2, 3))
			c.hidesPayment(c.filledPayment(0, 1))
			c.hidesPayment(c.filledPayment(1, 2))
		}),
		txCase("reads inside see what payments were saved inside", txBelongs, func(c *txTrial) {
			old, p, added := c.filledPayment(0, 1), c.filledPayment(1, 2), c.waiting("new", c.epoch)
			c.savePayments(old)
			var within *trial
			c.commits(inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
				within = &trial{ctx: ctx, payments: payments, own: c.own}
				within.guard(func() {
					within.holdsPayments(old)
					within.savePayments(p)
					within.holdsPayments(p)
					within.hidesPayment(old)
					within.savePayments(added)
					within.holdsPayments(added)
				})
				if within.lost {
					return codegrant.ErrConflict
				}
				return nil
			}))
			c.seen = append(c.seen, within.seen...)
			c.holdsPayments(p, added)
		}),
		txCase("an absent payment is ErrNotFound inside, and spoils nothing", txCommits, func(c *txTrial) {
			p := c.payment("after")
			c.commits(inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
				_, err := payments.GetPayment(ctx, p.ID)
				if errors.Is(err, codegrant.ErrConflict) {
					return err
				}
				if !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("GetPayment of an absent record inside returned the error %v, want ErrNotFound", err)
				}
				return payments.SavePayment(ctx, p)
			}))
			c.holdsPayments(p)
		}),
	}
}

func paymentRollbackCases() []testCase {
	return []testCase{
		txCase("an error rolls back a payment", txCommits, func(c *txTrial) {
			stored, changed, inserted := c.storedPayment(c.filledPayment(0, 1)), c.filledPayment(1, 2), c.waiting("new", c.epoch)
			c.rollsBack(saveAllPayments(changed, inserted))
			c.holdsPayments(stored)
			c.hidesPayment(changed)
			c.lacksPayment(inserted)
			c.savePayments(changed, inserted)
			c.holdsPayments(changed, inserted)
		}),
		txCase("an error rolls back a token and a payment together", paymentsInTx, func(c *txTrial) {
			for name, order := range map[string]func(a, b txFunc) txFunc{
				"payment-last": both, "payment-first": func(a, b txFunc) txFunc { return both(b, a) },
			} {
				t, p := c.token(name), c.waiting(name, c.epoch)
				c.rollsBack(order(saveAll(t), saveAllPayments(p)))
				c.lacks(t)
				c.lacksPayment(p)
			}
		}),
		txCase("a panic rolls back a payment", txCommits, func(c *txTrial) {
			stored, changed, inserted := c.storedPayment(c.filledPayment(0, 1)), c.filledPayment(1, 2), c.waiting("new", c.epoch)
			func() {
				defer func() {
					if recover() == nil {
						c.errorf("fn panicked, and the caller of InTx saw no panic")
					}
				}()
				_ = c.inTx(both(saveAllPayments(changed, inserted), func(context.Context, codegrant.TokenStore) error {
					panic("of the hook")
				}))
			}()
			c.holdsPayments(stored)
			c.hidesPayment(changed)
			c.lacksPayment(inserted)
			c.commits(saveAllPayments(changed, inserted)) // nothing is held any more
			c.holdsPayments(changed, inserted)
		}),
		txCase("a conflict of a payment inside is ErrConflict and changes nothing", saveConflicts, func(c *txTrial) {
			stored := c.paymentAtRevision(3)
			for i, revision := range []int64{1, 3, 5} {
				refused := c.filledPayment(4+i, revision)
				_ = c.tx.InTx(c.ctx, inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
					err := payments.SavePayment(ctx, refused)
					if !errors.Is(err, codegrant.ErrConflict) {
						c.errorf("SavePayment of revision %d over revision 3 inside returned %v, want ErrConflict", revision, err)
					}
					return err
				}))
				c.holdsPayments(stored)
				c.hidesPayment(refused)
			}
		}),
		txCase("a conflict of a payment takes the token with it", txErrors, func(c *txTrial) {
			stored, t := c.storedPayment(c.filledPayment(0, 1)), c.token("beside")
			err := c.tx.InTx(c.ctx, both(saveAll(t), saveAllPayments(c.filledPayment(1, 1))))
			if !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("InTx returned %v, want ErrConflict", err)
			}
			c.holdsPayments(stored)
			c.lacks(t)
		}),
		txCase("InTx returns nil only if it committed, also after a conflict of a payment that fn passed over", txCommits, func(c *txTrial) {
			stored, after := c.storedPayment(c.filledPayment(0, 1)), c.payment("after")
			err := c.tx.InTx(c.ctx, inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
				_ = payments.SavePayment(ctx, c.filledPayment(1, 1))
				return payments.SavePayment(ctx, after)
			}))
			if err == nil {
				c.holdsPayments(after)
			} else {
				c.lacksPayment(after)
			}
			c.holdsPayments(stored)
		}),
		txCase("a context that ends in fn commits no payment", concurrentOrEnded, func(c *txTrial) {
			stored, changed, inserted := c.storedPayment(c.filledPayment(0, 1)), c.filledPayment(1, 2), c.waiting("new", c.epoch)
			ctx, cancel := context.WithCancel(c.ctx)
			defer cancel()
			if err := c.tx.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				defer cancel()
				return saveAllPayments(changed, inserted)(ctx, tx)
			}); err == nil {
				c.errorf("InTx returned nil though its context was cancelled before fn returned")
			}
			c.holdsPayments(stored)
			c.hidesPayment(changed)
			c.lacksPayment(inserted)
		}),
	}
}

func paymentIsolationCases() []testCase {
	return []testCase{
		txCase("nobody outside sees a payment that is not committed", txBelongs, noDirtyPayment),
		txCase("of two transactions that read the same payment, one wins or both count", txReads, func(c *txTrial) {
			c.twoReserve(func(ctx context.Context, payments codegrant.PaymentStore, id string, other func()) error {
				p, err := payments.GetPayment(ctx, id)
				if err != nil {
					return err
				}
				other()
				return payments.SavePayment(ctx, withRefund(p, 1))
			})
		}),
		txCase("a transaction that saved a payment first loses nothing to one that comes later", txReads, func(c *txTrial) {
			c.twoReserve(func(ctx context.Context, payments codegrant.PaymentStore, id string, other func()) error {
				p, err := payments.GetPayment(ctx, id)
				if err == nil {
					err = payments.SavePayment(ctx, withRefund(p, 1))
				}
				other()
				return err
			})
		}),
		txCase("what GetPayment returned inside does not change before the commit", txReads, keepsThePaymentThatWasRead),
		txCase("32 concurrent transactions on one payment lose no refund", txErrors, func(c *txTrial) {
			p := c.payment("counter")
			c.savePayments(p)
			c.succeeds("transactions with retry", together(racers, func(i int) error { return c.inTx(reserveInside(p.ID, i)) }))
			c.refunded(p.ID, racers)
		}),
	}
}

// reserveInside is a transaction that reads a record and adds a refund to it.
func reserveInside(id string, number int) txFunc {
	return inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
		p, err := payments.GetPayment(ctx, id)
		if err != nil {
			return err
		}
		return payments.SavePayment(ctx, withRefund(p, number))
	})
}

// noDirtyPayment reads beside a transaction that will be rolled back; see
// noDirtyRead.
func noDirtyPayment(c *txTrial) {
	stored, changed, inserted := c.storedPayment(c.filledPayment(0, 1)), c.filledPayment(1, 2), c.waiting("new", c.epoch)
	var (
		get, insert, list atomic.Bool
		result            <-chan error
	)
	c.rollsBack(both(saveAllPayments(changed, inserted), func(context.Context, codegrant.TokenStore) error {
		result, _ = rival(func() error {
			ctx, cancel := context.WithTimeout(c.ctx, patience)
			defer cancel()
			// A store may make readers wait, so an error is no fault.
			p, _ := c.payments.GetPayment(ctx, changed.ID)
			get.Store(p.Revision == changed.Revision)
			_, err := c.payments.GetPayment(ctx, inserted.ID)
			insert.Store(err == nil)
			found, _ := c.payments.UnsettledPayments(ctx, changed.UnsettledSince, 1_000)
			for _, p := range found {
				if p.ID == changed.ID && p.Revision == changed.Revision || p.ID == inserted.ID {
					list.Store(true)
				}
			}
			return nil
		})
		return nil
	}))
	if result == nil {
		return // fn came to nothing, which rollsBack has said
	}
	if err := <-result; err != nil {
		c.fatalf("reading outside: %v", err)
	}
	for method, dirty := range map[string]bool{
		"GetPayment": get.Load(), "GetPayment of an insert": insert.Load(), "UnsettledPayments": list.Load(),
	} {
		if dirty {
			c.errorf("%s outside returned what a transaction had saved that was then rolled back", method)
		}
	}
	c.holdsPayments(stored)
}

// twoReserve is twoCount for refunds of one payment.
func (c *txTrial) twoReserve(first func(ctx context.Context, payments codegrant.PaymentStore, id string, other func()) error) {
	p := c.payment("counter")
	c.savePayments(p)
	var result <-chan error
	err := c.tx.InTx(c.ctx, inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
		return first(ctx, payments, p.ID, func() {
			result, _ = rival(func() error { return c.tx.InTx(c.ctx, reserveInside(p.ID, 2)) })
		})
	}))
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
	c.refunded(p.ID, wins)
	for i, err := range errs {
		if err == nil {
			continue
		}
		if err := c.inTx(reserveInside(p.ID, i+1)); err != nil {
			c.errorf("the transaction that lost, tried again with nobody else there, returned %v", err)
		}
	}
	c.refunded(p.ID, 2)
}

// keepsThePaymentThatWasRead is keepsWhatWasRead for payments; what is saved
// inside is a token.
func keepsThePaymentThatWasRead(c *txTrial) {
	p, other := c.payment("read"), c.token("other")
	c.savePayments(p)
	changed := nextPayment(p, func(p *codegrant.Payment) { p.Outcome = codegrant.Failed })
	var (
		result <-chan error
		early  bool
	)
	err := c.tx.InTx(c.ctx, both(
		inside(func(ctx context.Context, payments codegrant.PaymentStore) error {
			_, err := payments.GetPayment(ctx, p.ID)
			return err
		}),
		func(ctx context.Context, tx codegrant.TokenStore) error {
			result, early = rival(func() error { return c.payments.SavePayment(c.ctx, changed) })
			return tx.Save(ctx, other)
		}))
	if result == nil {
		c.fatalf("InTx returned %v", err)
	}
	saved := <-result
	if err != nil && !errors.Is(err, codegrant.ErrConflict) {
		c.errorf("InTx returned the error %v, want nil or ErrConflict", err)
	}
	if early && saved == nil && err == nil {
		c.errorf("a payment that was read inside was changed outside before the commit, and InTx returned nil")
	}
	if saved != nil && !errors.Is(saved, codegrant.ErrConflict) {
		c.errorf("SavePayment outside returned the error %v, want nil", saved)
	}
	if err == nil {
		c.finds(other)
	} else {
		c.lacks(other)
	}
}
