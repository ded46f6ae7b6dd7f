package dbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

var created = time.Date(2026, 11, 23, 1, 2, 3, 456_789_000, time.UTC)

func token(id string) codegrant.Token {
	value := codegrant.NewSecret("SECRET-VALUE-" + id)
	return codegrant.Token{
		ID: id, AccountID: "A1", UserID: "SECRET-USER", Wallet: codegrant.Boost, Revision: 1,
		Value: value, Fingerprint: codegrant.Fingerprint(value),
		Reference: codegrant.NewSecret("SECRET-REFERENCE"), LoginID: codegrant.NewSecret("SECRET-LOGIN"),
		CreatedAt: created, UpdatedAt: created,
	}
}

// touch counts a record up.
func touch(ctx context.Context, store codegrant.TokenStore, id string) error {
	t, err := store.Get(ctx, id)
	if err != nil {
		return err
	}
	t.Revision++
	return store.Save(ctx, t)
}

// Each of two transactions holds what the other one wants. The database ends
// one of them; it learns so as a conflict, and tried again it gets through.
func TestADeadlockIsAConflictThatKeepsNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		require.NoError(t, store.Save(t.Context(), token("a")))
		require.NoError(t, store.Save(t.Context(), token("b")))
		const rounds = 5
		conflicts := 0
		for range rounds {
			var (
				wg   sync.WaitGroup
				errs [2]error
				held [2]chan struct{}
			)
			held[0], held[1] = make(chan struct{}), make(chan struct{})
			for i, ids := range [2][2]string{{"a", "b"}, {"b", "a"}} {
				wg.Go(func() {
					errs[i] = store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
						if err := touch(ctx, tx, ids[0]); err != nil {
							return err
						}
						close(held[i])
						select {
						case <-held[1-i]:
						case <-time.After(100 * time.Millisecond): // SQLite lets only one in
						}
						return touch(ctx, tx, ids[1])
					})
				})
			}
			wg.Wait()
			for i, ids := range [2][2]string{{"a", "b"}, {"b", "a"}} {
				if errs[i] == nil {
					continue
				}
				require.ErrorIs(t, errs[i], codegrant.ErrConflict)
				conflicts++
				require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
					return errors.Join(touch(ctx, tx, ids[0]), touch(ctx, tx, ids[1]))
				}))
			}
		}
		for _, id := range []string{"a", "b"} {
			found, err := store.Get(t.Context(), id)
			require.NoError(t, err)
			require.Equal(t, int64(1+2*rounds), found.Revision)
		}
		if s.name != "SQLite" {
			require.Positive(t, conflicts, "there was no deadlock to test with")
		}
	})
}

// What follows a deadlock would run outside of any transaction on MySQL.
func TestNothingIsKeptOfWhatFollowsADeadlock(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.name == "SQLite" {
			return // it has no deadlocks: one writer at a time
		}
		store := s.migrated(t, s.open(t, s.create(t)))
		require.NoError(t, store.Save(t.Context(), token("a")))
		require.NoError(t, store.Save(t.Context(), token("b")))
		var (
			wg   sync.WaitGroup
			errs [2]error
			held = [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		)
		for i, ids := range [2][2]string{{"a", "b"}, {"b", "a"}} {
			wg.Go(func() {
				errs[i] = store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
					if err := touch(ctx, tx, ids[0]); err != nil {
						return err
					}
					close(held[i])
					<-held[1-i]
					_ = touch(ctx, tx, ids[1])                                // a hook that passes over it
					_ = tx.Save(ctx, token(fmt.Sprint("of-transaction-", i))) // and goes on
					return nil
				})
			})
		}
		wg.Wait()
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "one wins: %v", errs)
		for i, err := range errs {
			_, kept := store.Get(t.Context(), fmt.Sprint("of-transaction-", i))
			if err == nil {
				require.NoError(t, kept)
			} else {
				require.ErrorIs(t, err, codegrant.ErrConflict)
				require.ErrorIs(t, kept, codegrant.ErrNotFound)
			}
		}
	})
}

