package hostiletest

import (
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// defaultMaxBody is the documented cap of Config.MaxBody.
const defaultMaxBody = 64 << 10

// statusOf is the answer that the table of Notify has for a reason.
func statusOf(t testing.TB, code codegrant.Code) int {
	status, ok := map[codegrant.Code]int{
		codegrant.ErrMalformed: 400, codegrant.ErrBodyConsumed: 400,
		codegrant.ErrBadSignature: 401, codegrant.ErrWrongAccount: 401,
		codegrant.ErrMethod: 405, codegrant.ErrTooLarge: 413,
	}[code]
	require.True(t, ok)
	return status
}

// hostile is a request that must be refused.
type hostile struct {
	name string
	code codegrant.Code
	body func(b *besieged) string // nil: the genuine, signed body
	// change is what else is wrong with the request; may be nil.
	change func(r *http.Request)
	// maxBody is Config.MaxBody; 0 means its default.
	maxBody int64
}

func allHostile() []hostile {
	var all []hostile
	for _, table := range [][]hostile{
		unsignedRequests(), forgedRequests(), wrongAccounts(), notJSON(), ambiguousRequests(), badText(),
		deepAndWide(), badMembers(), goneBodies(), tooLarge(), wrongMethods(),
	} {
		all = append(all, table...)
	}
	return all
}

// build makes the request anew, and returns its body as far as it is a text.
func (h hostile) build(t testing.TB, b *besieged) (*http.Request, string) {
	body := b.sign(nil)
	if h.body != nil {
		body = h.body(b)
	}
	r := b.request(t, body)
	if h.change != nil {
		h.change(r)
	}
	return r, body
}

func (h hostile) besiege(t testing.TB) *besieged {
	return newBesieged(t, func(s *setup) { s.kit.MaxBody = h.maxBody })
}

func (h hostile) limit() int64 {
	if h.maxBody > 0 {
		return h.maxBody
	}
	return defaultMaxBody
}

// TestHostileRequestsAreRefusedAlike sends each request through the whole mux
// to Notify and to VerifyNotification. The answer depends on the status alone,
// nothing is set in motion, and the log has one record that says why.
func TestHostileRequestsAreRefusedAlike(t *testing.T) {
	t.Parallel()
	cases := allHostile()
	require.GreaterOrEqual(t, len(cases), 60)
	for _, h := range cases {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			b := h.besiege(t)
			for _, e := range b.entries {
				r, body := h.build(t, b)
				before := b.moved()
				require.Equal(t, refusal(statusOf(t, h.code)), send(e.handler, r), e.name)
				require.Equal(t, before, b.moved(), "%s set something in motion", e.name)
				log := b.log.reset()
				require.Equal(t, 1, strings.Count(log, "\n"), "%s: records in the log", e.name)
				require.Contains(t, log, fmt.Sprintf(`"code":%q`, string(h.code)), e.name)
				requireSilent(t, log, body)
			}
			require.Equal(t, b.open.Revision, b.get(t, b.open.ID).Revision, "the record was saved")
		})
	}
}

// TestHostileRequestsTakeBoundedMemory measures what all of the process
// allocates, so it runs beside nothing else.
func TestHostileRequestsTakeBoundedMemory(t *testing.T) {
	var worst int64
	for _, h := range allHostile() {
		b := h.besiege(t)
		bound := 4 * h.limit()
		if slowdown > 1 {
			bound *= 2 // the race detector allocates too
		}
		for _, e := range b.entries {
			var cost int64
			for range 3 { // what else allocates can only add
				r, _ := h.build(t, b)
				counted := &countedBody{ReadCloser: r.Body}
				if r.Body != nil {
					r.Body = counted
				}
				cost = allocated(func() { send(e.handler, r) })
				require.LessOrEqual(t, counted.read, h.limit()+bytesAfterTheCap, "%s, %s: bytes read", h.name, e.name)
				if cost <= bound {
					break
				}
			}
			require.LessOrEqual(t, cost, bound, "%s, %s: bytes allocated", h.name, e.name)
			if h.maxBody == 0 {
				worst = max(worst, cost)
			}
		}
	}
	t.Logf("the costliest refusal under the default cap of %d KiB allocated %d KiB", defaultMaxBody>>10, worst>>10)
}

// bytesAfterTheCap is what may be read beyond the cap of a body without end.
const bytesAfterTheCap = 512

// allocated is how many bytes were allocated while do ran.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}
