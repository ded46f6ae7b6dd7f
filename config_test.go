package codegrant_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

func TestNewNamesEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	_, err := codegrant.New(codegrant.Config{})
	var bad *codegrant.ConfigError
	require.ErrorAs(t, err, &bad)
	require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
	for _, word := range []string{"Client", "Store", "User", "BaseURL"} {
		require.Contains(t, err.Error(), word)
	}
	require.Len(t, bad.Problems, 4)
}

// newConfig returns a configuration that New accepts.
func newConfig(t testing.TB) codegrant.Config {
	t.Helper()
	gateway := gatewaytest.New(gatewaytest.Config{})
	t.Cleanup(gateway.Close)
	return codegrant.Config{
		Client: gateway.Client(), Store: memstore.New(), BaseURL: "https://shop.example/wallet",
		User: func(*http.Request) (string, error) { return "ann", nil },
	}
}

// production makes the client one that calls PingPong itself.
func production(t testing.TB, c *codegrant.Config) {
	t.Helper()
	var err error
	c.Client, err = codegrant.NewClient(codegrant.ClientConfig{Account: rigAccount(), Endpoints: codegrant.ProductionSG()})
	require.NoError(t, err)
}

// urlOf returns an https URL of this many characters.
func urlOf(length int) string {
	const start = "https://shop.example/"
	return start + strings.Repeat("w", length-len(start))
}

// What the kit appends: the endpoint's name, a slash and a number of at most 40
// characters. PingPong takes URLs of 255.
const (
	longestBase   = 255 - len("/notify") - 41
	longestMounts = 255 - 41
)

func TestNewJudgesEveryPublicURL(t *testing.T) {
	t.Parallel()
	set := map[string]func(*codegrant.Config, string){
		"BaseURL":   func(c *codegrant.Config, v string) { c.BaseURL = v },
		"NotifyURL": func(c *codegrant.Config, v string) { c.NotifyURL = v },
		"ReturnURL": func(c *codegrant.Config, v string) { c.ReturnURL = v },
	}
	for _, tc := range []struct{ name, value, says string }{
		{"a path alone", "/wallet", "is not an absolute URL"},
		{"a host alone", "shop.example/SENTINEL", "is not an absolute URL"},
		{"a URL without host", "https:///SENTINEL", "is not an absolute URL"},
		{"a URL of nothing but a port", "https://:443/SENTINEL", "is not an absolute URL"},
		{"a URL without scheme", "//shop.example/SENTINEL", "must be https"},
		{"a URL with a broken escape", "https://shop.example/%zz", "is not an absolute URL"},
		{"a URL with a line end", "https://shop.example/w\n", "is not an absolute URL"},
		{"plain http outside loopback", "http://shop.example/SENTINEL", "must be https"},
		{"plain http to a loopback address that no browser takes for one", "http://[::ffff:127.0.0.1]/SENTINEL", "must be https"},
		{"plain http in a private network", "http://10.0.0.7/SENTINEL", "must be https"},
		{"plain http on what begins like loopback", "http://127.0.0.1.shop.example/SENTINEL", "must be https"},
		{"another scheme", "ftp://shop.example/SENTINEL", "must be https"},
		{"a user", "https://ann@shop.example/w", "user or password"},
		{"a password", "https://ann:SENTINEL@shop.example/w", "user or password"},
		{"a query", "https://shop.example/w?SENTINEL=1", "no query"},
		{"an empty query", "https://shop.example/w?", "no query"},
		{"a fragment", "https://shop.example/w#SENTINEL", "no query and no fragment"},
		{"an angle bracket", "https://shop.example/<w", "'<'"},
		{"a blank", "https://shop.example/a b", "no blanks"},
		{"a blank at the end", "https://shop.example/w ", "no blanks"},
		{"letters of another script in the path", "https://shop.example/錢包", "a URL must escape"},
		{"a backslash in the path", `https://shop.example/a\b`, "a URL must escape"},
		{"a quotation mark", `https://shop.example/"`, "a URL must escape"},
		{"a host in another script", "https://магазин.example/w", "ASCII host name"},
		{"a host with an empty label", "https://shop..example/w", "ASCII host name"},
		{"a host with a comma", "https://a.example,b.example/w", "ASCII host name"},
		{"port zero", "https://shop.example:0/w", "a port that exists"},
		{"a port beyond all", "https://shop.example:65536/w", "a port that exists"},
		{"an empty port", "https://shop.example:/w", "a port that exists"},
		{"an empty segment", "https://shop.example//w", "segments in its path"},
		{"two slashes at the end", "https://shop.example/w//", "segments in its path"},
		{"a dot segment", "https://shop.example/a/../w", "segments in its path"},
		{"an escaped dot segment", "https://shop.example/a/%2e%2E/w", "segments in its path"},
		{"a URL of a megabyte", urlOf(1 << 20), "is too long"},
	} {
		for field, assign := range set {
			t.Run(field+" is "+tc.name, func(t *testing.T) {
				t.Parallel()
				config := newConfig(t)
				assign(&config, tc.value)
				refused := requireRefused(t, config)
				require.Len(t, refused.Problems, 1, "%q", refused.Problems)
				require.True(t, strings.HasPrefix(refused.Problems[0], field+" "), refused.Problems[0])
				require.Contains(t, refused.Problems[0], tc.says)
			})
		}
	}
	for _, value := range []string{
		"https://shop.example", "https://shop.example/", "HTTPS://SHOP.EXAMPLE/w", "https://shop.example:8443/a/b/", "https://203.0.113.7/w",
		"https://[2001:db8::1]:443/w", "http://localhost:8080/w", "http://127.0.0.1/w", "http://[::1]/w", "https://xn--80aairftm.example/%E9%92%B1",
	} {
		for field, assign := range set {
			config := newConfig(t)
			assign(&config, value)
			_, err := codegrant.New(config)
			require.NoError(t, err, "%s = %s", field, value)
		}
	}
}

