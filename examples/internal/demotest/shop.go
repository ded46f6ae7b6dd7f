// Package demotest is the test that every example for a web framework passes:
// over HTTP, through the framework's own router.
package demotest

import (
	"bytes"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// Shop is an example that listens, and the simulator beside it.
type Shop struct {
	URL     string
	Gateway *gatewaytest.Server

	mu   sync.Mutex
	sent []string // bodies of the shop's requests to the gateway
}

// Open opens the shop that serve makes, which serves what listener accepts in
// a goroutine of its own and returns how to stop.
func Open(t *testing.T, serve func(listener net.Listener, client *codegrant.Client, url string) (stop func())) *Shop {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &Shop{URL: "http://" + listener.Addr().String(), Gateway: gatewaytest.NewServer(gatewaytest.Config{})}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints:  codegrant.Endpoints{Host: s.Gateway.URL},
		HTTPClient: &http.Client{Transport: s},
	})
	must(t, err)
	t.Cleanup(serve(listener, client, s.URL))
	t.Cleanup(s.Gateway.Close) // before the shop stops: it may be delivering
	return s
}

// OpenHandler opens a shop of net/http.
func OpenHandler(t *testing.T, newShop func(client *codegrant.Client, url string) (http.Handler, error)) *Shop {
	t.Helper()
	return Open(t, func(listener net.Listener, client *codegrant.Client, url string) func() {
		handler, err := newShop(client, url)
		must(t, err)
		return serve(listener, handler)
	})
}

func serve(listener net.Listener, handler http.Handler) (stop func()) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(listener) }()
	return func() { _ = server.Close() }
}

// RoundTrip notes what the shop sends to the gateway, and sends it.
func (s *Shop) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.sent = append(s.sent, string(body))
	s.mu.Unlock()
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	return s.Gateway.Transport().RoundTrip(r)
}

// Sent returns everything that the shop has sent to the gateway.
func (s *Shop) Sent() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.sent, "\n")
}

// Paid counts the charges that moved money.
func (s *Shop) Paid() int {
	n := 0
	for _, charge := range s.Gateway.Ledger().Charges {
		if charge.Status == gatewaytest.StatusSuccess {
			n++
		}
	}
	return n
}

// Delivered returns the status that the shop gave the last attempt to deliver
// the last notification.
func (s *Shop) Delivered() int {
	s.Gateway.Wait()
	all := s.Gateway.Notifications()
	if len(all) == 0 || len(all[len(all)-1].Attempts) == 0 {
		return 0
	}
	attempts := all[len(all)-1].Attempts
	return attempts[len(attempts)-1].Status
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, want, got T, about string) {
	t.Helper()
	if want != got {
		t.Fatalf("%s: want %v, got %v", about, want, got)
	}
}
