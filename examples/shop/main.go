// Shop is a small web shop that takes one-click wallet payments with
// codegrant. It runs offline: the wallets and the gateway behind them are the
// simulator of package gatewaytest. The shop itself is package cornershop.
//
//	go run ./examples/shop
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
	"syscall"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
	"github.com/codegrant/codegrant/memstore"
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
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("shop", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:8080", "loopback `address` of the shop; port 0 takes a free one")
	gatewayAddr := flags.String("gateway-addr", "127.0.0.1:0", "loopback `address` of the simulated gateway")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		flags.Usage()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}

	street, err := cornershop.Listen(*addr, *gatewayAddr)
	if err != nil {
		return err
	}
	defer street.Close()
	gateway := cornershop.NewGateway(street.GatewayURL, nil)
	defer gateway.Close()
	store := memstore.New()
	shop, err := cornershop.New(cornershop.Config{
		BaseURL:    street.ShopURL,
		GatewayURL: street.GatewayURL,
		Store:      store, // this and the next four forget everything; see examples/sql
		Payments:   store,
		Orders:     cornershop.NewOrderBook(),
		Sessions:   cornershop.NewSessionBook(),
		News:       cornershop.NewNewsBook(),
		Log:        slog.Default(),
	})
	if err != nil {
		return err
	}
	defer shop.Close()
	street.Announce(stdout)
	return street.Serve(ctx, shop.Routes(), gateway)
}
