package hostiletest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// requireGuarded wants the headers by which no other site frames an answer, no
// cache keeps it, no browser guesses its type, and no next site learns where
// it was.
func requireGuarded(t testing.TB, w *httptest.ResponseRecorder, name string) {
	t.Helper()
	h := w.Header()
	require.Equal(t, []string{"DENY"}, h.Values("X-Frame-Options"), name)
	require.Equal(t, []string{"nosniff"}, h.Values("X-Content-Type-Options"), name)
	require.Equal(t, []string{"no-store"}, h.Values("Cache-Control"), name)
	require.Equal(t, []string{"no-referrer"}, h.Values("Referrer-Policy"), name)
	require.Len(t, h.Values("Content-Security-Policy"), 1, name)
	for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"} {
		require.Contains(t, h.Get("Content-Security-Policy"), part, name)
	}
	require.NotContains(t, h.Get("Content-Security-Policy"), "unsafe", name)
}

// keep stores a record with this status and returns its id.
func (s *storefront) keep(t testing.TB, status codegrant.Status, change ...func(*codegrant.Token)) string {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	token := codegrant.Token{
		ID: "KEPT-" + strings.ToUpper(status.String()), AccountID: gatewaytest.DefaultAccountID, UserID: "ann", Wallet: codegrant.GCash,
		Status: status, Handled: status, Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	for _, c := range change {
		c(&token)
	}
	require.NoError(t, s.store.TokenStore.Save(t.Context(), token))
	return token.ID
}

func allStatuses() []codegrant.Status {
	return []codegrant.Status{
		codegrant.StatusPending, codegrant.StatusFailed, codegrant.StatusActive, codegrant.StatusUnbinding, codegrant.StatusUnbound,
	}
}

func TestEveryAnswerKeepsOutOfFrames(t *testing.T) {
	t.Parallel()
	own := func(status int) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status); _, _ = io.WriteString(w, "<h1>ours</h1>") }
	}
	for name, change := range map[string]func(*setup){
		"the kit's pages": func(*setup) {},
		"the merchant's own pages": func(c *setup) {
			c.kit.ReturnPage = func(w http.ResponseWriter, _ *http.Request, _ codegrant.Token) { own(http.StatusOK)(w) }
			c.kit.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, _ codegrant.Code) { own(status)(w) }
		},
	} {
		for _, accept := range []string{"text/html", "application/json"} {
			t.Run(name+", "+accept, func(t *testing.T) {
				t.Parallel()
				s := newStorefront(t, change)
				seen := map[int]int{}
				check := func(name string, w *httptest.ResponseRecorder) {
					t.Helper()
					requireGuarded(t, w, name)
					seen[w.Code]++
				}
				get := func(user, path string, header ...string) {
					t.Helper()
					for _, method := range []string{"GET", "HEAD"} {
						check(method+" "+path, s.surf(t, user, method, "/wallet"+path, "", append([]string{"Accept", accept}, header...)...))
					}
				}
				post := func(user, path, form string, header ...string) {
					t.Helper()
					header = append([]string{"Accept", accept, "Content-Type", "application/x-www-form-urlencoded"}, header...)
					check("POST "+path, s.surf(t, user, "POST", "/wallet"+path, form, header...))
				}
				for _, status := range allStatuses() {
					id := s.keep(t, status)
					get("ann", "/return/"+id)
					get("ann", "/return/"+id+"?a=b")
					get("bob", "/return/"+id)
					get("", "/return/"+id)
					get("ann", "/status/"+id)
				}
				s.elapsed.Store(int64(time.Hour)) // nobody confirmed
				get("ann", "/return/KEPT-PENDING")
				for _, path := range []string{"", "/", "/nowhere", "/return", "/return/", "//return/x", "/return/../status", "/return/%00", "/notify/x/y", "/signup", "/unbind", "/status", "/notify", "/status/NOSUCH"} {
					get("ann", path)
					get("", path)
					post("ann", path, "")
				}
				post("ann", "/signup", "wallet=GCash")
				post("ann", "/signup", "wallet=Nonesuch")
				post("ann", "/signup", "wallet=GCash&returnTo=//evil.example")
				post("ann", "/signup", "wallet=GCash&%zz")
				post("ann", "/signup", "wallet=GCash", "Sec-Fetch-Site", "cross-site")
				post("", "/signup", "wallet=GCash")
				post("ann", "/signup", strings.Repeat("a", 65<<10))
				post("ann", "/unbind", "id=KEPT-UNBOUND")
				post("ann", "/unbind", "id=NOSUCH")
				post("ann", "/notify/x", "")
				post("ann", "/notify/x", "{}")
				post("ann", "/notify/x", string(s.gateway.SignedBody(`{"notifyType":"ELSE"}`, nil)))
				post("ann", "/notify/x", strings.Replace(string(s.gateway.SignedBody(`{"notifyType":"ELSE"}`, nil)), "ELSE", "ELSA", 1))
				post("ann", "/notify/x", strings.Repeat("a", 65<<10))
				for kind := gatewaytest.TimeoutAfter + 1; kind <= gatewaytest.Decline; kind++ {
					s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: kind})
					post("ann", "/signup", "wallet=GCash")
				}
				s.store.before = func(context.Context, string) error { return errors.New("the database is away") }
				get("ann", "/return/KEPT-ACTIVE")
				get("ann", "/status")
				post("ann", "/signup", "wallet=GCash")
				post("ann", "/notify/x", string(s.gateway.SignedBody(`{"notifyType":"`+created+`","requestId":"R","merchantUserId":"ann","token":"T"}`, nil)))
				for _, status := range []int{200, 303, 400, 401, 403, 404, 405, 413, 502, 503} {
					if status != 303 || accept == "text/html" {
						require.Positive(t, seen[status], "no answer was a %d", status)
					}
				}
			})
		}
	}
}

// TestMiddlewareAnswersKeepOutOfFrames: what the kit's middleware answers by
// itself is guarded too; what it lets through is the merchant's.
func TestMiddlewareAnswersKeepOutOfFrames(t *testing.T) {
	t.Parallel()
	s := newStorefront(t, func(c *setup) {
		c.kit.User = func(r *http.Request) (string, error) {
			if r.Header.Get("X-User") == "broken" {
				return "", errors.New("no sessions today")
			}
			return r.Header.Get("X-User"), nil
		}
	})
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was let through") })
	for user, status := range map[string]int{"ann": 409, "": 401, "broken": 503} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/buy", nil)
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		s.RequireToken(nil)(next).ServeHTTP(w, r)
		require.Equal(t, status, w.Code)
		requireGuarded(t, w, user)
	}
	w := httptest.NewRecorder()
	s.VerifyNotification(next).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "POST", "/n", strings.NewReader("{}")))
	requireGuarded(t, w, "a notification")
}
