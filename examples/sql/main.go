// Sql is the example shop on a database: the shop of examples/shop, of which
// everything survives a restart. Tokens lie in sqlstore, sealed; orders,
// sessions and news in tables of the shop's own.
//
//	go run .                                                 # SQLite, in shop.db
//	go run . -dsn postgres://postgres@127.0.0.1:5432/shop
//	go run . -dsn 'root@tcp(127.0.0.1:3306)/shop?interpolateParams=true'   # MariaDB, MySQL
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends it at once
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "shop:", err)
		os.Exit(1)
	}
}

// run serves the shop and the simulator until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("sql", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:8080", "loopback `address` of the shop")
	// A fixed port: links to the wallets' pages outlive a restart too.
	gatewayAddr := flags.String("gateway-addr", "127.0.0.1:8081", "loopback `address` of the simulated gateway")
	file := flags.String("db", "shop.db", "SQLite `file`; the key file and the simulator's state lie beside it")
	dsn := flags.String("dsn", "", "`database` to use instead of SQLite: postgres://user@host/db or user:pass@tcp(host)/db")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		flags.Usage()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}
	beside := strings.TrimSuffix(*file, ".db")

	street, err := cornershop.Listen(*addr, *gatewayAddr)
	if err != nil {
		return err
	}
	defer street.Close()
	keys, err := findKeys(os.Getenv("CODEGRANT_KEYS"), beside+".keys", stdout)
	if err != nil {
		return err
	}
	db, err := openDatabase(ctx, *dsn, *file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	tokens, payments, err := db.stores(ctx, keys)
	if err != nil {
		return err
	}
	// A real shop has no gateway to keep.
	simulator, err := openSimulator(street.GatewayURL, beside+".simulator.json")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, simulator.close()) }()
	shop, err := cornershop.New(cornershop.Config{
		BaseURL:    street.ShopURL,
		GatewayURL: street.GatewayURL,
		Store:      tokens,
		Payments:   payments,
		Orders:     orders{db},
		Sessions:   sessions{db},
		News:       news{db},
		Log:        slog.Default(),
	})
	if err != nil {
		return err
	}
	defer shop.Close()
	street.Announce(stdout)
	return street.Serve(ctx, shop.Routes(), simulator)
}
