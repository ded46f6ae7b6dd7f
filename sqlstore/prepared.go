package sqlstore

import (
	"context"
	"database/sql"
	"sync"
)

// prepared keeps the statements of a store for the pool's life: parsed once on
// each connection, and one round trip each where a driver would otherwise need
// three (MySQL without interpolateParams). They end with the *sql.DB.
//
// PostgreSQL has none: its drivers keep statements themselves, or must not,
// behind a pooler, and the connection string says which.
type prepared struct {
	db     *sql.DB
	mu     sync.RWMutex
	byText map[string]*sql.Stmt // nil for PostgreSQL
}

func newPrepared(db *sql.DB, d Dialect) *prepared {
	p := &prepared{db: db}
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
	defer p.mu.Unlock()
	if first := p.byText[query]; first != nil {
		_ = stmt.Close() // somebody was faster
		return first, nil
	}
	p.byText[query] = stmt
	return stmt, nil
}

// forTx prepares what a transaction runs, before it begins. A failure is not
// told: running the statement tells.
func (p *prepared) forTx(ctx context.Context, s statements) {
	for _, query := range []string{
		s.getLocked, s.byFingerprintLocked, s.byUserLocked, s.tokens.insert, s.tokens.update,
		s.getPaymentLocked, s.payments.insert, s.payments.update,
	} {
		if _, err := p.get(ctx, query); err != nil {
			return
		}
	}
}

// onPool runs statements on the pool.
type onPool struct{ *prepared }

func (p onPool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	stmt, err := p.get(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return p.db.ExecContext(ctx, query, args...)
	}
	return stmt.ExecContext(ctx, args...)
}

func (p onPool) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	stmt, err := p.get(ctx, query)
	switch {
	case err != nil:
		return nil, err
	case stmt == nil:
		return p.db.QueryContext(ctx, query, args...)
	}
	return stmt.QueryContext(ctx, args...)
}

// onTx runs statements in a transaction.
type onTx struct {
	*prepared
	tx *sql.Tx
}

func (t onTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if stmt := t.known(query); stmt != nil {
		return t.tx.StmtContext(ctx, stmt).ExecContext(ctx, args...)
	}
	return t.tx.ExecContext(ctx, query, args...)
}

func (t onTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if stmt := t.known(query); stmt != nil {
		return t.tx.StmtContext(ctx, stmt).QueryContext(ctx, args...)
	}
	return t.tx.QueryContext(ctx, query, args...)
}
