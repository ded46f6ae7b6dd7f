package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

// patience is how long a case waits for what a store may hold up until a
// transaction ends. A store that does not hold it up is not waited for.
const patience = 300 * time.Millisecond

// txTrial is a trial of a store that is a TxStore.
type txTrial struct {
	*trial
	tx codegrant.TxStore
}

// txCase makes a case of one for a TxStore.
func txCase(name, rule string, run func(*txTrial)) testCase {
	return testCase{name, rule, func(c *trial) {
		store, ok := c.store.(codegrant.TxStore)
		if !ok {
			c.skip("not a TxStore")
		}
		run(&txTrial{c, store})
	}}
}

// txFunc is what InTx calls.
type txFunc = func(ctx context.Context, tx codegrant.TokenStore) error

// inTx calls InTx, again while it returns ErrConflict: in a database that is
// shared, a transaction may lose to one of another case.
func (c *txTrial) inTx(fn txFunc) error {
	var err error
	for range 200 {
		if err = c.tx.InTx(c.ctx, fn); !errors.Is(err, codegrant.ErrConflict) {
			return err
		}
	}
	return err
}

// commits runs fn in a transaction that must succeed.
func (c *txTrial) commits(fn txFunc) {
	if err := c.inTx(fn); err != nil {
		c.fatalf("InTx returned the error %v, want nil", err)
	}
}

// errGivenUp is the error with which cases roll back.
var errGivenUp = errors.New("storetest: given up")

// rollsBack runs fn and gives up after it.
func (c *txTrial) rollsBack(fn txFunc) {
	err := c.inTx(func(ctx context.Context, tx codegrant.TokenStore) error {
		if err := fn(ctx, tx); err != nil {
			return err
		}
		return errGivenUp
	})
	if !errors.Is(err, errGivenUp) {
		c.errorf("InTx returned %v, want the error of fn", err)
	}
}

// saveAll is a transaction that saves tokens.
func saveAll(tokens ...codegrant.Token) txFunc {
	return func(ctx context.Context, tx codegrant.TokenStore) error {
		for _, t := range tokens {
			if err := tx.Save(ctx, t); err != nil {
				return fmt.Errorf("Save of revision %d inside: %w", t.Revision, err)
			}
		}
		return nil
	}
}

// countUp is a transaction that reads a counter and saves it plus one.
func countUp(id string) txFunc {
	return func(ctx context.Context, tx codegrant.TokenStore) error {
		t, err := tx.Get(ctx, id)
		if err != nil {
			return err
		}
		return tx.Save(ctx, counted(t))
	}
}

// rival runs f beside a transaction and waits for it, but not for ever: the
// store may hold it up until the transaction ends.
func rival(f func() error) (result <-chan error, early bool) {
	done := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		done <- f()
	}()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case <-ended:
		return done, true
	case <-timeout.C:
		return done, false
	}
}
