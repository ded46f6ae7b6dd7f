//go:build linux

package soak

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// settleWithin is how long after the load nothing may wait any more. A sweep
// looks at a record again after as long as it has waited, so that the unlucky
// one whose hook failed three times in a row needs 8 times the usual 2 s; and
// the gateway's schedule needs 43 s.
const settleWithin = 3 * time.Minute

func TestSoak(t *testing.T) {
	w := newWorld(t)
	began := time.Now()
	start := w.measure(t, 0)
	every, warm := min(10*time.Second, *soakFlag/12), min(warmUp, *soakFlag/10)
	t.Logf("%d operations/s for %v; flat is judged after the first %v: %v", perSecond, *soakFlag, warm, *soakFlag >= longRun)

	ctx, cancel := context.WithTimeout(t.Context(), *soakFlag)
	defer cancel()
	loaded := make(chan struct{})
	go func() {
		w.load(ctx)
		close(loaded)
	}()
	samples := w.watch(ctx, t, began, every)
	select {
	case <-loaded:
	case <-time.After(time.Minute):
		require.Fail(t, "an operation does not end")
	}

	stopped := time.Now()
	w.settle(t)
	t.Logf("%v after the load nothing waits any more", time.Since(stopped).Round(100*time.Millisecond))
	w.quiet(t, start)
	end := w.measure(t, time.Since(began))

	var warmed []sample
	for _, s := range samples {
		if s.at >= warm {
			warmed = append(warmed, s)
		}
	}
	require.NotEmpty(t, warmed, "too short to be measured")
	report(t, start, warmed, end)
	show(t, "the world did, and was answered", w.tally)
	w.checkLogs(t)
	for i, n := range end.nodes {
		t.Logf("node %d: %d hooks failed and %d hung on purpose", i, n.Failed, n.Hung)
	}
	w.judge(t)
	bounded(t, samples)
	if *soakFlag >= longRun {
		flat(t, warmed)
	}
}

// settle waits until no record waits for anything and the gateway has nothing
// more to deliver. Every fault goes on meanwhile.
func (w *world) settle(t *testing.T) {
	t.Helper()
	var unsettled, undelivered int64
	require.Eventually(t, func() bool {
		undelivered = 0
		for _, n := range w.gateway.Notifications() {
			if !n.NextAt.IsZero() {
				undelivered++
			}
		}
		w.gateway.Wait()
		unsettled = w.ask(t, "SELECT (SELECT count(*) FROM codegrant_tokens WHERE unsettled_since IS NOT NULL) + "+
			"(SELECT count(*) FROM codegrant_payments WHERE unsettled_since IS NOT NULL)")
		return unsettled == 0 && undelivered == 0
	}, settleWithin, 250*time.Millisecond, "records or notifications still wait")
}

// quiet waits until every node is as it was before the load: no goroutine and
// no connection is left behind but those of the pool.
func (w *world) quiet(t *testing.T, start sample) {
	t.Helper()
	w.customers.CloseIdleConnections()
	w.balancer.next.CloseIdleConnections()
	for i := range nodes {
		var now nodeStats
		quiet := func() bool {
			now = w.nodeStats(t, i, "/stats?idle")
			return now.Goroutines <= start.nodes[i].Goroutines && now.Sockets-now.DBOpen <= start.nodes[i].Sockets-start.nodes[i].DBOpen &&
				now.DBBusy == 0
		}
		for deadline := time.Now().Add(20 * time.Second); !quiet(); {
			if time.Now().After(deadline) {
				require.Fail(t, "a node is not as it was", "node %d: %d goroutines, %d sockets, %d connections in use; at the start %d and %d\n%s", i,
					now.Goroutines, now.Sockets, now.DBBusy, start.nodes[i].Goroutines, start.nodes[i].Sockets, w.getNode(t, i, "/stacks"))
			}
			<-time.After(200 * time.Millisecond)
		}
	}
}

// The simulator must have all its faults here, also those of later versions.
func TestEveryFaultIsOn(t *testing.T) {
	rates := gatewayConfig(nil).Rates
	for _, kinds := range [][2]gatewaytest.FaultKind{
		{gatewaytest.TimeoutBefore, gatewaytest.Decline}, {gatewaytest.DropAttempt, gatewaytest.UnsignedNotification},
	} {
		for kind := kinds[0]; kind <= kinds[1]; kind++ {
			require.Positive(t, rates[kind], kind)
		}
	}
}
