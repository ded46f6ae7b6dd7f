package dbtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

func revised(id string, revision int64) codegrant.Token {
	t := token(id)
	t.Revision = revision
	return t
}

// A hook that takes its time has its record locked. Whoever saves that record
// waits, and whoever would share his commit does not.
func TestALockedRecordKeepsItsOwnSaversWaitingAndNobodyElse(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.name == "SQLite" {
			return // it locks everything
		}
		dsn := s.create(t)
		if s.name == "MariaDB" {
			// By default who waits for a record also locks the gap before it when its
			// page is split.
			dsn = with(dsn, "tx_isolation='READ-COMMITTED'")
		}
		store := s.migrated(t, s.open(t, dsn))
		const n, rounds = 40, 6
		// It is the last that a batch locks, which then holds all the others.
		locked, free := "the locked one", func(i int) string { return fmt.Sprint("free-", i) }
		require.NoError(t, store.Save(t.Context(), token(locked)))
		for i := range n {
			require.NoError(t, store.Save(t.Context(), token(free(i))))
		}
		var wg sync.WaitGroup
		held, release := make(chan struct{}), make(chan struct{})
		wg.Go(func() {
			err := store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
				_, err := tx.Get(ctx, locked)
				close(held)
				<-release
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-held
		verdicts := make(chan error, rounds)
		for round := range rounds {
			var others sync.WaitGroup
			for i := range n {
				if i == n/2 {
					wg.Go(func() { verdicts <- store.Save(t.Context(), revised(locked, 2)) })
				}
				others.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // MySQL gives up after 50 s
					defer cancel()
					if err := store.Save(ctx, revised(free(i), int64(round)+2)); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
					if err := store.Save(ctx, token(fmt.Sprint("new-", round, "-", i))); err != nil {
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			others.Wait()
			require.Empty(t, verdicts, "the record is locked")
		}
		close(release)
		wg.Wait()
		saved := 0
		for range rounds {
			if err := <-verdicts; err == nil {
				saved++
			} else {
				require.ErrorIs(t, err, codegrant.ErrConflict)
			}
		}
		require.Equal(t, 1, saved)
		for i := range n {
			kept, err := store.Get(t.Context(), free(i))
			require.NoError(t, err)
			require.Equal(t, int64(rounds+1), kept.Revision)
		}
	})
}

// Two processes save the same records at the same time, each in its own order:
// batches that lock each other's records. Of each two savings of a record one
// is kept, and the other one is a conflict.
func TestOverlappingBatchesLoseNoSave(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		dsn := s.create(t)
		stores := [2]*sqlstore.Store{s.migrated(t, s.open(t, dsn)), s.migrated(t, s.open(t, dsn))}
		const n, rounds = 48, 12
		at := func(i int) string { return fmt.Sprint("T", i) }
		for round := range int64(rounds) {
			var wg sync.WaitGroup
			var errs [2][n]error
			for which, store := range stores {
				for _, i := range rand.Perm(n) { // the new ones in the first round
					wg.Go(func() { errs[which][i] = store.Save(t.Context(), revised(at(i), round+1)) })
				}
			}
			wg.Wait()
			for i := range n {
				require.ElementsMatch(t, []error{nil, codegrant.ErrConflict}, []error{errs[0][i], errs[1][i]}, "round %d", round)
				kept, err := stores[0].Get(t.Context(), at(i))
				require.NoError(t, err)
				require.Equal(t, round+1, kept.Revision)
			}
		}
	})
}

// Statements are prepared for the pool's life, which may see the table change
// and connections go.
func TestPreparedStatementsOutliveAChangedTableAndLostConnections(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		dsn := s.create(t)
		db, other := s.open(t, dsn), s.open(t, dsn)
		store := s.store(t, db, sqlstore.Options{AllowPlaintext: true, TablePrefix: "shop_"})
		// Before the tables are there, nothing is remembered of the failure.
		require.ErrorIs(t, store.Save(t.Context(), token("a")), sqlstore.ErrNotMigrated)
		require.NoError(t, store.Migrate(t.Context()))

		const n = 40
		revision := int64(0)
		saveAll := func() {
			revision++
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					if err := store.Save(t.Context(), revised(fmt.Sprint("T", i), revision)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for i := range n {
				require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
					kept, err := tx.Get(ctx, fmt.Sprint("T", i))
					require.Equal(t, revision, kept.Revision)
					return err
				}))
			}
		}
		saveAll()
		saveAll()
		_, err := other.ExecContext(t.Context(), "ALTER TABLE shop_tokens ADD COLUMN of_the_merchant BIGINT")
		require.NoError(t, err)
		saveAll()
		db.SetMaxIdleConns(0) // every connection is a new one from now on
		saveAll()
		db.SetMaxIdleConns(8)
		saveAll()
		require.NoError(t, store.Migrate(t.Context()))
		saveAll()
	})
}

// Preparing takes a connection, and so does a transaction: with one in all,
// neither may wait for the other.
func TestOneConnectionIsEnough(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		db.SetMaxOpenConns(1)
		store := s.migrated(t, db)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		const n = 60
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				saved := token(fmt.Sprint("T", i))
				err := store.Save(ctx, saved)
				if err == nil && i%3 == 0 {
					err = store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
						kept, err := tx.Get(ctx, saved.ID)
						kept.Revision++
						return errors.Join(err, tx.Save(ctx, kept))
					})
				}
				if _, found := store.ByUser(ctx, "A1", "SECRET-USER"); errors.Join(err, found) != nil {
					t.Error(err, found)
				}
			})
		}
		wg.Wait()
		all, err := store.List(ctx, "", 1000)
		require.NoError(t, err)
		require.Len(t, all, n)
	})
}

// A merchant's own constraint refuses one row among many.
func TestARowThatTheDatabaseRefusesCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		if s.name == "SQLite" { // no constraint can be added to a table
			_, err := db.ExecContext(t.Context(), "CREATE TRIGGER picky BEFORE UPDATE ON codegrant_tokens "+
				"WHEN NEW.user_id = 'nobody' BEGIN SELECT RAISE(ABORT, 'not him'); END")
			require.NoError(t, err)
		} else {
			_, err := db.ExecContext(t.Context(), "ALTER TABLE codegrant_tokens ADD CONSTRAINT picky CHECK (user_id <> 'nobody')")
			require.NoError(t, err)
		}
		const n = 60
		for i := range n {
			require.NoError(t, store.Save(t.Context(), token(fmt.Sprint("T", i))))
		}
		bad := func(i int) bool { return i%20 == 7 }
		var wg sync.WaitGroup
		var errs [n]error
		for i := range n {
			saved := revised(fmt.Sprint("T", i), 2)
			if bad(i) {
				saved.UserID = "nobody"
			}
			wg.Go(func() { errs[i] = store.Save(t.Context(), saved) })
		}
		wg.Wait()
		for i, err := range errs {
			kept, getErr := store.Get(t.Context(), fmt.Sprint("T", i))
			require.NoError(t, getErr)
			if bad(i) {
				require.Error(t, err)
				require.NotErrorIs(t, err, codegrant.ErrConflict)
				require.Equal(t, int64(1), kept.Revision)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, int64(2), kept.Revision)
		}
	})
}
