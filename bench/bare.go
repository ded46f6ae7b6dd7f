package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// What sqlstore says to the database, by hand.
const (
	bareFields = "account_id, user_id, wallet, status, handled, revision, token_value, fingerprint, bind_reference, " +
		"auth_url, auth_state, return_to, login_id, ended_by, doubted_at, unsettled_since, created_at, updated_at"
	bareUpdate = "UPDATE codegrant_tokens SET account_id = ?, user_id = ?, wallet = ?, status = ?, handled = ?, " +
		"revision = ?, token_value = ?, fingerprint = ?, bind_reference = ?, auth_url = ?, auth_state = ?, " +
		"return_to = ?, login_id = ?, ended_by = ?, doubted_at = ?, unsettled_since = ?, created_at = ?, " +
		"updated_at = ? WHERE id = ? AND revision = ?"
)

// bare saves changed records with one statement and one commit each, as well as
// that can be done by hand on the driver: statements stay prepared, and SQLite's
// one writer is waited for in a queue instead of by polling.
type bare struct {
	dialect sqlstore.Dialect
	db      *sql.DB
	update  *sql.Stmt // nil on PostgreSQL, whose driver keeps statements itself
	lookUps map[string]*sql.Stmt
	turn    chan struct{} // nil where there may be many writers
}

func newBare(ctx context.Context, db *sql.DB, d sqlstore.Dialect) (*bare, error) {
	b := &bare{dialect: d, db: db, lookUps: make(map[string]*sql.Stmt)}
	if d == sqlstore.SQLite {
		b.turn = make(chan struct{}, 1)
	}
	if d == sqlstore.PostgreSQL {
		return b, nil
	}
	var err error
	for _, where := range []string{bareByID, bareByFingerprint, bareByUser} {
		if b.lookUps[where], err = db.PrepareContext(ctx, bareSelect+where); err != nil {
			return nil, err
		}
	}
	b.update, err = db.PrepareContext(ctx, bareUpdate)
	return b, err
}

func (b *bare) save(ctx context.Context, t codegrant.Token) error {
	if b.turn != nil {
		b.turn <- struct{}{}
		defer func() { <-b.turn }()
	}
	args := append(bareValues(t), keyOf(b.dialect, t.ID), t.Revision-1)
	var result sql.Result
	var err error
	if b.update != nil {
		result, err = b.update.ExecContext(ctx, args...)
	} else {
		result, err = b.db.ExecContext(ctx, numberedUpdate, args...)
	}
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("%d rows changed", n))
	}
	return nil
}

var numberedUpdate = numbered(bareUpdate)

func numbered(query string) string {
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

func keyOf(d sqlstore.Dialect, id string) any {
	if d == sqlstore.PostgreSQL {
		return []byte(id)
	}
	return id
}

// bareValues are the fields of a record in the order of bareFields.
func bareValues(t codegrant.Token) []any {
	optional := func(at time.Time) any {
		if at.IsZero() {
			return nil
		}
		return at.UnixMicro()
	}
	return []any{
		t.AccountID, t.UserID, string(t.Wallet), int64(t.Status), int64(t.Handled), t.Revision, t.Value.Reveal(), t.Fingerprint,
		t.Reference.Reveal(), t.AuthURL, t.AuthState, t.ReturnTo, t.LoginID.Reveal(), string(t.EndedBy),
		optional(t.DoubtedAt), optional(t.UnsettledSince), t.CreatedAt.UnixMicro(), t.UpdatedAt.UnixMicro(),
	}
}
