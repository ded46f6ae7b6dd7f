//go:build race

package codegrant

// raceEnabled: the race detector allocates, and makes pools forget.
const raceEnabled = true
