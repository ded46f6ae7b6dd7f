package codegrant_test

import (
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// A form on the shop's page starts a sign-up and ends at the wallet; a script
// that accepts JSON gets the address instead.
func ExampleKit_SignUp() {
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	defer gateway.Close()
	kit := exampleKit(gateway, nil)
	mux := http.NewServeMux()
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))

	post := func(accept string) *httptest.ResponseRecorder {
		form := url.Values{"wallet": {"GCash"}}.Encode()
		r := httptest.NewRequest(http.MethodPost, "https://shop.example/wallet/signup", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w
	}
	browser := post("text/html")
	fmt.Println(browser.Code, strings.HasPrefix(browser.Header().Get("Location"), "https://gateway.test/"))
	script := post("application/json")
	fmt.Println(script.Code, strings.Contains(script.Body.String(), `"authUrl":"https://gateway.test/`))
	// Output:
	// 303 true
	// 200 true
}

// Endpoints under paths of the merchant's own: the configuration says where
// notifications and returning browsers are to go.
func ExampleKit_Notify() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	store := memstore.New()
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: store, User: currentUser,
		BaseURL:   "https://shop.example/wallet",
		NotifyURL: "https://shop.example/hooks/pingpong",
		ReturnURL: "https://shop.example/account/wallet",
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/hooks/pingpong/{id}", kit.Notify())
	mux.Handle("/account/wallet/{id}", kit.Return())
	gateway.DeliverTo(mux)

	token, err := kit.StartSignUp(exampleContext, codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	if err != nil {
		log.Fatal(err)
	}
	if err := gateway.Approve(token.AuthURL); err != nil { // notifies /hooks/pingpong/…
		log.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "https://shop.example/account/wallet/"+token.ID, nil)
	r.Header.Set("Accept", "application/json")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.Contains(w.Body.String(), `"status":"active"`))
	// Output: 200 true
}

// Everything that is wrong with a configuration is said at once.
func ExampleConfigError() {
	_, err := codegrant.New(codegrant.Config{BaseURL: "http://shop.example/wallet"})
	var wrong *codegrant.ConfigError
	if errors.As(err, &wrong) {
		fmt.Println(strings.Join(wrong.Problems, "\n"))
	}
	// Output:
	// Client is missing; make one with NewClient
	// Store is missing; memstore forgets on restart, sqlstore does not
	// User is missing: it tells the kit who is signed in
	// BaseURL must be https (http only on a loopback address)
}
