package codegrant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// Change is what [Config.OnToken] is told.
type Change struct {
	// From is the last status that the hook accepted for this record, which
	// need not be the one before: statuses between may have been passed by.
	From Status
	// Token is the record now. Token.Status is the news, Token.Revision the
	// number to compare when calls may overlap.
	Token Token
}

// maxConflicts bounds how often one piece of work reloads a record that other
// processes are changing.
const maxConflicts = 8

// advance changes a record by change, saves it, and runs the hook that is then
// owed. change is called again on a fresh record after a conflict, and returns
// false to leave the record as it is. known is the record as the caller last
// saw it, or its id alone; what is returned is the newest that is known, also
// beside an error.
func (k *Kit) advance(ctx context.Context, op string, known Token, change func(Token) (Token, bool)) (Token, error) {
	unlock, err := k.locks.lock(ctx, known.ID)
	if err != nil {
		return known, wrap(op, ErrDeadline, err)
	}
	defer unlock()
	if k.txStore != nil {
		return k.advanceInTx(ctx, op, known, change)
	}
	t, err := k.update(ctx, op, known, change)
	if err != nil {
		return t, err
	}
	return k.settleHook(ctx, op, t)
}

// advanceInTx is advance where reading, the hook and saving are one
// transaction: the hook's own writes in it happen exactly once.
func (k *Kit) advanceInTx(ctx context.Context, op string, known Token, change func(Token) (Token, bool)) (Token, error) {
	for range maxConflicts {
		var before, after Token
		var hookErr error
		err := k.txStore.InTx(ctx, func(ctx context.Context, tx TokenStore) error {
			var err error
			if before, err = tx.Get(ctx, known.ID); err != nil {
				return err
			}
			known = before
			next, changed := change(before)
			if !changed {
				next = before
			}
			after = before
			if !changed && next.Handled >= next.Status {
				return nil
			}
			next.Revision, next.UpdatedAt = before.Revision+1, k.now()
			if hookErr = k.hear(ctx, op, next); hookErr != nil {
				return hookErr
			}
			next.Handled = max(next.Handled, next.Status)
			next = settle(next, next.UpdatedAt)
			if err := tx.Save(ctx, next); err != nil {
				return err
			}
			after = next
			return nil
		})
		switch {
		case err == nil:
			k.noteTransition(ctx, op, before, after)
			return after, nil
		case hookErr != nil:
			return known, hookErr
		case !errors.Is(err, ErrConflict):
			return known, k.storeError(ctx, op, err)
		}
	}
	return known, &Error{Op: op, Code: ErrConflict}
}

// hear runs the hook for t if one is owed.
func (k *Kit) hear(ctx context.Context, op string, t Token) error {
	if k.cfg.OnToken == nil || t.Handled >= t.Status {
		return nil
	}
	change := Change{From: t.Handled, Token: t}
	return k.runHook(ctx, op, func(ctx context.Context) error { return k.cfg.OnToken(ctx, change) })
}

// hearOwed runs the hook for a record of which there is no news, where one is
// owed.
func (k *Kit) hearOwed(ctx context.Context, op string, t Token) (Token, error) {
	if t.Handled >= t.Status {
		return t, nil
	}
	return k.advance(ctx, op, t, func(t Token) (Token, bool) { return t, false })
}

func (k *Kit) noteTransition(ctx context.Context, op string, before, after Token) {
	if after.Status != before.Status {
		k.note(ctx, op, "transition", slog.Any("token", after))
	}
}

// update is advance without the lock and the hook.
func (k *Kit) update(ctx context.Context, op string, known Token, change func(Token) (Token, bool)) (Token, error) {
	for range maxConflicts {
		t, err := k.store.Get(ctx, known.ID)
		if err != nil {
			return known, k.storeError(ctx, op, err)
		}
		known = t
		next, ok := change(t)
		if !ok {
			return t, nil
		}
		next.Revision, next.UpdatedAt = t.Revision+1, k.now()
		next = settle(next, next.UpdatedAt)
		err = k.store.Save(ctx, next)
		if err == nil {
			k.noteTransition(ctx, op, t, next)
			return next, nil
		}
		if !errors.Is(err, ErrConflict) {
			return t, k.storeError(ctx, op, err)
		}
	}
	return known, &Error{Op: op, Code: ErrConflict}
}

// settleHook runs the hook while one is owed and records that it was accepted.
// The record says so only after the hook returned nil: a crash between the two
// runs the hook again.
func (k *Kit) settleHook(ctx context.Context, op string, t Token) (Token, error) {
	for range maxConflicts {
		if t.Handled >= t.Status {
			return t, nil
		}
		if err := k.hear(ctx, op, t); err != nil {
			return t, err
		}
		accepted := t.Status
		var err error
		t, err = k.update(ctx, op, t, func(now Token) (Token, bool) {
			if now.Handled >= accepted {
				return now, false
			}
			now.Handled = accepted
			return now, true
		})
		if err != nil {
			return t, err
		}
	}
	return t, &Error{Op: op, Code: ErrConflict}
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
