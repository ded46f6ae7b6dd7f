package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// mostRows and mostBytes bound what shares one commit. Two and more
	// committers were measured to be slower than one.
	mostRows  = 256
	mostBytes = 1 << 20
	// groupPatience bounds a shared commit for callers without a deadline.
	groupPatience = 10 * time.Second
	// tooLong is how long one turn may keep others from theirs. It is the wait
	// for a record that somebody has locked, a slow hook for one.
	tooLong = 500 * time.Millisecond
	// mostAlone is how many saves a server makes at the same time on their own:
	// so few gain nothing by sharing.
	mostAlone = 8
)

// group lets the saves into one table that are waiting at the same time share
// one commit. No save waits for a timer: one that finds a turn free is made at
// once, as if there were no group; those that come meanwhile are the next
// commit. Nothing runs while nobody saves.
//
// Turns keep the number of commits low and nothing else: what is right is
// decided by the revisions, so two turns may overlap.
type group struct {
	store *Store
	into  writes
	op    string

	mu      sync.Mutex
	alone   int  // turns of single saves
	shared  bool // the one turn of a batch
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
	if !g.shared && len(g.waiting) == 0 && g.alone < g.mostAlone() {
		g.alone++
		g.mu.Unlock()
		defer g.turn(func() { g.alone-- })()
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

// mostAlone is 1 on SQLite, which has one writer. A small pool must not be
// filled by single saves.
func (g *group) mostAlone() int {
	if g.store.writer != nil || g.alone == 0 {
		return 1
	}
	if pool := g.store.db.Stats().MaxOpenConnections; pool > 0 {
		return min(mostAlone, max(pool/2, 1))
	}
	return mostAlone
}

// turn begins a turn and returns what ends it. give, called with the lock held,
// gives it back. One that lasts too long is over for the others before its end.
// SQLite needs that not: it locks no records, and has one writer anyway.
func (g *group) turn(give func()) (end func()) {
	over := func() {
		g.mu.Lock()
		give()
		g.mu.Unlock()
		g.next()
	}
	if g.store.writer != nil {
		return over
	}
	over = sync.OnceFunc(over)
	late := time.AfterFunc(tooLong, over)
	return func() {
		late.Stop()
		over()
	}
}

// next gives those who wait their turn, if nobody has it.
func (g *group) next() {
	batch := g.take()
	if len(batch) == 0 {
		return
	}
	go func() {
		defer g.turn(func() { g.shared = false })()
		g.commit(batch)
	}()
}

// take returns who is next: nobody while another batch has the turn. A record
// stands in a commit once: what its second saving does depends on the first.
func (g *group) take() []*saving {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shared {
		return nil
	}
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
	g.shared = len(batch) > 0
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
// driver that panics, or ends the goroutine, is everybody's error.
func (g *group) commit(batch []*saving) {
	defer func() {
		unfinished := fmt.Errorf("sqlstore: %s: the driver did not return", g.op)
		if p := recover(); p != nil {
			unfinished = fmt.Errorf("sqlstore: %s: the driver panicked with a %T", g.op, p)
		}
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
