package hostiletest

import (
	"errors"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// verdicts counts what became of one class of forgeries.
type verdicts struct {
	refused  int
	harmless int // accepted, and said what the genuine message said
	accepted int // accepted, and said something else: never
	fooled   int // refused by the kit, believed by a naive verifier
}

// forger writes forgeries of one letter and shows each to the kit once.
type forger struct {
	*rand.Rand
	t        *testing.T
	shop     *merchant
	seen     map[uint64]bool
	seed     maphash.Seed
	tallies  map[string]*verdicts
	believed map[string]func([]byte) map[string]string // the decoder that each class is made for
}

// size is how many of a random kind are drawn.
func (f *forger) size(n int) int { return n * max(1, *timesFlag) }

// sampled is true for one of n, and for more with -times.
func (f *forger) sampled(n int) bool { return f.IntN(n) < max(1, *timesFlag) }

// emit shows one forgery. Those that were shown before do not count again.
func (f *forger) emit(l *genuine, class string, body []byte) {
	hash := maphash.Bytes(f.seed, body)
	if f.seen[hash] {
		return
	}
	count := f.tallies[class]
	if count == nil {
		count = &verdicts{}
		f.tallies[class] = count
	}
	f.seen[hash] = true
	n, err := codegrant.ParseNotification(body, l.account)
	if err == nil {
		// What is accepted must be the signed text, as any decoder reads it.
		if meaningOf(n) == l.meaning && naive(standardMembers(body), l.account) {
			count.harmless++
			return
		}
		count.accepted++
		f.t.Errorf("a forgery was believed: %s, distinct forgery %d of this letter", class, len(f.seen))
		return
	}
	count.refused++
	known := errors.Is(err, codegrant.ErrMalformed) || errors.Is(err, codegrant.ErrBadSignature) || errors.Is(err, codegrant.ErrWrongAccount)
	require.True(f.t, known, "refused for another reason")
	if n != (codegrant.Notification{}) {
		f.t.Error("something was read of what was refused")
	}
	if count.refused%4 == 0 {
		require.EqualError(f.t, f.shop.Apply(f.t.Context(), body, "RECORD-1"), err.Error())
	}
	if decode := f.believed[class]; decode != nil && count.fooled == 0 && naive(decode(body), l.account) {
		count.fooled++
	}
}

// A forgery is accepted when the kit returns no error for it and it means
// something else than the genuine message; see meaning.
func TestNoForgeryIsAccepted(t *testing.T) {
	t.Parallel()
	seed := seeded(t)
	var mu sync.Mutex
	total := map[string]*verdicts{}
	t.Run("letters", func(t *testing.T) {
		for i, l := range genuineMessages() {
			if i%max(1, slowdown-3) > 0 {
				continue // under the race detector a seventh of them, of every account
			}
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				n, err := codegrant.ParseNotification(l.body(), l.account)
				require.NoError(t, err, "the letter is genuine")
				l.meaning = meaningOf(n)
				requireSpellings(t, l)

				f := &forger{
					Rand: rand.New(rand.NewPCG(seed, uint64(i))), t: t, seen: map[uint64]bool{}, seed: maphash.MakeSeed(),
					tallies: map[string]*verdicts{},
					believed: map[string]func([]byte) map[string]string{
						"length-extended": trustingMembers, "re-split": standardMembers, "duplicated": standardMembers,
						"other letter case": structMembers, "re-encoded": phpMembers,
					},
				}
				f.shop = newMerchant(t, func(s *setup) {
					s.client.Account = l.account
					s.kit.Logger = slog.New(slog.DiscardHandler)
				})
				f.lengthExtended(l)
				f.resplit(l)
				f.duplicated(l)
				f.recased(l)
				f.reordered(l)
				f.reencoded(l)
				f.changed(l)
				f.resigned(l)
				f.misdirected(l)
				require.Zero(t, f.shop.store.calls.Load(), "the store was asked about a forgery")
				require.Zero(t, f.shop.hooks.Load(), "a hook heard of a forgery")

				mu.Lock()
				defer mu.Unlock()
				for class, count := range f.tallies {
					if total[class] == nil {
						total[class] = &verdicts{}
					}
					sum := total[class]
					sum.refused += count.refused
					sum.harmless += count.harmless
					sum.accepted += count.accepted
					sum.fooled += count.fooled
				}
			})
		}
	})
	refused := 0
	for _, class := range slices.Sorted(maps.Keys(total)) {
		count := total[class]
		refused += count.refused
		t.Logf("%-18s %7d refused, %d accepted; %d more say what the genuine message says", class, count.refused, count.accepted, count.harmless)
		require.Zero(t, count.accepted)
		require.Positive(t, count.refused)
	}
	require.Zero(t, total["duplicated"].harmless, "a member twice is refused, whatever it says")
	t.Logf("%-18s %7d distinct forgeries refused", "all", refused)
	require.GreaterOrEqual(t, refused, 100_000/slowdown, "the corpus is too small")
	for _, class := range []string{"length-extended", "re-split", "duplicated", "other letter case", "re-encoded"} {
		require.Positive(t, total[class].fooled, "no naive verifier believes any of: %s", class)
	}
}

// requireSpellings makes sure that nothing is refused for its spelling: the
// same members, decoded, are the same message.
func requireSpellings(t *testing.T, l *genuine) {
	t.Helper()
	reversed := slices.Clone(l.parts)
	slices.Reverse(reversed)
	for i, body := range [][]byte{
		written(reversed, l.sign),
		[]byte(" \r\n\t" + string(l.body()) + "\n"),
		escapedThroughout(l),
		written(l.parts, lower(l.sign)),
		written(append(slices.Clone(l.parts), part{name: "unsigned", value: "null", literal: true}, part{name: "blank", value: " "}), l.sign),
	} {
		n, err := codegrant.ParseNotification(body, l.account)
		require.NoError(t, err, "spelling %d of a genuine message", i)
		same := meaningOf(n) == l.meaning
		require.True(t, same, "spelling %d of a genuine message", i)
	}
}
