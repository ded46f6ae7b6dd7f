// Minimal is the smallest program that mounts codegrant in a mux.
package main

import (
	"log"
	"net/http"
	"os"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

func main() {
	kit, err := newKit(os.Getenv("CODEGRANT_ACCOUNT"), os.Getenv("CODEGRANT_SALT"), os.Getenv("CODEGRANT_URL"), codegrant.Sandbox())
	if err != nil {
		log.Fatalf("%v\nSet CODEGRANT_ACCOUNT (accId), CODEGRANT_SALT and CODEGRANT_URL (public, such as https://shop.example/wallet).", err)
	}
	mux := http.NewServeMux() // yours
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newKit(accountID, salt, publicURL string, gateway codegrant.Endpoints) (*codegrant.Kit, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: accountID, Salts: codegrant.Salts(salt)},
		Endpoints: gateway,
	})
	if err != nil {
		return nil, err
	}
	return codegrant.New(codegrant.Config{
		Client:  client,
		Store:   memstore.New(), // forgets on restart: for production take sqlstore
		BaseURL: publicURL,
		User:    signedInUser,
	})
}

// signedInUser is your session code. This stub believes a cookie that anybody
// can set: replace it before real money is involved.
func signedInUser(r *http.Request) (string, error) {
	cookie, err := r.Cookie("user")
	if err != nil {
		return "", nil // nobody is signed in
	}
	return cookie.Value, nil
}
