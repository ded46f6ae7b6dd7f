package codegrant_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

var acceptJSON = []string{"Accept", "application/json"}

func TestSignUpEndpoint(t *testing.T) {
	t.Parallel()
	t.Run("a form is sent to the wallet", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.submit(t, "ann", "/signup", url.Values{"wallet": {"TNG eWallet"}, "returnTo": {"/checkout"}})
		agreement := s.gateway.Ledger().Agreements[0]
		a.redirectsTo(t, agreement.AuthURL)
		require.Equal(t, "no-store", a.Header().Get("Cache-Control"))
		require.Equal(t, "no-referrer", a.Header().Get("Referrer-Policy"))
		token := s.get(t, agreement.RequestID)
		require.Equal(t, "/checkout", token.ReturnTo)
		require.Equal(t, baseURL+"/return/"+token.ID, agreement.ReturnURL)
		require.Equal(t, baseURL+"/notify/"+token.ID, agreement.NotifyURL)
	})
	t.Run("a JSON client gets the address", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		r := newRequest(t, "POST", baseURL+"/signup", `{"wallet":"GCash"}`, "Content-Type", "application/json", "Accept", "application/json")
		v := s.do(r, "ann").json(t)
		require.Equal(t, "pending", v["status"])
		require.Equal(t, s.gateway.Ledger().Agreements[0].AuthURL, v["authUrl"])
	})
	for _, tc := range []struct {
		name   string
		user   string
		form   url.Values
		header []string
		status int
		code   string
	}{
		{"nobody is signed in", "", url.Values{"wallet": {"GCash"}}, nil, 401, "unauthenticated"},
		{"no wallet is named", "ann", url.Values{}, nil, 400, "invalid_request"},
		{"the wallet's name is hostile", "ann", url.Values{"wallet": {"<script>"}}, nil, 400, "invalid_request"},
		{"the return target is not on the list", "ann", url.Values{"wallet": {"GCash"}, "returnTo": {"https://evil.example"}}, nil, 400, "invalid_request"},
		{"the page is another site's", "ann", url.Values{"wallet": {"GCash"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403, "cross_origin"},
		{"the form is broken", "ann", nil, []string{"Content-Type", "application/json"}, 400, "malformed"},
	} {
		t.Run("refused when "+tc.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			a := s.submit(t, tc.user, "/signup", tc.form, append(tc.header, acceptJSON...)...)
			require.Equal(t, tc.status, a.Code)
			require.Equal(t, tc.code, a.json(t)["error"])
			page := s.submit(t, tc.user, "/signup", tc.form, tc.header...)
			require.Equal(t, tc.status, page.Code)
			require.Contains(t, page.Body.String(), "<h1>")
			require.Empty(t, s.gateway.Ledger().Agreements)
		})
	}
	t.Run("a GET is refused", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.browse(t, "ann", baseURL+"/signup?wallet=GCash")
		require.Equal(t, 405, a.Code)
		require.Equal(t, "POST", a.Header().Get("Allow"))
	})
	t.Run("a refusal of the gateway fails the record", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "101000"})
		a := s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}}, acceptJSON...)
		require.Equal(t, 502, a.Code)
		require.Equal(t, "refused", a.json(t)["error"])
		require.Equal(t, codegrant.StatusFailed, s.heard()[0].Token.Status)
	})
	t.Run("a lost answer leaves the record to its notification", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.ResetAfter})
		a := s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}}, acceptJSON...)
		require.Equal(t, 502, a.Code)
		require.Equal(t, "outcome_unknown", a.json(t)["error"])
		agreement := s.gateway.Ledger().Agreements[0]
		require.NoError(t, s.gateway.Approve(agreement.AuthURL))
		require.Equal(t, codegrant.StatusActive, s.get(t, agreement.RequestID).Status)
	})
	t.Run("a wallet page outside the allowed hosts is not followed", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withConfig(func(c *codegrant.Config) { c.AuthHosts = []string{"wallet.example"} }))
		a := s.submit(t, "ann", "/signup", url.Values{"wallet": {"GCash"}})
		require.Equal(t, 502, a.Code)
		require.Empty(t, a.Header().Get("Location"))
	})
}

