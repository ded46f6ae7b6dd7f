package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const someOrder = "/orders/ABCDEFGHIJKLMNOPQRSTUVWXYZ/pay"

// front is nginx with the example's configuration in front of three servers.
func front(t *testing.T, servers [instances]string) string {
	t.Helper()
	return "http://" + newProxy(t, servers).address
}

func newProxy(t *testing.T, servers [instances]string) *proxy {
	t.Helper()
	_, err := findNginx()
	needs(t, err)
	log := new(record)
	address := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
	p, err := startProxy(t.Context(), address, servers[:], log)
	require.NoError(t, err, log)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		require.NoError(t, p.close(ctx))
	})
	return p
}

// thrice is one handler as three servers.
func thrice(t *testing.T, h http.HandlerFunc) (addresses [instances]string) {
	t.Helper()
	for i := range addresses {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		addresses[i] = server.Listener.Addr().String()
	}
	return addresses
}

func send(t *testing.T, method, url, body string) (status int, answer string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("X-Real-IP", "6.6.6.6")
	r.Header.Set("X-Forwarded-For", "6.6.6.6")
	response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}).Do(r)
	require.NoError(t, err)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	return response.StatusCode, string(text)
}

// TestWhatIsSentAgain holds nginx.conf against its own rule. Every instance gets
// each request and then breaks.
func TestWhatIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method, path string
		want         int32
	}{
		"a sign-up is never sent again":         {http.MethodPost, "/wallet/signup", 1},
		"an unbinding is never sent again":      {http.MethodPost, "/wallet/unbind", 1},
		"an unknown POST is never sent again":   {http.MethodPost, "/orders/ABC/refund", 1},
		"a notification is sent to each":        {http.MethodPost, "/wallet/notify/ABC", 3},
		"a charge is sent to each":              {http.MethodPost, someOrder, 3},
		"a page is asked for at every instance": {http.MethodGet, "/", 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var arrived atomic.Int32
			shop := front(t, thrice(t, func(http.ResponseWriter, *http.Request) {
				arrived.Add(1)
				panic(http.ErrAbortHandler) // as a process that dies
			}))
			status, _ := send(t, tt.method, shop+tt.path, "a=b")
			require.Equal(t, http.StatusBadGateway, status)
			require.Equal(t, tt.want, arrived.Load())
		})
	}
}

// TestWhatReachedNobodyIsSentElsewhere: two instances are gone.
func TestWhatReachedNobodyIsSentElsewhere(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	var last atomic.Pointer[http.Request]
	lives := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		last.Store(r)
		body, _ := io.ReadAll(r.Body)
		_, _ = w.Write(body)
	}))
	t.Cleanup(lives.Close)
	gone := freePorts(t, 2)
	shop := front(t, [instances]string{
		fmt.Sprintf("127.0.0.1:%d", gone), fmt.Sprintf("127.0.0.1:%d", gone+1), lives.Listener.Addr().String(),
	})
	sent := int32(0)
	for _, path := range []string{"/wallet/signup", "/wallet/unbind", "/login", "/wallet/notify/ABC", someOrder} {
		for range 4 {
			status, answer := send(t, http.MethodPost, shop+path, "wallet=GCash")
			require.Equal(t, http.StatusOK, status, path)
			require.Equal(t, "wallet=GCash", answer)
			sent++
			require.Equal(t, sent, arrived.Load(), "once each")
		}
	}
	r := last.Load()
	require.Equal(t, strings.TrimPrefix(shop, "http://"), r.Host)
	require.Equal(t, []string{"127.0.0.1"}, r.Header.Values("X-Real-IP"), "not what the client says")
	require.Equal(t, []string{"127.0.0.1"}, r.Header.Values("X-Forwarded-For"))
	require.Equal(t, "http", r.Header.Get("X-Forwarded-Proto"))

	for _, path := range []string{"/healthz", "/readyz"} {
		status, _ := send(t, http.MethodGet, shop+path, "")
		require.Equal(t, http.StatusNotFound, status)
	}
	status, _ := send(t, http.MethodPost, shop+"/wallet/notify/ABC", strings.Repeat("x", 64<<10+1))
	require.Equal(t, http.StatusRequestEntityTooLarge, status)
	require.Equal(t, sent, arrived.Load(), "none of these went through")
}

func TestAnAnswerIsAnAnswer(t *testing.T) {
	t.Parallel()
	var arrived atomic.Int32
	shop := front(t, thrice(t, func(w http.ResponseWriter, _ *http.Request) {
		arrived.Add(1)
		w.Header().Set("Location", "https://wallet.example/?"+strings.Repeat("x", 8<<10))
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	for i, path := range []string{"/wallet/notify/ABC", someOrder, "/wallet/signup"} {
		status, _ := send(t, http.MethodPost, shop+path, "")
		require.Equal(t, http.StatusServiceUnavailable, status)
		require.Equal(t, int32(i+1), arrived.Load(), "503 goes to who asked, and to no other instance")
	}
}

// TestTakenOutIsIdle: takeOut returns when the last worker that might still send
// something there has ended, such as one that waits for the rest of a body.
func TestTakenOutIsIdle(t *testing.T) {
	t.Parallel()
	var servers [instances]string
	var arrived [instances]atomic.Int32
	for i := range servers {
		server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { arrived[i].Add(1) }))
		t.Cleanup(server.Close)
		servers[i] = server.Listener.Addr().String()
	}
	p := newProxy(t, servers)
	slow, err := net.Dial("tcp", p.address)
	require.NoError(t, err)
	answers := bufio.NewReader(slow)
	say := func(text string) { _, err := io.WriteString(slow, text); require.NoError(t, err) }
	hear := func() {
		response, err := http.ReadResponse(answers, nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		_, _ = io.Copy(io.Discard, response.Body)
	}
	say("GET / HTTP/1.1\r\nHost: a\r\n\r\n") // one worker has it now
	hear()
	say("POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na")
	out := make(chan error, 1)
	go func() { out <- p.takeOut(t.Context(), servers[0]) }()
	select {
	case err := <-out:
		require.Fail(t, "it did not wait for the request", "%v", err)
	case <-time.After(500 * time.Millisecond):
	}
	say("bc")
	hear()
	require.NoError(t, slow.Close()) // as clients do that are told so
	require.NoError(t, <-out)

	ask := func() {
		for range 12 {
			status, _ := send(t, http.MethodPost, "http://"+p.address+"/login", "a=b")
			require.Equal(t, http.StatusOK, status)
		}
	}
	before := arrived[0].Load()
	ask()
	require.Equal(t, before, arrived[0].Load())
	require.NoError(t, p.putBack(t.Context(), servers[0]))
	ask()
	require.Greater(t, arrived[0].Load(), before)
}

func TestTheConfiguration(t *testing.T) {
	t.Parallel()
	p := &proxy{address: "127.0.0.1:18080", servers: []string{"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}, down: []string{"10.0.0.2:80"}}
	text, err := p.config()
	require.NoError(t, err)
	for _, want := range []string{
		"listen 127.0.0.1:18080;", "server 10.0.0.1:80 max_fails", "server 10.0.0.2:80 down max_fails", "server 10.0.0.3:80 max_fails",
	} {
		require.Equal(t, 1, strings.Count(text, want), want)
	}
	require.Equal(t, 1, strings.Count(text, " down "))
	p.servers = append(p.servers, "10.0.0.4:80")
	_, err = p.config()
	require.ErrorContains(t, err, "127.0.0.1:8084")
}
