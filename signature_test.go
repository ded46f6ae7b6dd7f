package codegrant

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

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
