package seal_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
)

// watched is a listing store that calls back around every call.
type watched struct {
	fullMapStore
	before func(method, id string) error // its error is the call's
	after  func(method, id string)
}

func (w *watched) around(method, id string, call func() error) error {
	if w.before != nil {
		if err := w.before(method, id); err != nil {
			return err
		}
	}
	err := call()
	if w.after != nil {
		w.after(method, id)
	}
	return err
}

func (w *watched) Get(ctx context.Context, id string) (t codegrant.Token, err error) {
	err = w.around("Get", id, func() error { t, err = w.fullMapStore.Get(ctx, id); return err })
	return t, err
}

func (w *watched) Save(ctx context.Context, t codegrant.Token) error {
	return w.around("Save", t.ID, func() error { return w.fullMapStore.Save(ctx, t) })
}

func (w *watched) List(ctx context.Context, afterID string, limit int) (found []codegrant.Token, err error) {
	err = w.around("List", afterID, func() error { found, err = w.fullMapStore.List(ctx, afterID, limit); return err })
	return found, err
}

// fill saves n records sealed with the keyring.
func fill(t testing.TB, inner codegrant.TokenStore, keys *seal.Keyring, n int) {
	t.Helper()
	store := sealing(t, inner, keys)
	for i := range n {
		save(t, store, record(fmt.Sprintf("r%03d", i)))
	}
}

// requireResealed expects n records under key k2, as they were but for the
// revision.
func requireResealed(t testing.TB, inner codegrant.TokenStore, n int, revision int64) {
	t.Helper()
	store := sealing(t, inner, keyring(t, "k2"))
	for i := range n {
		want := record(fmt.Sprintf("r%03d", i))
		want.Revision = revision
		require.Equal(t, want, get(t, store, want.ID))
	}
}

func TestResealBringsEverythingUnderTheFirstKey(t *testing.T) {
	t.Parallel()
	for _, batch := range []int{0, 1, 3, 10, 11, 1000, -1} {
		t.Run("in batches of "+strconv.Itoa(batch), func(t *testing.T) {
			t.Parallel()
			const n = 10
			inner := newFullMapStore()
			fill(t, inner, keyring(t, "k1"), n)
			store := sealing(t, inner, keyring(t, "k2", "k1"))
			save(t, store, record("s"), codegrant.Token{ID: "v-empty", Revision: 1})
			fillMixed(t, inner, "t")
			var reported []seal.Progress
			done, err := seal.Reseal(t.Context(), store, seal.ResealOptions{
				Batch: batch, OnProgress: func(p seal.Progress) { reported = append(reported, p) },
			})
			require.NoError(t, err)
			require.Equal(t, seal.Progress{After: "v-empty", Resealed: n + 1, Current: 2}, done)
			require.Equal(t, done, reported[len(reported)-1])
			requireResealed(t, inner, n, 2)
			require.Equal(t, "k2", keyOf(t, get(t, inner, "t").LoginID))
			require.EqualValues(t, 2, get(t, inner, "t").Revision)

			again, err := seal.Reseal(t.Context(), store, seal.ResealOptions{})
			require.NoError(t, err)
			require.Equal(t, seal.Progress{After: "v-empty", Current: n + 3}, again)
			requireResealed(t, inner, n, 2)
		})
	}
}

// fillMixed saves a record with one field under k1 and the others under k2.
func fillMixed(t testing.TB, inner fullMapStore, id string) {
	t.Helper()
	older := newMapStore()
	save(t, sealing(t, older, keyring(t, "k1")), record(id))
	save(t, sealing(t, inner, keyring(t, "k2")), record(id))
	inner.patch(id, func(token *codegrant.Token) { token.LoginID = get(t, older, id).LoginID })
}

func TestResealSealsPlaintextOnlyWhereItIsAccepted(t *testing.T) {
	t.Parallel()
	inner := memstore.New()
	save(t, inner, record("r000"), record("r001"))
	done, err := seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2")), seal.ResealOptions{})
	require.ErrorIs(t, err, seal.ErrPlaintext)
	require.Equal(t, seal.Progress{After: "r001", Failed: 2}, done)
	require.Equal(t, record("r000"), get(t, inner, "r000"), "untouched")

	done, err = seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2"), seal.AcceptPlaintext()), seal.ResealOptions{})
	require.NoError(t, err)
	require.Equal(t, seal.Progress{After: "r001", Resealed: 2}, done)
	requireResealed(t, inner, 2, 2)
}

func TestResealNeedsASealingStoreThatLists(t *testing.T) {
	t.Parallel()
	for _, store := range []codegrant.TokenStore{
		nil, memstore.New(), sealing(t, newMapStore(), keyring(t, "k1")), sealing(t, txMapStore{newMapStore()}, keyring(t, "k1")),
	} {
		_, err := seal.Reseal(t.Context(), store, seal.ResealOptions{})
		require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
	}
}

