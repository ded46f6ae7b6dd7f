package storetest

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/codegrant/codegrant"
)

// batch gathers the saves of togetherCases and makes them at once. It is right
// but for what judge does to the verdicts.
type batch struct {
	mu      sync.Mutex
	waiting []func() error
	errs    []error
	done    chan struct{}
	judge   func(errs []error) []error
}

func newBatch(judge func(errs []error) []error) *batch {
	return &batch{done: make(chan struct{}), judge: judge}
}

// join waits until all are there, without a clock, and returns this one's
// verdict.
func (b *batch) join(save func() error) error {
	b.mu.Lock()
	i := len(b.waiting)
	b.waiting = append(b.waiting, save)
	if len(b.waiting) == eachKind*len(savedTogether) {
		for _, save := range b.waiting {
			b.errs = append(b.errs, save())
		}
		b.errs = b.judge(b.errs)
		close(b.done)
	}
	b.mu.Unlock()
	<-b.done
	return b.errs[i]
}

type batching struct {
	*memory
	*batch
}

func (s batching) Save(ctx context.Context, t codegrant.Token) error {
	save := func() error { return s.memory.Save(ctx, t) }
	if !strings.HasSuffix(t.UserID, "-changed") {
		return save()
	}
	return s.join(save)
}

type batchingLedger struct {
	*ledger
	*batch
}

func (s batchingLedger) SavePayment(ctx context.Context, p codegrant.Payment) error {
	save := func() error { return s.ledger.SavePayment(ctx, p) }
	if !strings.HasSuffix(p.UserID, "-changed") {
		return save()
	}
	return s.join(save)
}

// misjudged are the flaws of a store whose saves share something.
func misjudged() map[string]func(errs []error) []error {
	all := func(err error) func(errs []error) []error {
		return func(errs []error) []error { return slices.Repeat([]error{err}, len(errs)) }
	}
	return map[string]func(errs []error) []error{
		"whatever was written is everybody's success": all(nil),
		"one that is refused is everybody's conflict": all(codegrant.ErrConflict),
		"verdicts come in another order": func(errs []error) []error {
			return append(slices.Clone(errs[1:]), errs[0])
		},
	}
}

func TestStoresThatMisjudgeSharedSavesAreCaught(t *testing.T) {
	t.Parallel()
	const tokens, payments = "saves at the same time are judged one by one", "payments saved at the same time are judged one by one"
	for name, judge := range misjudged() {
		isCaught(t, allCases(), brokenStore[codegrant.TokenStore]{
			name: name, only: []string{tokens}, breaks: []string{tokens},
			store: func() codegrant.TokenStore { return batching{newMemory(), newBatch(judge)} },
		})
		isCaught(t, allPaymentCases(), brokenStore[codegrant.PaymentStore]{
			name: name, only: []string{payments}, breaks: []string{payments},
			store: func() codegrant.PaymentStore { return batchingLedger{newLedger(), newBatch(judge)} },
		})
	}
	// Without a flaw, it is a right store.
	keep := func(errs []error) []error { return errs }
	isCaught(t, allCases(), brokenStore[codegrant.TokenStore]{
		only: []string{tokens}, store: func() codegrant.TokenStore { return batching{newMemory(), newBatch(keep)} },
	})
}

// What is refused must not undo, or be undone by, what it shares a commit with.
func TestAStoreWhoseRefusalUndoesOthersIsCaught(t *testing.T) {
	t.Parallel()
	const tokens = "saves at the same time are judged one by one"
	isCaught(t, allCases(), brokenStore[codegrant.TokenStore]{
		only: []string{tokens}, breaks: []string{tokens}, store: func() codegrant.TokenStore {
			m := newMemory()
			var before map[string]codegrant.Token
			return undoing{batching{m, newBatch(func(errs []error) []error {
				m.records = before
				return errs
			})}, &before}
		},
	})
}

type undoing struct {
	batching
	before *map[string]codegrant.Token
}

func (s undoing) Save(ctx context.Context, t codegrant.Token) error {
	if !strings.HasSuffix(t.UserID, "-changed") {
		err := s.memory.Save(ctx, t)
		*s.before = maps.Clone(s.records)
		return err
	}
	return s.batching.Save(ctx, t)
}
