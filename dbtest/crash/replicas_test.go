//go:build linux

package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Replicas behind a load balancer share a database and nothing else: the lock
// that a process has for each record does not help them.
func TestThreeReceiversHearTheSameAtOnce(t *testing.T) {
	t.Run("PostgreSQL", func(t *testing.T) { threeReceivers(t, "PostgreSQL, three receivers", startPostgreSQL(t)) })
	t.Run("MariaDB", func(t *testing.T) { threeReceivers(t, "MariaDB, three receivers", startMariaDB(t)) })
}

func threeReceivers(t *testing.T, name string, server *databaseServer) {
	t.Helper()
	at := server.target
	l := newLoad(t, size(t, 2_000))
	l.prepare(t, at)
	at.LogAll = true // transitions are counted by the log

	var replicas []*receiver
	var all []func(context.Context) error
	for range 3 {
		r := newReceiver(t, at)
		replicas = append(replicas, r)
		all = append(all, func(ctx context.Context) error { return r.run(ctx, 0, nil) })
	}
	ctx, stop := beside(t, all)
	began := time.Now()
	err := l.tellAll(ctx, replicas)
	res := &result{
		name: name, events: len(l.events), deliveries: 3 * len(l.events),
		attempts: int64(3 * len(l.events)), took: time.Since(began),
	}
	require.NoError(t, errors.Join(err, stop()))

	l.judge(t, at, nil, res)
	summary.add(res)
	require.NoError(t, res.flawless())
	require.Zero(t, res.overtaken, "each event was news, so each has its row")
	transitions := 0
	for _, r := range replicas {
		r.checkLog(t)
		text, err := os.ReadFile(r.logName)
		require.NoError(t, err)
		transitions += strings.Count(string(text), `"code":"transition"`)
		for _, bad := range []string{`"code":"store_failed"`, `"level":"ERROR"`, `"level":"WARN"`} {
			require.NotContains(t, string(text), bad)
		}
	}
	// PostgreSQL notes those too that were tried again in silence.
	text, err := os.ReadFile(server.logName)
	require.NoError(t, err)
	require.NotContains(t, string(text), "deadlock")
	require.Equal(t, len(l.events), transitions, "exactly one of the three makes each transition")
}

// tellAll sends each event to all receivers at once and goes on when all have
// answered. Every first answer must be 200. Users are independent and several
// are under way at a time.
func (l *load) tellAll(ctx context.Context, replicas []*receiver) error {
	const parallel = 4
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	clients := make([]*http.Client, len(replicas))
	for i, r := range replicas {
		clients[i] = r.client()
	}
	var workers sync.WaitGroup
	for worker := range parallel {
		workers.Go(func() {
			for _, e := range l.events {
				if e.user%parallel != worker || ctx.Err() != nil {
					continue
				}
				body := l.body(e)
				var copies sync.WaitGroup
				for i, client := range clients {
					copies.Go(func() {
						status, err := post(ctx, client, e, body, int64(i))
						if err != nil || status != http.StatusOK {
							cancel(errors.Join(err, fmt.Errorf("receiver %d answered %+v with %d", i, e, status)))
						}
					})
				}
				copies.Wait()
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}
