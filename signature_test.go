package codegrant

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

type vectorFile struct {
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Name          string   `json:"name"`
	Kind          string   `json:"kind"`
	Salts         []string `json:"salts"`
	Digest        Digest   `json:"digest"`
	AccountID     string   `json:"accId"`
	ClientID      string   `json:"clientId"`
	Message       string   `json:"message"`
	MessageBase64 string   `json:"message_base64"`
	Canonical     *string  `json:"canonical"`
	Sign          string   `json:"sign"`
	SaltIndex     int      `json:"salt_index"`
	Verdict       string   `json:"verdict"`
	Reason        string   `json:"reason"`
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var f vectorFile
	require.NoError(t, json.Unmarshal(data, &f))
	require.Greater(t, len(f.Vectors), 40)
	return f.Vectors
}

func (v vector) body(t testing.TB) []byte {
	t.Helper()
	if v.MessageBase64 == "" {
		return []byte(v.Message)
	}
	body, err := base64.StdEncoding.DecodeString(v.MessageBase64)
	require.NoError(t, err)
	return body
}

// account returns the vector's account. Vectors that name none are judged by
// whatever account the message claims.
func (v vector) account(e *envelope) *Account {
	a := Account{ID: v.AccountID, ClientID: v.ClientID, Salts: Salts(v.Salts...), Digest: v.Digest}
	if a.ID == "" {
		a.ID = string(e.accountID)
	}
	if a.ClientID == "" {
		a.ClientID = string(e.clientID)
	}
	return &a
}

func TestVectorsOfTheSignature(t *testing.T) {
	t.Parallel()
	for _, v := range loadVectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			env, err := readEnvelope(v.body(t), true)
			if err != nil {
				require.Equal(t, "refuse", v.Verdict)
				require.ErrorIs(t, err, Code(v.Reason))
				return
			}
			require.NotEqual(t, "malformed", v.Reason)
			salt, err := env.verify(v.account(env))
			if v.Verdict == "refuse" {
				require.ErrorIs(t, err, Code(v.Reason))
				return
			}
			require.NoError(t, err)
			require.Equal(t, v.SaltIndex, salt)
			require.NotNil(t, v.Canonical)
			readings := []string{string(env.canonical(nil, false)), string(env.canonical(nil, true))}
			require.Contains(t, readings, *v.Canonical)
			var buffer [sha256.Size]byte
			sum := digest(v.Digest, []byte(v.Salts[salt]+*v.Canonical), &buffer)
			require.Equal(t, v.Sign, strings.ToUpper(hex.EncodeToString(sum)))
		})
	}
}

func TestSealedRequestsVerify(t *testing.T) {
	t.Parallel()
	for _, d := range []Digest{SHA256, MD5} {
		a := Account{ID: "2018092714313010016291", Salts: Salts("F78BC96A55548B2319EE68E0"), Digest: d}.withDefaults()
		require.Empty(t, a.problems())
		require.Equal(t, "2018092714313010016", a.ClientID)
		body, err := a.seal([]byte(`{"remark":"a&b=c \\\"é\""}`))
		require.NoError(t, err)
		require.True(t, json.Valid(body))
		env, err := readEnvelope(body, true)
		require.NoError(t, err)
		_, err = env.verify(&a)
		require.NoError(t, err)
	}
}

// The quick look at an ordinary salt lets nothing through that the rules refuse.
func TestASaltOfWhateverCharactersIsJudgedByTheRules(t *testing.T) {
	t.Parallel()
	pieces := []string{"\xff", "\u2028", "\u3000", "\ufeff", "\u2003"}
	for r := range rune(0x180) {
		pieces = append(pieces, string(r))
	}
	for _, piece := range pieces {
		for _, salt := range []string{piece, piece + "0123456789ABCDEF", "01234567" + piece + "89ABCDEF", "0123456789ABCDEF" + piece, "0123456789AB" + piece} {
			want := ""
			switch {
			case strings.TrimSpace(salt) == "":
				want = "is blank"
			case strings.TrimSpace(salt) != salt:
				want = "has blanks at its ends"
			case len(salt) < 16:
				want = "is shorter than 16 characters"
			case strings.IndexFunc(salt, unicode.IsControl) >= 0:
				want = "has control characters; give each salt an entry of its own"
			}
			p := Account{ID: fuzzStore, Salts: Salts("0123456789ABCDEF01234567", salt)}.withDefaults().problems()
			if want == "" {
				require.Empty(t, p, "%q", salt)
				continue
			}
			require.Equal(t, []string{"Account.Salts[1] " + want}, p, "%q", salt)
		}
	}
}

func TestAnIDHoldsLettersDigitsAndTwoMore(t *testing.T) {
	t.Parallel()
	const alnum = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	for c := range 256 {
		text := []byte{'a', byte(c)}
		require.Equal(t, bytes.IndexByte([]byte(alnum+"-_"), byte(c)) >= 0, isID(text), "%q", text)
		require.Equal(t, bytes.IndexByte([]byte(alnum), byte(c)) >= 0, isWord(text), "%q", text)
	}
}