// requireRefused wants New to return a ConfigError that repeats no value.
func requireRefused(t testing.TB, config codegrant.Config) *codegrant.ConfigError {
	t.Helper()
	kit, err := codegrant.New(config)
	require.Nil(t, kit)
	var bad *codegrant.ConfigError
	require.ErrorAs(t, err, &bad)
	require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
	for _, problem := range bad.Problems {
		require.Contains(t, err.Error(), problem)
	}
	require.NotContains(t, err.Error(), "SENTINEL")
	require.NotContains(t, err.Error(), gatewaytest.DefaultSalt)
	return bad
}

func TestTheLongestPublicURLs(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*codegrant.Config)
		says   string // "" when it fits
	}{
		{"a base URL that just fits", func(c *codegrant.Config) { c.BaseURL = urlOf(longestBase) }, ""},
		{"a base URL that just fits, and a slash", func(c *codegrant.Config) { c.BaseURL = urlOf(longestBase) + "/" }, ""},
		{"a base URL one too long", func(c *codegrant.Config) { c.BaseURL = urlOf(longestBase + 1) }, "BaseURL is too long"},
		{"a notify URL that just fits", func(c *codegrant.Config) { c.NotifyURL = urlOf(longestMounts) }, ""},
		{"a notify URL one too long", func(c *codegrant.Config) { c.NotifyURL = urlOf(longestMounts + 1) }, "NotifyURL is too long"},
		{"a return URL that just fits", func(c *codegrant.Config) { c.ReturnURL = urlOf(longestMounts) }, ""},
		{"a return URL one too long", func(c *codegrant.Config) { c.ReturnURL = urlOf(longestMounts + 1) }, "ReturnURL is too long"},
		{"a long base URL that nothing is appended to", func(c *codegrant.Config) {
			c.BaseURL, c.NotifyURL, c.ReturnURL = urlOf(255), "https://shop.example/n", "https://shop.example/r"
		}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			tc.change(&config)
			if tc.says != "" {
				refused := requireRefused(t, config)
				require.Len(t, refused.Problems, 1)
				require.Contains(t, refused.Problems[0], tc.says)
				return
			}
			gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
			defer gateway.Close()
			config.Client = gateway.Client()
			kit, err := codegrant.New(config)
			require.NoError(t, err)
			_, err = kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
			require.NoError(t, err, "what fits is accepted by the gateway too")
			for _, a := range gateway.Ledger().Agreements {
				require.LessOrEqual(t, max(len(a.NotifyURL), len(a.ReturnURL)), 255)
			}
		})
	}
}

