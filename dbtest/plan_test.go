package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// fill inserts 20,000 settled records of both kinds, and returns when the
// planner knows.
func fill(t *testing.T, s server, db *sql.DB) {
	t.Helper()
	const (
		columns = `INSERT INTO codegrant_tokens (id, account_id, user_id, wallet, status, handled, revision, token_value,
			fingerprint, bind_reference, auth_url, auth_state, return_to, login_id, ended_by, created_at, updated_at) `
		rest     = `'A1', u, 'BOOST', 3, 3, 1, '', f, '', '', '', '', '', '', 1000 + n, 1000 + n FROM `
		payments = `INSERT INTO codegrant_payments (id, account_id, order_id, user_id, token_id, wallet, attempt, outcome,
			amount_minor, currency, revision, created_at, updated_at, record) `
		paid = `'A1', o, 'ann', 'REQ-1', 'BOOST', 1, 'succeeded', n, 'MYR', 1, 1000 + n, 1000 + n, `
	)
	statements := map[string][]string{
		"SQLite": {columns + `SELECT 'REQ-' || n, ` + rest + `(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c
			WHERE n < 20000) SELECT n, 'user-' || (n / 2) AS u, 'print-' || n AS f FROM c)`,
			payments + `SELECT 'PAY-' || n, ` + paid + `'{"ID":"PAY-' || n || '"}' FROM (WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c
			WHERE n < 20000) SELECT n, 'order-' || n AS o FROM c)`, "ANALYZE"},
		"PostgreSQL": {columns + `SELECT ('REQ-' || n)::bytea, ` + rest + `(SELECT n, 'user-' || (n / 2) AS u,
			'print-' || n AS f FROM generate_series(1, 20000) n) s`, "ANALYZE codegrant_tokens",
			payments + `SELECT ('PAY-' || n)::bytea, ` + paid + `'{"ID":"PAY-' || n || '"}' FROM (SELECT n, 'order-' || n AS o
			FROM generate_series(1, 20000) n) s`, "ANALYZE codegrant_payments"},
		"MariaDB": {columns + `SELECT CONCAT('REQ-', n), ` + rest + `(SELECT seq AS n, CONCAT('user-', seq DIV 2) AS u,
			CONCAT('print-', seq) AS f FROM seq_1_to_20000) s`, "ANALYZE TABLE codegrant_tokens",
			payments + `SELECT CONCAT('PAY-', n), ` + paid + `CONCAT('{"ID":"PAY-', n, '"}') FROM (SELECT seq AS n, CONCAT('order-', seq) AS o
			FROM seq_1_to_20000) s`, "ANALYZE TABLE codegrant_payments"},
	}
	for _, statement := range statements[s.name] {
		_, err := db.ExecContext(t.Context(), statement)
		require.NoError(t, err)
	}
}

// plan returns the lines of EXPLAIN, each with the names of its columns.
func plan(t *testing.T, s server, db *sql.DB, r recorded) []map[string]string {
	t.Helper()
	explain := "EXPLAIN "
	if s.name == "SQLite" {
		explain = "EXPLAIN QUERY PLAN "
	}
	rows, err := db.QueryContext(t.Context(), explain+r.query, r.args...)
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	names, err := rows.Columns()
	require.NoError(t, err)
	var found []map[string]string
	for rows.Next() {
		texts, into := make([]sql.NullString, len(names)), make([]any, len(names))
		for i := range texts {
			into[i] = &texts[i]
		}
		require.NoError(t, rows.Scan(into...))
		line := map[string]string{}
		for i, name := range names {
			line[name] = texts[i].String
		}
		found = append(found, line)
	}
	require.NoError(t, rows.Err())
	return found
}

func TestEveryLookUpIsByAnIndexAndNeedsNoSorting(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s server) {
		dsn := s.create(t)
		db := s.open(t, dsn)
		s.migrated(t, db)
		fill(t, s, db)
		recording, recorder := s.record(t, dsn)
		store := s.migrated(t, recording)
		lookUp := func(ctx context.Context, store codegrant.TokenStore) error {
			_, get := store.Get(ctx, "REQ-77")
			_, byFingerprint := store.ByFingerprint(ctx, "print-77")
			found, byUser := store.ByUser(ctx, "A1", "user-77")
			require.Len(t, found, 2)
			_, unsettled := store.Unsettled(ctx, time.Now(), 100)
			payments := store.(codegrant.PaymentStore)
			_, getPayment := payments.GetPayment(ctx, "PAY-77")
			_, unsettledPayments := payments.UnsettledPayments(ctx, time.Now(), 100)
			return errors.Join(get, byFingerprint, byUser, unsettled, getPayment, unsettledPayments)
		}
		require.NoError(t, lookUp(t.Context(), store))
		page, err := store.List(t.Context(), "REQ-77", 10)
		require.NoError(t, err)
		require.Len(t, page, 10)
		require.NoError(t, store.InTx(t.Context(), lookUp))

		require.Len(t, recorder.found, 13)
		shared := sharedLookUps(t, store, recorder)
		require.Len(t, shared, 4)
		recorder.found = append(recorder.found, shared...)
		for _, r := range recorder.found {
			for _, line := range plan(t, s, db, r) {
				switch s.name {
				case "SQLite":
					require.Regexp(t, "^SEARCH codegrant_(tokens|payments) USING (INDEX|COVERING INDEX)", line["detail"], r.query)
				case "PostgreSQL":
					require.NotRegexp(t, "Seq Scan|Sort", line["QUERY PLAN"], r.query)
				case "MariaDB":
					require.NotEmpty(t, line["key"], r.query)
					require.NotContains(t, []string{"ALL", "index"}, line["type"], r.query)
					require.NotContains(t, line["Extra"], "filesort", r.query)
				}
			}
			if s.name == "PostgreSQL" {
				var text strings.Builder
				for _, line := range plan(t, s, db, r) {
					text.WriteString(line["QUERY PLAN"])
				}
				require.Contains(t, text.String(), "Index Scan", r.query)
			}
		}
	})
}

// sharedLookUps makes many look-ups at the same time, until some of each kind
// have shared a statement, and returns one of each.
func sharedLookUps(t *testing.T, store *sqlstore.Store, recorder *recorder) []recorded {
	t.Helper()
	recorder.found = nil
	kinds := []func(n string) error{
		func(n string) error { _, err := store.Get(t.Context(), "REQ-"+n); return err },
		func(n string) error { _, err := store.ByFingerprint(t.Context(), "print-"+n); return err },
		func(n string) error { _, err := store.ByUser(t.Context(), "A1", "user-"+n); return err },
		func(n string) error { _, err := store.GetPayment(t.Context(), "PAY-"+n); return err },
	}
	for range 100 {
		var all errgroup.Group
		for i := range 64 {
			for _, look := range kinds {
				all.Go(func() error { return look(strconv.Itoa(100 + i)) })
			}
		}
		require.NoError(t, all.Wait())
		byText := make(map[string]recorded)
		for _, r := range recorder.found {
			if len(r.args) >= 32 {
				byText[r.query] = r
			}
		}
		if len(byText) == len(kinds) {
			return slices.Collect(maps.Values(byText))
		}
	}
	t.Fatal("look-ups share no statement")
	return nil
}
