package main

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite" // the driver sqlite, without cgo

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

//go:embed schema.sql
var schema string

// database is where everything lies.
type database struct {
	*sql.DB
	dialect sqlstore.Dialect
	name    string // of the database on its server
}

// openDatabase opens the database that dsn names or, if dsn is empty, the
// SQLite file, and makes the shop's own tables.
func openDatabase(ctx context.Context, dsn, file string) (*database, error) {
	db, err := connect(dsn, file)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxIdleTime(time.Minute)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		return nil, errors.Join(db.notOpened(err), db.Close())
	}
	for statement := range strings.SplitSeq(strings.TrimSpace(schema), ";\n\n") {
		if _, err := db.ExecContext(ctx, db.adapt(statement)); err != nil {
			return nil, errors.Join(fmt.Errorf("tables of the shop: %w", err), db.Close())
		}
	}
	return db, nil
}

func connect(dsn, file string) (*database, error) {
	switch {
	case dsn == "":
		path, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		// With the write-ahead log and synchronous FULL, what was committed
		// survives a power failure too. IMMEDIATE, because a transaction that
		// begins by reading cannot become one that writes once another has
		// written.
		source := url.URL{Scheme: "file", Path: filepath.ToSlash(path), OmitHost: true, RawQuery: url.Values{
			"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(FULL)"},
			"_txlock": {"immediate"},
		}.Encode()}
		db, err := sql.Open("sqlite", source.String())
		return &database{db, sqlstore.SQLite, path}, err
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		config, err := pgx.ParseConfig(dsn)
		if err != nil {
			return nil, errors.New("-dsn is no connection string of PostgreSQL") // the driver's words may repeat it
		}
		return &database{stdlib.OpenDB(*config), sqlstore.PostgreSQL, config.Database}, nil
	case strings.Contains(dsn, "@tcp("), strings.Contains(dsn, "@unix("):
		config, err := mysql.ParseDSN(dsn)
		if err != nil {
			return nil, fmt.Errorf("-dsn: %w", err)
		}
		config.ClientFoundRows = false // adapt and change rely on it
		connector, err := mysql.NewConnector(config)
		if err != nil {
			return nil, fmt.Errorf("-dsn: %w", err)
		}
		return &database{sql.OpenDB(connector), sqlstore.MySQL, config.DBName}, nil
	}
	return nil, errors.New("-dsn is neither postgres://user@host/db nor user:pass@tcp(host)/db") // it may hold a password
}

// notOpened says why the database cannot be used. A server that answered that it
// has no such database is told from one that does not answer, by its own code:
// PostgreSQL, appendix A, and MariaDB, error 1049.
func (d *database) notOpened(err error) error {
	var postgres *pgconn.PgError
	var maria *mysql.MySQLError
	switch {
	case errors.As(err, &postgres) && postgres.Code == "3D000",
		errors.As(err, &maria) && maria.Number == 1049:
		return fmt.Errorf("database %q does not exist: create it first", d.name)
	case errors.As(err, &postgres), errors.As(err, &maria):
		return fmt.Errorf("the database refuses: %w", err)
	}
	return fmt.Errorf("the database does not answer: %w", err)
}

// stores returns the stores for the kit, in tables of their own: that of the
// tokens sealed, and that of the payments, which hold no credential.
func (d *database) stores(ctx context.Context, keys *seal.Keyring) (codegrant.TokenStore, codegrant.PaymentStore, error) {
	inner, err := sqlstore.New(d.DB, d.dialect, sqlstore.Options{})
	if err != nil {
		return nil, nil, err
	}
	if err := inner.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	store, err := seal.New(inner, keys)
	if err != nil {
		return nil, nil, err
	}
	// Wrong keys are found out now and not when the first buyer pays.
	if list, ok := store.(codegrant.ListStore); ok {
		if _, err := list.List(ctx, "", 10); err != nil {
			return nil, nil, fmt.Errorf("the keys do not open the tokens in the database: %w", err)
		}
	}
	return store, inner, nil
}

// change runs a statement and reports whether it changed a row. Statements are
// written for SQLite.
func (d *database) change(ctx context.Context, statement string, args ...any) (bool, error) {
	result, err := d.in(ctx).ExecContext(ctx, d.adapt(statement), args...)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// in returns the transaction that ctx belongs to, which is so inside the kit's
// hooks: what they write is committed together with the kit's record, or not at
// all. SQLite would also make any other connection wait until the hook is over.
func (d *database) in(ctx context.Context) querier {
	if tx, ok := sqlstore.Tx(ctx); ok {
		return tx
	}
	return d.DB
}

// querier is what *sql.DB and *sql.Tx have in common.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// adapt turns a statement for SQLite into one for this database.
func (d *database) adapt(statement string) string {
	switch d.dialect {
	case sqlstore.PostgreSQL: // numbers its parameters
		var b strings.Builder
		for i, part := range strings.Split(statement, "?") {
			if i > 0 {
				b.WriteString("$" + strconv.Itoa(i))
			}
			b.WriteString(part)
		}
		return b.String()
	case sqlstore.MySQL:
		return strings.NewReplacer(
			"TEXT", "VARBINARY(1000)", // bytes: no collation makes two names one
			"ON CONFLICT DO NOTHING", "ON DUPLICATE KEY UPDATE id = id",
			"failed_refunds || ?", "CONCAT(failed_refunds, ?)",
		).Replace(statement)
	}
	return statement
}
