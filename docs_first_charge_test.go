package codegrant_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The program of docs/first-charge.md, run as it stands there.
func TestDocsFirstChargeRuns(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/first-charge.md")
	require.NoError(t, err)
	programs := blocks(string(page), "go main.go")
	require.Len(t, programs, 1)
	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, []byte(programs[0]), 0o600))
	command := exec.CommandContext(t.Context(), "go", "run", file)
	command.Stderr = t.Output()
	out, err := command.Output()
	require.NoError(t, err)
	require.Equal(t, "succeeded 1\n", string(out))
	require.Contains(t, string(page), "It prints `succeeded 1`")
}
