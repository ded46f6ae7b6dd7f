package hostiletest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheJudgeOfChargesSeesWrongMerchants runs the same markets with merchants
// who break the protocol: the judge must find what comes of it.
func TestTheJudgeOfChargesSeesWrongMerchants(t *testing.T) {
	t.Parallel()
	seed := seeded(t)
	for _, tc := range []struct {
		name    string
		policy  policy
		verdict []string // one of them
	}{
		{"an unknown outcome is tried again under a new order number", policy{newOrderAfterUnknown: true}, []string{"times"}},
		{"an answer without a valid signature is believed", policy{believesUnverified: true}, []string{
			"is called paid and was not charged", "is called failed and was charged",
		}},
		{"an unknown outcome is taken for a failure", policy{unknownIsFailure: true}, []string{"is called failed and was charged"}},
		{"each try has a requestId of its own", policy{freshNumbers: true}, []string{"orders charged twice"}},
		{"an unknown refund is tried again under a new number", policy{refundsAgain: true}, []string{"was paid back 2 times", "was paid back 3 times"}},
		{"an agreement is called ended before the gateway says so", policy{hastyUnbind: true}, []string{"after the end of its token was acknowledged"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var met chargeTally
			for i := range uint64(200) {
				wrong := strings.Join(playMarket(t, seed+i*2+1, tc.policy, 20, &met), "\n")
				for _, verdict := range tc.verdict {
					if strings.Contains(wrong, verdict) {
						t.Logf("seen in market %d, after %d purchases: %s", i, met.purchases.Load(), verdict)
						return
					}
				}
			}
			require.Fail(t, "the judge saw nothing")
		})
	}
}
