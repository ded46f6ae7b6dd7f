package storetest

import (
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

func unsettledCases() []testCase {
	return []testCase{
		{"Unsettled leaves out what is settled", unsettledFinds, func(c *trial) {
			waiting := c.unsettled("waiting", c.epoch)
			c.save(c.token("settled"), waiting)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch.Add(time.Hour)), waiting)
			c.sameRecords("Unsettled of before any time", c.allUnsettled(time.Time{}))
		}},
		{"Unsettled includes olderThan itself", unsettledFinds, func(c *trial) {
			at := c.epoch.Add(123_456 * time.Microsecond)
			equal := c.unsettled("equal", at)
			c.save(equal)
			c.sameRecords("Unsettled", c.allUnsettled(at), equal)
		}},
		{"Unsettled leaves out what is later than olderThan", unsettledFinds, func(c *trial) {
			at := c.epoch.Add(123_456 * time.Microsecond)
			before := c.unsettled("before", at.Add(-time.Microsecond))
			c.save(c.unsettled("after", at.Add(time.Microsecond)), before, c.unsettled("long-after", at.Add(time.Hour)))
			c.sameRecords("Unsettled", c.allUnsettled(at), before)
		}},
		{"Unsettled orders by UnsettledSince", unsettledFinds, func(c *trial) {
			c.inOrder(func([]codegrant.Token) []codegrant.Token { return c.allUnsettled(c.epoch.Add(time.Hour)) },
				"d", "b", "e", "a", "c")
		}},
		{"Unsettled orders by ID what is unsettled since the same time", unsettledFinds, func(c *trial) {
			all := c.severalUnsettled(6, 0)
			c.save(shuffled(all)...)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch), all...)
		}},
		{"Unsettled returns no more than limit, the oldest first", unsettledFinds, func(c *trial) {
			all := c.severalUnsettled(6, time.Microsecond)
			c.save(shuffled(all)...)
			for limit := range 8 {
				own, more := c.unsettledBy(c.epoch.Add(time.Hour), limit)
				// Records of others, in a shared database, may take places.
				want := all[:min(len(own), len(all))]
				if !more {
					want = all
				}
				c.sameRecords(fmt.Sprintf("Unsettled with limit %d", limit), own, want...)
			}
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch.Add(time.Hour)), all...)
		}},
		{"Unsettled with a limit of zero or less returns nothing", noLimit, func(c *trial) {
			c.save(c.unsettled("waiting", c.epoch))
			for _, limit := range []int{0, -1} {
				c.unsettledBy(c.epoch, limit) // which looks at the limit
			}
		}},
		{"Unsettled forgets what was settled and follows what changed", unsettledFinds, func(c *trial) {
			t := c.unsettled("waiting", c.epoch)
			c.save(t)
			t = next(t, func(t *codegrant.Token) { t.UnsettledSince = c.epoch.Add(time.Minute) })
			c.save(t)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch))
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch.Add(time.Minute)), t)
			t = next(t, func(t *codegrant.Token) { t.UnsettledSince = time.Time{} })
			c.save(t)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch.Add(time.Hour)))
			t = next(t, func(t *codegrant.Token) { t.UnsettledSince = c.epoch })
			c.save(t)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch), t)
		}},
		{"Unsettled looks at no other field", unsettledLooks, func(c *trial) {
			var all []codegrant.Token
			for status := codegrant.Status(0); status <= codegrant.StatusUnbound; status++ {
				t := c.unsettled(fmt.Sprint("status-", int8(status)), c.epoch)
				t.AccountID = fmt.Sprint(c.own, "-", int8(status))
				t.Status, t.Handled = status, status // no hook is owed
				t.CreatedAt, t.UpdatedAt = c.epoch.AddDate(30, 0, int(status)), c.epoch.AddDate(30, 0, -int(status))
				if status == codegrant.StatusUnbound {
					t.EndedBy = codegrant.EndedByUser
				}
				all = append(all, t)
			}
			c.save(all...)
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch), all...)
		}},
	}
}

// severalUnsettled returns n records, each unsettled step later than the one
// before.
func (c *trial) severalUnsettled(n int, step time.Duration) []codegrant.Token {
	var all []codegrant.Token
	for i := range n {
		all = append(all, c.unsettled(fmt.Sprint("several-", i), c.epoch.Add(time.Duration(i)*step)))
	}
	return all
}
