package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// trial is one case on one store. Only together and goroutines of a case's own
// leave the case's goroutine, and they use nothing of the trial but ctx and
// store.
type trial struct {
	ctx      context.Context
	store    codegrant.TokenStore   // nil for a store of payments alone
	payments codegrant.PaymentStore // nil for a store of tokens alone

	own   string    // in every id, account, user and value, so that cases can share a database
	epoch time.Time // an hour long ago, hardly another case's, so that own unsettled records come first

	created         []string // ids of records that may be left unsettled
	createdPayments []string // the same of payments
	seen            []string
	skipped         string
	lost            bool // an error in seen is ErrConflict
}

func newTrial(ctx context.Context, store any) *trial {
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	hours := int(random[0])<<16 | int(random[1])<<8 | int(random[2])
	const years = 25 * 365 * 24 // from 1975: databases begin to lose times at 1970 and in 2038
	tokens, _ := store.(codegrant.TokenStore)
	payments, _ := store.(codegrant.PaymentStore)
	return &trial{
		ctx: ctx, store: tokens, payments: payments, own: rand.Text()[:16],
		epoch: time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(hours%years) * time.Hour),
	}
}

func (c *trial) errorf(format string, args ...any) {
	for _, arg := range args {
		if err, ok := arg.(error); ok && errors.Is(err, codegrant.ErrConflict) {
			c.lost = true
		}
	}
	c.seen = append(c.seen, fmt.Sprintf(format, args...))
}

// fatalf is errorf for what makes the rest of the case pointless.
func (c *trial) fatalf(format string, args ...any) {
	c.errorf(format, args...)
	panic(ended{})
}

func (c *trial) skip(why string) {
	c.skipped = why
	panic(ended{})
}

// settle leaves none of the case's records for the Unsettled of later cases.
func (c *trial) settle() {
	c.settlePayments()
	for _, id := range c.created {
		t, err := c.store.Get(c.ctx, id)
		if err != nil || t.UnsettledSince.IsZero() {
			continue
		}
		t.Revision, t.UnsettledSince = t.Revision+1, time.Time{}
		_ = c.store.Save(c.ctx, t)
	}
}

// token returns a plain settled record of revision 1 with a user, an account
// and a fingerprint of its own. Its times are whole seconds.
func (c *trial) token(name string) codegrant.Token {
	value := codegrant.NewSecret(c.own + "-value-" + name)
	return codegrant.Token{
		ID: c.own + "-" + name, AccountID: c.own + "-account", UserID: c.own + "-user-" + name,
		Wallet: codegrant.GCash, Status: codegrant.StatusActive, Handled: codegrant.StatusPending, Revision: 1,
		Value: value, Fingerprint: codegrant.Fingerprint(value),
		CreatedAt: c.epoch, UpdatedAt: c.epoch,
	}
}

// unsettled is token with a time since when it is unsettled.
func (c *trial) unsettled(name string, since time.Time) codegrant.Token {
	t := c.token(name)
	t.UnsettledSince = since
	c.created = append(c.created, t.ID)
	return t
}

// filled returns a record with every field set. Other variants have the same
// id and nothing else in common.
func (c *trial) filled(variant int, revision int64) codegrant.Token {
	t := fill(c.own, c.epoch, variant)
	t.ID, t.Revision = c.own+"-filled", revision
	c.created = append(c.created, t.ID)
	return t
}

// next returns t as the save after t's.
func next(t codegrant.Token, change func(*codegrant.Token)) codegrant.Token {
	t.Revision++
	change(&t)
	return t
}

// save saves what must not conflict.
func (c *trial) save(tokens ...codegrant.Token) {
	for _, t := range tokens {
		if err := c.store.Save(c.ctx, t); err != nil {
			c.fatalf("Save of revision %d of %q returned the error %v", t.Revision, t.ID, err)
		}
	}
}

// stored saves t and returns it as the store shows it. What a case compares
// with that has changed since: a store that stores a field wrongly is told so
// by the cases about fields, and not by every other case too.
func (c *trial) stored(t codegrant.Token) codegrant.Token {
	c.save(t)
	return c.get(t.ID)
}

// refuses expects Save to return ErrConflict and to leave no trace of t. The
// account, user, fingerprint and UnsettledSince of t must be its own.
func (c *trial) refuses(t codegrant.Token, over string) {
	if err := c.store.Save(c.ctx, t); !errors.Is(err, codegrant.ErrConflict) {
		c.errorf("Save of revision %d over %s returned %v, want ErrConflict", t.Revision, over, err)
	}
	c.hides(t)
}

