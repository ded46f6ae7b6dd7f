package sqlstore_test

import (
	"context"
	"database/sql"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// withOrders returns a store and its database, which has a table of the
// merchant's.
func withOrders(t *testing.T) (*sqlstore.Store, *sql.DB) {
	t.Helper()
	db := open(t, file(t))
	_, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id TEXT PRIMARY KEY)")
	require.NoError(t, err)
	return newStore(t, db), db
}

func order(ctx context.Context, id string) error {
	tx, ok := sqlstore.Tx(ctx)
	if !ok {
		return errors.New("no transaction")
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id)
	return err
}

func orders(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return column(t, db, "SELECT id FROM orders ORDER BY id")
}

func TestAHooksWritesCommitOrRollBackWithTheToken(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	refusal := errors.New("refused")
	for id, end := range map[string]func(context.Context) error{
		"error":  func(context.Context) error { return refusal },
		"panic":  func(context.Context) error { panic(refusal) },
		"commit": func(context.Context) error { return nil },
	} {
		work := func() (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = p.(error)
				}
			}()
			return store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
				require.NoError(t, tx.Save(ctx, token(id)))
				require.NoError(t, order(ctx, id))
				return end(ctx)
			})
		}
		err := work()
		_, missing := store.Get(t.Context(), id)
		if id == "commit" {
			require.NoError(t, err)
			require.NoError(t, missing)
		} else {
			require.Equal(t, refusal, err, "as it is")
			require.ErrorIs(t, missing, codegrant.ErrNotFound)
		}
	}
	require.Equal(t, []string{"commit"}, orders(t, db))
}

func TestAContextThatEndsRollsBack(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		require.NoError(t, tx.Save(ctx, token("a")))
		require.NoError(t, order(ctx, "a"))
		cancel()
		return nil
	})
	require.ErrorIs(t, err, context.Canceled)
	_, err = store.Get(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	require.Empty(t, orders(t, db))
}

func nothing(context.Context, codegrant.TokenStore) error { return nil }

func TestThereIsNoTxOutsideOfATransaction(t *testing.T) {
	t.Parallel()
	_, ok := sqlstore.Tx(t.Context())
	require.False(t, ok)
}

// A hook gets the kit's context and calls the kit, which knows the outer store.
func TestTheStoreItselfJoinsTheTransactionOfItsContext(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	db.SetMaxOpenConns(1) // a second connection would wait for ever
	other, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		require.NoError(t, store.Save(ctx, token("a")))
		_, err := tx.Get(context.Background(), "a")
		require.NoError(t, err, "the store of fn belongs to the transaction with any context")
		_, err = other.Get(ctx, "a")
		require.NoError(t, err, "another store on the same database joins as well")
		found, err := store.List(ctx, "", 10)
		require.NoError(t, err)
		require.Len(t, found, 1)
		return nil
	}))
}

func TestAnotherDatabaseDoesNotJoin(t *testing.T) {
	t.Parallel()
	store, _ := withOrders(t)
	other := newStore(t, open(t, file(t)))
	refusal := errors.New("refused")
	require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, _ codegrant.TokenStore) error {
		outer, _ := sqlstore.Tx(ctx)
		require.NoError(t, other.Save(ctx, token("a")))
		require.NoError(t, other.InTx(ctx, func(ctx context.Context, _ codegrant.TokenStore) error {
			inner, ok := sqlstore.Tx(ctx)
			require.True(t, ok)
			require.NotSame(t, outer, inner)
			return nil
		}))
		return refusal
	}), refusal)
	_, err := other.Get(t.Context(), "a")
	require.NoError(t, err, "it was saved at once")
}

func TestANestedTransactionCommitsWithTheOuterOne(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		require.NoError(t, order(ctx, "outer"))
		return store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
			require.NoError(t, order(ctx, "inner"))
			return tx.Save(ctx, token("a"))
		})
	}))
	require.Equal(t, []string{"inner", "outer"}, orders(t, db))
	_, err := store.Get(t.Context(), "a")
	require.NoError(t, err)
}

