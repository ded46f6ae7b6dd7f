// Fiber is a Fiber server that takes one-click wallet payments with codegrant.
// It runs offline, on a simulated gateway.
//
// Fiber has no *http.Request, so the handlers here stand on the functions
// beneath the kit's own: see wallet.go.
//
//	go run .
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/compress"
	"github.com/gofiber/fiber/v3/middleware/logger"
	"github.com/gofiber/fiber/v3/middleware/recover"

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
	app, err := newApp(gateway.Client(), url) // in production: a client from codegrant.NewClient
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("Shop    %s\nLedger  %s/ledger (simulated: what the gateway did)\n", url, gateway.URL)
	log.Fatal(app.Listener(listener, fiber.ListenConfig{DisableStartupMessage: true}))
}

func newApp(client *codegrant.Client, url string) (*fiber.App, error) {
	store := memstore.New() // forgets on restart: in production sqlstore
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: url + "/wallet",
		// Only the kit's own handlers ask it, and they are not mounted.
		User: func(*http.Request) (string, error) { return "", codegrant.ErrUnauthenticated },
	})
	if err != nil {
		return nil, err
	}
	return routes(kit), nil
}

func routes(kit *codegrant.Kit) *fiber.App {
	s := &shop{kit}
	app := fiber.New(fiber.Config{
		BodyLimit:    64 << 10, // Fiber reads a body whole before any handler runs
		ReadTimeout:  5 * time.Second,
		IdleTimeout:  60 * time.Second,
		ErrorHandler: answerError,
	})
	app.Use(logger.New(), recover.New(), compress.New(), noStore)
	app.Get("/", s.home)
	app.Post("/buy", sameOrigin(), s.requireToken, s.buy)
	app.Post("/wallet/signup", sameOrigin(), s.signUp)
	app.Get("/wallet/return/:id", s.comeBack)
	app.Post("/wallet/notify/:id", s.notify) // not behind sameOrigin, nor any other CSRF protection
	app.Post("/wallet/unbind", sameOrigin(), s.unbind)
	return app
}

type shop struct{ kit *codegrant.Kit }

// userOf returns who is signed in, "" for nobody. Put your own login here.
func userOf(c fiber.Ctx) string { return demo.UserID(c.Cookies(demo.GuestCookie)) }

func (s *shop) home(c fiber.Ctx) error {
	if userOf(c) == "" {
		guest := demo.NewGuest()
		c.Cookie(&fiber.Cookie{Name: guest.Name, Value: guest.Value, Path: "/", HTTPOnly: true, SameSite: fiber.CookieSameSiteLaxMode})
	}
	token, err := s.kit.ActiveToken(c.Context(), userOf(c), "")
	if err != nil && !errors.Is(err, codegrant.ErrNoToken) {
		return err
	}
	return show(c, http.StatusOK, demo.Page{Token: token})
}

// requireToken is [codegrant.Kit.RequireToken] for Fiber.
func (s *shop) requireToken(c fiber.Ctx) error {
	user := userOf(c)
	if user == "" {
		return codegrant.ErrUnauthenticated
	}
	token, err := s.kit.ActiveToken(c.Context(), user, "")
	if err != nil {
		return err
	}
	fiber.Locals(c, tokenKey{}, token)
	return c.Next()
}

type tokenKey struct{}

func (s *shop) buy(c fiber.Ctx) error {
	token, order := fiber.Locals[codegrant.Token](c, tokenKey{}), c.FormValue("order")
	receipt, err := s.kit.Charge(c.Context(), codegrant.ChargeParams{
		UserID: token.UserID, OrderID: token.UserID + "-" + order, Amount: demo.Price(),
		ShopperIP: c.IP(), Email: "guest@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(c.Context())
	}
	return show(c, codegrant.HTTPStatus(err), demo.Bought(token, order, receipt, err))
}

func show(c fiber.Ctx, status int, p demo.Page) error {
	var html bytes.Buffer
	if err := p.Write(&html); err != nil {
		return err
	}
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Status(status).Send(html.Bytes())
}
