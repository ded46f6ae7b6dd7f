package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
)

// prepared keeps the statements of a store for the pool's life: parsed once on
// each connection, and one round trip each where a driver would otherwise need
// three (MySQL without interpolateParams). They end with the *sql.DB.
//
// PostgreSQL has none: its drivers keep statements themselves, or must not,
// behind a pooler, and the connection string says which.
type prepared struct {
	db      *sql.DB
	dialect Dialect
	mu      sync.RWMutex
	byText  map[string]*sql.Stmt // nil for PostgreSQL
}

func newPrepared(db *sql.DB, d Dialect) *prepared {
	p := &prepared{db: db, dialect: d}
	if d != PostgreSQL {
		p.byText = make(map[string]*sql.Stmt)
	}
	return p
}

// known returns the statement if it was prepared before. Inside of a
// transaction nothing else will do: preparing takes another connection of the
// pool, which may have no other.
func (p *prepared) known(query string) *sql.Stmt {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.byText[query]
}

// get returns nil where statements are not prepared.
func (p *prepared) get(ctx context.Context, query string) (*sql.Stmt, error) {
	if p.byText == nil {
		return nil, nil
	}
	if stmt := p.known(query); stmt != nil {
		return stmt, nil
	}
	stmt, err := p.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	first := p.byText[query]
	if first == nil {
		p.byText[query] = stmt
	}
	p.mu.Unlock()
	if first != nil {
		// Somebody was faster. Closing waits for whatever runs on the connection
		// by now.
		go func() { _ = stmt.Close() }()
		return first, nil
	}
	return stmt, nil
}

// full reports whether MySQL has max_prepared_stmt_count statements and has
// refused one more: it was not run. With interpolateParams it can be run as it
// is.
func (p *prepared) full(err error) bool {
	return err != nil && p.dialect == MySQL && p.dialect.codeOf(err) == "1461"
}

// forTx prepares what a transaction runs, before it begins. A failure is not
// told: running the statement tells.
func (p *prepared) forTx(ctx context.Context, s statements) {
	for _, query := range []string{
		s.get.locked, s.byFingerprint.locked, s.byUser.locked, s.tokens.insert, s.tokens.update,
		s.getPayment.locked, s.payments.insert, s.payments.update,
	} {
		if _, err := p.get(ctx, query); err != nil {
			return
		}
	}
}

// onPool runs statements on the pool.
type onPool struct{ *prepared }

func (p onPool) exec(ctx context.Context, query string, args ...any) error {
	_, err := p.execContext(ctx, query, args)
	return err
}

// count keeps the connection until the count is read. Else database/sql may give
// it to somebody else first, and to read a count is to wait for his statement,
// perhaps for the lock that he waits for. A prepared statement cannot be run on a
// connection of one's own. SQLite needs no such care: the next one to write waits
// for the turn, which ends later.
func (p onPool) count(ctx context.Context, query string, args ...any) (int64, error) {
	if p.dialect == SQLite {
		return affected(p.execContext(ctx, query, args))
	}
	for retries := 2; ; retries-- { // as many as database/sql makes
		n, err := p.countAlone(ctx, query, args)
		if retries == 0 || !errors.Is(err, driver.ErrBadConn) {
			return n, err
		}
	}
}

func (p onPool) countAlone(ctx context.Context, query string, args []any) (int64, error) {
	conn, err := p.db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }() // it goes back to the pool
	return affected(conn.ExecContext(ctx, query, args...))
}

func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (p onPool) execContext(ctx context.Context, query string, args []any) (sql.Result, error) {
	stmt, err := p.get(ctx, query)
	if err == nil && stmt != nil {
		var result sql.Result
		if result, err = stmt.ExecContext(ctx, args...); !p.full(err) {
			return result, err
		}
	}
	if err != nil && !p.full(err) {
		return nil, err
	}
	return p.db.ExecContext(ctx, query, args...)
}

func (p onPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.get(ctx, query)
	if err == nil && stmt != nil {
		var rows *sql.Rows
		if rows, err = stmt.QueryContext(ctx, args...); !p.full(err) {
			return rows, err
		}
	}
	if err != nil && !p.full(err) {
		return nil, err
	}
	return p.db.QueryContext(ctx, query, args...)
}

// onTx runs statements in a transaction.
type onTx struct {
	*prepared
	tx *sql.Tx
}

func (t onTx) exec(ctx context.Context, query string, args ...any) error {
	_, err := t.execContext(ctx, query, args)
	return err
}

func (t onTx) count(ctx context.Context, query string, args ...any) (int64, error) {
	return affected(t.execContext(ctx, query, args))
}

func (t onTx) execContext(ctx context.Context, query string, args []any) (sql.Result, error) {
	if stmt := t.known(query); stmt != nil {
		if result, err := t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...); !t.full(err) {
			return result, err
		}
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t onTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.known(query); stmt != nil {
		if rows, err := t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...); !t.full(err) {
			return rows, err
		}
	}
	return t.tx.QueryContext(ctx, query, args...)
}
