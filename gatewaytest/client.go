package gatewaytest

import (
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
)

// Client returns a client of the kit for the gateway's account, which reaches
// the gateway in memory. It is the only place where the simulator meets the
// kit: encoding and signing are each side's own. It panics if Config holds an
// account that the kit refuses, such as a salt shorter than 16 characters.
func (g *Gateway) Client() *codegrant.Client {
	account := g.accounts[g.cfg.AccountID]
	host := g.cfg.BaseURL
	if host == "" {
		host = "http://localhost"
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: account.AccountID, ClientID: account.ClientID,
			Salts: codegrant.Salts(account.Salt), Digest: codegrant.Digest(g.cfg.SignType),
		},
		Endpoints: codegrant.Endpoints{
			Host: host, SignUpQuery: g.cfg.Paths.SignUpQuery, Unbind: g.cfg.Paths.Unbind,
		},
		HTTPClient: &http.Client{Transport: g.Transport()},
	})
	if err != nil {
		panic("gatewaytest: " + err.Error())
	}
	return client
}

// DeliverTo sends all notifications from now on to h, in memory and whatever
// the host of their URL. It takes the place of [Config.HTTPClient] for a
// merchant who can only be made once the gateway is there.
func (g *Gateway) DeliverTo(h http.Handler) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.client = &http.Client{Transport: HandlerTransport(h), Timeout: 10 * time.Second}
}

// notifier is the client that delivers notifications at the moment.
func (g *Gateway) notifier() *http.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.client
}