// Save tries again after what the database says is worth it: here a lock that
// it gave up waiting for.
func TestSaveOutlastsALockTimeout(t *testing.T) {
	t.Parallel()
	timeouts := map[string]string{
		"SQLite":     "_pragma=busy_timeout(1)",
		"PostgreSQL": "lock_timeout=20",
		"MariaDB":    "innodb_lock_wait_timeout=1",
	}
	hold := map[string]time.Duration{"MariaDB": 1300 * time.Millisecond}
	onEach(t, func(t *testing.T, s server) {
		dsn := s.create(t)
		first := s.migrated(t, s.open(t, dsn))
		second := s.migrated(t, s.open(t, with(dsn, timeouts[s.name])))
		require.NoError(t, first.Save(t.Context(), token("a")))
		changed := token("a")
		changed.Revision = 2
		done := make(chan error, 1)
		require.NoError(t, first.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			_, err := tx.Get(ctx, "a")
			require.NoError(t, err)
			go func() { done <- second.Save(t.Context(), changed) }()
			select {
			case err := <-done:
				return fmt.Errorf("it did not wait: %w", err)
			case <-time.After(max(hold[s.name], 150*time.Millisecond)):
				return nil
			}
		}))
		require.NoError(t, <-done)
	})
}

// A serialization failure says only that something changed; the next try says
// that the revision did.
func TestSaveOverAChangedRecordIsAConflictAtEveryIsolation(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		settings := map[string][]string{
			"SQLite":     {"_txlock=deferred"},
			"PostgreSQL": {"default_transaction_isolation=serializable", "default_transaction_isolation=repeatable%20read"},
			"MariaDB":    {"tx_isolation='SERIALIZABLE'", "tx_isolation='REPEATABLE-READ'"},
		}
		for _, setting := range settings[s.name] {
			store := s.migrated(t, s.open(t, with(s.create(t), setting)))
			require.NoError(t, store.Save(t.Context(), token("a")))
			stale := token("a")
			stale.Revision, stale.AuthState = 2, "stale"
			done := make(chan error, 1)
			require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
				go func() { done <- store.Save(t.Context(), stale) }()
				return touch(ctx, tx, "a")
			}))
			if err := <-done; err == nil {
				continue // it came first, and touch saw it
			} else {
				require.ErrorIs(t, err, codegrant.ErrConflict)
			}
			found, err := store.Get(t.Context(), "a")
			require.NoError(t, err)
			require.Empty(t, found.AuthState)
		}
	})
}

// Databases repeat values in their errors; the store's do not.
func TestErrorsShowNoValues(t *testing.T) {
	t.Parallel()
	refusals := map[string][]string{
		"SQLite": {
			"CREATE UNIQUE INDEX u ON codegrant_tokens (user_id)",
			`CREATE TRIGGER u BEFORE INSERT ON codegrant_tokens BEGIN SELECT RAISE(ABORT, 'SECRET-VALUE'); END`,
		},
		"PostgreSQL": {
			"CREATE UNIQUE INDEX u ON codegrant_tokens (user_id)",
			"ALTER TABLE codegrant_tokens ADD CHECK (token_value = 'SECRET-VALUE-a')",
			"ALTER TABLE codegrant_tokens ALTER COLUMN login_id TYPE BIGINT USING 0",
			"ALTER TABLE codegrant_tokens ALTER COLUMN token_value TYPE VARCHAR(13)",
		},
		"MariaDB": {
			"ALTER TABLE codegrant_tokens ADD CHECK (token_value = 'SECRET-VALUE-a')",
			"ALTER TABLE codegrant_tokens MODIFY login_id BIGINT",
			"ALTER TABLE codegrant_tokens MODIFY token_value VARBINARY(13)",
			"ALTER TABLE codegrant_tokens MODIFY token_value DATE",
		},
	}
	onEach(t, func(t *testing.T, s server) {
		for _, refusal := range refusals[s.name] {
			db := s.open(t, s.create(t))
			store := s.migrated(t, db)
			_, err := db.ExecContext(t.Context(), refusal)
			require.NoError(t, err)
			if strings.HasPrefix(refusal, "CREATE UNIQUE") {
				require.NoError(t, store.Save(t.Context(), token("a")))
			}
			err = store.Save(t.Context(), token("b"))
			require.ErrorContains(t, err, "sqlstore: save: ", refusal)
			require.NotErrorIs(t, err, codegrant.ErrConflict, "it would be tried for ever")
			var log strings.Builder
			slog.New(slog.NewTextHandler(&log, nil)).Info("x", "error", err)
			require.NotContains(t, fmt.Sprintf("%v %+v %q %s", err, err, err, log.String()), "SECRET")
		}
	})
}

func TestErrorsOfTheDatabaseCarryItsCode(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		_, err := db.ExecContext(t.Context(), map[string]string{
			"SQLite":     "CREATE TRIGGER u BEFORE INSERT ON codegrant_tokens BEGIN SELECT RAISE(ABORT, 'SECRET'); END",
			"PostgreSQL": "ALTER TABLE codegrant_tokens ALTER COLUMN token_value TYPE VARCHAR(5)",
			"MariaDB":    "ALTER TABLE codegrant_tokens MODIFY token_value VARBINARY(5) NOT NULL",
		}[s.name])
		require.NoError(t, err)
		require.EqualError(t, store.Save(t.Context(), token("a")), map[string]string{
			"SQLite":     "sqlstore: save: sqlite error 19",
			"PostgreSQL": "sqlstore: save: postgresql error 22001",
			"MariaDB":    "sqlstore: save: mysql error 1406",
		}[s.name])
	})
}

