package codegrant_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/storetest"
)

// The store of docs/store.md, whole: TestDocsSnippetsAreCompiled holds the two
// together.

// fileStore appends every save to a file, and keeps the newest of each record
// in memory. It is for one process, and its file only grows.
type fileStore struct {
	mu      sync.RWMutex
	file    *os.File
	failed  error // why nothing more can be saved
	records map[string]codegrant.Token
}

func openFileStore(name string) (*fileStore, error) {
	file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	s := &fileStore{file: file, records: make(map[string]codegrant.Token)}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return s, nil
}

func (s *fileStore) load() error {
	lines := bufio.NewReader(s.file)
	whole := int64(0)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // what a crash cut off was never reported as saved
		}
		if err != nil {
			return err
		}
		data, err := base64.StdEncoding.AppendDecode(nil, line[:len(line)-1])
		if err != nil {
			return err
		}
		var t codegrant.Token
		if err := t.UnmarshalBinary(data); err != nil {
			return err
		}
		s.records[t.ID] = t
		whole += int64(len(line))
	}
	if err := s.file.Truncate(whole); err != nil {
		return err
	}
	_, err := s.file.Seek(whole, io.SeekStart)
	return err
}

func (s *fileStore) Save(ctx context.Context, t codegrant.Token) error {
	s.mu.Lock() // the check and the write are one step
	defer s.mu.Unlock()
	if err := errors.Join(ctx.Err(), s.failed); err != nil {
		return err
	}
	if s.records[t.ID].Revision != t.Revision-1 {
		return codegrant.ErrConflict
	}
	data, err := t.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = s.file.WriteString(base64.StdEncoding.EncodeToString(data) + "\n")
	if err == nil {
		err = s.file.Sync()
	}
	if err != nil {
		s.failed = err // nobody knows what the file holds: open it again
		return err
	}
	s.records[t.ID] = t
	return nil
}

func (s *fileStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return only(s.find(ctx, byCreation, func(t codegrant.Token) bool { return t.ID == id }))
}

func (s *fileStore) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	return only(s.find(ctx, byCreation, func(t codegrant.Token) bool {
		return fingerprint != "" && t.Fingerprint == fingerprint
	}))
}

func (s *fileStore) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.find(ctx, byCreation, func(t codegrant.Token) bool {
		return t.AccountID == accountID && t.UserID == userID
	})
}

func (s *fileStore) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	found, err := s.find(ctx, bySettling, func(t codegrant.Token) bool {
		return !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(olderThan)
	})
	return found[:min(max(limit, 0), len(found))], err
}

func (s *fileStore) find(ctx context.Context, order func(a, b codegrant.Token) int, fits func(codegrant.Token) bool) ([]codegrant.Token, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var found []codegrant.Token
	for _, t := range s.records {
		if fits(t) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, order)
	return found, nil
}

// only returns the last one found, or ErrNotFound.
func only(found []codegrant.Token, err error) (codegrant.Token, error) {
	switch {
	case err != nil:
		return codegrant.Token{}, err
	case len(found) == 0:
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	return found[len(found)-1], nil
}

func byCreation(a, b codegrant.Token) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func bySettling(a, b codegrant.Token) int {
	return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
}

func TestFileStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore {
		return openForTest(t, filepath.Join(t.TempDir(), "tokens"))
	})
}

// The same store as it should be used: the values in the file are sealed.
func TestFileStoreUnderASeal(t *testing.T) {
	t.Parallel()
	keys, err := seal.ParseKeyring("k1:AemxaRZCpgajlS8GwgSCFUpi0OiLpVTgZ8n2vWwgaHo=")
	require.NoError(t, err)
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore {
		sealed, err := seal.New(openForTest(t, filepath.Join(t.TempDir(), "tokens")), keys)
		require.NoError(t, err)
		return sealed
	})
}

func TestFileStoreOpensAgainAfterACrash(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "tokens")
	saved := codegrant.Token{ID: "REQ-1", Status: codegrant.StatusActive, Revision: 1, Value: codegrant.NewSecret("7dda0a6f")}
	require.NoError(t, openForTest(t, name).Save(t.Context(), saved))
	whole, err := os.ReadFile(name)
	require.NoError(t, err)
	for _, torn := range []string{"", "Z", string(whole[:len(whole)-1])} {
		require.NoError(t, os.WriteFile(name, append(slices.Clone(whole), torn...), 0o600))
		s := openForTest(t, name)
		got, err := s.Get(t.Context(), "REQ-1")
		require.NoError(t, err)
		require.True(t, got.Value.Equal(saved.Value))
		next := got
		next.Revision++
		require.NoError(t, s.Save(t.Context(), next))
		got, err = openForTest(t, name).Get(t.Context(), "REQ-1")
		require.NoError(t, err)
		require.EqualValues(t, 2, got.Revision)
	}
	require.NoError(t, os.WriteFile(name, append([]byte("no base64\n"), whole...), 0o600))
	_, err = openFileStore(name)
	require.Error(t, err, "a damaged file is not taken for a torn one")
}

func openForTest(t *testing.T, name string) *fileStore {
	t.Helper()
	s, err := openFileStore(name)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.file.Close() })
	return s
}
