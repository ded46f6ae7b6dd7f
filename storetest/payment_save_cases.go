package storetest

import (
	"context"
	"errors"
	"math"

	"github.com/codegrant/codegrant"
)

func paymentSaveCases() []testCase {
	return []testCase{
		{"an absent payment is inserted by revision 1 only", saveConflicts, func(c *trial) {
			for i, revision := range []int64{2, 0, -1, 3, 256, math.MaxInt64} {
				p := c.filledPayment(i, revision)
				c.refusesPayment(p, "an absent record")
				c.lacksPayment(p)
			}
			c.holdsPayments(c.storedPayment(c.filledPayment(0, 1)))
		}},
		{"a second insert of a payment conflicts and keeps the first", saveConflicts, func(c *trial) {
			first := c.storedPayment(c.filledPayment(0, 1))
			c.refusesPayment(c.filledPayment(1, 1), "revision 1")
			c.holdsPayments(first)
		}},
		{"the same payment saved again conflicts", saveConflicts, func(c *trial) {
			p := c.filledPayment(0, 1)
			stored := c.storedPayment(p)
			if err := c.payments.SavePayment(c.ctx, p); !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("the same SavePayment for the second time returned %v, want ErrConflict", err)
			}
			c.holdsPayments(stored)
		}},
		{"a stale revision of a payment conflicts and changes nothing", saveConflicts, func(c *trial) {
			stored := c.paymentAtRevision(3)
			for i, revision := range []int64{3, 2, 1, 0, -1} {
				c.refusesPayment(c.filledPayment(4+i, revision), "revision 3")
			}
			c.holdsPayments(stored)
		}},
		{"a skipped revision of a payment conflicts and changes nothing", saveConflicts, func(c *trial) {
			stored := c.paymentAtRevision(3)
			for i, revision := range []int64{5, 6, 259, math.MaxInt64} {
				c.refusesPayment(c.filledPayment(4+i, revision), "revision 3")
			}
			c.holdsPayments(stored)
		}},
		{"revisions of a payment count on beyond 255", paymentStores, func(c *trial) {
			p := c.payment("busy")
			c.savePayments(p)
			for range 300 {
				p = nextPayment(p, func(*codegrant.Payment) {})
				c.savePayments(p)
			}
			c.holdsPayments(p)
			c.refusesPayment(nextPayment(p, func(p *codegrant.Payment) { p.Revision -= 256 }), "a revision that is 255 higher")
			c.holdsPayments(p)
		}},
		{"an update replaces every field of a payment", paymentStores, func(c *trial) {
			old, p := c.filledPayment(2, 1), c.filledPayment(1, 2) // of three refunds, then of two
			c.savePayments(old, p)
			c.holdsPayments(p)
			c.hidesPayment(old)
		}},
		{"an update can clear every field of a payment", paymentStores, func(c *trial) {
			full := c.filledPayment(0, 1)
			c.savePayments(full)
			bare := codegrant.Payment{ID: full.ID, Revision: 2}
			c.savePayments(bare)
			c.holdsPayments(bare)
			c.hidesPayment(full)
			full.Revision = 3
			c.savePayments(full)
			c.holdsPayments(full)
		}},
		{"an update leaves other payments alone", paymentStores, func(c *trial) {
			a, b := c.payment("a"), c.payment("b")
			b.AccountID, b.UserID, b.OrderID = a.AccountID, a.UserID, a.OrderID
			a, b = c.storedPayment(a), c.storedPayment(b)
			b = nextPayment(b, func(p *codegrant.Payment) { p.Outcome, p.RequestID = codegrant.Failed, "changed" })
			c.savePayments(b)
			c.holdsPayments(a, b)
		}},
		{"an outcome may fall, an attempt too, and refunds may go", paymentsLike, func(c *trial) {
			p := c.payment("falling")
			p.Attempt, p.Refunds = 3, []codegrant.RefundRecord{{Number: 1, Outcome: codegrant.Succeeded}, {Number: 2}}
			c.savePayments(p)
			p = nextPayment(p, func(p *codegrant.Payment) {
				p.Attempt, p.Outcome, p.Handled, p.HandledAttempt, p.Refunds = 1, "", "", 0, p.Refunds[1:]
			})
			c.savePayments(p)
			c.holdsPayments(p)
		}},
	}
}

