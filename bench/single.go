package main

import (
	"context"
	"database/sql"
	"time"

	"github.com/codegrant/codegrant"
)

// The look-ups of sqlstore, by hand.
const (
	bareSelect        = "SELECT id, " + bareFields + " FROM codegrant_tokens WHERE "
	bareByID          = "id = ?"
	bareByFingerprint = "fingerprint = ? ORDER BY created_at DESC, id DESC LIMIT 1"
	bareByUser        = "account_id = ? AND user_id = ? ORDER BY created_at, id"
)

// single is a store that does everything on its own: a statement for each
// look-up, and a commit for each save.
type single struct {
	codegrant.TokenStore
	bare *bare
}

func (s single) Save(ctx context.Context, t codegrant.Token) error { return s.bare.save(ctx, t) }

func (s single) Get(ctx context.Context, id string) (codegrant.Token, error) {
	return firstOf(s.bare.look(ctx, bareByID, keyOf(s.bare.dialect, id)))
}

func (s single) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	return firstOf(s.bare.look(ctx, bareByFingerprint, fingerprint))
}

func (s single) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.bare.look(ctx, bareByUser, accountID, userID)
}

func firstOf(found []codegrant.Token, err error) (codegrant.Token, error) {
	if err == nil && len(found) == 0 {
		err = codegrant.ErrNotFound
	}
	if err != nil {
		return codegrant.Token{}, err
	}
	return found[0], nil
}

// look makes one look-up.
func (b *bare) look(ctx context.Context, where string, args ...any) (found []codegrant.Token, err error) {
	var rows *sql.Rows
	if stmt := b.lookUps[where]; stmt != nil {
		rows, err = stmt.QueryContext(ctx, args...)
	} else {
		rows, err = b.db.QueryContext(ctx, numbered(bareSelect+where), args...)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var t codegrant.Token
		var value, reference, loginID string
		var doubted, unsettled sql.Null[int64]
		var created, updated int64
		if err := rows.Scan(&t.ID, &t.AccountID, &t.UserID, &t.Wallet, &t.Status, &t.Handled, &t.Revision, &value, &t.Fingerprint,
			&reference, &t.AuthURL, &t.AuthState, &t.ReturnTo, &loginID, &t.EndedBy, &doubted, &unsettled, &created, &updated); err != nil {
			return nil, err
		}
		t.Value, t.Reference, t.LoginID = codegrant.NewSecret(value), codegrant.NewSecret(reference), codegrant.NewSecret(loginID)
		t.DoubtedAt, t.UnsettledSince = at(doubted), at(unsettled)
		t.CreatedAt, t.UpdatedAt = time.UnixMicro(created).UTC(), time.UnixMicro(updated).UTC()
		found = append(found, t)
	}
	return found, rows.Err()
}

func at(micros sql.Null[int64]) time.Time {
	if !micros.Valid {
		return time.Time{}
	}
	return time.UnixMicro(micros.V).UTC()
}
