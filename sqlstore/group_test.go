package sqlstore_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// crowd is a store on which one save is under way and others wait for it.
type crowd struct {
	store   *sqlstore.Store
	db      *sql.DB
	release chan struct{} // lets the first save go on
	mu      sync.Mutex
	ran     []string                 // the first word of each statement since then
	refuse  func(query string) error // may fail them
}

func newCrowd(t *testing.T, dsn string) *crowd {
	t.Helper()
	c := &crowd{release: make(chan struct{})}
	blocked := false
	c.db, _ = openFaulty(t, dsn, func(query string) error {
		c.mu.Lock()
		first := !blocked && strings.HasPrefix(query, "INSERT INTO codegrant_tokens")
		blocked = blocked || first
		if !first && blocked {
			c.ran = append(c.ran, strings.Fields(query)[0])
		}
		refuse := c.refuse
		c.mu.Unlock()
		if first {
			<-c.release
			return nil
		}
		if refuse != nil && blocked {
			return refuse(query)
		}
		return nil
	})
	c.store = newStore(t, c.db)
	return c
}

// save saves all at once, while one more save is under way, and returns what
// became of each.
func (c *crowd) save(t *testing.T, tokens ...codegrant.Token) []error {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := c.store.Save(context.Background(), token("the first")); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	results := make([]error, len(tokens))
	for i, saved := range tokens {
		wg.Go(func() { results[i] = c.store.Save(context.Background(), saved) })
		synctest.Wait() // they come in this order
	}
	close(c.release)
	wg.Wait()
	return results
}

func (c *crowd) count(word string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ran := range c.ran {
		if ran == word {
			n++
		}
	}
	return n
}

func numbered(n int) []codegrant.Token {
	tokens := make([]codegrant.Token, n)
	for i := range tokens {
		tokens[i] = token(fmt.Sprint("T", i))
	}
	return tokens
}

func TestSavesThatWaitShareACommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		savers, commits int
	}{{2, 1}, {64, 1}, {256, 1}, {257, 1}, {300, 2}} {
		synctest.Test(t, func(t *testing.T) {
			crowd := newCrowd(t, file(t))
			for _, err := range crowd.save(t, numbered(c.savers)...) {
				require.NoError(t, err)
			}
			require.Equal(t, c.commits, crowd.count("COMMIT"), "for %d", c.savers)
			all, err := crowd.store.List(t.Context(), "", 1000)
			require.NoError(t, err)
			require.Len(t, all, c.savers+1)
			require.NoError(t, crowd.db.Close())
		})
	}
}

func TestWhoIsAloneSharesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		close(crowd.release)
		for _, saved := range numbered(5) {
			require.NoError(t, crowd.store.Save(t.Context(), saved))
		}
		require.Zero(t, crowd.count("COMMIT"))
		require.NoError(t, crowd.db.Close())
	})
}

func TestARecordThatIsRefusedCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		_, err := crowd.db.ExecContext(t.Context(), "CREATE TRIGGER picky BEFORE INSERT ON codegrant_tokens "+
			"WHEN NEW.user_id = 'nobody' BEGIN SELECT RAISE(ABORT, 'not him'); END")
		require.NoError(t, err)
		bad, stale, second := token("bad"), token("stale"), token("twice")
		bad.UserID, stale.Revision, second.Revision, second.UserID = "nobody", 7, 2, "beth"

		results := crowd.save(t, token("a"), bad, stale, token("twice"), second, token("twice"), token("b"))
		require.Error(t, results[1])
		require.NotErrorIs(t, results[1], codegrant.ErrConflict)
		require.Equal(t, codegrant.ErrConflict, results[2], "there is no revision 6")
		require.Equal(t, codegrant.ErrConflict, results[5], "it exists")
		for _, i := range []int{0, 3, 4, 6} {
			require.NoError(t, results[i], i)
		}
		kept, err := crowd.store.Get(t.Context(), "twice")
		require.NoError(t, err)
		require.Equal(t, []any{int64(2), "beth"}, []any{kept.Revision, kept.UserID})
		for id, want := range map[string]error{"a": nil, "b": nil, "bad": codegrant.ErrNotFound, "stale": codegrant.ErrNotFound} {
			_, err := crowd.store.Get(t.Context(), id)
			require.ErrorIs(t, err, want, id)
		}
		require.NoError(t, crowd.db.Close())
	})
}

func TestWhoseContextEndsWhileWaitingIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crowd := newCrowd(t, file(t))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		impatient := make(chan error, 1)
		var wg sync.WaitGroup
		wg.Go(func() { _ = crowd.store.Save(context.Background(), token("the first")) })
		synctest.Wait()
		wg.Go(func() { impatient <- crowd.store.Save(ctx, token("impatient")) })
		wg.Go(func() {
			if err := crowd.store.Save(context.Background(), token("patient")); err != nil {
				t.Error(err)
			}
		})
		require.ErrorIs(t, <-impatient, context.DeadlineExceeded)
		close(crowd.release)
		wg.Wait()
		_, err := crowd.store.Get(t.Context(), "impatient")
		require.ErrorIs(t, err, codegrant.ErrNotFound, "nobody waits for it any more")
		require.NoError(t, crowd.db.Close())
	})
}

func TestASharedCommitThatFailsIsEverybodysError(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"the connection is lost": func() error { return driver.ErrBadConn },
		"an unknown error":       func() error { return errKilled },
	} {
		for _, at := range []string{"UPDATE", "INSERT", "COMMIT"} {
			synctest.Test(t, func(t *testing.T) {
				crowd := newCrowd(t, file(t))
				crowd.refuse = func(query string) error {
					if strings.HasPrefix(query, at) {
						return fail()
					}
					return nil
				}
				for _, err := range crowd.save(t, numbered(3)...) {
					require.Error(t, err, "%s at %s", name, at)
					require.NotErrorIs(t, err, codegrant.ErrConflict, "whether it was saved is not known")
				}
				crowd.mu.Lock()
				crowd.refuse = nil
				crowd.mu.Unlock()
				require.NoError(t, crowd.store.Save(t.Context(), token("later")))
				require.NoError(t, crowd.db.Close())
			})
		}
	}
}
