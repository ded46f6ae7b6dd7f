package storetest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

func byUserCases() []testCase {
	return []testCase{
		{"ByUser keeps users apart", userFinds, func(c *trial) {
			ann, bob := c.token("ann"), c.token("bob")
			c.save(ann, bob)
			c.sameRecords("ByUser", c.byUser(ann.AccountID, ann.UserID), ann)
			c.sameRecords("ByUser", c.byUser(bob.AccountID, bob.UserID), bob)
		}},
		{"ByUser keeps accounts apart", userFinds, func(c *trial) {
			here, there := c.token("here"), c.token("there")
			there.AccountID, there.UserID = c.own+"-elsewhere", here.UserID
			c.save(here, there)
			c.sameRecords("ByUser", c.byUser(here.AccountID, here.UserID), here)
			c.sameRecords("ByUser", c.byUser(there.AccountID, there.UserID), there)
		}},
		{"ByUser returns records of every status", userFinds, func(c *trial) {
			var all []codegrant.Token
			for status := codegrant.StatusPending; status <= codegrant.StatusUnbound; status++ {
				t := c.token(fmt.Sprint("status-", int8(status)))
				t.UserID, t.Status = c.own, status
				if status == codegrant.StatusUnbound {
					t.EndedBy, t.Handled = codegrant.EndedByUser, codegrant.StatusUnbound
				}
				all = append(all, t)
			}
			c.save(all...)
			c.sameRecords("ByUser", c.byUser(all[0].AccountID, all[0].UserID), all...)
		}},
		{"ByUser orders by CreatedAt", userFinds, func(c *trial) {
			c.inOrder(c.byUserOf, "d", "b", "e", "a", "c") // the ids say nothing about the order
		}},
		{"ByUser orders by ID what was created at the same time", userFinds, func(c *trial) {
			var all []codegrant.Token
			for i := range 6 {
				t := c.token(fmt.Sprint("same-", i))
				t.UserID = c.own
				all = append(all, t)
			}
			c.save(shuffled(all)...)
			c.sameRecords("ByUser", c.byUserOf(all), all...)
		}},
		{"ByUser follows a record to another account and user", userFinds, func(c *trial) {
			old := c.token("moving")
			moved := next(old, func(t *codegrant.Token) { t.AccountID, t.UserID = c.own+"-elsewhere", c.own+"-other" })
			c.save(old, moved)
			c.sameRecords("ByUser", c.byUser(moved.AccountID, moved.UserID), moved)
			c.sameRecords("ByUser", c.byUser(old.AccountID, old.UserID))
		}},
		{"results belong to the caller", concurrentOrEnded, func(c *trial) {
			a, b := c.unsettled("a", c.epoch), c.unsettled("b", c.epoch)
			b.UserID = a.UserID
			c.save(a, b)
			for method, list := range map[string]func() []codegrant.Token{
				"ByUser":    func() []codegrant.Token { return c.byUserOf([]codegrant.Token{a}) },
				"Unsettled": func() []codegrant.Token { return c.allUnsettled(c.epoch) },
			} {
				mine, theirs := list(), list()
				clear(mine)
				_ = append(mine[:0], codegrant.Token{ID: "mine"}, codegrant.Token{ID: "mine"}, codegrant.Token{ID: "mine"})
				c.sameRecords(method, theirs, a, b)
				c.sameRecords(method, list(), a, b)
			}
		}},
	}
}

func (c *trial) byUserOf(tokens []codegrant.Token) []codegrant.Token {
	return c.byUser(tokens[0].AccountID, tokens[0].UserID)
}