// hides expects that no look-up finds t by what is t's own.
func (c *trial) hides(t codegrant.Token) {
	if _, err := c.store.ByFingerprint(c.ctx, t.Fingerprint); !errors.Is(err, codegrant.ErrNotFound) {
		c.errorf("ByFingerprint finds a record that was not to be stored (error %v)", err)
	}
	if found := c.byUser(t.AccountID, t.UserID); len(found) > 0 {
		c.errorf("ByUser finds a record that was not to be stored: %v", found)
	}
	if t.UnsettledSince.IsZero() {
		return
	}
	for _, found := range c.allUnsettled(t.UnsettledSince) {
		if found.ID == t.ID && found.UnsettledSince.Equal(t.UnsettledSince) {
			c.errorf("Unsettled finds a record that was not to be stored: %v", found)
		}
	}
}

// lacks expects that there is no record of t's id, and no trace of t.
func (c *trial) lacks(t codegrant.Token) {
	if got, err := c.store.Get(c.ctx, t.ID); !errors.Is(err, codegrant.ErrNotFound) {
		c.errorf("Get of %q, which was not to be stored, returned revision %d and the error %v, want ErrNotFound",
			t.ID, got.Revision, err)
	}
	c.hides(t)
}

// holds expects that Get returns these records, in every field.
func (c *trial) holds(tokens ...codegrant.Token) {
	for _, t := range tokens {
		got, err := c.store.Get(c.ctx, t.ID)
		if err != nil {
			c.errorf("Get of %q returned the error %v", t.ID, err)
			continue
		}
		c.same("Get", t, got)
	}
}

// finds expects that Get and the look-ups by t's own fingerprint and user
// return t, in every field.
func (c *trial) finds(t codegrant.Token) {
	c.holds(t)
	c.sameRecords("ByUser", c.byUser(t.AccountID, t.UserID), t)
	if t.Fingerprint != "" {
		c.same("ByFingerprint", t, c.byFingerprint(t.Fingerprint))
	}
}

func (c *trial) same(method string, want, got codegrant.Token) {
	for _, difference := range differences(want, got) {
		c.errorf("after Save of %q, in what %s returned, %s", want.ID, method, difference)
	}
}

// sameRecords expects these records in this order.
func (c *trial) sameRecords(method string, got []codegrant.Token, want ...codegrant.Token) {
	if wanted, found := ids(want), ids(got); !slices.Equal(wanted, found) {
		c.errorf("%s returned the ids %q, want %q", method, found, wanted)
		return
	}
	for i := range want {
		c.same(method, want[i], got[i])
	}
}

func ids(tokens []codegrant.Token) []string {
	found := make([]string, len(tokens))
	for i, t := range tokens {
		found[i] = t.ID
	}
	return found
}

func (c *trial) get(id string) codegrant.Token {
	t, err := c.store.Get(c.ctx, id)
	if err != nil {
		c.fatalf("Get of %q returned the error %v", id, err)
	}
	return t
}

func (c *trial) byFingerprint(fingerprint string) codegrant.Token {
	t, err := c.store.ByFingerprint(c.ctx, fingerprint)
	if err != nil {
		c.fatalf("ByFingerprint of a stored fingerprint returned the error %v", err)
	}
	return t
}

func (c *trial) byUser(accountID, userID string) []codegrant.Token {
	found, err := c.store.ByUser(c.ctx, accountID, userID)
	if err != nil {
		c.fatalf("ByUser returned the error %v", err)
	}
	return found
}

// unsettledBy calls Unsettled and returns the records of this case, and whether
// there may be more beyond the limit.
func (c *trial) unsettledBy(olderThan time.Time, limit int) (own []codegrant.Token, more bool) {
	found, err := c.store.Unsettled(c.ctx, olderThan, limit)
	if err != nil {
		c.fatalf("Unsettled returned the error %v", err)
	}
	if len(found) > max(limit, 0) {
		c.fatalf("Unsettled with limit %d returned %d records", limit, len(found))
	}
	for _, t := range found {
		if strings.HasPrefix(t.ID, c.own) {
			own = append(own, t)
		}
	}
	return own, len(found) == limit
}

// allUnsettled returns this case's records, however many other ones there are.
func (c *trial) allUnsettled(olderThan time.Time) []codegrant.Token {
	own, more := c.unsettledBy(olderThan, 1_000)
	for limit := 10_000; more && limit <= 1_000_000; limit *= 10 {
		own, more = c.unsettledBy(olderThan, limit)
	}
	return own
}

// together calls f n times at once and returns its errors.
func together(n int, f func(i int) error) []error {
	var (
		errs = make([]error, n)
		gate = make(chan struct{})
		done sync.WaitGroup
	)
	for i := range n {
		done.Go(func() {
			<-gate
			errs[i] = f(i)
		})
	}
	close(gate)
	done.Wait()
	return errs
}

// succeeds expects no error from together.
func (c *trial) succeeds(what string, errs []error) {
	for _, err := range errs {
		if err != nil {
			c.fatalf("%s at the same time: %v", what, err)
		}
	}
}
