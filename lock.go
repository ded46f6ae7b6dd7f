package codegrant

import (
	"context"
	"sync"
)

// keyedLocks lets one goroutine at a time work on a key, so that the copies of
// a notification which arrive at once do not run the hook at once. It is a
// convenience within one process: what keeps records right is the store's
// revision. The zero value is ready.
type keyedLocks struct {
	mu   sync.Mutex
	held map[string]*keyedLock
}

type keyedLock struct {
	slot  chan struct{}
	users int // holders and waiters; the last one removes the lock
}

// lock waits for key until ctx ends, and says whether it had to.
func (l *keyedLocks) lock(ctx context.Context, key string) (unlock func(), waited bool, err error) {
	l.mu.Lock()
	if l.held == nil {
		l.held = make(map[string]*keyedLock)
	}
	kl := l.held[key]
	if kl == nil {
		kl = &keyedLock{slot: make(chan struct{}, 1)}
		l.held[key] = kl
	}
	kl.users++
	waited = kl.users > 1
	l.mu.Unlock()

	select {
	case kl.slot <- struct{}{}:
		return func() { <-kl.slot; l.leave(key, kl) }, waited, nil
	case <-ctx.Done():
		l.leave(key, kl)
		return nil, true, ctx.Err()
	}
}

func (l *keyedLocks) leave(key string, kl *keyedLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kl.users--; kl.users == 0 {
		delete(l.held, key)
	}
}
