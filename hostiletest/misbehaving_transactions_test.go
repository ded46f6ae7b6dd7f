package hostiletest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// leavesNothing runs do and waits, for ten seconds at most, until no goroutine
// is left that do started and that is inside this module.
func leavesNothing(t *testing.T, do func()) {
	t.Helper()
	pprof.Do(t.Context(), pprof.Labels("work", t.Name()), func(context.Context) { do() })
	var left string
	require.Eventually(t, func() bool {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			return false
		}
		left = ""
		for _, stack := range strings.Split(all.String(), "\n\n") {
			// The profile is one of stacks; labels are inherited by what is started.
			if strings.Contains(stack, `"work":"`+t.Name()+`"`) && strings.Contains(stack, "codegrant/codegrant.") {
				left = stack
			}
		}
		return left == ""
	}, 10*time.Second, 10*time.Millisecond, "a goroutine was left behind")
}

// TestMisbehavingHooksInTheTransaction: where the hook runs inside the store's
// transaction, nothing of a failed call is kept: not the record, and not what
// the hook wrote, even later.
func TestMisbehavingHooksInTheTransaction(t *testing.T) {
	t.Parallel()
	list := slices.DeleteFunc(misdeeds(), func(bad misdeed) bool {
		code, own := strings.CutPrefix(bad.name, "returns the kit's own ")
		return own && code != "conflict" && code != "not_found" // the store's words
	})
	list = append(list, misdeed{"ends the agreement that it hears of", true, func(ctx context.Context, m *merchant, id string, _ <-chan struct{}) error {
		_, err := m.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann", TokenID: id})
		return err
	}})
	for _, bad := range list {
		t.Run(bad.name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open("sqlite", "file:"+t.TempDir()+"/tokens.db?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(10000)")
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, db.Close()) })
			db.SetMaxOpenConns(2)
			store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			require.NoError(t, store.Migrate(t.Context()))
			_, err = db.Exec("CREATE TABLE effects (id TEXT, status INTEGER)")
			require.NoError(t, err)

			var m *merchant
			var id string
			var calls atomic.Int64
			late := make(chan error, 1)
			release := make(chan struct{})
			timeout := time.Second
			m = newMerchant(t, func(s *setup) {
				s.kit.Store, s.kit.Timeout = store, timeout
				s.kit.OnToken = func(ctx context.Context, c codegrant.Change) (err error) {
					tx, ok := sqlstore.Tx(ctx)
					if !ok {
						return errors.New("the hook runs outside of the transaction")
					}
					write := func(ctx context.Context) error {
						_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?, ?)", c.Token.ID, int(c.Token.Status))
						return err
					}
					if err := write(ctx); err != nil {
						return err
					}
					if calls.Add(1) != 1 {
						return nil
					}
					err = bad.do(ctx, m, id, release)
					if err == nil { // late: the transaction must be over
						late <- write(context.WithoutCancel(ctx))
					}
					return err
				}
			})
			id = m.start(t, "ann").ID
			body := m.gateway.SignedBody(success(id), nil)
			leavesNothing(t, func() {
				began := time.Now()
				requireUnavailable(t, m.post(t, id, body))
				require.Less(t, time.Since(began), timeout+5*time.Second)
				if bad.exact {
					require.GreaterOrEqual(t, time.Since(began), timeout)
				}
				if bad.name != "ends the agreement that it hears of" {
					require.Equal(t, codegrant.StatusPending, m.get(t, id).Status, "rolled back")
				}
				if !bad.exact {
					require.EqualValues(t, 1, calls.Load(), "a hook's conflict is not the store's")
				}
				close(release)
				if bad.name == "hangs, deaf to its context, and succeeds late" {
					require.Error(t, <-late, "what is written late is refused")
				}
			})
			effects := func() (n int) {
				require.NoError(t, db.QueryRow("SELECT COUNT(*) FROM effects WHERE status = ?", int(codegrant.StatusActive)).Scan(&n))
				return n
			}
			if bad.name != "ends the agreement that it hears of" {
				require.Zero(t, effects())
			}
			// On a slow machine the healthy hook may not end in time either.
			require.Eventually(t, func() bool { return m.post(t, id, body).Code == 200 }, 20*time.Second, 10*time.Millisecond)
			require.Equal(t, 200, m.post(t, id, body).Code)
			got := m.get(t, id)
			require.Equal(t, got.Status, got.Handled)
			require.GreaterOrEqual(t, got.Status, codegrant.StatusActive)
			require.Equal(t, 1, effects())
			requireNoSecret(t, m.log.String())
		})
	}
}
