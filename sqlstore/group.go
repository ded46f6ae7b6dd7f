package sqlstore

import (
	"context"
	"errors"
	"sync"
)

const (
	// mostRows and mostBytes bound what shares one commit. Two and more
	// committers were measured to be slower than one.
	mostRows  = 256
	mostBytes = 1 << 20
	// savesAlone was measured: fewer are slower than separate commits.
	savesAlone = 8
)

// group lets the saves into one table that are waiting at the same time share
// one commit. What is right is decided by the revisions, and not by turns.
type group struct {
	store *Store
	into  writes
	op    string
	turns turns[*saving]
}

func newGroup(s *Store, op string, into writes) *group {
	g := &group{store: s, into: into, op: op}
	g.turns = turns[*saving]{store: s, most: savesAlone, take: takeSavings, together: g.commit}
	return g
}

// saving is one record on its way. Its caller may be gone.
type saving struct {
	ctx      context.Context //nolint:containedctx // the caller's, who waits beside the one who saves
	id       string
	revision int64
	args     []any // of the insert
	done     chan error
}

// save saves one record and returns as [codegrant.TokenStore] says. When ctx
// ends first, whether it is saved is unknown.
func (g *group) save(ctx context.Context, id string, revision int64, args []any) error {
	if err := ctx.Err(); err != nil {
		return g.store.wrap(ctx, g.op, err)
	}
	end, s := g.turns.begin(func() *saving {
		return &saving{ctx: ctx, id: id, revision: revision, args: args, done: make(chan error, 1)}
	})
	if end != nil {
		defer end()
		return g.store.saveOne(ctx, g.op, g.into, revision, args)
	}
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return g.store.wrap(ctx, g.op, ctx.Err())
	}
}

// takeSavings returns who is next. A record stands in a commit once: what its
// second saving does depends on the first.
func takeSavings(waiting []*saving) (batch, later []*saving) {
	seen := make(map[string]bool, min(len(waiting), mostRows))
	bytes := 0
	for i, s := range waiting {
		if s.ctx.Err() != nil {
			continue // its caller is told by the context
		}
		size := s.size()
		if len(batch) == mostRows || len(batch) > 0 && bytes+size > mostBytes {
			return batch, append(later, waiting[i:]...)
		}
		if seen[s.id] {
			later = append(later, s)
			continue
		}
		seen[s.id] = true
		bytes += size
		batch = append(batch, s)
	}
	return batch, later
}

func (s *saving) context() context.Context { return s.ctx }

func (s *saving) size() (n int) {
	for _, arg := range s.args {
		switch v := arg.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		}
	}
	return n
}

// commit saves a batch and tells each caller what became of his record. A
// driver that panics, or ends the goroutine, is everybody's error.
func (g *group) commit(batch []*saving) {
	defer func() {
		unfinished := didNotReturn(g.op, recover())
		for _, s := range batch {
			s.tell(unfinished)
		}
	}()
	if len(batch) == 1 {
		s := batch[0]
		s.tell(g.store.saveOne(s.ctx, g.op, g.into, s.revision, s.args))
		return
	}
	ctx, cancel := until(batch)
	defer cancel()
	verdicts, err := g.store.saveAll(ctx, g.op, g.into, batch)
	switch {
	case errors.Is(err, errNothingKept):
		// Somebody's row failed: it must not cost the others theirs.
		half := len(batch) / 2
		g.commit(batch[:half])
		g.commit(batch[half:])
	case errors.Is(err, errLocked):
		g.apart(batch)
	case err != nil:
		for _, s := range batch {
			s.tell(err)
		}
	default:
		g.tell(batch, verdicts)
	}
}

func (g *group) tell(batch []*saving, verdicts []error) {
	var locked []*saving
	for i, s := range batch {
		if errors.Is(verdicts[i], errLocked) {
			locked = append(locked, s)
			continue
		}
		s.tell(verdicts[i])
	}
	g.apart(locked)
}

// apart saves each record on its own, and at the same time, so that whose
// record is locked is the only one who waits.
func (g *group) apart(batch []*saving) {
	var all sync.WaitGroup
	for i := range batch {
		all.Go(func() { g.commit(batch[i : i+1]) })
	}
	all.Wait()
}

func (s *saving) tell(err error) {
	select {
	case s.done <- err:
	default: // told before
	}
}
