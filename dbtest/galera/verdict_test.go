//go:build linux

package galera

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// row is one of the merchant's.
type row struct {
	token    string
	status   codegrant.Status
	revision int64
}

// verdict is what is wrong in the end.
//
//   - lost: the merchant has no row for how the sign-up ended.
//   - doubled: each row that says again what another one says.
//   - stale: the record is not what it must be in the end, or the merchant's
//     newest row says something else.
type verdict struct {
	lost, doubled, stale int
	overtaken            int // unbindings that took effect before their sign-up
	examples             []string
}

// judge looks at the database through one node.
func (l *load) judge(t *testing.T, s *shop) (v verdict) {
	t.Helper()
	rows := map[string][]row{}
	for _, r := range s.rows(t) {
		rows[r.token] = append(rows[r.token], r)
	}
	tokens, err := s.store.(codegrant.ListStore).List(t.Context(), "", 2*l.users)
	require.NoError(t, err)
	require.Len(t, tokens, l.users)
	for user, token := range tokens {
		require.Equal(t, recordID(user), token.ID)
		v.judgeUser(user, token, rows[token.ID])
		delete(rows, token.ID)
	}
	require.Empty(t, rows, "rows of no record")
	return v
}

func (v *verdict) judgeUser(user int, token codegrant.Token, rows []row) {
	status, endedBy := last(user)
	before := v.lost + v.doubled + v.stale
	count := map[codegrant.Status]int{}
	var newest row
	for _, r := range rows {
		if count[r.status]++; count[r.status] > 1 {
			v.doubled++
		}
		if r.revision > newest.revision {
			newest = r
		}
	}
	if count[status] == 0 {
		v.lost++
	}
	value := codegrant.NewSecret(tokenValue(user))
	if token.Status != status || token.Handled != status || token.EndedBy != endedBy ||
		!token.Value.Equal(value) || token.Fingerprint != codegrant.Fingerprint(value) ||
		!token.UnsettledSince.IsZero() || token.UserID != userID(user) ||
		(count[status] > 0 && newest.status != status) || len(count) > 2 ||
		(status == codegrant.StatusActive && len(count) > 1) {
		v.stale++
	}
	if status == codegrant.StatusUnbound && count[codegrant.StatusActive] == 0 {
		v.overtaken++
	}
	if v.lost+v.doubled+v.stale > before && len(v.examples) < 5 {
		v.examples = append(v.examples, fmt.Sprintf("must be %v: %v handled %v revision %d, rows %v",
			status, token, token.Handled, token.Revision, rows))
	}
}

func (s *shop) rows(t *testing.T) (all []row) {
	t.Helper()
	found, err := s.db.QueryContext(t.Context(), "SELECT token_id, status, revision FROM merchant_rows ORDER BY id")
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	for found.Next() {
		var r row
		require.NoError(t, found.Scan(&r.token, &r.status, &r.revision))
		all = append(all, r)
	}
	require.NoError(t, found.Err())
	return all
}

// contents is every byte of both tables as a node has them once it has caught
// up with all others.
func (n *node) contents(t *testing.T, database string) (lines []string) {
	t.Helper()
	for _, table := range []string{"codegrant_tokens", "merchant_rows"} {
		lines = append(lines, n.lines(t.Context(), t, fmt.Sprintf("SELECT * FROM %s.%s ORDER BY id", database, table))...)
	}
	return lines
}

func (n *node) lines(ctx context.Context, t *testing.T, query string) (lines []string) {
	t.Helper()
	found, err := n.admin.QueryContext(ctx, query)
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	columns, err := found.Columns()
	require.NoError(t, err)
	for found.Next() {
		values, into := make([]*string, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		require.NoError(t, found.Scan(into...))
		line := ""
		for _, value := range values {
			if value == nil {
				line += "NULL|"
				continue
			}
			line += fmt.Sprintf("%q|", *value)
		}
		lines = append(lines, line)
	}
	require.NoError(t, found.Err())
	return lines
}
