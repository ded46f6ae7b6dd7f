package main

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// grace is how long requests under way get: more than the longest may take,
// which is nginx's proxy_read_timeout.
const grace = 35 * time.Second

// serve serves until ctx ends, and then stops in the order in which nothing is
// lost. The caller closes the database after it.
func (s *shop) serve(ctx context.Context, listener net.Listener, linger time.Duration) error {
	working := context.WithoutCancel(ctx) // the end of ctx is the beginning of the stop, not the end of work
	sweeping, stopSweeping := context.WithCancel(working)
	defer stopSweeping()
	var sweeps sync.WaitGroup
	sweeps.Go(func() { _ = s.kit.Run(sweeping) }) // its error is that of sweeping

	server := s.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.ready.Store(true)
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}

	// 1. Nobody should send anything new, and who asks is told so. What comes all
	// the same is served.
	s.ready.Store(false)
	if err == nil && linger > 0 {
		wait, cancel := context.WithTimeout(working, linger)
		defer cancel()
		select {
		case err = <-failed:
		case <-wait.Done():
		}
	}
	// 2. What is under way is finished: charges whose money may have moved, hooks.
	finishing, cancel := context.WithTimeout(working, grace)
	defer cancel()
	err = errors.Join(err, server.Shutdown(finishing))
	// 3. The sweep stops between two records. What it leaves, another instance's
	// takes up.
	stopSweeping()
	sweeps.Wait()
	return err
}
