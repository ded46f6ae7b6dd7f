//go:build linux && !race

package crash

const slowdown = 1
