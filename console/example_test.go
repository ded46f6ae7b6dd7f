package console_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// The merchant's own login stands in front; Authorize asks it once more who it
// is, so that a forgotten login lets nobody in.
func Example() {
	gateway := gatewaytest.New(gatewaytest.Config{})
	defer gateway.Close()
	store := memstore.New()
	kit, err := codegrant.New(codegrant.Config{
		Client: gateway.Client(), Store: store, Payments: store, BaseURL: "https://shop.example/wallet",
		User: func(*http.Request) (string, error) { return "ann", nil }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}

	ops, err := console.New(console.Config{
		Kit: kit, Store: store, Payments: store, Sweep: kit.Reconcile,
		Authorize: staffName, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/wallets/", http.StripPrefix("/ops/wallets", ops))

	for _, cookie := range []string{"", "staff=mia"} {
		r := httptest.NewRequest(http.MethodGet, "/ops/wallets/", nil)
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		fmt.Println(w.Code, strings.Contains(w.Body.String(), "Signed in as"))
	}
	// Output:
	// 403 false
	// 200 true
}

// staffName stands for the merchant's own session.
func staffName(r *http.Request) (string, error) {
	c, err := r.Cookie("staff")
	if err != nil {
		return "", err
	}
	return c.Value, nil
}
