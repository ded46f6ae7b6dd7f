package dbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

const (
	createRows = "CREATE TABLE merchant_rows (token_id VARCHAR(64) NOT NULL, status INTEGER NOT NULL, revision BIGINT NOT NULL)"
	insertRow  = "INSERT INTO merchant_rows (token_id, status, revision) VALUES (?, ?, ?)"

	// What the store says, by hand. The floor reads and writes the same columns
	// by the same key, but leaves out the two look-ups by which the kit finds the
	// record that a notification concerns: whoever knows the record needs none.
	selectByHand = "SELECT id, account_id, user_id, wallet, status, handled, revision, token_value, fingerprint, " +
		"bind_reference, auth_url, auth_state, return_to, login_id, ended_by, " +
		"doubted_at, unsettled_since, created_at, updated_at FROM codegrant_tokens WHERE id = ?"
	updateByHand = "UPDATE codegrant_tokens SET account_id = ?, user_id = ?, wallet = ?, status = ?, handled = ?, " +
		"revision = ?, token_value = ?, fingerprint = ?, bind_reference = ?, auth_url = ?, auth_state = ?, " +
		"return_to = ?, login_id = ?, ended_by = ?, doubted_at = ?, unsettled_since = ?, created_at = ?, " +
		"updated_at = ? WHERE id = ? AND revision = ?"
)

// BenchmarkNotify is a first delivery of a sign-up, from the request to the
// answer, with a hook that writes one row of the merchant's in the transaction;
// and beside it the floor: the transaction alone, by hand on the bare driver. An
// operation is one of each. They take turns in short stretches, so that what
// else the machine does falls on both:
//
//	kit/s, floor/s  notifications, and transactions, in a second
//	ratio           the first by the second, the median over the stretches
func BenchmarkNotify(b *testing.B) {
	for _, s := range servers() {
		b.Run(s.name, func(b *testing.B) {
			f := newFloor(b, s)
			for _, n := range []int{1, 8, 32, 64} {
				b.Run(fmt.Sprintf("%d in flight", n), func(b *testing.B) { f.compare(b, n) })
			}
		})
	}
}

// floor is a merchant's server with its database, and the same without the kit.
type floor struct {
	server  server
	store   *sqlstore.Store
	bare    *sql.DB
	notify  http.Handler
	gateway *gatewaytest.Gateway
	created int // records
}

func newFloor(b *testing.B, s server) *floor {
	b.Helper()
	f := &floor{server: s, gateway: gatewaytest.New(gatewaytest.Config{})}
	b.Cleanup(f.gateway.Close)
	dsn := s.create(b)
	if s.dialect == sqlstore.SQLite {
		dsn = with(dsn, "_pragma=synchronous(full)")
	}
	db := f.open(b, dsn)
	f.store = s.migrated(b, db)
	_, err := db.ExecContext(b.Context(), createRows)
	require.NoError(b, err)
	f.bare = f.open(b, dsn)
	if s.dialect == sqlstore.SQLite {
		// The best that can be done by hand: one connection, so that nobody polls
		// for SQLite's lock, and BEGIN IMMEDIATE.
		f.bare = f.open(b, with(dsn, "_txlock=immediate"))
		f.bare.SetMaxOpenConns(1)
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
	})
	require.NoError(b, err)
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: f.store, BaseURL: "https://shop.test/wallet", Logger: slog.New(slog.DiscardHandler),
		User:    func(*http.Request) (string, error) { return "", nil },
		Timeout: time.Minute, // a machine that is busy is slow and not wrong
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			tx, ok := sqlstore.Tx(ctx)
			if !ok {
				return errors.New("the hook runs outside of a transaction")
			}
			return f.row(ctx, tx, c.Token.ID, c.Token.Revision)
		},
	})
	require.NoError(b, err)
	f.notify = kit.Notify()
	return f
}

// open gives both sides as many connections as a shared server can spare.
func (f *floor) open(b *testing.B, dsn string) *sql.DB {
	b.Helper()
	db, err := sql.Open(f.server.driver, dsn)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, db.Close()) })
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return db
}

func (f *floor) row(ctx context.Context, tx *sql.Tx, id string, revision int64) error {
	_, err := tx.ExecContext(ctx, f.text(insertRow), id, int64(codegrant.StatusActive), revision)
	return err
}

