package gatewaytest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// A merchant's own test: the kit under test is made by the merchant's own
// constructor, here newKit.
func Example() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	kit := newKit(gateway.Client())
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))

	signUp, _ := kit.StartSignUp(context.Background(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	_ = gateway.Approve(signUp.AuthURL) // ann agrees in her wallet
	receipt, _ := kit.Charge(context.Background(), codegrant.ChargeParams{
		UserID: "ann", OrderID: "order-1", Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "ann@example.com",
	})
	fmt.Println(receipt.Outcome, receipt.Amount, len(gateway.Ledger().ChargedTwice()), "charged twice")
	// Output: succeeded 99.00 PHP 0 charged twice
}

func newKit(client *codegrant.Client) *codegrant.Kit {
	kit, err := codegrant.New(codegrant.Config{
		Client:  client,
		Store:   memstore.New(),
		BaseURL: "https://shop.example/wallet",
		User:    func(*http.Request) (string, error) { return "ann", nil },
		Logger:  slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	return kit
}

// Without the kit: a client in any language signs for itself.
func ExampleSign() {
	merchant := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var members map[string]string
		_ = json.NewDecoder(r.Body).Decode(&members)
		sign := gatewaytest.Sign(gatewaytest.DefaultSalt, members["signType"], members)
		fmt.Println("notified, signature fits:", members["sign"] == sign)
		_, _ = io.WriteString(w, "OK")
	}))
	defer merchant.Close()
	gateway := gatewaytest.NewServer(gatewaytest.Config{})
	defer gateway.Close()

	members := map[string]string{
		"accId":    gatewaytest.DefaultAccountID,
		"clientId": gatewaytest.DefaultClientID,
		"signType": gatewaytest.SHA256,
		"version":  "1.0",
		"bizContent": `{"requestId":"REQ-1","merchantUserId":"user-1","bizType":"CodeGrant",` +
			`"paymentMethod":{"type":"GCash"},"device":{"orderTerminal":"01"},` +
			`"merchantResultUrl":"` + merchant.URL + `/return","notificationUrl":"` + merchant.URL + `/notify"}`,
	}
	members["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, gatewaytest.SHA256, members)
	body, _ := json.Marshal(members)
	req, _ := http.NewRequest(http.MethodPost, gateway.URL+"/v4/paymethod/bind", strings.NewReader(string(body)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()

	signUp := gateway.Ledger().Agreements[0]
	fmt.Println(signUp.Wallet, signUp.Status)
	if err := gateway.Approve(signUp.AuthURL); err != nil {
		fmt.Println(err)
	}
	fmt.Println(signUp.Wallet, gateway.Ledger().Agreements[0].Status)
	// Output:
	// GCash PENDING
	// notified, signature fits: true
	// GCash SUCCESS
}