func TestResealPassesOverWhatDoesNotOpen(t *testing.T) {
	t.Parallel()
	const n = 100
	inner := newFullMapStore()
	fill(t, inner, keyring(t, "k1"), n)
	for i := range n {
		if i%4 == 0 {
			inner.patch(fmt.Sprintf("r%03d", i), func(token *codegrant.Token) { token.UserID = "planted" })
		}
	}
	before := get(t, inner, "r000")
	done, err := seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2", "k1")), seal.ResealOptions{Batch: 7})
	require.Equal(t, seal.Progress{After: "r099", Resealed: n * 3 / 4, Failed: n / 4}, done)
	require.ErrorIs(t, err, seal.ErrCorrupt)
	require.Len(t, err.(interface{ Unwrap() []error }).Unwrap(), 16, "the text stays readable")
	require.Equal(t, before, get(t, inner, "r000"), "untouched")
	require.Equal(t, "k2", keyOf(t, get(t, inner, "r001").Value))
}

// TestResealStopsAnywhereAndGoesOn ends the context before and after every
// single call to the store, and goes on from what Reseal returned, or from the
// beginning.
func TestResealStopsAnywhereAndGoesOn(t *testing.T) {
	t.Parallel()
	const n = 5
	for _, fromStart := range []bool{false, true} {
		for _, when := range []string{"before", "after"} {
			finished := false
			for step := 1; !finished; step++ {
				inner := &watched{fullMapStore: newFullMapStore()}
				fill(t, inner, keyring(t, "k1"), n)
				store := sealing(t, inner, keyring(t, "k2", "k1"))
				ctx, cancel := context.WithCancel(t.Context())
				calls := 0
				count := func(string, string) {
					if calls++; calls == step {
						cancel()
					}
				}
				if when == "after" {
					inner.after = count
				} else {
					inner.before = func(method, id string) error { count(method, id); return nil }
				}
				first, err := seal.Reseal(ctx, store, seal.ResealOptions{Batch: 2})
				cancelled := calls >= step
				cancel()
				inner.before, inner.after = nil, nil
				if err == nil {
					require.True(t, !cancelled || when == "after", "only the end of the last call may go unnoticed")
					finished = !cancelled
				} else {
					require.ErrorIs(t, err, context.Canceled)
					require.ErrorIs(t, err, codegrant.ErrStore)
				}
				options := seal.ResealOptions{After: first.After}
				if fromStart {
					options.After = ""
				}
				second, err := seal.Reseal(t.Context(), store, options)
				require.NoError(t, err)
				require.LessOrEqual(t, first.Resealed+second.Resealed, n)
				requireResealed(t, inner, n, 2) // each exactly once
				require.Less(t, step, 50)
			}
		}
	}
}

