package seal_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
)

func TestNewKeyringRefuses(t *testing.T) {
	t.Parallel()
	good := secretOf("good")
	encoded := func(raw string) codegrant.Secret {
		return codegrant.NewSecret(base64.StdEncoding.EncodeToString([]byte(raw)))
	}
	const (
		badID     = `seal: key 1: the id is not 1 to 16 letters, digits, "_" or "-"`
		badSecret = "seal: key 1: the secret is not the standard base64 of exactly 32 bytes"
	)
	for _, tc := range []struct {
		name     string
		keys     []seal.Key
		problems []string
	}{
		{"no key", nil, []string{"seal: a keyring needs at least one key"}},
		{"an empty id", []seal.Key{{Secret: good}}, []string{badID}},
		{"an id of 17 characters", []seal.Key{{ID: strings.Repeat("k", 17), Secret: good}}, []string{badID}},
		{"an id with a dot", []seal.Key{{ID: "k.1", Secret: good}}, []string{badID}},
		{"an id that is not ASCII", []seal.Key{{ID: "clé", Secret: good}}, []string{badID}},
		{"no secret", []seal.Key{{ID: "k1"}}, []string{badSecret}},
		{"31 bytes", []seal.Key{{ID: "k1", Secret: encoded(strings.Repeat("ab", 15) + "a")}}, []string{badSecret}},
		{"33 bytes", []seal.Key{{ID: "k1", Secret: encoded(strings.Repeat("ab", 16) + "a")}}, []string{badSecret}},
		{"32 raw bytes", []seal.Key{{ID: "k1", Secret: codegrant.NewSecret(strings.Repeat("ab", 16))}}, []string{badSecret}},
		{"hex", []seal.Key{{ID: "k1", Secret: codegrant.NewSecret(strings.Repeat("ab", 32))}}, []string{badSecret}},
		{"base64 without its padding", []seal.Key{{ID: "k1", Secret: codegrant.NewSecret(strings.TrimRight(good.Reveal(), "="))}}, []string{badSecret}},
		{"nothing but zeros", []seal.Key{{ID: "k1", Secret: encoded(string(make([]byte, 32)))}},
			[]string{"seal: key 1: the secret is one byte over and over, not random"}},
		{"one byte over and over", []seal.Key{{ID: "k1", Secret: encoded(strings.Repeat("a", 32))}},
			[]string{"seal: key 1: the secret is one byte over and over, not random"}},
		{"an id twice", []seal.Key{{ID: "k1", Secret: good}, {ID: "k1", Secret: secretOf("other")}},
			[]string{"seal: key 2: the id is that of key 1"}},
		{"a secret twice", []seal.Key{{ID: "k1", Secret: good}, {ID: "k2", Secret: good}},
			[]string{"seal: key 2: the secret is that of key 1"}},
		{"everything at once", []seal.Key{{ID: "k:1"}, {ID: "k2", Secret: good}, {ID: "k2", Secret: encoded("short")}}, []string{
			badID, badSecret, "seal: key 3: the id is that of key 2",
			"seal: key 3: the secret is not the standard base64 of exactly 32 bytes",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ring, err := seal.NewKeyring(tc.keys...)
			require.Nil(t, ring)
			require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
			var config *codegrant.ConfigError
			require.ErrorAs(t, err, &config)
			require.Equal(t, tc.problems, config.Problems)
		})
	}
}

