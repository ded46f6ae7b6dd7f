package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/codegrant/codegrant/sqlstore"
)

// connections of a pool: as many as a server that others use too can spare.
const connections = 32

// database is an empty one of its own that is dropped at the end.
type database struct {
	name    string
	driver  string
	dialect sqlstore.Dialect
	dsn     string
	drop    func() error
}

// databases makes one on each kind of database that is here.
func (s *session) databases(ctx context.Context) ([]database, error) {
	var all []database
	for _, one := range []struct {
		name   string
		create func(context.Context) (database, error)
	}{
		{"SQLite", func(context.Context) (database, error) { return s.sqlite("sqlite") }},
		{"PostgreSQL", func(ctx context.Context) (database, error) {
			return createPostgreSQL(ctx, cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable"))
		}},
		{"MariaDB", func(ctx context.Context) (database, error) {
			return createMariaDB(ctx, cmp.Or(os.Getenv("MARIADB_DSN"), "root@tcp(127.0.0.1:3306)/test?interpolateParams=true"))
		}},
	} {
		if s.only != "" && !strings.EqualFold(s.only, one.name) {
			continue
		}
		d, err := one.create(ctx)
		var missing leftOut
		if errors.As(err, &missing) {
			s.missing("database", err)
			continue
		}
		if err != nil {
			return all, err
		}
		s.version(d.version(ctx))
		all = append(all, d)
	}
	return all, nil
}

func dropAll(all []database) {
	for _, d := range all {
		_ = d.drop()
	}
}

func (s *session) sqlite(name string) (database, error) {
	folder, err := os.MkdirTemp(s.tmp, name)
	return database{
		name: "SQLite", driver: "sqlite", dialect: sqlstore.SQLite,
		dsn: "file:" + filepath.Join(folder, "tokens.db") +
			"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(5000)",
		drop: func() error { return os.RemoveAll(folder) },
	}, err
}

func createPostgreSQL(ctx context.Context, dsn string) (database, error) {
	name, drop, err := createOn(ctx, "PostgreSQL", "pgx", dsn, "DROP DATABASE %s WITH (FORCE)")
	if err != nil {
		return database{}, err
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return database{}, errors.Join(err, drop())
	}
	u.Path = "/" + name
	return database{name: "PostgreSQL", driver: "pgx", dialect: sqlstore.PostgreSQL, dsn: u.String(), drop: drop}, nil
}

func createMariaDB(ctx context.Context, dsn string) (database, error) {
	name, drop, err := createOn(ctx, "MariaDB", "mysql", dsn, "DROP DATABASE %s")
	if err != nil {
		return database{}, err
	}
	c, err := mysql.ParseDSN(dsn)
	if err != nil {
		return database{}, errors.Join(err, drop())
	}
	c.DBName = name
	return database{name: "MariaDB", driver: "mysql", dialect: sqlstore.MySQL, dsn: c.FormatDSN(), drop: drop}, nil
}

// createOn makes a database on a server and says how to drop it.
func createOn(ctx context.Context, kind, driver, dsn, removal string) (string, func() error, error) {
	exec := func(query string) error {
		db, err := sql.Open(driver, dsn)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		// Dropping comes after an interruption too.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		if err := db.PingContext(ctx); err != nil {
			return leftOut("no " + kind + " server answers: " + err.Error())
		}
		_, err = db.ExecContext(ctx, query)
		return err
	}
	name := fmt.Sprintf("codegrant_bench_%d_%d", os.Getpid(), time.Now().UnixNano())
	return name, func() error { return exec(fmt.Sprintf(removal, name)) }, exec("CREATE DATABASE " + name)
}

// version is the server's, with the settings that make a commit durable.
func (d database) version(ctx context.Context) string {
	query := map[sqlstore.Dialect]string{
		sqlstore.SQLite: "SELECT sqlite_version(), 'synchronous=' || synchronous || ', ' || journal_mode " +
			"FROM pragma_synchronous, pragma_journal_mode",
		sqlstore.PostgreSQL: "SELECT current_setting('server_version'), 'fsync=' || current_setting('fsync') || " +
			"', synchronous_commit=' || current_setting('synchronous_commit')",
		sqlstore.MySQL: "SELECT version(), concat('innodb_flush_log_at_trx_commit=', @@innodb_flush_log_at_trx_commit)",
	}[d.dialect]
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		return ""
	}
	defer func() { _ = db.Close() }()
	var version, durable string
	if db.QueryRowContext(ctx, query).Scan(&version, &durable) != nil {
		return ""
	}
	version, _, _ = strings.Cut(version, " ")
	return fmt.Sprintf("%s %s (%s)", d.name, version, durable)
}

// open returns the pool and a migrated store on it.
func (d database) open(ctx context.Context) (*sql.DB, *sqlstore.Store, error) {
	db, err := sql.Open(d.driver, d.dsn)
	if err != nil {
		return nil, nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	store, err := sqlstore.New(db, d.dialect, sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = store.Migrate(ctx)
	}
	if err != nil {
		return nil, nil, errors.Join(err, db.Close())
	}
	return db, store, nil
}
