//go:build race

package hostiletest

// slowdown divides the rounds of random tests under the race detector.
const slowdown = 10
