//go:build linux

package crash

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

const (
	// createRows makes the merchant's own table. It has no key, so that a row
	// that is written twice is there twice. delivery is the attempt that wrote
	// it: without that, nobody could tell which broken attempts had committed.
	createRows = "CREATE TABLE merchant_rows (token_id VARCHAR(64) NOT NULL, status INTEGER NOT NULL, " +
		"revision BIGINT NOT NULL, delivery BIGINT NOT NULL)"
	selectRows = "SELECT token_id, status, revision, delivery FROM merchant_rows"

	deliveryHeader = "X-Delivery"
	notifyPath     = "/wallet/notify/"

	keys = "k1:c2VjcmV0LW9mLXRoZS1jcmFzaC1oYXJuZXNzLTMyYnk="
)

// target is a database, and which receiver works on it.
type target struct {
	Dialect     sqlstore.Dialect
	Driver, DSN string
	Receiver    string // a key of receivers
	LogAll      bool   // also what is no failure
	InFlight    int    // deliveries under way at a time; 0 means connections
	Tally       string // a file to note commits in; see tally
}

// shop is a merchant's server with its database.
type shop struct {
	target
	db     *sql.DB
	plain  *sqlstore.Store
	store  sealedStore
	insert string // a row
	log    *slog.Logger
}

// sealedStore is what seal.New makes of a sqlstore.Store.
type sealedStore interface {
	codegrant.TxStore
	codegrant.ListStore
}

func newShop(at target, log *slog.Logger) (*shop, error) {
	db, err := at.openTallied()
	if err != nil {
		return nil, err
	}
	return newShopOn(at, db, log)
}

func newShopOn(at target, db *sql.DB, log *slog.Logger) (*shop, error) {
	s := &shop{target: at, db: db, log: log, insert: "INSERT INTO merchant_rows (token_id, status, revision, delivery) VALUES (?, ?, ?, ?)"}
	if at.Dialect == sqlstore.PostgreSQL {
		s.insert = "INSERT INTO merchant_rows (token_id, status, revision, delivery) VALUES ($1, $2, $3, $4)"
	}
	s.db.SetMaxOpenConns(8)
	s.db.SetMaxIdleConns(8)
	var err error
	if s.plain, err = sqlstore.New(s.db, at.Dialect, sqlstore.Options{Logger: log}); err != nil {
		return nil, err
	}
	ring, err := seal.ParseKeyring(keys)
	if err != nil {
		return nil, err
	}
	sealed, err := seal.New(s.plain, ring)
	if err != nil {
		return nil, err
	}
	s.store = sealed.(sealedStore)
	return s, nil
}

// open is the test's own look at the database.
func (at target) open(t *testing.T) *shop {
	t.Helper()
	at.Tally = ""
	s, err := newShop(at, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.db.Close() })
	return s
}

type deliveryKey struct{}

// note writes the merchant's row, through the transaction or the database.
func (s *shop) note(ctx context.Context, db interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}, t codegrant.Token) error {
	delivery, _ := ctx.Value(deliveryKey{}).(int64)
	_, err := db.ExecContext(ctx, s.insert, t.ID, int64(t.Status), t.Revision, delivery)
	return err
}

// config is that of the kit as it should be used.
func (s *shop) config() (codegrant.Config, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
	})
	return codegrant.Config{
		Client: client, Store: s.store, BaseURL: "https://shop.test/wallet", Logger: s.log,
		User: func(*http.Request) (string, error) { return "", nil },
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			tx, ok := sqlstore.Tx(ctx)
			if !ok {
				return errors.New("the hook runs outside of a transaction")
			}
			return s.note(ctx, tx, c.Token)
		},
	}, err
}

// right is the receiver that must lose nothing.
func right(s *shop) (http.Handler, error) {
	cfg, err := s.config()
	if err != nil {
		return nil, err
	}
	return notify(cfg)
}

// receivers are what a target may name.
var receivers = map[string]func(*shop) (http.Handler, error){
	"":              right,
	"answers first": answersFirst, "unguarded": unguarded, "outside": outside, "last wins": lastWins,

	hooksAfter: hooksAfterSave, hookless: noHook,
	"answers before the commit": answersBeforeTheCommit, "answers first, no hook": answersFirstWithoutHook,
	"hook in the background": hookInBackground, "notes the hook before it": notesTheHookBeforeIt,
}

// serve is the whole life of a receiver. It prints its address once it serves.
func serve(spec string) error {
	var at target
	if err := json.Unmarshal([]byte(spec), &at); err != nil {
		return err
	}
	level := slog.LevelWarn
	if at.LogAll {
		level = slog.LevelInfo
	}
	s, err := newShop(at, slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
	if err != nil {
		return err
	}
	if err := s.plain.Migrate(context.Background()); err != nil {
		return err
	}
	handler, err := receivers[at.Receiver](s)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc(notifyPath+"{id}", func(w http.ResponseWriter, r *http.Request) {
		delivery, _ := strconv.ParseInt(r.Header.Get(deliveryHeader), 10, 64)
		handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), deliveryKey{}, delivery)))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(listener)
}
