package codegrant_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// A merchant with a shop in Hong Kong and one in Manila, each with an account
// of its own, on one store and under one URL.
func ExampleAccounts() {
	const hongKong, manila = "2022102018024210348001", "2022102018024210348002"
	salts := map[string]string{hongKong: "the salt of Hong Kong", manila: "the salt of Manila"}
	gateway := gatewaytest.New(gatewaytest.Config{
		BaseURL:   "https://gateway.test",
		AccountID: hongKong, Salt: salts[hongKong],
		ExtraAccounts: []gatewaytest.Account{{AccountID: manila, Salt: salts[manila]}},
	})
	defer gateway.Close()
	store := memstore.New()

	// Your own look-up: a table of accounts, a vault for the salts.
	find := func(_ context.Context, accountID string) (*codegrant.Kit, error) {
		salt, ok := salts[accountID]
		if !ok {
			return nil, codegrant.ErrNotFound
		}
		client, err := codegrant.NewClient(codegrant.ClientConfig{
			Account:    codegrant.Account{ID: accountID, Salts: codegrant.Salts(salt)},
			Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
			HTTPClient: &http.Client{Transport: gateway.Transport()},
		})
		if err != nil {
			return nil, err
		}
		return codegrant.New(codegrant.Config{
			Client: client, Store: store, BaseURL: "https://shop.example/wallet/" + accountID, User: currentUser,
			OnToken: func(_ context.Context, c codegrant.Change) error {
				fmt.Println(c.Token.UserID, c.Token.Status, "in", c.Token.AccountID)
				return nil
			},
			Logger: slog.New(slog.DiscardHandler),
		})
	}
	accounts, err := codegrant.NewAccounts(codegrant.AccountsConfig{Find: find, Store: store})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", accounts))
	gateway.DeliverTo(mux)

	ctx := context.Background()
	kit, err := accounts.Kit(ctx, manila)
	if err != nil {
		log.Fatal(err)
	}
	token, err := kit.StartSignUp(ctx, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.Approve(token.AuthURL); err != nil { // notifies /wallet/2022102018024210348002/notify/…
		log.Fatal(err)
	}
	for _, salt := range kit.SaltUsage() {
		fmt.Println("salt", salt.Salt, "verified", salt.Verified, "messages")
	}
	// Output:
	// ann active in 2022102018024210348002
	// salt 0 verified 2 messages
}
