package browsertest

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// shop is the running example, started as its documentation says.
type shop struct {
	url, wallet, ledger string

	process *os.Process
	ended   chan error // gets the outcome of the process once
	log     *record
}

// record is what a process wrote so far.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// startShop builds the shop, because go run would not pass on its exit code.
func startShop(t *testing.T) *shop {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "shop")
	build := exec.Command("go", "build", "-o", binary, "./examples/shop")
	build.Dir = ".."
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))

	s := &shop{ended: make(chan error, 1), log: new(record)}
	command := exec.Command(binary, "-addr", "127.0.0.1:0", "-gateway-addr", "127.0.0.1:0")
	command.Stderr = s.log
	read, write := io.Pipe()
	command.Stdout = write
	require.NoError(t, command.Start())
	s.process = command.Process
	go func() {
		err := command.Wait()
		_ = write.CloseWithError(io.EOF)
		s.ended <- err
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		if t.Failed() {
			t.Logf("the shop's log:\n%s", s.log)
		}
	})

	lines := bufio.NewScanner(read)
	for (s.url == "" || s.wallet == "" || s.ledger == "") && lines.Scan() {
		label, rest, found := strings.Cut(lines.Text(), "http://")
		if !found {
			continue
		}
		address := "http://" + strings.Fields(rest)[0]
		switch strings.TrimSpace(label) {
		case "Shop":
			s.url = address
		case "Your wallets":
			s.wallet = address
		case "Ledger":
			s.ledger = address
		}
	}
	go func() { _, _ = io.Copy(io.Discard, read) }()
	require.NotEmpty(t, s.url, "the shop did not say where it is: %s", s.log)
	require.NotEmpty(t, s.wallet)
	require.NotEmpty(t, s.ledger)
	return s
}

// interrupt stops the shop as Ctrl+C does.
func (s *shop) interrupt(t *testing.T) {
	require.NoError(t, s.process.Signal(os.Interrupt))
	select {
	case err := <-s.ended:
		require.NoError(t, err)
	case <-time.After(patience):
		require.Fail(t, "the shop did not stop")
	}
	require.NotContains(t, s.log.String(), " ERROR ")
	require.NotContains(t, s.log.String(), "panic")
}
