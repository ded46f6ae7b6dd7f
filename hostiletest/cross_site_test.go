package hostiletest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// TestOnlyTheShopsOwnPagesStartAndEndAgreements sends every combination of what
// a browser says about where a request comes from. What the table of
// http.CrossOriginProtection lets through reaches the store and the gateway;
// nothing else reaches either.
func TestOnlyTheShopsOwnPagesStartAndEndAgreements(t *testing.T) {
	t.Parallel()
	const absent = "-"
	s := newStorefront(t)
	kept := s.connect(t, "ann")
	guard := http.NewCrossOriginProtection()
	tried, passed := 0, 0
	for _, endpoint := range []string{"/signup", "/unbind"} {
		for _, site := range []string{"cross-site", "same-site", "none", "same-origin", "SAME-ORIGIN", "nonsense", absent} {
			for _, origin := range []string{absent, "null", "https://evil.example", "https://shop.test.evil.example", "https://shop.test:444", "http://shop.test", "https://shop.test"} {
				for _, method := range []string{"POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"} {
					for kind, body := range map[string]string{
						"application/x-www-form-urlencoded": "wallet=GCash&id=%ID",
						"application/json":                  `{"wallet":"GCash","id":"%ID"}`,
						"text/plain":                        "wallet=GCash&id=%ID",
					} {
						// As its documentation has it: Sec-Fetch-Site decides where there
						// is one, else the host of Origin, which older browsers send; a
						// request with neither is no browser's.
						comesFromHere := site == "same-origin" || site == "none" ||
							(site == absent && (origin == absent || origin == "https://shop.test" || origin == "http://shop.test"))
						allowed := method == http.MethodPost && comesFromHere
						id := kept.ID
						if allowed && endpoint == "/unbind" {
							id = s.connect(t, "ann").ID
						}
						r := httptest.NewRequestWithContext(t.Context(), method, baseURL+endpoint, strings.NewReader(strings.ReplaceAll(body, "%ID", id)))
						r.Header.Set("X-User", "ann")
						r.Header.Set("Content-Type", kind)
						if site != absent {
							r.Header.Set("Sec-Fetch-Site", site)
						}
						if origin != absent {
							r.Header.Set("Origin", origin)
						}
						if method == http.MethodPost {
							require.Equal(t, allowed, guard.Check(r) == nil, "%s %s", site, origin)
						}
						s.gateway.Wait() // for what the last one set off
						gateway, store, agreements := s.calls.Load(), s.store.calls.Load(), len(s.gateway.Ledger().Agreements)
						w := httptest.NewRecorder()
						s.handler.ServeHTTP(w, r)
						tried++
						if allowed {
							passed++
							require.Equal(t, http.StatusSeeOther, w.Code, "%s %s %s %s", endpoint, site, origin, kind)
							require.Equal(t, gateway+1, s.calls.Load())
							require.Greater(t, s.store.calls.Load(), store)
							continue
						}
						want := http.StatusForbidden
						if method != http.MethodPost {
							want = http.StatusMethodNotAllowed
						}
						require.Equal(t, want, w.Code, "%s %s %s %s %s", method, endpoint, site, origin, kind)
						require.Empty(t, w.Header().Get("Location"))
						require.Equal(t, gateway, s.calls.Load(), "the gateway was called")
						require.Equal(t, store, s.store.calls.Load(), "the store was called")
						require.Len(t, s.gateway.Ledger().Agreements, agreements)
					}
				}
			}
		}
	}
	require.Equal(t, codegrant.StatusActive, s.get(t, kept.ID).Status)
	t.Logf("%d requests, %d of them from the shop's own pages", tried, passed)
}

// TestATrustedOriginIsTheMerchantsDecision: the merchant's own guard counts,
// and only that.
func TestATrustedOriginIsTheMerchantsDecision(t *testing.T) {
	t.Parallel()
	guard := http.NewCrossOriginProtection()
	require.NoError(t, guard.AddTrustedOrigin("https://app.shop.test"))
	s := newStorefront(t, func(c *setup) { c.kit.CrossOrigin = guard })
	for origin, status := range map[string]int{
		"https://app.shop.test": http.StatusSeeOther, "http://app.shop.test": http.StatusForbidden, "https://evil.example": http.StatusForbidden,
	} {
		w := s.surf(t, "ann", "POST", "/wallet/signup", "wallet=GCash", "Sec-Fetch-Site", "cross-site", "Origin", origin)
		require.Equal(t, status, w.Code, origin)
	}
}
