package gatewaytest

import (
	"net/http/httptest"
	"sync"
)

// Server is a [Gateway] that listens on a loopback port.
type Server struct {
	*Gateway
	// URL is the base URL, without a trailing slash.
	URL string

	http *httptest.Server
	once sync.Once
}

// NewServer starts a gateway on a loopback port. Call [Server.Close] when done
// with it. It panics if it cannot listen.
func NewServer(cfg Config) *Server {
	listening := httptest.NewUnstartedServer(nil)
	url := "http://" + listening.Listener.Addr().String()
	cfg.BaseURL = or(cfg.BaseURL, url)
	g := New(cfg)
	listening.Config.Handler = g
	listening.Start()
	return &Server{Gateway: g, URL: url, http: listening}
}

// Close stops the gateway as [Gateway.Close] does, and then the listener.
func (s *Server) Close() {
	s.Gateway.Close()
	s.once.Do(s.http.Close)
}
