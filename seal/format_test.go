package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
)

// golden was written by the first version of this package. Every later version
// must open it; never write it again.
type golden struct {
	Keyring string
	Records []goldenRecord
}

type goldenRecord struct {
	ID, AccountID, UserID string
	Sealed, Plain         struct{ Value, Reference, LoginID string }
}

func readGolden(t testing.TB) golden {
	t.Helper()
	text, err := os.ReadFile("testdata/cgs1.json")
	require.NoError(t, err)
	var g golden
	require.NoError(t, json.Unmarshal(text, &g))
	require.NotEmpty(t, g.Records)
	return g
}

func TestGoldenValuesOpen(t *testing.T) {
	t.Parallel()
	g := readGolden(t)
	ring, err := seal.ParseKeyring(g.Keyring)
	require.NoError(t, err)
	for _, r := range g.Records {
		t.Run(r.ID, func(t *testing.T) {
			t.Parallel()
			inner := newMapStore()
			save(t, inner, codegrant.Token{
				ID: r.ID, AccountID: r.AccountID, UserID: r.UserID, Revision: 1,
				Value: codegrant.NewSecret(r.Sealed.Value), Reference: codegrant.NewSecret(r.Sealed.Reference),
				LoginID: codegrant.NewSecret(r.Sealed.LoginID),
			})
			got := get(t, sealing(t, inner, ring), r.ID)
			require.Equal(t, r.Plain.Value, got.Value.Reveal())
			require.Equal(t, r.Plain.Reference, got.Reference.Reveal())
			require.Equal(t, r.Plain.LoginID, got.LoginID.Reveal())
		})
	}
}

// TestFormatIsAsDocumented opens a value by the format's description alone,
// with another AEAD of the standard library, as another language would.
func TestFormatIsAsDocumented(t *testing.T) {
	t.Parallel()
	inner := newMapStore()
	save(t, sealing(t, inner, keyring(t, "k1")), record("r"))
	for field, text := range map[string]string{
		"Value": get(t, inner, "r").Value.Reveal(), "Reference": get(t, inner, "r").Reference.Reveal(),
		"LoginID": get(t, inner, "r").LoginID.Reveal(),
	} {
		parts := strings.Split(text, ".")
		require.Len(t, parts, 3)
		require.Equal(t, []string{"cgs1", "k1"}, parts[:2])
		body, err := base64.RawURLEncoding.DecodeString(parts[2])
		require.NoError(t, err)
		key, err := base64.StdEncoding.DecodeString(secretOf("k1").Reveal())
		require.NoError(t, err)
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte("cgs1 key check"))
		require.Equal(t, mac.Sum(nil)[:4], body[:4])
		var associated []byte
		for _, part := range []string{"cgs1", "k1", account, user, "r", field} {
			associated = binary.BigEndian.AppendUint32(associated, uint32(len(part)))
			associated = append(associated, part...)
		}
		block, err := aes.NewCipher(key)
		require.NoError(t, err)
		gcm, err := cipher.NewGCM(block)
		require.NoError(t, err)
		plain, err := gcm.Open(nil, body[4:16], body[16:], associated)
		require.NoError(t, err)
		require.Contains(t, []string{"TOKEN-r", "REFERENCE-r", "LOGIN-r"}, string(plain))
	}
}

// opener returns what a sealing store reads when the Value of record "r" is
// text at rest.
func opener(t testing.TB, options ...seal.Option) func(text string) (string, error) {
	ctx := t.Context()
	inner := newMapStore()
	save(t, inner, record("r"))
	store := sealing(t, inner, keyring(t, "k1", "k2"), options...)
	return func(text string) (string, error) {
		inner.patch("r", func(token *codegrant.Token) {
			token.Value, token.Reference, token.LoginID = codegrant.NewSecret(text), codegrant.Secret{}, codegrant.Secret{}
		})
		got, err := store.Get(ctx, "r")
		return got.Value.Reveal(), err
	}
}

// sealedText is the Value of record "r", sealed with key k1.
func sealedText(t testing.TB) string {
	inner := newMapStore()
	save(t, sealing(t, inner, keyring(t, "k1")), record("r"))
	return get(t, inner, "r").Value.Reveal()
}

func requireRefused(t testing.TB, text, got string, err error) {
	t.Helper()
	require.Empty(t, got)
	var e *seal.Error
	require.ErrorAs(t, err, &e)
	require.Contains(t, []codegrant.Code{seal.ErrUnknownKey, seal.ErrWrongKey, seal.ErrCorrupt, seal.ErrPlaintext}, e.Code)
	require.ErrorIs(t, err, e.Code)
	if parts := strings.Split(text, "."); len(parts) == 3 && len(parts[2]) > 20 { // longer than a key id
		require.NotContains(t, err.Error(), parts[2][:20])
	}
}

