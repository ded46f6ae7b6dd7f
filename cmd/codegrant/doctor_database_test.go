package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

const (
	keyOne = "k1:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
	keyTwo = "k2:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY="
)

// testDatabase is an empty database of each kind that is there.
type testDatabase struct {
	url     string // DATABASE_URL
	dialect sqlstore.Dialect
	db      *sql.DB // for preparing it
	prefix  string
}

// onEachDatabase runs a test on SQLite, and on the servers that answer. In CI
// all must.
func onEachDatabase(t *testing.T, test func(t *testing.T, d testDatabase)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a b%20.db")
		db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(),
			RawQuery: "_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)"}).String())
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		require.NoError(t, db.PingContext(t.Context()))
		test(t, testDatabase{url: path, dialect: sqlstore.SQLite, db: db, prefix: "codegrant_"})
	})
	for name, server := range map[sqlstore.Dialect]struct{ variable, url string }{
		sqlstore.PostgreSQL: {"POSTGRES_DSN", "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"},
		sqlstore.MySQL:      {"MARIADB_DSN", "root@tcp(127.0.0.1:3306)/test"},
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			dsn := cmp.Or(os.Getenv(server.variable), server.url)
			db, dialect, err := openDatabase(dsn)
			require.NoError(t, err)
			require.Equal(t, name, dialect)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if err := db.PingContext(ctx); err != nil {
				require.NotEqual(t, "true", os.Getenv("CI"), "%s is not there: %v", name, err)
				t.Skipf("%s is not there: %v", name, err)
			}
			prefix := strings.ToLower(strings.ReplaceAll(probeID(), "-", "_")) + "_"
			t.Cleanup(func() {
				for _, table := range []string{"tokens", "payments", "migrations"} {
					_, err := db.ExecContext(context.WithoutCancel(t.Context()), "DROP TABLE IF EXISTS "+prefix+table)
					require.NoError(t, err)
				}
			})
			test(t, testDatabase{url: dsn, dialect: dialect, db: db, prefix: prefix})
		})
	}
}

// store returns a migrated store, and the same with values sealed by keys.
func (d testDatabase) store(t *testing.T, keys string) (*sqlstore.Store, codegrant.TokenStore) {
	t.Helper()
	store, err := sqlstore.New(d.db, d.dialect, sqlstore.Options{
		TablePrefix: d.prefix, AllowPlaintext: keys == "", Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	require.NoError(t, store.Migrate(t.Context()))
	if keys == "" {
		return store, store
	}
	keyring, err := seal.ParseKeyring(keys)
	require.NoError(t, err)
	sealing, err := seal.New(store, keyring)
	require.NoError(t, err)
	return store, sealing
}

func saveToken(t *testing.T, store codegrant.TokenStore, id string) {
	t.Helper()
	now, value := time.Now().UTC().Truncate(time.Microsecond), codegrant.NewSecret("value of "+id)
	require.NoError(t, store.Save(t.Context(), codegrant.Token{
		ID: id, AccountID: "A", UserID: "mia", Wallet: codegrant.GCash, Status: codegrant.StatusActive, Handled: codegrant.StatusActive,
		Revision: 1, Value: value, Fingerprint: codegrant.Fingerprint(value), CreatedAt: now, UpdatedAt: now,
	}))
}

func (d testDatabase) examine(t *testing.T, keys string, args ...string) diagnosis {
	t.Helper()
	variables, more := healthy(t)
	variables["DATABASE_URL"], variables["CODEGRANT_KEYS"] = d.url, keys
	return examine(t, variables, append(append(more, "-timeout", "10s", "-table-prefix", d.prefix), args...)...)
}

func TestDoctorOnADatabaseThatIsNotMigrated(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		got := d.examine(t, keyOne)
		got.require(t, "ok", "database", "answers")
		got.require(t, "FAIL", "schema", "tables are missing")
		require.Empty(t, got.of("keyring"))
		require.Equal(t, 1, got.status)
		_, err := d.db.ExecContext(t.Context(), "SELECT 1 FROM "+d.prefix+"migrations")
		require.Error(t, err, "the doctor made a table")
	})
}

