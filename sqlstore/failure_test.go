package sqlstore_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// busy has the shape of a modernc.org/sqlite error, with an extended code.
type busy struct{}

func (busy) Error() string { return "SECRET" }
func (busy) Code() int     { return 5 | 2<<8 } // SQLITE_BUSY_SNAPSHOT

// The shapes of the errors of drivers that this module does not have.
type (
	pgxError    struct{ code string }
	goMySQL     struct{ Number uint16 }
	mattnErrNo  int
	mattnError  struct{ Code mattnErrNo }
	wrapped     struct{ error }
	withDetails struct {
		*goMySQL // nil: looking for a field behind it must not panic
		error
	}
)

func (e *pgxError) Error() string     { return "ERROR: duplicate key SECRET" }
func (e *pgxError) SQLState() string  { return e.code }
func (e *goMySQL) Error() string      { return "Duplicate entry 'SECRET'" }
func (e mattnError) Error() string    { return "SECRET" }
func (e wrapped) Unwrap() error       { return e.error }
func (e withDetails) Error() string   { return "SECRET" }
func (e withDetails) Unwrap() []error { return []error{errors.New("x"), e.error} }

// failing returns a store whose first statements fail with err.
func failing(t *testing.T, d sqlstore.Dialect, err error, times int64) *sqlstore.Store {
	t.Helper()
	var failed atomic.Int64
	db, _ := openFaulty(t, file(t), func(query string) error {
		if strings.HasPrefix(query, "INSERT INTO codegrant_tokens") && failed.Add(1) <= times {
			return err
		}
		return nil
	})
	// SQLite understands these statements of MySQL and PostgreSQL.
	newStore(t, db)
	store, newErr := sqlstore.New(db, d, quiet())
	require.NoError(t, newErr)
	return store
}

func TestErrorsOfOtherDriversAreRecognised(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		dialect sqlstore.Dialect
		err     error
	}{
		"pgx: serialization failure":         {sqlstore.PostgreSQL, &pgxError{"40001"}},
		"pgx: deadlock, wrapped":             {sqlstore.PostgreSQL, wrapped{&pgxError{"40P01"}}},
		"go-sql-driver: deadlock":            {sqlstore.MySQL, &goMySQL{1213}},
		"go-sql-driver: lock wait, joined":   {sqlstore.MySQL, errors.Join(errors.New("x"), &goMySQL{1205})},
		"go-sql-driver: behind a nil struct": {sqlstore.MySQL, withDetails{nil, &goMySQL{1213}}},
		"modernc: busy snapshot":             {sqlstore.SQLite, busy{}},
		"mattn: locked":                      {sqlstore.SQLite, mattnError{6}},
		"text of pgx alone":                  {sqlstore.PostgreSQL, errors.New("ERROR: could not serialize (SQLSTATE 40001)")},
		"text of go-sql-driver alone":        {sqlstore.MySQL, errors.New("Error 1213 (40001): Deadlock found")},
		"text of SQLite alone":               {sqlstore.SQLite, errors.New("database is locked")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, failing(t, tc.dialect, tc.err, 3).Save(t.Context(), token("a")), "tried again")
		})
	}
}

func TestADuplicateKeyOfMySQLIsAConflict(t *testing.T) {
	t.Parallel()
	store := failing(t, sqlstore.MySQL, &goMySQL{1062}, 1)
	require.Equal(t, codegrant.ErrConflict, store.Save(t.Context(), token("a")))
}

func TestOtherFailuresAreNotRepeatedAndShowNoValues(t *testing.T) {
	t.Parallel()
	network := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for want, tc := range map[string]struct {
		dialect sqlstore.Dialect
		err     error
	}{
		"sqlstore: save: postgresql error 22001":             {sqlstore.PostgreSQL, &pgxError{"22001"}},
		"sqlstore: save: postgresql error 23505":             {sqlstore.PostgreSQL, &pgxError{"23505"}}, // of another index
		"sqlstore: save: mysql error 1406":                   {sqlstore.MySQL, &goMySQL{1406}},
		"sqlstore: save: sqlite error 13":                    {sqlstore.SQLite, mattnError{13}},
		"sqlstore: save: dial tcp: connection refused":       {sqlstore.PostgreSQL, fmt.Errorf("SECRET: %w", network)},
		"sqlstore: save: *errors.errorString":                {sqlstore.PostgreSQL, errors.New("cannot encode SECRET-VALUE-a")},
		"sqlstore: save: *fmt.wrapError":                     {sqlstore.MySQL, fmt.Errorf("SECRET %w", errors.New("x"))},
		"sqlstore: save: postgresql error 42P01: the tables": {sqlstore.PostgreSQL, &pgxError{"42P01"}},
		"sqlstore: save: mysql error 1146: the tables":       {sqlstore.MySQL, &goMySQL{1146}},
		"sqlstore: save: sqlite error 1":                     {sqlstore.SQLite, mattnError{1}},
		"sqlstore: save: sqlite error 26":                    {sqlstore.SQLite, mattnError{26}},
		"sqlstore: save: postgresql error 25006":             {sqlstore.PostgreSQL, &pgxError{"25006"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			err := failing(t, tc.dialect, tc.err, 1).Save(t.Context(), token("a"))
			require.ErrorIs(t, err, tc.err, "whoever needs the driver's error finds it")
			require.NotErrorIs(t, err, codegrant.ErrConflict)
			var shown strings.Builder
			slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "error", err)
			for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %q", err, err, err), shown.String()} {
				require.NotContains(t, text, "SECRET")
				require.Contains(t, text, want)
			}
		})
	}
}
