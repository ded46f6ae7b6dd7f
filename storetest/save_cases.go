package storetest

import (
	"errors"
	"math"

	"github.com/codegrant/codegrant"
)

func saveCases() []testCase {
	return []testCase{
		{"an absent record is inserted by revision 1 only", saveConflicts, func(c *trial) {
			for i, revision := range []int64{2, 0, -1, 3, 256, math.MaxInt64} {
				t := c.filled(i, revision)
				c.refuses(t, "an absent record")
				c.lacks(t)
			}
			c.finds(c.stored(c.filled(0, 1)))
		}},
		{"a second insert conflicts and keeps the first", saveConflicts, func(c *trial) {
			first := c.stored(c.filled(0, 1))
			c.refuses(c.filled(1, 1), "revision 1")
			c.finds(first)
		}},
		{"the same record saved again conflicts", saveConflicts, func(c *trial) {
			t := c.filled(0, 1)
			stored := c.stored(t)
			if err := c.store.Save(c.ctx, t); !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("the same Save for the second time returned %v, want ErrConflict", err)
			}
			c.finds(stored)
		}},
		{"the revision that is stored conflicts and changes nothing", saveConflicts, func(c *trial) {
			stored := c.atRevision(3)
			c.refuses(c.filled(4, 3), "revision 3")
			c.finds(stored)
		}},
		{"a stale revision conflicts and changes nothing", saveConflicts, func(c *trial) {
			stored := c.atRevision(3)
			for i, revision := range []int64{2, 1, 0, -1} {
				c.refuses(c.filled(4+i, revision), "revision 3")
			}
			c.finds(stored)
		}},
		{"a skipped revision conflicts and changes nothing", saveConflicts, func(c *trial) {
			stored := c.atRevision(3)
			for i, revision := range []int64{5, 6, 259, math.MaxInt64} {
				c.refuses(c.filled(4+i, revision), "revision 3")
			}
			c.finds(stored)
		}},
		{"an update replaces every field", saveStores, func(c *trial) {
			old, t := c.filled(0, 1), c.filled(1, 2)
			c.save(old, t)
			c.finds(t)
			c.hides(old)
			c.sameRecords("Unsettled", c.allUnsettled(t.UnsettledSince), t)
		}},
		{"an update can clear every field", saveStores, func(c *trial) {
			full := c.filled(0, 1)
			c.save(full)
			// Account, user and creation stay, so that the look-up by user has
			// something to find.
			bare := codegrant.Token{ID: full.ID, AccountID: full.AccountID, UserID: full.UserID, Revision: 2, CreatedAt: c.epoch}
			c.save(bare)
			c.finds(bare)
			c.sameRecords("Unsettled", c.allUnsettled(full.UnsettledSince))
			full.Revision = 3
			c.save(full)
			c.finds(full)
		}},
		{"an update leaves other records alone", saveStores, func(c *trial) {
			a, b := c.token("a"), c.token("b")
			b.UserID = a.UserID
			a, b = c.stored(a), c.stored(b)
			b = next(b, func(t *codegrant.Token) { t.AuthState, t.Status = "changed", codegrant.StatusUnbound })
			c.save(b)
			c.holds(a, b)
			c.sameRecords("ByUser", c.byUser(a.AccountID, a.UserID), a, b)
		}},
		{"a status may fall and a hook be owed again", noRules, func(c *trial) {
			t := c.token("falling")
			t.Status, t.Handled, t.EndedBy = codegrant.StatusUnbound, codegrant.StatusUnbound, codegrant.EndedByUser
			c.save(t)
			t = next(t, func(t *codegrant.Token) {
				t.Status, t.Handled, t.EndedBy = codegrant.StatusPending, 0, ""
			})
			c.save(t)
			c.finds(t)
		}},
	}
}

// atRevision stores a record and updates it up to that revision. Variants from
// revision+1 on have nothing in common with what was stored.
func (c *trial) atRevision(revision int) codegrant.Token {
	for i := range revision - 1 {
		c.save(c.filled(i, int64(i)+1))
	}
	return c.stored(c.filled(revision-1, int64(revision)))
}
