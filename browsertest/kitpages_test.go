package browsertest

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// plainKit is a merchant without pages of their own, whose only user is ann. It
// returns the URL at which the kit is mounted.
func plainKit(t *testing.T) (*codegrant.Kit, *gatewaytest.Server, string) {
	t.Helper()
	gateway := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(gateway.Close)
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: memstore.New(), BaseURL: base + "/wallet",
		User:   func(*http.Request) (string, error) { return "ann", nil },
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	server.Config.Handler = mux
	server.Start()
	t.Cleanup(server.Close)
	return kit, gateway, base + "/wallet"
}

// kitPages looks at the kit's plain pages, which the shop replaces.
func (s *street) kitPages(t *testing.T) {
	kit, gateway, base := plainKit(t)
	p := s.arrive(t, "kit", phone)
	signUp, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.TrueMoney})
	require.NoError(t, err)
	p.visit(base + "/return/" + signUp.ID)
	p.sees("main[data-status=pending]")
	p.look("pending")
	require.NoError(t, gateway.Approve(signUp.AuthURL))
	p.sees("main[data-status=active]")
	p.reads("h1", "True Money is connected")
	p.look("connected")

	p.watch.expect("404")
	p.visit(base + "/return/NOSUCH")
	p.reads("h1", "Nothing here")
	p.look("error")
}
