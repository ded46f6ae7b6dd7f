// Package memstore keeps tokens in memory: for tests, for the examples, and as
// the shortest correct [codegrant.TokenStore] to read. It forgets everything
// when the process ends, so it is not for tokens that anybody will miss.
package memstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// Store is a [codegrant.TokenStore]. It is safe for concurrent use. The zero
// value is not ready: use [New].
type Store struct {
	mu     sync.RWMutex
	tokens map[string]codegrant.Token // by ID
}

// New returns an empty store.
func New() *Store {
	return &Store{tokens: make(map[string]codegrant.Token)}
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
	if s.tokens[t.ID].Revision != t.Revision-1 {
		return codegrant.ErrConflict
	}
	s.tokens[t.ID] = t
	return nil
}

// ByFingerprint implements [codegrant.TokenStore].
func (s *Store) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	found, err := s.filter(ctx, byCreation, func(t *codegrant.Token) bool {
		return fingerprint != "" && t.Fingerprint == fingerprint
	})
	if err != nil {
		return codegrant.Token{}, err
	}
	if len(found) == 0 {
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	return found[len(found)-1], nil
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.filter(ctx, byCreation, func(t *codegrant.Token) bool {
		return t.AccountID == accountID && t.UserID == userID
	})
}

// Unsettled implements [codegrant.TokenStore].
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	found, err := s.filter(ctx, bySettling, func(t *codegrant.Token) bool {
		return !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(olderThan)
	})
	return found[:min(limit, len(found))], err
}

func (s *Store) filter(ctx context.Context, order func(a, b codegrant.Token) int, keep func(*codegrant.Token) bool) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	var found []codegrant.Token
	for _, t := range s.tokens {
		if keep(&t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, order)
	return found, nil
}

func byCreation(a, b codegrant.Token) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func bySettling(a, b codegrant.Token) int {
	return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
}
