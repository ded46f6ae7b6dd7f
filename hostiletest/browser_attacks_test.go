package hostiletest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// storefront is a merchant whose browsers are under attack: it counts what
// reaches the gateway, and its clock can be put forward.
type storefront struct {
	*merchant
	calls   atomic.Int64 // that reached the gateway
	elapsed atomic.Int64 // nanoseconds that the kit's clock is ahead
	// says replaces the gateway's answer by one around this bizContent; nil
	// leaves it.
	says func(path string) (bizContent string, members map[string]string)
}

func newStorefront(t testing.TB, change ...func(*setup)) *storefront {
	t.Helper()
	s := &storefront{}
	s.merchant = newMerchant(t, append(change, func(c *setup) {
		c.client.HTTPClient = &http.Client{Transport: s}
		c.kit.Now = func() time.Time { return time.Now().Add(time.Duration(s.elapsed.Load())) }
	})...)
	return s
}

// RoundTrip is the way from the kit to the gateway.
func (s *storefront) RoundTrip(r *http.Request) (*http.Response, error) {
	s.calls.Add(1)
	if s.says == nil {
		return s.gateway.Transport().RoundTrip(r)
	}
	biz, members := s.says(r.URL.Path)
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(bytes.NewReader(s.gateway.SignedBody(biz, members))),
	}, nil
}

// surf sends what user's browser sends; "" is signed out. target is a path, or
// a URL of the shop.
func (s *storefront) surf(t testing.TB, user, method, target, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	u, err := url.Parse(target)
	require.NoError(t, err)
	r := httptest.NewRequestWithContext(t.Context(), method, baseURL, strings.NewReader(body))
	r.URL = u
	r.Header.Set("X-User", user)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// submit posts a form from one of the shop's own pages.
func (s *storefront) submit(t testing.TB, user, endpoint string, form url.Values, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	header = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, header...)
	return s.surf(t, user, http.MethodPost, "/wallet"+endpoint, form.Encode(), header...)
}

// records is everything that is stored, in the clear, to be compared.
func (s *storefront) records(t testing.TB) map[string]string {
	t.Helper()
	tokens, err := s.store.TokenStore.(codegrant.ListStore).List(t.Context(), "", 1000)
	require.NoError(t, err)
	all := make(map[string]string, len(tokens))
	for _, token := range tokens {
		data, err := token.MarshalBinary()
		require.NoError(t, err)
		all[token.ID] = codegrant.Fingerprint(codegrant.NewSecret(string(data)))[:16] // a failure prints it
	}
	return all
}

var nonce = regexp.MustCompile(`nonce[-=]"?[A-Z0-9]+`)

// shows is all of an answer that a person or a script can see.
func shows(w *httptest.ResponseRecorder) string {
	return fmt.Sprintf("%d\n%v\n%s", w.Code, nonce.ReplaceAllString(fmt.Sprint(w.Header()), "nonce"),
		nonce.ReplaceAllString(w.Body.String(), "nonce"))
}

