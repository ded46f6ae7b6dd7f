// Shop is a small web shop that takes one-click wallet payments with
// codegrant. It runs offline: the wallets and the gateway behind them are the
// simulator of package gatewaytest.
//
//	go run ./examples/shop
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
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

// notifyDelay is how long the simulator takes to tell the shop something, so
// that a person can see the pages wait for it.
const notifyDelay = 2 * time.Second

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

	listener, baseURL, err := listen("addr", *addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	gatewayListener, gatewayURL, err := listen("gateway-addr", *gatewayAddr)
	if err != nil {
		return err
	}
	defer gatewayListener.Close()

	gateway := gatewaytest.New(gatewaytest.Config{
		BaseURL: gatewayURL, MerchantName: "Corner Shop", NotifyDelay: notifyDelay,
	})
	for _, op := range []gatewaytest.Op{gatewaytest.OpNotifyPayment, gatewaytest.OpNotifyRefund} {
		gateway.Inject(gatewaytest.Fault{Op: op, Kind: gatewaytest.Delay, Delay: notifyDelay, Times: -1})
	}
	shop, err := newShop(baseURL, gatewayURL, slog.Default())
	if err != nil {
		return err
	}

	fmt.Fprintf(stdout, `The shop is open. Nothing here moves real money.

  Shop           %s
  Your wallets   %s/wallet   (simulated: what the wallet apps show you)
  Ledger         %s/ledger   (simulated: what the gateway did)

Press Ctrl+C to stop.
`, baseURL, gatewayURL, gatewayURL)

	err = serve(ctx, site{listener, shop.routes()}, site{gatewayListener, gateway})
	shop.close()
	gateway.Close()
	return err
}

// shop is what the handlers share.
type shop struct {
	kit        *codegrant.Kit
	log        *slog.Logger
	baseURL    string
	gatewayURL string // of the simulator; a real shop has no such thing
	sessions   *sessions
	orders     *orderBook
	news       *newsBook
	pages      pages
	orderKey   []byte // signs order numbers; see newOrderID

	// background is the work that outlives a request, ended by stop.
	background sync.WaitGroup
	ctx        context.Context
	stop       context.CancelFunc
	retryAfter []time.Duration
}

// newShop wires everything together. Against the real gateway only the account
// and the endpoints change (codegrant.Sandbox, codegrant.ProductionSG and so
// on), the store becomes one that survives a restart, and baseURL is https.
func newShop(baseURL, gatewayURL string, log *slog.Logger) (*shop, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID:    gatewaytest.DefaultAccountID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: gatewayURL},
		Timeout:   10 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	s := &shop{
		log:        log,
		baseURL:    baseURL,
		gatewayURL: gatewayURL,
		sessions:   newSessions(strings.HasPrefix(baseURL, "https://")),
		orders:     newOrderBook(log),
		news:       newNewsBook(),
		orderKey:   []byte(rand.Text()),
		retryAfter: []time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	s.kit, err = codegrant.New(codegrant.Config{
		Client:     client,
		Store:      memstore.New(),
		BaseURL:    baseURL + "/wallet",
		User:       s.userID,
		ReturnTo:   []string{"/", "/wallets"},
		ReturnPage: s.returnPage,
		ErrorPage:  s.kitErrorPage,
		OnToken:    s.onToken,
		OnPayment:  s.onPayment,
		OnRefund:   s.onRefund,
		Logger:     log,
	})
	return s, err
}

// routes lists every address of the shop.
func (s *shop) routes() http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(s.crossOrigin))
	post := func(h http.Handler) http.Handler { return guard.Handler(http.MaxBytesHandler(h, 16<<10)) }
	withToken := s.kit.RequireToken(http.HandlerFunc(s.noWallet))

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", s.signedIn(s.home))
	mux.Handle("GET /wallets", s.signedIn(s.wallets))
	mux.Handle("GET /orders", s.signedIn(s.orderHistory))
	mux.HandleFunc("GET /login", s.loginPage)
	mux.Handle("GET /assets/", http.FileServerFS(assets))

	mux.Handle("POST /login", post(http.HandlerFunc(s.login)))
	mux.Handle("POST /logout", post(http.HandlerFunc(s.logout)))
	mux.Handle("POST /buy", post(withToken(s.signedIn(s.buy))))
	mux.Handle("POST /orders/refund", post(s.signedIn(s.refund)))
	mux.Handle("POST /orders/check", post(s.signedIn(s.checkAgain)))

	// The kit guards its own forms. Its notification endpoint is called by the
	// gateway and must stay outside of everything above.
	mux.Handle("/wallet/", http.StripPrefix("/wallet", s.kit))

	mux.HandleFunc("/", s.notFound)
	return s.oneHost(mux)
}

// close stops the background work and waits for it.
func (s *shop) close() {
	s.stop()
	s.background.Wait()
}

// oneHost sends people who typed another name of this machine to the one that
// the wallet will send them back to: cookies do not follow across names.
func (s *shop) oneHost(next http.Handler) http.Handler {
	host := s.baseURL[strings.Index(s.baseURL, "://")+3:]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Host == host:
			next.ServeHTTP(w, r)
		case r.Method == http.MethodGet || r.Method == http.MethodHead:
			http.Redirect(w, r, s.baseURL+r.URL.RequestURI(), http.StatusTemporaryRedirect) //nolint:gosec // G710: the host is the shop's own
		default:
			http.Error(w, "Open "+s.baseURL+" instead.", http.StatusMisdirectedRequest)
		}
	})
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

type site struct {
	net.Listener
	http.Handler
}

// serve runs the sites until ctx ends or one of them fails, and then lets the
// requests under way come to their end: the first site's first, because they
// may be waiting for the others.
func serve(ctx context.Context, sites ...site) error {
	failed := make(chan error, len(sites))
	servers := make([]*http.Server, len(sites))
	for i, each := range sites {
		servers[i] = &http.Server{
			Handler:           each.Handler,
			ReadHeaderTimeout: 5 * time.Second,
			ReadTimeout:       10 * time.Second,
			WriteTimeout:      30 * time.Second, // above the client's time-out
			IdleTimeout:       60 * time.Second,
		}
		go func() { failed <- servers[i].Serve(each.Listener) }()
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
