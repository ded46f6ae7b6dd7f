package codegrant

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWhatAnybodySendsGrowsNoMemory(t *testing.T) {
	t.Parallel()
	known := map[string]*Kit{}
	for i := range 100 {
		id := fmt.Sprintf("2022102018024210348%03d", i)
		known[id] = &Kit{client: &Client{account: Account{ID: id}}}
	}
	finds := 0
	a, err := NewAccounts(AccountsConfig{
		Find: func(_ context.Context, accountID string) (*Kit, error) {
			if k, ok := known[accountID]; ok {
				finds++
				return k, nil
			}
			return nil, ErrNotFound
		},
		Keep: 1 << 62, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	for i := range 100_000 {
		a.keep(fmt.Sprint("made-up-", i), keptKit{until: time.Now().Add(keepMissing)})
		if i%1000 == 0 {
			_, err := a.Kit(t.Context(), fmt.Sprint("asked-for-", i))
			require.ErrorIs(t, err, ErrNotFound)
			require.LessOrEqual(t, len(a.kept), maxKept)
			for id, k := range known {
				got, err := a.Kit(t.Context(), id)
				require.NoError(t, err)
				require.Same(t, k, got)
			}
		}
	}
	require.Equal(t, len(known), finds, "what is known gave way to what is made up")
	for _, id := range []string{"", "a b", "a/b", "ä", string(make([]byte, 65))} {
		_, err := a.Kit(t.Context(), id)
		require.ErrorIs(t, err, ErrNotFound)
		require.NotContains(t, a.kept, id)
	}

	// More accounts than are kept: each is still found.
	for i := range 3 * maxKept {
		id := fmt.Sprint("real-", i)
		known[id] = &Kit{client: &Client{account: Account{ID: id}}}
		if i%100 > 0 {
			a.keep(id, keptKit{kit: known[id], until: time.Now().Add(time.Hour)})
			continue
		}
		_, err := a.Kit(t.Context(), id)
		require.NoError(t, err)
	}
	require.LessOrEqual(t, len(a.kept), maxKept)
}
