package codegrant_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// What resolves an unknown outcome is the identical request, whatever the caller
// has done since with the lines of goods.
func TestWhatIsSentAgainIsWhatWasChecked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tap := &wireTap{}
		s := newShop(t, withClient(func(c *codegrant.ClientConfig) { c.HTTPClient = &http.Client{Transport: tap} }))
		tap.reply = s.gateway.Transport().RoundTrip
		s.connect(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
		params := chargeParams("ann", "order-1")
		params.Goods = []codegrant.Goods{{Name: "tea", UnitPrice: "100.50", Quantity: "1"}}
		_, err := s.Charge(t.Context(), params)
		var unknown *codegrant.UnknownOutcomeError
		require.ErrorAs(t, err, &unknown)
		params.Goods[0].Name = "<never checked>"
		receipt, err := unknown.Resolve(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
		var bodies []string
		for _, r := range tap.requests() {
			if strings.HasSuffix(r.url, "/v4/payment/unifiedPay") {
				bodies = append(bodies, r.body)
			}
		}
		require.Len(t, bodies, 2)
		require.Equal(t, bodies[0], bodies[1])
		s.gateway.Close()
	})
}
