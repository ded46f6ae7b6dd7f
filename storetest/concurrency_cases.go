package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/codegrant/codegrant"
)

const racers = 32

func concurrencyCases() []testCase {
	return []testCase{
		{"one of 32 concurrent inserts wins and is what is stored", saveIsAtomic, func(c *trial) {
			c.oneWins(1)
		}},
		{"one of 32 concurrent updates wins and is what is stored", saveIsAtomic, func(c *trial) {
			c.save(c.filled(racers, 1))
			c.oneWins(2)
		}},
		{"concurrent read, change and save with retry loses no update", saveIsAtomic, func(c *trial) {
			t := c.token("counter")
			t.AuthState = "0"
			c.save(t)
			const each = 2
			c.succeeds("counting", together(racers, func(int) error {
				for range each {
					if err := count(c, t.ID, racers*each); err != nil {
						return err
					}
				}
				return nil
			}))
			c.counted(t.ID, racers*each)
		}},
		{"different ids do not conflict", saveStores, func(c *trial) {
			last := make([]codegrant.Token, racers)
			for i := range last {
				last[i] = c.token(fmt.Sprintf("racer-%02d", i))
				last[i].UserID = c.own + "-user"
			}
			c.succeeds("saves of different ids", together(racers, func(i int) error {
				for range 4 {
					if err := c.store.Save(c.ctx, last[i]); err != nil {
						return fmt.Errorf("Save of revision %d: %w", last[i].Revision, err)
					}
					last[i] = next(last[i], func(t *codegrant.Token) { t.AuthState = fmt.Sprint("after ", t.Revision) })
				}
				return c.store.Save(c.ctx, last[i])
			}))
			c.holds(last...)
			c.sameRecords("ByUser", c.byUser(last[0].AccountID, last[0].UserID), last...)
		}},
		{"what was saved is found at once, while others save", seesSaved, func(c *trial) {
			tokens := make([]codegrant.Token, racers)
			for i := range tokens {
				tokens[i] = c.unsettled(fmt.Sprintf("racer-%02d", i), c.epoch)
			}
			c.succeeds("saves and look-ups", together(racers, func(i int) error {
				own := &trial{ctx: c.ctx, store: c.store, own: c.own}
				own.guard(func() {
					own.foundAtOnce(tokens[i])
					own.foundAtOnce(next(tokens[i], func(t *codegrant.Token) { t.UserID += "-changed" }))
				})
				if len(own.seen) > 0 {
					return errors.New(own.seen[0])
				}
				return nil
			}))
		}},
		{"readers never see half a save", saveIsAtomic, neverHalf},
	}
}

func (c *trial) foundAtOnce(t codegrant.Token) {
	c.finds(c.stored(t))
	if !slices.Contains(ids(c.allUnsettled(t.UnsettledSince)), t.ID) {
		c.errorf("Unsettled does not return %q, which was saved before", t.ID)
	}
}

// oneWins saves this revision of one record many times at once.
func (c *trial) oneWins(revision int64) {
	tokens := make([]codegrant.Token, racers)
	for i := range tokens {
		tokens[i] = c.filled(i, revision)
	}
	errs := together(racers, func(i int) error { return c.store.Save(c.ctx, tokens[i]) })
	var winners []codegrant.Token
	for i, err := range errs {
		switch {
		case err == nil:
			winners = append(winners, tokens[i])
		case !errors.Is(err, codegrant.ErrConflict):
			c.errorf("Save returned the error %v, want ErrConflict from all but one", err)
		}
	}
	if len(winners) != 1 {
		c.fatalf("%d of %d concurrent saves of revision %d returned nil", len(winners), racers, revision)
	}
	c.finds(winners[0])
	for i, t := range tokens {
		if errs[i] != nil {
			c.hides(t)
		}
	}
}

// count adds one to the number in a record's AuthState, as the kit changes
// records: it loads again after a conflict. Every conflict of a right store is
// another one's success, so there are fewer than total.
func count(c *trial, id string, total int) error {
	for range total {
		t, err := c.store.Get(c.ctx, id)
		if err != nil {
			return fmt.Errorf("Get: %w", err)
		}
		if err = c.store.Save(c.ctx, counted(t)); !errors.Is(err, codegrant.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("Save conflicted %d times in a row, more often than others can have saved", total)
}

func counted(t codegrant.Token) codegrant.Token {
	return next(t, func(t *codegrant.Token) {
		n, _ := strconv.Atoi(t.AuthState)
		t.AuthState = strconv.Itoa(n + 1)
	})
}

// counted expects that a record was counted up n times from revision 1 and 0.
func (c *trial) counted(id string, n int) {
	t := c.get(id)
	if t.AuthState != strconv.Itoa(n) || t.Revision != int64(n)+1 {
		c.errorf("%d increments succeeded, but the record counts %s at revision %d", n, t.AuthState, t.Revision)
	}
}

// neverHalf lets readers look at a record, in every way, while it is saved with
// the revision in several fields.
func neverHalf(c *trial) {
	stamp := func(t *codegrant.Token) {
		mark := strconv.FormatInt(t.Revision, 10)
		t.AuthState, t.ReturnTo, t.LoginID = mark, mark, codegrant.NewSecret(mark)
	}
	first := c.token("stamped")
	stamp(&first)
	c.save(first)

	var (
		saved    = make(chan struct{})
		readers  sync.WaitGroup
		problems = make(chan string, 3)
	)
	for name, read := range map[string]func() (codegrant.Token, error){
		"Get":           func() (codegrant.Token, error) { return c.store.Get(c.ctx, first.ID) },
		"ByFingerprint": func() (codegrant.Token, error) { return c.store.ByFingerprint(c.ctx, first.Fingerprint) },
		"ByUser": func() (codegrant.Token, error) {
			found, err := c.store.ByUser(c.ctx, first.AccountID, first.UserID)
			if err == nil && len(found) != 1 {
				err = fmt.Errorf("%d records, want 1", len(found))
			}
			return append(found, codegrant.Token{})[0], err
		},
	} {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-saved:
					running = false // one last look
				default:
				}
				got, err := read()
				want := got
				stamp(&want)
				if half := differences(want, got); err != nil || len(half) > 0 {
					problems <- fmt.Sprintf("while others save, %s returned the error %v and at revision %d: %q", name, err, got.Revision, half)
					return
				}
			}
		})
	}
	var err error
	for t, i := next(first, stamp), 0; err == nil && i < 60; t, i = next(t, stamp), i+1 {
		err = c.store.Save(c.ctx, t)
	}
	close(saved)
	readers.Wait()
	close(problems)
	for problem := range problems {
		c.errorf("%s", problem)
	}
	if err != nil {
		c.errorf("Save returned the error %v", err)
	}
}
