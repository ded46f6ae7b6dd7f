package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, stdout)
		_ = stdout.Close()
	}()
	var addresses []string
	lines := bufio.NewScanner(output)
	for len(addresses) < 4 && lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			addresses = append(addresses, strings.Fields(lines.Text()[i:])[0])
		}
	}
	go func() { _, _ = io.Copy(io.Discard, output) }()
	require.Len(t, addresses, 4)
	for _, address := range addresses {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}

	taken := strings.TrimPrefix(addresses[0], "http://")
	require.ErrorContains(t, run(t.Context(), []string{"-addr", taken}, io.Discard), "already in use: choose another port")
	stop()
	require.NoError(t, <-ended)
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-addr 0.0.0.0:0": "use 127.0.0.1",
		"-addr :0":        "use 127.0.0.1",
		"-addr 127.0.0.1:0 -gateway-addr example:0": "use 127.0.0.1",
		"-addr 8080":                "is not host:port",
		"-port 8080":                "see -help",
		"-addr 127.0.0.1:123456789": "-addr: listen tcp",
	} {
		require.ErrorContains(t, run(t.Context(), strings.Fields(args), io.Discard), want, args)
	}
	var help strings.Builder
	require.NoError(t, run(t.Context(), []string{"-help"}, &help))
	require.Contains(t, help.String(), "-gateway-addr")
}
