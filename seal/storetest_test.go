package seal_test

import (
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/storetest"
)

func TestSealingStoresKeepTheContract(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		newInner func() codegrant.TokenStore
		options  []seal.Option
	}{
		{"over memstore", func() codegrant.TokenStore { return memstore.New() }, nil},
		{"over a store without options", func() codegrant.TokenStore { return newMapStore() }, nil},
		{"over a TxStore", func() codegrant.TokenStore { return txMapStore{newMapStore()} }, nil},
		{"over a TxStore that lists", func() codegrant.TokenStore { return newFullMapStore() }, nil},
		{"accepting plaintext", func() codegrant.TokenStore { return newFullMapStore() }, []seal.Option{seal.AcceptPlaintext()}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) codegrant.TokenStore {
				return sealing(t, tc.newInner(), keyring(t, "k2", "k1"), tc.options...)
			})
		})
	}
}

// The small stores that these tests put below must keep the contract
// themselves, or the tests above prove nothing.
func TestInnerStoresKeepTheContract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) codegrant.TokenStore { return newFullMapStore() })
}
