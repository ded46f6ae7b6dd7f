package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// currentUser stands for the merchant's own session code.
func currentUser(*http.Request) (string, error) { return "ann", nil }

func exampleKit(gateway *gatewaytest.Gateway, hook func(context.Context, codegrant.Change) error) *codegrant.Kit {
	kit, err := codegrant.New(codegrant.Config{
		Client:  gateway.Client(),
		Store:   memstore.New(),
		BaseURL: "https://shop.example/wallet",
		User:    currentUser,
		OnToken: hook,
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))
	return kit
}

// The ten lines of the README.
func ExampleNew() {
	mux := http.NewServeMux()
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: os.Getenv("CODEGRANT_ACCOUNT"), Salts: codegrant.Salts(strings.Split(os.Getenv("CODEGRANT_SALTS"), ",")...)},
		Endpoints: codegrant.Sandbox(),
	})
	if err != nil {
		fmt.Println(errors.Is(err, codegrant.ErrInvalidConfig)) // the salt is not set here
		return
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: "https://shop.example/wallet", User: currentUser,
	})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	// Output: true
}

// The main job from sign-up to the end, with the simulated gateway.
func Example() {
	ctx := context.Background()
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, func(_ context.Context, c codegrant.Change) error {
		fmt.Println("hook:", c.From, "to", c.Token.Status)
		return nil
	})

	token, err := kit.StartSignUp(ctx, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("ann goes to the wallet:", token.Status)
	if err := gateway.Approve(token.AuthURL); err != nil { // ann agrees
		log.Fatal(err)
	}
	receipt, err := kit.Charge(ctx, codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("charged:", receipt.Outcome, receipt.Amount)
	if _, err := kit.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann"}); err != nil {
		log.Fatal(err)
	}
	// Output:
	// ann goes to the wallet: pending
	// hook: pending to active
	// charged: succeeded 99.00 PHP
	// hook: active to unbound
}

// What to do with each end of a charge.
func ExampleKit_Charge() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	token, _ := kit.StartSignUp(context.Background(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	_ = gateway.Approve(token.AuthURL)
	gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter}) // the answer is lost

	// Not the request's own context: a hang-up of the browser would make the
	// outcome unknown.
	ctx := context.WithoutCancel(context.Background())
	receipt, err := kit.Charge(ctx, codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		fmt.Println("unknown: find out before anything else")
		receipt, err = unknown.Resolve(ctx)
	}
	switch {
	case errors.Is(err, codegrant.ErrNoToken):
		fmt.Println("send the user to sign up")
	case err != nil:
		fmt.Println("nothing was charged:", err)
	case receipt.Outcome == codegrant.Pending:
		fmt.Println("wait for OnPayment")
	case receipt.Outcome == codegrant.Failed:
		fmt.Println("declined:", receipt.Description)
	default:
		fmt.Println("paid", receipt.Amount)
	}
	// Output:
	// unknown: find out before anything else
	// paid 99.00 PHP
}

// Middleware that lets only users with a connected wallet buy.
func ExampleKit_RequireToken() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	connectFirst := http.RedirectHandler("/wallets", http.StatusSeeOther)
	buy := kit.RequireToken(connectFirst)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := codegrant.TokenFromContext(r.Context())
		_, _ = io.WriteString(w, "paying with "+string(token.Wallet))
	}))
	w := httptest.NewRecorder()
	buy.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/buy", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /wallets
}

// Middleware for those who handle notifications on their own.
func ExampleKit_VerifyNotification() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	own := kit.VerifyNotification(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := codegrant.NotificationFromContext(r.Context())
		fmt.Println(n.Kind, "by", n.UserID, "token:", n.Token)
	}))
	body := gateway.SignedBody(`{"notifyType":"ACCESS_TOKEN_CREATION","merchantUserId":"ann","token":"7dda0a6f"}`, nil)
	for _, b := range []string{string(body), strings.Replace(string(body), "ann", "eve", 1)} {
		w := httptest.NewRecorder()
		own.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/own-notify", strings.NewReader(b)))
		fmt.Println(w.Code)
	}
	// Output:
	// signed_up by ann token: [redacted]
	// 200
	// 401
}

// On another web framework: read the body, hand it over, answer the status.
func ExampleKit_Apply() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	token, _ := kit.StartSignUp(context.Background(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	body := gateway.SignedBody(`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"`+token.ID+`","token":"7dda0a6f"}`, nil)

	err := kit.Apply(context.Background(), body, token.ID)
	fmt.Println(codegrant.HTTPStatus(err))
	err = kit.Apply(context.Background(), []byte(`{"notifyType":"ACCESS_TOKEN_CREATION"}`), token.ID)
	fmt.Println(codegrant.HTTPStatus(err), errors.Is(err, codegrant.ErrBadSignature))
	// Output:
	// 200
	// 401 true
}

// Money is whole minor units and never a float.
func ExampleAmount() {
	fmt.Println(codegrant.Amount{Minor: 10050, Currency: "HKD"})
	fmt.Println(codegrant.Amount{Minor: 500, Currency: "KRW"})
	amount, err := codegrant.ParseAmount("100.500000", "THB")
	fmt.Println(amount, err)
	// Output:
	// 100.50 HKD
	// 500 KRW
	// 100.50 THB <nil>
}
