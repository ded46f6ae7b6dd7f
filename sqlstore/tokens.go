package sqlstore

import (
	"context"
	"time"

	"github.com/codegrant/codegrant"
)

// Get implements [codegrant.TokenStore].
func (s *Store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	query := s.sql.get
	if s.joined(ctx) != nil {
		query = s.sql.getLocked
	}
	return one(rowsOf(ctx, s, "get", scan, query, s.key(id)))
}

// Save implements [codegrant.TokenStore] in one statement, and so in one round
// trip. Saves that wait for each other outside of transactions share one commit;
// one that fails costs no other. Apart from the contract's, it returns [ErrPlaintext], and an error for
// a text that is too long (256 bytes in ids, account ids and fingerprints, 1,024
// in user ids, 65,535 elsewhere), not UTF-8, or holds a NUL.
func (s *Store) Save(ctx context.Context, t codegrant.Token) error {
	if err := s.check(t); err != nil {
		return err
	}
	return s.save(ctx, s.tokens, t.ID, t.Revision, append(fieldsOf(t), s.key(t.ID)))
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
	return one(rowsOf(ctx, s, "by fingerprint", scan, query, fingerprint))
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	query := s.sql.byUser
	if s.joined(ctx) != nil {
		query = s.sql.byUserLocked
	}
	return rowsOf(ctx, s, "by user", scan, query, accountID, userID)
}

// Unsettled implements [codegrant.TokenStore]. It locks nothing inside a
// transaction either, for it looks at other people's records; Save's check of
// the revision guards these.
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return rowsOf(ctx, s, "unsettled", scan, s.sql.unsettled, olderThan.UnixMicro(), limit)
}

// List implements [codegrant.ListStore]. It locks nothing inside a transaction.
func (s *Store) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return rowsOf(ctx, s, "list", scan, s.sql.list, s.key(afterID), limit)
}
