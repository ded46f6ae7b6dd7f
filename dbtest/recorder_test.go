package dbtest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorder is a driver that remembers the SELECTs that pass through it.
type recorder struct {
	dsn    string
	driver driver.Driver

	mu    sync.Mutex
	found []recorded
}

type recorded struct {
	query string
	args  []any
}

func (s server) record(t *testing.T, dsn string) (*sql.DB, *recorder) {
	t.Helper()
	r := &recorder{dsn: dsn, driver: s.open(t, dsn).Driver()}
	db := sql.OpenDB(r)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db, r
}

func (r *recorder) Driver() driver.Driver { return r.driver }

func (r *recorder) Connect(context.Context) (driver.Conn, error) {
	conn, err := r.driver.Open(r.dsn)
	if err != nil {
		return nil, err
	}
	return recordingConn{conn, r}, nil
}

type recordingConn struct {
	driver.Conn
	r *recorder
}

func (c recordingConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c recordingConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args)
}

func (c recordingConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c.r.note(query, args)
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}

func (c recordingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	stmt, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return recordingStmt{stmt, c.r, query}, nil
}

type recordingStmt struct {
	driver.Stmt
	r     *recorder
	query string
}

func (s recordingStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

func (s recordingStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	s.r.note(s.query, args)
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}

// note keeps a look-up.
func (r *recorder) note(query string, args []driver.NamedValue) {
	if strings.HasPrefix(query, "SELECT id, ") || strings.HasPrefix(query, "SELECT record ") ||
		strings.HasPrefix(query, "SELECT t.* ") {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg.Value
		}
		r.mu.Lock()
		r.found = append(r.found, recorded{query, values})
		r.mu.Unlock()
	}
}
