//go:build linux

package galera

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

const (
	// createRows makes the merchant's own table. Its key is drawn by the
	// server, so that a row that is written twice is there twice.
	createRows = "CREATE TABLE merchant_rows (id BIGINT AUTO_INCREMENT PRIMARY KEY, token_id VARCHAR(64) NOT NULL, " +
		"status INTEGER NOT NULL, revision BIGINT NOT NULL)"
	insertRow = "INSERT INTO merchant_rows (token_id, status, revision) VALUES (?, ?, ?)"

	keys = "k1:c2VjcmV0LW9mLXRoZS1jcmFzaC1oYXJuZXNzLTMyYnk="
)

// shop is the merchant's server beside one node.
type shop struct {
	db     *sql.DB
	plain  *sqlstore.Store
	store  codegrant.TokenStore
	notify http.Handler
}

// newShops returns one for each node, on a new database of the cluster.
func newShops(t *testing.T, c *cluster, database, setting string, log slog.Handler) []*shop {
	t.Helper()
	c.nodes[0].exec(t, "CREATE DATABASE "+database)
	var shops []*shop
	for _, n := range c.nodes {
		shops = append(shops, newShop(t, n.dsn(database, setting), slog.New(log)))
	}
	// All at once, as when a new version is rolled out.
	var wg sync.WaitGroup
	errs := make([]error, len(shops))
	for i, s := range shops {
		wg.Go(func() { errs[i] = s.plain.Migrate(t.Context()) })
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	_, err := shops[0].db.ExecContext(t.Context(), createRows)
	require.NoError(t, err)
	return shops
}

func newShop(t *testing.T, dsn string, log *slog.Logger) *shop {
	t.Helper()
	s := &shop{}
	var err error
	s.db, err = sql.Open("mysql", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.db.Close() })
	s.db.SetMaxOpenConns(8)
	s.db.SetMaxIdleConns(8)
	s.plain, err = sqlstore.New(s.db, sqlstore.MySQL, sqlstore.Options{Logger: log})
	require.NoError(t, err)
	ring, err := seal.ParseKeyring(keys)
	require.NoError(t, err)
	s.store, err = seal.New(s.plain, ring)
	require.NoError(t, err)
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
	})
	require.NoError(t, err)
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: s.store, BaseURL: "https://shop.test/wallet", Logger: log,
		User: func(*http.Request) (string, error) { return "", nil },
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			tx, ok := sqlstore.Tx(ctx)
			if !ok {
				return errors.New("the hook runs outside of a transaction")
			}
			_, err := tx.ExecContext(ctx, insertRow, c.Token.ID, int64(c.Token.Status), c.Token.Revision)
			return err
		},
	})
	require.NoError(t, err)
	s.notify = kit.Notify()
	return s
}

// counter is a log that counts its failures by their words.
type counter struct {
	slog.Handler
	mu    sync.Mutex
	words map[string]int
}

func newCounter() *counter {
	return &counter{Handler: slog.DiscardHandler, words: map[string]int{}}
}

var (
	ports   = regexp.MustCompile(`(->)?127\.0\.0\.1:\d+`)
	forever = []string{"weak_durability", "bad_signature", "not_migrated", "hook_panic", "durability_unknown"}
)

func (c *counter) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (c *counter) Handle(_ context.Context, r slog.Record) error {
	var words []string
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "code" || a.Key == "error" || a.Key == "setting" {
			words = append(words, ports.ReplaceAllString(a.Value.String(), ""))
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.words[strings.Join(words, ": ")]++
	return nil
}

// check looks for what no receiver may say, whatever is killed.
func (c *counter) check(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for words, n := range c.words {
		t.Logf("%6d  %s", n, words)
		if strings.HasPrefix(words, "weak_durability: wsrep_sync_wait is 0") {
			continue // asked for, by the load that does without
		}
		for _, bad := range forever {
			require.NotContains(t, words, bad)
		}
	}
}