func TestNewRefusesWrongConfigs(t *testing.T) {
	t.Parallel()
	targets := func(values ...string) func(*codegrant.Config) {
		return func(c *codegrant.Config) { c.ReturnTo = values }
	}
	hosts := func(values ...string) func(*codegrant.Config) {
		return func(c *codegrant.Config) { c.AuthHosts = values }
	}
	types := func(name string, kind codegrant.Kind) func(*codegrant.Config) {
		return func(c *codegrant.Config) { c.NotifyTypes = map[string]codegrant.Kind{name: kind} }
	}
	statuses := func(name string, kind codegrant.Kind) func(*codegrant.Config) {
		return func(c *codegrant.Config) { c.SignUpStatuses = map[string]codegrant.Kind{name: kind} }
	}
	for _, tc := range []struct {
		name  string
		spoil func(*codegrant.Config)
		says  string
	}{
		{"no client", func(c *codegrant.Config) { c.Client = nil }, "Client is missing"},
		{"a client that nobody made", func(c *codegrant.Config) { c.Client = &codegrant.Client{} }, "Client was not made by NewClient"},
		{"no store", func(c *codegrant.Config) { c.Store = nil }, "Store is missing"},
		{"a nil pointer for a store", func(c *codegrant.Config) { c.Store = (*memstore.Store)(nil) }, "Store is a nil pointer"},
		{"no user function", func(c *codegrant.Config) { c.User = nil }, "User is missing"},
		{"no base URL", func(c *codegrant.Config) { c.BaseURL = "" }, "BaseURL is missing"},
		{"no base URL beside a notify URL", func(c *codegrant.Config) { c.BaseURL, c.NotifyURL = "", "https://shop.example/n" }, "BaseURL is missing"},
		{"a wrong base URL that is not used", func(c *codegrant.Config) {
			c.BaseURL, c.NotifyURL, c.ReturnURL = "http://shop.example", "https://shop.example/n", "https://shop.example/r"
		}, "BaseURL must be https"},
		{"one URL for notifications and browsers", func(c *codegrant.Config) {
			c.NotifyURL, c.ReturnURL = "https://shop.example/x", "https://shop.example/x/"
		}, "must not be the same"},
		{"the default return URL for notifications", func(c *codegrant.Config) { c.NotifyURL = c.BaseURL + "/return" }, "must not be the same"},
		{"production notified on this machine", func(c *codegrant.Config) { production(t, c); c.BaseURL = "http://localhost:8080/w" }, "BaseURL is on this machine"},
		{"production notified on loopback", func(c *codegrant.Config) { production(t, c); c.NotifyURL = "https://127.0.0.1/n" }, "NotifyURL is on this machine"},
		{"production notified in a private network", func(c *codegrant.Config) { production(t, c); c.BaseURL = "https://192.168.1.7/w" }, "private network"},
		{"production notified in a private IPv6 network", func(c *codegrant.Config) { production(t, c); c.BaseURL = "https://[fd00::7]/w" }, "private network"},
		{"production notified at a link", func(c *codegrant.Config) { production(t, c); c.BaseURL = "https://169.254.169.254/w" }, "private network"},
		{"a return target of another scheme", targets("javascript:alert(1)"), "ReturnTo[0]"},
		{"a return target of plain http", targets("http://shop.example/"), "ReturnTo[0]"},
		{"a return target that is a host", targets("//evil.example"), "ReturnTo[0]"},
		{"a return target with a backslash", targets(`/\evil.example`), "ReturnTo[0]"},
		{"a return target with a tab", targets("/\t/evil.example"), "ReturnTo[0]"},
		{"a return target with a line end", targets("/account\r\nSet-Cookie: SENTINEL=1"), "ReturnTo[0]"},
		{"a return target with a user", targets("https://shop.example@evil.example/"), "ReturnTo[0]"},
		{"a return target without a slash", targets("account"), "ReturnTo[0]"},
		{"a return target without a host", targets("https:/account"), "ReturnTo[0]"},
		{"a return target with a port beyond all", targets("https://shop.example:99999/"), "ReturnTo[0]"},
		{"a return target on a host in another script", targets("https://shор.example/"), "ReturnTo[0]"},
		{"an empty return target", targets(""), "ReturnTo[0]"},
		{"a bad return target behind a good one", targets("/account", " /account"), "ReturnTo[1]"},
		{"an auth host with a scheme", hosts("https://w.example"), "AuthHosts[0]"},
		{"an auth host with a port", hosts("w.example:443"), "AuthHosts[0]"},
		{"an auth host with a path", hosts("w.example/"), "AuthHosts[0]"},
		{"an auth host with a wildcard", hosts("*.w.example"), "AuthHosts[0]"},
		{"an auth host that begins with a dot", hosts(".w.example"), "AuthHosts[0]"},
		{"an auth host that ends with a dot", hosts("w.example."), "AuthHosts[0]"},
		{"an auth host in another script", hosts("кошелёк.example"), "AuthHosts[0]"},
		{"an auth host with a blank", hosts(" w.example"), "AuthHosts[0]"},
		{"an empty auth host behind a good one", hosts("w.example", ""), "AuthHosts[1]"},
		{"a negative body cap", func(c *codegrant.Config) { c.MaxBody = -1 }, "MaxBody"},
		{"a body cap in KiB", func(c *codegrant.Config) { c.MaxBody = 64 }, "MaxBody is below 4096 bytes"},
		{"a body cap one byte too small", func(c *codegrant.Config) { c.MaxBody = 4095 }, "MaxBody is below"},
		{"a negative time-out", func(c *codegrant.Config) { c.Timeout = -time.Second }, "Timeout must not be negative"},
		{"a time-out without its unit", func(c *codegrant.Config) { c.Timeout = 3 }, "Timeout is below 1 ms"},
		{"a negative read time-out", func(c *codegrant.Config) { c.ReadTimeout = -1 }, "ReadTimeout must not be negative"},
		{"a read time-out without its unit", func(c *codegrant.Config) { c.ReadTimeout = 5 }, "ReadTimeout is below 1 ms"},
		{"a negative wait", func(c *codegrant.Config) { c.PendingFor = -1 }, "PendingFor must not be negative"},
		{"a wait without its unit", func(c *codegrant.Config) { c.PendingFor = 30 }, "PendingFor is below 1 ms"},
		{"an unknown kind", types("X", "nonsense"), "NotifyTypes"},
		{"a kind in capitals", types("X", "SIGNED_UP"), "NotifyTypes"},
		{"a type without a name", types("", codegrant.KindSignedUp), "NotifyTypes"},
		{"a type with a blank name", types(" ", codegrant.KindSignedUp), "NotifyTypes"},
		{"an unknown kind for a status", statuses("X", "nonsense"), "SignUpStatuses"},
		{"a status without a name", statuses("", codegrant.KindSignedUp), "SignUpStatuses"},
		{"a status that is a payment", statuses("SUCCESS", codegrant.KindPayment), "SignUpStatuses"},
		{"a status that is a refund", statuses("SUCCESS", codegrant.KindRefund), "SignUpStatuses"},
		{"a logger that nobody made", func(c *codegrant.Config) { c.Logger = &slog.Logger{} }, "Logger has no handler"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			tc.spoil(&config)
			refused := requireRefused(t, config)
			require.Len(t, refused.Problems, 1, "%q", refused.Problems)
			require.Contains(t, refused.Problems[0], tc.says)
		})
	}
}

