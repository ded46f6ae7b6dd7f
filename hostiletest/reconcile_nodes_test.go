package hostiletest

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// gatewayCalls counts the calls of the gateway by path and by what they are about.
type gatewayCalls struct {
	next http.RoundTripper

	mu    sync.Mutex
	calls map[string]map[string]int
}

func (a *gatewayCalls) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var envelope struct{ BizContent string }
	var biz struct{ RequestID, MerchantTransactionID string }
	if err := errors.Join(json.Unmarshal(body, &envelope), json.Unmarshal([]byte(envelope.BizContent), &biz)); err != nil {
		return nil, err
	}
	about := biz.MerchantTransactionID
	if about == "" {
		about = biz.RequestID
	}
	a.mu.Lock()
	if a.calls[r.URL.Path] == nil {
		a.calls[r.URL.Path] = map[string]int{}
	}
	a.calls[r.URL.Path][about]++
	a.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return a.next.RoundTrip(r)
}

func (a *gatewayCalls) reset() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.calls)
}

// about returns how often the interface was called, by number.
func (a *gatewayCalls) about(path string) map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return maps.Clone(a.calls[path])
}

// fleet are processes of one merchant on one database, with hooks that write
// into their transactions. All that the gateway says by itself is lost.
type fleet struct {
	gateway  *gatewaytest.Gateway
	asked    *gatewayCalls
	kits     []*codegrant.Kit
	db       *sql.DB
	store    *sqlstore.Store // the last node's
	clock    atomic.Int64    // what the kits' clock is ahead by
	signUps  map[string]codegrant.Status
	payments map[string]codegrant.Outcome
}

func newFleet(t *testing.T, nodes int) *fleet {
	f := &fleet{
		gateway: gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test", ProcessingFirst: true}),
		signUps: map[string]codegrant.Status{}, payments: map[string]codegrant.Outcome{},
	}
	t.Cleanup(f.gateway.Close)
	f.asked = &gatewayCalls{next: f.gateway.Transport(), calls: map[string]map[string]int{}}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"}, HTTPClient: &http.Client{Transport: f.asked},
	})
	require.NoError(t, err)
	name := filepath.Join(t.TempDir(), "shop.db")
	for range nodes {
		f.db, err = sql.Open("sqlite", "file:"+name+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(20000)")
		require.NoError(t, err)
		db := f.db
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		f.store, err = sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
		require.NoError(t, err)
		require.NoError(t, f.store.Migrate(t.Context()))
		kit, err := codegrant.New(codegrant.Config{
			Client: client, Store: f.store, Payments: f.store, BaseURL: baseURL,
			User: func(*http.Request) (string, error) { return "", nil },
			OnToken: func(ctx context.Context, c codegrant.Change) error {
				return effect(ctx, c.Token.ID, c.Token.Status.String())
			},
			OnPayment: func(ctx context.Context, n codegrant.PaymentNotification) error {
				return effect(ctx, n.OrderID, string(n.Status))
			},
			Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute,
			Now:       func() time.Time { return time.Now().Add(time.Duration(f.clock.Load())) },
			Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
		})
		require.NoError(t, err)
		f.kits = append(f.kits, kit)
	}
	_, err = f.db.Exec("CREATE TABLE effects (id TEXT, status TEXT)")
	require.NoError(t, err)
	f.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1})
	return f
}

// effect is a row that commits or rolls back with the record.
func effect(ctx context.Context, id, status string) error {
	tx, ok := sqlstore.Tx(ctx)
	if !ok {
		return errors.New("the hook runs outside of a transaction")
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?, ?)", id, status)
	return err
}

// sweep lets all nodes sweep at once, and returns what they looked at.
func (f *fleet) sweep(t *testing.T) (looked int64) {
	var all atomic.Int64
	var running sync.WaitGroup
	begin := make(chan struct{})
	for _, kit := range f.kits {
		running.Go(func() {
			<-begin
			sweep, err := kit.Reconcile(t.Context())
			if err != nil || sweep.Failed > 0 || sweep.BackOff {
				t.Errorf("%+v %v", sweep, err)
			}
			all.Add(int64(sweep.Looked))
		})
	}
	close(begin)
	running.Wait()
	return all.Load()
}