// text numbers the parameters where the database wants it.
func (f *floor) text(query string) string {
	if f.server.dialect != sqlstore.PostgreSQL {
		return query
	}
	var b strings.Builder
	for i, part := range strings.Split(query, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

// compare does b.N of both.
func (f *floor) compare(b *testing.B, inFlight int) {
	b.StopTimer()
	stretch := max(64, 4*inFlight)
	var kit, bare time.Duration
	var ratios []float64
	for left := b.N; left > 0; left -= stretch {
		n := min(stretch, left)
		tokens := f.pending(b, 2*n)
		requests := make([]*http.Request, n)
		for i, t := range tokens[:n] {
			requests[i] = httptest.NewRequest(http.MethodPost, "/wallet/notify/"+t.ID, strings.NewReader(f.body(t)))
		}
		b.StartTimer()
		kitTook := timed(b, n, inFlight, func(i int) error {
			w := httptest.NewRecorder()
			f.notify.ServeHTTP(w, requests[i])
			if w.Code != http.StatusOK {
				return fmt.Errorf("answered with %d", w.Code)
			}
			return nil
		})
		b.StopTimer()
		bareTook := timed(b, n, inFlight, func(i int) error { return f.byHand(b.Context(), tokens[n+i]) })
		kit, bare, ratios = kit+kitTook, bare+bareTook, append(ratios, bareTook.Seconds()/kitTook.Seconds())
	}
	f.check(b)
	b.ReportMetric(float64(b.N)/kit.Seconds(), "kit/s")
	b.ReportMetric(float64(b.N)/bare.Seconds(), "floor/s")
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "ratio")
}

// timed does n pieces of work with so many of them under way.
func timed(b *testing.B, n, inFlight int, work func(i int) error) time.Duration {
	b.Helper()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	began := time.Now()
	for range inFlight {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := work(i); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	return took
}

// pending stores n records of users who were sent to the wallet.
func (f *floor) pending(b *testing.B, n int) []codegrant.Token {
	b.Helper()
	tokens := make([]codegrant.Token, n)
	now := time.Now().UTC().Truncate(time.Microsecond)
	require.NoError(b, f.store.InTx(b.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
		for i := range tokens {
			f.created++
			tokens[i] = codegrant.Token{
				ID: fmt.Sprintf("FLOOR%021d", f.created), AccountID: gatewaytest.DefaultAccountID,
				UserID: fmt.Sprintf("user-%d", f.created), Wallet: codegrant.GCash,
				Status: codegrant.StatusPending, Handled: codegrant.StatusPending, Revision: 1, ReturnTo: "/",
				CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
			}
			if err := tx.Save(ctx, tokens[i]); err != nil {
				return err
			}
		}
		return nil
	}))
	return tokens
}

func value(t codegrant.Token) string { return "7dda0a6f" + t.ID[2:] }

func (f *floor) body(t codegrant.Token) string {
	return string(f.gateway.SignedBody(fmt.Sprintf(
		`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":%q,"merchantUserId":%q,"token":%q,"userLoginId":"ann@example.com"}`,
		t.ID, t.UserID, value(t)), nil))
}

// byHand does to t what the kit does.
func (f *floor) byHand(ctx context.Context, t codegrant.Token) error {
	query, options, key := selectByHand+" FOR UPDATE", &sql.TxOptions{}, any(t.ID)
	switch f.server.dialect {
	case sqlstore.SQLite:
		query = selectByHand
	case sqlstore.PostgreSQL:
		key = []byte(t.ID)
	case sqlstore.MySQL:
		options.Isolation = sql.LevelReadCommitted
	}
	tx, err := f.bare.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	row, into := make([]any, 19), make([]any, 19)
	for i := range row {
		into[i] = &row[i]
	}
	if err := tx.QueryRowContext(ctx, f.text(query), key).Scan(into...); err != nil {
		return err
	}
	if err := f.row(ctx, tx, t.ID, 2); err != nil {
		return err
	}
	secret := codegrant.NewSecret(value(t))
	result, err := tx.ExecContext(ctx, f.text(updateByHand), t.AccountID, t.UserID, string(t.Wallet),
		int64(codegrant.StatusActive), int64(codegrant.StatusActive), 2, secret.Reveal(), codegrant.Fingerprint(secret),
		"", "", "", t.ReturnTo, "ann@example.com", "", nil, nil, t.CreatedAt.UnixMicro(), time.Now().UnixMicro(), key, 1)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(err, fmt.Errorf("%d rows changed", n))
	}
	return tx.Commit()
}

// check makes sure that both sides did the same.
func (f *floor) check(b *testing.B) {
	b.Helper()
	var tokens, rows int
	require.NoError(b, f.bare.QueryRowContext(b.Context(),
		"SELECT COUNT(*) FROM codegrant_tokens WHERE status = 3 AND handled = 3 AND revision = 2 AND unsettled_since IS NULL").Scan(&tokens))
	require.NoError(b, f.bare.QueryRowContext(b.Context(), "SELECT COUNT(DISTINCT token_id) FROM merchant_rows").Scan(&rows))
	require.Equal(b, []int{f.created, f.created}, []int{tokens, rows})
}
