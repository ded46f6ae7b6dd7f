package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// diagnosis is what one run of the doctor said.
type diagnosis struct {
	status int
	text   string
	OK     bool           `json:"ok"`
	Checks []doctorResult `json:"checks"`
}

// of returns the results of one name.
func (d diagnosis) of(name string) []doctorResult {
	var found []doctorResult
	for _, r := range d.Checks {
		if r.Name == name {
			found = append(found, r)
		}
	}
	return found
}

// require wants exactly one result of that name, with this status and words.
func (d diagnosis) require(t *testing.T, status, name, words string) {
	t.Helper()
	found := d.of(name)
	require.Len(t, found, 1, "%s in %s", name, d.text)
	require.Equal(t, status, found[0].Status, d.text)
	require.Contains(t, found[0].Text+". "+found[0].Remedy, words)
	if status != "ok" && name != "clock-gateway" {
		require.NotEmpty(t, found[0].Remedy)
	}
}

// examine runs the command with variables, a gateway beside them.
func examine(t *testing.T, variables map[string]string, args ...string) diagnosis {
	t.Helper()
	getenv := func(name string) string { return variables[name] }
	call := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		status := run(t.Context(), environment{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, getenv: getenv}, args)
		require.Empty(t, errs.String())
		return status, out.String()
	}
	status, text := call(append([]string{"doctor", "-json"}, args...)...)
	d := diagnosis{status: status, text: text}
	require.NoError(t, json.Unmarshal([]byte(text), &d))
	require.Equal(t, d.OK, status == 0)
	for name, value := range variables {
		if name == "CODEGRANT_SALTS" || name == "CODEGRANT_KEYS" {
			for _, secret := range splitList(value) {
				require.NotContains(t, text, strings.TrimSpace(secret))
			}
		}
	}
	return d
}

// healthy are variables with which nothing fails, and the gateway for them.
func healthy(t *testing.T) (map[string]string, []string) {
	t.Helper()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	return map[string]string{
		"CODEGRANT_ACCOUNT": gatewaytest.DefaultAccountID, "CODEGRANT_SALTS": gatewaytest.DefaultSalt,
	}, []string{"-endpoint", g.URL, "-timeout", "2s"}
}

// shopBehind serves a kit below /wallet, behind what stands in front of it.
func shopBehind(t *testing.T, front func(http.Handler) http.Handler) string {
	t.Helper()
	client, err := codegrant.NewClient(codegrant.ClientConfig{Account: probeAccount(), Endpoints: codegrant.Sandbox()})
	require.NoError(t, err)
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet", QueryUnsigned: true,
		User: func(*http.Request) (string, error) { return "", nil }, Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	var handler http.Handler = mux
	if front != nil {
		handler = front(mux)
	}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL + "/wallet"
}

func TestDoctorIsContentWithAHealthyShop(t *testing.T) {
	t.Parallel()
	variables, args := healthy(t)
	variables["CODEGRANT_BASE_URL"] = shopBehind(t, nil)
	d := examine(t, variables, args...)
	require.Zero(t, d.status, d.text)
	for _, name := range []string{"account", "client", "salts", "gateway", "clock-gateway", "signature", "notify", "notify-get", "notify-no-id", "notify-size"} {
		d.require(t, "ok", name, "")
	}
	d.require(t, "ok", "base-url", "")
	d.require(t, "warn", "database", "Set DATABASE_URL")
}

func TestDoctorOnAccountsAndSalts(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		variable, value     string
		status, check, says string
	}{
		"no account":              {"CODEGRANT_ACCOUNT", "", "FAIL", "account", "not set"},
		"blanks in the account":   {"CODEGRANT_ACCOUNT", gatewaytest.DefaultAccountID + "\n", "FAIL", "account", "blanks around it"},
		"an odd account":          {"CODEGRANT_ACCOUNT", "shop-1", "warn", "account", "not 22 digits"},
		"another client":          {"CODEGRANT_CLIENT", "2018092714313010016", "warn", "client", "without its last three digits"},
		"blanks in the client":    {"CODEGRANT_CLIENT", " 2022102018024210348", "FAIL", "client", "blanks around it"},
		"the client by the rule":  {"CODEGRANT_CLIENT", gatewaytest.DefaultClientID, "ok", "client", ""},
		"no salt":                 {"CODEGRANT_SALTS", "", "FAIL", "salts", "not set"},
		"a salt in lower case":    {"CODEGRANT_SALTS", strings.ToLower(gatewaytest.DefaultSalt), "warn", "salts", "salt 1 is not 24 upper-case hex digits"},
		"a salt with a blank":     {"CODEGRANT_SALTS", gatewaytest.DefaultSalt + " ", "FAIL", "salts", "Account.Salts[0] has blanks at its ends"},
		"a short salt":            {"CODEGRANT_SALTS", "SECRET", "FAIL", "salts", "shorter"},
		"a salt twice":            {"CODEGRANT_SALTS", gatewaytest.DefaultSalt + "," + gatewaytest.DefaultSalt, "FAIL", "salts", "repeats"},
		"a salt of another store": {"CODEGRANT_SALTS", "0123456789ABCDEF01234567", "FAIL", "signature", "104000"},
		"an account of another":   {"CODEGRANT_ACCOUNT", "2018092714313010016291", "FAIL", "signature", "103000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables, args := healthy(t)
			variables[tc.variable] = tc.value
			d := examine(t, variables, args...)
			d.require(t, tc.status, tc.check, tc.says)
			if tc.status == "FAIL" {
				require.Equal(t, 1, d.status)
			}
		})
	}
}

