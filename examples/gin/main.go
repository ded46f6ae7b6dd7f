// Gin is a gin server that takes one-click wallet payments with codegrant. It
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

	"github.com/gin-gonic/gin"

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

	r := gin.New()
	if err := r.SetTrustedProxies(nil); err != nil { // else ClientIP believes what anybody sends
		return nil, err
	}
	r.Use(gin.Logger(), gin.Recovery(), session)
	r.Any("/wallet/*path", gin.WrapH(http.StripPrefix("/wallet", kit)))
	r.GET("/", s.home)
	r.POST("/buy", wrap(http.NewCrossOriginProtection().Handler), wrap(kit.RequireToken(nil)), s.buy)
	return r, nil
}

// wrap makes a net/http middleware one of gin's.
func wrap(m func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		passed := false
		m(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			passed = true
			c.Request = r // with what m put into its context
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !passed {
			c.Abort()
		}
	}
}

type userKey struct{}

// session puts the user's id into the context of the *http.Request, where
// Config.User finds it; c.Set would keep it inside gin. Put your own login here.
func session(c *gin.Context) {
	if cookie, err := c.Cookie(demo.GuestCookie); err == nil {
		c.Request = c.Request.WithContext(context.WithValue(c.Request.Context(), userKey{}, demo.UserID(cookie)))
	}
}

// userOf returns who is signed in, "" for nobody.
func userOf(ctx context.Context) string {
	id, _ := ctx.Value(userKey{}).(string)
	return id
}

type shop struct{ kit *codegrant.Kit }

func (s *shop) home(c *gin.Context) {
	ctx := c.Request.Context()
	if userOf(ctx) == "" {
		http.SetCookie(c.Writer, demo.NewGuest())
	}
	token, err := s.kit.ActiveToken(ctx, userOf(ctx), "")
	if err != nil && !errors.Is(err, codegrant.ErrNoToken) {
		c.String(codegrant.HTTPStatus(err), "Please try again in a minute.")
		return
	}
	show(c, http.StatusOK, demo.Page{Token: token})
}

func (s *shop) buy(c *gin.Context) {
	ctx := context.WithoutCancel(c.Request.Context()) // a browser that hangs up must not make the outcome unknown
	token, _ := codegrant.TokenFromContext(ctx)       // RequireToken found it
	order := c.PostForm("order")
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: token.UserID, OrderID: token.UserID + "-" + order, Amount: demo.Price(),
		ShopperIP: c.ClientIP(), Email: "guest@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx)
	}
	show(c, codegrant.HTTPStatus(err), demo.Bought(token, order, receipt, err))
}

func show(c *gin.Context, status int, p demo.Page) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Cache-Control", "no-store")
	c.Status(status)
	if err := p.Write(c.Writer); err != nil {
		_ = c.Error(err) // for gin's logger
	}
}
