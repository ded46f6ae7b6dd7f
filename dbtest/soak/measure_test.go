//go:build linux

package soak

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// longRun is the shortest run whose figures must be flat.
	longRun = 5 * time.Minute
	warmUp  = time.Minute
)

// sample is what is measured at one moment.
type sample struct {
	at               time.Duration
	nodes            [nodes]nodeStats
	backends         int64 // the nodes' connections as the database sees them
	tokens, payments table
	skipped          int64
}

// table is one of the kit's tables.
type table struct {
	rows, unsettled int64
	oldest          time.Duration // how long the oldest unsettled record has waited
	perRow, dead    int64         // bytes with indexes and dead rows; dead rows
}

func (w *world) measure(t *testing.T, at time.Duration) (s sample) {
	t.Helper()
	s.at = at
	for i := range nodes {
		s.nodes[i] = w.nodeStats(t, i, "/stats")
	}
	s.backends = w.ask(t, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'node%'")
	s.tokens, s.payments = w.table(t, "codegrant_tokens"), w.table(t, "codegrant_payments")
	s.skipped = w.skipped.Load()
	return s
}

func (w *world) table(t *testing.T, name string) (f table) {
	t.Helper()
	f.rows = w.ask(t, "SELECT count(*) FROM "+name)
	f.unsettled = w.ask(t, "SELECT count(*) FROM "+name+" WHERE unsettled_since IS NOT NULL")
	// unsettled_since moves with each look; what does not is the last change.
	oldest := w.ask(t, "SELECT COALESCE(MIN(updated_at), 0) FROM "+name+" WHERE unsettled_since IS NOT NULL")
	if oldest > 0 {
		f.oldest = time.Since(time.UnixMicro(oldest))
	}
	f.perRow = w.ask(t, "SELECT pg_total_relation_size('"+name+"')") / max(f.rows, 1)
	f.dead = w.ask(t, "SELECT COALESCE(n_dead_tup, 0) FROM pg_stat_user_tables WHERE relname = '"+name+"'")
	return f
}

// watch measures again and again until ctx ends.
func (w *world) watch(ctx context.Context, t *testing.T, began time.Time, every time.Duration) (samples []sample) {
	t.Helper()
	tick := time.NewTicker(every)
	defer tick.Stop()
	vacuum := w.autovacuum(t)
	cleaned := time.Now()
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		if time.Since(cleaned) > time.Minute {
			cleaned = time.Now()
			vacuum()
		}
		s := w.measure(t, time.Since(began))
		samples = append(samples, s)
		t.Log(s)
	}
}

// autovacuum returns what stands in for autovacuum where the server has it
// switched off.
func (w *world) autovacuum(t *testing.T) func() {
	t.Helper()
	if w.ask(t, "SELECT count(*) FROM pg_settings WHERE name = 'autovacuum' AND setting = 'on'") > 0 {
		return func() {}
	}
	t.Log("autovacuum is off on this server: the test vacuums each minute in its place")
	return func() { w.exec(t, "VACUUM (ANALYZE) codegrant_tokens, codegrant_payments") }
}

func (s sample) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v:", s.at.Round(time.Second))
	for _, f := range figures() {
		fmt.Fprintf(&b, " %s %s;", f.name, f.show(s))
	}
	return strings.TrimSuffix(b.String(), ";")
}

// figure is a line of the table. Where flat is set, its mean over the last
// quarter may be above that over the second by so much of it, and by room.
type figure struct {
	name       string
	value      func(sample) float64
	text       string // format of the value
	flat       bool
	more, room float64
}

