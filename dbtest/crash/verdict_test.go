//go:build linux

package crash

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// result is a line of the table.
type result struct {
	name                      string
	events, deliveries, kills int
	attempts, refused         int64
	broken, committed         int // first attempts whose outcome was unknown, and those that had happened
	overtaken                 int // unbindings that took effect before their sign-up
	lost, doubled, stale      int
	took                      time.Duration
	examples                  []string // of what is wrong
}

// row is one of the merchant's.
type row struct {
	status             codegrant.Status
	revision, delivery int64
}

// judge looks at the database after everything was answered.
//
//   - lost: the merchant has no row for how the sign-up ended; where he writes
//     none, the record does not know of it.
//   - doubled: each row that says again what another one says.
//   - stale: the record is not what it must be in the end, or the merchant's row
//     with the highest revision says something else.
func (l *load) judge(t *testing.T, at target, broken []int64, r *result) {
	t.Helper()
	s := at.open(t)
	rows := s.rows(t)
	committed := map[int64]bool{}
	seen := 0
	for after := ""; ; {
		tokens, err := s.store.List(t.Context(), after, 1000)
		require.NoError(t, err)
		if len(tokens) == 0 {
			break
		}
		after = tokens[len(tokens)-1].ID
		for _, token := range tokens {
			for _, row := range rows[token.ID] {
				committed[row.delivery] = true
			}
			require.Equal(t, recordID(seen), token.ID)
			if at.rowless() {
				l.judgeRecord(seen, token, r)
			} else {
				l.judgeUser(seen, token, rows[token.ID], r)
			}
			delete(rows, token.ID)
			seen++
		}
	}
	require.Equal(t, l.users, seen, "records")
	require.Empty(t, rows, "rows of no record")
	for _, number := range broken {
		if committed[number] {
			r.committed++
		}
	}
	r.broken = len(broken)
	require.NoError(t, s.db.Close())
}

func (l *load) judgeUser(user int, token codegrant.Token, rows []row, r *result) {
	status, _ := l.last(user)
	before := r.lost + r.doubled + r.stale
	count := map[codegrant.Status]int{}
	var newest row
	for _, row := range rows {
		if count[row.status]++; count[row.status] > 1 {
			r.doubled++
		}
		if row.revision > newest.revision {
			newest = row
		}
	}
	if count[status] == 0 {
		r.lost++
	}
	if !l.complete(user, token) ||
		(count[status] > 0 && newest.status != status) || len(count) > 2 ||
		(status == codegrant.StatusActive && len(count) > 1) {
		r.stale++
	}
	if status == codegrant.StatusUnbound && count[codegrant.StatusActive] == 0 {
		r.overtaken++
	}
	if r.lost+r.doubled+r.stale > before && len(r.examples) < 5 {
		r.examples = append(r.examples, fmt.Sprintf("must be %v: %v handled %v ended by %q revision %d, rows (status revision delivery) %v",
			status, token, token.Handled, token.EndedBy, token.Revision, rows))
	}
}

// complete reports whether a record is what it must be in the end.
func (l *load) complete(user int, token codegrant.Token) bool {
	status, endedBy := l.last(user)
	value := codegrant.NewSecret(tokenValue(user))
	return token.Status == status && token.Handled == status && token.EndedBy == endedBy &&
		token.Value.Equal(value) && token.Fingerprint == codegrant.Fingerprint(value) &&
		token.UnsettledSince.IsZero() && token.UserID == userID(user)
}

// judgeRecord is judgeUser for a merchant who writes no rows.
func (l *load) judgeRecord(user int, token codegrant.Token, r *result) {
	status, _ := l.last(user)
	switch {
	case token.Status < status:
		r.lost++
	case !l.complete(user, token):
		r.stale++
	default:
		return
	}
	if len(r.examples) < 5 {
		r.examples = append(r.examples, fmt.Sprintf("must be %v: %v handled %v ended by %q revision %d",
			status, token, token.Handled, token.EndedBy, token.Revision))
	}
}

// rows returns the merchant's rows by record.
func (s *shop) rows(t *testing.T) map[string][]row {
	t.Helper()
	found, err := s.db.QueryContext(t.Context(), selectRows)
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	rows := map[string][]row{}
	for found.Next() {
		var id string
		var r row
		require.NoError(t, found.Scan(&id, &r.status, &r.revision, &r.delivery))
		rows[id] = append(rows[id], r)
	}
	require.NoError(t, found.Err())
	return rows
}

// summary is the table of all tests.
var summary table

type table struct {
	mu      sync.Mutex
	results []*result
}

func (s *table) add(r *result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results = append(s.results, r)
}

func (s *table) print() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.results) == 0 {
		return
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "receiver\tevents\tdeliveries\tattempts\tkills\trefused\tbroken first\tcommitted\tovertaken\tLOST\tDOUBLED\tSTALE\tseconds\t")
	for _, r := range s.results {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f\t\n", r.name, r.events, r.deliveries,
			r.attempts, r.kills, r.refused, r.broken, r.committed, r.overtaken, r.lost, r.doubled, r.stale, r.took.Seconds())
	}
	_ = w.Flush()
	fmt.Printf("seed %s; broken first: first attempts whose outcome the sender could not know; committed: those that had taken effect\n", seed)
}

// flawless is what the right receiver must be.
func (r *result) flawless() error {
	if r.lost+r.doubled+r.stale == 0 {
		return nil
	}
	return fmt.Errorf("%d lost, %d doubled, %d stale, seed %s:\n%s", r.lost, r.doubled, r.stale, seed, strings.Join(r.examples, "\n"))
}
