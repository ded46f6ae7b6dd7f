package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

const (
	// mostRows and mostBytes bound what shares one commit. Two and more
	// committers were measured to be slower than one.
	mostRows  = 256
	mostBytes = 1 << 20
	// groupPatience bounds a shared commit for callers without a deadline.
	groupPatience = 10 * time.Second
)

// group lets the saves into one table that are waiting at the same time share
// one commit. There is no timer: a save that finds nobody at work is made at
// once, as if there were no group; those that come meanwhile are the next
// commit. Nothing runs while nobody saves.
type group struct {
	store *Store
	into  writes
	op    string

	mu      sync.Mutex
	busy    bool
	waiting []*saving
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
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		defer g.next()
		return g.store.saveOne(ctx, g.op, g.into, revision, args)
	}
	s := &saving{ctx: ctx, id: id, revision: revision, args: args, done: make(chan error, 1)}
	g.waiting = append(g.waiting, s)
	g.mu.Unlock()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
		return g.store.wrap(ctx, g.op, ctx.Err())
	}
}

// next hands the table on to those who wait.
func (g *group) next() {
	batch := g.take()
	if len(batch) == 0 {
		return
	}
	go func() {
		for ; len(batch) > 0; batch = g.take() {
			g.commit(batch)
		}
	}()
}

// take returns who is next, and nobody when the group is at rest. A record
// stands in a commit once: what its second saving does depends on the first.
func (g *group) take() []*saving {
	g.mu.Lock()
	defer g.mu.Unlock()
	var batch, later []*saving
	seen := make(map[string]bool, min(len(g.waiting), mostRows))
	bytes := 0
	for i, s := range g.waiting {
		if s.ctx.Err() != nil {
			continue // its caller is told by the context
		}
		size := s.size()
		if len(batch) == mostRows || len(batch) > 0 && bytes+size > mostBytes {
			later = append(later, g.waiting[i:]...)
			break
		}
		if seen[s.id] {
			later = append(later, s)
			continue
		}
		seen[s.id] = true
		bytes += size
		batch = append(batch, s)
	}
	g.waiting = later
	g.busy = len(batch) > 0
	return batch
}

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
// panic of the driver is everybody's error.
func (g *group) commit(batch []*saving) {
	defer func() {
		if p := recover(); p != nil {
			for _, s := range batch {
				s.tell(fmt.Errorf("sqlstore: %s: the driver panicked with a %T", g.op, p))
			}
		}
	}()
	if len(batch) == 1 {
		g.alone(batch[0])
		return
	}
	ctx, cancel := until(batch)
	defer cancel()
	refused, err := g.store.saveAll(ctx, g.op, g.into, batch)
	switch {
	case err == nil:
		for i, s := range batch {
			if refused[i] {
				s.tell(codegrant.ErrConflict)
			} else {
				s.tell(nil)
			}
		}
	case errors.Is(err, errNothingKept):
		// Somebody's row failed: it must not cost the others theirs.
		for _, s := range batch {
			g.alone(s)
		}
	default:
		for _, s := range batch {
			s.tell(err)
		}
	}
}

func (g *group) alone(s *saving) {
	s.tell(g.store.saveOne(s.ctx, g.op, g.into, s.revision, s.args))
}

func (s *saving) tell(err error) {
	select {
	case s.done <- err:
	default: // told before
	}
}

// until returns a context that lasts as long as the most patient caller.
func until(batch []*saving) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, s := range batch {
		deadline, ok := s.ctx.Deadline()
		if !ok {
			return context.WithTimeout(context.Background(), groupPatience)
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}
