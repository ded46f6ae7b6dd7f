package codegrant_test

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"os"
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

// The README's snippets, compiled. TestReadmeSnippetsAreCompiled holds the two
// together.

type userBook struct{}

func (userBook) WalletConnected(context.Context, string, codegrant.Wallet) error { return nil }
func (userBook) WalletGone(context.Context, string, codegrant.Wallet) error      { return nil }

type orderBook struct{}

func (orderBook) SetState(context.Context, string, codegrant.PaymentStatus) error { return nil }

func readmeMount(mux *http.ServeMux) error {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: os.Getenv("PINGPONG_ACC_ID"), Salts: codegrant.Salts(os.Getenv("PINGPONG_SALT"))},
		Endpoints: codegrant.Sandbox(),
	})
	if err != nil {
		return err
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet", User: currentUser,
	})
	if err != nil {
		return err
	}
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	return nil
}

func readmeHooks(users userBook, orders orderBook) codegrant.Config {
	return codegrant.Config{
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			switch c.Token.Status {
			case codegrant.StatusActive:
				return users.WalletConnected(ctx, c.Token.UserID, c.Token.Wallet)
			case codegrant.StatusUnbound:
				return users.WalletGone(ctx, c.Token.UserID, c.Token.Wallet)
			}
			return nil
		},
		OnPayment: func(ctx context.Context, n codegrant.PaymentNotification) error {
			return orders.SetState(ctx, n.OrderID, n.Status) // SUCCESS is final, FAILED is not
		},
	}
}

func readmeReconcile(ctx context.Context, kit *codegrant.Kit) {
	go kit.Run(ctx) // sweeps once a minute, until ctx ends; kit.Reconcile(ctx) is one sweep, for your own timer
}

func readmeCharge(r *http.Request, kit *codegrant.Kit) (codegrant.Receipt, error) {
	ctx := context.WithoutCancel(r.Context()) // a browser that hangs up must not make the outcome unknown
	receipt, err := kit.Charge(ctx, codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx) // ask before anything else; never charge under a new number
	}
	return receipt, err
}

func readmeTest(t *testing.T, newShop func(*codegrant.Client) http.Handler, signUp codegrant.Token) {
	gateway := gatewaytest.New(gatewaytest.Config{})
	t.Cleanup(gateway.Close)
	shop := newShop(gateway.Client())      // your own constructor
	gateway.DeliverTo(shop)                // notifications go to your handler, in memory
	err := gateway.Approve(signUp.AuthURL) // the user agrees; the token has arrived when this returns
	if err != nil {
		t.Fatal(err)
	}
}

func readmeStore(ctx context.Context, db *sql.DB) (codegrant.TokenStore, error) {
	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS")) // "k1:" and 32 random bytes in base64
	if err != nil {
		return nil, err
	}
	plain, err := sqlstore.New(db, sqlstore.PostgreSQL, sqlstore.Options{})
	if err != nil {
		return nil, err
	}
	err = plain.Migrate(ctx) // any number of processes may do this at once
	if err != nil {
		return nil, err
	}
	store, err := seal.New(plain, keys) // Config.Store: token values never rest in the clear
	if err != nil {
		return nil, err
	}
	return store, nil
}

type merchantBook struct{}

func (merchantBook) Kit(context.Context, string) (*codegrant.Kit, error) {
	return nil, codegrant.ErrNotFound
}

func readmeAccounts(mux *http.ServeMux, merchants merchantBook, store codegrant.TokenStore) error {
	accounts, err := codegrant.NewAccounts(codegrant.AccountsConfig{
		Find:  merchants.Kit, // your look-up of an account's Kit; or Kits: []*codegrant.Kit{…} for a fixed set
		Store: store,         // the one that all the Kits share
	})
	if err != nil {
		return err
	}
	mux.Handle("/wallet/", http.StripPrefix("/wallet", accounts)) // each Kit's BaseURL is https://shop.example/wallet/ACCOUNT
	return nil
}

var _ = []any{readmeMount, readmeHooks, readmeReconcile, readmeCharge, readmeAccounts, readmeTest, readmeStore}
