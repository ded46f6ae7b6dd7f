package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

// Get implements [codegrant.TokenStore].
func (s *Store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	query := s.sql.get
	if s.joined(ctx) != nil {
		query = s.sql.getLocked
	}
	return one(s.query(ctx, "get", query, s.key(id)))
}

// Save implements [codegrant.TokenStore] in one statement, and so in one round
// trip. Apart from the contract's, it returns [ErrPlaintext], and an error for
// a text that is too long (256 bytes in ids, account ids and fingerprints, 1,024
// in user ids, 65,535 elsewhere), not UTF-8, or holds a NUL.
func (s *Store) Save(ctx context.Context, t codegrant.Token) error {
	if err := s.check(t); err != nil {
		return err
	}
	if tx := s.joined(ctx); tx != nil {
		if err := tx.whole(ctx); err != nil {
			return err
		}
	}
	query, args := s.sql.insert, append(fieldsOf(t), s.key(t.ID))
	if t.Revision != 1 {
		// The revision always changes, so MySQL counts the row whether or not
		// the connection asks for found rows.
		query, args = s.sql.update, append(args, t.Revision-1)
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return s.wrap(ctx, "save", err)
	}
	defer leave()
	return s.run(ctx, "save", func(db querier) error {
		result, err := db.ExecContext(ctx, query, args...)
		if s.dialect == MySQL && s.dialect.classify(err) == duplicate {
			return codegrant.ErrConflict
		}
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n != 1 {
			return codegrant.ErrConflict
		}
		return err
	})
}

// ByFingerprint implements [codegrant.TokenStore].
func (s *Store) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	if fingerprint == "" {
		return codegrant.Token{}, notFound(ctx)
	}
	query := s.sql.byFingerprint
	if s.joined(ctx) != nil {
		query = s.sql.byFingerprintLocked
	}
	return one(s.query(ctx, "by fingerprint", query, fingerprint))
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	query := s.sql.byUser
	if s.joined(ctx) != nil {
		query = s.sql.byUserLocked
	}
	return s.query(ctx, "by user", query, accountID, userID)
}

// Unsettled implements [codegrant.TokenStore]. It locks nothing inside a
// transaction either, for it looks at other people's records; Save's check of
// the revision guards these.
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return s.query(ctx, "unsettled", s.sql.unsettled, olderThan.UnixMicro(), limit)
}

// List implements [codegrant.ListStore]. It locks nothing inside a transaction.
func (s *Store) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return s.query(ctx, "list", s.sql.list, s.key(afterID), limit)
}

// query returns all rows of a query over id and fields.
func (s *Store) query(ctx context.Context, op, query string, args ...any) ([]codegrant.Token, error) {
	var found []codegrant.Token
	err := s.run(ctx, op, func(db querier) error {
		found = nil
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err has told already
		for rows.Next() {
			t, err := scan(rows)
			if err != nil {
				return err
			}
			found = append(found, t)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

func one(found []codegrant.Token, err error) (codegrant.Token, error) {
	switch {
	case err != nil:
		return codegrant.Token{}, err
	case len(found) == 0:
		return codegrant.Token{}, codegrant.ErrNotFound
	}
	return found[0], nil
}

func notFound(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sqlstore: %w", err)
	}
	return codegrant.ErrNotFound
}

// querier is what *sql.DB and *sql.Tx have in common; the standard library has
// no interface for it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// run calls f with the transaction of ctx, or else with the database and then
// again as long as the database says that this is worth while.
func (s *Store) run(ctx context.Context, op string, f func(querier) error) error {
	if t := s.joined(ctx); t != nil {
		return t.run(ctx, op, f)
	}
	s.warnOnce(ctx)
	err := again(ctx, patience, func() error { return f(s.db) }, s.dialect.lost)
	return s.wrap(ctx, op, err)
}
