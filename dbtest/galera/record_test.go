//go:build linux

package galera

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// sameRecord lets two nodes hold the lock on one record at once, which no single
// server would, and commit together. The one that loses learns it at COMMIT and
// keeps nothing; the store must call that a conflict, or the kit would not try
// again.
func sameRecord(t *testing.T, c *cluster) {
	shops := newShops(t, c, "same_record", "wsrep_sync_wait=1", slog.DiscardHandler)
	require.NoError(t, shops[0].store.Save(t.Context(), pending(0)))
	const rounds = 30
	for range rounds {
		var (
			wg      sync.WaitGroup
			barrier sync.WaitGroup
			errs    [2]error
			inside  [2]error
		)
		barrier.Add(2)
		for i, s := range shops[:2] {
			wg.Go(func() {
				errs[i] = s.plain.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
					token, err := tx.Get(ctx, recordID(0))
					if err == nil {
						token.Revision++
						own, _ := sqlstore.Tx(ctx)
						_, err = own.ExecContext(ctx, insertRow, token.ID, i, token.Revision)
					}
					if err == nil {
						err = tx.Save(ctx, token)
					}
					inside[i] = err
					barrier.Done()
					barrier.Wait()
					return err
				})
			})
		}
		wg.Wait()
		require.NoError(t, inside[0])
		require.NoError(t, inside[1])
		require.NotEqual(t, errs[0] == nil, errs[1] == nil, "one wins: %v", errs)
		for _, err := range errs {
			if err != nil {
				require.ErrorIs(t, err, codegrant.ErrConflict)
				require.EqualError(t, err, "sqlstore: commit: mysql error 1213")
			}
		}
	}
	found, err := shops[2].store.Get(t.Context(), recordID(0))
	require.NoError(t, err)
	require.Equal(t, int64(1+rounds), found.Revision)
	require.Len(t, shops[2].rows(t), rounds, "what the losers wrote is gone")
}

// out has a node refuse everything with error 1047, as one does that is not in
// the group or has not caught up.
func out(t *testing.T, c *cluster) {
	shops := newShops(t, c, "node_out", "wsrep_sync_wait=1", slog.DiscardHandler)
	require.NoError(t, shops[0].store.Save(t.Context(), pending(0)))
	l := newLoad(t, 1)
	c.nodes[1].exec(t, "SET GLOBAL wsrep_reject_queries = ALL")
	_, err := shops[1].store.Get(t.Context(), recordID(0))
	require.ErrorContains(t, err, "mysql error 1047")
	answer := shops[1].post(l.gateway, event{})
	c.nodes[1].exec(t, "SET GLOBAL wsrep_reject_queries = NONE")
	require.Equal(t, http.StatusServiceUnavailable, answer)
	require.Equal(t, http.StatusOK, shops[1].post(l.gateway, event{}))
}
