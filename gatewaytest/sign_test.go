package gatewaytest_test

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestSign(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var vectors struct {
		Salt  string `json:"salt"`
		Cases []struct {
			Name   string            `json:"name"`
			Fields map[string]string `json:"fields"`
			Sign   string            `json:"sign"`
		} `json:"cases"`
	}
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.Len(t, vectors.Cases, 9)

	for _, tt := range vectors.Cases {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.Sign, gatewaytest.Sign(vectors.Salt, tt.Fields["signType"], tt.Fields))

			tt.Fields["sign"] = "not part of the text"
			tt.Fields["blank"] = " "
			require.Equal(t, tt.Sign, gatewaytest.Sign(vectors.Salt, tt.Fields["signType"], tt.Fields))
			require.NotEqual(t, tt.Sign, gatewaytest.Sign("other", tt.Fields["signType"], tt.Fields))
		})
	}
}

func TestSignKnowsOnlyTheDocumentedDigests(t *testing.T) {
	t.Parallel()
	require.Empty(t, gatewaytest.Sign("salt", "SHA512", map[string]string{"a": "b"}))
}