func TestANestedTransactionThatFailsTakesTheOuterOneWithIt(t *testing.T) {
	t.Parallel()
	store, db := withOrders(t)
	refusal := errors.New("refused")
	for name, inner := range map[string]func() error{
		"error": func() error { return refusal },
		"panic": func() error { panic(refusal) },
	} {
		err := store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			require.NoError(t, order(ctx, name))
			func() {
				defer func() { _ = recover() }()
				_ = store.InTx(ctx, func(context.Context, codegrant.TokenStore) error { return inner() })
			}()
			require.Error(t, tx.Save(ctx, token(name)), "nothing more is done in it")
			return nil
		})
		require.Error(t, err)
		if name == "error" {
			require.Equal(t, refusal, err)
		}
	}
	require.Empty(t, orders(t, db))
}

func TestATransactionThatHasEndedIsAnError(t *testing.T) {
	t.Parallel()
	store, _ := withOrders(t)
	var kept context.Context
	require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, _ codegrant.TokenStore) error {
		kept = ctx
		return nil
	}))
	require.ErrorIs(t, store.Save(kept, token("late")), sql.ErrTxDone)
	err := store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		mine, _ := sqlstore.Tx(ctx)
		return mine.Rollback()
	})
	require.ErrorIs(t, err, sql.ErrTxDone, "a hook that ends it does not make it look committed")
}

// Two pools on one file are two processes. The DSN asks neither for a time-out
// nor for immediate transactions.
func TestAWriterWaitsForAnotherProcess(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	one, two := newStore(t, open(t, dsn)), newStore(t, open(t, dsn))
	require.NoError(t, one.Save(t.Context(), token("a")))
	for name, write := range map[string]func(t codegrant.Token) error{
		"Save": func(changed codegrant.Token) error { return two.Save(t.Context(), changed) },
		"InTx": func(changed codegrant.Token) error {
			return two.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
				if _, err := tx.Get(ctx, "a"); err != nil {
					return err
				}
				return tx.Save(ctx, changed)
			})
		},
	} {
		done := make(chan error, 1)
		var committed atomic.Bool
		require.NoError(t, one.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			read, err := tx.Get(ctx, "a")
			require.NoError(t, err)
			read.Revision++
			require.NoError(t, tx.Save(ctx, read))
			read.Revision++
			go func() {
				err := write(read)
				if !committed.Load() {
					err = errors.Join(err, errors.New("it did not wait"))
				}
				done <- err
			}()
			select {
			case err := <-done:
				done <- err
			case <-time.After(50 * time.Millisecond): // the other one is being refused meanwhile
			}
			committed.Store(true)
			return nil
		}))
		require.NoError(t, <-done, name)
	}
}

func TestAWriterGivesUpAsAConflictWhenTheContextEnds(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	one, two := newStore(t, open(t, dsn)), newStore(t, open(t, dsn))
	require.NoError(t, one.InTx(t.Context(), func(context.Context, codegrant.TokenStore) error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		require.ErrorIs(t, two.Save(ctx, token("a")), context.DeadlineExceeded)
		called := false
		require.ErrorIs(t, two.InTx(ctx, func(context.Context, codegrant.TokenStore) error {
			called = true
			return nil
		}), context.DeadlineExceeded)
		require.False(t, called)
		began := time.Now()
		require.ErrorIs(t, two.Save(t.Context(), token("a")), codegrant.ErrConflict, "after a while without a deadline")
		require.Less(t, time.Since(began), 10*time.Second)
		return nil
	}))
	require.NoError(t, two.Save(t.Context(), token("a")), "nothing of it was kept")
}

func TestALostCommitIsAConflictAndKeepsNothing(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	plain := newStore(t, open(t, dsn))
	db, _ := openFaulty(t, dsn, func(query string) error {
		if query == "COMMIT" {
			return busy{}
		}
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	calls := 0
	require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		calls++
		return tx.Save(ctx, token("a"))
	}), codegrant.ErrConflict)
	require.Equal(t, 1, calls)
	_, err = plain.Get(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
}

func TestNothingIsDoneInATransactionThatWasLost(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	plain := newStore(t, open(t, dsn))
	var lose atomic.Bool
	db, _ := openFaulty(t, dsn, func(string) error {
		if lose.CompareAndSwap(true, false) {
			return busy{}
		}
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		require.NoError(t, tx.Save(ctx, token("before")))
		lose.Store(true)
		require.ErrorIs(t, tx.Save(ctx, token("lost")), codegrant.ErrConflict)
		require.ErrorIs(t, tx.Save(ctx, token("after")), codegrant.ErrConflict)
		return nil // passing over it does not help
	}), codegrant.ErrConflict)
	found, err := plain.List(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, found)
}
