package memstore_test

import (
	"testing"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) codegrant.TokenStore { return memstore.New() })
}

// The cases have to get along in a database that they share.
func TestStoreThatCasesShare(t *testing.T) {
	t.Parallel()
	shared := memstore.New()
	storetest.Run(t, func(*testing.T) codegrant.TokenStore { return shared })
}

func TestPayments(t *testing.T) {
	t.Parallel()
	storetest.RunPayments(t, func(*testing.T) codegrant.PaymentStore { return memstore.New() })
}

func TestPaymentsThatCasesShare(t *testing.T) {
	t.Parallel()
	shared := memstore.New()
	storetest.RunPayments(t, func(*testing.T) codegrant.PaymentStore { return shared })
}
