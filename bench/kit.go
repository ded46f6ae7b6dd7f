package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func account() codegrant.Account {
	return codegrant.Account{
		ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
		Salts: codegrant.Salts(gatewaytest.DefaultSalt),
	}
}

// config is a merchant's Kit with no hook. Work that a busy machine delays is
// slow and not wrong.
func config(store codegrant.TokenStore, transport http.RoundTripper) (codegrant.Config, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: account(), Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: transport},
	})
	return codegrant.Config{
		Client: client, Store: store, BaseURL: "https://shop.test/wallet", Logger: slog.New(slog.DiscardHandler),
		User:    func(*http.Request) (string, error) { return "ann", nil },
		Timeout: time.Minute,
	}, err
}

// signer signs as the gateway does, with the simulator's own code.
type signer struct{ gateway *gatewaytest.Gateway }

func newSigner() signer { return signer{gatewaytest.New(gatewaytest.Config{})} }
func (s signer) close() { s.gateway.Close() }

// paymentBody is a signed payment notification of bodySize bytes.
func (s signer) paymentBody() []byte { return s.sized(bizPayment + `,"remark":"@"}`) }

// signUpBody is a signed sign-up notification of bodySize bytes for t.
func (s signer) signUpBody(t codegrant.Token) []byte {
	return s.sized(fmt.Sprintf(`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":%q,"merchantUserId":%q,`+
		`"token":%q,"userLoginId":"ann@example.com","remark":"@"}`, t.ID, t.UserID, tokenValue(t)))
}

// sized signs biz with its @ replaced so that the body has bodySize bytes.
func (s signer) sized(biz string) []byte {
	short := s.gateway.SignedBody(strings.Replace(biz, "@", "", 1), nil)
	return s.gateway.SignedBody(strings.Replace(biz, "@", strings.Repeat("x", max(0, bodySize-len(short))), 1), nil)
}

func tokenValue(t codegrant.Token) string { return fmt.Sprintf("%064s", t.ID) }

// pending is the record of user number i who was sent to the wallet.
func pending(i int) codegrant.Token {
	now := time.Now().UTC().Truncate(time.Microsecond)
	return codegrant.Token{
		ID: fmt.Sprintf("BENCH%021d", i), AccountID: gatewaytest.DefaultAccountID, UserID: fmt.Sprint("user-", i),
		Wallet: codegrant.GCash, Status: codegrant.StatusPending, Handled: codegrant.StatusPending, Revision: 1,
		ReturnTo: "/", CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
	}
}
