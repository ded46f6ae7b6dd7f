package redisstore_test

import (
	"log"
	"net/http"
	"os"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/customstore/redis"
	"github.com/codegrant/codegrant/seal"
)

// The kit over Redis, with the tokens sealed.
func ExampleStore() {
	keys, err := seal.ParseKeyring(os.Getenv("CODEGRANT_KEYS")) // "k1:" + openssl rand -base64 32
	if err != nil {
		log.Fatal(err)
	}
	server := redis.NewClient(&redis.Options{
		Addr:                  os.Getenv("REDIS_ADDR"),
		ContextTimeoutEnabled: true, // keep to the kit's deadlines
	})
	store, err := seal.New(redisstore.New(server, "codegrant"), keys)
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