func TestReturnEndpoint(t *testing.T) {
	t.Parallel()
	t.Run("it turns from pending to connected", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		token := s.start(t, "ann")
		page := s.browse(t, "ann", baseURL+"/return/"+token.ID)
		require.Equal(t, 200, page.Code)
		require.Contains(t, page.Body.String(), `data-status="pending"`)
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		page = s.browse(t, "ann", baseURL+"/return/"+token.ID)
		require.Contains(t, page.Body.String(), `data-status="active"`)
		require.Contains(t, page.Body.String(), "GCash is connected")
		require.Contains(t, page.Body.String(), `href="/account"`)
		require.Contains(t, page.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'")
		require.Equal(t, "DENY", page.Header().Get("X-Frame-Options"))
		require.Equal(t, "active", s.browse(t, "ann", baseURL+"/return/"+token.ID, acceptJSON...).json(t)["status"])
	})
	t.Run("it never believes the address", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		token := s.start(t, "ann")
		s.browse(t, "ann", baseURL+"/return/"+token.ID+"?status=SUCCESS&token="+tokenValue).
			redirectsTo(t, baseURL+"/return/"+token.ID)
		require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)
	})
	t.Run("a lost notification is made up for by a query", func(t *testing.T) {
		t.Parallel()
		var elapsed time.Duration
		s := newShop(t, withConfig(func(c *codegrant.Config) { c.Now = func() time.Time { return time.Now().Add(elapsed) } }))
		token := s.start(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll})
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.Contains(t, s.browse(t, "ann", baseURL+"/return/"+token.ID).Body.String(), `data-status="pending"`)
		elapsed = 6 * time.Second
		require.Contains(t, s.browse(t, "ann", baseURL+"/return/"+token.ID).Body.String(), `data-status="active"`)
		require.Len(t, s.heard(), 1)
	})
	t.Run("whoever polls the status or asks without HTTP gets the same, and asks seldom", func(t *testing.T) {
		t.Parallel()
		var elapsed time.Duration
		asked := 0
		var s *shop
		s = newShop(t, withConfig(func(c *codegrant.Config) { c.Now = func() time.Time { return time.Now().Add(elapsed) } }),
			withClient(func(c *codegrant.ClientConfig) {
				c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					if strings.HasSuffix(r.URL.Path, "/query") {
						asked++
					}
					return s.gateway.Transport().RoundTrip(r)
				})}
			}))
		token, other := s.start(t, "ann"), s.start(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1})
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.NoError(t, s.gateway.Approve(other.AuthURL))
		require.Equal(t, "pending", s.browse(t, "ann", baseURL+"/status/"+token.ID).json(t)["status"])
		elapsed = 6 * time.Second
		require.Equal(t, "active", s.browse(t, "ann", baseURL+"/status/"+token.ID).json(t)["status"])
		require.Equal(t, 1, asked)
		got, err := s.Returned(t.Context(), "ann", other.ID)
		require.NoError(t, err)
		require.Equal(t, codegrant.StatusActive, got.Status)
		require.Equal(t, 2, asked)

		open := s.start(t, "ann")
		elapsed = 20 * time.Second
		for range 5 {
			got, err := s.Returned(t.Context(), "ann", open.ID)
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusPending, got.Status)
		}
		require.Equal(t, 3, asked)
		for user, want := range map[string]error{"bob": codegrant.ErrNotOwner, "": codegrant.ErrUnauthenticated} {
			_, err := s.Returned(t.Context(), user, open.ID)
			require.ErrorIs(t, err, want)
		}
		for _, id := range []string{"", "NOSUCH", "a b", "../x"} {
			_, err := s.Returned(t.Context(), "ann", id)
			require.ErrorIs(t, err, codegrant.ErrNotFound)
		}
	})
	t.Run("an abandoned sign-up tells the user to try again", func(t *testing.T) {
		t.Parallel()
		var elapsed time.Duration
		s := newShop(t, withConfig(func(c *codegrant.Config) { c.Now = func() time.Time { return time.Now().Add(elapsed) } }))
		token := s.start(t, "ann")
		elapsed = 31 * time.Minute
		page := s.browse(t, "ann", baseURL+"/return/"+token.ID).Body.String()
		require.Contains(t, page, "GCash has not confirmed")
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status, "a late success counts")
	})
	for _, tc := range []struct {
		name, user, path string
		status           int
	}{
		{"another user's", "bob", "/return/%ID", 404},
		{"nobody's session", "", "/return/%ID", 401},
		{"an unknown number", "ann", "/return/NOSUCH", 404},
		{"no number", "ann", "/return/", 404},
	} {
		t.Run("it shows nothing for "+tc.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			token := s.start(t, "ann")
			page := s.browse(t, tc.user, baseURL+strings.Replace(tc.path, "%ID", token.ID, 1))
			require.Equal(t, tc.status, page.Code)
			require.NotContains(t, page.Body.String(), "GCash")
		})
	}
	t.Run("a wallet's name is escaped", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		now := time.Now().UTC()
		require.NoError(t, s.store.Save(t.Context(), codegrant.Token{
			ID: "X1", AccountID: gatewaytest.DefaultAccountID, UserID: "ann", Wallet: "<img src=x onerror=alert(1)>",
			Status: codegrant.StatusActive, Handled: codegrant.StatusActive, Revision: 1, CreatedAt: now, UpdatedAt: now,
		}))
		page := s.browse(t, "ann", baseURL+"/return/X1").Body.String()
		require.NotContains(t, page, "<img")
	})
}

