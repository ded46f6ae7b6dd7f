package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// exampleContext stands for the context of a request or of a job.
var exampleContext = context.Background()

// A hook that fails hears the same news again: nothing is lost, and the
// gateway is told that it is to come back.
func ExampleConfig_hooks() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	store := memstore.New()
	broken := true
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: store, Payments: store,
		BaseURL: "https://shop.example/wallet", User: currentUser,
		OnToken: func(_ context.Context, c codegrant.Change) error {
			if broken {
				return errors.New("the mail server is away")
			}
			fmt.Println("token of", c.Token.UserID, "rose from", c.From, "to", c.Token.Status)
			return nil
		},
		OnPayment: func(_ context.Context, n codegrant.PaymentNotification) error {
			fmt.Println(n.OrderID, n.Status, n.Amount) // once, though an answer and a notification say it
			return nil
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))

	token, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	_ = gateway.Approve(token.AuthURL)
	first := gateway.Notifications()[0]
	fmt.Println("answered:", first.Attempts[0].Status, "and the token is kept")
	broken = false
	again, err := gateway.Redeliver(first.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("answered:", again.Status)
	if _, err := kit.Charge(exampleContext, codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	}); err != nil {
		log.Fatal(err)
	}
	gateway.Wait()
	// Output:
	// answered: 503 and the token is kept
	// token of ann rose from pending to active
	// answered: 200
	// order-1 SUCCESS 99.00 PHP
}
