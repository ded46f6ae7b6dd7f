package main

import (
	"context"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"
	"github.com/gofiber/fiber/v3/middleware/recover"
	"github.com/stretchr/testify/require"

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
		User: signedIn,
	})
	if err != nil {
		return nil, err
	}
	return adapted(kit), nil
}

func signedIn(r *http.Request) (string, error) {
	cookie, err := r.Cookie(demo.GuestCookie)
	if err != nil {
		return "", nil // nobody
	}
	return demo.UserID(cookie.Value), nil
}

func adapted(kit *codegrant.Kit) *fiber.App {
	s := &shop{kit}
	app := fiber.New(fiber.Config{BodyLimit: 64 << 10, ErrorHandler: answerError})
	app.Use(recover.New())
	app.Get("/", noStore, s.home)
	app.Post("/buy", noStore, sameOrigin(), s.requireToken, s.buy)
	app.All("/wallet/*", adaptor.HTTPHandler(ownContext(http.StripPrefix("/wallet", kit))))
	return app
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

// Only the race detector sees what this is about.
func TestWorkThatOutlivesItsRequestReadsNoOtherOnes(t *testing.T) {
	t.Parallel()
	for name, routes := range map[string]func(*codegrant.Kit) *fiber.App{"functions": routes, "adaptor": adapted} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stop, stopped := make(chan struct{}), make(chan struct{})
			shop := openApp(t, func(client *codegrant.Client, url string) (*fiber.App, error) {
				kit, err := codegrant.New(codegrant.Config{
					Client: client, Store: memstore.New(), BaseURL: url + "/wallet", Timeout: 50 * time.Millisecond,
					User: signedIn,
					OnToken: func(ctx context.Context, _ codegrant.Change) error {
						defer close(stopped)
						<-ctx.Done()
						for ctx.Value("trace id") == nil { // as tracers do
							select {
							case <-stop:
								return nil
							default:
								runtime.Gosched()
							}
						}
						return nil
					},
				})
				return routes(kit), err
			})
			b := shop.Browser(t)
			require.NoError(t, shop.Gateway.Approve(b.Start()))
			require.Equal(t, http.StatusServiceUnavailable, shop.Delivered())
			for range 20 {
				b.Get("/")
			}
			close(stop)
			<-stopped
		})
	}
}