func TestDoctorOnSchemasAndKeys(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		store, sealing := d.store(t, keyOne)
		saveToken(t, sealing, "T1")
		saveToken(t, sealing, "T2")

		got := d.examine(t, keyOne)
		got.require(t, "ok", "schema", "version 2 is current")
		got.require(t, "ok", "keyring", "opens all of 2 records")
		if d.dialect != sqlstore.SQLite {
			got.require(t, "ok", "clock-database", "agrees")
		}
		require.NotEmpty(t, got.of("durability"))
		require.Zero(t, got.status, got.text)

		d.examine(t, keyTwo+","+keyOne).require(t, "warn", "keyring", "2 of 2 records are sealed with an older key")
		d.examine(t, keyTwo).require(t, "FAIL", "keyring", "does not open")
		d.examine(t, strings.Replace(keyTwo, "k2", "k1", 1)).require(t, "FAIL", "keyring", "does not open")
		d.examine(t, "k1:short").require(t, "FAIL", "keyring", "CODEGRANT_KEYS: ")
		d.examine(t, "").require(t, "FAIL", "keyring", "2 of 2 records are sealed")

		_, err := d.db.ExecContext(t.Context(), "INSERT INTO "+d.prefix+"migrations (version, applied_at) VALUES (3, 0)")
		require.NoError(t, err)
		d.examine(t, keyOne).require(t, "FAIL", "schema", "knows only 2")
		_, err = d.db.ExecContext(t.Context(), "DELETE FROM "+d.prefix+"migrations WHERE version > 1")
		require.NoError(t, err)
		got = d.examine(t, keyOne)
		got.require(t, "FAIL", "schema", "migrations are pending")
		got.require(t, "ok", "keyring", "")
		applied, needed, err := store.SchemaVersion(t.Context())
		require.NoError(t, err)
		require.Equal(t, []int{1, 2}, []int{applied, needed}, "the doctor does not migrate")
	})
}

func TestDoctorOnTokensInTheClear(t *testing.T) {
	t.Parallel()
	onEachDatabase(t, func(t *testing.T, d testDatabase) {
		_, plain := d.store(t, "")
		saveToken(t, plain, "T1")
		d.examine(t, "").require(t, "warn", "keyring", "tokens rest as they are")
		d.examine(t, keyOne).require(t, "warn", "keyring", "1 of 1 records are not sealed")
	})
}

func TestDoctorNamesWeakDurability(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "weak.db")
	db, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	d := testDatabase{url: path, dialect: sqlstore.SQLite, db: db, prefix: "codegrant_"}
	d.store(t, "")
	d.examine(t, keyOne).require(t, "ok", "durability", "")
	d.url = "file:" + path + "?_pragma=synchronous(off)&_pragma=journal_mode(wal)"
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	d.examine(t, keyOne).require(t, "warn", "durability", "PRAGMA synchronous is OFF")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, before, after, "nothing was written, not even the journal mode")
}

func TestWaysToNameADatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "shop.db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	for dsn, want := range map[string]sqlstore.Dialect{
		"postgres://a:b@localhost/db": sqlstore.PostgreSQL, "postgresql://localhost/db": sqlstore.PostgreSQL,
		"root@tcp(127.0.0.1)/db": sqlstore.MySQL, "a:b@unix(/run/mysqld.sock)/db?x=1": sqlstore.MySQL, "mysql://a:b@host/db": sqlstore.MySQL,
		path: sqlstore.SQLite, "sqlite:" + path: sqlstore.SQLite, "sqlite://" + path: sqlstore.SQLite, "file:" + path + "?_txlock=immediate": sqlstore.SQLite,
	} {
		db, dialect, err := openDatabase(dsn)
		require.NoError(t, err, dsn)
		require.Equal(t, want, dialect, dsn)
		if dialect == sqlstore.SQLite {
			require.NoError(t, db.PingContext(t.Context()), dsn)
			_, err := db.ExecContext(t.Context(), "CREATE TABLE t (a)")
			require.Error(t, err, "nothing can be written")
		}
		require.NoError(t, db.Close())
	}
}

func TestDriversWordsShowNoPassword(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:secretword@h/db", "u:secretword@tcp(h)/db"} {
		for _, words := range []string{"cannot use " + dsn, "u with secretword is wrong"} {
			require.NotContains(t, withoutSecrets(errors.New(words), dsn), "secretword")
		}
	}
}

func TestDoctorOnDatabasesThatAreNotThere(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "none.db")
	for name, tc := range map[string]struct{ url, says string }{
		"no file":              {missing, "no such SQLite file"},
		"a folder":             {t.TempDir(), "no such SQLite file"},
		"in memory":            {":memory:", "forgets"},
		"in memory, as a file": {"file:x?mode=memory", "forgets"},
		"nobody listens":       {"postgres://u:secretword@127.0.0.1:1/db", "does not answer"},
		"nor here":             {"u:secretword@tcp(127.0.0.1:1)/db", "does not answer"},
		"no URL":               {"postgres://u:secretword@%zz/db", "no connection string of PostgreSQL"},
		"nor by a URL":         {"mysql://u:secretword@127.0.0.1:1/db", "does not answer"},
		"half a URL":           {"u:secretword@tcp(127.0.0.1", "no connection string of MySQL"},
		"another database":     {"mongodb://u:secretword@127.0.0.1", "neither"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := testDatabase{url: tc.url}.examine(t, "")
			d.require(t, "FAIL", "database", tc.says)
			require.NotContains(t, d.text, "secretword")
		})
	}
	_, err := os.Stat(missing)
	require.ErrorIs(t, err, os.ErrNotExist)
}
