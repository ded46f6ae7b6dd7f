package console

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// sweeper runs one sweep at a time and keeps what became of the last one.
type sweeper struct {
	mu      sync.Mutex
	running sweepResult // the zero value while none is
	last    sweepResult // the zero value before the first
}

type sweepResult struct {
	By           string
	Began, Ended time.Time
	Counts       codegrant.Sweep
	Code         string // why it ended early; empty when it did not
}

// Took is how long it went on.
func (r sweepResult) Took() string { return span(r.Ended.Sub(r.Began)) }

// begin reports false while a sweep is under way.
func (s *sweeper) begin(by string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running.Began.IsZero() {
		return false
	}
	s.running = sweepResult{By: by, Began: now}
	return true
}

func (s *sweeper) end(r sweepResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running, s.last = sweepResult{}, r
}

func (s *sweeper) state() (running, last sweepResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running, s.last
}

// sweepNow sweeps, unless somebody else's sweep is under way, and sends the
// browser to the result. The sweep outlives a browser that hangs up: what it
// has claimed, it should settle.
func (v *visit) sweepNow(context.Context) error {
	if v.cfg.Sweep == nil {
		return codegrant.ErrDisabled
	}
	if v.sweep.begin(v.staff, v.now) {
		v.runSweep()
	}
	return v.goTo("./#sweep")
}

func (v *visit) runSweep() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), v.cfg.SweepTimeout)
	defer cancel()
	r := sweepResult{By: v.staff, Began: v.now, Code: "panicked"}
	defer func() { // also when Sweep panics
		r.Ended = v.cfg.Now().UTC()
		v.sweep.end(r)
		level := slog.LevelInfo
		if r.Code != "" && r.Code != string(codegrant.ErrDeadline) {
			level = slog.LevelError
		}
		v.cfg.Logger.LogAttrs(ctx, level, "codegrant: console sweep", slog.String("code", "console_sweep"), slog.String("op", "console"),
			slog.String("staff", r.By), slog.Int("looked", r.Counts.Looked), slog.Int("settled", r.Counts.Settled),
			slog.Int("failed", r.Counts.Failed), slog.String("ended", r.Code))
	}()
	counts, err := v.cfg.Sweep(ctx)
	r.Counts, r.Code = counts, ""
	if err != nil {
		r.Code = string(codeOf(ctx, err))
	}
}
