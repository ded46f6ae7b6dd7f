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
	if strings.HasPrefix(query, "SELECT id, ") || strings.HasPrefix(query, "SELECT record ") {
		values := make([]any, len(args))
		for i, arg := range args {
			values[i] = arg.Value
		}
		c.r.mu.Lock()
		c.r.found = append(c.r.found, recorded{query, values})
		c.r.mu.Unlock()
	}
	return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args)
}
