//go:build linux

package galera

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Everything uses one cluster, which takes a quarter of a minute to start. Both
// settings run, because the kit's guarded update is to make the slower one
// unnecessary for records that exist.
func TestNodesOfAClusterAgreeOnEveryNotification(t *testing.T) {
	c := startCluster(t)
	t.Run("two nodes that write one record", func(t *testing.T) { sameRecord(t, c) })
	t.Run("a node that is out", func(t *testing.T) { out(t, c) })
	t.Run("a node that stands still", func(t *testing.T) { standstill(t, c) })
	// The first to die is the one that made the cluster; it knows how far it
	// had come. The other one comes back empty, and stops its donor's writes.
	rejoined := fault{node: 0, name: "the rest", back: (*node).rejoin}
	replaced := fault{node: 2, name: "a copy of all", back: (*node).replace}
	t.Run("nodes killed, reads may be behind", func(t *testing.T) {
		killed(t, c, "killed_behind", "wsrep_sync_wait=0", 2_500, rejoined, replaced)
	})
	t.Run("a node killed, reads wait for the cluster", func(t *testing.T) {
		killed(t, c, "killed_waiting", "wsrep_sync_wait=1", 1_000, rejoined)
	})
}

// fault is a node's death and its return by one of the two transfers.
type fault struct {
	node int
	name string
	back func(*node, context.Context) error
}

// killed delivers a load while the faults happen one after the other, each in
// a stretch of the load of its own, and judges.
func killed(t *testing.T, c *cluster, database, setting string, events int, faults ...fault) {
	log := newCounter()
	shops := newShops(t, c, database, setting, log)
	l := newLoad(t, events)
	l.prepare(t, shops[0])
	stretch := len(l.order) / (3 * len(faults)) // before it, during it, after it
	for i := range faults {
		l.barriers = append(l.barriers, barrier{stretch * (3*i + 2), make(chan struct{})})
	}
	before := [3]int{}
	for i, n := range c.nodes {
		before[i] = n.conflicts(t.Context())
	}

	began := time.Now()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	conflicts := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for i, f := range faults {
			for int(l.next.Load()) < stretch*(3*i+1) {
				if ctx.Err() != nil {
					return
				}
				time.Sleep(time.Millisecond)
			}
			// What a node has counted dies with it.
			conflicts += c.nodes[f.node].conflicts(ctx) - before[f.node]
			before[f.node] = 0
			c.nodes[f.node].kill()
			died := time.Now()
			if err := f.back(c.nodes[f.node], ctx); err != nil {
				cancel(err)
				return
			}
			t.Logf("%s was back after %.1f s with %s", c.nodes[f.node].name, time.Since(died).Seconds(), f.name)
			close(l.barriers[i].open)
		}
	})
	err := l.deliverAll(ctx, shops)
	if err != nil {
		cancel(err)
	}
	wg.Wait()
	require.NoError(t, err)
	took := time.Since(began)

	for i, n := range c.nodes {
		require.NoError(t, n.synced(t.Context()))
		conflicts += n.conflicts(t.Context()) - before[i]
	}
	want := c.nodes[0].contents(t, database)
	for _, n := range c.nodes[1:] {
		require.Equal(t, want, n.contents(t, database), "%s has other rows than %s", n.name, c.nodes[0].name)
	}
	v := l.judge(t, shops[1])
	t.Logf("%s: %d events, %d deliveries and %d more in the outages, %d attempts in %.1f s; by node accepted %v, refused %v; "+
		"%d conflicts between nodes, %d overtaken; %d lost, %d doubled, %d stale",
		setting, len(l.events), len(l.order), l.extra.Load(), l.attempts.Load(), took.Seconds(),
		loads(&l.accepted), loads(&l.refused), conflicts, v.overtaken, v.lost, v.doubled, v.stale)
	log.check(t)
	require.Zero(t, v.lost+v.doubled+v.stale, v.examples)
	require.Positive(t, conflicts, "the nodes never met at a record: nothing was tested")
}

// conflicts counts the transactions of this node that lost against another one.
func (n *node) conflicts(ctx context.Context) int {
	return n.number(ctx, "wsrep_local_cert_failures") + n.number(ctx, "wsrep_local_bf_aborts")
}
