package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

// payment returns a plain settled record of revision 1 with an account, a user
// and an order of its own. Its times are whole seconds.
func (c *trial) payment(name string) codegrant.Payment {
	return codegrant.Payment{
		ID: c.own + "-" + name, AccountID: c.own + "-account", OrderID: c.own + "-order-" + name,
		UserID: c.own + "-user-" + name, Wallet: codegrant.GCash, Amount: codegrant.Amount{Minor: 100, Currency: "PHP"},
		Attempt: 1, SentAt: c.epoch, Outcome: codegrant.Succeeded, Handled: codegrant.Succeeded, HandledAttempt: 1,
		Revision: 1, CreatedAt: c.epoch, UpdatedAt: c.epoch,
	}
}

// waiting is payment with a time since when it is unsettled.
func (c *trial) waiting(name string, since time.Time) codegrant.Payment {
	p := c.payment(name)
	p.UnsettledSince = since
	c.createdPayments = append(c.createdPayments, p.ID)
	return p
}

// filledPayment returns a record with every field set. Other variants have the
// same id and nothing else in common.
func (c *trial) filledPayment(variant int, revision int64) codegrant.Payment {
	p := fillPayment(c.own, c.epoch, variant)
	p.ID, p.Revision = c.own+"-filled", revision
	c.createdPayments = append(c.createdPayments, p.ID)
	return p
}

// nextPayment returns p as the save after p's.
func nextPayment(p codegrant.Payment, change func(*codegrant.Payment)) codegrant.Payment {
	p.Revision++
	p.Refunds = slices.Clone(p.Refunds)
	change(&p)
	return p
}

// savePayments saves what must not conflict.
func (c *trial) savePayments(payments ...codegrant.Payment) {
	for _, p := range payments {
		if err := c.payments.SavePayment(c.ctx, p); err != nil {
			c.fatalf("SavePayment of revision %d of %q returned the error %v", p.Revision, p.ID, err)
		}
	}
}

// storedPayment saves p and returns it as the store shows it; see stored.
func (c *trial) storedPayment(p codegrant.Payment) codegrant.Payment {
	c.savePayments(p)
	return c.getPayment(p.ID)
}

func (c *trial) getPayment(id string) codegrant.Payment {
	p, err := c.payments.GetPayment(c.ctx, id)
	if err != nil {
		c.fatalf("GetPayment of %q returned the error %v", id, err)
	}
	return p
}

// refusesPayment expects SavePayment to return ErrConflict and to leave no
// trace of p. The UnsettledSince of p must be its own.
func (c *trial) refusesPayment(p codegrant.Payment, over string) {
	if err := c.payments.SavePayment(c.ctx, p); !errors.Is(err, codegrant.ErrConflict) {
		c.errorf("SavePayment of revision %d over %s returned %v, want ErrConflict", p.Revision, over, err)
	}
	c.hidesPayment(p)
}

// hidesPayment expects that UnsettledPayments does not find p by what is p's own.
func (c *trial) hidesPayment(p codegrant.Payment) {
	if p.UnsettledSince.IsZero() {
		return
	}
	for _, found := range c.allUnsettledPayments(p.UnsettledSince) {
		if found.ID == p.ID && found.UnsettledSince.Equal(p.UnsettledSince) {
			c.errorf("UnsettledPayments finds a record that was not to be stored: %v", found)
		}
	}
}

// lacksPayment expects that there is no record of p's id, and no trace of p.
func (c *trial) lacksPayment(p codegrant.Payment) {
	if got, err := c.payments.GetPayment(c.ctx, p.ID); !errors.Is(err, codegrant.ErrNotFound) {
		c.errorf("GetPayment of %q, which was not to be stored, returned revision %d and the error %v, want ErrNotFound",
			p.ID, got.Revision, err)
	}
	c.hidesPayment(p)
}

