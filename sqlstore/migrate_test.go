package sqlstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// schema returns the definitions of all tables and indexes.
func schema(t *testing.T, db *sql.DB) []string {
	t.Helper()
	return column(t, db, "SELECT COALESCE(sql, name) FROM sqlite_master ORDER BY name")
}

// column returns the last column of a query.
func column(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	var found []string
	for rows.Next() {
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(sql.NullString)
		}
		require.NoError(t, rows.Scan(into...))
		found = append(found, into[len(into)-1].(*sql.NullString).String)
	}
	require.NoError(t, rows.Err())
	return found
}

func TestMigrateMakesEveryLookUpUseAnIndex(t *testing.T) {
	t.Parallel()
	var plans []string
	dsn := file(t)
	direct := open(t, dsn)
	newStore(t, direct)
	db, _ := openFaulty(t, dsn, func(query string) error {
		if strings.HasPrefix(query, "SELECT id, ") || strings.HasPrefix(query, "SELECT record ") {
			args := make([]any, strings.Count(query, "?"))
			for i := range args {
				args[i] = "1"
			}
			plans = append(plans, strings.Join(column(t, direct, "EXPLAIN QUERY PLAN "+query, args...), "; "))
		}
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	ctx := t.Context()
	_, err = store.Get(ctx, "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = store.ByFingerprint(ctx, "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = store.ByUser(ctx, "a", "b")
	require.NoError(t, err)
	_, err = store.Unsettled(ctx, created, 10)
	require.NoError(t, err)
	_, err = store.List(ctx, "", 10)
	require.NoError(t, err)
	_, err = store.GetPayment(ctx, "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = store.UnsettledPayments(ctx, created, 10)
	require.NoError(t, err)
	require.Equal(t, []string{
		"SEARCH codegrant_tokens USING INDEX sqlite_autoindex_codegrant_tokens_1 (id=?)",
		"SEARCH codegrant_tokens USING INDEX codegrant_tokens_by_fingerprint (fingerprint=?)",
		"SEARCH codegrant_tokens USING INDEX codegrant_tokens_by_user (account_id=? AND user_id=?)",
		"SEARCH codegrant_tokens USING INDEX codegrant_tokens_unsettled (unsettled_since>? AND unsettled_since<?)",
		"SEARCH codegrant_tokens USING INDEX sqlite_autoindex_codegrant_tokens_1 (id>?)",
		"SEARCH codegrant_payments USING INDEX sqlite_autoindex_codegrant_payments_1 (id=?)",
		"SEARCH codegrant_payments USING INDEX codegrant_payments_unsettled (unsettled_since>? AND unsettled_since<?)",
	}, plans, "no SCAN and no temporary B-tree for the order")
}

func TestMigrateMayRunAnyNumberOfTimes(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store := newStore(t, db)
	before := schema(t, db)
	require.NoError(t, store.Save(t.Context(), token("kept")))
	for range 3 {
		require.NoError(t, store.Migrate(t.Context()))
	}
	require.Equal(t, before, schema(t, db))
	_, err := store.Get(t.Context(), "kept")
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, column(t, db, "SELECT version FROM codegrant_migrations ORDER BY version"))
}

func TestMigrateMayRunAtOnce(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	var (
		wg    sync.WaitGroup
		errs  [8]error
		start = make(chan struct{})
	)
	for i := range errs {
		db := open(t, dsn) // a pool of its own, as in a process of its own
		store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
		require.NoError(t, err)
		wg.Go(func() {
			<-start
			if errs[i] = store.Migrate(t.Context()); errs[i] == nil {
				errs[i] = store.Save(t.Context(), token(fmt.Sprint("from-", i)))
			}
		})
	}
	close(start)
	wg.Wait()
	require.Equal(t, [8]error{}, errs)
	alone := open(t, file(t))
	newStore(t, alone)
	db := open(t, dsn)
	require.Equal(t, schema(t, alone), schema(t, db))
	require.Equal(t, []string{"1", "2"}, column(t, db, "SELECT version FROM codegrant_migrations ORDER BY version"))
}

func TestMigrateKilledAtAnyStatementIsFinishedByTheNext(t *testing.T) {
	t.Parallel()
	for name, upgrade := range map[string]bool{"from nothing": false, "from version 1": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedAtAnyStatement(t, upgrade)
		})
	}
}

func killedAtAnyStatement(t *testing.T, upgrade bool) {
	t.Helper()
	alone := open(t, file(t))
	newStore(t, alone)
	want := schema(t, alone)
	for n := int64(0); ; n++ {
		dsn := file(t)
		if upgrade {
			versionOne(t, open(t, dsn))
		}
		var f *faulty
		db, f := openFaulty(t, dsn, func(string) error {
			if f.statements.Load() >= n {
				return errKilled
			}
			return nil
		})
		store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
		require.NoError(t, err)
		err = store.Migrate(t.Context())
		after := open(t, dsn)
		again := newStore(t, after)
		require.Equal(t, want, schema(t, after), "after %d statements", n)
		if upgrade {
			_, err := again.Get(t.Context(), "from-version-1")
			require.NoError(t, err)
		}
		if err == nil {
			require.Greater(t, n, int64(3), "the statements were not counted")
			return
		}
		require.ErrorIs(t, err, errKilled)
	}
}

// versionOne makes the tables that the first version of this package made,
// with one record.
func versionOne(t *testing.T, db *sql.DB) {
	t.Helper()
	text, err := fs.ReadFile(sqlstore.Migrations(sqlstore.SQLite), "000001_tokens.up.sql")
	require.NoError(t, err)
	for _, statement := range []string{
		string(text),
		"CREATE TABLE codegrant_migrations (version INTEGER NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)",
		"INSERT INTO codegrant_migrations (version, applied_at) VALUES (1, 0)",
	} {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), token("from-version-1")))
}

