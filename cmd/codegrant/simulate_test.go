package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/stretchr/testify/require"
)

// screen is an output that another goroutine reads.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// running is a simulator that stop ends.
type running struct {
	url  string
	out  *screen
	stop func() int
}

func startSimulator(t *testing.T, args ...string) running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out, status := &screen{}, make(chan int, 1)
	go func() {
		status <- run(ctx, environment{stdout: out, stderr: out, getenv: func(string) string { return "" }},
			append([]string{"simulate", "-addr", "127.0.0.1:0"}, args...))
	}()
	t.Cleanup(cancel)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "Ctrl-C") }, 20*time.Second, 5*time.Millisecond, out.String())
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(out.String())
	return running{address, out, func() int { cancel(); return <-status }}
}

// example makes the call that the simulator printed.
func (r running) example(t *testing.T) (sent, answer string) {
	t.Helper()
	call := regexp.MustCompile(`curl -s (\S+) .* -d '(.*)'`).FindStringSubmatch(r.out.String())
	require.Len(t, call, 3)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, call[1], strings.NewReader(call[2]))
	require.NoError(t, err)
	for _, header := range regexp.MustCompile(`-H '([^:]+): ([^']+)'`).FindAllStringSubmatch(call[0], -1) {
		request.Header.Set(header[1], header[2])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return call[2], string(got)
}

func simulated() codegrant.Account {
	return codegrant.Account{ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt)}
}

func TestSimulateSignsUpAndNotifies(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(http.ResponseWriter, *http.Request) {})
	sim := startSimulator(t, "-notify-to", s.URL)
	_, answer := sim.example(t)
	var signUp, content map[string]string
	require.NoError(t, json.Unmarshal([]byte(answer), &signUp))
	require.Equal(t, "001000", signUp["code"], answer)
	require.NoError(t, json.Unmarshal([]byte(signUp["bizContent"]), &content))
	require.True(t, strings.HasPrefix(content["authUrl"], sim.url+"/consent?"))

	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	done, err := stay.PostForm(content["authUrl"], url.Values{"decision": {"agree"}})
	require.NoError(t, err)
	require.NoError(t, done.Body.Close())
	require.Equal(t, http.StatusSeeOther, done.StatusCode)

	require.Equal(t, "POST /wallet/notify application/json", receive(t, s.paths), "the path of the request, the host of -notify-to")
	n, err := codegrant.ParseNotification([]byte(receive(t, s.bodies)), simulated())
	require.NoError(t, err)
	require.Equal(t, codegrant.KindSignedUp, n.Kind)

	for _, path := range []string{"/ledger", "/wallet"} {
		response, err := http.Get(sim.url + path)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
	require.Zero(t, sim.stop())
	require.Contains(t, sim.out.String(), "stopping")
}

func TestSimulateKeepsItsState(t *testing.T) {
	t.Parallel()
	state := filepath.Join(t.TempDir(), "state.json")
	first := startSimulator(t, "-state", state)
	body, answer := first.example(t)
	require.Contains(t, answer, `"code":"001000"`)
	require.Zero(t, first.stop())
	info, err := os.Stat(state)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), "it holds tokens")
	left, err := filepath.Glob(filepath.Join(filepath.Dir(state), "*"))
	require.NoError(t, err)
	require.Len(t, left, 1)

	second := startSimulator(t, "-state", state)
	require.Contains(t, second.out.String(), "going on from "+state)
	var request, content map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &request))
	require.NoError(t, json.Unmarshal([]byte(request["bizContent"].(string)), &content))
	page, err := http.Get(second.url + "/ledger")
	require.NoError(t, err)
	defer page.Body.Close()
	html, err := io.ReadAll(page.Body)
	require.NoError(t, err)
	require.Contains(t, string(html), content["merchantUserId"])
	require.Zero(t, second.stop())
}

func TestSimulateSwitches(t *testing.T) {
	t.Parallel()
	salt := write(t, testSalt+"\n")
	sim := startSimulator(t, "-account", "2018092714313010016291", "-salt-file", salt, "-digest", "MD5", "-fault", "decline=1")
	require.NotContains(t, sim.out.String(), testSalt)
	body, answer := sim.example(t)
	require.Contains(t, body, `"signType":"MD5"`)
	require.Contains(t, answer, `"code":"500000"`, "the fault")
	require.Contains(t, answer, `"signType":"MD5"`)
	require.Zero(t, sim.stop())

	hanging := startSimulator(t, "-fault", "timeout-before")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if response, err := http.Post(hanging.url+"/v4/paymethod/bind", "application/json", strings.NewReader("{}")); err == nil {
			_ = response.Body.Close()
		}
	}()
	require.Zero(t, hanging.stop(), "calls that hang do not keep it")
	<-done // answered or not
}

func TestSimulateRefuses(t *testing.T) {
	t.Parallel()
	c := configured()
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"all addresses":         {[]string{"-addr", ":8490"}, "-public"},
		"another address":       {[]string{"-addr", "192.0.2.1:80"}, "-public"},
		"no port":               {[]string{"-addr", "localhost"}, "host:port"},
		"no such shape":         {[]string{"-notify", "x"}, "enveloped"},
		"no such fault":         {[]string{"-fault", "x"}, "list"},
		"more than always":      {[]string{"-fault", "decline=2"}, "list"},
		"no such digest":        {[]string{"-digest", "x"}, "SHA256"},
		"a host without scheme": {[]string{"-notify-to", "localhost:80"}, "-notify-to"},
		"two salts":             {[]string{"-salt-file", write(t, "a\nb\n")}, "one salt"},
		"an argument":           {[]string{"x"}, "argument"},
	} {
		require.Equal(t, 2, c.run(t, append([]string{"simulate"}, test.args...)...), name)
		require.Contains(t, c.err.String(), test.says, name)
	}
	require.Equal(t, 1, c.run(t, "simulate", "-addr", "127.0.0.1:0", "-state", write(t, "broken")))
	require.Contains(t, c.err.String(), "restore")
}
