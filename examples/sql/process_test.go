package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"html"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// This binary is the shop as well, when it is told so.
func TestMain(m *testing.M) {
	if os.Getenv("BE_THE_SHOP") == "yes" {
		main()
		return
	}
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait far more than they work
	os.Exit(m.Run())
}

// shopfront is the shop as a process that can be killed and started again.
type shopfront struct {
	t             *testing.T
	dsn, file     string
	addr, gateway string // host:port
	url           string
	command       *exec.Cmd
	log           *record // of all processes
}

// record is what was written so far.
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

func newShopfront(t *testing.T, dsn, file string) *shopfront {
	t.Helper()
	s := &shopfront{t: t, dsn: dsn, file: file, addr: freeAddress(t), gateway: freeAddress(t), log: new(record)}
	s.url = "http://" + s.addr
	t.Cleanup(func() {
		if s.command != nil {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
		if t.Failed() {
			t.Logf("the shop's log:\n%s", s.log)
		}
	})
	s.start()
	return s
}

// freeAddress is below the ports that systems hand out by themselves, so that
// nobody takes it while the shop is down.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 15000+rand.IntN(15000))
		if listener, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, listener.Close())
			return address
		}
	}
	t.Fatal("no port is free")
	return ""
}

func (s *shopfront) start() {
	s.t.Helper()
	program, err := os.Executable()
	require.NoError(s.t, err)
	s.command = exec.Command(program, "-addr", s.addr, "-gateway-addr", s.gateway, "-db", s.file, "-dsn", s.dsn)
	s.command.Env = append(os.Environ(), "BE_THE_SHOP=yes", "CODEGRANT_KEYS=")
	s.command.Stderr = s.log
	stdout, err := s.command.StdoutPipe()
	require.NoError(s.t, err)
	require.NoError(s.t, s.command.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		_, _ = fmt.Fprintln(s.log, lines.Text())
		if strings.HasPrefix(lines.Text(), "Press Ctrl+C") {
			go func() { _, _ = io.Copy(s.log, stdout) }()
			return
		}
	}
	require.FailNow(s.t, "the shop did not open", s.log.String())
}

// kill ends the process as a power failure would.
func (s *shopfront) kill() {
	s.t.Helper()
	require.NoError(s.t, s.command.Process.Kill())
	require.ErrorContains(s.t, s.command.Wait(), "killed")
}

// interrupt ends it as Ctrl+C does.
func (s *shopfront) interrupt() {
	s.t.Helper()
	require.NoError(s.t, s.command.Process.Signal(syscall.SIGTERM))
	require.NoError(s.t, s.command.Wait())
	s.command = nil
}

// books is what the simulator has on file.
func (s *shopfront) books() gatewaytest.Ledger {
	s.t.Helper()
	file, err := os.Open(strings.TrimSuffix(s.file, ".db") + ".simulator.json")
	require.NoError(s.t, err)
	defer func() { _ = file.Close() }()
	gateway := gatewaytest.New(gatewaytest.Config{HTTPClient: &http.Client{Transport: nowhere{}}})
	defer gateway.Close()
	require.NoError(s.t, gateway.Restore(file))
	return gateway.Ledger()
}

// nowhere keeps notifications from leaving.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrClosedPipe }

// person is somebody with a browser.
type person struct {
	*shopfront
	client *http.Client
}

func (s *shopfront) visit(name string) *person {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(s.t, err)
	p := &person{s, &http.Client{Jar: jar, Timeout: 30 * time.Second}}
	path, _ := p.send(s.url+"/login", url.Values{"name": {name}})
	require.Equal(s.t, "/", path)
	return p
}

// try sends a form, or without one looks at a page, and returns where that
// ended and what it shows.
func (p *person) try(ctx context.Context, address string, form url.Values) (path, body string, err error) {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", "", err
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := p.client.Do(r)
	if err != nil {
		return "", "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Request.URL, response.Status)
	}
	return response.Request.URL.RequestURI(), string(text), err
}

func (p *person) send(address string, form url.Values) (path, body string) {
	p.t.Helper()
	path, body, err := p.try(p.t.Context(), address, form)
	require.NoError(p.t, err)
	return path, body
}

func (p *person) get(path string) string {
	p.t.Helper()
	ended, body := p.send(p.url+path, nil)
	require.Equal(p.t, path, ended, "still signed in")
	return body
}

func attribute(body, marked, name string) string {
	found := regexp.MustCompile(regexp.QuoteMeta(marked) + ` ` + name + `="([^"]*)"`).FindStringSubmatch(body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// wants waits until a look shows it.
func (p *person) wants(want string, look func() string) {
	p.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for got := look(); got != want; got = look() {
		require.True(p.t, time.Now().Before(deadline), "%q does not become %q", got, want)
		time.Sleep(100 * time.Millisecond)
	}
}

func (p *person) wallet(name string) string {
	return attribute(p.get("/wallets"), fmt.Sprintf("data-wallet=%q", name), "data-status")
}

func (p *person) order(id string) string {
	return attribute(p.get("/orders"), fmt.Sprintf("data-order=%q", id), "data-state")
}

// startConnecting returns the address of the wallet's page.
func (p *person) startConnecting(wallet string) string {
	p.t.Helper()
	path, body := p.send(p.url+"/wallet/signup", url.Values{"wallet": {wallet}, "returnTo": {"/"}})
	require.Contains(p.t, body, `id="agree"`)
	return "http://" + p.gateway + path
}

func (p *person) agree(authURL string) {
	p.t.Helper()
	path, _ := p.send(authURL, url.Values{"decision": {"agree"}})
	require.Contains(p.t, path, "/wallet/return/")
}

// buyForm returns what the button of a product sends.
func buyForm(body, sku string) url.Values {
	_, card, _ := strings.Cut(body, fmt.Sprintf("data-product=%q", sku))
	form := url.Values{}
	for _, name := range []string{"order", "sku", "wallet"} {
		form.Set(name, attribute(card, fmt.Sprintf(`type="hidden" name=%q`, name), "value"))
	}
	return form
}

// buy presses a product's button and returns the order's number.
func (p *person) buy(sku string) string {
	p.t.Helper()
	return p.press(buyForm(p.get("/?wallet=GCash"), sku))
}

func (p *person) press(form url.Values) string {
	p.t.Helper()
	path, _ := p.send(p.url+"/buy", form)
	require.Equal(p.t, "/orders", path)
	return form.Get("order")
}
