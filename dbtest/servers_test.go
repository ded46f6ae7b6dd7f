package dbtest

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/codegrant/codegrant/sqlstore"
)

// server is a kind of database that the tests run on.
type server struct {
	name    string
	dialect sqlstore.Dialect
	driver  string
	// create makes a new database that is dropped after the test, and returns
	// its connection string.
	create func(t testing.TB) string
}

// servers are the databases of this machine, or those that POSTGRES_DSN and
// MARIADB_DSN name.
func servers() []server {
	return []server{
		{"SQLite", sqlstore.SQLite, "sqlite", createSQLite},
		{"PostgreSQL", sqlstore.PostgreSQL, "pgx", createPostgreSQL},
		{"MariaDB", sqlstore.MySQL, "mysql", createMariaDB},
	}
}

// onEach runs test on every server, each time with a database of its own.
func onEach(t *testing.T, test func(t *testing.T, s server)) {
	t.Helper()
	for _, s := range servers() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(t, s)
		})
	}
}

func (s server) open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(s.driver, dsn)
	require.NoError(t, err)
	// Cases run in parallel, and a server takes about a hundred connections.
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// store returns a store on db that is not migrated.
func (s server) store(t testing.TB, db *sql.DB, o sqlstore.Options) *sqlstore.Store {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	store, err := sqlstore.New(db, s.dialect, o)
	require.NoError(t, err)
	return store
}

// migrated returns a store that takes secrets in the clear.
func (s server) migrated(t testing.TB, db *sql.DB) *sqlstore.Store {
	t.Helper()
	store := s.store(t, db, sqlstore.Options{AllowPlaintext: true})
	require.NoError(t, store.Migrate(t.Context()))
	return store
}

func createSQLite(t testing.TB) string {
	t.Helper()
	return "file:" + filepath.Join(t.TempDir(), "tokens.db") + "?_pragma=journal_mode(wal)&_pragma=busy_timeout(2000)"
}

func createPostgreSQL(t testing.TB) string {
	t.Helper()
	dsn := cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
	name := create(t, "pgx", dsn, "CREATE DATABASE %s", "DROP DATABASE %s WITH (FORCE)")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

func createMariaDB(t testing.TB) string {
	t.Helper()
	dsn := cmp.Or(os.Getenv("MARIADB_DSN"), "root@tcp(127.0.0.1:3306)/test")
	config, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	config.DBName = create(t, "mysql", dsn, "CREATE DATABASE %s", "DROP DATABASE %s")
	return config.FormatDSN()
}

// create makes a database on a server and returns its name. Where no server
// answers, the test is skipped, but in CI it fails.
func create(t testing.TB, driver, dsn, creation, removal string) string {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no %s server: %v", driver, err)
		}
		t.Skipf("no %s server: %v", driver, err)
	}
	name := fmt.Sprintf("codegrant_%d_%d", os.Getpid(), time.Now().UnixNano())
	_, err = db.ExecContext(ctx, fmt.Sprintf(creation, name))
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), fmt.Sprintf(removal, name))
		require.NoError(t, err)
	})
	return name
}

// with adds a parameter to a connection string.
func with(dsn, parameter string) string {
	if strings.Contains(dsn, "?") {
		return dsn + "&" + parameter
	}
	return dsn + "?" + parameter
}
