package codegrant_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

func TestAChargeAnsweredWithAnotherAmountIsLogged(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*codegrant.Config){
		"without records": func(*codegrant.Config) {},
		"with records":    withPayments,
	} {
		for _, attempts := range [][2]int{{1, 1}, {1, 2}} {
			s := newShop(t, withConfig(change))
			s.connect(t, "ann")
			params := chargeParams("ann", "order-1")
			params.Attempt = attempts[0]
			first, err := s.Charge(t.Context(), params)
			require.NoError(t, err)
			require.NotContains(t, s.log.String(), "amount_differs", name)
			params.Attempt = attempts[1]
			params.Amount.Minor++
			receipt, err := s.Charge(t.Context(), params)
			require.NoError(t, err)
			require.Equal(t, first.Amount, receipt.Amount, "what was paid")
			require.Equal(t, 1, strings.Count(s.log.String(), `"code":"amount_differs"`), "%s, attempt %d", name, attempts[1])
			require.Len(t, s.gateway.Ledger().Charges, 1)
		}
	}
}
