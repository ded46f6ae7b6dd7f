package seal

import (
	"fmt"

	"github.com/codegrant/codegrant"
)

// Why a stored value was not returned. Each is an errors.Is target of the
// [*Error] that a sealing store returns; behind a kit the error matches
// [codegrant.ErrStore] too.
const (
	// ErrUnknownKey: the keyring has no key with the id that the value names.
	ErrUnknownKey codegrant.Code = "seal_unknown_key"
	// ErrWrongKey: the keyring's key with that id is another key than the one
	// that sealed: two environments use one id, or a key was replaced in place.
	ErrWrongKey codegrant.Code = "seal_wrong_key"
	// ErrCorrupt: the value is damaged, cut off, of a later version, or was
	// sealed for another record, field, user or account.
	ErrCorrupt codegrant.Code = "seal_corrupt"
	// ErrPlaintext: the value was stored in the clear. See [AcceptPlaintext].
	ErrPlaintext codegrant.Code = "seal_plaintext"
)

// Error says which value did not open. Its text never carries the value,
// sealed or not.
type Error struct {
	Code     codegrant.Code // one of this package's
	RecordID string         // [codegrant.Token.ID]
	Field    string         // Go field of [codegrant.Token], for example "Value"
	KeyID    string         // key that the value names; empty if it names none
}

// Error names the record, the field and the reason.
func (e *Error) Error() string {
	s := fmt.Sprintf("codegrant: seal: %s of record %q ", e.Field, e.RecordID)
	switch e.Code {
	case ErrUnknownKey:
		return s + fmt.Sprintf("is sealed with key %q, which the keyring does not have", e.KeyID)
	case ErrWrongKey:
		return s + fmt.Sprintf("is sealed with another key %q than the keyring's", e.KeyID)
	case ErrPlaintext:
		return s + "is stored in the clear"
	}
	return s + "is damaged or belongs elsewhere"
}

// Unwrap returns the code.
func (e *Error) Unwrap() error { return e.Code }
