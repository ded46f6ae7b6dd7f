package sqlstore_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

func TestCheckDurabilityNamesWhatIsWeakerThanFull(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		parameters string
		want       []string
	}{
		"full":    {"&_pragma=synchronous(full)", nil},
		"extra":   {"&_pragma=synchronous(extra)", nil},
		"default": {"", nil},
		"normal": {"&_pragma=synchronous(normal)", []string{
			"PRAGMA synchronous is NORMAL: a crash of the machine may lose the last commits",
		}},
		"off, without a journal on disk": {"&_pragma=synchronous(0)&_pragma=journal_mode(memory)", []string{
			"PRAGMA synchronous is OFF: a crash of the machine may lose the last commits or damage the file",
			"PRAGMA journal_mode is MEMORY: a crash of the process may damage the file",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := "file:" + t.TempDir() + "/tokens.db?_pragma=busy_timeout(1000)" + tc.parameters
			store, err := sqlstore.New(open(t, dsn), sqlstore.SQLite, quiet())
			require.NoError(t, err)
			weak, err := store.CheckDurability(t.Context())
			require.NoError(t, err)
			require.Equal(t, tc.want, weak)
		})
	}
}

func TestWeakDurabilityIsLoggedOnce(t *testing.T) {
	t.Parallel()
	dsn := file(t) + "&_pragma=synchronous(normal)"
	for name, first := range map[string]func(*sqlstore.Store) error{
		"by Migrate": func(s *sqlstore.Store) error { return s.Migrate(t.Context()) },
		"by the first use": func(s *sqlstore.Store) error {
			_, err := s.ByUser(t.Context(), "a", "b")
			return err
		},
		"by the first transaction": func(s *sqlstore.Store) error { return s.InTx(t.Context(), nothing) },
	} {
		var log strings.Builder
		options := quiet()
		options.Logger = slog.New(slog.NewTextHandler(&log, nil))
		db := open(t, dsn)
		newStore(t, db)
		store, err := sqlstore.New(db, sqlstore.SQLite, options)
		require.NoError(t, err)
		require.NoError(t, first(store), name)
		for range 3 {
			_, err = store.Get(t.Context(), "a")
			require.ErrorIs(t, err, codegrant.ErrNotFound)
			require.NoError(t, store.Migrate(t.Context()))
		}
		require.Equal(t, 1, strings.Count(log.String(), "code=weak_durability"), name)
		require.Contains(t, log.String(), "level=WARN")
		require.Contains(t, log.String(), "PRAGMA synchronous is NORMAL")
	}
}
