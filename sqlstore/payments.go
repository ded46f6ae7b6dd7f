package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"
	"unicode/utf8"

	"github.com/codegrant/codegrant"
)

// maxRecord is how many bytes a payment's record may have: over a thousand
// refunds, and well within what a server takes in one statement.
const maxRecord = 1 << 20

// GetPayment implements [codegrant.PaymentStore].
func (s *Store) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	return one(s.paymentByID.find(ctx, id, ""))
}

// SavePayment implements [codegrant.PaymentStore] in one statement. Apart from
// the contract's errors, it returns one for a text that is not UTF-8, for one
// with a column of its own that holds a NUL or is too long (256 bytes, 1,024 in
// user ids), for a record of over 1 MiB, and, whatever AllowPlaintext says,
// [ErrPlaintext] for a payment whose Last.Token is set: a payment's record holds
// no credential, and is not sealed.
func (s *Store) SavePayment(ctx context.Context, p codegrant.Payment) error {
	record, err := recordOf(p)
	if err != nil {
		return err
	}
	return s.save(ctx, s.payments, p.ID, p.Revision, append(paymentFieldsOf(p, record), s.key(p.ID)))
}

// UnsettledPayments implements [codegrant.PaymentStore]. Like [Store.Unsettled]
// it locks nothing.
func (s *Store) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Payment, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	return rowsOf(ctx, s, "unsettled payments", scanPayment, s.sql.unsettledPayments, olderThan.UnixMicro(), limit)
}

const savePayment = "save payment" // in errors

// recordOf returns the whole payment as text. It refuses what would not come
// back exactly.
func recordOf(p codegrant.Payment) (string, error) {
	// MarshalBinary writes a Secret as "[redacted]", which nobody can read back.
	if !p.Last.Token.IsZero() {
		return "", fmt.Errorf("sqlstore: %s: Last.Token is set: %w", savePayment, ErrPlaintext)
	}
	err := checkColumns(savePayment, []column{
		{"ID", p.ID, maxKey},
		{"AccountID", p.AccountID, maxKey},
		{"OrderID", p.OrderID, maxKey},
		{"UserID", p.UserID, maxUser},
		{"TokenID", p.TokenID, maxKey},
		{"Wallet", string(p.Wallet), maxKey},
		{"Outcome", string(p.Outcome), maxKey},
		{"Amount.Currency", p.Amount.Currency, maxKey},
	})
	if err != nil {
		return "", err
	}
	// What the gateway said may hold a NUL, which JSON escapes.
	if name := invalidText(reflect.ValueOf(p), ""); name != "" {
		return "", fmt.Errorf("sqlstore: %s: %s is not valid UTF-8", savePayment, name)
	}
	record, err := p.MarshalBinary()
	if err != nil { // a year beyond 9999; the error's text names it
		return "", fmt.Errorf("sqlstore: %s: the record cannot be written as JSON: %T", savePayment, err)
	}
	if len(record) > maxRecord {
		return "", fmt.Errorf("sqlstore: %s: the record is longer than %d bytes", savePayment, maxRecord)
	}
	return string(record), nil
}

// invalidText names a text that is not UTF-8, which JSON would change without
// a word. It looks by reflection, so that it misses no field that a payment
// gains.
func invalidText(v reflect.Value, name string) string {
	switch v.Kind() {
	case reflect.String:
		if !utf8.ValidString(v.String()) {
			return name
		}
	case reflect.Slice:
		for i := range v.Len() {
			if found := invalidText(v.Index(i), name); found != "" {
				return found
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			inner := v.Type().Field(i).Name
			if name != "" {
				inner = name + "." + inner
			}
			if found := invalidText(v.Field(i), inner); found != "" {
				return found
			}
		}
	}
	return ""
}

// paymentFieldsOf returns the parameters for the columns of paymentFields.
func paymentFieldsOf(p codegrant.Payment, record string) []any {
	return []any{
		p.AccountID, p.OrderID, p.UserID, p.TokenID, string(p.Wallet), int64(p.Attempt), string(p.Outcome),
		p.Amount.Minor, p.Amount.Currency, p.Revision,
		optional(p.UnsettledSince), p.CreatedAt.UnixMicro(), p.UpdatedAt.UnixMicro(), record,
	}
}

func scanPayment(rows *sql.Rows) (codegrant.Payment, error) {
	var (
		p      codegrant.Payment
		record sql.RawBytes
	)
	if err := rows.Scan(&record); err != nil {
		return p, err
	}
	if err := p.UnmarshalBinary(record); err != nil {
		return codegrant.Payment{}, errNoRecord
	}
	return p, nil
}

// errNoRecord is about a row that this package has not written.
var errNoRecord = errors.New("the column record holds no payment")
