//go:build !race

package hostiletest

const slowdown = 1
