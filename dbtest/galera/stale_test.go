//go:build linux

package galera

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// standstill is what wsrep_sync_wait=1 is for. A node that is the donor of a
// copy, or that an operator has taken out for a backup, goes on answering reads
// from where it stopped. A sign-up begins on another node; its unbinding comes
// to this one, which has never heard of it. Nothing is written, so nothing is
// certified: the answer must not be OK. Where reads may be behind it is only
// Config.OnUnknown that could make it so, which these shops leave out.
func standstill(t *testing.T, c *cluster) {
	freeze := func(t *testing.T) (thaw func()) {
		t.Helper()
		c.nodes[1].exec(t, "SET GLOBAL wsrep_desync = ON") // or it would hold up the others
		conn, err := c.nodes[1].admin.Conn(t.Context())
		require.NoError(t, err)
		_, err = conn.ExecContext(t.Context(), "FLUSH TABLES WITH READ LOCK")
		require.NoError(t, err)
		return func() {
			_, err := conn.ExecContext(context.Background(), "UNLOCK TABLES")
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			c.nodes[1].exec(t, "SET GLOBAL wsrep_desync = OFF")
			require.NoError(t, c.nodes[1].synced(t.Context()))
		}
	}
	const user = 1
	unbinding := event{user: user, unbind: true}
	for _, setting := range []struct {
		name, database, setting string
	}{
		{"where reads may be behind, the record is unknown", "still_behind", "wsrep_sync_wait=0"},
		{"where reads wait, they run out of time", "still_waiting", "wsrep_sync_wait=1"},
	} {
		t.Run(setting.name, func(t *testing.T) {
			shops := newShops(t, c, setting.database, setting.setting, slog.DiscardHandler)
			l := newLoad(t, 1)
			thaw := freeze(t)
			require.NoError(t, shops[0].store.Save(t.Context(), pending(user)))
			answer := shops[1].post(l.gateway, unbinding)
			thaw()
			require.Equal(t, http.StatusServiceUnavailable, answer, "so that the gateway delivers again")
			require.Equal(t, http.StatusOK, shops[1].post(l.gateway, unbinding))
			found, err := shops[2].store.Get(t.Context(), recordID(user))
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusUnbound, found.Status)
		})
	}
}
