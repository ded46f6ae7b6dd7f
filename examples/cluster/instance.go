package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

// instanceCommand is the first argument that makes this program an instance.
const instanceCommand = "instance"

// clientTimeout is how long one call to the gateway may take. nginx.conf's
// proxy_read_timeout and grace are above what one request may make of them.
const clientTimeout = 5 * time.Second

// runInstance is one instance of the shop, from its start to its end.
func runInstance(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet(instanceCommand, flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8081", "`address`")
	public := flags.String("url", "http://127.0.0.1:8080", "public `URL` of the shop: nginx's")
	gatewayURL := flags.String("gateway", "", "`URL` of the gateway")
	sweep := flags.Duration("sweep", 0, "pause between two sweeps; 0 is the kit's default")
	linger := flags.Duration("linger", 0, "how long to go on serving once /readyz says no, for balancers that ask it: "+
		"a little more than they take to notice. 0 is for those that have been told before, as nginx has")
	level := slog.LevelInfo
	flags.TextVar(&level, "log-level", slog.LevelInfo, "`level` from which on the log is written: DEBUG, INFO, WARN or ERROR")
	leash := flags.Bool("leash", false, "stop when standard input ends, and so with the process that started this one")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if *leash {
		go func() { // ends with the process
			_, _ = io.Copy(io.Discard, os.Stdin)
			stop()
		}()
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("instance", *listen)

	db, err := openDatabase(ctx, os.Getenv("SHOP_DSN"))
	if err != nil {
		return err
	}
	// Last of all: whatever is still under way may need it.
	defer func() { err = errors.Join(err, db.Close()) }()
	s := &shop{db: db, log: log}
	if s.sessions, err = newSessions(os.Getenv("SHOP_SESSION_KEY"), strings.HasPrefix(*public, "https:")); err != nil {
		return err
	}
	if err := s.openKit(ctx, *public+"/wallet", *gatewayURL, *sweep); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	return s.serve(ctx, listener, *linger)
}

// openKit makes the kit on the shop's database. Against the real gateway only
// the account and the endpoints change.
func (s *shop) openKit(ctx context.Context, baseURL, gatewayURL string, sweep time.Duration) error {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt)},
		Endpoints: codegrant.Endpoints{Host: gatewayURL},
		Timeout:   clientTimeout,
	})
	if err != nil {
		return err
	}
	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS"))
	if err != nil {
		return fmt.Errorf("CODEGRANT_KEYS: %w", err)
	}
	plain, err := sqlstore.New(s.db, sqlstore.PostgreSQL, sqlstore.Options{Logger: s.log})
	if err != nil {
		return err
	}
	if err := plain.Migrate(ctx); err != nil { // any number of instances at once
		return err
	}
	store, err := seal.New(plain, keys)
	if err != nil {
		return err
	}
	s.kit, err = codegrant.New(codegrant.Config{
		Client:    client,
		Store:     store,
		Payments:  plain,
		BaseURL:   baseURL,
		User:      s.user,
		OnToken:   onToken,
		OnPayment: onPayment,
		Logger:    s.log,
		Reconcile: codegrant.ReconcileConfig{Every: sweep, After: sweep},
	})
	return err
}

// server has time-outs that fit nginx.conf.
func (s *shop) server() *http.Server {
	return &http.Server{
		Handler:           s.routes(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute, // nginx closes idle connections first
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}
