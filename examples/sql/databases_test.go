package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

// onEach runs test on SQLite, PostgreSQL and MariaDB, each time with a database
// of its own and a file name in a folder of its own. dsn is empty for SQLite.
func onEach(t *testing.T, test func(t *testing.T, dsn, file string)) {
	t.Helper()
	for name, create := range map[string]func(*testing.T) string{
		"SQLite": func(*testing.T) string { return "" }, "PostgreSQL": newPostgreSQL, "MariaDB": newMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t), filepath.Join(t.TempDir(), "shop.db"))
		})
	}
}

func newPostgreSQL(t *testing.T) string {
	t.Helper()
	dsn := cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Path = "/" + newDatabase(t, "pgx", dsn, "DROP DATABASE %s WITH (FORCE)")
	return u.String()
}

func newMariaDB(t *testing.T) string {
	t.Helper()
	dsn := cmp.Or(os.Getenv("MARIADB_DSN"), "root@tcp(127.0.0.1:3306)/test")
	config, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	config.DBName = newDatabase(t, "mysql", dsn, "DROP DATABASE %s")
	return config.FormatDSN()
}

// newDatabase makes a database that is dropped after the test. Where no server
// answers, the test is skipped, but in CI it fails.
func newDatabase(t *testing.T, driver, dsn, removal string) string {
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
	name := fmt.Sprintf("codegrant_shop_%d_%d", os.Getpid(), time.Now().UnixNano())
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), fmt.Sprintf(removal, name))
		require.NoError(t, err)
	})
	return name
}

// dump returns every value of every table, with the number of the tables.
func dump(t *testing.T, db *database) (text string, tables int) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), map[string]string{
		"sqlite":     "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
		"postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
		"mysql":      "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()",
	}[string(db.dialect)])
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	var names []string
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(t, rows.Err())
	for _, name := range names {
		text += name + "\n" + dumpTable(t, db, name)
	}
	return text, len(names)
}

func dumpTable(t *testing.T, db *database, name string) string {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT * FROM "+name)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	require.NoError(t, err)
	text := ""
	for rows.Next() {
		values := make([]any, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, rows.Scan(into...))
		for _, value := range values {
			if raw, ok := value.([]byte); ok {
				value = string(raw)
			}
			text += fmt.Sprintf("%v\t", value)
		}
		text += "\n"
	}
	require.NoError(t, rows.Err())
	return text
}

func bookSession() cornershop.Session {
	return cornershop.Session{ID: "SECRETID", UserID: "u", Name: "n", FormKey: "f", Ends: time.Now().Add(time.Hour)}
}

// A server that answers is not said to be silent.
func TestAMissingDatabaseIsSaidToBeMissing(t *testing.T) {
	t.Parallel()
	postgres, err := url.Parse(newPostgreSQL(t))
	require.NoError(t, err)
	postgres.Path = "/no_such_shop"
	maria, err := mysql.ParseDSN(newMariaDB(t))
	require.NoError(t, err)
	maria.DBName = "no_such_shop"
	for _, dsn := range []string{postgres.String(), maria.FormatDSN()} {
		_, err := openDatabase(t.Context(), dsn, "")
		require.EqualError(t, err, `database "no_such_shop" does not exist: create it first`)
	}
	_, err = openDatabase(t.Context(), "root@tcp(127.0.0.1:1)/shop", "")
	require.ErrorContains(t, err, "the database does not answer")
}
