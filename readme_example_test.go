package codegrant_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

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
		Account:   codegrant.Account{ID: os.Getenv("CODEGRANT_ACCOUNT"), Salts: codegrant.Salts(strings.Split(os.Getenv("CODEGRANT_SALTS"), ",")...)},
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

// TestReadmesTestOfAMerchant is what README says a merchant's test is.
func TestReadmesTestOfAMerchant(t *testing.T) {
	t.Parallel()
	newKit := func(client *codegrant.Client) *codegrant.Kit {
		kit, err := codegrant.New(codegrant.Config{
			Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet",
			User: func(*http.Request) (string, error) { return "ann", nil },
		})
		require.NoError(t, err)
		return kit
	}
	outcome, charges, err := readmeTest(t.Context(), t, newKit, codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	})
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, outcome)
	require.Equal(t, 1, charges)
}

func readmeTest(
	ctx context.Context, t *testing.T, newKit func(*codegrant.Client) *codegrant.Kit, charge codegrant.ChargeParams,
) (codegrant.Outcome, int, error) {
	gateway := gatewaytest.New(gatewaytest.Config{}) // NewServer for a browser: its wallet pages then have an address
	t.Cleanup(gateway.Close)
	kit := newKit(gateway.Client())                     // your constructor, with the simulator's *codegrant.Client
	gateway.DeliverTo(http.StripPrefix("/wallet", kit)) // or your whole server: notifications go there, in memory
	signUp, err := kit.StartSignUp(ctx, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		return "", 0, err
	}
	err = gateway.Approve(signUp.AuthURL) // the user agrees, and the notification is delivered
	if err != nil {
		return "", 0, err
	}
	receipt, err := kit.Charge(ctx, charge)
	if err != nil {
		return "", 0, err
	}
	fmt.Println(receipt.Outcome, len(gateway.Ledger().Charges)) // succeeded 1
	return receipt.Outcome, len(gateway.Ledger().Charges), nil
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

var _ = []any{readmeMount, readmeHooks, readmeReconcile, readmeCharge, readmeStore}
