package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
	"github.com/codegrant/codegrant/gatewaytest"
)

// simulator is the simulated gateway with its state in a file, because wallets
// that forget their users with every restart of the shop would make a poor
// demonstration. A real shop has none.
//
// The file is written before anything that the simulator says leaves it, and
// every second besides.
type simulator struct {
	gateway *gatewaytest.Gateway
	file    string
	stop    chan struct{}
	stopped sync.WaitGroup

	mu    sync.Mutex
	saved []byte
}

func openSimulator(url, file string) (*simulator, error) {
	s := &simulator{file: file, stop: make(chan struct{})}
	s.gateway = cornershop.NewGateway(url, &http.Client{
		Transport:     s, // notifications
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	})
	state, err := os.ReadFile(file) //nolint:gosec // G304: the name is the operator's
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := s.gateway.Restore(bytes.NewReader(state)); err != nil {
			s.gateway.Close()
			return nil, fmt.Errorf("%w; delete %s to begin with a simulator that knows no wallets", err, file)
		}
	}
	s.stopped.Go(s.saveEverySecond)
	return s, nil
}

// ServeHTTP answers for the gateway.
func (s *simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet { // looks, and changes nothing
		s.gateway.ServeHTTP(w, r)
		return
	}
	s.gateway.ServeHTTP(savedFirst{w, s}, r)
}

// savedFirst lets an answer out once the state behind it is in the file.
type savedFirst struct {
	http.ResponseWriter
	simulator *simulator
}

// WriteHeader implements [http.ResponseWriter].
func (w savedFirst) WriteHeader(status int) {
	w.simulator.save()
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for [http.ResponseController].
func (w savedFirst) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RoundTrip sends a notification once the state behind it is in the file.
func (s *simulator) RoundTrip(r *http.Request) (*http.Response, error) {
	s.save()
	return http.DefaultTransport.RoundTrip(r)
}

func (s *simulator) saveEverySecond() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.save()
		case <-s.stop:
			return
		}
	}
}

// save writes what has changed. What cannot be written is tried again.
func (s *simulator) save() {
	if err := s.write(); err != nil {
		slog.Error("shop: the simulator's state is not saved", "error", err)
	}
}

func (s *simulator) write() error {
	s.mu.Lock() // an older state never replaces a newer one
	defer s.mu.Unlock()
	var state bytes.Buffer
	if err := s.gateway.Snapshot(&state); err != nil {
		return err
	}
	if bytes.Equal(state.Bytes(), s.saved) {
		return nil
	}
	temporary := s.file + ".tmp"
	if err := writeFile(temporary, state.Bytes()); err != nil {
		return err
	}
	if err := os.Rename(temporary, s.file); err != nil {
		return err
	}
	s.saved = state.Bytes()
	return syncFolder(s.file)
}

func (s *simulator) close() error {
	s.gateway.Close()
	close(s.stop)
	s.stopped.Wait()
	return s.write()
}

// writeFile writes a file durably, for its owner alone.
func writeFile(name string, data []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // G304: the name is the operator's
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes the name of a new file durable.
func syncFolder(file string) error {
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
