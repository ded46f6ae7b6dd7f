package sqlstore_test

import (
	"database/sql/driver"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// onOtherDialect returns a store that speaks to SQLite as to a server, which
// works for the saving of one record.
func onOtherDialect(t *testing.T, d sqlstore.Dialect, refuse func(query string) error) (*sqlstore.Store, *faulty) {
	t.Helper()
	db, f := openFaulty(t, file(t), refuse)
	require.NoError(t, newStore(t, db).Migrate(t.Context()))
	store, err := sqlstore.New(db, d, sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return store, f
}

// database/sql reads the count of written rows with the connection locked. Who
// reads it late waits for the statement of the next one who has the connection,
// and thereby for the lock that he waits for.
func TestTheCountOfWrittenRowsIsReadBeforeTheConnectionGoesBack(t *testing.T) {
	t.Parallel()
	for _, d := range []sqlstore.Dialect{sqlstore.PostgreSQL, sqlstore.MySQL} {
		t.Run(string(d), func(t *testing.T) {
			t.Parallel()
			store, f := onOtherDialect(t, d, func(string) error { return nil })
			saved := token("a")
			require.NoError(t, store.Save(t.Context(), saved))
			saved.Revision++
			require.NoError(t, store.Save(t.Context(), saved))
			require.ErrorIs(t, store.Save(t.Context(), saved), codegrant.ErrConflict)
			require.Zero(t, f.lateCounts.Load())
		})
	}
}

// A connection that turns out to be dead has run nothing.
func TestASaveTakesAnotherConnectionForADeadOne(t *testing.T) {
	t.Parallel()
	dead := 0
	store, _ := onOtherDialect(t, sqlstore.PostgreSQL, func(query string) error {
		if strings.HasPrefix(query, "INSERT INTO codegrant_tokens") && dead > 0 {
			dead--
			return driver.ErrBadConn
		}
		return nil
	})
	dead = 2
	require.NoError(t, store.Save(t.Context(), token("a")))
	dead = 100
	err := store.Save(t.Context(), token("b"))
	require.ErrorIs(t, err, driver.ErrBadConn)
	require.Equal(t, 97, dead)
	dead = 0
	require.NoError(t, store.Save(t.Context(), token("b")))
	_, err = store.List(t.Context(), "", 10)
	require.NoError(t, err)
}
