package codegrant_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadmeHasARowForEveryCode(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	table, _, _ := strings.Cut(string(readme)[strings.Index(string(readme), "## When something fails"):], "\n## ")
	sources, err := os.ReadFile("errors.go")
	require.NoError(t, err)
	codes := regexp.MustCompile(`\tErr\w+ +Code = "(\w+)"`).FindAllStringSubmatch(string(sources), -1)
	require.Greater(t, len(codes), 20)
	for _, c := range codes {
		require.Contains(t, table, "`"+c[1]+"`")
	}
}

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
