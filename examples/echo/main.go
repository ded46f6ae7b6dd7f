// Echo is an Echo server that takes one-click wallet payments with codegrant.
// It runs offline, on a simulated gateway.
//
//	go run .
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

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

	e := echo.New()
	e.IPExtractor = echo.ExtractIPDirect() // else RealIP believes what anybody sends
	e.Use(middleware.RequestLogger(), middleware.Recover(), middleware.Gzip(), session)
	e.Any("/wallet/*", echo.WrapHandler(http.StripPrefix("/wallet", kit)))
	e.GET("/", s.home)
	e.POST("/buy", s.buy, echo.WrapMiddleware(http.NewCrossOriginProtection().Handler), echo.WrapMiddleware(kit.RequireToken(nil)))
	return e, nil
}

type userKey struct{}

// session puts the user's id into the context of the *http.Request, where
// Config.User finds it; c.Set would keep it inside Echo. Put your own login
// here.
func session(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if cookie, err := c.Cookie(demo.GuestCookie); err == nil {
			ctx := context.WithValue(c.Request().Context(), userKey{}, demo.UserID(cookie.Value))
			c.SetRequest(c.Request().WithContext(ctx))
		}
		return next(c)
	}
}

// userOf returns who is signed in, "" for nobody.
func userOf(ctx context.Context) string {
	id, _ := ctx.Value(userKey{}).(string)
	return id
}

type shop struct{ kit *codegrant.Kit }

func (s *shop) home(c echo.Context) error {
	ctx := c.Request().Context()
	if userOf(ctx) == "" {
		c.SetCookie(demo.NewGuest())
	}
	token, err := s.kit.ActiveToken(ctx, userOf(ctx), "")
	if err != nil && !errors.Is(err, codegrant.ErrNoToken) {
		return c.String(codegrant.HTTPStatus(err), "Please try again in a minute.")
	}
	return show(c, http.StatusOK, demo.Page{Token: token})
}

func (s *shop) buy(c echo.Context) error {
	ctx := context.WithoutCancel(c.Request().Context()) // a browser that hangs up must not make the outcome unknown
	token, _ := codegrant.TokenFromContext(ctx)         // RequireToken found it
	order := c.FormValue("order")
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: token.UserID, OrderID: token.UserID + "-" + order, Amount: demo.Price(),
		ShopperIP: c.RealIP(), Email: "guest@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx)
	}
	return show(c, codegrant.HTTPStatus(err), demo.Bought(token, order, receipt, err))
}

func show(c echo.Context, status int, p demo.Page) error {
	var html bytes.Buffer
	if err := p.Write(&html); err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.HTMLBlob(status, html.Bytes())
}