// signUp starts a sign-up and decides it.
func (f *fleet) signUp(t *testing.T, user string, i int) {
	token, err := f.kits[0].StartSignUp(t.Context(), codegrant.SignUpParams{UserID: user, Wallet: codegrant.GCash})
	require.NoError(t, err)
	switch i % 3 {
	case 0:
		f.signUps[token.ID] = codegrant.StatusPending // nobody decides
	case 1:
		require.NoError(t, f.gateway.Refuse(token.AuthURL))
		f.signUps[token.ID] = codegrant.StatusFailed
	default:
		require.NoError(t, f.gateway.Approve(token.AuthURL))
		f.signUps[token.ID] = codegrant.StatusActive
	}
}

// pay charges an order in a way that leaves its record open.
func (f *fleet) pay(t *testing.T, order string, i int) {
	const (
		paid = iota
		refused
		paidUnheard
		lost
		open
		ways
	)
	way := i % ways
	switch way {
	case paidUnheard:
		f.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	case lost:
		f.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
	}
	params := orderOf(1000)
	params.OrderID = order
	receipt, err := f.kits[0].Charge(t.Context(), params)
	if way == paidUnheard || way == lost {
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	} else {
		require.NoError(t, err)
		require.Equal(t, codegrant.Pending, receipt.Outcome)
	}
	switch way {
	case paid, paidUnheard:
		require.NoError(t, f.gateway.Settle(order))
		f.payments[order] = codegrant.Succeeded
	case refused:
		require.NoError(t, f.gateway.SettleFailed(order))
		f.payments[order] = codegrant.Failed
	case lost:
		f.payments[order] = codegrant.Failed
	default:
		f.payments[order] = codegrant.Pending
	}
}

// judge compares records and hooks' rows with what the gateway decided.
func (f *fleet) judge(t *testing.T) {
	want := map[string]string{} // rows
	for id, status := range f.signUps {
		token, err := f.store.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, status, token.Status)
		if status != codegrant.StatusPending {
			require.True(t, token.UnsettledSince.IsZero())
			want[id] = status.String()
		}
	}
	for order, outcome := range f.payments {
		p, err := f.kits[0].Payment(t.Context(), order)
		require.NoError(t, err)
		require.Equal(t, outcome, p.Outcome, order)
		if outcome != codegrant.Pending {
			require.True(t, p.UnsettledSince.IsZero())
			want[order] = string(p.Last.Status)
		}
	}
	rows, err := f.db.Query("SELECT id, status FROM effects")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	found := map[string]string{}
	for rows.Next() {
		var id, status string
		require.NoError(t, rows.Scan(&id, &status))
		require.NotContains(t, found, id, "a second row")
		found[id] = status
	}
	require.NoError(t, rows.Err())
	require.Equal(t, want, found)
	require.Empty(t, f.gateway.Ledger().ChargedTwice())
}

// TestThreeNodesOnOneDatabaseSweepAtOnce: every notification is lost, and three
// processes find out the rest together, with one query for each record and one
// row of the hooks for each outcome.
func TestThreeNodesOnOneDatabaseSweepAtOnce(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3)
	payer, err := f.kits[0].StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.NoError(t, err)
	require.NoError(t, f.gateway.Approve(payer.AuthURL))
	f.signUps[payer.ID] = codegrant.StatusActive
	f.clock.Store(int64(2 * time.Minute))
	require.EqualValues(t, 1, f.sweep(t))
	f.asked.reset()

	n := rounds(100)
	for i := range n {
		f.signUp(t, fmt.Sprint("user-", i), i)
		f.pay(t, fmt.Sprint("ORDER-", i), i)
	}
	f.clock.Store(int64(2 * time.Hour))
	began := time.Now()
	require.EqualValues(t, 2*n, f.sweep(t))
	took := time.Since(began)
	for path, items := range map[string]int{gatewaytest.DefaultSignUpQueryPath: n, "/v4/payment/query": n} {
		counts := f.asked.about(path)
		require.Len(t, counts, items, path)
		for id, times := range counts {
			require.Equal(t, 1, times, "%s was asked about %s", path, id)
		}
	}
	f.judge(t)
	t.Logf("%d sign-ups and %d payments in %v", n, n, took)
}
