//go:build linux

// Package crash kills a merchant's server and its database again and again
// while notifications come in, and then counts what was lost, done twice or
// left behind. The server is a process of its own that serves the real kit over
// sqlstore and package seal; the database is SQLite, or a PostgreSQL or MariaDB
// that the test starts for itself. Receivers that are wrong on purpose go
// through the same and must be caught, or the harness proves nothing.
//
// A process that charges, refunds or sweeps is killed too, at every statement
// and every call of the gateway instead of by chance.
//
// Killing a process does not test durability: what it has written survives it
// in the kernel. That takes a loss of power, which this package cannot stage.
//
//	CRASH_EVENTS  unique notifications in each test, instead of its own figure
//	CRASH_SEED    repeats the load of an earlier run, in its order
//	CI=true       a database that is not installed fails its tests
package crash

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
)

const (
	envEvents   = "CRASH_EVENTS"
	envSeed     = "CRASH_SEED"
	envReceiver = "CRASH_RECEIVER" // makes this binary a receiver: see [serve]
	envTill     = "CRASH_TILL"     // or a till: see [ringUp]
)

func TestMain(m *testing.M) {
	if spec := os.Getenv(envReceiver); spec != "" {
		fmt.Fprintln(os.Stderr, serve(spec)) // returns only to say why it cannot
		os.Exit(1)
	}
	if spec := os.Getenv(envTill); spec != "" {
		if err := ringUp(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// A test that is interrupted would leave its folders behind; its processes
	// die with it in any case.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		removeFolders()
		os.Exit(1)
	}()
	status := m.Run()
	removeFolders()
	summary.print()
	os.Exit(status)
}

// size is the number of unique notifications in a test.
func size(t *testing.T, usual int) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(envEvents), strconv.Itoa(usual)))
	if err != nil || n < 1 {
		t.Fatalf("%s is not a number above 0", envEvents)
	}
	return n
}

// seed is drawn once for all tests, so that the one in the table repeats any.
var seed = cmp.Or(os.Getenv(envSeed), strconv.FormatUint(uint64(rand.Uint32()), 10))

func newRandom(t *testing.T) *rand.Rand {
	t.Helper()
	n, err := strconv.ParseUint(seed, 10, 64)
	if err != nil {
		t.Fatalf("%s is not a number", envSeed)
	}
	return rand.New(rand.NewPCG(n, 0))
}

// missing ends a test whose database is not installed.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", what)
	}
	t.Skipf("%s is not installed", what)
}
