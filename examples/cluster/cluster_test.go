package main

import (
	"bytes"
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// This binary is an instance as well, when it is told so.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == instanceCommand {
		main()
		return
	}
	os.Exit(m.Run())
}

// record is what was written so far.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// needs skips the test where a server is missing; in CI it fails.
func needs(t *testing.T, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatal(err)
	case errors.Is(err, errNoNginx) || errors.Is(err, errNoPostgreSQL):
		t.Skip(err)
	default:
		t.Fatal(err)
	}
}

// freePorts returns the first of n ports that are free, below those that systems
// hand out by themselves, so that nobody takes one while its instance is down.
func freePorts(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		first := 15000 + rand.IntN(15000)
		if requireFree(func(i int) string { return fmt.Sprintf("127.0.0.1:%d", first+i) }, n) == nil {
			return first
		}
	}
	t.Fatal("no ports are free")
	return 0
}

// site is a cluster under test, with its database and its log.
type site struct {
	*cluster
	db  *sql.DB
	log *record
}

func newSite(t *testing.T, cfg clusterConfig) *site {
	t.Helper()
	_, err := findNginx()
	needs(t, err)
	dsn := cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable")
	own, drop, err := createDatabase(t.Context(), dsn)
	needs(t, err)
	t.Cleanup(func() { require.NoError(t, drop()) })
	db, err := sql.Open("pgx", own)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	s := &site{db: db, log: new(record)}
	t.Cleanup(func() {
		if t.Failed() {
			text := s.log.String()
			t.Logf("the end of the log:\n%s", text[max(0, len(text)-10_000):])
		}
	})
	cfg.DSN, cfg.Port, cfg.Log = own, freePorts(t, 1+instances), s.log
	// Long enough for requests to be under way at any moment.
	cfg.Gateway.Latency = 20 * time.Millisecond
	s.cluster, err = startCluster(t.Context(), cfg)
	require.NoError(t, err, s.log)
	t.Cleanup(func() { _ = s.close() }) // what a test that fails has left
	return s
}

func TestARollingRestartLosesNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, clusterConfig{})
	crowd := newCrowd(t.Context(), s.cluster, 8)
	before := s.pids()
	for range 2 {
		require.NoError(t, s.rollingRestart(t.Context()))
	}
	after := s.pids()
	seen := crowd.leave()
	s.gateway.Wait()

	require.Empty(t, seen.lost)
	trouble, err := os.ReadFile(filepath.Join(s.proxy.folder, "error.log"))
	require.NoError(t, err)
	require.NotContains(t, string(trouble), "[error]", "nginx never met an instance that was down")
	require.Greater(t, seen.requests, 200)
	require.NotEmpty(t, seen.ended)
	for i, each := range s.instances {
		require.NotEqual(t, before[i], after[i], "it is another process")
		require.Greater(t, seen.served[each.address], 20)
	}
	for _, n := range s.gateway.Notifications() {
		require.True(t, n.Delivered, "%s of %s", n.Op, n.Subject)
		require.Len(t, n.Attempts, 1, "%s of %s: %+v", n.Op, n.Subject, n.Attempts)
		require.Equal(t, 200, n.Attempts[0].Status)
	}
	s.requireBooks(t, seen)
	require.Len(t, s.charges(), len(seen.paid), "nothing else was charged")
	require.NoError(t, s.close(), "every process ended well")
	require.NotContains(t, s.log.String(), "level=ERROR")
	require.NotContains(t, s.log.String(), "DATA RACE")
	t.Logf("%d requests, %d notifications, %d sign-ups, %d orders, by instance: %v",
		seen.requests, len(s.gateway.Notifications()), len(seen.connected), len(seen.paid), seen.served)
}

