package codegrant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Status is where a sign-up stands. It only ever rises, so that deliveries may
// repeat, overtake each other and come late. The zero Status is no status.
type Status int8

// The statuses in rising order; stores may keep the numbers.
const (
	// StatusPending: the user was sent to the wallet.
	StatusPending Status = 1
	// StatusFailed: the wallet or the gateway refused. A later success still
	// counts, for the user may have tried again on the same page.
	StatusFailed Status = 2
	// StatusActive: the token pays.
	StatusActive Status = 3
	// StatusUnbinding: the merchant asked to end it; no new charge starts.
	StatusUnbinding Status = 4
	// StatusUnbound: it is over. Nothing revives it.
	StatusUnbound Status = 5
)

// String returns the status in lower case, as JSON answers show it.
func (s Status) String() string {
	switch s {
	case StatusPending:
		return "pending"
	case StatusFailed:
		return "failed"
	case StatusActive:
		return "active"
	case StatusUnbinding:
		return "unbinding"
	case StatusUnbound:
		return "unbound"
	}
	return fmt.Sprintf("status(%d)", int8(s))
}

// MarshalText writes [Status.String].
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// EndedBy says who ended an agreement. Stores may keep the text.
type EndedBy string

// Who ended an agreement; empty while nobody has.
const (
	EndedByUser     EndedBy = "user"     // in the wallet
	EndedByMerchant EndedBy = "merchant" // through the API
	EndedByGateway  EndedBy = "gateway"  // the gateway no longer knows the token
)

// Token is the record of one sign-up. It exists, as pending, before the token
// does. Printing a Token shows no credential.
//
// A store keeps every field as it is. Times are UTC with microseconds.
type Token struct {
	ID        string // requestId of the sign-up: the primary key
	AccountID string // accId of the account that it was made with
	UserID    string // the merchant's user
	Wallet    Wallet

	Status   Status
	Handled  Status // the highest status that [Config.OnToken] has accepted
	Revision int64  // number of saves; the fencing number for hooks

	Value       Secret  // the token that pays; empty until the success arrives
	Fingerprint string  // [Fingerprint] of Value
	Reference   Secret  // token of the sign-up's synchronous answer
	AuthURL     string  // the wallet's page; often over 1,000 characters
	AuthState   string  // authState that the browser must bring back (older flow)
	ReturnTo    string  // where the browser goes after the return page
	LoginID     Secret  // the user's name in the wallet; personal data
	EndedBy     EndedBy // who ended it; empty while live

	// DoubtedAt is since when the gateway may no longer know this active token: a
	// charge was told so, or a newer sign-up may have taken its place. Zero when
	// nothing is doubted. Only a confirmation ends the token.
	DoubtedAt time.Time
	// UnsettledSince is since when this record waits for something that only
	// the gateway or a hook can give; zero when it waits for nothing. It is
	// all that [TokenStore.Unsettled] looks at. A sweep that takes the record up
	// moves it, up to 3 h into the future.
	UnsettledSince time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time // of the last change; a sweep's look is none
}

// Format writes [Token.String] for every verb and flag, so that a Token that
// strays into a log line cannot be charged.
func (t Token) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, t.String()) }

// String returns id, status and the start of the fingerprint.
func (t Token) String() string {
	return fmt.Sprintf("token(%s %s %.8s)", t.ID, t.Status, t.Fingerprint)
}

// LogValue is the group that log/slog shows for a Token.
func (t Token) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", t.ID),
		slog.String("wallet", string(t.Wallet)),
		slog.String("status", t.Status.String()),
		slog.Int64("revision", t.Revision),
	)
}

// MarshalBinary returns the whole record, secrets in the clear, for stores
// that keep records as bytes. Later versions of this package read it too.
func (t Token) MarshalBinary() ([]byte, error) {
	return json.Marshal(storedToken{
		recordFields: recordFields(t),
		Value:        t.Value.Reveal(), Reference: t.Reference.Reveal(), LoginID: t.LoginID.Reveal(),
		Status: int8(t.Status), Handled: int8(t.Handled),
	})
}