// TestNewAcceptsWhatIsRight are the neighbours of what is refused.
func TestNewAcceptsWhatIsRight(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*codegrant.Config){
		"a store by value":                  func(c *codegrant.Config) { c.Store = struct{ codegrant.TokenStore }{memstore.New()} },
		"the smallest body cap":             func(c *codegrant.Config) { c.MaxBody = 4096 },
		"the shortest time-outs":            func(c *codegrant.Config) { c.Timeout, c.ReadTimeout = time.Millisecond, time.Millisecond },
		"an auth host in capitals":          func(c *codegrant.Config) { c.AuthHosts = []string{"W.Example"} },
		"an auth host by number":            func(c *codegrant.Config) { c.AuthHosts = []string{"203.0.113.7"} },
		"targets with query and fragment":   func(c *codegrant.Config) { c.ReturnTo = []string{"/a?b=c#d", "https://app.example:8443/x"} },
		"a target on this machine":          func(c *codegrant.Config) { c.ReturnTo = []string{"http://localhost:5173/"} },
		"a payment under another name":      func(c *codegrant.Config) { c.NotifyTypes = map[string]codegrant.Kind{"PAY": codegrant.KindPayment} },
		"a type to be ignored":              func(c *codegrant.Config) { c.NotifyTypes = map[string]codegrant.Kind{"X": codegrant.KindUnknown} },
		"production notified from outside":  func(c *codegrant.Config) { production(t, c) },
		"production notified by a number":   func(c *codegrant.Config) { production(t, c); c.BaseURL = "https://203.0.113.7/w" },
		"production with a local page only": func(c *codegrant.Config) { production(t, c); c.ReturnURL = "http://localhost:8080/r" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := newConfig(t)
			change(&config)
			_, err := codegrant.New(config)
			require.NoError(t, err)
		})
	}
}