func TestUnbindEndpoint(t *testing.T) {
	t.Parallel()
	t.Run("a form goes back to the return target", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		token := s.connect(t, "ann")
		s.submit(t, "ann", "/unbind", url.Values{"id": {token.ID}}).redirectsTo(t, "/account")
		require.Equal(t, codegrant.StatusUnbound, s.get(t, token.ID).Status)
		s.submit(t, "ann", "/unbind", url.Values{"id": {token.ID}}).redirectsTo(t, "/account")
	})
	t.Run("a JSON client hears the status", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		s.connect(t, "ann")
		a := s.submit(t, "ann", "/unbind", nil, acceptJSON...)
		require.Equal(t, 200, a.Code)
		require.Equal(t, "unbound", a.json(t)["status"])
	})
	t.Run("an unknown outcome leaves it unbinding and uncharged", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		token := s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.Status500Before})
		a := s.submit(t, "ann", "/unbind", url.Values{"id": {token.ID}}, acceptJSON...)
		require.Equal(t, 202, a.Code)
		require.Equal(t, "unbinding", a.json(t)["status"])
		_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.ErrorIs(t, err, codegrant.ErrNoToken)
		heard := s.heard()
		require.Equal(t, codegrant.StatusUnbinding, heard[len(heard)-1].Token.Status)
		_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
		require.NoError(t, err, "asking again repeats the request")
		require.Equal(t, codegrant.StatusUnbound, s.get(t, token.ID).Status)
	})
	t.Run("a failing hook does not undo it", func(t *testing.T) {
		t.Parallel()
		fail := false
		s := newShop(t, withConfig(func(c *codegrant.Config) {
			c.OnToken = func(context.Context, codegrant.Change) error {
				if fail {
					return errStore
				}
				return nil
			}
		}))
		token := s.connect(t, "ann")
		fail = true
		a := s.submit(t, "ann", "/unbind", url.Values{"id": {token.ID}}, acceptJSON...)
		require.Equal(t, 200, a.Code)
		require.Equal(t, "unbound", a.json(t)["status"])
		require.Less(t, s.get(t, token.ID).Handled, codegrant.StatusUnbound, "the hook is owed")
	})
	t.Run("an agreement that is over already is over", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }))
		token := s.connect(t, "ann")
		require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
		_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
		require.NoError(t, err)
		require.Equal(t, codegrant.EndedByGateway, s.get(t, token.ID).EndedBy)
	})
	for _, tc := range []struct {
		name, user string
		form       url.Values
		header     []string
		status     int
	}{
		{"another user's token", "bob", url.Values{"id": {"%ID"}}, nil, 404},
		{"an unknown token", "ann", url.Values{"id": {"NOSUCH"}}, nil, 404},
		{"two live tokens and none named", "ann", nil, nil, 409},
		{"a page of another site", "ann", url.Values{"id": {"%ID"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a return target off the list", "ann", url.Values{"id": {"%ID"}, "returnTo": {"//evil.example"}}, nil, 400},
		{"nobody signed in", "", url.Values{"id": {"%ID"}}, nil, 401},
	} {
		t.Run("refused for "+tc.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			token := s.connect(t, "ann")
			s.connect(t, "ann")
			if tc.form.Get("id") == "%ID" {
				tc.form.Set("id", token.ID)
			}
			require.Equal(t, tc.status, s.submit(t, tc.user, "/unbind", tc.form, tc.header...).Code)
			require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status)
		})
	}
}

