//go:build linux

package soak

import (
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"time"
)

// nodeStats is what a node says of itself.
type nodeStats struct {
	Goroutines     int
	Heap           uint64 // bytes of live objects, after a collection
	Files, Sockets int    // open descriptors; sockets are also files
	DBOpen, DBBusy int
	DBWaits        int64 // for a connection, since the start
	Notify, Charge latency
	Failed, Hung   int64 // hooks, since the start
}

// latency is that of the calls since it was asked for before.
type latency struct {
	Count int64
	P99   time.Duration
}

func (n *node) stats() nodeStats {
	runtime.GC()
	runtime.GC() // what only finalizers and pools held at the first
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	db := n.db.Stats()
	s := nodeStats{
		Goroutines: runtime.NumGoroutine(), Heap: sample[0].Value.Uint64(),
		DBOpen: db.OpenConnections, DBBusy: db.InUse, DBWaits: db.WaitCount,
		Notify: n.notify.take(), Charge: n.charges.take(),
		Failed: n.failed.Load(), Hung: n.hung.Load(),
	}
	files, _ := filepath.Glob("/proc/self/fd/*")
	s.Files = len(files)
	for _, name := range files {
		if to, err := os.Readlink(name); err == nil && strings.HasPrefix(to, "socket:") {
			s.Sockets++
		}
	}
	return s
}

// histogram counts durations in buckets, each a fifth longer than the one
// before, from 100 µs on. Its size never changes.
type histogram struct{ buckets [80]atomic.Int64 }

const (
	firstBucket = 100 * time.Microsecond
	growth      = 1.2
)

func (h *histogram) add(d time.Duration) {
	i := int(math.Ceil(math.Log(float64(d)/float64(firstBucket)) / math.Log(growth)))
	h.buckets[min(max(i, 0), len(h.buckets)-1)].Add(1)
}

// take returns what was counted and begins again.
func (h *histogram) take() latency {
	var counts [len(h.buckets)]int64
	var l latency
	for i := range h.buckets {
		counts[i] = h.buckets[i].Swap(0)
		l.Count += counts[i]
	}
	left := l.Count - l.Count*99/100
	for i := len(counts) - 1; i >= 0 && left > 0; i-- {
		left -= counts[i]
		l.P99 = time.Duration(float64(firstBucket) * math.Pow(growth, float64(i)))
	}
	return l
}

// timed counts how long calls take. Refusals do not count: a stalled sender
// takes its own time.
func (h *histogram) timed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		seen := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(seen, r)
		if seen.status < 400 || seen.status >= 500 {
			h.add(time.Since(began))
		}
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets the kit set its read deadline.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
