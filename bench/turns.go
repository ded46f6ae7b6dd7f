package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// side is one of two that take turns.
type side struct {
	name    string
	prepare func(ctx context.Context, n int) error // what is not measured
	// do makes operation i; worker is below the number in flight.
	do func(ctx context.Context, worker, i int) error
}

// outcome is what one side did, round by round. Times are in ms.
type outcome struct{ PerSecond, P50, P99 []float64 }

const mostInTurn = 12_000

// turns lets both sides do the same number of operations in every round: as
// many as the second one makes in about a stretch.
func (s *session) turns(ctx context.Context, name string, inFlight int, sides [2]side) ([2]outcome, error) {
	var out [2]outcome
	n := max(64, 4*inFlight)
	for warm := range 2 { // the first opens connections
		for i := range sides {
			perSecond, _, err := sides[i].turn(ctx, n, inFlight)
			if err != nil {
				return out, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			if warm == 1 && i == 1 {
				n = min(max(n, int(perSecond*s.stretch.Seconds())), mostInTurn)
			}
		}
	}
	for round := range s.rounds {
		order := []int{0, 1}
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, i := range order {
			perSecond, took, err := sides[i].turn(ctx, n, inFlight)
			if err != nil {
				return out, fmt.Errorf("%s: %w", sides[i].name, err)
			}
			p50, p99 := quantile(took, 0.5), quantile(took, 0.99)
			out[i].PerSecond, out[i].P50, out[i].P99 = append(out[i].PerSecond, perSecond), append(out[i].P50, p50), append(out[i].P99, p99)
			fmt.Fprintf(s.raw, "Benchmark%s/%s/%d %d %.0f ns/op %.0f op/s %.4f p50-ms %.4f p99-ms\n",
				name, sides[i].name, inFlight, n, 1e9/perSecond, perSecond, p50, p99)
		}
	}
	return out, nil
}

func (d side) turn(ctx context.Context, n, inFlight int) (float64, []float64, error) {
	if d.prepare != nil {
		if err := d.prepare(ctx, n); err != nil {
			return 0, nil, err
		}
	}
	return flight(ctx, n, inFlight, d.do)
}

// flight makes n operations with so many of them under way, and returns how
// many it made in a second and how long each took in ms.
func flight(ctx context.Context, n, inFlight int, do func(ctx context.Context, worker, i int) error) (float64, []float64, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	took := make([]float64, n)
	began := time.Now()
	for worker := range inFlight {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				start := time.Now()
				if err := do(ctx, worker, i); err != nil {
					failed.Store(&err)
					return
				}
				took[i] = time.Since(start).Seconds() * 1000
			}
		})
	}
	wg.Wait()
	perSecond := float64(n) / time.Since(began).Seconds()
	if err := failed.Load(); err != nil {
		return 0, nil, *err
	}
	return perSecond, took, ctx.Err()
}

// profiled is how many operations a profile is taken of.
const profiled = 3000

// profileTurn profiles this process while one side makes n operations.
func (s *session) profileTurn(ctx context.Context, what string, d side, n, inFlight int) error {
	if !s.profiles {
		return nil
	}
	file := filepath.Join(s.tmp, "turn.prof")
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if d.prepare != nil {
		if err := d.prepare(ctx, n); err != nil {
			return err
		}
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	_, _, err = flight(ctx, n, inFlight, d.do)
	pprof.StopCPUProfile()
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err == nil {
		s.profile(ctx, "the time goes, "+what, self, file, "cpu")
	}
	return err
}