// TestFinishingSomebodyElsesSignUpAttachesNothing is login-CSRF: Ann's sign-up
// is finished in Bob's browser. Ann agreed in the wallet, no notification has
// come yet, and enough time has passed for the return page to ask the gateway.
func TestFinishingSomebodyElsesSignUpAttachesNothing(t *testing.T) {
	t.Parallel()
	const unknown = "NOSUCHRECORDNOSUCHRECORD22"
	asJSON := []string{"Accept", "application/json"}
	for _, older := range []bool{false, true} {
		for _, tc := range []struct {
			name   string
			method string
			target func(ann codegrant.Token, annBack, bobBack url.Values) string
			body   string
			header []string
		}{
			{"her page", "GET", func(ann codegrant.Token, _, _ url.Values) string { return "/return/" + ann.ID }, "", nil},
			{"her page by HEAD", "HEAD", func(ann codegrant.Token, _, _ url.Values) string { return "/return/" + ann.ID }, "", nil},
			{"her page by POST", "POST", func(ann codegrant.Token, _, _ url.Values) string { return "/return/" + ann.ID }, "", nil},
			{"her page as a JSON client", "GET", func(ann codegrant.Token, _, _ url.Values) string { return "/return/" + ann.ID }, "", asJSON},
			{"her page with what the wallet added", "GET", func(ann codegrant.Token, back, _ url.Values) string {
				return "/return/" + ann.ID + "?" + back.Encode()
			}, "", nil},
			{"her page with what the wallet added, as a JSON client", "GET", func(ann codegrant.Token, back, _ url.Values) string {
				return "/return/" + ann.ID + "?" + back.Encode()
			}, "", asJSON},
			{"her page with what the wallet added, by HEAD", "HEAD", func(ann codegrant.Token, back, _ url.Values) string {
				return "/return/" + ann.ID + "?" + back.Encode()
			}, "", nil},
			{"her page with what the wallet added for him", "GET", func(ann codegrant.Token, _, back url.Values) string {
				return "/return/" + ann.ID + "?" + back.Encode()
			}, "", nil},
			{"her status", "GET", func(ann codegrant.Token, _, _ url.Values) string { return "/status/" + ann.ID }, "", nil},
			{"the end of hers", "POST", func(codegrant.Token, url.Values, url.Values) string { return "/unbind" }, "id=%ID", nil},
			{"the end of hers, as a JSON client", "POST", func(codegrant.Token, url.Values, url.Values) string { return "/unbind" }, "id=%ID", asJSON},
		} {
			t.Run(fmt.Sprintf("older flow %t, Bob asks for %s", older, tc.name), func(t *testing.T) {
				t.Parallel()
				s := newStorefront(t, func(c *setup) { c.kit.OlderFlow = older })
				s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1})
				ann, bob := s.start(t, "ann"), s.start(t, "bob")
				require.NoError(t, s.gateway.Approve(ann.AuthURL))
				require.NoError(t, s.gateway.Approve(bob.AuthURL))
				s.elapsed.Store(int64(time.Minute))
				before, calls := s.records(t), s.calls.Load()

				ask := func(target string) *httptest.ResponseRecorder {
					header := append([]string{"Content-Type", "application/x-www-form-urlencoded"}, tc.header...)
					id := ann.ID
					if strings.Contains(target, unknown) || target == "" {
						id = unknown
					}
					if target == "" {
						target = "/unbind"
					}
					return s.surf(t, "bob", tc.method, "/wallet"+target, strings.ReplaceAll(tc.body, "%ID", id), header...)
				}
				target := tc.target(ann, s.wentBack(t, ann), s.wentBack(t, bob))
				got := ask(target)
				elsewhere := strings.ReplaceAll(target, ann.ID, unknown)
				if tc.body != "" {
					elsewhere = ""
				}
				require.Equal(t, shows(ask(elsewhere)), shows(got), "hers looks like one that does not exist")
				if tc.method == "POST" && tc.body == "" {
					require.Equal(t, http.StatusMethodNotAllowed, got.Code)
				} else {
					require.Equal(t, http.StatusNotFound, got.Code)
				}
				require.NotContains(t, got.Body.String(), "GCash")
				require.Empty(t, got.Header().Get("Location"))
				require.Equal(t, before, s.records(t), "nothing changed")
				require.Equal(t, calls, s.calls.Load(), "the gateway was not asked")
				require.Zero(t, s.hooks.Load())
				tokens, err := s.Tokens(t.Context(), "bob")
				require.NoError(t, err)
				require.Len(t, tokens, 1)
				require.Equal(t, bob.ID, tokens[0].ID)

				// The control: in her own browser the same visit ends it.
				s.surf(t, "ann", "GET", "/wallet/return/"+ann.ID+"?"+s.wentBack(t, ann).Encode(), "")
				s.surf(t, "ann", "GET", "/wallet/return/"+ann.ID, "")
				require.Equal(t, codegrant.StatusActive, s.get(t, ann.ID).Status)
			})
		}
	}
}

