package storetest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codegrant/codegrant"
)

func eachTimeOf(t *codegrant.Token, f func(time.Time) time.Time) {
	for _, at := range []*time.Time{&t.DoubtedAt, &t.UnsettledSince, &t.CreatedAt, &t.UpdatedAt} {
		*at = f(*at)
	}
}

func orEpoch(at time.Time) time.Time {
	if at.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return at
}

// meetAt lets two saves of one revision meet between the check and the write,
// so that both have passed the check. Later ones pass.
func meetAt(revision int64) func(codegrant.Token) {
	meet := meeting(revision)
	return func(t codegrant.Token) { meet(t.Revision) }
}

func meeting(at int64) func(revision int64) {
	var (
		mu     sync.Mutex
		inside int
		met    = make(chan struct{})
	)
	return func(revision int64) {
		if revision != at {
			return
		}
		mu.Lock()
		if inside++; inside == 2 {
			close(met)
		}
		mu.Unlock()
		<-met
	}
}

type withoutEnded struct{ *memory }

func (s withoutEnded) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	return s.find(ctx, s.order, func(t codegrant.Token) bool {
		return t.AccountID == account && t.UserID == user && t.EndedBy == ""
	})
}

// sameSlice answers ByUser from a cache, which is filled anew when what is
// stored has changed.
type sameSlice struct {
	*memory
	mu    sync.Mutex
	key   string
	cache []codegrant.Token
}

func (s *sameSlice) Save(ctx context.Context, t codegrant.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = ""
	return s.memory.Save(ctx, t)
}

func (s *sameSlice) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := s.owner(account, user); s.key != key || ctx.Err() != nil {
		found, err := s.memory.ByUser(ctx, account, user)
		if err != nil {
			return nil, err
		}
		s.key, s.cache = key, found
	}
	return s.cache, nil
}

type oldestFirst struct{ *memory }

func (s oldestFirst) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	found, err := s.find(ctx, s.order, func(t codegrant.Token) bool { return fingerprint != "" && t.Fingerprint == fingerprint })
	if err == nil && len(found) == 0 {
		err = codegrant.ErrNotFound
	}
	return append(found, codegrant.Token{})[0], err
}

type emptyFound struct{ *memory }

func (s emptyFound) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	found, err := s.find(ctx, s.order, func(t codegrant.Token) bool { return t.Fingerprint == fingerprint })
	if err == nil && len(found) == 0 {
		err = codegrant.ErrNotFound
	}
	if err != nil {
		return codegrant.Token{}, err
	}
	return found[len(found)-1], nil
}

type withoutLimit struct{ *memory }

func (s withoutLimit) Unsettled(ctx context.Context, olderThan time.Time, _ int) ([]codegrant.Token, error) {
	return s.memory.Unsettled(ctx, olderThan, 1_000_000)
}

// limitFirst cuts in the order of IDs and sorts what is left.
type limitFirst struct{ *memory }

func (s limitFirst) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	byID := func(a, b codegrant.Token) int { return cmp.Compare(b.ID, a.ID) }
	found, err := s.find(ctx, byID, func(t codegrant.Token) bool { return s.waits(t, olderThan) })
	found = found[:min(max(limit, 0), len(found))]
	slices.SortFunc(found, s.settle)
	return found, err
}

type endedIsAbsent struct{ *memory }

func (s endedIsAbsent) Get(ctx context.Context, id string) (codegrant.Token, error) {
	t, err := s.memory.Get(ctx, id)
	if ctx.Err() != nil {
		err = codegrant.ErrNotFound
	}
	return t, err
}

// impatient answers ErrConflict where a save would have to wait for another
// one. The first save lasts until the second one was refused.
type impatient struct {
	*memory
	saves   atomic.Int32
	refused chan struct{}
}

func newImpatient() *impatient { return &impatient{memory: newMemory(), refused: make(chan struct{})} }

func (s *impatient) Save(ctx context.Context, t codegrant.Token) error {
	switch s.saves.Add(1) {
	case 1:
		<-s.refused
	case 2:
		close(s.refused)
		return codegrant.ErrConflict
	}
	return s.memory.Save(ctx, t)
}

// halves writes the second revision in two steps, and waits between them until
// it was read.
type halves struct {
	*memory
	read chan struct{}
	once sync.Once
}

func newHalves() *halves { return &halves{memory: newMemory(), read: make(chan struct{})} }

func (s *halves) Save(ctx context.Context, t codegrant.Token) error {
	if t.Revision != 2 {
		return s.memory.Save(ctx, t)
	}
	write := func(t codegrant.Token) {
		s.lock <- struct{}{}
		s.records[t.ID] = t
		<-s.lock
	}
	half := t
	half.ReturnTo = "half"
	write(half)
	<-s.read
	write(t)
	return nil
}

func (s *halves) Get(ctx context.Context, id string) (codegrant.Token, error) {
	t, err := s.memory.Get(ctx, id)
	if t.ReturnTo == "half" {
		s.once.Do(func() { close(s.read) })
	}
	return t, err
}

// lagging answers ByUser as it would have been before the last save.
type lagging struct {
	*memory
	mu   sync.Mutex
	last string // id
}

func (s *lagging) Save(ctx context.Context, t codegrant.Token) error {
	err := s.memory.Save(ctx, t)
	if err == nil {
		s.mu.Lock()
		s.last = t.ID
		s.mu.Unlock()
	}
	return err
}

func (s *lagging) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	found, err := s.memory.ByUser(ctx, account, user)
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(found, func(t codegrant.Token) bool { return t.ID == s.last }), err
}
