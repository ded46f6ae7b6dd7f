package sqlstore

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// patience is how long one statement is tried again after it lost against
	// others: shorter than the kit's own deadline for a notification, so that
	// the gateway gets an answer.
	patience = 2 * time.Second
	// migrationPatience is the same for a statement of a migration, which may
	// wait for another process's.
	migrationPatience = time.Minute

	firstPause  = time.Millisecond
	longestWait = 64 * time.Millisecond
)

// again calls f until it returns no error that is worth another try, until
// ctx ends, or until the time is up, and returns f's last error. The pauses
// double and are drawn at random, so that those who collided do not again.
func again(ctx context.Context, patience time.Duration, f func() error, worthwhile func(error) bool) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, longestWait) {
		err := f()
		if !worthwhile(err) || time.Since(began) > patience {
			return err
		}
		timer := time.NewTimer(rand.N(pause)) //nolint:gosec // no secret: it only spreads the load
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}
