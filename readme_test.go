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

func TestReadmeSnippetIsTheCompiledExample(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	example, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	compiled := squeeze(string(example))
	blocks := strings.Split(string(readme), "```")
	mount := strings.TrimPrefix(blocks[3], "go\n")
	require.Contains(t, mount, "codegrant.NewClient")
	for _, part := range strings.Split(mount, "// handle err") {
		require.Contains(t, compiled, squeeze(part))
	}
}
