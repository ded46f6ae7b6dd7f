package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

//go:embed migrations
var migrations embed.FS

// Migrations returns the migrations of a dialect for those who run them with a
// tool: plain SQL files with names such as 000001_tokens.up.sql, which goose
// and golang-migrate both read, each statement ending a line with a semicolon.
// They have the default prefix; for another one replace "codegrant_" in the
// text. There is no way down: dropping a table drops the users' tokens, or what
// is known of their payments.
//
// The tool then keeps its own record of versions. [Store.Migrate] may still be
// called later: it does nothing twice. For an unknown dialect the file system
// is empty.
func Migrations(d Dialect) fs.FS {
	sub, err := fs.Sub(migrations, path.Join("migrations", string(d)))
	if err != nil {
		return embed.FS{}
	}
	return sub
}

// Migrate brings the tables up to date, or returns [ErrSchemaTooNew] and
// changes nothing if a later version of this package has been here. An up-to-
// date schema is only read, so the account that serves needs no right to
// create tables.
//
// Any number of processes may run it at once, and a process that is killed in
// it leaves nothing behind that the next one does not finish. There is no lock
// to that end: a lock dies with its connection in some databases and outlives
// its process in others, MySQL's definitions end every transaction, and
// connection poolers and distributed databases know no advisory locks. Instead
// every statement may be repeated, alone or by several at once, with the same
// result; and the row that says that a version is complete is written last.
func (s *Store) Migrate(ctx context.Context) error {
	s.warnOnce(ctx)
	files, err := fs.ReadDir(Migrations(s.dialect), ".") // sorted by name
	if err != nil {
		return fmt.Errorf("sqlstore: migrate: %w", err)
	}
	applied, err := s.appliedVersion(ctx)
	if err != nil {
		return err
	}
	if applied > len(files) {
		return fmt.Errorf("sqlstore: migrate: the database has version %d, this package knows %d: %w",
			applied, len(files), ErrSchemaTooNew)
	}
	for i, file := range files[applied:] {
		text, err := fs.ReadFile(Migrations(s.dialect), file.Name())
		if err != nil {
			return fmt.Errorf("sqlstore: migrate: %w", err)
		}
		for n, statement := range split(withPrefix(string(text), s.prefix)) {
			if err := s.define(ctx, statement); err != nil {
				return fmt.Errorf("sqlstore: migrate: %s, statement %d: %w", file.Name(), n+1, err)
			}
		}
		version := applied + i + 1
		if err := s.define(ctx, s.sql.insertVersion, version, time.Now().UnixMicro()); err != nil {
			return fmt.Errorf("sqlstore: migrate: recording version %d: %w", version, err)
		}
		s.log.LogAttrs(ctx, slog.LevelInfo, "codegrant: schema migrated",
			slog.String("code", string(codegrant.EventMigrated)), slog.String("version", strconv.Itoa(version)),
			slog.String("file", file.Name()))
	}
	return nil
}

// SchemaVersion returns the version that the database was migrated to, 0 when
// the tables are missing, and the one that this package needs. It only reads.
func (s *Store) SchemaVersion(ctx context.Context) (applied, needed int, err error) {
	files, err := fs.ReadDir(Migrations(s.dialect), ".")
	if err != nil {
		return 0, 0, fmt.Errorf("sqlstore: schema version: %w", err)
	}
	err = s.db.QueryRowContext(ctx, s.sql.schemaVersion).Scan(&applied)
	if s.dialect.classify(err) == missing {
		err = nil
	}
	return applied, len(files), s.wrap(ctx, "schema version", err)
}

// appliedVersion returns the last complete version. It creates the table of
// versions if there is none.
func (s *Store) appliedVersion(ctx context.Context) (version int, err error) {
	read := func() error { return s.db.QueryRowContext(ctx, s.sql.schemaVersion).Scan(&version) }
	err = again(ctx, migrationPatience, read, s.dialect.lost)
	if s.dialect.classify(err) == missing {
		if err = s.define(ctx, s.sql.createVersion); err == nil {
			err = again(ctx, migrationPatience, read, s.dialect.lost)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("sqlstore: migrate: reading the version: %w", err)
	}
	return version, nil
}

// define runs a statement until it succeeded or somebody else's has. The error
// is the database's own: there are no values here that it could repeat.
func (s *Store) define(ctx context.Context, statement string, args ...any) error {
	err := again(ctx, migrationPatience, func() error {
		_, err := s.db.ExecContext(ctx, statement, args...)
		return err
	}, func(err error) bool {
		// PostgreSQL's IF NOT EXISTS looks first and creates then: of two who
		// create at once, one meets a unique index of the catalog. The next try
		// sees what the other has made.
		return s.dialect.lost(err) || (s.dialect == PostgreSQL && s.dialect.classify(err) == duplicate)
	})
	switch s.dialect.classify(err) {
	case exists, duplicate:
		return nil
	}
	if ended := ctx.Err(); err != nil && ended != nil {
		return errors.Join(ended, err)
	}
	return err
}

// split returns the statements of a migration, without its comments.
func split(text string) []string {
	var code strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "--") {
			code.WriteString(line)
		}
	}
	var found []string
	for statement := range strings.SplitSeq(code.String(), ";\n") {
		if statement = strings.TrimSpace(statement); statement != "" {
			found = append(found, statement)
		}
	}
	return found
}
