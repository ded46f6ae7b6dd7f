package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/sqlstore"
)

// migrateVariable makes the test binary a program that migrates a database:
// "server name|connection string". It begins when its standard input ends.
const migrateVariable = "DBTEST_MIGRATE"

func TestMain(m *testing.M) {
	job, ok := os.LookupEnv(migrateVariable)
	if !ok {
		os.Exit(m.Run())
	}
	if err := migrateAsProcess(job); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func migrateAsProcess(job string) error {
	name, dsn, _ := strings.Cut(job, "|")
	for _, s := range servers() {
		if s.name != name {
			continue
		}
		db, err := sql.Open(s.driver, dsn)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		store, err := sqlstore.New(db, s.dialect, sqlstore.Options{})
		if err != nil {
			return err
		}
		_, _ = os.Stdin.Read(make([]byte, 1))
		return store.Migrate(context.Background())
	}
	return fmt.Errorf("no server %q", name)
}

// start starts n processes that migrate dsn, and lets them go together.
func start(t *testing.T, s server, dsn string, n int) []*exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	barrier, release, err := os.Pipe()
	require.NoError(t, err)
	processes := make([]*exec.Cmd, n)
	for i := range processes {
		processes[i] = exec.CommandContext(t.Context(), self)
		processes[i].Env = append(os.Environ(), migrateVariable+"="+s.name+"|"+dsn)
		processes[i].Stdin = barrier
		processes[i].Stderr = new(strings.Builder)
		require.NoError(t, processes[i].Start())
	}
	require.NoError(t, barrier.Close())
	require.NoError(t, release.Close())
	return processes
}

// schema describes every column and index of this package's tables.
func schema(t *testing.T, s server, db *sql.DB) []string {
	t.Helper()
	queries := map[string][]string{
		"SQLite": {"SELECT COALESCE(sql, name) FROM sqlite_master ORDER BY name"},
		"PostgreSQL": {
			`SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable) FROM information_schema.columns
				WHERE table_schema = 'public' ORDER BY table_name, ordinal_position`,
			"SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
		},
		"MariaDB": {
			`SELECT concat_ws(' ', table_name, column_name, column_type, is_nullable) FROM information_schema.columns
				WHERE table_schema = DATABASE() ORDER BY table_name, ordinal_position`,
			`SELECT concat_ws(' ', table_name, index_name, seq_in_index, column_name) FROM information_schema.statistics
				WHERE table_schema = DATABASE() ORDER BY table_name, index_name, seq_in_index`,
		},
	}
	var found []string
	for _, query := range queries[s.name] {
		found = append(found, column(t, db, query)...)
	}
	return found
}

// column returns the one column of a query.
func column(t *testing.T, db *sql.DB, query string, args ...any) []string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	var found []string
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		found = append(found, text)
	}
	require.NoError(t, rows.Err())
	return found
}

// complete returns the schema that one undisturbed Migrate makes.
func complete(t *testing.T, s server) []string {
	t.Helper()
	db := s.open(t, s.create(t))
	s.migrated(t, db)
	found := schema(t, s, db)
	require.NotEmpty(t, found)
	return found
}

const versions = "SELECT version FROM codegrant_migrations ORDER BY version"

