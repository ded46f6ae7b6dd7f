package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver pgx
)

//go:embed schema.sql
var schema string

// errNoPostgreSQL says what is missing.
var errNoPostgreSQL = errors.New("no PostgreSQL server answers; on Debian: apt-get install postgresql, " +
	"and -dsn postgres://user:password@host:5432/postgres")

// createDatabase makes a database for this run on the server that dsn names, for
// the simulated gateway forgets everything at the end too. drop removes it.
func createDatabase(ctx context.Context, dsn string) (own string, drop func() error, err error) {
	u, err := url.Parse(dsn)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return "", nil, errors.New("-dsn is not postgres://user@host/db") // it may hold a password
	}
	server, err := sql.Open("pgx", dsn)
	if err != nil {
		return "", nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if err := server.PingContext(ctx); err != nil {
		return "", nil, errors.Join(errNoPostgreSQL, err, server.Close())
	}
	name := "codegrant_cluster_" + strings.ToLower(rand.Text()[:10])
	if _, err := server.ExecContext(ctx, "CREATE DATABASE "+name); err != nil {
		return "", nil, errors.Join(fmt.Errorf("a database of its own: %w", err), server.Close())
	}
	u.Path = "/" + name
	return u.String(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_, err := server.ExecContext(ctx, "DROP DATABASE "+name+" WITH (FORCE)")
		return errors.Join(err, server.Close())
	}, nil
}

// openDatabase opens the database and makes the shop's own tables.
func openDatabase(ctx context.Context, dsn string) (*sql.DB, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	// All instances together stay below the server's max_connections, also when
	// an old and a new process of one overlap.
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	db.SetConnMaxIdleTime(time.Minute)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := makeTables(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("tables of the shop: %w", err), db.Close())
	}
	return db, nil
}

// makeTables runs schema.sql in one transaction that no other instance runs at
// the same time: PostgreSQL's IF NOT EXISTS fails when two do.
func makeTables(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(20261127)"); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, schema); err != nil {
		return err
	}
	return tx.Commit()
}
