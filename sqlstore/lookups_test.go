package sqlstore_test

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// lookers is a store on which one look-up is under way and others wait for it.
type lookers struct {
	store   *sqlstore.Store
	release chan struct{} // lets it go on
	mu      sync.Mutex
	ran     []string                 // the look-ups since then
	refuse  func(query string) error // may fail them
}

// newLookers stores these and then begins the first look-up, in a bubble of
// synctest.
func newLookers(
	t *testing.T, wg *sync.WaitGroup, first func(store *sqlstore.Store) error, stored ...codegrant.Token,
) *lookers {
	t.Helper()
	l := &lookers{release: make(chan struct{})}
	begun := false
	db, _ := openFaulty(t, file(t), func(query string) error {
		l.mu.Lock()
		blocks := !begun && strings.HasPrefix(query, "SELECT id")
		begun = begun || blocks
		if !blocks && begun {
			l.ran = append(l.ran, query)
		}
		refuse := l.refuse
		l.mu.Unlock()
		if blocks {
			<-l.release
			return nil
		}
		if refuse != nil && begun {
			return refuse(query)
		}
		return nil
	})
	l.store = newStore(t, db)
	for _, s := range stored {
		require.NoError(t, l.store.Save(t.Context(), s))
	}
	wg.Go(func() {
		if err := first(l.store); err != nil {
			t.Error(err)
		}
	})
	synctest.Wait()
	return l
}

func getFirst(store *sqlstore.Store) error {
	_, err := store.Get(context.Background(), "T0")
	return err
}

func TestLookUpsThatWaitShareAStatement(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ waiting, statements int }{{1, 1}, {2, 1}, {8, 1}, {9, 1}, {32, 1}, {33, 2}, {100, 4}} {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			l := newLookers(t, &wg, getFirst, numbered(c.waiting)...)
			for i := range c.waiting {
				wg.Go(func() {
					found, err := l.store.Get(context.Background(), fmt.Sprint("T", i))
					if err != nil || found.ID != fmt.Sprint("T", i) {
						t.Errorf("T%d: %s, %v", i, found.ID, err)
					}
				})
				synctest.Wait()
			}
			close(l.release)
			wg.Wait()
			require.Len(t, l.ran, c.statements, "for %d", c.waiting)
		})
	}
}

func TestLookUpsOfUsersShareAStatementWithinAnAccount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stored []codegrant.Token
		for _, id := range []string{"a-2", "b-1", "a-1", "elsewhere"} {
			s := token(id)
			s.UserID = strings.TrimRight(id, "-12")
			if id == "a-2" {
				s.CreatedAt = s.CreatedAt.Add(time.Second)
			}
			if id == "elsewhere" {
				s.AccountID, s.UserID = "A2", "a"
			}
			stored = append(stored, s)
		}
		var wg sync.WaitGroup
		l := newLookers(t, &wg, func(store *sqlstore.Store) error {
			_, err := store.ByUser(context.Background(), "A1", "ann")
			return err
		}, stored...)
		questions := []struct {
			account, user string
			want          []string
		}{
			{"A1", "a", []string{"a-1", "a-2"}}, {"A2", "a", []string{"elsewhere"}}, {"A1", "b", []string{"b-1"}},
			{"A1", "nobody", nil}, {"A1", "a", []string{"a-1", "a-2"}}, {"", "a", nil},
		}
		answers := make([][]codegrant.Token, len(questions))
		for i, c := range questions {
			wg.Go(func() {
				found, err := l.store.ByUser(context.Background(), c.account, c.user)
				answers[i] = found
				var ids []string
				for _, f := range found {
					ids = append(ids, f.ID)
				}
				if err != nil || fmt.Sprint(ids) != fmt.Sprint(c.want) {
					t.Errorf("%s of %q: %q, %v", c.user, c.account, ids, err)
				}
			})
			synctest.Wait()
		}
		close(l.release)
		wg.Wait()
		require.Len(t, l.ran, 3, "one for each account")
		answers[0][0].UserID = "somebody"
		require.Equal(t, "a", answers[4][0].UserID, "who asks the same shares nothing")
	})
}

func TestASharedLookUpThatFailsIsMadeForEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		l := newLookers(t, &wg, getFirst, numbered(4)...)
		l.refuse = func(query string) error {
			if strings.Contains(query, " IN (") {
				return errKilled
			}
			return nil
		}
		for _, id := range []string{"T1", "absent", "T3"} {
			wg.Go(func() {
				found, err := l.store.Get(context.Background(), id)
				if id == "absent" {
					if err != codegrant.ErrNotFound { //nolint:errorlint // exactly this one
						t.Errorf("absent: %v", err)
					}
					return
				}
				if err != nil || found.ID != id {
					t.Errorf("%s: %s, %v", id, found.ID, err)
				}
			})
			synctest.Wait()
		}
		close(l.release)
		wg.Wait()
		require.Len(t, l.ran, 1+3)
	})
}

func TestALookUpThatCannotBeMadeIsEverybodysErrorAndTheNextOneIsMade(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"the connection is lost":    func() error { return driver.ErrBadConn },
		"an unknown error":          func() error { return errKilled },
		"a driver that panics":      func() error { panic("SECRET") },
		"a driver that ends it all": func() error { runtime.Goexit(); return nil },
	} {
		synctest.Test(t, func(t *testing.T) {
			var wg sync.WaitGroup
			l := newLookers(t, &wg, getFirst, numbered(4)...)
			l.refuse = func(query string) error {
				if strings.HasPrefix(query, "SELECT id") && strings.Contains(query, "WHERE id") {
					return fail()
				}
				return nil
			}
			for i := range 3 {
				wg.Go(func() {
					_, err := l.store.Get(context.Background(), fmt.Sprint("T", i))
					if err == nil || strings.Contains(err.Error(), "SECRET") {
						t.Errorf("%s: %v", name, err)
					}
				})
				synctest.Wait()
			}
			close(l.release)
			wg.Wait()
			l.mu.Lock()
			l.refuse = nil
			l.mu.Unlock()
			_, err := l.store.Get(t.Context(), "T1")
			require.NoError(t, err, name)
		})
	}
}

func TestWhoseContextEndsWhileOthersLookIsToldSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var wg sync.WaitGroup
		l := newLookers(t, &wg, getFirst, numbered(2)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := l.store.Get(ctx, "T1")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		close(l.release)
		wg.Wait()
		require.Empty(t, l.ran, "nobody waits for it any more")
	})
}