func TestParseKeyring(t *testing.T) {
	t.Parallel()
	k1, k2 := secretOf("k1").Reveal(), secretOf("k2").Reveal()
	for _, tc := range []struct {
		name, text string
		sealsWith  string // empty: refused
	}{
		{"one key", "k1:" + k1, "k1"},
		{"the first key seals", "k2:" + k2 + ",k1:" + k1, "k2"},
		{"white space around pairs", "\n k2:" + k2 + " ,\n\tk1:" + k1 + "\n", "k2"},
		{"an id of 16 characters", "k-2_ABCDEFGHIJ16:" + k2, "k-2_ABCDEFGHIJ16"},
		{"nothing", "", ""},
		{"only white space", " \n", ""},
		{"a comma at the end", "k1:" + k1 + ",", ""},
		{"no id", k1, ""},
		{"id and secret the wrong way round", k1 + ":k1", ""},
		{"white space within a pair", "k1: " + k1, ""},
		{"a third part", "k1:" + k1 + ":x", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ring, err := seal.ParseKeyring(tc.text)
			if tc.sealsWith == "" {
				require.Nil(t, ring)
				require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
				require.NotContains(t, err.Error(), k1)
				return
			}
			require.NoError(t, err)
			inner := memstore.New()
			save(t, sealing(t, inner, ring), record("r"))
			require.Equal(t, tc.sealsWith, keyOf(t, get(t, inner, "r").Value))
		})
	}
}

// TestNoFormatShowsAKey looks for the key material in every spelling that fmt
// has, also where fmt cannot call methods.
func TestNoFormatShowsAKey(t *testing.T) {
	t.Parallel()
	raw := []byte("SENTINEL-key-material-32-bytes!!")
	text := base64.StdEncoding.EncodeToString(raw)
	key := seal.Key{ID: "k1", Secret: codegrant.NewSecret(text)}
	ring, err := seal.NewKeyring(key)
	require.NoError(t, err)
	inner := memstore.New()
	store := sealing(t, inner, ring)
	save(t, store, record("r"))
	type holder struct {
		Ring    *seal.Keyring
		Key     seal.Key
		ring    *seal.Keyring
		copied  seal.Keyring
		key     seal.Key
		keys    []seal.Key
		store   any
		pointer *seal.Key
	}
	h := holder{ring, key, ring, *ring, key, []seal.Key{key}, store, &key}
	values := map[string]any{
		"key": key, "*key": &key, "keys": []seal.Key{key}, "keyring": *ring, "*keyring": ring, "rings": []*seal.Keyring{ring},
		"store": store, "holder": h, "*holder": &h, "option": seal.AcceptPlaintext(),
	}
	decimal := strings.Trim(fmt.Sprintf("%d", raw), "[]")
	requireNoKey := func(t *testing.T, shown, how string) {
		t.Helper()
		for _, form := range []string{
			string(raw), "SENTINEL", text, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), hex.EncodeToString([]byte(text)),
			decimal, strings.ReplaceAll(decimal, " ", ", "), fmt.Sprintf("% x", raw), fmt.Sprintf("%#v", raw[:8])[7:20],
		} {
			require.NotContains(t, shown, form, how)
		}
	}
	for name, value := range values {
		for _, verb := range "vsqxXdobBcUeEfFgGtpTwZ" {
			for _, flags := range []string{"", "+", "#", " ", "-", "0", "+#", "40", ".3"} {
				format := "%" + flags + string(verb)
				requireNoKey(t, fmt.Sprintf(format, value), name+" as "+format)
			}
		}
		var logged bytes.Buffer
		slog.New(slog.NewTextHandler(&logged, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&logged, nil)).Info("x", "value", value)
		requireNoKey(t, logged.String(), name+" in slog")
		encoded, _ := json.Marshal(value)
		requireNoKey(t, string(encoded), name+" in JSON")
	}
	require.Equal(t, "keyring[redacted]", fmt.Sprintf("%+v", ring))
	require.Equal(t, "{k1 [redacted]}", fmt.Sprint(key))
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	ring := keyring(t, "k1")
	for _, tc := range []struct {
		name     string
		inner    codegrant.TokenStore
		keys     *seal.Keyring
		problems int
	}{
		{"no store", nil, ring, 1},
		{"no keys", memstore.New(), nil, 1},
		{"the zero keyring", memstore.New(), &seal.Keyring{}, 1},
		{"a store that seals already", sealing(t, memstore.New(), ring), ring, 1},
		{"neither store nor keys", nil, nil, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store, err := seal.New(tc.inner, tc.keys)
			require.Nil(t, store)
			var config *codegrant.ConfigError
			require.ErrorAs(t, err, &config)
			require.Len(t, config.Problems, tc.problems)
		})
	}
}
