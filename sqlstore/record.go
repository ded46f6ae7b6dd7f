package sqlstore

import (
	"database/sql"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
)

// Longest texts, in bytes: what MySQL's columns hold. They hold for every
// dialect, so that a record which one database takes can move to another, and
// they are checked here, because a MySQL outside of strict mode would cut the
// text and report success.
const (
	maxKey  = 256
	maxUser = 1024 // 256 characters of up to 4 bytes
	maxText = 1<<16 - 1
)

// column is a text and the room that it has.
type column struct {
	name, value string
	most        int
}

func checkColumns(op string, columns []column) error {
	for _, c := range columns {
		if len(c.value) > c.most {
			return fmt.Errorf("sqlstore: %s: %s is longer than %d bytes", op, c.name, c.most)
		}
		if !utf8.ValidString(c.value) || strings.Contains(c.value, "\x00") {
			return fmt.Errorf("sqlstore: %s: %s is not valid UTF-8 without NUL", op, c.name)
		}
	}
	return nil
}

// check refuses what could not be stored exactly, or not safely.
func (s *Store) check(t codegrant.Token) error {
	err := checkColumns("save", []column{
		{"ID", t.ID, maxKey},
		{"AccountID", t.AccountID, maxKey},
		{"UserID", t.UserID, maxUser},
		{"Wallet", string(t.Wallet), maxKey},
		{"Value", t.Value.Reveal(), maxText},
		{"Fingerprint", t.Fingerprint, maxKey},
		{"Reference", t.Reference.Reveal(), maxText},
		{"AuthURL", t.AuthURL, maxText},
		{"AuthState", t.AuthState, maxText},
		{"ReturnTo", t.ReturnTo, maxText},
		{"LoginID", t.LoginID.Reveal(), maxText},
		{"EndedBy", string(t.EndedBy), maxKey},
	})
	if err != nil {
		return err
	}
	if s.plain {
		return nil
	}
	for _, secret := range []struct {
		name  string
		value codegrant.Secret
	}{{"Value", t.Value}, {"Reference", t.Reference}, {"LoginID", t.LoginID}} {
		if !secret.value.IsZero() && !seal.Sealed(secret.value) {
			return fmt.Errorf("sqlstore: save: %s: %w; wrap the store with package seal or set AllowPlaintext",
				secret.name, ErrPlaintext)
		}
	}
	return nil
}

// key is an id as a parameter: the column is binary on PostgreSQL.
func (s *Store) key(id string) any {
	if s.dialect == PostgreSQL {
		return []byte(id)
	}
	return id
}

// fieldsOf returns the parameters for the columns of fields.
func fieldsOf(t codegrant.Token) []any {
	return []any{
		t.AccountID, t.UserID, string(t.Wallet), int64(t.Status), int64(t.Handled), t.Revision,
		t.Value.Reveal(), t.Fingerprint, t.Reference.Reveal(), t.AuthURL, t.AuthState, t.ReturnTo,
		t.LoginID.Reveal(), string(t.EndedBy),
		optional(t.DoubtedAt), optional(t.UnsettledSince), t.CreatedAt.UnixMicro(), t.UpdatedAt.UnixMicro(),
	}
}

// scan reads a row of id and fields.
func scan(rows *sql.Rows) (codegrant.Token, error) {
	var (
		t                         codegrant.Token
		value, reference, loginID string
		doubted, unsettled        sql.Null[int64]
		created, updated          int64
	)
	err := rows.Scan(&t.ID,
		&t.AccountID, &t.UserID, &t.Wallet, &t.Status, &t.Handled, &t.Revision,
		&value, &t.Fingerprint, &reference, &t.AuthURL, &t.AuthState, &t.ReturnTo,
		&loginID, &t.EndedBy,
		&doubted, &unsettled, &created, &updated)
	t.Value, t.Reference, t.LoginID = codegrant.NewSecret(value), codegrant.NewSecret(reference), codegrant.NewSecret(loginID)
	if doubted.Valid {
		t.DoubtedAt = moment(doubted.V)
	}
	if unsettled.Valid {
		t.UnsettledSince = moment(unsettled.V)
	}
	t.CreatedAt, t.UpdatedAt = moment(created), moment(updated)
	return t, err
}

// Times are integers because they are then exact, alike in every database, and
// independent of time zones of servers, sessions and drivers. The two that are
// always set need no NULL: even the zero time is a number of microseconds.

func moment(micros int64) time.Time { return time.UnixMicro(micros).UTC() }

// optional makes the zero time NULL, which the index of unsettled records
// leaves out.
func optional(at time.Time) sql.Null[int64] {
	return sql.Null[int64]{V: at.UnixMicro(), Valid: !at.IsZero()}
}
