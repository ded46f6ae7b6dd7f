package codegrant_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

func TestNewClientNamesEveryMistake(t *testing.T) {
	t.Parallel()
	good := codegrant.ClientConfig{Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: rigHost}}
	type config = codegrant.ClientConfig
	salts := func(values ...string) func(*config) {
		return func(c *config) { c.Account.Salts = codegrant.Salts(values...) }
	}
	host := func(h string) func(*config) { return func(c *config) { c.Endpoints.Host = h } }
	path := func(p string) func(*config) { return func(c *config) { c.Endpoints.Unbind = p } }
	const secret = "SENTINELSENTINEL"
	tests := []struct {
		name   string
		change func(*config)
		want   []string // one part of each problem; none means that it is right
	}{
		{"nothing at all", func(c *config) { *c = config{} }, []string{"Account.ID", "Account.Salts", "Endpoints.Host"}},
		{"no salts", salts(), []string{"at least one salt"}},
		{"a blank salt", salts(""), []string{"Salts[0] is blank"}},
		{"a salt of white space", salts(strings.Repeat(" ", 24)), []string{"Salts[0] is blank"}},
		{"a salt of other white space", salts(strings.Repeat("\u3000\t\n", 8)), []string{"Salts[0] is blank"}},
		{"a blank salt behind a good one", salts(secret, ""), []string{"Salts[1] is blank"}},
		{"a salt with a line end", salts(secret + "\n"), []string{"Salts[0] has blanks"}},
		{"a short salt", salts("SENTINEL"), []string{"Salts[0] is shorter"}},
		{"three bad salts", salts("", secret, "SENTINEL", " "+secret), []string{"Salts[0]", "Salts[2]", "Salts[3]"}},
		{"two salts in one line", salts(secret + "\n" + secret), []string{"Salts[0] has control characters"}},
		{"two salts of a file in one", salts(secret + "\x00" + secret), []string{"Salts[0] has control characters"}},
		{"the same salt twice", salts(secret, secret+"2", secret), []string{"Salts[2] repeats"}},
		{"a salt of fifteen characters", salts(secret[:15]), []string{"Salts[0] is shorter"}},
		{"a salt of sixteen characters", salts(secret), nil},
		{"a salt of more than letters and digits", salts(secret + "-é +/="), nil},
		{"a salt with a control character beyond ASCII", salts(secret + "\u0085" + secret), []string{"Salts[0] has control characters"}},
		{"a salt that ends with a blank beyond ASCII", salts(secret + "\u3000"), []string{"Salts[0] has blanks"}},
		{"a short salt of more than letters and digits", salts("SENTINEL-+"), []string{"Salts[0] is shorter"}},
		{"no salts at all but an empty list", func(c *config) { c.Account.Salts = []codegrant.Secret{} }, []string{"at least one salt"}},
		{"a zero secret for a salt", func(c *config) { c.Account.Salts = make([]codegrant.Secret, 1) }, []string{"Salts[0] is blank"}},
		{"an unknown digest", func(c *config) { c.Account.Digest = "SHA1" }, []string{"Account.Digest"}},
		{"a digest in lower case", func(c *config) { c.Account.Digest = "sha256" }, []string{"Account.Digest"}},
		{"MD5", func(c *config) { c.Account.Digest = codegrant.MD5 }, nil},
		{"an account that splits the signed text", func(c *config) { c.Account.ID = "a&b=c12" }, []string{"Account.ID"}},
		{"a long account", func(c *config) { c.Account.ID = strings.Repeat("1", 65); c.Account.ClientID = "1" }, []string{"Account.ID"}},
		{"an account too short to cut", func(c *config) { c.Account.ID = "123" }, []string{"Account.ClientID"}},
		{"a short account with its client", func(c *config) { c.Account.ID = "123"; c.Account.ClientID = "1" }, nil},
		{"a client with a blank", func(c *config) { c.Account.ClientID = "1 2" }, []string{"Account.ClientID"}},
		{"no host", host(""), []string{"Endpoints.Host is missing"}},
		{"plain http", host("http://gateway.test"), []string{"Endpoints.Host must be https"}},
		{"plain http to a private address", host("http://192.168.1.1"), []string{"Endpoints.Host must be https"}},
		{"plain http to what begins like loopback", host("http://localhost.test"), []string{"Endpoints.Host must be https"}},
		{"plain http on this machine", host("http://127.0.0.1:8080"), nil},
		{"plain http on this machine by name", host("http://localhost"), nil},
		{"plain http on this machine by IPv6", host("http://[::1]:80"), nil},
		{"a slash at the end", host("https://gateway.test/"), nil},
		{"another scheme", host("ftp://gateway.test"), []string{"Endpoints.Host must be https"}},
		{"no scheme", host("gateway.test"), []string{"scheme and host only"}},
		{"a host with a path", host("https://gateway.test/v4"), []string{"scheme and host only"}},
		{"a host with a query", host("https://gateway.test?x=1"), []string{"scheme and host only"}},
		{"a host with an empty query", host("https://gateway.test?"), []string{"scheme and host only"}},
		{"a host with a fragment", host("https://gateway.test#x"), []string{"scheme and host only"}},
		{"a host with an empty fragment", host("https://gateway.test#"), []string{"scheme and host only"}},
		{"a host with a password", host("https://u:SENTINEL@gateway.test"), []string{"scheme and host only"}},
		{"a scheme alone", host("https://"), []string{"scheme and host only"}},
		{"a port alone", host("https://:8443"), []string{"scheme and host only"}},
		{"a host with port zero", host("https://gateway.test:0"), []string{"a port that exists"}},
		{"a host with a port beyond all", host("https://gateway.test:65536"), []string{"a port that exists"}},
		{"a host with the last port", host("https://gateway.test:65535"), nil},
		{"a host with an empty port", host("https://gateway.test:"), []string{"a port that exists"}},
		{"a host in another script", host("https://gatewаy.test"), []string{"ASCII host name"}},
		{"a host with an empty label", host("https://gateway..test"), []string{"ASCII host name"}},
		{"a host with a comma", host("https://gateway.test,other.test"), []string{"ASCII host name"}},
		{"two hosts with a backslash", host(`https://gateway.test\other.test`), []string{"scheme and host only"}},
		{"a host that is no URL", host("https://gate way"), []string{"scheme and host only"}},
		{"a path without a slash", path("v4/unbind"), []string{"a path must begin"}},
		{"a path with a query", path("/v4/unbind?x=1"), []string{"a path must begin"}},
		{"a path with a fragment", path("/v4/unbind#x"), []string{"a path must begin"}},
		{"a path with a blank", path("/v4/un bind"), []string{"a path must begin"}},
		{"a path with a control character", path("/v4/unbind\n"), []string{"a path must begin"}},
		{"a path with a broken escape", path("/v4/%zz"), []string{"a path must begin"}},
		{"a path switched off", path(codegrant.Disabled), nil},
		{"a time-out without its unit", func(c *config) { c.Timeout = 30 }, []string{"Timeout is below 1 ms"}},
		{"the shortest time-out", func(c *config) { c.Timeout = time.Millisecond }, nil},
		{"a blank success code", func(c *config) { c.SuccessCodes = []string{"000000", " "} }, []string{"SuccessCodes must not hold a blank"}},
		{"an empty code for a token that is gone", func(c *config) { c.TokenGoneCodes = []string{""} }, []string{"TokenGoneCodes must not hold a blank"}},
		{"success for a token that is gone", func(c *config) { c.TokenGoneCodes = []string{"001000"} }, []string{"a code of SuccessCodes"}},
		{"a code that is both", func(c *config) { c.SuccessCodes, c.TokenGoneCodes = []string{"1"}, []string{"2", "1"} }, []string{"a code of SuccessCodes"}},
		{"negative limits", func(c *config) { c.Timeout, c.MaxResponse = -1, -1 }, []string{"Timeout", "MaxResponse"}},
		{"everything at once", func(c *config) {
			*c = config{
				Account:   codegrant.Account{ID: "?", ClientID: "1 2", Salts: codegrant.Salts("", "SENTINEL"), Digest: "?"},
				Endpoints: codegrant.Endpoints{Host: "http://gateway.test", Pay: "x"}, Timeout: -1, MaxResponse: -1,
				SuccessCodes: []string{"", "1"}, TokenGoneCodes: []string{"1", ""},
			}
		}, []string{
			"Account.ID", "Account.ClientID", "Salts[0]", "Salts[1]", "Digest", "Host", "path", "Timeout", "MaxResponse",
			"SuccessCodes", "TokenGoneCodes must not hold a blank", "TokenGoneCodes must not hold a code",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := good
			tt.change(&cfg)
			client, err := codegrant.NewClient(cfg)
			if len(tt.want) == 0 {
				require.NoError(t, err)
				return
			}
			var refused *codegrant.ConfigError
			require.ErrorAs(t, err, &refused)
			require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
			require.Nil(t, client)
			require.Len(t, refused.Problems, len(tt.want), "%q", refused.Problems)
			for i, want := range tt.want {
				require.Contains(t, refused.Problems[i], want)
				require.Contains(t, err.Error(), refused.Problems[i])
			}
			requireDiscreet(t, err, "SENTINEL")
		})
	}
}

func TestAClientSharesNothingWithItsConfiguration(t *testing.T) {
	t.Parallel()
	tap := &wireTap{reply: answering(200, signedAnswer(`{"authUrl":"https://w.example/"}`, map[string]string{"code": "009000"}))}
	cfg := codegrant.ClientConfig{
		Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: rigHost},
		HTTPClient: &http.Client{Transport: tap}, SuccessCodes: []string{"009000"}, TokenGoneCodes: []string{"107009"},
	}
	client, err := codegrant.NewClient(cfg)
	require.NoError(t, err)
	cfg.Account.Salts[0], cfg.SuccessCodes[0], cfg.TokenGoneCodes[0] = codegrant.NewSecret("SENTINELSENTINEL"), "x", "x"
	_, err = client.SignUp(t.Context(), signUpRequest())
	require.NoError(t, err)
	tap.reply = answering(200, signedAnswer("", map[string]string{"code": "107009", "description": "no"}))
	_, err = client.Pay(t.Context(), payRequest())
	require.ErrorIs(t, err, codegrant.ErrTokenGone)
}
