package sqlstore

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// tooLong is how long one turn may keep others from theirs. It is the wait
	// for a record that somebody has locked, a slow hook for one.
	tooLong = 500 * time.Millisecond
	// patienceTogether bounds what is done together for callers without a
	// deadline.
	patienceTogether = 10 * time.Second
)

// turns lets work of one kind that is waiting at the same time be done
// together. Nothing waits for a timer: work that finds a turn free is done at
// once, as if there were no turns; what comes meanwhile is done in the next.
// Nothing runs while there is nothing to do.
//
// Turns keep the number of statements low and nothing else, so two may overlap.
type turns[W any] struct {
	store *Store
	// most is how much a server does at the same time one by one: so little gains
	// nothing by sharing.
	most int
	// take splits what waits into who is next and who stays.
	take func(waiting []W) (batch, later []W)
	// together does a batch, and tells each of those who wait.
	together func(batch []W)

	mu      sync.Mutex
	alone   int  // turns of one by one
	shared  bool // the one turn of a batch
	waiting []W
}

// begin returns the end of a turn of the caller's own. Else it is nil, and what
// work returns will be done together with others'.
func (t *turns[W]) begin(work func() W) (end func(), w W) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.shared && len(t.waiting) == 0 && t.alone < t.mostAlone() {
		t.alone++
		return t.turn(func() { t.alone-- }), w
	}
	w = work()
	t.waiting = append(t.waiting, w)
	return nil, w
}

// mostAlone is 1 on SQLite, which has one writer and no round trips. A small
// pool must not be filled by work that is done one by one.
func (t *turns[W]) mostAlone() int {
	if t.store.writer != nil || t.alone == 0 {
		return 1
	}
	if pool := t.store.db.Stats().MaxOpenConnections; pool > 0 {
		return min(t.most, max(pool/2, 1))
	}
	return t.most
}

// turn begins a turn and returns what ends it. give, called with the lock held,
// gives it back. One that lasts too long is over for the others before its end.
// SQLite needs that not: it locks no records, and what one waits for, all do.
func (t *turns[W]) turn(give func()) (end func()) {
	over := func() {
		t.mu.Lock()
		give()
		t.mu.Unlock()
		t.next()
	}
	if t.store.writer != nil {
		return over
	}
	over = sync.OnceFunc(over)
	late := time.AfterFunc(tooLong, over)
	return func() {
		late.Stop()
		over()
	}
}

// next gives those who wait their turn, unless a batch has it.
func (t *turns[W]) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.shared || len(t.waiting) == 0 {
		return
	}
	var batch []W
	if batch, t.waiting = t.take(t.waiting); len(batch) == 0 {
		return
	}
	t.shared = true
	go func() {
		defer t.turn(func() { t.shared = false })()
		t.together(batch)
	}()
}

// patient is somebody who waits for work that is done together.
type patient interface{ context() context.Context }

// until returns a context that lasts as long as the most patient caller.
func until[P patient](batch []P) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, p := range batch {
		deadline, ok := p.context().Deadline()
		if !ok {
			return context.WithTimeout(context.Background(), patienceTogether)
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}

// didNotReturn is the error of a driver that panicked with p, or ended the
// goroutine; p may hold secrets.
func didNotReturn(op string, p any) error {
	if p != nil {
		return fmt.Errorf("sqlstore: %s: the driver panicked with a %T", op, p)
	}
	return fmt.Errorf("sqlstore: %s: the driver did not return", op)
}