// inOrder saves records of one user, created one microsecond after the other
// and unsettled in the same order, and expects them in that order.
func (c *trial) inOrder(list func([]codegrant.Token) []codegrant.Token, names ...string) {
	var all []codegrant.Token
	for i, name := range names {
		// Around a full second, where times written without trailing zeros
		// sort wrongly as text.
		t := c.unsettled(name, c.epoch.Add(time.Duration(i-2)*time.Microsecond))
		t.UserID, t.CreatedAt = c.own, t.UnsettledSince
		all = append(all, t)
	}
	c.save(shuffled(all)...)
	c.sameRecords("the look-up", list(all), all...)
}

// shuffled is neither the order of records nor its reverse.
func shuffled[R any](records []R) []R {
	middle := len(records) / 2
	mixed := slices.Concat(records[middle:], records[:middle])
	mixed[0], mixed[1] = mixed[1], mixed[0]
	return mixed
}

func byFingerprintCases() []testCase {
	return []testCase{
		{"ByFingerprint returns the newest of several", fingerprintNewest, func(c *trial) {
			var all []codegrant.Token
			for i, name := range []string{"d", "a", "e", "b"} {
				t := c.token(name)
				t.Value, t.Fingerprint = c.token("shared").Value, c.token("shared").Fingerprint
				t.CreatedAt = c.epoch.Add(time.Duration(i) * time.Microsecond)
				t.UpdatedAt = c.epoch.Add(-time.Duration(i) * time.Hour) // says nothing about which is newest
				all = append(all, t)
			}
			c.save(shuffled(all)...)
			c.same("ByFingerprint", all[3], c.byFingerprint(all[0].Fingerprint))
		}},
		{"ByFingerprint returns the last ID of several created at the same time", fingerprintNewest, func(c *trial) {
			var all []codegrant.Token
			for i := range 5 {
				t := c.token(fmt.Sprint("same-", i))
				t.Value, t.Fingerprint = c.token("shared").Value, c.token("shared").Fingerprint
				all = append(all, t)
			}
			c.save(shuffled(all)...)
			c.same("ByFingerprint", all[4], c.byFingerprint(all[0].Fingerprint))
		}},
		{"ByFingerprint follows a changed fingerprint", fingerprintFinds, func(c *trial) {
			set := func(name string) func(*codegrant.Token) {
				return func(t *codegrant.Token) { t.Value, t.Fingerprint = c.token(name).Value, c.token(name).Fingerprint }
			}
			pending := c.token("moving")
			pending.Value, pending.Fingerprint = codegrant.Secret{}, ""
			first := next(pending, set("first"))
			second := next(first, set("second"))
			c.save(pending, first)
			c.same("ByFingerprint", first, c.byFingerprint(first.Fingerprint))
			c.save(second)
			c.same("ByFingerprint", second, c.byFingerprint(second.Fingerprint))
			if _, err := c.store.ByFingerprint(c.ctx, first.Fingerprint); !errors.Is(err, codegrant.ErrNotFound) {
				c.errorf("ByFingerprint of the fingerprint before the last returned the error %v, want ErrNotFound", err)
			}
		}},
		{"ByFingerprint finds the older record again when the newer one changes", fingerprintNewest, func(c *trial) {
			old, young := c.token("old"), c.token("young")
			young.Value, young.Fingerprint = old.Value, old.Fingerprint
			young.CreatedAt = old.CreatedAt.Add(time.Second)
			c.save(old, young)
			c.same("ByFingerprint", young, c.byFingerprint(old.Fingerprint))
			c.save(next(young, func(t *codegrant.Token) { t.Value, t.Fingerprint = codegrant.Secret{}, "" }))
			c.same("ByFingerprint", old, c.byFingerprint(old.Fingerprint))
		}},
		{"ByFingerprint finds ended records in any account", fingerprintFinds, func(c *trial) {
			t := c.token("ended")
			t.AccountID, t.UserID = c.own+"-elsewhere", ""
			t.Status, t.EndedBy = codegrant.StatusUnbound, codegrant.EndedByGateway
			c.save(t)
			c.same("ByFingerprint", t, c.byFingerprint(t.Fingerprint))
		}},
	}
}