// wentBack is what the wallet adds to the return URL, in the new flow what an
// attacker would make up.
func (s *storefront) wentBack(t testing.TB, token codegrant.Token) url.Values {
	t.Helper()
	back, err := s.gateway.ReturnURL(token.AuthURL)
	require.NoError(t, err)
	u, err := url.Parse(back)
	require.NoError(t, err)
	if query := u.Query(); len(query) > 0 {
		return query
	}
	return url.Values{"authCode": {"CODE"}, "authState": {token.ID}, "status": {"SUCCESS"}, "token": {tokenValue}}
}

// TestAnAttackersCodeOnTheVictimsPage is login-CSRF the other way round: the
// victim's own page gets the code of the attacker's wallet.
func TestAnAttackersCodeOnTheVictimsPage(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"the attacker's", "the victim's", "none", "both"} {
		t.Run("with a state that is "+state, func(t *testing.T) {
			t.Parallel()
			s := newStorefront(t, func(c *setup) { c.kit.OlderFlow = true })
			victim, attacker := s.start(t, "victim"), s.start(t, "attacker")
			s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll})
			require.NoError(t, s.gateway.Approve(attacker.AuthURL))
			query := s.wentBack(t, attacker)
			switch state {
			case "the victim's":
				query.Set("authState", victim.AuthState)
			case "none":
				query.Del("authState")
			case "both":
				query["authState"] = []string{query.Get("authState"), victim.AuthState}
			}
			before, calls := s.records(t), s.calls.Load()
			w := s.surf(t, "victim", "GET", "/wallet/return/"+victim.ID+"?"+query.Encode(), "")
			require.Equal(t, baseURL+"/return/"+victim.ID, w.Header().Get("Location"))
			require.Equal(t, before, s.records(t))
			if state != "the victim's" { // who knows that one is the victim; the gateway refuses
				require.Equal(t, calls, s.calls.Load())
			}
			require.Zero(t, s.hooks.Load())
		})
	}
}

// TestTheWalletsWordDecidesWhoseAgreementItIs: who agreed on the wallet's page
// is known to the wallet alone. Whoever it was, the agreement belongs to the
// user that the sign-up named, and never to whose browser comes back.
func TestTheWalletsWordDecidesWhoseAgreementItIs(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{false, true} {
		s := newStorefront(t, func(c *setup) { c.kit.OlderFlow = older })
		ann := s.start(t, "ann")
		require.NoError(t, s.gateway.Approve(ann.AuthURL)) // on Bob's telephone
		require.Equal(t, http.StatusNotFound, s.surf(t, "bob", "GET", "/wallet/return/"+ann.ID+"?"+s.wentBack(t, ann).Encode(), "").Code)
		require.Equal(t, codegrant.StatusActive, s.get(t, ann.ID).Status)
		require.Equal(t, "ann", s.get(t, ann.ID).UserID)

		other := s.start(t, "ann")
		for name, fields := range map[string]string{
			"at her URL":                 `"requestId":"` + other.ID + `","merchantUserId":"bob"`,
			"with her number and token":  `"requestId":"` + ann.ID + `","merchantUserId":"bob"`,
			"without a number":           `"merchantUserId":"bob"`,
			"with a number of two users": `"requestId":"` + other.ID + `","merchantUserId":"bob "`,
		} {
			before := s.records(t)
			body := s.gateway.SignedBody(`{"notifyType":"`+created+`",`+fields+`,"token":"`+tokenValue+`"}`, nil)
			require.NotEqual(t, http.StatusUnauthorized, s.post(t, other.ID, body).Code, name)
			require.Equal(t, before, s.records(t), name)
		}
		tokens, err := s.Tokens(t.Context(), "bob")
		require.NoError(t, err)
		require.Empty(t, tokens)
	}
}

