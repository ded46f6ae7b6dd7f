package hostiletest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// playMarket runs one market in a bubble. The order in which goroutines meet is
// not part of the seed, so a failure may need several runs to come back.
func playMarket(t *testing.T, seed uint64, p policy, purchases int, met *chargeTally) (wrong []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m, err := newMarket(seed, &dice{random: rand.New(rand.NewPCG(seed, 0))}, p, met)
		require.NoError(t, err)
		wrong = m.run(purchases)
	})
	return wrong
}

// TestChargesUnderFaults lets 30 % of the gateway's answers be lost while
// several goroutines in two processes pay each order, users leave and come
// back, and paid orders are paid back. Afterwards every outcome is known and
// true, nobody was charged twice, by another's token or after the end of the
// agreement was acknowledged, and nothing was paid back twice.
func TestChargesUnderFaults(t *testing.T) {
	t.Parallel()
	const shards, purchases = 2, 20
	seed, n := seeded(t), rounds(20)
	var met chargeTally
	t.Run("markets", func(t *testing.T) {
		for shard := range shards {
			t.Run(fmt.Sprint(shard), func(t *testing.T) {
				t.Parallel()
				for i := shard; i < n; i += shards {
					if wrong := playMarket(t, seed+uint64(i)*2+1, policy{}, purchases, &met); len(wrong) > 0 {
						t.Fatalf("market %d:\n\t%s", i, strings.Join(wrong, "\n\t"))
					}
				}
			})
		}
	})
	t.Log(&met)
	if n >= 20 && !t.Failed() {
		for m := mishap(1); m < mishaps; m++ {
			require.NotZero(t, met.mishaps[m].Load(), "%s never happened", m)
		}
		require.Greater(t, percent(int(met.lost()), int(met.calls.Load())), 25.0)
		require.NotZero(t, met.unbound.Load())
		require.NotZero(t, met.refunded.Load())
	}
	if n >= 400 && !t.Failed() {
		for _, by := range []string{"Resolve", "the same Charge", "notification", "Resolve in the end", "the same Charge in the end", "the same Charge after a restart", "QueryCharge in the end"} {
			require.NotZero(t, met.resolved[by], "no unknown outcome was settled by %s", by)
		}
	}
}