func TestWeakDurabilityIsNamed(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		dsn := s.create(t)
		_, err := s.store(t, s.open(t, dsn), sqlstore.Options{}).CheckDurability(t.Context())
		require.NoError(t, err, "what it says is this server's own affair")
		weak, ok := map[string][2]string{
			"SQLite":     {"_pragma=synchronous(normal)", "PRAGMA synchronous is NORMAL"},
			"PostgreSQL": {"synchronous_commit=off", "synchronous_commit is off"},
		}[s.name]
		if !ok {
			return // MariaDB has it for the whole server alone
		}
		named, err := s.store(t, s.open(t, with(dsn, weak[0])), sqlstore.Options{}).CheckDurability(t.Context())
		require.NoError(t, err)
		require.Contains(t, strings.Join(named, "\n"), weak[1])
	})
}

// The hook's own table is on the same server.
func TestAHooksWritesCommitOrRollBackWithTheToken(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		_, err := db.ExecContext(t.Context(), "CREATE TABLE orders (id INTEGER PRIMARY KEY)")
		require.NoError(t, err)
		refusal := errors.New("refused")
		for i, end := range []error{refusal, nil} {
			require.ErrorIs(t, store.InTx(t.Context(), func(ctx context.Context, ts codegrant.TokenStore) error {
				tx, ok := sqlstore.Tx(ctx)
				require.True(t, ok)
				_, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO orders (id) VALUES (%d)", i))
				return errors.Join(err, ts.Save(ctx, token("a")), end)
			}), end)
		}
		require.Equal(t, []string{"1"}, column(t, db, "SELECT id FROM orders"))
	})
}

// PostgreSQL turns the commit of a failed transaction into a rollback.
func TestAFailedStatementOfTheHookThatIsPassedOverCommitsAllOrReports(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		store := s.migrated(t, s.open(t, s.create(t)))
		err := store.InTx(t.Context(), func(ctx context.Context, ts codegrant.TokenStore) error {
			require.NoError(t, ts.Save(ctx, token("a")))
			tx, _ := sqlstore.Tx(ctx)
			_, err := tx.ExecContext(ctx, "INSERT INTO no_such_table VALUES (1)")
			require.Error(t, err)
			return nil
		})
		_, kept := store.Get(t.Context(), "a")
		if err == nil {
			require.NoError(t, kept)
		} else {
			require.ErrorIs(t, kept, codegrant.ErrNotFound)
		}
	})
}

// MySQL's default isolation would lock the gap that the absent record is in,
// for as long as the hook takes.
func TestReadingAnAbsentRecordHoldsUpNobody(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.name == "SQLite" {
			return // a transaction holds up every writer
		}
		store := s.migrated(t, s.open(t, s.create(t)))
		require.NoError(t, store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			_, err := tx.Get(ctx, "m")
			require.ErrorIs(t, err, codegrant.ErrNotFound)
			_, err = tx.ByUser(ctx, "A1", "SECRET-USER")
			require.NoError(t, err)
			outside, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			return store.Save(outside, token("n"))
		}))
	})
}

// What a deadlock does to a transaction of MySQL, done on purpose: it is over,
// the connection goes on, and the hook has passed over the error.
func TestAHookThatPassesOverADeadlockSavesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		if s.dialect != sqlstore.MySQL {
			t.Log("elsewhere a transaction that failed refuses everything that follows")
			return
		}
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		_, err := db.ExecContext(t.Context(), "CREATE TABLE merchant_rows (id VARCHAR(9) PRIMARY KEY)")
		require.NoError(t, err)
		require.NoError(t, store.Save(t.Context(), token("a")))
		err = store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
			own, _ := sqlstore.Tx(ctx)
			_, err := own.ExecContext(ctx, "INSERT INTO merchant_rows (id) VALUES ('row')")
			require.NoError(t, err)
			_, err = own.ExecContext(ctx, "ROLLBACK")
			require.NoError(t, err)
			return touch(ctx, tx, "a")
		})
		require.ErrorIs(t, err, codegrant.ErrConflict)
		got, err := store.Get(t.Context(), "a")
		require.NoError(t, err)
		require.EqualValues(t, 1, got.Revision)
	})
}
