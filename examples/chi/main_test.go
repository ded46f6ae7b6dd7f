package main

import (
	"bytes"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
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
	behind := func(middlewares ...func(http.Handler) http.Handler) func(*codegrant.Kit) http.Handler {
		return func(kit *codegrant.Kit) http.Handler {
			r := chi.NewRouter()
			r.Use(middlewares...)
			r.Mount("/wallet", http.StripPrefix("/wallet", kit))
			return r
		}
	}
	for _, tc := range []struct {
		name, prefix string
		mount        demotest.Mount
		want         demotest.Verdict
	}{
		{"behind CSRF protection by header, which only browsers meet", "/wallet",
			behind(http.NewCrossOriginProtection().Handler), demotest.Works()},
		{"behind slashes stripped or cleaned", "/wallet", behind(middleware.StripSlashes, middleware.CleanPath), demotest.Works()},
		{"behind time-outs, a throttle and a cache ban", "/wallet", behind(
			middleware.Timeout(5*time.Second), middleware.Throttle(8), middleware.NoCache,
			func(next http.Handler) http.Handler { return http.TimeoutHandler(next, 5*time.Second, "") },
		), demotest.Works()},
		{"behind a middleware that reads the body and puts it back", "/wallet", behind(dumpBody), demotest.Works()},
		{"behind one that keeps the body", "/wallet", behind(keepBody),
			demotest.Verdict{SignUp: http.StatusBadRequest, Notification: http.StatusBadRequest}},
		{"behind a limit below a notification's size", "/wallet", behind(middleware.RequestSize(64)),
			demotest.Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusRequestEntityTooLarge}},
		{"in a group, where StripPrefix takes the whole path", "/shop/pay", func(kit *codegrant.Kit) http.Handler {
			r := chi.NewRouter()
			r.Route("/shop", func(r chi.Router) {
				r.Mount("/pay", http.StripPrefix("/shop/pay", kit))
			})
			return r
		}, demotest.Works()},
		{"without StripPrefix: Mount leaves the path as it is", "/wallet", func(kit *codegrant.Kit) http.Handler {
			r := chi.NewRouter()
			r.Mount("/wallet", kit)
			return r
		}, demotest.Verdict{SignUp: http.StatusNotFound, Notification: http.StatusNotFound}},
		{"endpoint by endpoint, with chi's own wildcard", "/wallet", func(kit *codegrant.Kit) http.Handler {
			r := chi.NewRouter()
			r.Method(http.MethodPost, "/wallet/signup", kit.SignUp())
			r.Method(http.MethodPost, "/wallet/notify/{id}", kit.Notify())
			return r
		}, demotest.Works()},
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
		r := chi.NewRouter()
		r.Use(middleware.Recoverer)
		r.Mount("/wallet", http.StripPrefix("/wallet", kit))
		return r
	})
}

func dumpBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

func keepBody(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		next.ServeHTTP(w, r)
	})
}
