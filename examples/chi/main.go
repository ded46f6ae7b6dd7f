// Chi is a chi server that takes one-click wallet payments with codegrant. It
// runs offline, on a simulated gateway.
//
//	go run .
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demo"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "loopback `address` to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	url := "http://" + listener.Addr().String()
	gateway := gatewaytest.NewServer(gatewaytest.Config{NotifyDelay: time.Second})
	shop, err := newShop(gateway.Client(), url) // in production: a client from codegrant.NewClient
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Shop    %s\nLedger  %s/ledger (simulated: what the gateway did)\n", url, gateway.URL)
	server := &http.Server{Handler: shop, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.Serve(listener))
}

func newShop(client *codegrant.Client, url string) (http.Handler, error) {
	store := memstore.New() // forgets on restart: in production sqlstore
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: url + "/wallet",
		User: func(r *http.Request) (string, error) { return userOf(r.Context()), nil },
	})
	if err != nil {
		return nil, err
	}
	s := &shop{kit}

	r := chi.NewRouter()
	r.Use(middleware.Logger, middleware.Recoverer, middleware.Compress(5), session)
	r.Mount("/wallet", http.StripPrefix("/wallet", kit))
	r.Get("/", s.home)
	r.With(http.NewCrossOriginProtection().Handler, kit.RequireToken(nil)).Post("/buy", s.buy)
	return r, nil
}

type userKey struct{}

// session puts the user's id into the request's context, where Config.User
// finds it. Put your own login here.
func session(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if cookie, err := r.Cookie(demo.GuestCookie); err == nil {
			r = r.WithContext(context.WithValue(r.Context(), userKey{}, demo.UserID(cookie.Value)))
		}
		next.ServeHTTP(w, r)
	})
}

// userOf returns who is signed in, "" for nobody.
func userOf(ctx context.Context) string {
	id, _ := ctx.Value(userKey{}).(string)
	return id
}

type shop struct{ kit *codegrant.Kit }

func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	if userOf(r.Context()) == "" {
		http.SetCookie(w, demo.NewGuest())
	}
	token, err := s.kit.ActiveToken(r.Context(), userOf(r.Context()), "")
	if err != nil && !errors.Is(err, codegrant.ErrNoToken) {
		http.Error(w, "Please try again in a minute.", codegrant.HTTPStatus(err))
		return
	}
	show(w, http.StatusOK, demo.Page{Token: token})
}

func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	token, _ := codegrant.TokenFromContext(r.Context()) // RequireToken found it
	order := r.PostFormValue("order")
	ip, _, _ := net.SplitHostPort(r.RemoteAddr) // behind a proxy: the address that it vouches for
	ctx := context.WithoutCancel(r.Context())   // a browser that hangs up must not make the outcome unknown
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: token.UserID, OrderID: token.UserID + "-" + order, Amount: demo.Price(),
		ShopperIP: ip, Email: "guest@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx)
	}
	show(w, codegrant.HTTPStatus(err), demo.Bought(token, order, receipt, err))
}

func show(w http.ResponseWriter, status int, p demo.Page) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if err := p.Write(w); err != nil {
		log.Print("page: ", err)
	}
}
