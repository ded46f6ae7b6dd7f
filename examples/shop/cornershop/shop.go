// Package cornershop is the example shop: a catalogue, a login without
// passwords, one-click buying and refunds with codegrant.
//
// [New] wires it together; Routes lists its pages. What must survive a restart
// lies behind [Orders], [Sessions] and [News]: memory.go keeps it in memory,
// examples/sql in a database.
package cornershop

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// Config is what a shop needs; every field but Observer is required.
type Config struct {
	BaseURL    string // where browsers and the gateway find the shop
	GatewayURL string // of the simulator; a real shop has no such thing
	Store      codegrant.TokenStore
	Payments   codegrant.PaymentStore
	Orders     Orders
	Sessions   Sessions
	News       News
	Log        *slog.Logger
	Observer   codegrant.Observer // see examples/telemetry
}

// Shop is what the handlers share.
type Shop struct {
	kit        *codegrant.Kit
	console    http.Handler
	log        *slog.Logger
	baseURL    string
	gatewayURL string
	sessions   Sessions
	orders     Orders
	news       News
	pages      pages

	// background is the work that outlives a request, sweeps what goes on for
	// ever; both are ended by stop.
	background sync.WaitGroup
	sweeps     sync.WaitGroup
	ctx        context.Context
	stop       context.CancelFunc
	retryAfter []time.Duration
	questions  sync.Map // of orders whose outcome is unknown; see resolve
}

// clientTimeout is how long one call to the gateway may take.
const clientTimeout = 10 * time.Second

// New wires everything together, and asks the gateway about the orders that an
// earlier process left unfinished. Against the real gateway only the account
// and the endpoints change (codegrant.Sandbox, codegrant.ProductionSG and so
// on), and BaseURL is https. Call Close when done with it.
func New(cfg Config) (*Shop, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID:    gatewaytest.DefaultAccountID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: cfg.GatewayURL},
		Timeout:   clientTimeout,
		Observer:  cfg.Observer,
	})
	if err != nil {
		return nil, err
	}
	s := &Shop{
		log:        cfg.Log,
		baseURL:    cfg.BaseURL,
		gatewayURL: cfg.GatewayURL,
		sessions:   cfg.Sessions,
		orders:     cfg.Orders,
		news:       cfg.News,
		retryAfter: []time.Duration{0, time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second},
	}
	if s.pages, err = parsePages(); err != nil {
		return nil, err
	}
	s.kit, err = codegrant.New(codegrant.Config{
		Client:     client,
		Store:      cfg.Store,
		Payments:   cfg.Payments,
		BaseURL:    cfg.BaseURL + "/wallet",
		User:       s.userID,
		ReturnTo:   []string{"/", "/wallets"},
		ReturnPage: s.returnPage,
		ErrorPage:  s.kitErrorPage,
		OnToken:    s.onToken,
		OnPayment:  s.onPayment,
		OnRefund:   s.onRefund,
		Logger:     cfg.Log,
		Observer:   cfg.Observer,
		Reconcile:  codegrant.ReconcileConfig{Every: 5 * time.Second, After: sweepAfter},
	})
	if err != nil {
		return nil, err
	}
	if s.console, err = s.newConsole(cfg.Store, cfg.Payments); err != nil {
		return nil, err
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.sweeps.Go(func() { s.check("reconcile", s.kit.Run(s.ctx)) })
	if err := s.resume(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Routes lists every address of the shop.
func (s *Shop) Routes() http.Handler {
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

	// The console asks by itself who it is; signedIn only shows the way in.
	mux.Handle(operations+"/", s.signedIn(http.StripPrefix(operations, s.console).ServeHTTP))

	mux.HandleFunc("/", s.notFound)
	return s.oneHost(mux)
}

// SaltUsage says when each salt last verified something.
func (s *Shop) SaltUsage() []codegrant.SaltUsage { return s.kit.SaltUsage() }

// Close stops the background work and waits for it.
func (s *Shop) Close() {
	s.stop()
	s.background.Wait()
	s.sweeps.Wait()
}

// oneHost sends people who typed another name of this machine to the one that
// the wallet will send them back to: cookies do not follow across names.
func (s *Shop) oneHost(next http.Handler) http.Handler {
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

// check logs what went wrong where nobody is left to be told.
func (s *Shop) check(what string, err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		s.log.Error("shop: "+what, "error", err)
	}
}
