package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/internal/demotest"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.ReleaseMode)
	m.Run()
}

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
	behind := func(middlewares ...gin.HandlerFunc) func(*codegrant.Kit) http.Handler {
		return func(kit *codegrant.Kit) http.Handler {
			r := gin.New()
			r.Use(middlewares...)
			r.Any("/wallet/*path", gin.WrapH(http.StripPrefix("/wallet", kit)))
			return r
		}
	}
	for _, tc := range []struct {
		name, prefix string
		mount        demotest.Mount
		want         demotest.Verdict
	}{
		{"behind CSRF protection by header, which only browsers meet", "/wallet",
			behind(wrap(http.NewCrossOriginProtection().Handler)), demotest.Works()},
		{"behind a body dump, which puts the body back", "/wallet", behind(dumpBody), demotest.Works()},
		{"behind one that keeps the body", "/wallet", behind(func(c *gin.Context) { _, _ = c.GetRawData() }),
			demotest.Verdict{SignUp: http.StatusBadRequest, Notification: http.StatusBadRequest}},
		{"behind one that asks for a form's field", "/wallet",
			behind(func(c *gin.Context) { _ = c.PostForm("csrf") }), demotest.Works()},
		{"behind one that binds JSON", "/wallet", behind(func(c *gin.Context) { _ = c.ShouldBindJSON(&struct{}{}) }),
			demotest.Verdict{SignUp: http.StatusBadRequest, Notification: http.StatusBadRequest}},
		{"behind a limit below a notification's size", "/wallet",
			behind(func(c *gin.Context) { c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, 64) }),
			demotest.Verdict{SignUp: http.StatusSeeOther, Notification: http.StatusRequestEntityTooLarge}},
		{"in a group, where StripPrefix takes the whole path", "/shop/pay", func(kit *codegrant.Kit) http.Handler {
			r := gin.New()
			r.Group("/shop").Any("/pay/*path", gin.WrapH(http.StripPrefix("/shop/pay", kit)))
			return r
		}, demotest.Works()},
		{"endpoint by endpoint, with gin's own wildcard", "/wallet", func(kit *codegrant.Kit) http.Handler {
			r := gin.New()
			r.POST("/wallet/signup", gin.WrapH(kit.SignUp()))
			r.POST("/wallet/notify/:id", gin.WrapH(kit.Notify()))
			return r
		}, demotest.Works()},
		{"without StripPrefix", "/wallet", func(kit *codegrant.Kit) http.Handler {
			r := gin.New()
			r.Any("/wallet/*path", gin.WrapH(kit))
			return r
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
		r := gin.New()
		r.Use(gin.CustomRecoveryWithWriter(nil, func(c *gin.Context, _ any) { c.AbortWithStatus(http.StatusInternalServerError) }))
		r.Any("/wallet/*path", gin.WrapH(http.StripPrefix("/wallet", kit)))
		return r
	})
}

func TestWrapStopsTheChainWhereTheMiddlewareAnswers(t *testing.T) {
	t.Parallel()
	r := gin.New()
	answers := func(http.Handler) http.Handler { return http.NotFoundHandler() }
	r.GET("/", wrap(answers), func(c *gin.Context) { c.String(http.StatusOK, "passed") })
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	require.Equal(t, http.StatusNotFound, w.Code)
	require.NotContains(t, w.Body.String(), "passed")
}

func TestOnlyTheRequestsContextReachesConfigUser(t *testing.T) {
	t.Parallel()
	seen := make(chan string, 1)
	r := gin.New()
	r.Use(func(c *gin.Context) { c.Set("user", "ann") }, session)
	r.GET("/", gin.WrapF(func(_ http.ResponseWriter, r *http.Request) {
		require.Nil(t, r.Context().Value("user"))
		seen <- userOf(r.Context())
	}))
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	request.AddCookie(&http.Cookie{Name: "guest", Value: "someone"})
	r.ServeHTTP(httptest.NewRecorder(), request)
	require.NotEmpty(t, <-seen)
}

func dumpBody(c *gin.Context) {
	body, _ := c.GetRawData()
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
}
