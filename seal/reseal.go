package seal

import (
	"context"
	"errors"
	"time"

	"github.com/codegrant/codegrant"
)

const (
	defaultBatch = 100
	// maxConflicts bounds how often one record is tried again while others
	// change it. Whoever changes it through a sealing store with the same first
	// key does this work, so a second conflict is rare.
	maxConflicts = 32
	maxFailures  = 16
)

// ResealOptions bounds a [Reseal]. The zero value is ready.
type ResealOptions struct {
	// After continues behind this record: [Progress.After] of an earlier run.
	// Empty begins at the beginning, which is always safe.
	After string
	// Batch is how many records are read at once. Zero means 100.
	Batch int
	// Pause is the time to wait between two batches. Zero means none.
	Pause time.Duration
	// OnProgress is called after each batch, by the goroutine of [Reseal]. Nil
	// means nobody.
	OnProgress func(Progress)
}

// Progress is how far a [Reseal] has come. The counts are of this run.
type Progress struct {
	After    string // the last record that is done with
	Resealed int    // records saved under the first key
	Current  int    // records that needed nothing
	Failed   int    // records that did not open or that others kept changing
}

// Reseal seals every record of store anew whose values are not under the
// keyring's first key, or are in the clear with [AcceptPlaintext]. store is
// what [New] returned, around a [codegrant.ListStore].
//
// It may run while other processes read and write, in several processes at
// once, and again after it was stopped at any point. It saves through the
// revision guard, so it overwrites nobody's change; a record that others
// change meanwhile is read again. Of a record it changes the sealed fields and
// raises Revision by one, for that is what the guard is; UpdatedAt, Status,
// Handled and UnsettledSince stay, and no hook is called or owed. A hook that
// compares revisions must therefore ask which is greater, not which is next.
//
// A record that does not open is counted, left as it is and passed over: the
// error joins the first 16 of them, each an [*Error] or a
// [codegrant.ErrConflict]. Values that need nothing are opened too, so a run
// without an error that changed nothing says that all other keys may go. Any
// other failure of the store, or the end of ctx, ends the run at once.
func Reseal(ctx context.Context, store codegrant.TokenStore, o ResealOptions) (Progress, error) {
	done := Progress{After: o.After}
	sealer, ok := store.(sealing)
	if !ok {
		return done, &codegrant.ConfigError{Problems: []string{"seal: Reseal needs the store that New returned"}}
	}
	s := sealer.base()
	list, ok := s.inner.(codegrant.ListStore)
	if !ok {
		return done, &codegrant.ConfigError{Problems: []string{"seal: Reseal needs a store that is a codegrant.ListStore"}}
	}
	if o.Batch <= 0 {
		o.Batch = defaultBatch
	}
	var failures []error
	for {
		batch, err := list.List(ctx, done.After, o.Batch)
		if err != nil {
			return done, stopped(err, failures)
		}
		if len(batch) == 0 {
			return done, errors.Join(failures...)
		}
		for _, t := range batch {
			if t.ID <= done.After {
				return done, stopped(errors.New("List returned a record that is not after the one before"), failures)
			}
			saved, err := s.reseal(ctx, t)
			switch {
			case err == nil && saved:
				done.Resealed++
			case err == nil:
				done.Current++
			case isFailure(err):
				done.Failed++
				if len(failures) < maxFailures {
					failures = append(failures, err)
				}
			default:
				return done, stopped(err, failures)
			}
			done.After = t.ID
		}
		if o.OnProgress != nil {
			o.OnProgress(done)
		}
		if err := pause(ctx, o.Pause); err != nil {
			return done, stopped(err, failures)
		}
	}
}

// reseal brings one stored record under the first key and reports whether it
// had to be saved.
func (s *store) reseal(ctx context.Context, stored codegrant.Token) (saved bool, err error) {
	for range maxConflicts {
		plain, err := s.open(stored)
		if err != nil {
			return false, err
		}
		if s.current(stored) {
			return false, nil
		}
		plain.Revision++
		err = s.inner.Save(ctx, s.seal(plain))
		if !errors.Is(err, codegrant.ErrConflict) {
			return err == nil, err
		}
		stored, err = s.inner.Get(ctx, stored.ID)
		if errors.Is(err, codegrant.ErrNotFound) {
			return false, nil // deleted: nothing is left to seal
		}
		if err != nil {
			return false, err
		}
	}
	return false, &codegrant.Error{Op: "reseal", Code: codegrant.ErrConflict, Err: errors.New("record " + stored.ID)}
}

// current reports whether every value of a stored record is under the first
// key.
func (s *store) current(stored codegrant.Token) bool {
	for _, f := range fields(&stored) {
		if !s.ring.current(*f.value) {
			return false
		}
	}
	return true
}

// isFailure reports whether err concerns one record only.
func isFailure(err error) bool {
	var e *Error
	return errors.As(err, &e) || errors.Is(err, codegrant.ErrConflict)
}

// stopped is the error of a run that ended early.
func stopped(err error, failures []error) error {
	return errors.Join(append([]error{&codegrant.Error{Op: "reseal", Code: codegrant.ErrStore, Err: err}}, failures...)...)
}

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil // the store looks at ctx
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
