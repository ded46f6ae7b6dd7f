//go:build linux

package crash

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"os"
	"strings"

	"github.com/codegrant/codegrant/sqlstore"
)

// tally is a driver that notes each commit of a token in a file, before it is
// made: one byte, which outlives the process that is killed then.
type tally struct {
	at     target
	driver driver.Driver
	file   *os.File
}

// openTallied is sql.Open where at has a Tally.
func (at target) openTallied() (*sql.DB, error) {
	db, err := sql.Open(at.Driver, at.DSN)
	if err != nil || at.Tally == "" {
		return db, err
	}
	defer func() { _ = db.Close() }()
	file, err := os.OpenFile(at.Tally, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(tally{at, db.Driver(), file}), nil
}

func (t tally) Driver() driver.Driver { return t.driver }

func (t tally) Connect(context.Context) (driver.Conn, error) {
	conn, err := t.driver.Open(t.at.DSN)
	if err != nil {
		return nil, err
	}
	return &talliedConn{Conn: conn, t: t}, nil
}

func (t tally) commit() error {
	_, err := t.file.Write([]byte{'c'})
	return err
}

type talliedConn struct {
	driver.Conn
	t    tally
	inTx bool
}

// ran counts what commits by itself.
func (c *talliedConn) ran(query string, err error) error {
	if c.inTx || err == driver.ErrSkip || !strings.Contains(query, "codegrant_tokens") || strings.HasPrefix(query, "SELECT") {
		return err
	}
	if tallied := c.t.commit(); tallied != nil {
		return tallied
	}
	return err
}

func (c *talliedConn) ResetSession(ctx context.Context) error {
	if r, ok := c.Conn.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

func (c *talliedConn) IsValid() bool {
	v, ok := c.Conn.(driver.Validator)
	return !ok || v.IsValid()
}

func (c *talliedConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	if err != nil {
		return nil, err
	}
	c.inTx = true
	return &talliedTx{tx, c}, nil
}

func (c *talliedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	result, err := c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
	return result, c.ran(query, err)
}

func (c *talliedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c *talliedConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &talliedStmt{stmt, c, query}, nil
}

type talliedStmt struct {
	driver.Stmt
	c     *talliedConn
	query string
}

func (s *talliedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	result, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	return result, s.c.ran(s.query, err)
}

func (s *talliedStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

type talliedTx struct {
	driver.Tx
	c *talliedConn
}

func (t *talliedTx) Commit() error {
	t.c.inTx = false
	if err := t.c.t.commit(); err != nil {
		return err
	}
	return t.Tx.Commit()
}

func (t *talliedTx) Rollback() error {
	t.c.inTx = false
	return t.Tx.Rollback()
}

// keyRows makes the merchant's table one in which a row that is written twice
// is there once.
const keyRows = "CREATE UNIQUE INDEX merchant_rows_once ON merchant_rows (token_id, status)"

// once is the statement for such a row.
func (s *shop) once() string {
	if s.Dialect == sqlstore.MySQL {
		return strings.Replace(s.insert, "INSERT INTO", "INSERT IGNORE INTO", 1)
	}
	return s.insert + " ON CONFLICT (token_id, status) DO NOTHING"
}
