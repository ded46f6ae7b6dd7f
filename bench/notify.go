package main

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// notify compares durable first deliveries that share statements and commits
// with the same in a statement and a commit each.
func (s *session) notify(ctx context.Context) error {
	all, err := s.databases(ctx)
	defer dropAll(all)
	if err != nil {
		return err
	}
	var rows [][]string
	for _, d := range all {
		results, err := s.notifyOn(ctx, d, inFlights)
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if err := s.notifyGoals(ctx, d, results); err != nil {
			return err
		}
		rows = append(rows, notifyRows(d.name, results)...)
	}
	s.chapter("A first delivery, durable", fmt.Sprintf(
		"`Kit.Notify` in process, from the request to the answer: it verifies, decodes, looks the record up by token, number and\n"+
			"user, and answers 200 once it is saved as active. With `sqlstore`, which lets what waits at the same time share a statement\n"+
			"or a commit while nobody's hook needs a transaction, against a store that does the same by hand: every look-up a\n"+
			"statement on the bare driver, prepared, and every save one in a commit of its own. The pool has %d connections.", connections),
		notifyTable(rows))
	return nil
}

func notifyTable(rows [][]string) string {
	return table([]string{"database, in flight", "shared/s", "one each/s", "gain", "p50 ms", "one each p50 ms", "p99 ms", "one each p99 ms", "p99 by one each"}, rows)
}

func notifyRows(name string, results []notified) [][]string {
	var rows [][]string
	for _, r := range results {
		rows = append(rows, []string{
			fmt.Sprintf("%s, %d", name, r.InFlight), number(median(r.Shared.PerSecond)), number(median(r.Each.PerSecond)),
			spread(ratios(r.Shared.PerSecond, r.Each.PerSecond)), number(median(r.Shared.P50)), number(median(r.Each.P50)),
			number(median(r.Shared.P99)), number(median(r.Each.P99)),
			spread(ratios(r.Shared.P99, r.Each.P99)),
		})
	}
	return rows
}

func (s *session) notifyGoals(ctx context.Context, d database, results []notified) error {
	for _, r := range results {
		gain := ratio(r.Shared.PerSecond, r.Each.PerSecond)
		met := true
		switch r.InFlight {
		case 1:
			met = s.above(fmt.Sprintf("durable notify, %s, alone: speed of the median by one commit each", d.name), 0.95,
				ratio(r.Each.P50, r.Shared.P50), "")
		case 64:
			want := map[sqlstore.Dialect]float64{sqlstore.SQLite: 5, sqlstore.PostgreSQL: 2, sqlstore.MySQL: 1.5}[d.dialect]
			met = s.above(fmt.Sprintf("durable notify, %s, 64 in flight: shared by one each", d.name), want, gain, "")
			met = s.below("… p99", 0.6, ratio(r.Shared.P99, r.Each.P99), "") && met
		}
		if met {
			continue
		}
		if err := s.profileNotify(ctx, d, r.InFlight); err != nil {
			return err
		}
	}
	return nil
}

// notified is a comparison at one number in flight.
type notified struct {
	InFlight     int
	Shared, Each outcome
}

func (s *session) notifyOn(ctx context.Context, d database, levels []int) ([]notified, error) {
	db, sides, err := notifySides(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	var results []notified
	for _, n := range levels {
		out, err := s.turns(ctx, "Notify/"+d.name, n, sides)
		if err != nil {
			return nil, err
		}
		results = append(results, notified{n, out[0], out[1]})
	}
	var left int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM codegrant_tokens WHERE NOT "+
		"(status = 3 AND handled = 3 AND revision = 2 AND unsettled_since IS NULL)").Scan(&left); err != nil {
		return nil, err
	}
	if left != 0 {
		return nil, fmt.Errorf("%d records are not as they should be", left)
	}
	return results, nil
}

func (s *session) profileNotify(ctx context.Context, d database, inFlight int) error {
	db, sides, err := notifySides(ctx, d)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return s.profileTurn(ctx, fmt.Sprintf("durable notify on %s, %d in flight", d.name, inFlight), sides[0], profiled, inFlight)
}

// notifySides are deliveries that share, and with everything on its own.
func notifySides(ctx context.Context, d database) (*sql.DB, [2]side, error) {
	var sides [2]side
	db, store, err := d.open(ctx)
	if err != nil {
		return nil, sides, err
	}
	by, err := newBare(ctx, db, d.dialect)
	if err != nil {
		return db, sides, err
	}
	var created int
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM codegrant_tokens").Scan(&created); err != nil {
		return db, sides, err
	}
	for i, one := range []struct {
		name  string
		store codegrant.TokenStore
	}{{"shared", store}, {"one-each", single{store, by}}} {
		cfg, err := config(one.store, instant{})
		if err != nil {
			return db, sides, err
		}
		kit, err := codegrant.New(cfg)
		if err != nil {
			return db, sides, err
		}
		sides[i] = deliveries(one.name, kit.Notify(), store, &created)
	}
	return db, sides, nil
}

// deliveries are first deliveries of sign-ups that are stored before.
func deliveries(name string, handler http.Handler, store codegrant.TokenStore, created *int) side {
	var requests []*http.Request
	return side{
		name: name,
		prepare: func(ctx context.Context, n int) error {
			sign := newSigner()
			defer sign.close()
			requests = make([]*http.Request, n)
			for i := range requests {
				t := pending(*created + i)
				requests[i] = httptest.NewRequestWithContext(ctx, http.MethodPost, "/wallet/notify/"+t.ID,
					strings.NewReader(string(sign.signUpBody(t))))
			}
			_, _, err := flight(ctx, n, 64, func(ctx context.Context, _, i int) error { return store.Save(ctx, pending(*created+i)) })
			*created += n
			return err
		},
		do: func(_ context.Context, _, i int) error {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, requests[i])
			if w.Code != http.StatusOK {
				return fmt.Errorf("answered with %d", w.Code)
			}
			return nil
		},
	}
}