// TestKilledInstances is two things: the negative control, for without the
// recipe of restart requests are lost and the crowd notices; and the promise
// that nothing else is lost even so.
func TestKilledInstances(t *testing.T) {
	t.Parallel()
	s := newSite(t, clusterConfig{
		Sweep:   300 * time.Millisecond,
		Gateway: gatewaytest.Config{Scale: 20}, // the first retry after 250 ms
	})
	crowd := newCrowd(t.Context(), s.cluster, 8)
	kills := 0
	for kills < 3*instances || (kills < 30 && !crowd.hasLost()) {
		each := s.instances[kills%instances]
		require.NoError(t, each.process.kill())
		require.NoError(t, s.start(each))
		require.NoError(t, each.awaitReady(t.Context()))
		kills++
	}
	seen := crowd.leave()

	require.NotEmpty(t, seen.lost, "the careless restart loses requests, and it shows")
	for _, n := range s.gateway.Notifications() {
		require.Eventually(t, func() bool { return s.delivered(n.ID) }, 20*time.Second, 20*time.Millisecond, "%s of %s", n.Op, n.Subject)
	}
	require.Eventually(t, func() bool {
		return s.count(t, "SELECT COUNT(*) FROM shop_orders WHERE state <> 'paid'") == 0
	}, 20*time.Second, 50*time.Millisecond, "every order is paid in the end, also those whose buyer was told nothing")
	s.requireBooks(t, seen)
	require.NoError(t, s.close())
	require.NotContains(t, s.log.String(), "DATA RACE")
	t.Logf("%d kills: %d of %d requests lost, such as %s; %d orders", kills, len(seen.lost), seen.requests, seen.lost[0], len(seen.paid))
}

func (c *crowd) hasLost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.tally.lost) > 0
}

func (s *site) pids() (list []int) {
	for _, each := range s.instances {
		list = append(list, each.process.pid())
	}
	return list
}

func (s *site) delivered(id int) bool { return s.gateway.Notifications()[id-1].Delivered }

// charges are the orders that the gateway has taken money for, sorted.
func (s *site) charges() (orders []string) {
	for _, each := range s.gateway.Ledger().Charges {
		if each.Status == gatewaytest.StatusSuccess {
			orders = append(orders, each.OrderID)
		}
	}
	slices.Sort(orders)
	return orders
}

// requireBooks compares what people saw, what the gateway did, and what the shop
// has written.
func (s *site) requireBooks(t *testing.T, seen tally) {
	t.Helper()
	require.Empty(t, s.gateway.Ledger().ChargedTwice())
	charged := s.charges()
	for _, order := range seen.paid {
		_, found := slices.BinarySearch(charged, order)
		require.True(t, found, "paid on the page, and charged: %s", order)
	}
	require.Equal(t, charged, s.list(t, "SELECT id FROM shop_orders WHERE state = 'paid'"))
	require.Equal(t, charged, s.list(t, "SELECT order_id FROM shop_payment_journal WHERE status = 'SUCCESS'"), "once each")

	agreed := slices.Sorted(slices.Values(seen.connected))
	require.Equal(t, agreed, s.list(t, "SELECT token_id FROM shop_wallet_journal WHERE status = 'active'"), "once each")
	ended := slices.Sorted(slices.Values(seen.ended))
	require.Equal(t, ended, s.list(t, "SELECT token_id FROM shop_wallet_journal WHERE status = 'unbound'"), "once each")
	live := s.list(t, "SELECT convert_from(id, 'UTF8') FROM codegrant_tokens WHERE status = 3")
	require.Equal(t, slices.DeleteFunc(agreed, func(id string) bool { return slices.Contains(ended, id) }), live,
		"what the wallet has approved and nobody has ended is active")
}

func (s *site) list(t *testing.T, query string) (found []string) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), query)
	require.NoError(t, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var text string
		require.NoError(t, rows.Scan(&text))
		found = append(found, text)
	}
	require.NoError(t, rows.Err())
	slices.Sort(found)
	return found
}

func (s *site) count(t *testing.T, query string) (n int) {
	t.Helper()
	require.NoError(t, s.db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func TestStartingSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"root:secret@tcp(127.0.0.1)/x", "postgres://a:secret@%zz/db"} {
		_, _, err := createDatabase(t.Context(), dsn)
		require.ErrorContains(t, err, "-dsn is not postgres://")
		require.NotContains(t, err.Error(), "secret")
	}
	port := freePorts(t, 1)
	_, _, err := createDatabase(t.Context(), fmt.Sprintf("postgres://a:secret@127.0.0.1:%d/db", port))
	require.ErrorIs(t, err, errNoPostgreSQL)
	require.NotContains(t, err.Error(), "secret")

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, taken.Close()) })
	_, err = startCluster(t.Context(), clusterConfig{Port: taken.Addr().(*net.TCPAddr).Port})
	require.ErrorContains(t, err, "choose other ports with -port")
}
