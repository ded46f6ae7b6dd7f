// Minimal is the smallest program that mounts codegrant in a mux.
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

func main() {
	gateway := codegrant.Sandbox()
	gateway.Host = cmp.Or(os.Getenv("CODEGRANT_GATEWAY"), gateway.Host) // that of "codegrant simulate", to try it offline
	kit, err := newKit(os.Getenv("CODEGRANT_ACCOUNT"), os.Getenv("CODEGRANT_SALTS"), os.Getenv("CODEGRANT_BASE_URL"), gateway)
	if err != nil {
		log.Fatalf("%v\nSet CODEGRANT_ACCOUNT (accId), CODEGRANT_SALTS and CODEGRANT_BASE_URL (public, such as https://shop.example/wallet).", err)
	}
	mux := http.NewServeMux() // yours
	mux.Handle("/wallet/", http.StripPrefix("/wallet", kit))
	server := &http.Server{Addr: ":8080", Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newKit(accountID, salts, publicURL string, gateway codegrant.Endpoints) (*codegrant.Kit, error) {
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: accountID, Salts: codegrant.Salts(strings.Split(salts, ",")...)},
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
