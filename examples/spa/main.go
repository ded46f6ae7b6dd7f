// Spa is a JSON back end with a single page in front of it: plain HTML and
// JavaScript in the folder page. It runs offline, on a simulated gateway.
//
//	go run ./examples/spa
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demo"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

//go:embed page
var files embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback `address` to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	gateway := gatewaytest.NewServer(gatewaytest.Config{NotifyDelay: 2 * time.Second})
	kit, err := newKit(gateway.Client(), url) // in production: a client from codegrant.NewClient
	if err != nil {
		log.Fatal(err)
	}
	go kit.Run(context.Background())
	fmt.Printf("Shop    %s\nLedger  %s/ledger (simulated: what the gateway did)\n", url, gateway.URL)
	server := &http.Server{Handler: routes(kit), ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func newKit(client *codegrant.Client, url string) (*codegrant.Kit, error) {
	store := memstore.New() // forgets on restart: in production sqlstore
	return codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: url + "/wallet",
		// The wallet sends the browser to the page itself, which asks how it went.
		// With Config.OlderFlow leave this out: the code that comes back then is
		// for Kit.Return.
		ReturnURL: url + "/connected",
		User:      func(r *http.Request) (string, error) { return userOf(r), nil },
	})
}

func routes(kit *codegrant.Kit) http.Handler {
	page, err := fs.Sub(files, "page")
	if err != nil {
		panic(err) // the name is a constant
	}
	s := &shop{kit}
	guard := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	mux.HandleFunc("GET /api/me", s.me)
	mux.Handle("POST /api/buy", guard.Handler(kit.RequireToken(nil)(http.HandlerFunc(s.buy))))
	index := func(w http.ResponseWriter, r *http.Request) {
		if userOf(r) == "" {
			http.SetCookie(w, demo.NewGuest())
		}
		w.Header().Set("Cache-Control", "no-store") // it comes with a cookie
		http.ServeFileFS(w, r, page, "index.html")
	}
	mux.HandleFunc("GET /{$}", index)
	mux.HandleFunc("GET /connected/{id}", index) // a route of the page's own
	mux.Handle("/", http.FileServerFS(page))
	return secure(mux)
}

// secure lets the page run its own files and nothing else. The browser leaves
// for the wallet by script, so that form-action need not name the wallet's host.
func secure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "+
			"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// userOf returns who is signed in, "" for nobody. Put your own login here.
func userOf(r *http.Request) string {
	cookie, err := r.Cookie(demo.GuestCookie)
	if err != nil {
		return ""
	}
	return demo.UserID(cookie.Value)
}

// price is what the tea costs. It is never what the browser says.
func price() codegrant.Amount { return codegrant.Amount{Minor: 28_00, Currency: "MYR"} }

// wallets are those that pay in the price's currency.
func wallets() []codegrant.Wallet {
	return []codegrant.Wallet{codegrant.Boost, codegrant.TNGeWallet}
}

type shop struct{ kit *codegrant.Kit }

func (s *shop) me(w http.ResponseWriter, r *http.Request) {
	if userOf(r) == "" {
		answerError(w, codegrant.ErrUnauthenticated)
		return
	}
	answer(w, http.StatusOK, map[string]any{"wallets": wallets(), "price": price().String()})
}

// buy charges once for each order number, which the page keeps until it knows
// how the order ended: a lost answer, a reload or a double click is the same
// order.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Order string `json:"order"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<10)).Decode(&in); err != nil || in.Order == "" {
		answerError(w, codegrant.ErrInvalidRequest)
		return
	}
	token, _ := codegrant.TokenFromContext(r.Context()) // RequireToken found it
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)         // behind a proxy: the address that it vouches for
	ctx := context.WithoutCancel(r.Context())           // a browser that hangs up must not make the outcome unknown
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: token.UserID, OrderID: token.UserID + "-" + in.Order, Amount: price(),
		ShopperIP: ip, Email: "guest@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx)
	}
	if err != nil {
		log.Print("buy: ", err)
		answerError(w, err)
		return
	}
	answer(w, http.StatusOK, map[string]any{"outcome": receipt.Outcome, "amount": receipt.Amount.String()})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(v); err != nil {
		log.Print("answer: ", err)
	}
}

// answerError says in one word what the page can do about it, as the kit does.
func answerError(w http.ResponseWriter, err error) {
	word := "internal"
	for _, code := range []codegrant.Code{
		codegrant.ErrOutcomeUnknown, codegrant.ErrUnauthenticated, codegrant.ErrNoToken, codegrant.ErrInvalidRequest,
		codegrant.ErrConflict, codegrant.ErrUnreachable,
	} {
		if errors.Is(err, code) {
			word = string(code)
			break
		}
	}
	answer(w, codegrant.HTTPStatus(err), map[string]string{"error": word})
}
