package sqlstore

import (
	"cmp"
	"context"
	"time"

	"github.com/codegrant/codegrant"
)

// Get implements [codegrant.TokenStore]. Look-ups by id, by fingerprint and by user
// that wait for each other outside of transactions share one statement.
func (s *Store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return one(s.byID.find(ctx, id, ""))
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
	return one(s.byFingerprint.find(ctx, fingerprint, ""))
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.byUser.find(ctx, userID, accountID)
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

func tokenID(t codegrant.Token) string          { return t.ID }
func tokenUser(t codegrant.Token) string        { return t.UserID }
func tokenFingerprint(t codegrant.Token) string { return t.Fingerprint }

func oldestFirst(a, b codegrant.Token) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.ID, b.ID))
}

func newestFirst(a, b codegrant.Token) int { return oldestFirst(b, a) }
