//go:build linux && race

package crash

// slowdown divides the loads. Under the race detector SQLite, which is Go here,
// and the start of each receiver take many times longer.
const slowdown = 16
