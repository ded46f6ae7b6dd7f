// Telemetry is the example shop with instruments: metrics for Prometheus at
// /metrics, written by hand in metrics.go, and traces by OpenTelemetry in the
// terminal, in traces.go. dashboard.json and alerts.yml go with the metrics.
//
//	go run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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

// run serves the shop, its metrics and the simulator until ctx ends.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("telemetry", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	addr := flags.String("addr", "127.0.0.1:8080", "loopback `address` of the shop; port 0 takes a free one")
	gatewayAddr := flags.String("gateway-addr", "127.0.0.1:0", "loopback `address` of the simulated gateway")
	traced := flags.Bool("traces", true, "print each span when it ends")
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

	registry := prometheus.NewRegistry()
	watching := observers{newMetrics(registry)}
	if *traced {
		traces, shutdown, err := newTraces(stdout)
		if err != nil {
			return err
		}
		defer shutdown()
		watching = append(watching, traces)
	}
	store := memstore.New()
	shop, err := cornershop.New(cornershop.Config{
		BaseURL:    street.ShopURL,
		GatewayURL: street.GatewayURL,
		Store:      store,
		Payments:   store,
		Orders:     cornershop.NewOrderBook(),
		Sessions:   cornershop.NewSessionBook(),
		News:       cornershop.NewNewsBook(),
		Log:        slog.Default(),
		Observer:   watching,
	})
	if err != nil {
		return err
	}
	defer shop.Close()
	registry.MustRegister(salts(shop.SaltUsage))

	mux := http.NewServeMux()
	// A real shop serves it on an address that only Prometheus can reach.
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.Handle("/", shop.Routes())
	street.Announce(stdout)
	fmt.Fprintf(stdout, "  Metrics        %s/metrics\n\n", street.ShopURL)
	return street.Serve(ctx, mux, gateway)
}
