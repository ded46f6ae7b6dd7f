package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

var errKilled = errors.New("killed")

// faulty is a driver over SQLite that fails when refuse says so.
type faulty struct {
	dsn    string
	driver driver.Driver
	// refuse is asked before each statement, with its text; its error is the
	// statement's.
	refuse func(query string) error
	// statements counts what reached the database.
	statements atomic.Int64
	// full refuses to prepare, as MySQL does.
	full atomic.Bool
	// lateCounts counts the results that were read when their connection was back
	// in the pool.
	lateCounts atomic.Int64
}

// openFaulty returns a database whose statements refuse may fail.
func openFaulty(t *testing.T, dsn string, refuse func(query string) error) (*sql.DB, *faulty) {
	t.Helper()
	f := &faulty{dsn: dsn, driver: open(t, dsn).Driver(), refuse: refuse}
	db := sql.OpenDB(f)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, f
}

func (f *faulty) Driver() driver.Driver { return f.driver }

func (f *faulty) Connect(context.Context) (driver.Conn, error) {
	conn, err := f.driver.Open(f.dsn)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: conn, f: f}, nil
}

type faultyConn struct {
	driver.Conn
	f      *faulty
	pooled atomic.Bool
}

// IsValid is called when the connection goes back to the pool.
func (c *faultyConn) IsValid() bool {
	c.pooled.Store(true)
	return true
}

type faultyResult struct {
	driver.Result
	c *faultyConn
}

func (r faultyResult) RowsAffected() (int64, error) {
	if r.c.pooled.Load() {
		r.c.f.lateCounts.Add(1)
	}
	return r.Result.RowsAffected()
}

func (c *faultyConn) result(r driver.Result, err error) (driver.Result, error) {
	if err != nil {
		return nil, err
	}
	return faultyResult{r, c}, nil
}

func (c *faultyConn) check(query string) error {
	c.pooled.Store(false)
	if err := c.f.refuse(query); err != nil {
		return err
	}
	c.f.statements.Add(1)
	return nil
}

func (c *faultyConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	tx, err := c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
	return &faultyTx{tx, c}, err
}

func (c *faultyConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if err := c.check(query); err != nil {
		return nil, err
	}
	return c.result(c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args))
}

func (c *faultyConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if err := c.check(query); err != nil {
		return nil, err
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

// PrepareContext prepares everything: what is refused is the running.
func (c *faultyConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if c.f.full.Load() {
		return nil, tooMany{1461}
	}
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{stmt, c, query}, nil
}

type faultyStmt struct {
	driver.Stmt
	c     *faultyConn
	query string
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.c.check(s.query); err != nil {
		return nil, err
	}
	return s.c.result(s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args))
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.c.check(s.query); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

type faultyTx struct {
	driver.Tx
	c *faultyConn
}

func (t *faultyTx) Commit() error {
	if err := t.c.check("COMMIT"); err != nil {
		return errors.Join(err, t.Rollback())
	}
	return t.Tx.Commit()
}
