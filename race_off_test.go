//go:build !race

package codegrant

const raceEnabled = false