// holdsPayments expects that both look-ups return these records, in every
// field.
func (c *trial) holdsPayments(payments ...codegrant.Payment) {
	for _, p := range payments {
		got, err := c.payments.GetPayment(c.ctx, p.ID)
		if err != nil {
			c.errorf("GetPayment of %q returned the error %v", p.ID, err)
			continue
		}
		c.samePayment("GetPayment", p, got)
		if p.UnsettledSince.IsZero() {
			continue
		}
		all := c.allUnsettledPayments(p.UnsettledSince)
		if i := slices.IndexFunc(all, func(found codegrant.Payment) bool { return found.ID == p.ID }); i >= 0 {
			c.samePayment("UnsettledPayments", p, all[i])
		} else {
			c.errorf("UnsettledPayments does not return %q, which was saved before", p.ID)
		}
	}
}

func (c *trial) samePayment(method string, want, got codegrant.Payment) {
	for _, difference := range differences(want, got) {
		c.errorf("after SavePayment of %q, in what %s returned, %s", want.ID, method, difference)
	}
}

// samePayments expects these records in this order.
func (c *trial) samePayments(method string, got []codegrant.Payment, want ...codegrant.Payment) {
	if wanted, found := paymentIDs(want), paymentIDs(got); !slices.Equal(wanted, found) {
		c.errorf("%s returned the ids %q, want %q", method, found, wanted)
		return
	}
	for i := range want {
		c.samePayment(method, want[i], got[i])
	}
}

func paymentIDs(payments []codegrant.Payment) []string {
	found := make([]string, len(payments))
	for i, p := range payments {
		found[i] = p.ID
	}
	return found
}

// unsettledPaymentsBy calls UnsettledPayments and returns the records of this
// case, and whether there may be more beyond the limit.
func (c *trial) unsettledPaymentsBy(olderThan time.Time, limit int) (own []codegrant.Payment, more bool) {
	found, err := c.payments.UnsettledPayments(c.ctx, olderThan, limit)
	if err != nil {
		c.fatalf("UnsettledPayments returned the error %v", err)
	}
	if len(found) > max(limit, 0) {
		c.fatalf("UnsettledPayments with limit %d returned %d records", limit, len(found))
	}
	for _, p := range found {
		if strings.HasPrefix(p.ID, c.own) {
			own = append(own, p)
		}
	}
	return own, len(found) == limit
}

// allUnsettledPayments returns this case's records, however many other ones
// there are.
func (c *trial) allUnsettledPayments(olderThan time.Time) []codegrant.Payment {
	own, more := c.unsettledPaymentsBy(olderThan, 1_000)
	for limit := 10_000; more && limit <= 1_000_000; limit *= 10 {
		own, more = c.unsettledPaymentsBy(olderThan, limit)
	}
	return own
}

// settlePayments leaves none of the case's records for the UnsettledPayments of
// later cases.
func (c *trial) settlePayments() {
	for _, id := range c.createdPayments {
		p, err := c.payments.GetPayment(c.ctx, id)
		if err != nil || p.UnsettledSince.IsZero() {
			continue
		}
		p.Revision, p.UnsettledSince = p.Revision+1, time.Time{}
		_ = c.payments.SavePayment(c.ctx, p)
	}
}

// paymentTxFunc is what InTx calls, with its store as a PaymentStore.
type paymentTxFunc = func(ctx context.Context, payments codegrant.PaymentStore) error

var errNoPaymentStore = errors.New("storetest: the store inside is no PaymentStore")

// inside makes what InTx calls of f.
func inside(f paymentTxFunc) txFunc {
	return func(ctx context.Context, tx codegrant.TokenStore) error {
		payments, ok := tx.(codegrant.PaymentStore)
		if !ok {
			return errNoPaymentStore
		}
		return f(ctx, payments)
	}
}

// saveAllPayments is a transaction that saves payments.
func saveAllPayments(payments ...codegrant.Payment) txFunc {
	return inside(func(ctx context.Context, store codegrant.PaymentStore) error {
		for _, p := range payments {
			if err := store.SavePayment(ctx, p); err != nil {
				return fmt.Errorf("SavePayment of revision %d inside: %w", p.Revision, err)
			}
		}
		return nil
	})
}

// both is a transaction that does one thing after the other.
func both(first, second txFunc) txFunc {
	return func(ctx context.Context, tx codegrant.TokenStore) error {
		if err := first(ctx, tx); err != nil {
			return err
		}
		return second(ctx, tx)
	}
}