func TestMalformedValues(t *testing.T) {
	t.Parallel()
	good := sealedText(t)
	body := strings.TrimPrefix(good, "cgs1.k1.")
	for _, tc := range []struct {
		name, text string
		code       codegrant.Code
		form       bool // still has the form
	}{
		{"an unknown key", "cgs1.k3." + body, seal.ErrUnknownKey, true},
		{"another key of the ring", "cgs1.k2." + body, seal.ErrWrongKey, true},
		{"a shorter value", good[:len(good)-4], seal.ErrCorrupt, true},
		{"a longer value", good + "AAAA", seal.ErrCorrupt, true},
		{"bits behind the last byte", "cgs1.k1." + strings.Repeat("A", 44) + "AB", seal.ErrCorrupt, true},
		{"a huge value", "cgs1.k1." + body + strings.Repeat("A", 4<<20), seal.ErrCorrupt, true},
		{"nothing but zeros", "cgs1.k1." + strings.Repeat("A", 44), seal.ErrWrongKey, true},
		{"no room for a value", "cgs1.k1." + strings.Repeat("A", 43), seal.ErrCorrupt, false},
		{"no body", "cgs1.k1.", seal.ErrCorrupt, false},
		{"no key id", "cgs1.." + body, seal.ErrCorrupt, false},
		{"a key id of 17 characters", "cgs1." + strings.Repeat("k", 17) + "." + body, seal.ErrCorrupt, false},
		{"no second dot", "cgs1.k1", seal.ErrCorrupt, false},
		{"a third dot", good + ".", seal.ErrCorrupt, false},
		{"nothing but the prefix", "cgs1.", seal.ErrCorrupt, false},
		{"a length that base64 never has", "cgs1.k1." + strings.Repeat("A", 45), seal.ErrCorrupt, false},
		{"padding", good + "=", seal.ErrCorrupt, false},
		{"a line break, which encoding/base64 would skip", good[:20] + "\n" + good[20:], seal.ErrCorrupt, false},
		{"a space behind it", good + " ", seal.ErrCorrupt, false},
		{"base64 for files instead of URLs", "cgs1.k1." + strings.Repeat("+", 48), seal.ErrCorrupt, false},
		{"a later version", "cgs2.k1." + body, seal.ErrCorrupt, false},
		{"a version of two digits", "cgs10.k1." + body, seal.ErrCorrupt, false},
		{"no version", "cgs.k1." + body, seal.ErrPlaintext, false},
		{"another prefix", "xgs1.k1." + body, seal.ErrPlaintext, false},
		{"the prefix in capitals", "CGS1.k1." + body, seal.ErrPlaintext, false},
		{"a space in front", " " + good, seal.ErrPlaintext, false},
		{"plaintext", "TOKEN-r", seal.ErrPlaintext, false},
		{"huge plaintext", strings.Repeat("T", 4<<20), seal.ErrPlaintext, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := opener(t)(tc.text)
			requireRefused(t, tc.text, got, err)
			require.ErrorIs(t, err, tc.code)
			require.Equal(t, tc.form, seal.Sealed(codegrant.NewSecret(tc.text)))
			if tc.name != "plaintext" {
				_, err = opener(t, seal.AcceptPlaintext())(tc.text)
				require.Error(t, err, "no damage passes for plaintext, for the fingerprint is another")
			}
		})
	}
}

func TestSealed(t *testing.T) {
	t.Parallel()
	require.False(t, seal.Sealed(codegrant.Secret{}))
	require.True(t, seal.Sealed(codegrant.NewSecret(sealedText(t))))
	id, ok := seal.KeyID(codegrant.NewSecret(sealedText(t)))
	require.True(t, ok)
	require.Equal(t, strings.Split(sealedText(t), ".")[1], id)
	_, ok = seal.KeyID(codegrant.NewSecret("cgs1.k1.short"))
	require.False(t, ok)
	inner := memstore.New()
	store := sealing(t, inner, keyring(t, "k-2_ABCDEFGHIJ16"))
	for n := 1; n < 300; n++ {
		token := record(strings.Repeat("r", n))
		token.Value = codegrant.NewSecret(strings.Repeat("v", n))
		save(t, store, token)
		stored := get(t, inner, token.ID).Value
		require.True(t, seal.Sealed(stored))
		require.LessOrEqual(t, len(stored.Reveal()), 66+4*n/3, "as documented")
	}
}

func TestEveryTruncationAndEveryFlippedByteIsRefused(t *testing.T) {
	t.Parallel()
	good := sealedText(t)
	open := opener(t)
	got, err := open(good)
	require.NoError(t, err)
	require.Equal(t, "TOKEN-r", got)
	for i := range good {
		if i > 0 {
			got, err = open(good[:i])
			requireRefused(t, good[:i], got, err)
		}
		got, err = open(good[i+1:] + good[:i])
		requireRefused(t, "", got, err)
		for bit := range 8 {
			flipped := []byte(good)
			flipped[i] ^= 1 << bit
			got, err = open(string(flipped))
			requireRefused(t, good, got, err)
		}
		for c := range 256 { // every other character, in the body too
			if byte(c) != good[i] {
				changed := good[:i] + string([]byte{byte(c)}) + good[i+1:]
				_, err = open(changed)
				require.Error(t, err, changed)
			}
		}
	}
}

