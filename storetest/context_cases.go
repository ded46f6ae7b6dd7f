package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

func contextCases() []testCase {
	return []testCase{
		{"an ended context inserts nothing", concurrentOrEnded, func(c *trial) {
			for how, ctx := range c.endedContexts() {
				t := c.token("insert")
				c.stops(how+" Save", c.store.Save(ctx, t))
				c.lacks(t)
			}
		}},
		{"an ended context updates nothing", concurrentOrEnded, func(c *trial) {
			stored := c.stored(c.filled(0, 1))
			for how, ctx := range c.endedContexts() {
				t := c.filled(1, 2)
				c.stops(how+" Save", c.store.Save(ctx, t))
				c.finds(stored)
				c.hides(t)
			}
		}},
		{"an ended context reads nothing", concurrentOrEnded, func(c *trial) {
			t := c.unsettled("stored", c.epoch)
			c.save(t)
			for how, ctx := range c.endedContexts() {
				_, err := c.store.Get(ctx, t.ID)
				c.stops(how+" Get", err)
				_, err = c.store.ByFingerprint(ctx, t.Fingerprint)
				c.stops(how+" ByFingerprint", err)
				_, err = c.store.ByUser(ctx, t.AccountID, t.UserID)
				c.stops(how+" ByUser", err)
				_, err = c.store.Unsettled(ctx, c.epoch, 10)
				c.stops(how+" Unsettled", err)
			}
		}},
	}
}

func (c *trial) endedContexts() map[string]context.Context {
	cancelled, cancel := context.WithCancel(c.ctx)
	cancel()
	late, cancel := context.WithDeadline(c.ctx, time.Unix(0, 0))
	cancel()
	return map[string]context.Context{"a cancelled": cancelled, "an overdue": late}
}

// stops expects an error that says nothing about a record.
func (c *trial) stops(what string, err error) {
	if err == nil || errors.Is(err, codegrant.ErrNotFound) || errors.Is(err, codegrant.ErrConflict) {
		c.errorf("%s returned %v, want an error about the context", what, err)
	}
}

func volumeCases() []testCase {
	return []testCase{
		{"look-ups are right among 2,000 records", userFinds, func(c *trial) {
			const users, each = 200, 10
			all := make([]codegrant.Token, users*each)
			for i := range all {
				t := c.token(fmt.Sprintf("%04d", i))
				t.UserID = fmt.Sprintf("%s-%d", c.own, i%users)
				t.CreatedAt = c.epoch.Add(-time.Duration(i) * time.Second) // newest first
				if i%users == 0 {
					since := c.epoch.Add(time.Duration(i) * time.Second)
					t.UnsettledSince, c.created = since, append(c.created, t.ID)
				}
				all[i] = t
			}
			const savers = 16
			c.succeeds("inserts", together(savers, func(saver int) error {
				for i := saver; i < len(all); i += savers {
					if err := c.store.Save(c.ctx, all[i]); err != nil {
						return err
					}
				}
				return nil
			}))
			var unsettled []codegrant.Token
			for i := 0; i < len(all); i += users {
				unsettled = append(unsettled, all[i])
			}
			c.sameRecords("Unsettled", c.allUnsettled(c.epoch.Add(time.Hour)), unsettled...)
			for user := 0; user < users; user += 20 {
				var records []codegrant.Token
				for i := users*(each-1) + user; i >= 0; i -= users {
					records = append(records, all[i])
				}
				c.sameRecords("ByUser", c.byUserOf(records), records...)
				c.holds(records[0])
				c.same("ByFingerprint", records[1], c.byFingerprint(records[1].Fingerprint))
			}
		}},
	}
}
