package codegrant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// maxConflicts bounds how often one piece of work reloads a record that other
// processes are changing.
const maxConflicts = 8

// keeper changes the records of one kind: it reads, changes and saves them, and
// runs the hook that is then owed.
type keeper[R any] struct {
	kit  *Kit
	kind string // in front of a lock's key
	records[R]
	// hooked: there is a hook that hear may call.
	hooked bool
	// inTx runs fn in one transaction of the store; nil where it has none, and
	// where there is no hook that could write in it: guarded by the revision, a
	// save on its own is as good, and can share a commit.
	inTx func(ctx context.Context, fn func(context.Context, records[R]) error) error

	id       func(R) string
	revision func(R) int64                            // 0 when only the id is known
	stamp    func(before, changed R, now time.Time) R // next revision, time of change, settled or not
	owes     func(R) bool                             // a hook
	hear     func(ctx context.Context, op string, r R) error
	accept   func(now, heard R) (R, bool) // notes that the hook accepted what it heard
	note     func(ctx context.Context, op string, before, after R)
}

// records is what a keeper needs of a store.
type records[R any] struct {
	get  func(context.Context, string) (R, error)
	save func(context.Context, R) error
}

// advance changes a record by change, saves it, and runs the hook that is then
// owed. change is called again on a fresh record after a conflict, and returns
// false to leave the record as it is. known is the record as the caller last
// saw it, or its id alone; what is returned is the newest that is known, also
// beside an error.
func (k *keeper[R]) advance(ctx context.Context, op string, known R, change func(R) (R, bool)) (R, error) {
	unlock, waited, err := k.kit.locks.lock(ctx, k.kind+k.id(known))
	if err != nil {
		return known, wrap(op, ErrDeadline, err)
	}
	defer unlock()
	if k.inTx != nil {
		return k.advanceInTx(ctx, op, known, change)
	}
	r, err := k.update(ctx, op, known, !waited, change)
	if err != nil {
		return r, err
	}
	return k.settleHook(ctx, op, r)
}

// advanceInTx is advance where reading, the hook and saving are one
// transaction: the hook's own writes in it happen exactly once.
func (k *keeper[R]) advanceInTx(ctx context.Context, op string, known R, change func(R) (R, bool)) (R, error) {
	id := k.id(known)
	for range maxConflicts {
		var before, after R
		var hookErr error
		err := k.inTx(ctx, func(ctx context.Context, tx records[R]) error {
			var err error
			if before, err = tx.get(ctx, id); err != nil {
				return err
			}
			known, after = before, before
			next, changed := change(before)
			if !changed {
				next = before
			}
			if !changed && !k.owes(next) {
				return nil
			}
			now := k.kit.now()
			next = k.stamp(before, next, now)
			if k.owes(next) {
				if hookErr = k.hear(ctx, op, next); hookErr != nil {
					return hookErr
				}
				next, _ = k.accept(next, next)
				next = k.stamp(before, next, now)
			}
			if err := tx.save(ctx, next); err != nil {
				return err
			}
			after = next
			return nil
		})
		switch {
		case err == nil:
			k.note(ctx, op, before, after)
			return after, nil
		case hookErr != nil:
			return known, hookErr
		case !errors.Is(err, ErrConflict):
			return known, k.kit.storeError(ctx, op, err)
		}
	}
	return known, &Error{Op: op, Code: ErrConflict}
}

// hearOwed runs the hook for a record of which there is no news, where one is
// owed.
func (k *keeper[R]) hearOwed(ctx context.Context, op string, r R) (R, error) {
	if !k.owes(r) {
		return r, nil
	}
	return k.advance(ctx, op, r, func(r R) (R, bool) { return r, false })
}

// update is advance without the lock and the hook. Where known is likely to be
// the newest it is not read again: if it is not, the save says so, and that it
// needs no change is not believed.
func (k *keeper[R]) update(ctx context.Context, op string, known R, newest bool, change func(R) (R, bool)) (R, error) {
	for range maxConflicts {
		r := known
		assumed := newest && k.revision(known) > 0
		if newest = false; !assumed {
			var err error
			if r, err = k.get(ctx, k.id(known)); err != nil {
				return known, k.kit.storeError(ctx, op, err)
			}
			known = r
		}
		next, ok := change(r)
		if !ok && assumed {
			continue
		}
		if !ok {
			return r, nil
		}
		if !k.hooked {
			next, _ = k.accept(next, next)
		}
		next = k.stamp(r, next, k.kit.now())
		err := k.save(ctx, next)
		if err == nil {
			k.note(ctx, op, r, next)
			return next, nil
		}
		if !errors.Is(err, ErrConflict) {
			return r, k.kit.storeError(ctx, op, err)
		}
	}
	return known, &Error{Op: op, Code: ErrConflict}
}

// settleHook runs the hook while one is owed and records that it was accepted.
// The record says so only after the hook returned nil: a crash between the two
// runs the hook again.
func (k *keeper[R]) settleHook(ctx context.Context, op string, r R) (R, error) {
	for range maxConflicts {
		if !k.owes(r) {
			return r, nil
		}
		if err := k.hear(ctx, op, r); err != nil {
			return r, err
		}
		next, err := k.update(ctx, op, r, true, func(now R) (R, bool) { return k.accept(now, r) })
		r = next
		if err != nil {
			return r, err
		}
	}
	return r, &Error{Op: op, Code: ErrConflict}
}

// runHook calls a hook and survives its panic. A hook that outlives ctx is
// left behind, so that the request ends in time; its late success is not
// counted.
func (k *Kit) runHook(ctx context.Context, op string, hook func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			switch p := recover(); {
			case p == nil && !returned: // a test's FailNow, for one
				done <- errors.New("hook ended its goroutine")
			case p != nil:
				k.log.LogAttrs(ctx, slog.LevelError, "codegrant: hook panicked", slog.String("code", "hook_panic"),
					slog.String("op", op), slog.String("stack", string(debug.Stack())))
				done <- fmt.Errorf("hook panicked with a %T", p)
			}
		}()
		err := hook(ctx)
		returned = true
		done <- err
	}()
	select {
	case err := <-done:
		return wrap(op, ErrHook, err)
	case <-ctx.Done():
		return wrap(op, ErrHook, context.Cause(ctx))
	}
}

// survive, deferred, turns a panic of the merchant's store into an error where
// no net/http server stands above to survive it.
func survive(op string, err *error) {
	if p := recover(); p != nil {
		*err = wrap(op, ErrStore, fmt.Errorf("panicked with a %T", p))
	}
}

// storeError gives a store's error its code and keeps the two that mean
// something to callers.
func (k *Kit) storeError(ctx context.Context, op string, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return wrap(op, ErrNotFound, err)
	case errors.Is(err, ErrConflict):
		return wrap(op, ErrConflict, err)
	case ctx.Err() != nil:
		return wrap(op, ErrDeadline, err)
	}
	return wrap(op, ErrStore, err)
}

// detached returns a context that outlives the request, so that a hang-up
// cannot cut a save in half, and ends after the configured time.
func (k *Kit) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return k.detachedFor(ctx, k.cfg.Timeout)
}

func (k *Kit) detachedFor(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), d)
}