// paymentAtRevision stores a record and updates it up to that revision.
// Variants from revision+1 on have nothing in common with what was stored.
func (c *trial) paymentAtRevision(revision int) codegrant.Payment {
	for i := range revision - 1 {
		c.savePayments(c.filledPayment(i, int64(i)+1))
	}
	return c.storedPayment(c.filledPayment(revision-1, int64(revision)))
}

func paymentCopyCases() []testCase {
	return []testCase{
		{"what SavePayment was given stays the caller's", paymentStores, func(c *trial) {
			p := c.filledPayment(2, 1)
			given := p
			given.Refunds = append([]codegrant.RefundRecord(nil), p.Refunds...)
			c.savePayments(given)
			given.Refunds[0].Remark, given.Refunds[2] = "changed after SavePayment", codegrant.RefundRecord{}
			_ = append(given.Refunds[:1], codegrant.RefundRecord{Remark: "appended"})
			c.holdsPayments(p)
		}},
		{"what GetPayment returned belongs to the caller", concurrentOrEnded, func(c *trial) {
			p := c.filledPayment(2, 1)
			c.savePayments(p)
			mine, theirs := c.getPayment(p.ID), c.getPayment(p.ID)
			spoil(mine)
			c.samePayment("GetPayment", p, theirs)
			c.holdsPayments(p)
		}},
		{"what UnsettledPayments returned belongs to the caller", concurrentOrEnded, func(c *trial) {
			p := c.filledPayment(2, 1)
			c.savePayments(p)
			mine, theirs := c.allUnsettledPayments(p.UnsettledSince), c.allUnsettledPayments(p.UnsettledSince)
			if len(mine) != 1 || len(theirs) != 1 {
				c.fatalf("UnsettledPayments returned %d and then %d records, want 1", len(mine), len(theirs))
			}
			spoil(mine[0])
			mine[0] = codegrant.Payment{ID: "mine"}
			c.samePayments("UnsettledPayments", theirs, p)
			c.holdsPayments(p)
		}},
	}
}

func spoil(p codegrant.Payment) {
	clear(p.Refunds)
	_ = append(p.Refunds[:0], codegrant.RefundRecord{Remark: "mine"})
}

func paymentContextCases() []testCase {
	return []testCase{
		{"an ended context inserts no payment", concurrentOrEnded, func(c *trial) {
			for how, ctx := range c.endedContexts() {
				p := c.waiting("insert", c.epoch)
				c.stops(how+" SavePayment", c.payments.SavePayment(ctx, p))
				c.lacksPayment(p)
			}
		}},
		{"an ended context updates no payment", concurrentOrEnded, func(c *trial) {
			stored := c.storedPayment(c.filledPayment(0, 1))
			for how, ctx := range c.endedContexts() {
				p := c.filledPayment(1, 2)
				c.stops(how+" SavePayment", c.payments.SavePayment(ctx, p))
				c.holdsPayments(stored)
				c.hidesPayment(p)
			}
		}},
		{"an ended context reads no payment", concurrentOrEnded, func(c *trial) {
			p := c.waiting("stored", c.epoch)
			c.savePayments(p)
			for how, ctx := range c.endedContexts() {
				c.readsNoPayment(ctx, how, p)
			}
		}},
	}
}

func (c *trial) readsNoPayment(ctx context.Context, how string, p codegrant.Payment) {
	_, err := c.payments.GetPayment(ctx, p.ID)
	c.stops(how+" GetPayment", err)
	_, err = c.payments.GetPayment(ctx, c.own+"-absent")
	c.stops(how+" GetPayment of an absent id", err)
	_, err = c.payments.UnsettledPayments(ctx, c.epoch, 10)
	c.stops(how+" UnsettledPayments", err)
}
