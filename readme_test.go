package codegrant_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadmeSnippetsAreCompiled(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("readme_example_test.go")
	require.NoError(t, err)
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	compiled := squeeze(string(source))
	snippets := 0
	for i, block := range strings.Split(string(readme), "```") {
		code, isGo := strings.CutPrefix(block, "go\n")
		if i%2 == 0 || !isGo {
			continue
		}
		snippets++
		for part := range strings.SplitSeq(code, "// handle err") {
			require.Contains(t, compiled, squeeze(part))
		}
	}
	require.GreaterOrEqual(t, snippets, 5)
}
