package codegrant_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// The notification is lost for good. A sweep asks the gateway and finds the
// token.
func ExampleKit_Reconcile() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	clock := time.Now()
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: memstore.New(), BaseURL: "https://shop.example/wallet", User: currentUser,
		OnToken: func(_ context.Context, c codegrant.Change) error {
			fmt.Println("hook:", c.Token.Status)
			return nil
		},
		Now:    func() time.Time { return clock },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))
	gateway.LoseNotifications(true)
	token, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	_ = gateway.Approve(token.AuthURL)

	clock = clock.Add(2 * time.Minute) // kit.Run sweeps once a minute by itself
	sweep, err := kit.Reconcile(exampleContext)
	fmt.Println("looked at", sweep.Looked, "settled", sweep.Settled, err)
	// Output:
	// hook: active
	// looked at 1 settled 1 <nil>
}

// One goroutine of every process sweeps until the process ends.
func ExampleKit_Run() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)

	ctx, stop := context.WithCancel(exampleContext) // signal.NotifyContext, in a server
	ended := make(chan error)
	go func() { ended <- kit.Run(ctx) }()
	stop()
	fmt.Println(<-ended)
	// Output: context canceled
}

// The salt is changed. Both are live until nothing arrives under the old one
// any more.
func ExampleKit_SaltUsage() {
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"}) // still signs with the old one
	defer gateway.Close()
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID:    gatewaytest.DefaultAccountID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt, "the new salt of the account"), // the first one signs
		},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: gateway.Transport()},
	})
	if err != nil {
		log.Fatal(err)
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet", User: currentUser,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash}); err != nil {
		log.Fatal(err)
	}
	for _, u := range kit.SaltUsage() {
		fmt.Println("salt", u.Salt, "verified", u.Verified, "never:", u.Last.IsZero())
	}
	// Output:
	// salt 0 verified 1 never: false
	// salt 1 verified 0 never: true
}

// A queue or another framework has the bytes and no request: the functions
// beneath the handlers need none.
func ExampleKit_Refresh() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	gateway.LoseNotifications(true)
	token, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.DANA})
	if err != nil {
		log.Fatal(err)
	}
	_ = gateway.Approve(token.AuthURL)
	fresh, err := kit.Refresh(exampleContext, token.ID) // what the return page does after a while
	fmt.Println(token.Status, "becomes", fresh.Status, err)
	tokens, err := kit.Tokens(exampleContext, "ann")
	fmt.Println(len(tokens), "record", err)
	// Output:
	// pending becomes active <nil>
	// 1 record <nil>
}
