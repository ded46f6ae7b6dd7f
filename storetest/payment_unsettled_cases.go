package storetest

import (
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

func unsettledPaymentCases() []testCase {
	return []testCase{
		{"UnsettledPayments leaves out what is settled", paymentsUnsettled, func(c *trial) {
			waiting := c.waiting("waiting", c.epoch)
			c.savePayments(c.payment("settled"), waiting)
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch.Add(time.Hour)), waiting)
			c.samePayments("UnsettledPayments of before any time", c.allUnsettledPayments(time.Time{}))
		}},
		{"UnsettledPayments includes olderThan itself", paymentsUnsettled, func(c *trial) {
			at := c.epoch.Add(123_456 * time.Microsecond)
			equal := c.waiting("equal", at)
			c.savePayments(equal)
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(at), equal)
		}},
		{"UnsettledPayments leaves out what is later than olderThan", paymentsUnsettled, func(c *trial) {
			at := c.epoch.Add(123_456 * time.Microsecond)
			before := c.waiting("before", at.Add(-time.Microsecond))
			c.savePayments(c.waiting("after", at.Add(time.Microsecond)), before, c.waiting("long-after", at.Add(time.Hour)))
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(at), before)
		}},
		{"UnsettledPayments orders by UnsettledSince", paymentsUnsettled, func(c *trial) {
			var all []codegrant.Payment
			for i, name := range []string{"d", "b", "e", "a", "c"} { // the ids say nothing about the order
				// Around a full second, where times written without trailing
				// zeros sort wrongly as text.
				p := c.waiting(name, c.epoch.Add(time.Duration(i-2)*time.Microsecond))
				p.CreatedAt = c.epoch.Add(-time.Duration(i) * time.Hour)
				all = append(all, p)
			}
			c.savePayments(shuffled(all)...)
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch.Add(time.Hour)), all...)
		}},
		{"UnsettledPayments orders by ID what is unsettled since the same time", paymentsUnsettled, func(c *trial) {
			all := c.severalWaiting(6, 0)
			c.savePayments(shuffled(all)...)
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch), all...)
		}},
		{"UnsettledPayments returns no more than limit, the oldest first", paymentsUnsettled, func(c *trial) {
			all := c.severalWaiting(6, time.Microsecond)
			c.savePayments(shuffled(all)...)
			for limit := range 8 {
				own, more := c.unsettledPaymentsBy(c.epoch.Add(time.Hour), limit)
				// Records of others, in a shared database, may take places.
				want := all[:min(len(own), len(all))]
				if !more {
					want = all
				}
				c.samePayments(fmt.Sprintf("UnsettledPayments with limit %d", limit), own, want...)
			}
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch.Add(time.Hour)), all...)
		}},
		{"UnsettledPayments with a limit of zero or less returns nothing", noLimit, func(c *trial) {
			c.savePayments(c.waiting("waiting", c.epoch))
			for _, limit := range []int{0, -1} {
				c.unsettledPaymentsBy(c.epoch, limit) // which looks at the limit
			}
		}},
		{"UnsettledPayments forgets what was settled and follows what changed", paymentsUnsettled, func(c *trial) {
			p := c.waiting("waiting", c.epoch)
			c.savePayments(p)
			expect := func(at time.Time, want ...codegrant.Payment) {
				c.samePayments("UnsettledPayments", c.allUnsettledPayments(at), want...)
			}
			since := func(at time.Time) {
				p = nextPayment(p, func(p *codegrant.Payment) { p.UnsettledSince = at })
				c.savePayments(p)
			}
			since(c.epoch.Add(time.Minute))
			expect(c.epoch)
			expect(c.epoch.Add(time.Minute), p)
			since(time.Time{})
			expect(c.epoch.Add(time.Hour))
			since(c.epoch)
			expect(c.epoch, p)
		}},
		{"UnsettledPayments looks at no other field", paymentsLooked, func(c *trial) {
			var all []codegrant.Payment
			for i, outcome := range []codegrant.Outcome{"", codegrant.Failed, codegrant.Pending, codegrant.Succeeded, "unheard-of"} {
				p := c.waiting(fmt.Sprint("outcome-", i), c.epoch)
				p.AccountID, p.UserID = fmt.Sprint(c.own, "-", i), fmt.Sprint(c.own, "-", 9-i)
				p.Outcome, p.Handled = outcome, outcome // no hook is owed
				p.CreatedAt, p.UpdatedAt = c.epoch.AddDate(30, 0, i), c.epoch.AddDate(30, 0, -i)
				all = append(all, p)
			}
			all[0].UserID, all[0].TokenID = "", ""
			c.savePayments(all...)
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch), all...)
		}},
		{"UnsettledPayments is right among 500 payments", paymentsUnsettled, func(c *trial) {
			const savers, each = 16, 32
			all := make([]codegrant.Payment, savers*each)
			var want []codegrant.Payment
			for i := range all {
				all[i] = c.payment(fmt.Sprintf("%04d", i))
				if i%25 == 0 {
					all[i] = c.waiting(fmt.Sprintf("%04d", i), c.epoch.Add(-time.Duration(i)*time.Second))
					want = append([]codegrant.Payment{all[i]}, want...)
				}
			}
			c.succeeds("inserts", together(savers, func(saver int) error {
				for i := saver; i < len(all); i += savers {
					if err := c.payments.SavePayment(c.ctx, all[i]); err != nil {
						return err
					}
				}
				return nil
			}))
			c.samePayments("UnsettledPayments", c.allUnsettledPayments(c.epoch), want...)
			c.holdsPayments(all[1], all[len(all)-1])
		}},
	}
}

// severalWaiting returns n records, each unsettled step later than the one
// before.
func (c *trial) severalWaiting(n int, step time.Duration) []codegrant.Payment {
	var all []codegrant.Payment
	for i := range n {
		all = append(all, c.waiting(fmt.Sprint("several-", i), c.epoch.Add(time.Duration(i)*step)))
	}
	return all
}
