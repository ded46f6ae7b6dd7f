package seal_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
)

func Example() {
	ctx := context.Background()
	inner := memstore.New() // in production, the store over your database

	// os.Getenv("CODEGRANT_KEYS"), each key made by "openssl rand -base64 32".
	keys, err := seal.ParseKeyring("k1:AemxaRZCpgajlS8GwgSCFUpi0OiLpVTgZ8n2vWwgaHo=")
	if err != nil {
		fmt.Println(err)
		return
	}
	store, err := seal.New(inner, keys) // goes into codegrant.Config.Store
	if err != nil {
		fmt.Println(err)
		return
	}
	value := codegrant.NewSecret("281011120000000000000000000")
	err = store.Save(ctx, codegrant.Token{ID: "signup-1", Revision: 1, Value: value, Fingerprint: codegrant.Fingerprint(value)})
	if err != nil {
		fmt.Println(err)
		return
	}
	opened, _ := store.ByFingerprint(ctx, codegrant.Fingerprint(value))
	atRest, _ := inner.Get(ctx, "signup-1")
	fmt.Println("opens as it was:", opened.Value.Equal(value))
	fmt.Printf("at rest: %.8s...\n", atRest.Value.Reveal())

	// Rotation: the new key stands first, the old one still opens.
	keys, err = seal.ParseKeyring("k2:h9k9CNRS83y2jzH0YvIQRnHhAO3pHcGEgXWQcINy1HU=,k1:AemxaRZCpgajlS8GwgSCFUpi0OiLpVTgZ8n2vWwgaHo=")
	if err != nil {
		fmt.Println(err)
		return
	}
	rotated, err := seal.New(inner, keys)
	if err != nil {
		fmt.Println(err)
		return
	}
	done, err := seal.Reseal(ctx, rotated, seal.ResealOptions{})
	fmt.Println("resealed:", done.Resealed, err)

	// A process that was forgotten says what it lacks.
	_, err = store.Get(ctx, "signup-1")
	fmt.Println(errors.Is(err, seal.ErrUnknownKey), err)

	// Output:
	// opens as it was: true
	// at rest: cgs1.k1....
	// resealed: 1 <nil>
	// true codegrant: seal: Value of record "signup-1" is sealed with key "k2", which the keyring does not have
}
