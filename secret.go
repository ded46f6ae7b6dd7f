package codegrant

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[redacted]"

// Secret holds a value that must not be printed: a payment token, a salt, a
// raw message. fmt (every verb), slog, encoding/json and encoding/xml show
// "[redacted]" instead, also when it sits in an unexported field. The zero
// Secret is empty. Secrets are immutable and safe for concurrent use.
//
// A Secret does not survive encoding/json: it is written redacted and refuses
// to be read back. A store that keeps records as bytes uses
// [Token.MarshalBinary].
type Secret struct {
	// A pointer, because fmt follows no pointer below the top level: it is the
	// only shape that stays hidden inside other people's unexported fields.
	value *string
}

// NewSecret hides s. The empty string gives the zero Secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// Salts hides each value, for [Account].
func Salts(values ...string) []Secret {
	salts := make([]Secret, len(values))
	for i, v := range values {
		salts[i] = NewSecret(v)
	}
	return salts
}

// Reveal returns the hidden value. Whoever calls it owns the risk.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == nil }

// Equal compares two values in constant time.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns "[redacted]", or "" for the zero Secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format writes [Secret.String] for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, s.String())
}

// LogValue hides the value from log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText writes [Secret.String], never the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText returns [ErrRedacted] for any text but the empty one, so that
// a record which went through a text encoding is noticed before a charge.
func (s *Secret) UnmarshalText(text []byte) error {
	if len(text) > 0 {
		return ErrRedacted
	}
	*s = Secret{}
	return nil
}

// Fingerprint returns the lower-case hex SHA-256 of a token value: the name
// under which a token may be stored, searched and logged. It is "" for the
// zero Secret.
func Fingerprint(value Secret) string {
	if value.IsZero() {
		return ""
	}
	digits := fingerprintDigits(value)
	return string(digits[:])
}

// hasFingerprint reports whether fingerprint is value's.
func hasFingerprint(value Secret, fingerprint string) bool {
	digits := fingerprintDigits(value)
	return string(digits[:]) == fingerprint
}

func fingerprintDigits(value Secret) (digits [2 * sha256.Size]byte) {
	var buffer [128]byte // a token of the usual 64 characters needs no other
	sum := sha256.Sum256(append(buffer[:0], value.Reveal()...))
	hex.Encode(digits[:], sum[:])
	return digits
}