// A process that was updated but has not migrated yet goes on with tokens, and
// says why it has no payments.
func TestVersionOneServesTokensAndIsMigratedWithItsData(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	versionOne(t, db)
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	before, err := store.Get(t.Context(), "from-version-1")
	require.NoError(t, err)
	_, err = store.GetPayment(t.Context(), "a")
	require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
	require.ErrorIs(t, store.SavePayment(t.Context(), payment("a")), sqlstore.ErrNotMigrated)
	_, err = store.UnsettledPayments(t.Context(), created, 10)
	require.ErrorIs(t, err, sqlstore.ErrNotMigrated)

	require.NoError(t, store.Migrate(t.Context()))
	after, err := store.Get(t.Context(), "from-version-1")
	require.NoError(t, err)
	require.Equal(t, before, after)
	require.NoError(t, store.SavePayment(t.Context(), payment("a")))
	require.Equal(t, []string{"1", "2"}, column(t, db, "SELECT version FROM codegrant_migrations ORDER BY version"))
}

func TestMigrateRefusesANewerSchemaAndChangesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store := newStore(t, db)
	_, err := db.ExecContext(t.Context(), "INSERT INTO codegrant_migrations (version, applied_at) VALUES (3, 0)")
	require.NoError(t, err)
	before := schema(t, db)
	err = store.Migrate(t.Context())
	require.ErrorIs(t, err, sqlstore.ErrSchemaTooNew)
	require.ErrorContains(t, err, "the database has version 3, this package knows 2")
	require.Equal(t, before, schema(t, db))
	require.NoError(t, store.Save(t.Context(), token("old-process")), "a process that is still running goes on")
}

func TestMigrateOnlyReadsAnUpToDateSchema(t *testing.T) {
	t.Parallel()
	dsn := file(t)
	newStore(t, open(t, dsn))
	db, _ := openFaulty(t, dsn, func(query string) error {
		if !strings.HasPrefix(query, "SELECT ") {
			return fmt.Errorf("not allowed: %s", query)
		}
		return nil
	})
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
}

func TestMigrateDoesNothingOnceTheContextHasEnded(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, store.Migrate(ctx), context.Canceled)
	require.Empty(t, schema(t, db))
}

