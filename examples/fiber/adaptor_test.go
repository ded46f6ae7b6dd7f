package main

import (
	"context"
	"net/http"
	"testing"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/recover"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demo"
	"github.com/codegrant/codegrant/examples/internal/demotest"
	"github.com/codegrant/codegrant/memstore"
)

// newAdapted is the shop with the kit's own handlers, by Fiber's adaptor: the
// short way, see README.md.
func newAdapted(client *codegrant.Client, url string) (*fiber.App, error) {
	store := memstore.New()
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: url + "/wallet",
		User: func(r *http.Request) (string, error) {
			cookie, err := r.Cookie(demo.GuestCookie)
			if err != nil {
				return "", nil //nolint:nilerr // nobody
			}
			return demo.UserID(cookie.Value), nil
		},
	})
	if err != nil {
		return nil, err
	}
	s := &shop{kit}
	app := fiber.New(fiber.Config{BodyLimit: 64 << 10, ErrorHandler: answerError})
	app.Use(recover.New())
	app.Get("/", s.home)
	app.Post("/buy", sameOrigin(), s.requireToken, s.buy)
	app.All("/wallet/*", adaptor.HTTPHandler(ownContext(http.StripPrefix("/wallet", kit))))
	return app, nil
}

// ownContext replaces the context, which the adaptor makes of what the next
// request overwrites: a query of the kit's may outlive the request.
func ownContext(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.Background()))
	})
}

func TestAdaptedOnePayment(t *testing.T) {
	t.Parallel()
	demotest.OnePayment(t, openApp(t, newAdapted))
}

func TestAdaptedRefusals(t *testing.T) {
	t.Parallel()
	demotest.Refusals(t, openApp(t, newAdapted))
}