func figures() []figure {
	each := func(f func(nodeStats) float64) func(sample) float64 {
		return func(s sample) (sum float64) {
			for _, n := range s.nodes {
				sum += f(n)
			}
			return sum
		}
	}
	slower := func(f func(nodeStats) latency) func(sample) float64 {
		return func(s sample) (most float64) {
			for _, n := range s.nodes {
				most = max(most, float64(f(n).P99)/float64(time.Millisecond))
			}
			return most
		}
	}
	return []figure{
		{"goroutines", each(func(n nodeStats) float64 { return float64(n.Goroutines) }), "%.0f", true, 0.2, 10},
		{"heap KiB", each(func(n nodeStats) float64 { return float64(n.Heap) / 1024 }), "%.0f", true, 0.1, 512},
		{"files", each(func(n nodeStats) float64 { return float64(n.Files) }), "%.0f", true, 0.2, 10},
		{"sockets", each(func(n nodeStats) float64 { return float64(n.Sockets) }), "%.0f", true, 0.2, 10},
		{"database open", each(func(n nodeStats) float64 { return float64(n.DBOpen) }), "%.0f", false, 0, 0},
		{"database busy", each(func(n nodeStats) float64 { return float64(n.DBBusy) }), "%.0f", true, 0, 10},
		{"database waits", each(func(n nodeStats) float64 { return float64(n.DBWaits) }), "%.0f", false, 0, 0},
		{"backends", func(s sample) float64 { return float64(s.backends) }, "%.0f", false, 0, 0},
		{"notify p99 ms", slower(func(n nodeStats) latency { return n.Notify }), "%.0f", false, 0, 0},
		{"charge p99 ms", slower(func(n nodeStats) latency { return n.Charge }), "%.0f", false, 0, 0},
		{"sign-ups", func(s sample) float64 { return float64(s.tokens.rows) }, "%.0f", false, 0, 0},
		{"unsettled sign-ups", func(s sample) float64 { return float64(s.tokens.unsettled) }, "%.0f", true, 0.25, 10},
		{"longest wait s", func(s sample) float64 { return s.tokens.oldest.Seconds() }, "%.1f", false, 0, 0},
		{"bytes a sign-up", func(s sample) float64 { return float64(s.tokens.perRow) }, "%.0f", true, 0.1, 0},
		{"dead rows of sign-ups", func(s sample) float64 { return float64(s.tokens.dead) }, "%.0f", false, 0, 0},
		{"orders", func(s sample) float64 { return float64(s.payments.rows) }, "%.0f", false, 0, 0},
		{"unsettled orders", func(s sample) float64 { return float64(s.payments.unsettled) }, "%.0f", true, 0.25, 10},
		{"longest wait s", func(s sample) float64 { return s.payments.oldest.Seconds() }, "%.1f", false, 0, 0},
		{"bytes an order", func(s sample) float64 { return float64(s.payments.perRow) }, "%.0f", true, 0.1, 0},
		{"dead rows of orders", func(s sample) float64 { return float64(s.payments.dead) }, "%.0f", false, 0, 0},
		{"skipped operations", func(s sample) float64 { return float64(s.skipped) }, "%.0f", false, 0, 0},
	}
}

func (f figure) show(s sample) string { return fmt.Sprintf(f.text, f.value(s)) }

// mean of a figure over samples.
func (f figure) mean(samples []sample) (m float64) {
	for _, s := range samples {
		m += f.value(s) / float64(len(samples))
	}
	return m
}

// quarter returns the samples of a quarter of the run, from 0.
func quarter(samples []sample, n int) []sample {
	return samples[len(samples)*n/4 : len(samples)*(n+1)/4]
}

// report shows the run in five moments and the means of two of its quarters.
func report(t *testing.T, start sample, warm []sample, end sample) {
	t.Helper()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "both nodes\tstart\tquarter\thalf\tthree quarters\tend of load\tsettled\tmean 2nd quarter\tmean last quarter\t")
	moments := []sample{start, warm[len(warm)/4], warm[len(warm)/2], warm[len(warm)*3/4], warm[len(warm)-1], end}
	fmt.Fprint(w, "after\t")
	for _, s := range moments {
		fmt.Fprintf(w, "%v\t", s.at.Round(time.Second))
	}
	fmt.Fprint(w, "\t\t\n")
	for _, f := range figures() {
		fmt.Fprintf(w, "%s\t", f.name)
		for _, s := range moments {
			fmt.Fprintf(w, "%s\t", f.show(s))
		}
		fmt.Fprintf(w, "%.1f\t%.1f\t\n", f.mean(quarter(warm, 1)), f.mean(quarter(warm, 3)))
	}
	require.NoError(t, w.Flush())
	t.Log("\n" + b.String())
}

// bounded demands that no node has more connections than its pool may. Within
// that their number wanders: a burst opens some, which then stay idle, and a
// call that is cut off in a query closes one. That none is kept in use is what
// quiet demands.
func bounded(t *testing.T, samples []sample) {
	t.Helper()
	for _, s := range samples {
		for i, n := range s.nodes {
			require.LessOrEqual(t, n.DBOpen, pool, "node %d after %v", i, s.at)
		}
		// One that is being closed may still be there for the server.
		require.LessOrEqual(t, s.backends, int64(nodes*(pool+2)), "after %v", s.at)
	}
}

// flat demands that nothing has grown.
func flat(t *testing.T, warm []sample) {
	t.Helper()
	require.Greater(t, len(warm), 16, "too few samples")
	for _, f := range figures() {
		if !f.flat {
			continue
		}
		before, after := f.mean(quarter(warm, 1)), f.mean(quarter(warm, 3))
		require.LessOrEqual(t, after, before*(1+f.more)+f.room, "%s grew from %.1f to %.1f", f.name, before, after)
	}
}
