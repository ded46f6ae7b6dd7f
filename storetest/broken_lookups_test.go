package storetest

import (
	"context"
	"sync"
	"testing"

	"github.com/codegrant/codegrant"
)

// mixing is right as long as one look-up runs at a time. Of two Gets that meet,
// one returns what the other found.
type mixing struct {
	*memory
	*crossing
}

// crossing pairs those that find something, without a clock.
type crossing struct {
	mu    sync.Mutex
	alone int // Gets that are still to come one by one
	first chan codegrant.Token
	right bool // each returns its own
}

func (s mixing) Get(ctx context.Context, id string) (codegrant.Token, error) {
	t, err := s.memory.Get(ctx, id)
	s.mu.Lock()
	s.alone--
	if s.alone >= 0 || err != nil {
		s.mu.Unlock()
		return t, err
	}
	other := s.first
	if other != nil {
		s.first = nil
		s.mu.Unlock()
		other <- t
		return t, nil
	}
	own := make(chan codegrant.Token, 1)
	s.first = own
	s.mu.Unlock()
	if crossed := <-own; !s.right {
		return crossed, nil
	}
	return t, nil
}

func TestAStoreThatMixesUpLookUpsIsCaught(t *testing.T) {
	t.Parallel()
	const name = "look-ups at the same time find what each finds alone"
	for _, right := range []bool{false, true} {
		broken := brokenStore[codegrant.TokenStore]{
			only: []string{name}, store: func() codegrant.TokenStore {
				return mixing{newMemory(), &crossing{alone: 4 * eachKind, right: right}}
			},
		}
		if !right {
			broken.breaks = []string{name}
		}
		isCaught(t, allCases(), broken)
	}
}
