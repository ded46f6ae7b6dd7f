package main

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demotest"
)

func TestOnePayment(t *testing.T) {
	t.Parallel()
	demotest.OnePayment(t, demotest.OpenHandler(t, newShop))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	demotest.Refusals(t, demotest.OpenHandler(t, newShop))
}

func TestMounts(t *testing.T) {
	t.Parallel()
	behind := func(middlewares ...echo.MiddlewareFunc) func(*codegrant.Kit) http.Handler {
		return func(kit *codegrant.Kit) http.Handler {
			e := echo.New()
			e.Pre(middleware.RemoveTrailingSlash())
			e.Use(middlewares...)
			e.Any("/wallet/*", echo.WrapHandler(http.StripPrefix("/wallet", kit)))
			return e
		}
	}
	csrf := func(skip middleware.Skipper) echo.MiddlewareFunc {
		return middleware.CSRFWithConfig(middleware.CSRFConfig{Skipper: skip})
	}
	form := middleware.CSRFWithConfig(middleware.CSRFConfig{
		TokenLookup: "form:csrf", Skipper: func(c echo.Context) bool { return strings.HasPrefix(c.Path(), "/wallet/notify") },
	})
	for _, tc := range []struct {
		name, prefix string
		mount        demotest.Mount
		want         demotest.Verdict
	}{
		{"behind a body dump, which puts the body back", "/wallet",
			behind(middleware.BodyDump(func(echo.Context, []byte, []byte) {})), demotest.Works()},
		{"behind a wide body limit", "/wallet", behind(middleware.BodyLimit("64K")), demotest.Works()},
		{"behind a body limit below a notification's size", "/wallet", behind(middleware.BodyLimit("64B")),
			demotest.Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusRequestEntityTooLarge}},
		{"behind CSRF protection by token, which the gateway has not", "/wallet", behind(csrf(nil)),
			demotest.Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusBadRequest}},
		{"behind CSRF protection that skips the kit, which has its own", "/wallet",
			behind(csrf(func(c echo.Context) bool { return c.Path() == "/wallet/*" })), demotest.Works()},
		{"behind CSRF protection that reads the form", "/wallet", func(kit *codegrant.Kit) http.Handler {
			e := echo.New()
			e.Use(form)
			e.POST("/wallet/signup", echo.WrapHandler(kit.SignUp()))
			e.POST("/wallet/notify/:id", echo.WrapHandler(kit.Notify()))
			return e
		}, demotest.Works()},
		{"behind one that binds the body: a parsed form is still there, a notification is gone", "/wallet", behind(bindBody),
			demotest.Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusBadRequest}},
		{"behind a slash added to every path", "/wallet", func(kit *codegrant.Kit) http.Handler {
			e := echo.New()
			e.Pre(middleware.AddTrailingSlash())
			e.Any("/wallet/*", echo.WrapHandler(http.StripPrefix("/wallet", kit)))
			return e
		}, demotest.Verdict{SignUp: http.StatusNotFound, Notification: http.StatusNotFound}},
		{"in a group, where StripPrefix takes the whole path", "/shop/pay", func(kit *codegrant.Kit) http.Handler {
			e := echo.New()
			e.Group("/shop").Any("/pay/*", echo.WrapHandler(http.StripPrefix("/shop/pay", kit)))
			return e
		}, demotest.Works()},
		{"without StripPrefix", "/wallet", func(kit *codegrant.Kit) http.Handler {
			e := echo.New()
			e.Any("/wallet/*", echo.WrapHandler(kit))
			return e
		}, demotest.Verdict{SignUp: http.StatusNotFound, Notification: http.StatusNotFound}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, demotest.Judge(t, tc.prefix, tc.mount))
		})
	}
}

func TestPanics(t *testing.T) {
	t.Parallel()
	demotest.Panics(t, "/wallet", func(kit *codegrant.Kit) http.Handler {
		e := echo.New()
		e.Logger.SetOutput(io.Discard)
		e.Use(middleware.RecoverWithConfig(middleware.RecoverConfig{DisablePrintStack: true}))
		e.Any("/wallet/*", echo.WrapHandler(http.StripPrefix("/wallet", kit)))
		return e
	})
}

func bindBody(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		var body struct{}
		_ = c.Bind(&body) // reads what it does not understand
		return next(c)
	}
}
