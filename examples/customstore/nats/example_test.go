package natsstore_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/customstore/nats"
	"github.com/codegrant/codegrant/seal"
)

// The kit over NATS, with the tokens sealed.
func ExampleStore() {
	conn, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		log.Fatal(err)
	}
	js, err := jetstream.New(conn)
	if err != nil {
		log.Fatal(err)
	}
	tokens, err := natsstore.Open(context.Background(), js, "codegrant", 3)
	if err != nil {
		log.Fatal(err)
	}
	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS")) // "k1:" + openssl rand -base64 32
	if err != nil {
		log.Fatal(err)
	}
	store, err := seal.New(tokens, keys)
	if err != nil {
		log.Fatal(err)
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: os.Getenv("CODEGRANT_ACCOUNT"), Salts: codegrant.Salts(strings.Split(os.Getenv("CODEGRANT_SALTS"), ",")...)},
		Endpoints: codegrant.Sandbox(),
	})
	if err != nil {
		log.Fatal(err)
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, BaseURL: "https://shop.example/wallet",
		User: func(*http.Request) (string, error) { return "ann", nil }, // your session code
	})
	if err != nil {
		log.Fatal(err)
	}
	http.Handle("/wallet/", http.StripPrefix("/wallet", kit))
}