func TestTablePrefixKeepsStoresApart(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	options := quiet()
	options.TablePrefix = "shop_2_"
	other, err := sqlstore.New(db, sqlstore.SQLite, options)
	require.NoError(t, err)
	require.NoError(t, other.Migrate(t.Context()))
	for _, name := range column(t, db, "SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'") {
		require.True(t, strings.HasPrefix(name, "shop_2_"), name)
	}
	store := newStore(t, db)
	require.NoError(t, other.Save(t.Context(), token("a")))
	_, err = store.Get(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
}

func TestAMissingSchemaIsSaid(t *testing.T) {
	t.Parallel()
	store, err := sqlstore.New(open(t, file(t)), sqlstore.SQLite, quiet())
	require.NoError(t, err)
	_, err = store.Get(t.Context(), "a")
	require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
	require.ErrorIs(t, store.Save(t.Context(), token("a")), sqlstore.ErrNotMigrated)
	require.ErrorIs(t, store.InTx(t.Context(), func(context.Context, codegrant.TokenStore) error { return nil }),
		sqlstore.ErrNotMigrated)
}

func TestASchemaWithoutAColumnIsSaid(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store := newStore(t, db)
	_, err := db.ExecContext(t.Context(), "ALTER TABLE codegrant_tokens DROP COLUMN doubted_at")
	require.NoError(t, err)
	_, err = store.Get(t.Context(), "a")
	require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
	require.ErrorIs(t, store.Save(t.Context(), token("a")), sqlstore.ErrNotMigrated)
}

func TestMigrationsAreForGooseAndGolangMigrate(t *testing.T) {
	t.Parallel()
	for _, d := range []sqlstore.Dialect{sqlstore.SQLite, sqlstore.PostgreSQL, sqlstore.MySQL} {
		names, err := fs.Glob(sqlstore.Migrations(d), "*")
		require.NoError(t, err)
		require.NotEmpty(t, names)
		for i, name := range names {
			require.Regexp(t, fmt.Sprintf(`^%06d_[a-z_]+\.up\.sql$`, i+1), name, "numbered without gaps")
			text, err := fs.ReadFile(sqlstore.Migrations(d), name)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(text), "-- +goose Up\n"), "goose wants it")
			require.True(t, strings.HasSuffix(string(text), ";\n"))
			for line := range strings.Lines(string(text)) {
				at := strings.Index(line, ";")
				require.True(t, at < 0 || at == len(line)-2, "statements are split at the end of a line: %s", line)
			}
		}
	}
	names, err := fs.Glob(sqlstore.Migrations("oracle"), "*")
	require.NoError(t, err)
	require.Empty(t, names)
	_, err = fs.ReadDir(sqlstore.Migrations(sqlstore.SQLite), ".")
	require.NoError(t, err)
}

// The exported files are what Migrate runs: a tool's tables serve the store,
// and Migrate may follow.
func TestTheExportedMigrationsAreEnough(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	names, err := fs.Glob(sqlstore.Migrations(sqlstore.SQLite), "*")
	require.NoError(t, err)
	for _, name := range names {
		text, err := fs.ReadFile(sqlstore.Migrations(sqlstore.SQLite), name)
		require.NoError(t, err)
		_, err = db.ExecContext(t.Context(), string(text))
		require.NoError(t, err)
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.NoError(t, store.Save(t.Context(), token("a")))
	require.NoError(t, store.SavePayment(t.Context(), payment("a")))
	require.NoError(t, store.Migrate(t.Context()))
	_, err = store.Get(t.Context(), "a")
	require.NoError(t, err)
	_, err = store.GetPayment(t.Context(), "a")
	require.NoError(t, err)
}

func TestSchemaVersionOnlyReads(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	applied, needed, err := store.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Zero(t, applied)
	require.Positive(t, needed)
	require.Empty(t, schema(t, db))

	require.NoError(t, store.Migrate(t.Context()))
	applied, needed, err = store.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, needed, applied)

	_, err = db.ExecContext(t.Context(), "DELETE FROM codegrant_migrations WHERE version = ?", needed)
	require.NoError(t, err)
	applied, _, err = store.SchemaVersion(t.Context())
	require.NoError(t, err)
	require.Equal(t, needed-1, applied)

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = store.SchemaVersion(ended)
	require.ErrorIs(t, err, context.Canceled)
}
