package seal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/codegrant/codegrant"
)

const (
	keySize = 32 // AES-256
	hidden  = "keyring[redacted]"
)

// Key is one AES-256 key. Printing it shows no key material.
type Key struct {
	// ID stands in the clear in every value that the key seals: 1 to 16
	// letters, digits, "_" or "-". Never use an id again for another key.
	ID string
	// Secret is 32 random bytes in standard base64 with padding, as printed by
	// "openssl rand -base64 32". Raw bytes are refused, so that nobody types a
	// pass phrase.
	Secret codegrant.Secret
}

// Keyring holds the key that seals and the keys that open. It is immutable and
// safe for concurrent use; printing it shows no key. The zero Keyring is not
// ready: use [NewKeyring] or [ParseKeyring].
type Keyring struct {
	// A pointer, because fmt follows none below the top level.
	ring *ring
}

type ring struct {
	first *key
	keys  map[string]*key
}

type key struct {
	id    string
	aead  cipher.AEAD
	check [checkSize]byte
}

// NewKeyring returns a keyring whose first key seals and all of whose keys
// open. It returns a [*codegrant.ConfigError] with every problem at once, none
// of which repeats key material.
func NewKeyring(keys ...Key) (*Keyring, error) {
	r := &ring{keys: make(map[string]*key, len(keys))}
	var problems []string
	wrong := func(format string, args ...any) { problems = append(problems, "seal: "+fmt.Sprintf(format, args...)) }
	if len(keys) == 0 {
		wrong("a keyring needs at least one key")
	}
	ids, secrets := map[string]int{}, map[[keySize]byte]int{}
	for i, k := range keys {
		number := i + 1
		if !validID(k.ID) { // not repeated: it may be the secret in the wrong place
			wrong("key %d: the id is not 1 to %d letters, digits, \"_\" or \"-\"", number, maxID)
		} else if other := ids[k.ID]; other > 0 {
			wrong("key %d: the id is that of key %d", number, other)
		}
		ids[k.ID] = number
		raw, err := readSecret(k.Secret)
		if err != nil {
			wrong("key %d: the secret %v", number, err)
			continue
		}
		if other := secrets[raw]; other > 0 {
			wrong("key %d: the secret is that of key %d", number, other)
		}
		secrets[raw] = number
		opener, err := newKey(k.ID, raw[:])
		if err != nil {
			wrong("key %d: %v", number, err)
			continue
		}
		r.keys[k.ID] = opener
		if i == 0 {
			r.first = opener
		}
	}
	if len(problems) > 0 {
		return nil, &codegrant.ConfigError{Problems: problems}
	}
	return &Keyring{ring: r}, nil
}

func readSecret(s codegrant.Secret) (raw [keySize]byte, err error) {
	decoded, err := base64.StdEncoding.Strict().DecodeString(s.Reveal())
	if err != nil || len(decoded) != keySize { // err is left out: it shows where the text breaks
		return raw, fmt.Errorf("is not the standard base64 of exactly %d bytes", keySize)
	}
	if bytes.Count(decoded, decoded[:1]) == keySize {
		return raw, errors.New("is one byte over and over, not random")
	}
	return [keySize]byte(decoded), nil
}

// ParseKeyring is [NewKeyring] for one line of configuration, such as an
// environment variable: "id:secret" pairs with commas between them, the
// sealing key first, for example "k2:BASE64,k1:BASE64". White space around a
// pair is ignored.
func ParseKeyring(text string) (*Keyring, error) {
	if strings.TrimSpace(text) == "" {
		return NewKeyring()
	}
	var keys []Key
	for pair := range strings.SplitSeq(text, ",") {
		id, secret, _ := strings.Cut(strings.TrimSpace(pair), ":")
		keys = append(keys, Key{ID: id, Secret: codegrant.NewSecret(secret)})
	}
	return NewKeyring(keys...)
}

func newKey(id string, raw []byte) (*key, error) {
	block, err := aes.NewCipher(raw)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	k := &key{id: id, aead: aead}
	mac := hmac.New(sha256.New, raw)
	mac.Write([]byte(version + " key check"))
	copy(k.check[:], mac.Sum(nil))
	return k, nil
}

// seal returns the text form of value for p. The empty value stays empty.
func (r *ring) seal(value codegrant.Secret, p place) codegrant.Secret {
	if value.IsZero() {
		return value
	}
	k, plain := r.first, []byte(value.Reveal())
	body := make([]byte, checkSize, checkSize+len(plain)+k.aead.Overhead())
	copy(body, k.check[:])
	body = k.aead.Seal(body, nil, plain, p.associated(k.id)) //nolint:gosec // the AEAD makes its own nonce
	return codegrant.NewSecret(prefix + k.id + "." + encoding.EncodeToString(body))
}

// open undoes seal. Every error is an [*Error]. A text that does not even
// claim to be sealed is an [ErrPlaintext].
func (r *ring) open(sealed codegrant.Secret, p place) (codegrant.Secret, error) {
	if sealed.IsZero() {
		return sealed, nil
	}
	fail := func(code codegrant.Code, keyID string) (codegrant.Secret, error) {
		return codegrant.Secret{}, &Error{Code: code, RecordID: p.record, Field: p.field, KeyID: keyID}
	}
	id, text, ok := split(sealed.Reveal())
	if !ok {
		if claims(sealed.Reveal()) {
			return fail(ErrCorrupt, "")
		}
		return fail(ErrPlaintext, "")
	}
	k := r.keys[id]
	if k == nil {
		return fail(ErrUnknownKey, id)
	}
	body, err := encoding.DecodeString(text)
	if err != nil {
		return fail(ErrCorrupt, id)
	}
	if [checkSize]byte(body) != k.check {
		return fail(ErrWrongKey, id)
	}
	plain, err := k.aead.Open(nil, nil, body[checkSize:], p.associated(id))
	if err != nil {
		return fail(ErrCorrupt, id)
	}
	return codegrant.NewSecret(string(plain)), nil
}

// current reports whether a stored value needs no re-sealing.
func (r *ring) current(sealed codegrant.Secret) bool {
	id, _, ok := split(sealed.Reveal())
	return sealed.IsZero() || (ok && id == r.first.id)
}

// Format writes [Keyring.String] for every verb and flag.
func (k Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// String returns "keyring[redacted]".
func (k Keyring) String() string { return hidden }

// LogValue hides the keys from log/slog.
func (k Keyring) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText writes [Keyring.String], so that encoding/json shows no key.
func (k Keyring) MarshalText() ([]byte, error) { return []byte(hidden), nil }
