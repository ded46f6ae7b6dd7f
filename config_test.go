package codegrant_test

import (
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

func TestNewRefusesWrongConfigs(t *testing.T) {
	t.Parallel()
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	client := gateway.Client()
	for _, tc := range []struct {
		name  string
		spoil func(*codegrant.Config)
		says  string
	}{
		{"no client", func(c *codegrant.Config) { c.Client = nil }, "Client is missing"},
		{"no store", func(c *codegrant.Config) { c.Store = nil }, "Store is missing"},
		{"no user function", func(c *codegrant.Config) { c.User = nil }, "User is missing"},
		{"no base URL", func(c *codegrant.Config) { c.BaseURL = "" }, "BaseURL is missing"},
		{"a relative base URL", func(c *codegrant.Config) { c.BaseURL = "/wallet" }, "BaseURL is not an absolute URL"},
		{"plain http outside loopback", func(c *codegrant.Config) { c.BaseURL = "http://shop.example/wallet" }, "must be https"},
		{"a base URL with a query", func(c *codegrant.Config) { c.BaseURL = "https://shop.example/w?x=1" }, "no query"},
		{"a base URL with a user", func(c *codegrant.Config) { c.BaseURL = "https://a:b@shop.example/w" }, "user or password"},
		{"a base URL with an angle bracket", func(c *codegrant.Config) { c.BaseURL = "https://shop.example/<w" }, "'<'"},
		{"a base URL too long for a notification URL", func(c *codegrant.Config) {
			c.BaseURL = "https://shop.example/" + strings.Repeat("w", 200)
		}, "BaseURL is too long"},
		{"a notify URL too long", func(c *codegrant.Config) {
			c.NotifyURL = "https://shop.example/" + strings.Repeat("w", 200)
		}, "NotifyURL is too long"},
		{"a notify URL by http", func(c *codegrant.Config) { c.NotifyURL = "http://shop.example/n" }, "NotifyURL must be https"},
		{"a return URL with a query", func(c *codegrant.Config) { c.ReturnURL = "https://shop.example/r?x" }, "ReturnURL must have no query"},
		{"a return target of another scheme", func(c *codegrant.Config) { c.ReturnTo = []string{"javascript:alert(1)"} }, "ReturnTo"},
		{"a return target that is a host", func(c *codegrant.Config) { c.ReturnTo = []string{"//evil.example"} }, "ReturnTo"},
		{"a return target with a backslash", func(c *codegrant.Config) { c.ReturnTo = []string{`/\evil.example`} }, "ReturnTo"},
		{"an empty return target", func(c *codegrant.Config) { c.ReturnTo = []string{""} }, "ReturnTo"},
		{"an auth host with a scheme", func(c *codegrant.Config) { c.AuthHosts = []string{"https://w.example"} }, "AuthHosts"},
		{"a negative body cap", func(c *codegrant.Config) { c.MaxBody = -1 }, "MaxBody"},
		{"a negative time-out", func(c *codegrant.Config) { c.Timeout = -time.Second }, "Timeout"},
		{"an unknown kind", func(c *codegrant.Config) { c.NotifyTypes = map[string]codegrant.Kind{"X": "nonsense"} }, "NotifyTypes"},
		{"an unknown kind for a status", func(c *codegrant.Config) { c.SignUpStatuses = map[string]codegrant.Kind{"X": "nonsense"} }, "SignUpStatuses"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			config := codegrant.Config{
				Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet",
				User: func(*http.Request) (string, error) { return "ann", nil },
			}
			tc.spoil(&config)
			kit, err := codegrant.New(config)
			require.Nil(t, kit)
			var bad *codegrant.ConfigError
			require.ErrorAs(t, err, &bad)
			require.Len(t, bad.Problems, 1, err)
			require.Contains(t, err.Error(), tc.says)
		})
	}
}
