package sqlstore

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/codegrant/codegrant"
)

// save saves a record: in the transaction of ctx, else in a commit that it may
// share with others. args are those of the insert.
func (s *Store) save(ctx context.Context, g *group, id string, revision int64, args []any) error {
	tx := s.joined(ctx)
	if tx == nil {
		return g.save(ctx, id, revision, args)
	}
	if err := tx.whole(ctx, g.op); err != nil {
		return err
	}
	return s.saveOne(ctx, g.op, g.into, revision, args)
}

// saveOne saves a record in one statement.
func (s *Store) saveOne(ctx context.Context, op string, into writes, revision int64, args []any) error {
	query, args := into.one(revision, args)
	leave, err := s.enter(ctx)
	if err != nil {
		return s.wrap(ctx, op, err)
	}
	defer leave()
	return s.run(ctx, op, func(db querier) error {
		if s.dialect == MySQL && revision == 1 {
			err := db.exec(ctx, query, args...)
			if s.dialect.classify(err) == duplicate {
				return codegrant.ErrConflict
			}
			return err
		}
		n, err := db.count(ctx, query, args...)
		if err == nil && n != 1 {
			return codegrant.ErrConflict
		}
		return err
	})
}

// rowsOf returns all rows of a query.
func rowsOf[R any](ctx context.Context, s *Store, op string, scan func(*sql.Rows) (R, error), query string, args ...any) ([]R, error) {
	var found []R
	err := s.run(ctx, op, func(db querier) error {
		found = nil
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err has told already
		for rows.Next() {
			r, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, r)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func one[R any](found []R, err error) (R, error) {
	var none R
	switch {
	case err != nil:
		return none, err
	case len(found) == 0:
		return none, codegrant.ErrNotFound
	}
	return found[0], nil
}

func notFound(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return codegrant.ErrNotFound
}

// querier runs statements on the pool or in a transaction.
type querier interface {
	exec(ctx context.Context, query string, args ...any) error
	// count returns how many rows a statement wrote.
	count(ctx context.Context, query string, args ...any) (int64, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// run calls f with the transaction of ctx, or else with the database and then
// again as long as the database says that this is worth while.
func (s *Store) run(ctx context.Context, op string, f func(querier) error) error {
	if t := s.joined(ctx); t != nil {
		return t.run(ctx, op, f)
	}
	s.warnOnce(ctx)
	err := again(ctx, patience, func() error { return f(onPool{s.prepared}) }, s.dialect.lost)
	return s.wrap(ctx, op, err)
}
