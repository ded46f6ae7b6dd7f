// Package memstore keeps tokens and payments in memory: for tests, for the
// examples, and as the shortest correct [codegrant.TokenStore] and
// [codegrant.PaymentStore] to read. It forgets everything when the process ends,
// so it is not for what anybody will miss.
package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// Store is a [codegrant.TokenStore], a [codegrant.ListStore] and a
// [codegrant.PaymentStore]. It is safe for concurrent use. The zero
// value is not ready: use [New].
type Store struct {
	mu            sync.RWMutex
	tokens        map[string]codegrant.Token // by ID
	byFingerprint map[string][]string        // IDs
	byUser        map[user][]string          // IDs
	payments      map[string]codegrant.Payment
}

type user struct{ accountID, userID string }

// New returns an empty store.
func New() *Store {
	return &Store{
		tokens:        make(map[string]codegrant.Token),
		byFingerprint: make(map[string][]string),
		byUser:        make(map[user][]string),
		payments:      make(map[string]codegrant.Payment),
	}
}

// Get implements [codegrant.TokenStore].
func (s *Store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return codegrant.Token{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	t, ok := s.tokens[id]
	if !ok {
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	return t, nil
}

// Save implements [codegrant.TokenStore].
func (s *Store) Save(ctx context.Context, t codegrant.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	old := s.tokens[t.ID]
	if old.Revision != t.Revision-1 {
		return codegrant.ErrConflict
	}
	s.tokens[t.ID] = t
	reindex(s.byFingerprint, old.Fingerprint, t.Fingerprint, t.ID)
	reindex(s.byUser, user{old.AccountID, old.UserID}, user{t.AccountID, t.UserID}, t.ID)
	return nil
}

// reindex moves id from one key to another; the zero key holds nothing.
func reindex[K comparable](index map[K][]string, from, to K, id string) {
	var none K
	if from == to {
		return
	}
	if from != none {
		index[from] = slices.DeleteFunc(index[from], func(other string) bool { return other == id })
	}
	if to != none {
		index[to] = append(index[to], id)
	}
}

// ByFingerprint implements [codegrant.TokenStore].
func (s *Store) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return codegrant.Token{}, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	ids := s.byFingerprint[fingerprint]
	if len(ids) == 0 {
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	newest := s.tokens[ids[0]]
	for _, id := range ids[1:] {
		if t := s.tokens[id]; byCreation(t, newest) > 0 {
			newest = t
		}
	}
	return newest, nil
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.load(s.byUser[user{accountID, userID}]), nil
}

// load returns the records in the order of their creation.
func (s *Store) load(ids []string) []codegrant.Token {
	found := make([]codegrant.Token, len(ids))
	for i, id := range ids {
		found[i] = s.tokens[id]
	}
	slices.SortFunc(found, byCreation)
	return found
}

// Unsettled implements [codegrant.TokenStore].
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []codegrant.Token
	for _, t := range s.tokens {
		if !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(olderThan) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, bySettling)
	return found[:min(max(limit, 0), len(found))], nil
}

// List implements [codegrant.ListStore].
func (s *Store) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []codegrant.Token
	for id, t := range s.tokens {
		if id > afterID {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b codegrant.Token) int { return cmp.Compare(a.ID, b.ID) })
	return found[:min(max(limit, 0), len(found))], nil
}

func byCreation(a, b codegrant.Token) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func bySettling(a, b codegrant.Token) int {
	return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
}
