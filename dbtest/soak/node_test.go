//go:build linux

package soak

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

const (
	publicURL = "https://shop.test/wallet"
	keys      = "k1:c2VjcmV0LW9mLXRoZS1jcmFzaC1oYXJuZXNzLTMyYnk="

	// createEffects makes the merchant's own table. It has no key, so that what
	// is done twice is there twice.
	createEffects = "CREATE TABLE effects (kind TEXT NOT NULL, id TEXT NOT NULL, outcome TEXT NOT NULL)"
	insertEffect  = "INSERT INTO effects (kind, id, outcome) VALUES ($1, $2, $3)"

	// pool is how many connections to the database a node may have.
	pool = 10

	hookTimeout   = time.Second
	clientTimeout = 500 * time.Millisecond
	readTimeout   = 2 * time.Second
	// giveUpAfter is short, so that the sign-ups that wait are in balance with
	// those that begin long before the first measurement.
	giveUpAfter = 1500 * time.Millisecond
)

// nodeSpec is what a node is told when it starts.
type nodeSpec struct{ DSN, Gateway string }

// node is one process of the shop.
type node struct {
	db      *sql.DB
	kit     *codegrant.Kit
	calls   *http.Transport // to the gateway
	notify  histogram
	charges histogram
	failed  atomic.Int64 // hooks that failed on purpose
	hung    atomic.Int64
}

// openStores returns the two stores of a shop on db.
func openStores(db *sql.DB, log *slog.Logger) (*sqlstore.Store, codegrant.TokenStore, error) {
	plain, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	ring, err := seal.ParseKeyring(keys)
	if err != nil {
		return nil, nil, err
	}
	sealed, err := seal.New(plain, ring)
	return plain, sealed, err
}

func newNode(spec nodeSpec) (*node, error) {
	log := slog.New(slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	n := &node{calls: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 10 * time.Second}}
	var err error
	if n.db, err = sql.Open("pgx", spec.DSN); err != nil {
		return nil, err
	}
	n.db.SetMaxOpenConns(pool)
	n.db.SetMaxIdleConns(pool)
	plain, sealed, err := openStores(n.db, log)
	if err != nil {
		return nil, err
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints:  codegrant.Endpoints{Host: spec.Gateway},
		HTTPClient: &http.Client{Transport: n.calls},
		Timeout:    clientTimeout,
	})
	if err != nil {
		return nil, err
	}
	n.kit, err = codegrant.New(codegrant.Config{
		Client: client, Store: sealed, Payments: plain, BaseURL: publicURL, Logger: log,
		User:        func(r *http.Request) (string, error) { return r.Header.Get(userHeader), nil },
		ReadTimeout: readTimeout, Timeout: hookTimeout,
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			return n.effect(ctx, "token", c.Token.ID, c.Token.Status.String())
		},
		OnPayment: func(ctx context.Context, p codegrant.PaymentNotification) error {
			if p.Status == codegrant.PaymentSuccess {
				return n.effect(ctx, "payment", p.OrderID, string(codegrant.Succeeded))
			}
			return n.effect(ctx, "payment", p.OrderID, string(codegrant.Failed)+" "+p.RequestID)
		},
		OnRefund: func(ctx context.Context, r codegrant.RefundNotification) error {
			if r.Status == codegrant.PaymentSuccess {
				return n.effect(ctx, "refund", r.RefundID, string(codegrant.Succeeded))
			}
			return n.effect(ctx, "refund", r.RefundID, string(codegrant.Failed))
		},
		OnUnknown: func(context.Context, codegrant.Notification) error { return n.misbehave() },
		Reconcile: codegrant.ReconcileConfig{
			Every: 250 * time.Millisecond, After: 500 * time.Millisecond, GiveUpAfter: giveUpAfter,
			Concurrency: 8, Rate: 100,
		},
	})
	return n, err
}

// effect is what the merchant does about an outcome.
func (n *node) effect(ctx context.Context, kind, id, outcome string) error {
	tx, ok := sqlstore.Tx(ctx)
	if !ok {
		return errors.New("the hook runs outside of a transaction")
	}
	// Half of the failures come after the write, which must be undone then.
	after := rand.IntN(2) == 0
	if !after {
		if err := n.misbehave(); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, insertEffect, kind, id, outcome)
	if err == nil && after {
		err = n.misbehave()
	}
	return err
}

// misbehave fails 5 % of the hooks, and hangs 0.1 % for longer than they have,
// whatever their context says.
func (n *node) misbehave() error {
	switch draw := rand.IntN(1000); {
	case draw < 50:
		n.failed.Add(1)
		return errors.New("the merchant's hook fails on purpose")
	case draw == 50:
		n.hung.Add(1)
		<-time.After(2 * hookTimeout)
	}
	return nil
}

func (n *node) charge(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	attempt, _ := strconv.Atoi(q.Get("attempt"))
	receipt, err := n.kit.Charge(r.Context(), codegrant.ChargeParams{
		UserID: q.Get("user"), OrderID: q.Get("order"), Attempt: attempt, Amount: price,
		ShopperIP: "192.0.2.7", Email: "ann@example.com",
	})
	reply(w, receipt, err)
}

func (n *node) refund(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	number, _ := strconv.Atoi(q.Get("number"))
	receipt, err := n.kit.Refund(r.Context(), codegrant.RefundParams{OrderID: q.Get("order"), Number: number, Amount: partOfPrice})
	reply(w, receipt, err)
}

// verdict is the shop's answer to a charge or a refund: an outcome, or why
// there is none.
type verdict struct {
	Outcome codegrant.Outcome
	Code    string
}

func reply(w io.Writer, receipt codegrant.Receipt, err error) {
	v := verdict{Outcome: receipt.Outcome}
	if err != nil {
		v = verdict{Code: "other"}
	}
	for _, code := range []codegrant.Code{
		codegrant.ErrOutcomeUnknown, codegrant.ErrUnreachable, codegrant.ErrNoToken, codegrant.ErrConflict, codegrant.ErrStore,
		codegrant.ErrDeadline, codegrant.ErrNotOwner, codegrant.ErrNotFound, codegrant.ErrRefused, codegrant.ErrInvalidRequest,
	} {
		if errors.Is(err, code) {
			v.Code = string(code)
			break
		}
	}
	_ = json.NewEncoder(w).Encode(v)
}

func (n *node) handler() http.Handler {
	mux := http.NewServeMux()
	kit := http.StripPrefix("/wallet", n.kit)
	mux.Handle("/wallet/", kit)
	mux.Handle("/wallet/notify/", n.notify.timed(kit))
	mux.Handle("POST /charge", n.charges.timed(http.HandlerFunc(n.charge)))
	mux.HandleFunc("POST /refund", n.refund)
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("idle") {
			n.calls.CloseIdleConnections()
		}
		_ = json.NewEncoder(w).Encode(n.stats())
	})
	mux.HandleFunc("GET /stacks", func(w http.ResponseWriter, _ *http.Request) { _ = pprof.Lookup("goroutine").WriteTo(w, 1) })
	return mux
}

// serve is the whole life of a node. It prints its address once it serves, and
// ends when its standard input does.
func serve(text string) error {
	var spec nodeSpec
	if err := json.NewDecoder(strings.NewReader(text)).Decode(&spec); err != nil {
		return err
	}
	n, err := newNode(spec)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() {
		_ = n.kit.Run(ctx)
		close(ran)
	}()
	server := &http.Server{Handler: n.handler(), ReadHeaderTimeout: readTimeout, IdleTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
		<-ran
		_ = server.Close()
	}()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return n.db.Close()
}