// TestTheReturnURLFixesNothing is session fixation: whatever stands in the
// return URL, no state changes, no cookie is set, none matters, and the only
// way on is the page itself.
func TestTheReturnURLFixesNothing(t *testing.T) {
	t.Parallel()
	s := newStorefront(t)
	s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1})
	ann, bob := s.start(t, "ann"), s.start(t, "bob")
	require.NoError(t, s.gateway.Approve(ann.AuthURL))
	outer := http.NewServeMux()
	outer.Handle("/wallet/", s.handler)
	outer.Handle("/welcome/", s.Return())
	before := s.records(t)

	var targets []string
	for _, path := range []string{
		"/return/%A", "/return/%A/", "/return//%A", "//return/%A", "/return/../return/%A", "/return/./%A", "/return/%A/..", "/return/%A/.",
		"/return/%2e%2e/status/%A", "/return/%2E%2E/%2E%2E/account", "/return/%A%2F..%2F%B", "/return/%B%2F%A", "/return/%A%2f%B", "/return/%A/%B",
		"/return/%A%00", "/return/%A%0d%0aSet-Cookie:%20a=b", "/return/%A;%B", "/return/%A,%B", "/return/%A%20", "/return/%20%A", "/return/%A%5C%B",
		"/return/" + strings.Repeat("A", 65), "/return/" + strings.Repeat("A", 1<<13), "/return/signup", "/return/unbind", "/return/status",
		"/return/notify", "/return/return", "/return/{id}", "/return/*", "/return/-", "/return/_", "/return/..", "/return/%2e", "/return/", "/return",
		"/status/%A/return/%B", "/status/../return/%A", "/notify/../return/%A", "/signup/../return/%A", "/unbind/../return/%A", "//evil.example/return/%A",
		"/RETURN/%A", "/return/%61", "/return/٪A", "/", "//", "/..", "/../account", "/%2e%2e/account", "/\\evil.example", "/%5cevil.example",
	} {
		for _, query := range []string{
			"", "?", "?status=SUCCESS&token=" + tokenValue[:20], "?authCode=x&authState=y", "?authCode=x", "?id=%B", "?user=bob&X-User=bob&userId=bob",
			"?returnTo=https://evil.example/", "?session=fixed&PHPSESSID=fixed&sid=fixed", "?%zz=%zz", "?a=1;b=2", "?" + strings.Repeat("a=b&", 1<<8),
		} {
			target := strings.NewReplacer("%A", ann.ID, "%B", bob.ID).Replace(path + query)
			targets = append(targets, "/wallet"+target, strings.Replace(target, "/return", "/welcome", 1))
		}
	}
	for _, target := range targets {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			continue // no server hands that on
		}
		for _, user := range []string{"ann", "bob", ""} {
			ask := func(h http.Handler, method string, cookies ...string) *httptest.ResponseRecorder {
				r := httptest.NewRequestWithContext(t.Context(), method, baseURL, nil)
				r.URL, r.RequestURI = u, target
				r.Header.Set("X-User", user)
				for _, c := range cookies {
					r.Header.Add("Cookie", c)
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			plain := ask(s.handler, "GET")
			for _, w := range []*httptest.ResponseRecorder{plain, ask(s.handler, "HEAD"), ask(outer, "GET")} {
				require.Empty(t, w.Header().Values("Set-Cookie"), target)
				location := w.Header().Get("Location")
				if w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently {
					require.NotSame(t, plain, w, "the kit cleans no paths")
					require.Regexp(t, `^/([^/\\]|$)`, location, "the outer mux stays on the site")
				} else if location != "" {
					require.Equal(t, baseURL+"/return/"+map[string]string{"ann": ann.ID, "bob": bob.ID}[user], location, target)
				}
			}
			if u.RawQuery == "" {
				require.Equal(t, shows(plain), shows(ask(s.handler, "GET", "session=fixed", "codegrant="+bob.ID, "__Host-state="+ann.ID)), target)
			}
		}
	}
	require.Equal(t, before, s.records(t))
	require.Zero(t, s.hooks.Load())
}