func TestResealLosesNoUpdate(t *testing.T) {
	t.Parallel()
	const records, writers, updates = 20, 8, 60
	inner := memstore.New()
	fill(t, inner, keyring(t, "k1", "k2"), records)
	newProcess, oldProcess := sealing(t, inner, keyring(t, "k2", "k1")), sealing(t, inner, keyring(t, "k1", "k2"))
	var all sync.WaitGroup
	for w := range writers {
		store := newProcess
		if w%2 == 0 { // half the processes still seal with the old key
			store = oldProcess
		}
		all.Go(func() {
			for i := range updates {
				id := fmt.Sprintf("r%03d", (i*7+w)%records)
				for {
					token, err := store.Get(t.Context(), id)
					if err != nil {
						t.Error(err)
						return
					}
					count, _ := strconv.Atoi(token.ReturnTo)
					token.ReturnTo = strconv.Itoa(count + 1)
					token.LoginID = codegrant.NewSecret("LOGIN " + token.ReturnTo)
					token.Revision++
					err = store.Save(t.Context(), token)
					if err == nil {
						break
					}
					if !errors.Is(err, codegrant.ErrConflict) {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for range 20 {
				if _, err := seal.Reseal(t.Context(), newProcess, seal.ResealOptions{Batch: 3}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	_, err := seal.Reseal(t.Context(), newProcess, seal.ResealOptions{})
	require.NoError(t, err)
	total := 0
	onlyNew := sealing(t, inner, keyring(t, "k2"))
	for i := range records {
		token := get(t, onlyNew, fmt.Sprintf("r%03d", i))
		require.Equal(t, "LOGIN "+token.ReturnTo, token.LoginID.Reveal())
		count, err := strconv.Atoi(token.ReturnTo)
		require.NoError(t, err)
		total += count
		want := record(token.ID)
		require.Equal(t, want.UpdatedAt, token.UpdatedAt)
		require.Equal(t, want.Handled, token.Handled)
		require.Equal(t, want.UnsettledSince, token.UnsettledSince)
	}
	require.Equal(t, writers*updates, total)
}

func TestResealTriesAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		changeBy string // key of the process that changes the record
		changes  int
		done     seal.Progress
		revision int64
	}{
		{"another process with the new key did the work", "k2", 1, seal.Progress{After: "r000", Current: 1}, 2},
		{"another process with the old key changed it thrice", "k1", 3, seal.Progress{After: "r000", Resealed: 1}, 5},
		{"another process changes it for ever", "k1", 1 << 30, seal.Progress{After: "r000", Failed: 1}, 33},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inner := &watched{fullMapStore: newFullMapStore()}
			fill(t, inner, keyring(t, "k1"), 1)
			other := sealing(t, inner.fullMapStore, keyring(t, tc.changeBy, map[string]string{"k1": "k2", "k2": "k1"}[tc.changeBy]))
			changed := 0
			inner.before = func(method, id string) error {
				if method == "Save" && changed < tc.changes {
					changed++
					token := get(t, other, id)
					token.Revision++
					save(t, other, token)
				}
				return nil
			}
			done, err := seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2", "k1")), seal.ResealOptions{})
			require.Equal(t, tc.done, done)
			require.Equal(t, tc.revision, get(t, inner.fullMapStore, "r000").Revision)
			if tc.done.Failed > 0 {
				require.ErrorIs(t, err, codegrant.ErrConflict)
				require.EqualError(t, err, "codegrant: reseal: conflict: record r000")
				return
			}
			require.NoError(t, err)
		})
	}
}

func TestResealPassesOverARecordThatIsDeletedMeanwhile(t *testing.T) {
	t.Parallel()
	inner := &watched{fullMapStore: newFullMapStore()}
	fill(t, inner, keyring(t, "k1"), 2)
	inner.before = func(method, id string) error {
		if method == "Save" && id == "r000" {
			delete(inner.tokens, id)
		}
		return nil
	}
	done, err := seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2", "k1")), seal.ResealOptions{})
	require.NoError(t, err)
	require.Equal(t, seal.Progress{After: "r001", Resealed: 1, Current: 1}, done)
}

func TestResealEndsWhenTheStoreFails(t *testing.T) {
	t.Parallel()
	failure := errors.New("disk full")
	for _, method := range []string{"List", "Save", "Get"} {
		inner := &watched{fullMapStore: newFullMapStore()}
		fill(t, inner, keyring(t, "k1"), 2)
		inner.patch("r000", func(token *codegrant.Token) { token.UserID = "planted" })
		inner.before = func(called, _ string) error {
			if method == "Get" && called == "Save" {
				return codegrant.ErrConflict
			}
			if called == method {
				return failure
			}
			return nil
		}
		done, err := seal.Reseal(t.Context(), sealing(t, inner, keyring(t, "k2", "k1")), seal.ResealOptions{})
		require.ErrorIs(t, err, failure, method)
		require.ErrorIs(t, err, codegrant.ErrStore, method)
		if method != "List" {
			require.ErrorIs(t, err, seal.ErrCorrupt, "what failed before is still told")
			require.Equal(t, seal.Progress{After: "r000", Failed: 1}, done, method)
		}
	}
}

// stuck lists the same record for ever.
type stuck struct{ fullMapStore }

func (s stuck) List(context.Context, string, int) ([]codegrant.Token, error) {
	return []codegrant.Token{s.tokens["r000"]}, nil
}

func TestResealDoesNotTurnInCircles(t *testing.T) {
	t.Parallel()
	inner := newFullMapStore()
	fill(t, inner, keyring(t, "k1"), 1)
	_, err := seal.Reseal(t.Context(), sealing(t, stuck{inner}, keyring(t, "k1")), seal.ResealOptions{})
	require.EqualError(t, err, "codegrant: reseal: store failed: List returned a record that is not after the one before")
}

func TestResealPausesBetweenBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := newFullMapStore()
		fill(t, inner, keyring(t, "k1"), 6)
		store := sealing(t, inner, keyring(t, "k2", "k1"))
		start := time.Now()
		options := seal.ResealOptions{Batch: 2, Pause: time.Minute}
		_, err := seal.Reseal(t.Context(), store, options)
		require.NoError(t, err)
		require.Equal(t, 3*time.Minute, time.Since(start))

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		done, err := seal.Reseal(ctx, store, options)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, seal.Progress{After: "r001", Current: 2}, done)
	})
}