func TestDoctorKnowsPublishedSalts(t *testing.T) {
	t.Parallel()
	d := &doctor{host: codegrant.ProductionSG().Host, account: codegrant.Account{
		ID: "2018092714313010016291", ClientID: "2018092714313010016", Salts: codegrant.Salts("F78BC96A55548B2319EE68E0"), Digest: codegrant.SHA256,
	}}
	d.checkAccount(t.Context())
	d.checkSalts(t.Context())
	require.Contains(t, d.results[len(d.results)-1].Text, "salt 1 is published")
	require.True(t, d.failed())
	d.host, d.results = codegrant.Sandbox().Host, nil
	d.checkSalts(t.Context())
	require.False(t, d.failed())
}

func TestDoctorOnURLs(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		variables    map[string]string
		status, says string
	}{
		"a good one":               {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/wallet"}, "ok", ""},
		"none":                     {map[string]string{}, "warn", "not given"},
		"no TLS":                   {map[string]string{"CODEGRANT_BASE_URL": "http://shop.invalid/wallet"}, "FAIL", "https"},
		"too long":                 {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/" + strings.Repeat("w", 250)}, "FAIL", "BaseURL"},
		"a query":                  {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/wallet?a=b"}, "FAIL", "no query"},
		"a private address":        {map[string]string{"CODEGRANT_BASE_URL": "https://192.168.1.5/wallet"}, "FAIL", "BaseURL is on this machine or in a private network"},
		"a bad notification URL":   {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/", "CODEGRANT_NOTIFY_URL": "/notify"}, "FAIL", "NotifyURL"},
		"a bad return URL":         {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/", "CODEGRANT_RETURN_URL": "x"}, "FAIL", "ReturnURL"},
		"a notification URL alone": {map[string]string{"CODEGRANT_BASE_URL": "https://shop.invalid/", "CODEGRANT_NOTIFY_URL": "https://10.0.0.1/n"}, "FAIL", "NotifyURL is on this machine or in a private network"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables := tc.variables
			d := &doctor{host: codegrant.Sandbox().Host, getenv: func(string) string { return "" }}
			d.options.baseURL = variables["CODEGRANT_BASE_URL"]
			d.options.notifyURL = variables["CODEGRANT_NOTIFY_URL"]
			d.options.returnURL = variables["CODEGRANT_RETURN_URL"]
			d.checkURLs(t.Context())
			diagnosis{Checks: d.results}.require(t, tc.status, "base-url", tc.says)
		})
	}
}

func TestDoctorOnTheNotificationPath(t *testing.T) {
	t.Parallel()
	answer := func(status int, kind, body string) func(http.Handler) http.Handler {
		return func(http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, body)
			})
		}
	}
	for name, tc := range map[string]struct {
		front               func(http.Handler) http.Handler
		status, check, says string
	}{
		"a redirect to a login": {func(http.Handler) http.Handler {
			return http.RedirectHandler("/login?next=secret", http.StatusFound)
		}, "FAIL", "notify", "redirects with 302 to /login, and"},
		"a page":                      {answer(200, "text/html", "<h1>Shop"), "FAIL", "notify", "something else answers 200 (text/html)"},
		"an eager answer":             {answer(204, "", ""), "FAIL", "notify", "the token is lost"},
		"nothing mounted":             {answer(404, "text/plain", "404 page not found\n"), "FAIL", "notify", "nothing is mounted"},
		"a firewall":                  {answer(403, "text/html", "<h1>Blocked"), "FAIL", "notify", "WAF"},
		"a login":                     {answer(401, "application/json", `{"error":"login"}`), "FAIL", "notify", "wants a login"},
		"another app's 401":           {answer(401, "text/plain; charset=utf-8", "Unauthorized\n"), "FAIL", "notify", "not from a kit"},
		"a proxy without a kit":       {answer(502, "text/html", "<h1>Bad Gateway"), "FAIL", "notify", "does not reach the application"},
		"a rate limit":                {answer(429, "text/plain", ""), "FAIL", "notify", "rate limit"},
		"GET only":                    {answer(405, "text/plain", "Method Not Allowed\n"), "FAIL", "notify", "other methods"},
		"an application that crashed": {answer(500, "text/plain", "oops"), "FAIL", "notify", "500"},
		"a body that middleware has read": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				next.ServeHTTP(w, r)
			})
		}, "FAIL", "notify", "the body did not reach it"},
		"a connection that breaks": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		}, "FAIL", "notify", "EOF"},
		"silence": {func(http.Handler) http.Handler {
			return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			})
		}, "FAIL", "notify", "no answer came in time"},
		"a cached page for GET": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					return
				}
				next.ServeHTTP(w, r)
			})
		}, "warn", "notify-get", "GET is answered with 200"},
		"a path only with an id": {func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/wallet/notify/{id}", next)
			return mux
		}, "warn", "notify-no-id", "404"},
		"a small limit on bodies": {func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ContentLength > 8<<10 {
					w.WriteHeader(http.StatusRequestEntityTooLarge)
					return
				}
				next.ServeHTTP(w, r)
			})
		}, "warn", "notify-size", "413"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			variables, args := healthy(t)
			if name == "silence" {
				args = append(args, "-timeout", "200ms")
			}
			d := examine(t, variables, append(args, "-base-url", shopBehind(t, tc.front))...)
			d.require(t, tc.status, tc.check, tc.says)
			require.NotContains(t, d.text, "secret")
			require.Equal(t, tc.status == "FAIL", d.status == 1)
		})
	}
}

