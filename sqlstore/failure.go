package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"strconv"
	"strings"

	"github.com/codegrant/codegrant"
)

// failure is a database's error. Its text has the code and not the words,
// because databases and drivers repeat values in theirs: PostgreSQL in the
// detail of a constraint, MySQL in "Duplicate entry", pgx when it cannot encode
// an argument. Unwrap leads to all of it.
type failure struct {
	op     string
	what   string
	causes []error
}

func (f *failure) Error() string   { return "sqlstore: " + f.op + ": " + f.what }
func (f *failure) Unwrap() []error { return f.causes }

// wrap makes err safe to print and gives it the errors of the contract.
// [codegrant.ErrConflict] and nil stay as they are.
func (s *Store) wrap(ctx context.Context, op string, err error) error {
	if err == nil || err == error(codegrant.ErrConflict) { //nolint:errorlint // exactly what Save returned
		return err
	}
	f := &failure{op: op, what: s.dialect.describe(err), causes: []error{err}}
	if ended := ctx.Err(); ended != nil {
		f.what, f.causes = ended.Error(), []error{ended, err}
		return f
	}
	switch s.dialect.classify(err) {
	case lost:
		f.causes = append(f.causes, codegrant.ErrConflict)
	case missing:
		f.what += ": the tables are missing or older than this package: run Migrate"
		f.causes = append(f.causes, ErrNotMigrated)
	}
	return f
}

// describe says what happened in words that hold no values.
func (d Dialect) describe(err error) string {
	if code := d.codeOf(err); code != "" {
		return string(d) + " error " + code
	}
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Error()
	}
	for _, known := range []error{
		context.Canceled, context.DeadlineExceeded, sql.ErrTxDone, sql.ErrConnDone, driver.ErrBadConn,
		io.ErrUnexpectedEOF, io.EOF, errNoRecord,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if text := err.Error(); text == "invalid connection" { // go-sql-driver's, for a server that went away
		return text
	}
	return fmt.Sprintf("%T", err)
}

// class is what an error means to this package.
type class int

const (
	other     class = iota
	lost            // to another transaction: nothing of it was kept, it may be tried again
	duplicate       // the key exists
	missing         // no such table or column
	exists          // what a migration was to create
)

// lost reports whether err may be tried again.
func (d Dialect) lost(err error) bool { return d.classify(err) == lost }

// classify reads the database's own code; nil is other.
func (d Dialect) classify(err error) class {
	if err == nil {
		return other
	}
	switch string(d) + " " + d.codeOf(err) {
	// PostgreSQL, appendix A: serialization_failure, deadlock_detected,
	// lock_not_available.
	case "postgresql 40001", "postgresql 40P01", "postgresql 55P03",
		// MySQL: deadlock, lock wait timeout, snapshot too old (MariaDB's
		// innodb_snapshot_isolation), definition changed, prepare again.
		// And, from the guard alone, that the savepoint is gone.
		"mysql 1213", "mysql 1205", "mysql 1020", "mysql 1412", "mysql 1615", "mysql 1305",
		// SQLite: BUSY, LOCKED.
		"sqlite 5", "sqlite 6":
		return lost
	case "postgresql 23505", "mysql 1062":
		return duplicate
	case "postgresql 42P01", "postgresql 42703", "mysql 1146", "mysql 1054":
		return missing
	case "postgresql 42P07", "postgresql 42701", "postgresql 42710", "mysql 1050", "mysql 1060", "mysql 1061":
		return exists
	case "sqlite 1", "sqlite ":
		// SQLITE_ERROR means anything: only the text tells.
		switch text := err.Error(); {
		case strings.Contains(text, "no such table"), strings.Contains(text, "no such column"),
			strings.Contains(text, "has no column named"):
			return missing
		case strings.Contains(text, "already exists"), strings.Contains(text, "duplicate column name"):
			return exists
		}
	}
	return other
}

// codeOf returns the code that the database gave to err: an SQLSTATE of
// PostgreSQL, an error number of MySQL, a primary result code of SQLite. It is
// "" for an error that does not come from the database.
//
// Drivers are not imported, so each kind is known by its shape: pgx and lib/pq
// by a method SQLState; go-sql-driver by a field Number; modernc.org/sqlite by
// a method Code, mattn/go-sqlite3 by a field Code. Only where nothing fits, as
// with a driver that is wrapped by one which keeps the text alone, is the text
// looked at.
func (d Dialect) codeOf(err error) string {
	code := ""
	walk(err, func(err error) bool {
		switch d {
		case PostgreSQL:
			if e, ok := err.(interface{ SQLState() string }); ok {
				code = e.SQLState()
			}
		case MySQL:
			code = number(err, "Number")
		case SQLite:
			if e, ok := err.(interface{ Code() int }); ok {
				code = strconv.Itoa(e.Code() & 0xff)
			} else {
				code = number(err, "Code")
			}
		}
		return code == ""
	})
	if code == "" && err != nil {
		code = d.codeInText(err.Error())
	}
	return code
}

// codeInText knows the codes that something is done about.
func (d Dialect) codeInText(text string) string {
	marks := map[Dialect]map[string]string{
		PostgreSQL: {"SQLSTATE 40001": "40001", "SQLSTATE 40P01": "40P01", "SQLSTATE 42P01": "42P01"},
		MySQL:      {"Error 1213": "1213", "Error 1205": "1205", "Error 1062": "1062", "Error 1146": "1146"},
		SQLite:     {"database is locked": "5", "database table is locked": "6"},
	}
	for mark, code := range marks[d] {
		if strings.Contains(text, mark) {
			return code
		}
	}
	return ""
}

// number returns the integer field of that name in the struct behind err.
func number(err error, field string) string {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.Kind() != reflect.Struct {
		return ""
	}
	found, ok := v.Type().FieldByName(field)
	if !ok || len(found.Index) != 1 {
		return ""
	}
	switch f := v.FieldByIndex(found.Index); {
	case f.CanInt():
		return strconv.FormatInt(f.Int(), 10)
	case f.CanUint():
		return strconv.FormatUint(f.Uint(), 10)
	}
	return ""
}

// walk visits err and all that it wraps until visit returns false.
func walk(err error, visit func(error) bool) bool {
	if err == nil {
		return true
	}
	if !visit(err) {
		return false
	}
	switch e := err.(type) { //nolint:errorlint // this is the unwrapping
	case interface{ Unwrap() error }:
		return walk(e.Unwrap(), visit)
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			if !walk(inner, visit) {
				return false
			}
		}
	}
	return true
}
