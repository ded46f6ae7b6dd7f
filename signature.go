package codegrant

import (
	"crypto/md5" //nolint:gosec // G501: one of the two digests of the protocol
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// protocolVersion is the only value of the version member.
const protocolVersion = "1.0"

// Digest is the algorithm of a signature (signType).
type Digest string

// The digests of the protocol. SHA256 is the default everywhere.
const (
	SHA256 Digest = "SHA256"
	MD5    Digest = "MD5"
)

// Account is a store at PingPong with the secrets that sign for it. Printing
// an Account shows no salt.
type Account struct {
	// ID is accId, the store number. Required.
	ID string
	// ClientID is clientId, the merchant number. Empty means ID without its
	// last three digits, the rule by which PingPong assigns them.
	ClientID string
	// Salts are the live secrets. The first one signs; each is tried, in
	// order, on what arrives, so that a new salt can stand beside the old one
	// while both are in use: see [SaltUsage]. At least one; blank ones are
	// refused.
	Salts []Secret
	// Digest signs requests, and is the only one accepted on what arrives.
	// Empty means SHA256.
	Digest Digest
}

// withDefaults returns a copy that shares nothing with a.
func (a Account) withDefaults() Account {
	a.Salts = slices.Clone(a.Salts)
	a.setDefaults()
	return a
}

func (a *Account) setDefaults() {
	if a.Digest == "" {
		a.Digest = SHA256
	}
	if a.ClientID == "" && len(a.ID) > 3 {
		a.ClientID = a.ID[:len(a.ID)-3]
	}
}

// problems lists what is wrong with an account that has its defaults.
func (a Account) problems() []string {
	var p []string
	if !isID(a.ID) {
		p = append(p, "Account.ID must be 1 to 64 letters, digits, '-' or '_'")
	}
	if !isID(a.ClientID) && (isID(a.ID) || !strings.HasPrefix(a.ID, a.ClientID)) { // else it only follows from ID
		p = append(p, "Account.ClientID must be 1 to 64 letters, digits, '-' or '_'")
	}
	if len(a.Salts) == 0 {
		p = append(p, "Account.Salts must hold at least one salt")
	}
	for i, s := range a.Salts {
		salt := s.Reveal()
		trimmed, plain := salt, isPlain(salt)
		if !plain {
			trimmed = strings.TrimSpace(salt)
		}
		switch {
		case trimmed == "":
			p = append(p, fmt.Sprintf("Account.Salts[%d] is blank", i))
		case trimmed != salt:
			p = append(p, fmt.Sprintf("Account.Salts[%d] has blanks at its ends", i))
		case len(salt) < minSaltLength:
			p = append(p, fmt.Sprintf("Account.Salts[%d] is shorter than %d characters", i, minSaltLength))
		case !plain && strings.IndexFunc(salt, unicode.IsControl) >= 0:
			p = append(p, fmt.Sprintf("Account.Salts[%d] has control characters; give each salt an entry of its own", i))
		case slices.ContainsFunc(a.Salts[:i], s.Equal):
			p = append(p, fmt.Sprintf("Account.Salts[%d] repeats an earlier one", i))
		}
	}
	if a.Digest != SHA256 && a.Digest != MD5 {
		p = append(p, "Account.Digest must be SHA256 or MD5")
	}
	return p
}

// isPlain reports that s has no blanks, no control characters, and nothing but
// ASCII: so are most salts, and most calls of [ParseNotification] check one.
func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

// minSaltLength refuses place-holders; PingPong's salts have 24 characters.
const minSaltLength = 16

// verify judges e by a's salts and returns the index of the one that signed.
// The caller has made sure that a has its defaults and no problems. Every salt
// is tried whatever the earlier ones gave, and digests are compared in
// constant time.
func (e *envelope) verify(a *Account) (salt int, err error) {
	if (len(e.accountID) > 0 && string(e.accountID) != a.ID) || (len(e.clientID) > 0 && string(e.clientID) != a.ClientID) {
		return 0, ErrWrongAccount
	}
	var received [sha256.Size]byte
	size := sha256.Size
	if a.Digest == MD5 {
		size = md5.Size
	}
	if string(e.signType) != string(a.Digest) || len(e.sign) != hex.EncodedLen(size) {
		return 0, ErrBadSignature
	}
	if _, err := hex.Decode(received[:], e.sign); err != nil {
		return 0, ErrBadSignature
	}
	salt = e.try(a, received[:size], false)
	if salt < 0 && e.empty {
		salt = e.try(a, received[:size], true)
	}
	if salt < 0 {
		return 0, ErrBadSignature
	}
	return salt, nil
}

// try returns the index of the first salt whose digest is the received one, -1
// when there is none. The text is written once, and each salt in front of it.
func (e *envelope) try(a *Account, received []byte, keepEmpty bool) int {
	room := 0
	for _, s := range a.Salts {
		room = max(room, len(s.Reveal()))
	}
	if need := room + e.canonicalSize(); cap(e.text) < need {
		e.text = make([]byte, 0, need) // append would leave secrets in what it outgrows
	}
	e.text = e.canonical(e.text[:room], keepEmpty)
	var sum [sha256.Size]byte
	found := -1
	for i, s := range a.Salts {
		salt := s.Reveal()
		start := room - len(salt)
		copy(e.text[start:], salt)
		computed := digest(a.Digest, e.text[start:], &sum)
		if subtle.ConstantTimeCompare(computed, received) == 1 && found < 0 {
			found = i
		}
	}
	return found
}

// unverified gives what verify refused its operation. Refusals are what anybody
// can cause: they cost no more than they must.
func unverified(err error) error {
	if errors.Is(err, ErrWrongAccount) {
		return &Error{Op: "verify", Code: ErrWrongAccount}
	}
	return &Error{Op: "verify", Code: ErrBadSignature}
}

// digest returns the digest of text, which begins with the salt. It lies in sum.
// PingPong v4, Signature Convention: the salt stands directly in front of the
// members; it is a plain digest, not an HMAC.
func digest(d Digest, text []byte, sum *[sha256.Size]byte) []byte {
	if d == MD5 {
		short := md5.Sum(text) //nolint:gosec // G401: the protocol's choice
		return append(sum[:0], short[:]...)
	}
	*sum = sha256.Sum256(text)
	return sum[:]
}

// seal returns the signed request envelope around bizContent. The account's
// first salt signs.
func (a *Account) seal(bizContent []byte) ([]byte, error) {
	const upperHex = "0123456789ABCDEF"
	if len(a.Salts) == 0 {
		return nil, errors.New("codegrant: account without a salt")
	}
	text := append(make([]byte, 0, len(bizContent)+512), a.Salts[0].Reveal()...)
	text = append(text, "accId="...)
	text = append(text, a.ID...)
	text = append(text, "&bizContent="...)
	text = append(text, bizContent...)
	text = append(text, "&clientId="...)
	text = append(text, a.ClientID...)
	text = append(text, "&signType="...)
	text = append(text, a.Digest...)
	text = append(text, "&version="+protocolVersion...)
	var buffer [sha256.Size]byte
	sum := digest(a.Digest, text, &buffer)
	body := append(make([]byte, 0, len(bizContent)+512), `{"accId":`...)
	body = appendJSONString(body, a.ID)
	body = append(body, `,"clientId":`...)
	body = appendJSONString(body, a.ClientID)
	body = append(body, `,"signType":`...)
	body = appendJSONString(body, string(a.Digest))
	body = append(body, `,"sign":`...)
	body = append(body, '"')
	for _, b := range sum {
		body = append(body, upperHex[b>>4], upperHex[b&15])
	}
	body = append(body, `","version":"`+protocolVersion+`","bizContent":`...)
	body = appendJSONString(body, bizContent)
	return append(body, '}'), nil
}