// UnmarshalBinary reads what [Token.MarshalBinary] wrote.
func (t *Token) UnmarshalBinary(data []byte) error {
	var stored storedToken
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("codegrant: not a stored token record: %T", err)
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return errors.New("codegrant: not a stored token record: null")
	}
	*t = Token(stored.recordFields)
	t.Value, t.Reference, t.LoginID = NewSecret(stored.Value), NewSecret(stored.Reference), NewSecret(stored.LoginID)
	t.Status, t.Handled = Status(stored.Status), Status(stored.Handled)
	return nil
}

// storedToken shadows the fields of a record whose own types would not
// survive JSON: secrets and statuses.
type storedToken struct {
	recordFields
	Value, Reference, LoginID string
	Status, Handled           int8
}

type recordFields Token // without Token's methods

// TokenStore keeps the records of sign-ups. A store holds no rules of the
// product: it is an insert that refuses duplicates, an update guarded by the
// revision, and four look-ups. Every method may be called concurrently, also
// from several processes, and must do nothing once ctx has ended. The kit waits
// for a call, so one that is under way should return soon after ctx ends. What
// Save has returned nil for, every later call must see, in every process; what
// is saved while a look-up runs, that look-up may miss. Texts are valid UTF-8,
// and a limit of zero or less asks for nothing. Run storetest against a new one.
type TokenStore interface {
	// Get returns the record with this id, or [ErrNotFound].
	Get(ctx context.Context, id string) (Token, error)

	// Save must store t exactly as given if the revision stored for t.ID is
	// t.Revision-1, where an absent record counts as revision 0. Otherwise it
	// must change nothing and return [ErrConflict]; the caller reloads and
	// tries again. The check and the write must be one atomic step, even across
	// processes. Any other error leaves open whether t was stored: the caller
	// looks again.
	Save(ctx context.Context, t Token) error

	// ByFingerprint returns the record with this Fingerprint, or
	// [ErrNotFound], as for the empty fingerprint. Of several it returns the
	// one that comes last by CreatedAt and then ID.
	ByFingerprint(ctx context.Context, fingerprint string) (Token, error)

	// ByUser returns the user's records in that account, the ended ones too,
	// by CreatedAt and then ID, oldest first. None is an empty result and not
	// an error.
	ByUser(ctx context.Context, accountID, userID string) ([]Token, error)

	// Unsettled returns at most limit records whose UnsettledSince is neither
	// zero nor later than olderThan, by UnsettledSince and then ID, oldest
	// first.
	Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]Token, error)
}

// TxStore is a TokenStore that can do several things in one transaction. Where
// [Config.Store] is one, the kit reads the record, runs the hook and saves
// inside a single transaction: the hook's own writes, made through what the
// store puts into ctx, commit or roll back with the record.
type TxStore interface {
	TokenStore

	// InTx calls fn with a store, and a context, whose calls all belong to one
	// transaction. It commits when fn returns nil and rolls back otherwise,
	// also when fn panics. The reads of that store must make sure that what they
	// returned does not change before the commit, or Save must notice it and
	// return [ErrConflict]. InTx returns fn's error as it is, and [ErrConflict]
	// when the transaction lost to another one and may be tried again: nothing
	// of it was kept then. fn is called at most once.
	InTx(ctx context.Context, fn func(ctx context.Context, tx TokenStore) error) error
}

// ListStore is a TokenStore that can walk over all its records, which
// re-sealing after a change of keys needs.
type ListStore interface {
	TokenStore

	// List returns at most limit records whose ID comes after afterID in the
	// order of bytes, in that order; from the beginning for "". A record that is
	// saved meanwhile may or may not be seen.
	List(ctx context.Context, afterID string, limit int) ([]Token, error)
}