func TestDoctorNamesASlowPath(t *testing.T) {
	t.Parallel()
	text, _ := notifyTrouble(notifyAnswer{status: 401, body: "Unauthorized", took: time.Minute, header: http.Header{"Content-Type": {"text/plain"}}})
	require.Empty(t, text, "slow is no failure")
	if testing.Short() {
		t.Skip("takes over 3 s")
	}
	variables, args := healthy(t)
	slow := shopBehind(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			timer := time.NewTimer(slowNotify + 50*time.Millisecond)
			defer timer.Stop()
			if r.Method == http.MethodPost && r.ContentLength < 1000 {
				<-timer.C
			}
			next.ServeHTTP(w, r)
		})
	})
	d := examine(t, variables, append(args, "-timeout", "10s", "-base-url", slow)...)
	d.require(t, "warn", "notify", "only after 3.")
}

func TestDoctorOnTheGateway(t *testing.T) {
	t.Parallel()
	variables := map[string]string{"CODEGRANT_ACCOUNT": gatewaytest.DefaultAccountID, "CODEGRANT_SALTS": gatewaytest.DefaultSalt}

	gone := httptest.NewServer(nil)
	gone.Close()
	d := examine(t, variables, "-endpoint", gone.URL)
	d.require(t, "FAIL", "gateway", "connection refused")
	require.Empty(t, d.of("signature"), "said once")

	d = examine(t, variables, "-endpoint", "https://gateway.invalid")
	d.require(t, "FAIL", "gateway", "does not resolve")

	strange := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(strange.Close)
	strange.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
	d = examine(t, variables, "-endpoint", strange.URL)
	d.require(t, "FAIL", "gateway", "not trusted")

	late := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-2*time.Minute).UTC().Format(http.TimeFormat))
		_, _ = io.WriteString(w, "<h1>Hello")
	}))
	t.Cleanup(late.Close)
	d = examine(t, variables, "-endpoint", late.URL)
	d.require(t, "warn", "clock-gateway", "differ by 2m")
	d.require(t, "FAIL", "signature", "no signed answer")
}

func TestDoctorEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	var out bytes.Buffer
	status := run(ctx, environment{stdout: &out, stderr: io.Discard, getenv: func(string) string { return "" }}, []string{"doctor"})
	require.Equal(t, 1, status)
}

func TestDoctorPrintsLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	d := &doctor{}
	d.ok("a", "fine")
	d.warn("b", "Do it", "odd\x1b[31m\nwords")
	d.fail("c", "Mend it", "broken")
	require.NoError(t, d.print(&out))
	require.Equal(t, "ok a: fine\nwarn b: odd\\x1b[31m words. Do it\nFAIL c: broken. Mend it\n", out.String())
}