func TestEveryMistakeAtOnceIsNamed(t *testing.T) {
	t.Parallel()
	refused := requireRefused(t, codegrant.Config{
		Client: &codegrant.Client{}, Store: (*memstore.Store)(nil), BaseURL: "http://SENTINEL.example",
		NotifyURL: "https://shop.example/?SENTINEL", ReturnURL: "SENTINEL", ReturnTo: []string{"SENTINEL", "/", "//SENTINEL"},
		AuthHosts: []string{"https://SENTINEL", "w.example", ""}, MaxBody: 1, ReadTimeout: -1, Timeout: 3, PendingFor: -1,
		NotifyTypes: map[string]codegrant.Kind{"SENTINEL": "SENTINEL"}, SignUpStatuses: map[string]codegrant.Kind{"SENTINEL": "SENTINEL"},
		Logger: &slog.Logger{},
	})
	fields := make([]string, len(refused.Problems))
	for i, problem := range refused.Problems {
		fields[i], _, _ = strings.Cut(problem, " ")
	}
	require.Equal(t, []string{
		"Client", "Store", "User", "BaseURL", "NotifyURL", "ReturnURL", "ReturnTo[0]", "ReturnTo[2]", "AuthHosts[0]", "AuthHosts[2]",
		"MaxBody", "ReadTimeout", "Timeout", "PendingFor", "NotifyTypes", "SignUpStatuses", "Logger",
	}, fields)
}

func TestTheWalletsHostMayBeConfiguredInCapitals(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) { c.AuthHosts = []string{"Gateway.TEST"} }))
	require.NotEmpty(t, s.start(t, "ann").AuthURL)
}