// TestValuesOpenNowhereElse moves sealed values about as somebody with SQL
// could.
func TestValuesOpenNowhereElse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		patch func(r, other *codegrant.Token)
	}{
		{"the value of another row", func(r, other *codegrant.Token) { r.Value = other.Value }},
		{"value and fingerprint of another row", func(r, other *codegrant.Token) {
			r.Value, r.Fingerprint = other.Value, other.Fingerprint
		}},
		{"the login of another row", func(r, other *codegrant.Token) { r.LoginID = other.LoginID }},
		{"the reference as the value", func(r, _ *codegrant.Token) { r.Value = r.Reference }},
		{"the value as the login", func(r, _ *codegrant.Token) { r.LoginID = r.Value }},
		{"value and reference swapped", func(r, _ *codegrant.Token) { r.Value, r.Reference = r.Reference, r.Value }},
		{"the row for another account", func(r, _ *codegrant.Token) { r.AccountID = "other" }},
		{"the row for another user", func(r, _ *codegrant.Token) { r.UserID = "user-2" }},
		{"the end of the account moved to the user", func(r, _ *codegrant.Token) {
			r.AccountID, r.UserID = account[:len(account)-1], account[len(account)-1:]+user
		}},
		{"account and user swapped", func(r, _ *codegrant.Token) { r.AccountID, r.UserID = r.UserID, r.AccountID }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			inner := newMapStore()
			store := sealing(t, inner, keyring(t, "k1"))
			save(t, store, record("r"), record("other"))
			inner.patch("r", func(r *codegrant.Token) {
				other := inner.tokens["other"]
				tc.patch(r, &other)
			})
			got, err := store.Get(t.Context(), "r")
			require.Zero(t, got)
			require.ErrorIs(t, err, seal.ErrCorrupt)
		})
	}
	t.Run("a row under another id", func(t *testing.T) {
		t.Parallel()
		inner := newMapStore()
		store := sealing(t, inner, keyring(t, "k1"))
		save(t, store, record("r"))
		inner.patch("r", func(r *codegrant.Token) { r.ID = "renamed" })
		_, err := store.Get(t.Context(), "renamed")
		require.ErrorIs(t, err, seal.ErrCorrupt)
	})
}

func TestKeysThatDoNotFitAreNamed(t *testing.T) {
	t.Parallel()
	inner := newMapStore()
	save(t, sealing(t, inner, keyring(t, "k1")), record("r"))
	_, err := sealing(t, inner, keyring(t, "k2")).Get(t.Context(), "r")
	require.ErrorIs(t, err, seal.ErrUnknownKey)
	require.EqualError(t, err, `codegrant: seal: Value of record "r" is sealed with key "k1", which the keyring does not have`)
	staging, keyErr := seal.NewKeyring(seal.Key{ID: "k1", Secret: secretOf("staging")})
	require.NoError(t, keyErr)
	_, err = sealing(t, inner, staging).Get(t.Context(), "r")
	require.ErrorIs(t, err, seal.ErrWrongKey)
	require.EqualError(t, err, `codegrant: seal: Value of record "r" is sealed with another key "k1" than the keyring's`)
}

func TestWhatWasSealedOpensAsItWas(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	bytes := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	texts := []string{"", " ", "\x00", "é漢字🙂\u202e", "cgs1.", sealedText(t), strings.Repeat("x", 64<<10), bytes(64 << 10)}
	for range 300 {
		texts = append(texts, bytes(random.IntN(600)))
	}
	inner := memstore.New()
	store := sealing(t, inner, keyring(t, "k1"))
	for i, text := range texts {
		token := record(bytes(1 + i%40))
		token.AccountID, token.UserID = bytes(i%7), bytes(i%5)
		token.Value, token.Reference = codegrant.NewSecret(text), codegrant.NewSecret(texts[random.IntN(len(texts))])
		token.LoginID = codegrant.Secret{}
		if before, err := inner.Get(t.Context(), token.ID); !errors.Is(err, codegrant.ErrNotFound) {
			token.Revision = before.Revision + 1
		}
		save(t, store, token)
		stored := get(t, inner, token.ID)
		require.Equal(t, text == "", stored.Value.IsZero(), "empty stays empty, and nothing else does")
		require.True(t, stored.LoginID.IsZero())
		require.Equal(t, text != "", seal.Sealed(stored.Value))
		require.Equal(t, token, get(t, store, token.ID))
	}
}

func FuzzOpen(f *testing.F) {
	good := sealedText(f)
	for _, r := range readGolden(f).Records {
		f.Add(r.Sealed.Value)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add("cgs1.k2." + strings.Repeat("A", 60))
	f.Add("cgs9.k1.AAAA")
	f.Add("TOKEN")
	f.Add("")
	open := opener(f)
	f.Fuzz(func(t *testing.T, text string) {
		got, err := open(text)
		switch {
		case text == "":
			require.NoError(t, err)
			require.Empty(t, got)
		case err == nil: // one of the values that the fuzzer was given
			require.Equal(t, "TOKEN-r", got)
		default:
			requireRefused(t, text, got, err)
		}
		if seal.Sealed(codegrant.NewSecret(text)) {
			require.NotErrorIs(t, err, seal.ErrPlaintext)
		}
	})
}