func TestStatusEndpoint(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.connect(t, "ann")
	s.start(t, "ann")
	s.connect(t, "bob")
	a := s.browse(t, "ann", baseURL+"/status")
	require.Equal(t, 200, a.Code)
	tokens := a.json(t)["tokens"].([]any)
	require.Len(t, tokens, 2)
	require.Equal(t, "active", tokens[0].(map[string]any)["status"])
	require.Equal(t, "pending", tokens[1].(map[string]any)["status"])
	require.NotContains(t, a.Body.String(), token.Value.Reveal())
	require.NotContains(t, a.Body.String(), token.Fingerprint)
	require.Equal(t, "active", s.browse(t, "ann", baseURL+"/status/"+token.ID).json(t)["status"])
	require.Equal(t, 404, s.browse(t, "bob", baseURL+"/status/"+token.ID).Code)
	require.Equal(t, 401, s.browse(t, "", baseURL+"/status").Code)
	require.Equal(t, 405, s.do(newRequest(t, "POST", baseURL+"/status", ""), "ann").Code)
	require.Empty(t, s.browse(t, "carl", baseURL+"/status").json(t)["tokens"])
}

func TestRequireToken(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.connect(t, "ann")
	inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, ok := codegrant.TokenFromContext(r.Context())
		require.True(t, ok)
		_, _ = io.WriteString(w, "charged "+got.ID)
	})
	missing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "connect first") })
	serve := func(kit *codegrant.Kit, missing http.Handler, user string) answer {
		r := newRequest(t, "POST", "/buy", "")
		r.Header.Set("X-User", user)
		w := httptest.NewRecorder()
		kit.RequireToken(missing)(inside).ServeHTTP(w, r)
		return answer{w}
	}
	require.Equal(t, "charged "+token.ID, serve(s.Kit, missing, "ann").Body.String())
	require.Equal(t, "connect first", serve(s.Kit, missing, "bob").Body.String())
	require.Equal(t, "connect first", serve(s.Kit, missing, "").Body.String())
	require.Equal(t, 409, serve(s.Kit, nil, "bob").Code)

	broken := newShop(t, withConfig(func(c *codegrant.Config) {
		c.Store = &faultyStore{TokenStore: c.Store, before: func(context.Context, string) error { return errStore }}
	}))
	require.Equal(t, 503, serve(broken.Kit, missing, "ann").Code, "a broken store neither pays nor asks to connect")
	lost := newShop(t, withConfig(func(c *codegrant.Config) {
		c.User = func(*http.Request) (string, error) { return "", errors.New("no sessions today") }
	}))
	require.Equal(t, 503, serve(lost.Kit, missing, "ann").Code)
	_, ok := codegrant.TokenFromContext(t.Context())
	require.False(t, ok)
}

func TestVerifyNotification(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	body := s.gateway.SignedBody(bizOf(created, "REQ-1", "ann", tokenValue), nil)
	ran := 0
	h := s.VerifyNotification(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran++
		n, ok := codegrant.NotificationFromContext(r.Context())
		require.True(t, ok)
		require.Equal(t, codegrant.KindSignedUp, n.Kind)
		require.Equal(t, "ann", n.UserID)
		again, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		require.Equal(t, body, again, "the body is there again, byte for byte")
		w.WriteHeader(http.StatusAccepted)
	}))
	post := func(b []byte) answer {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, newRequest(t, "POST", "/notify", string(b)))
		return answer{w}
	}
	require.Equal(t, 202, post(body).Code)
	require.Equal(t, 401, post([]byte(strings.Replace(string(body), "ann", "eve", 1))).Code)
	require.Equal(t, 400, post(nil).Code)
	require.Equal(t, 1, ran)
	_, ok := codegrant.NotificationFromContext(t.Context())
	require.False(t, ok)
}

func TestEndpointsMountedAlone(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) {
		c.NotifyURL, c.ReturnURL = "https://shop.test/hooks/pingpong", "https://shop.test/welcome"
	}))
	mux := http.NewServeMux()
	mux.Handle("POST /connect", s.SignUp())
	mux.Handle("/hooks/pingpong/{id}", s.Notify())
	mux.Handle("/welcome/{id}", s.Return())
	s.handler = mux
	s.gateway.DeliverTo(mux)
	r := newRequest(t, "POST", "https://shop.test/connect", `{"wallet":"GCash"}`, "Content-Type", "application/json", "Accept", "application/json")
	v := s.do(r, "ann").json(t)
	require.NoError(t, s.gateway.Approve(v["authUrl"].(string)))
	require.Equal(t, codegrant.StatusActive, s.get(t, v["id"].(string)).Status)
	require.Contains(t, s.browse(t, "ann", "https://shop.test/welcome/"+v["id"].(string)).Body.String(), "is connected")
}
