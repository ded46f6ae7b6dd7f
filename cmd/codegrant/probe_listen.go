package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// maxProbeBody caps what is read of an answer, in bytes.
const maxProbeBody = 1 << 20

// maxArrivals caps what the listener keeps: anybody may send to it.
const maxArrivals = 200

// arrival is something that came to the listener.
type arrival struct {
	at    time.Time
	kind  string // notification or return
	id    string // last segment of the path
	body  []byte
	query map[string][]string // of a return
}

// probeListener stands in for the merchant: it takes notifications and shows
// the page that the wallet sends the browser back to.
type probeListener struct {
	record *probeRecord
	server *http.Server

	mu       sync.Mutex
	arrivals []arrival
	news     chan struct{} // closed and replaced at each arrival
}

// listenFor starts a listener on addr and returns it with the base URL under
// which this machine reaches it.
func listenFor(ctx context.Context, addr string, record *probeRecord) (*probeListener, string, error) {
	config := net.ListenConfig{}
	l, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, "", err
	}
	p := &probeListener{record: record, news: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /notify/{id}", p.notification)
	mux.HandleFunc("GET /return/{id}", p.back)
	p.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	go func() { _ = p.server.Serve(l) }() // ends with close
	return p, "http://" + l.Addr().String(), nil
}

func (p *probeListener) close() { _ = p.server.Close() }

func (p *probeListener) notification(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	if err != nil {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	p.keep(arrival{at: time.Now(), kind: "notification", id: r.PathValue("id"), body: body}, probeLine{
		Kind: "notification", Method: r.Method, URL: r.URL.Path, ContentType: r.Header.Get("Content-Type"),
		Request: p.record.mask.Body(body), Status: http.StatusOK,
	})
	_, _ = io.WriteString(w, "OK") // the documented answer
}

func (p *probeListener) back(w http.ResponseWriter, r *http.Request) {
	p.keep(arrival{at: time.Now(), kind: "return", id: r.PathValue("id"), query: r.URL.Query()}, probeLine{
		Kind: "return", Method: r.Method, URL: r.URL.RequestURI(), Status: http.StatusOK,
	})
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, "<!doctype html><title>codegrant probe</title><p>You are back. You can close this page.</p>")
}

func (p *probeListener) keep(a arrival, line probeLine) {
	p.mu.Lock()
	full := len(p.arrivals) >= maxArrivals
	if !full {
		p.arrivals = append(p.arrivals, a)
		close(p.news)
		p.news = make(chan struct{})
	}
	p.mu.Unlock()
	if !full {
		p.record.write(line)
	}
}

// of returns what arrived for one sign-up or order, in order of arrival, and a
// channel that is closed when more does.
func (p *probeListener) of(id string) ([]arrival, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []arrival
	for _, a := range p.arrivals {
		if strings.EqualFold(a.id, id) {
			found = append(found, a)
		}
	}
	return found, p.news
}

// wait returns what arrived for id once enough says so, or after limit.
func (p *probeListener) wait(ctx context.Context, id string, limit time.Duration, enough func([]arrival) bool) []arrival {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		found, news := p.of(id)
		if enough(found) {
			return found
		}
		select {
		case <-news:
		case <-ctx.Done():
			return found
		}
	}
}
