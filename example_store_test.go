package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/codegrant/codegrant"
)

// A store of one's own, as docs/store.md writes it in about a hundred lines: a
// save is guarded by the revision, and what was saved is there after a restart.
func ExampleTokenStore() {
	folder, err := os.MkdirTemp("", "codegrant")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	var store codegrant.TokenStore
	store, err = openFileStore(filepath.Join(folder, "tokens"))
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	signUp := codegrant.Token{ID: "REQ-1", UserID: "ann", Status: codegrant.StatusPending, Revision: 1}
	fmt.Println(store.Save(ctx, signUp))
	fmt.Println(errors.Is(store.Save(ctx, signUp), codegrant.ErrConflict)) // it is there already

	store, err = openFileStore(filepath.Join(folder, "tokens")) // after a restart
	if err != nil {
		log.Fatal(err)
	}
	found, err := store.Get(ctx, "REQ-1")
	fmt.Println(found.UserID, found.Status, err)
	// Output:
	// <nil>
	// true
	// ann pending <nil>
}
