package sqlstore_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// announced is a context that says when somebody begins to wait for its end.
type announced struct {
	context.Context
	waits func()
}

func (a announced) Done() <-chan struct{} {
	a.waits()
	return a.Context.Done()
}

// A driver that panics, or ends the goroutine, is broken, and the connection
// that it was called on is lost, with its lock of a SQLite file. Callers are
// told all the same, and nobody waits for somebody who is gone.
func TestADriverThatDoesNotReturnKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	for name, dies := range map[string]func(){
		"panics":             func() { panic("SECRET") },
		"ends the goroutine": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crowd := newCrowd(t, file(t))
			var died atomic.Bool
			crowd.refuse = func(query string) error {
				if strings.HasPrefix(query, "INSERT INTO codegrant_tokens") && died.CompareAndSwap(false, true) {
					dies()
				}
				return nil
			}
			const savers = 3
			waiting, results := make(chan struct{}, 100), make(chan error, savers)
			go func() { _ = crowd.store.Save(context.Background(), token("the first")) }()
			<-crowd.blocked
			for _, saved := range numbered(savers) {
				go func() {
					results <- crowd.store.Save(announced{t.Context(), func() { waiting <- struct{}{} }}, saved)
				}()
				<-waiting
			}
			close(crowd.release)
			for range savers {
				err := <-results
				require.ErrorContains(t, err, "the driver")
				require.NotErrorIs(t, err, codegrant.ErrConflict)
				require.NotContains(t, err.Error(), "SECRET")
			}
			require.True(t, died.Load())
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			for range 2 {
				require.ErrorIs(t, crowd.store.Save(ctx, token("later")), context.DeadlineExceeded)
			}
			_, err := crowd.store.Get(t.Context(), "the first")
			require.NoError(t, err)
		})
	}
}

func TestADriverThatPanicsInATransactionKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	panics := false
	db, _ := openFaulty(t, file(t), func(query string) error {
		if panics && strings.HasPrefix(query, "SELECT id, ") {
			panics = false
			panic("the driver is broken")
		}
		return nil
	})
	store := newStore(t, db)
	get := func(ctx context.Context, tx codegrant.TokenStore) error {
		_, err := tx.Get(ctx, "a")
		return err
	}
	require.ErrorIs(t, store.InTx(t.Context(), get), codegrant.ErrNotFound)
	panics = true
	require.Panics(t, func() { _ = store.InTx(t.Context(), get) })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, store.InTx(ctx, get), context.DeadlineExceeded)
	_, err := store.Get(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
}

// The statements of a batch are tried in halves, so that one bad row among many
// costs few more commits.
func TestOneBadRowAmongManyCostsFewCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		_, err := crowd.db.ExecContext(t.Context(), "CREATE TRIGGER picky BEFORE INSERT ON codegrant_tokens "+
			"WHEN NEW.user_id = 'nobody' BEGIN SELECT RAISE(ABORT, 'not him'); END")
		require.NoError(t, err)
		tokens := numbered(128)
		tokens[77].UserID = "nobody"
		for i, err := range crowd.save(t, tokens...) {
			if i == 77 {
				require.Error(t, err)
				require.NotErrorIs(t, err, codegrant.ErrConflict)
			} else {
				require.NoError(t, err)
			}
		}
		require.Less(t, crowd.count("COMMIT"), 10)
		require.NoError(t, crowd.db.Close())
	})
}

func TestABatchHoldsABoundedNumberOfBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		tokens := numbered(40)
		for i := range tokens {
			tokens[i].AuthURL = strings.Repeat("x", 60_000) // 17 of them are a mebibyte
		}
		for _, err := range crowd.save(t, tokens...) {
			require.NoError(t, err)
		}
		require.Equal(t, 3, crowd.count("COMMIT"))
		require.NoError(t, crowd.db.Close())
	})
}

// A record that many save at the same time stands in each commit once, and the
// others do not wait for all of its savings.
func TestManySavingsOfOneRecordKeepNobodyWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		var tokens []codegrant.Token
		for range 20 {
			tokens = append(tokens, token("popular"))
		}
		tokens = append(tokens, token("other"))
		results := crowd.save(t, tokens...)
		require.NoError(t, results[0])
		require.NoError(t, results[20])
		for _, err := range results[1:20] {
			require.Equal(t, codegrant.ErrConflict, err)
		}
		require.Equal(t, 1, crowd.count("COMMIT"), "the others are alone, one after the other")
		require.NoError(t, crowd.db.Close())
	})
}

// A transaction that is under way when many save has the only turn to write
// that SQLite has, and maybe the only connection.
func TestATransactionBesideSharedCommits(t *testing.T) {
	t.Parallel()
	for name, connections := range map[string]int{"one connection": 1, "many connections": 8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := open(t, file(t))
			db.SetMaxOpenConns(connections)
			store := newStore(t, db)
			var wg sync.WaitGroup
			for i, saved := range numbered(200) {
				wg.Go(func() {
					err := store.Save(t.Context(), saved)
					if i%4 == 0 && err == nil {
						err = store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
							kept, err := tx.Get(ctx, saved.ID)
							kept.Revision++
							return errors.Join(err, tx.Save(ctx, kept))
						})
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			all, err := store.List(t.Context(), "", 1000)
			require.NoError(t, err)
			require.Len(t, all, 200)
		})
	}
}

// tooMany is MySQL's error where max_prepared_stmt_count is reached.
type tooMany struct{ Number uint16 }

func (tooMany) Error() string { return "SECRET" }

func TestStatementsThatTheServerWillNotKeepAreRunAllTheSame(t *testing.T) {
	t.Parallel()
	db, f := openFaulty(t, file(t), func(string) error { return nil })
	newStore(t, db)
	store, err := sqlstore.New(db, sqlstore.MySQL, quiet()) // whose insert SQLite understands
	require.NoError(t, err)
	f.full.Store(true)
	require.NoError(t, store.Save(t.Context(), token("a")))
	_, err = store.Get(t.Context(), "a")
	require.NoError(t, err)
	f.full.Store(false)
	next := token("a")
	next.Revision = 2
	require.NoError(t, store.Save(t.Context(), next))
	require.NoError(t, db.Close())
}