// versionOne makes what the first version of this package made, with one
// record.
func versionOne(t *testing.T, s server, db *sql.DB) {
	t.Helper()
	text, err := fs.ReadFile(sqlstore.Migrations(s.dialect), "000001_tokens.up.sql")
	require.NoError(t, err)
	for _, statement := range append(strings.SplitAfter(strings.TrimSpace(string(text)), ";\n"),
		"CREATE TABLE codegrant_migrations (version INTEGER NOT NULL PRIMARY KEY, applied_at BIGINT NOT NULL)",
		"INSERT INTO codegrant_migrations (version, applied_at) VALUES (1, 0)") {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
	store := s.store(t, db, sqlstore.Options{AllowPlaintext: true})
	require.NoError(t, store.Save(t.Context(), token("from-version-1")))
	_, err = store.GetPayment(t.Context(), "a")
	require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
}

// upgraded expects that Migrate has kept what versionOne had, and that payments
// can be saved.
func upgraded(t *testing.T, store *sqlstore.Store) {
	t.Helper()
	got, err := store.Get(t.Context(), "from-version-1")
	require.NoError(t, err)
	require.Equal(t, token("from-version-1"), got)
	require.NoError(t, store.SavePayment(t.Context(), payment("a")))
	paid, err := store.GetPayment(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, payment("a"), paid)
}

// begun returns databases to migrate, by what is in them.
func begun(t *testing.T, s server) map[string]string {
	t.Helper()
	old := s.create(t)
	versionOne(t, s, s.open(t, old))
	return map[string]string{"nothing": s.create(t), "version 1": old}
}

func TestEightProcessesMigrateAtOnce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		want := complete(t, s)
		for range 3 {
			for from, dsn := range begun(t, s) {
				for _, process := range start(t, s, dsn, 8) {
					require.NoError(t, process.Wait(), process.Stderr)
				}
				db := s.open(t, dsn)
				require.Equal(t, want, schema(t, s, db))
				require.Equal(t, []string{"1", "2"}, column(t, db, versions))
				if from == "version 1" {
					upgraded(t, s.migrated(t, db))
				}
			}
		}
	})
}

func TestProcessesThatAreKilledLeaveNothingInTheWay(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		want := complete(t, s)
		for range 8 {
			for from, dsn := range begun(t, s) {
				processes := start(t, s, dsn, 3)
				for _, process := range processes {
					time.Sleep(rand.N(15 * time.Millisecond)) // where it is hit is left to chance
					require.NoError(t, process.Process.Kill())
				}
				for _, process := range processes {
					_ = process.Wait()
				}
				db := s.open(t, dsn)
				store := s.migrated(t, db)
				require.Equal(t, want, schema(t, s, db))
				require.Equal(t, []string{"1", "2"}, column(t, db, versions))
				if from == "version 1" {
					upgraded(t, store)
				}
			}
		}
	})
}

// MySQL commits each definition at once, so a process can leave any number of
// statements behind.
func TestMigrateGoesOnAfterAnyStatement(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		want := complete(t, s)
		for _, from := range []string{"nothing", "version 1"} {
			name := map[string]string{"nothing": "000001_tokens.up.sql", "version 1": "000002_payments.up.sql"}[from]
			text, err := fs.ReadFile(sqlstore.Migrations(s.dialect), name)
			require.NoError(t, err)
			statements := strings.SplitAfter(strings.TrimSpace(string(text)), ";\n")
			for done := range len(statements) + 1 {
				db := s.open(t, s.create(t))
				if from == "version 1" {
					versionOne(t, s, db)
				}
				for _, statement := range statements[:done] {
					_, err := db.ExecContext(t.Context(), statement)
					require.NoError(t, err)
				}
				store := s.migrated(t, db)
				require.Equal(t, want, schema(t, s, db))
				if from == "version 1" {
					upgraded(t, store)
				}
			}
		}
	})
}

func TestMigrateRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.migrated(t, db)
		_, err := db.ExecContext(t.Context(), "INSERT INTO codegrant_migrations (version, applied_at) VALUES (7, 0)")
		require.NoError(t, err)
		require.ErrorIs(t, store.Migrate(t.Context()), sqlstore.ErrSchemaTooNew)
	})
}

func TestAMissingSchemaIsSaid(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		store := s.store(t, db, sqlstore.Options{})
		_, err := store.Get(t.Context(), "a")
		require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
		require.NoError(t, store.Migrate(t.Context()))
		_, err = db.ExecContext(t.Context(), "ALTER TABLE codegrant_tokens DROP COLUMN doubted_at")
		require.NoError(t, err)
		_, err = store.Get(t.Context(), "a")
		require.ErrorIs(t, err, sqlstore.ErrNotMigrated)
	})
}

func TestTablePrefixKeepsStoresApart(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		db := s.open(t, s.create(t))
		s.migrated(t, db)
		want := schema(t, s, db)
		longest := strings.Repeat("x", 31) + "_"
		require.NoError(t, s.store(t, db, sqlstore.Options{TablePrefix: longest}).Migrate(t.Context()))
		all := schema(t, s, db)
		require.Len(t, all, 2*len(want))
		for _, line := range all {
			require.NotEqual(t, strings.Contains(line, longest), strings.Contains(line, "codegrant_"), line)
		}
	})
}
