//go:build linux

package soak

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// nodes is how many processes the shop has.
const nodes = 2

// world is everything around the shop.
type world struct {
	gateway   *gatewaytest.Server
	db        *sql.DB // the test's own look
	plain     *sqlstore.Store
	sealed    codegrant.TokenStore
	addresses []string
	logs      []string
	customers *http.Client // goes to any node
	balancer  *balancer
	books
}

func newWorld(t *testing.T) *world {
	t.Helper()
	dsn := createDatabase(t)
	w := &world{balancer: &balancer{next: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 5 * time.Second}}}
	w.tally = map[string]int{}
	var err error
	w.db, err = sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.db.Close()) })
	w.plain, w.sealed, err = openStores(w.db, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, w.plain.Migrate(t.Context()))
	w.exec(t, createEffects)

	w.gateway = gatewaytest.NewServer(gatewayConfig(&http.Client{Transport: w.balancer, Timeout: 10 * time.Second}))
	t.Cleanup(w.gateway.Close)
	for i := range nodes {
		w.startNode(t, nodeSpec{DSN: dsn + fmt.Sprintf("&application_name=node%d", i), Gateway: w.gateway.URL})
	}
	w.customers = &http.Client{Transport: w.balancer, Timeout: 20 * time.Second}
	return w
}

// gatewayConfig is a gateway that does everything wrong that it can.
func gatewayConfig(deliveries *http.Client) gatewaytest.Config {
	rates := map[gatewaytest.FaultKind]float64{
		gatewaytest.DropAttempt: 0.05, gatewaytest.DropAll: 0.03, gatewaytest.Duplicate: 0.05,
		gatewaytest.Delay: 0.01, gatewaytest.TamperNotification: 0.01, gatewaytest.UnsignedNotification: 0.01,
	}
	for kind := gatewaytest.TimeoutBefore; kind <= gatewaytest.Decline; kind++ {
		rates[kind] = 0.005
	}
	return gatewaytest.Config{
		Rates: rates, Scale: 1000, // the whole schedule takes 43 s
		SilentWallets: []string{string(codegrant.Boost)}, HTTPClient: deliveries,
	}
}

// startNode starts a process of the shop, which ends with the test or with this
// process.
func (w *world) startNode(t *testing.T, spec nodeSpec) {
	t.Helper()
	text, err := json.Marshal(spec)
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	log, err := os.Create(filepath.Join(t.TempDir(), "node.log"))
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envNode+"="+string(text))
	cmd.Stderr = log
	life, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = life.Close()
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		kill.Stop()
		_ = log.Close()
		require.NoError(t, err, "the node did not end by itself")
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	w.addresses = append(w.addresses, strings.TrimSpace(address))
	w.logs = append(w.logs, log.Name())
	w.balancer.set(w.addresses)
}

// createDatabase returns the connection string of a new database, which ends in
// a query. Where no server answers, the test is skipped, but in CI it fails.
func createDatabase(t *testing.T) string {
	t.Helper()
	dsn := cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/test?sslmode=disable")
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no PostgreSQL server: %v", err)
		}
		t.Skipf("no PostgreSQL server: %v", err)
	}
	name := fmt.Sprintf("codegrant_soak_%d", time.Now().UnixNano())
	_, err = db.ExecContext(ctx, "CREATE DATABASE "+name)
	require.NoError(t, err)
	t.Cleanup(func() {
		_, err := db.ExecContext(context.Background(), "DROP DATABASE "+name+" WITH (FORCE)")
		require.NoError(t, err)
	})
	u, err := url.Parse(dsn)
	require.NoError(t, err)
	u.Path = "/" + name
	q := u.Query()
	q.Set("connect_timeout", "10")
	u.RawQuery = q.Encode()
	return u.String()
}

func (w *world) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := w.db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

// ask reads one number.
func (w *world) ask(t *testing.T, query string) (n int64) {
	t.Helper()
	require.NoError(t, w.db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

// getNode asks one node about itself, over a connection that does not stay.
func (w *world) getNode(t *testing.T, i int, path string) []byte {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 20 * time.Second}
	response, err := client.Get("http://" + w.addresses[i] + path)
	require.NoError(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return body
}

func (w *world) nodeStats(t *testing.T, i int, path string) (s nodeStats) {
	t.Helper()
	require.NoError(t, json.Unmarshal(w.getNode(t, i, path), &s))
	return s
}

// balancer sends each request to any node, as the proxy in front of a shop
// does, and remembers some bodies of notifications.
type balancer struct {
	next *http.Transport

	mu    sync.Mutex
	nodes []string
	seen  [32][]byte
}

func (b *balancer) set(nodes []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.nodes = append([]string(nil), nodes...)
}

func (b *balancer) pick() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.nodes[rand.IntN(len(b.nodes))]
}

// genuine returns the body of a notification of a moment ago, nil before there
// was any.
func (b *balancer) genuine() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.seen[rand.IntN(len(b.seen))])
}

func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get(userHeader) == "" && r.GetBody != nil {
		if body, err := r.GetBody(); err == nil {
			text, _ := io.ReadAll(body)
			b.mu.Lock()
			b.seen[rand.IntN(len(b.seen))] = text
			b.mu.Unlock()
		}
	}
	r = r.Clone(r.Context())
	r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, "http", b.pick()
	return b.next.RoundTrip(r)
}
