package cornershop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/codegrant/codegrant/gatewaytest"
)

// Street is where the shop and the simulated gateway listen, both on this
// machine alone. A real shop has its own server and no gateway beside it.
type Street struct {
	ShopURL, GatewayURL string

	shop, gateway net.Listener
}

// Listen opens both addresses. People find them closed until [Street.Serve].
func Listen(addr, gatewayAddr string) (*Street, error) {
	var s Street
	var err error
	if s.shop, s.ShopURL, err = listen("addr", addr); err != nil {
		return nil, err
	}
	if s.gateway, s.GatewayURL, err = listen("gateway-addr", gatewayAddr); err != nil {
		_ = s.shop.Close()
		return nil, err
	}
	return &s, nil
}

// listen returns a listener and the URL at which a browser finds it.
func listen(name, addr string) (net.Listener, string, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, "", fmt.Errorf("-%s %q is not host:port, for example 127.0.0.1:8090", name, addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, "", fmt.Errorf("-%s %s is not on this machine alone: the shop has no passwords, use 127.0.0.1", name, addr)
	}
	listener, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, "", fmt.Errorf("%s is already in use: choose another port, for example -%s %s, or -%[2]s %[4]s for any free one",
			addr, name, net.JoinHostPort(host, "8090"), net.JoinHostPort(host, "0"))
	} else if err != nil {
		return nil, "", fmt.Errorf("-%s: %w", name, err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, "", err
	}
	return listener, "http://" + net.JoinHostPort(host, port), nil
}

// Close closes what Serve has not closed.
func (s *Street) Close() {
	_ = s.shop.Close()
	_ = s.gateway.Close()
}

// Announce prints where everything is.
func (s *Street) Announce(w io.Writer) {
	fmt.Fprintf(w, `The shop is open. Nothing here moves real money.

  Shop           %s
  Your wallets   %s/wallet   (simulated: what the wallet apps show you)
  Ledger         %s/ledger   (simulated: what the gateway did)
  Operations     %s/   (what the merchant's staff see; sign in to the shop first, any name signs in)

Press Ctrl+C to stop.
`, s.ShopURL, s.GatewayURL, s.GatewayURL, s.ShopURL+operations)
}

// notifyDelay is how long the simulator takes to tell the shop something, so
// that a person can see the pages wait for it.
const notifyDelay = 2 * time.Second

// NewGateway returns the simulated gateway at url, unhurried. client delivers
// its notifications; nil is an ordinary one.
func NewGateway(url string, client *http.Client) *gatewaytest.Gateway {
	gateway := gatewaytest.New(gatewaytest.Config{
		BaseURL: url, MerchantName: "Corner Shop", NotifyDelay: notifyDelay, HTTPClient: client,
	})
	for _, op := range []gatewaytest.Op{gatewaytest.OpNotifyPayment, gatewaytest.OpNotifyRefund} {
		gateway.Inject(gatewaytest.Fault{Op: op, Kind: gatewaytest.Delay, Delay: notifyDelay, Times: -1})
	}
	return gateway
}

// Serve serves both until ctx ends or one of them fails, and then lets the
// requests under way come to their end: the shop's first, because they may be
// waiting for the gateway.
func (s *Street) Serve(ctx context.Context, shop, gateway http.Handler) error {
	listeners, handlers := []net.Listener{s.shop, s.gateway}, []http.Handler{shop, gateway}
	failed := make(chan error, len(listeners))
	servers := make([]*http.Server, len(listeners))
	for i, listener := range listeners {
		servers[i] = &http.Server{
			Handler:           handlers[i],
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second, // above the client's time-out
			IdleTimeout:       60 * time.Second,
		}
		go func() { failed <- servers[i].Serve(listener) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	for _, server := range servers {
		err = errors.Join(err, server.Shutdown(ctx))
	}
	return err
}
