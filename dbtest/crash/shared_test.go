//go:build linux

package crash

import (
	"context"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// crowded is how many deliveries are under way at a time where saves are to
// share commits.
const crowded = 64

// The receivers whose saves are outside of transactions.
const (
	hooksAfter = "hooks after save"
	hookless   = "no hook"
)

// keyed reports whether the merchant's rows have a key, so that the same may be
// written again.
func (at target) keyed() bool { return at.InFlight == crowded && !at.rowless() }

// rowless reports whether the merchant writes no rows.
func (at target) rowless() bool {
	return slices.Contains([]string{hookless, "answers before the commit", "answers first, no hook"}, at.Receiver)
}

func TestSharedCommitsOnSQLite(t *testing.T) {
	for _, name := range []string{hooksAfter, hookless} {
		t.Run(name, func(t *testing.T) { killShared(t, "SQLite", sqlite(t), name, 1_500/slowdown, nil) })
	}
}

func TestSharedCommitsOnPostgreSQL(t *testing.T) {
	killSharedOn(t, "PostgreSQL", startPostgreSQL(t), hooksAfter)
}

func TestSharedCommitsOnMariaDB(t *testing.T) {
	killSharedOn(t, "MariaDB", startMariaDB(t), hookless)
}

// killSharedOn kills receivers, and then the server below one of them.
func killSharedOn(t *testing.T, name string, server *databaseServer, below string) {
	t.Helper()
	for _, receiver := range []string{hooksAfter, hookless} {
		t.Run(receiver+", receiver killed", func(t *testing.T) {
			killShared(t, name, server.emptied(t), receiver, 1_000/min(slowdown, 4), nil)
		})
	}
	t.Run(below+", database killed", func(t *testing.T) {
		killShared(t, name, server.emptied(t), below, 6_000/min(slowdown, 4), server)
	})
}

// What is wrong with these shows only when a kill comes between the answer and
// the commit, or between the save and the hook.
func TestWrongReceiversWithSharedCommitsAreCaught(t *testing.T) {
	const events = 1_200 / min(slowdown, 4)
	for _, name := range []string{
		"answers before the commit", "answers first, no hook", "hook in the background", "notes the hook before it",
	} {
		t.Run(name, func(t *testing.T) {
			caught(t, name, crowded, events, func(r *result) int { return r.lost })
		})
	}
}

// killShared delivers a load of many at a time, and kills the server, or else
// the receiver. Nothing may be lost, and commits must have been shared.
func killShared(t *testing.T, database string, at target, receiver string, n int, server *databaseServer) {
	t.Helper()
	at.Receiver, at.InFlight = receiver, crowded
	at.Tally = filepath.Join(newFolder(t), "commits")
	var res *result
	if server == nil {
		res = killReceiver(t, database+", "+receiver+", receiver killed", at, size(t, n))
	} else {
		res = killDatabase(t, database+" killed, "+receiver, server, at, size(t, n))
	}
	require.NoError(t, res.flawless())
	commits, err := os.Stat(at.Tally)
	require.NoError(t, err)
	s := at.open(t)
	var saves int64
	require.NoError(t, s.db.QueryRowContext(t.Context(), "SELECT SUM(revision - 1) FROM codegrant_tokens").Scan(&saves))
	t.Logf("%d saves in %d commits", saves, commits.Size())
	require.Less(t, commits.Size(), saves*9/10, "commits were not shared, so this proves nothing")
	require.NoError(t, s.db.Close())
}

// emptied returns the server's database without what an earlier load left.
func (s *databaseServer) emptied(t *testing.T) target {
	t.Helper()
	at := s.target.open(t)
	for _, table := range []string{"merchant_rows", "codegrant_tokens", "codegrant_payments", "codegrant_migrations"} {
		_, err := at.db.ExecContext(t.Context(), "DROP TABLE IF EXISTS "+table)
		require.NoError(t, err)
	}
	require.NoError(t, at.db.Close())
	return s.target
}

// afterSave is a shop whose hook runs after the save and writes, outside of
// any transaction, what may be written again.
func (s *shop) afterSave() (codegrant.Config, error) {
	cfg, err := s.config()
	s.insert = s.once()
	cfg.HooksAfterSave = true
	cfg.OnToken = func(ctx context.Context, c codegrant.Change) error { return s.note(ctx, s.db, c.Token) }
	return cfg, err
}

func hooksAfterSave(s *shop) (http.Handler, error) {
	cfg, err := s.afterSave()
	if err != nil {
		return nil, err
	}
	return notify(cfg)
}

// noHook is a shop that only keeps tokens: 200 says that the record is kept.
func noHook(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	cfg.OnToken = nil
	return notify(cfg)
}

func notify(cfg codegrant.Config) (http.Handler, error) {
	kit, err := codegrant.New(cfg)
	if err != nil {
		return nil, err
	}
	return kit.Notify(), nil
}

// early says that a record is saved before it is, as one does who gathers
// saves and lets nobody wait for the commit.
type early struct{ codegrant.TokenStore }

func (s early) Save(ctx context.Context, t codegrant.Token) error {
	go func() { _ = s.TokenStore.Save(context.WithoutCancel(ctx), t) }()
	return nil
}

func answersBeforeTheCommit(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	cfg.OnToken, cfg.Store = nil, early{s.store}
	return notify(cfg)
}

func answersFirstWithoutHook(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	cfg.OnToken = nil
	kit, err := codegrant.New(cfg)
	if err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusOK)
		go func() { _ = kit.Apply(context.WithoutCancel(r.Context()), body, path.Base(r.URL.Path)) }()
	}), nil
}

// hookInBackground is done with a hook once it has begun.
func hookInBackground(s *shop) (http.Handler, error) {
	cfg, err := s.afterSave()
	if err != nil {
		return nil, err
	}
	heard := cfg.OnToken
	cfg.OnToken = func(ctx context.Context, c codegrant.Change) error {
		go func() { _ = heard(context.WithoutCancel(ctx), c) }()
		return nil
	}
	return notify(cfg)
}

// handledFirst notes that the hook has run when it is yet to run: what a kill
// interrupts is then nobody's news any more.
type handledFirst struct{ codegrant.TokenStore }

func (s handledFirst) Save(ctx context.Context, t codegrant.Token) error {
	t.Handled = t.Status
	return s.TokenStore.Save(ctx, t)
}

func notesTheHookBeforeIt(s *shop) (http.Handler, error) {
	cfg, err := s.afterSave()
	if err != nil {
		return nil, err
	}
	cfg.Store = handledFirst{s.store}
	return notify(cfg)
}
