package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// TestAnInstanceStopsInOrder follows one stop: not ready, still serving, closed,
// and what was under way is answered.
func TestAnInstanceStopsInOrder(t *testing.T) {
	t.Parallel()
	gateway := gatewaytest.New(gatewaytest.Config{})
	t.Cleanup(gateway.Close)
	asked, goOn := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-goOn
		gateway.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	finish := sync.OnceFunc(func() { close(goOn) })
	t.Cleanup(finish)
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt)},
		Endpoints: codegrant.Endpoints{Host: slow.URL},
	})
	require.NoError(t, err)
	s := &shop{log: slog.New(slog.DiscardHandler)}
	s.kit, err = codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: "http://127.0.0.1/wallet",
		User: func(*http.Request) (string, error) { return "ann", nil }, Logger: s.log,
	})
	require.NoError(t, err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + listener.Addr().String()
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan error, 1)
	go func() { stopped <- s.serve(ctx, listener, 300*time.Millisecond) }()

	get := func(path string) int {
		response, err := http.Get(base + path)
		if err != nil {
			return 0
		}
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	require.Eventually(t, func() bool { return get("/readyz") == http.StatusOK }, 5*time.Second, 5*time.Millisecond)
	answered := make(chan string, 1)
	go func() {
		r, _ := http.NewRequest(http.MethodPost, base+"/wallet/signup", strings.NewReader("wallet=GCash"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		body, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		answered <- response.Status + string(body)
	}()
	<-asked
	stop()
	require.Eventually(t, func() bool { return get("/readyz") == http.StatusServiceUnavailable }, 5*time.Second, time.Millisecond)
	require.Equal(t, http.StatusOK, get("/healthz"), "it serves all the same")
	require.Eventually(t, func() bool { return get("/healthz") == 0 }, 5*time.Second, 5*time.Millisecond, "closed")
	require.Empty(t, stopped, "it waits for the request")
	finish()
	require.NoError(t, <-stopped)
	require.Regexp(t, `^200 OK.*"authUrl"`, <-answered)
}

func TestSessions(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s, err := newSessions("0123456789abcdef", true)
	require.NoError(t, err)
	other, err := newSessions("another-key-0123456789", true)
	require.NoError(t, err)
	w := httptest.NewRecorder()
	s.start(w, "ann", now)
	cookie := w.Result().Cookies()[0]
	require.True(t, cookie.Secure)
	require.True(t, cookie.HttpOnly)
	user := func(by sessions, value string, at time.Time) string {
		r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: value})
		return by.user(r, at)
	}
	require.Equal(t, "ann", user(s, cookie.Value, now))
	require.Empty(t, user(other, cookie.Value, now), "another key")
	require.Empty(t, user(s, cookie.Value, now.Add(sessionLength)), "over")
	require.Empty(t, user(s, strings.Replace(cookie.Value, "ann", "bob", 1), now))
	for _, value := range []string{"", ".", "ann", "ann.1", cookie.Value + "A", s.sign("") + ".", "." + s.sign("")} {
		require.Empty(t, user(s, value, now), value)
	}
	_, err = newSessions("short", true)
	require.Error(t, err)
}
