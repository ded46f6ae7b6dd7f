package storetest_test

import (
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/storetest"
)

// t is the argument of your test, such as TestStore(t *testing.T).
var t *testing.T

func Example() {
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore {
		return memstore.New() // in place of your own; close it in t.Cleanup
	})
}
