package seal_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
)

const (
	account = "2018092714313010016291"
	user    = "user-1"
)

// secretOf returns a key that is as good as random and always the same.
func secretOf(name string) codegrant.Secret {
	raw := strings.Repeat(name, 32)[:31] + "!"
	return codegrant.NewSecret(base64.StdEncoding.EncodeToString([]byte(raw)))
}

// keyring returns one key for each id; equal ids give equal keys.
func keyring(t testing.TB, ids ...string) *seal.Keyring {
	t.Helper()
	var keys []seal.Key
	for _, id := range ids {
		keys = append(keys, seal.Key{ID: id, Secret: secretOf(id)})
	}
	ring, err := seal.NewKeyring(keys...)
	require.NoError(t, err)
	return ring
}

func sealing(t testing.TB, inner codegrant.TokenStore, keys *seal.Keyring, options ...seal.Option) codegrant.TokenStore {
	t.Helper()
	store, err := seal.New(inner, keys, options...)
	require.NoError(t, err)
	return store
}

// record returns a new active record with every sealed field set.
func record(id string) codegrant.Token {
	value := codegrant.NewSecret("TOKEN-" + id)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	return codegrant.Token{
		ID: id, AccountID: account, UserID: user, Wallet: codegrant.GCash,
		Status: codegrant.StatusActive, Handled: codegrant.StatusPending, Revision: 1,
		Value: value, Fingerprint: codegrant.Fingerprint(value),
		Reference: codegrant.NewSecret("REFERENCE-" + id), LoginID: codegrant.NewSecret("LOGIN-" + id),
		UnsettledSince: at, CreatedAt: at, UpdatedAt: at,
	}
}

func save(t testing.TB, store codegrant.TokenStore, tokens ...codegrant.Token) {
	t.Helper()
	for _, token := range tokens {
		require.NoError(t, store.Save(t.Context(), token))
	}
}

func get(t testing.TB, store codegrant.TokenStore, id string) codegrant.Token {
	t.Helper()
	token, err := store.Get(t.Context(), id)
	require.NoError(t, err)
	return token
}

// keyOf returns the id of the key that a stored value is sealed with.
func keyOf(t testing.TB, s codegrant.Secret) string {
	t.Helper()
	require.True(t, seal.Sealed(s))
	return strings.Split(s.Reveal(), ".")[1]
}

// mapStore is a small store with no optional interface: what is tried with it
// is what a merchant's own store gets.
type mapStore struct {
	mu     *sync.Mutex
	tokens map[string]codegrant.Token
	read   map[string]bool // ids that a transaction has looked at; nil outside
}

func newMapStore() *mapStore {
	return &mapStore{mu: new(sync.Mutex), tokens: make(map[string]codegrant.Token)}
}

// find returns copies of the records that match, in order.
func (s *mapStore) find(ctx context.Context, match func(codegrant.Token) bool, order func(a, b codegrant.Token) int) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []codegrant.Token
	for _, t := range s.tokens {
		if match(t) {
			found = append(found, t)
			if s.read != nil {
				s.read[t.ID] = true
			}
		}
	}
	slices.SortFunc(found, func(a, b codegrant.Token) int { return cmp.Or(order(a, b), cmp.Compare(a.ID, b.ID)) })
	return found, nil
}

func (s *mapStore) last(found []codegrant.Token, err error) (codegrant.Token, error) {
	if err != nil {
		return codegrant.Token{}, err
	}
	if len(found) == 0 {
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	return found[len(found)-1], nil
}

func byID(codegrant.Token, codegrant.Token) int                { return 0 }
func byCreation(a, b codegrant.Token) int                      { return a.CreatedAt.Compare(b.CreatedAt) }
func bySettling(a, b codegrant.Token) int                      { return a.UnsettledSince.Compare(b.UnsettledSince) }
func atMost[T any](all []T, limit int) []T                     { return all[:min(len(all), max(limit, 0))] }
func revisionOf(m map[string]codegrant.Token, id string) int64 { return m[id].Revision }

func (s *mapStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return s.last(s.find(ctx, func(t codegrant.Token) bool { return t.ID == id }, byID))
}

func (s *mapStore) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	return s.last(s.find(ctx, func(t codegrant.Token) bool { return fingerprint != "" && t.Fingerprint == fingerprint }, byCreation))
}

func (s *mapStore) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.find(ctx, func(t codegrant.Token) bool { return t.AccountID == accountID && t.UserID == userID }, byCreation)
}

func (s *mapStore) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	found, err := s.find(ctx, func(t codegrant.Token) bool {
		return !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(olderThan)
	}, bySettling)
	return atMost(found, limit), err
}

func (s *mapStore) Save(ctx context.Context, t codegrant.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if revisionOf(s.tokens, t.ID) != t.Revision-1 {
		return codegrant.ErrConflict
	}
	s.tokens[t.ID] = t
	if s.read != nil {
		s.read[t.ID] = true
	}
	return nil
}

// txMapStore adds transactions: each works on a snapshot and commits if what
// it looked at is still so.
type txMapStore struct{ *mapStore }

func (s txMapStore) InTx(ctx context.Context, fn func(context.Context, codegrant.TokenStore) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	before := maps.Clone(s.tokens)
	s.mu.Unlock()
	tx := &mapStore{mu: new(sync.Mutex), tokens: maps.Clone(before), read: make(map[string]bool)}
	if err := fn(ctx, tx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	for id := range tx.read {
		if revisionOf(s.tokens, id) != revisionOf(before, id) {
			return codegrant.ErrConflict
		}
	}
	for id := range tx.read {
		s.tokens[id] = tx.tokens[id]
	}
	return nil
}

// listMapStore adds List.
type listMapStore struct{ *mapStore }

func (s listMapStore) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	found, err := s.find(ctx, func(t codegrant.Token) bool { return t.ID > afterID }, byID)
	return atMost(found, limit), err
}

// fullMapStore has both.
type fullMapStore struct {
	txMapStore
	list listMapStore
}

func (s fullMapStore) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	return s.list.List(ctx, afterID, limit)
}

func newFullMapStore() fullMapStore {
	s := newMapStore()
	return fullMapStore{txMapStore{s}, listMapStore{s}}
}

// patch changes a stored record behind the sealing store's back, as somebody
// with SQL would.
func (s *mapStore) patch(id string, change func(*codegrant.Token)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tokens[id]
	change(&t)
	s.tokens[id] = t
}
