package seal

import (
	"encoding/base64"
	"encoding/binary"
	"strings"

	"github.com/codegrant/codegrant"
)

// The text form of a sealed value, which later versions of this package must
// go on reading (testdata/cgs1.json):
//
//	cgs1.<key id>.<base64url, unpadded: check | nonce | ciphertext | tag>
//
// check is [checkSize] bytes of an HMAC that tells a wrong key from a damaged
// value; nonce (12 bytes), ciphertext and tag (16 bytes) are AES-256-GCM's.
const (
	family    = "cgs" // followed by a version number and a dot
	version   = "cgs1"
	prefix    = version + "."
	checkSize = 4
	maxID     = 16
	// minBody is the base64 of the shortest body: empty values are not sealed,
	// so there is at least one byte beside check, nonce and tag.
	minBody = (4*(checkSize+12+1+16) + 2) / 3
)

// encoding is strict about the bits behind the last byte, so that a value has
// one text only.
var encoding = base64.RawURLEncoding.Strict()

// Sealed reports whether s has the form that this package writes. It looks at
// the form alone and needs no key: a damaged value may still have it. The
// empty Secret has not, for an empty value is stored as it is. A store uses it
// to refuse values in the clear.
//
// A value of n bytes becomes at most 66 + 4n/3 characters, all of them ASCII.
func Sealed(s codegrant.Secret) bool {
	_, _, ok := split(s.Reveal())
	return ok
}

// KeyID returns the id of the key that s names as the one that sealed it. Like
// [Sealed] it looks at the form alone.
func KeyID(s codegrant.Secret) (id string, ok bool) {
	id, _, ok = split(s.Reveal())
	return id, ok
}

// split returns the key id and the base64 body of a sealed text.
func split(text string) (id, body string, ok bool) {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return "", "", false
	}
	id, body, ok = strings.Cut(rest, ".")
	if !ok || !validID(id) || len(body) < minBody || len(body)%4 == 1 || !inAlphabet(body) {
		return "", "", false
	}
	return id, body, true
}

// claims reports whether text begins as sealed values of any version do:
// damaged or too new rather than in the clear.
func claims(text string) bool {
	rest, ok := strings.CutPrefix(text, family)
	digits := strings.TrimLeft(rest, "0123456789")
	return ok && len(digits) < len(rest) && strings.HasPrefix(digits, ".")
}

// validID keeps key ids short, and free of the dot, the colon and the comma.
func validID(id string) bool { return len(id) >= 1 && len(id) <= maxID && inAlphabet(id) }

// inAlphabet checks the characters itself, because encoding/base64 skips line
// breaks.
func inAlphabet(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// place is where a value belongs. It is authenticated with the value, so that
// the value opens nowhere else.
type place struct{ account, user, record, field string }

// associated returns the associated data: each part after its length in four
// bytes, big end first, so that no two places give the same bytes.
func (p place) associated(keyID string) []byte {
	parts := [...]string{version, keyID, p.account, p.user, p.record, p.field}
	size := 0
	for _, part := range parts {
		size += 4 + len(part)
	}
	data := make([]byte, 0, size)
	for _, part := range parts {
		data = binary.BigEndian.AppendUint32(data, uint32(len(part))) //nolint:gosec // no id has 4 GiB
		data = append(data, part...)
	}
	return data
}
