//go:build linux

package crash

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/sqlstore"
)

const (
	killEvery  = 200 * time.Millisecond // the receiver
	crashEvery = 3 * time.Second        // the database

	// A run of this size is one to be quoted, and is quoted with its kills.
	longRun, longRunKills = 250_000, 800
)

func TestReceiverKilledOnSQLite(t *testing.T) {
	r := killReceiver(t, "SQLite, receiver killed", sqlite(t), size(t, 12_500/slowdown))
	require.NoError(t, r.flawless())
}

func TestReceiverKilledOnPostgreSQL(t *testing.T) {
	server := startPostgreSQL(t)
	r := killReceiver(t, "PostgreSQL, receiver killed", server.target, size(t, 6_000/min(slowdown, 8)))
	require.NoError(t, r.flawless())
}

func TestReceiverKilledOnMariaDB(t *testing.T) {
	server := startMariaDB(t)
	r := killReceiver(t, "MariaDB, receiver killed", server.target, size(t, 6_000/min(slowdown, 8)))
	require.NoError(t, r.flawless())
}

func TestDatabaseKilledPostgreSQL(t *testing.T) {
	server := startPostgreSQL(t)
	r := killDatabase(t, "PostgreSQL killed", server, server.target, size(t, 8_000/min(slowdown, 4)))
	require.NoError(t, r.flawless())
}

func TestDatabaseKilledMariaDB(t *testing.T) {
	server := startMariaDB(t)
	r := killDatabase(t, "MariaDB killed", server, server.target, size(t, 8_000/min(slowdown, 4)))
	require.NoError(t, r.flawless())
}

// What a wrong receiver must show is that the harness would have seen it.
func TestWrongReceiversAreCaught(t *testing.T) {
	const events = 1_600 / min(slowdown, 4)
	wrong := func(t *testing.T, name string, shown func(*result) int) {
		t.Helper()
		caught(t, name, connections, events, shown)
	}
	t.Run("answering first loses", func(t *testing.T) {
		wrong(t, "answers first", func(r *result) int { return r.lost })
	})
	t.Run("no guard doubles", func(t *testing.T) {
		wrong(t, "unguarded", func(r *result) int { return r.doubled })
	})
	t.Run("a row outside of the transaction doubles or is lost", func(t *testing.T) {
		wrong(t, "outside", func(r *result) int { return r.doubled + r.lost })
	})
	t.Run("the last write leaves stale records", func(t *testing.T) {
		wrong(t, "last wins", func(r *result) int { return r.stale })
	})
}

// caught delivers loads to a wrong receiver until one shows what is wrong. A
// kill has to come between two of its steps, and there are few in a load that a
// quick machine is soon done with.
func caught(t *testing.T, name string, inFlight, events int, shown func(*result) int) {
	t.Helper()
	const mostLoads = 12
	found := 0
	for load := 0; load < mostLoads && found == 0; load++ {
		at := sqlite(t)
		at.Receiver, at.InFlight = name, inFlight
		found = shown(killReceiver(t, "wrong: "+name, at, events))
	}
	require.Positive(t, found)
}

// killReceiver delivers a load of n events to a receiver that is killed again
// and again.
func killReceiver(t *testing.T, name string, at target, n int) *result {
	t.Helper()
	l := newLoad(t, n)
	l.prepare(t, at)
	r := newReceiver(t, at)
	res := l.run(t, name, r, killEvery, nil)
	res.kills = r.kills
	if n >= longRun {
		require.GreaterOrEqual(t, res.kills, longRunKills, "too few kills: raise %s", envEvents)
	}
	require.Positive(t, res.kills, "the receiver was never killed: raise %s", envEvents)
	return res
}

// killDatabase leaves the receiver alone and kills the server below it.
func killDatabase(t *testing.T, name string, server *databaseServer, at target, n int) *result {
	t.Helper()
	l := newLoad(t, n)
	l.prepare(t, at)
	r := newReceiver(t, at)
	kills := 0
	res := l.run(t, name, r, 0, func(ctx context.Context, g *gateway) error {
		for began := time.Now(); ; {
			// However quick it is, the load is not over before the first crash.
			half := kills == 0 && g.attempts.Load() >= int64(len(l.order)/2)
			if !half && time.Since(began) < crashEvery {
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(10 * time.Millisecond):
				}
				continue
			}
			// Also when everything has been delivered meanwhile: the verdict
			// needs the server.
			if err := server.crash(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			kills++
			began = time.Now()
		}
	})
	res.kills = kills
	require.Positive(t, kills, "the database was never killed: raise %s", envEvents)
	return res
}

// run delivers everything while a receiver and a fault run, and judges.
func (l *load) run(t *testing.T, name string, r *receiver, every time.Duration, fault func(context.Context, *gateway) error) *result {
	t.Helper()
	g := newGateway(l, r)
	began := time.Now()
	faults := []func(context.Context) error{
		func(ctx context.Context) error { return r.run(ctx, every, newRandom(t)) },
	}
	if fault != nil {
		faults = append(faults, func(ctx context.Context) error { return fault(ctx, g) })
	}
	ctx, stop := beside(t, faults)
	err := g.deliverAll(ctx)
	took := time.Since(began)
	// A receiver that answered first gets the time to do its work: it is to
	// fail by the kills and not by the end of the test.
	time.Sleep(killEvery)
	require.NoError(t, errors.Join(err, stop()), tail(r.logName))
	res := &result{
		name: name, events: len(l.events), deliveries: len(l.order), took: took,
		attempts: g.attempts.Load(), refused: g.refused.Load(),
	}
	l.judge(t, r.target, g.broken, res)
	summary.add(res)
	r.checkLog(t)
	return res
}

// beside runs all that happens while a load is delivered. The context ends when
// one of it fails; stop ends it, waits, and returns the failure.
func beside(t *testing.T, all []func(context.Context) error) (ctx context.Context, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	if deadline, ok := t.Deadline(); ok {
		// A test that runs into its time-out cleans nothing up.
		timer := time.AfterFunc(time.Until(deadline)-30*time.Second, func() {
			cancel(errors.New("the time is almost up: raise -timeout"))
		})
		t.Cleanup(func() { timer.Stop() })
	}
	var wg sync.WaitGroup
	for _, f := range all {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				cancel(err)
			}
		})
	}
	stop = func() error {
		cancel(nil)
		wg.Wait()
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
			return cause
		}
		return nil
	}
	t.Cleanup(func() { _ = stop() })
	return ctx, stop
}

// checkLog looks for what no receiver may say, whatever is killed.
func (r *receiver) checkLog(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(r.logName)
	require.NoError(t, err)
	for _, bad := range []string{"DATA RACE", "panic", "weak_durability", "bad_signature", "not_migrated"} {
		if i := strings.Index(string(text), bad); i >= 0 {
			t.Fatalf("the receiver's log has %q: %.2000s", bad, text[max(0, i-200):])
		}
	}
}

// sqlite is a database that keeps what it has committed also through a loss of
// power, which is slower and the default.
func sqlite(t *testing.T) target {
	t.Helper()
	return target{Dialect: sqlstore.SQLite, Driver: "sqlite", DSN: "file:" + filepath.Join(newFolder(t), "shop.db") +
		"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(2000)"}
}
