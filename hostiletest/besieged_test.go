package hostiletest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

const (
	// marker stands in the bodies of this package and must stand in no log.
	marker    = "zebra-crossing-of-the-body"
	otherSalt = "0123456789ABCDEF01234567"
)

// besieged is a merchant with one open sign-up that counts whatever a request
// can set in motion.
type besieged struct {
	*merchant
	open    codegrant.Token
	outward atomic.Int64 // calls of the gateway
	passed  atomic.Int64 // requests that VerifyNotification let through
	entries []entry
}

// entry is a way in for notifications.
type entry struct {
	name    string
	handler http.Handler
}

func newBesieged(t testing.TB, change ...func(*setup)) *besieged {
	b := &besieged{}
	change = append(change, func(s *setup) {
		s.client.HTTPClient = &http.Client{Transport: outward(func(r *http.Request) (*http.Response, error) {
			b.outward.Add(1)
			return b.gateway.Transport().RoundTrip(r)
		})}
	})
	b.merchant = newMerchant(t, change...)
	b.open = b.start(t, "ann")
	b.entries = []entry{
		{"Notify", b.handler},
		{"VerifyNotification", b.VerifyNotification(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { b.passed.Add(1) }))},
	}
	b.log.reset()
	return b
}

type outward func(*http.Request) (*http.Response, error)

func (f outward) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// moved is how much requests have set in motion so far.
func (b *besieged) moved() int64 {
	return b.store.calls.Load() + b.hooks.Load() + b.outward.Load() + b.passed.Load()
}

// biz is the content of a genuine success of the open sign-up.
func (b *besieged) biz() string {
	return `{"notifyType":"` + created + `","requestId":"` + b.open.ID + `","merchantUserId":"ann","token":"` + tokenValue +
		`","remark":"` + marker + `"}`
}

// sign signs the genuine content, or another content given as bizContent,
// with more top-level members.
func (b *besieged) sign(extra map[string]string) string {
	return string(b.gateway.SignedBody(b.biz(), extra))
}

// request is a request to the open sign-up's notification URL.
func (b *besieged) request(t testing.TB, body string) *http.Request {
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/notify/"+b.open.ID, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

// answer is all that a sender sees.
type answer struct {
	status int
	header http.Header
	body   string
}

func send(h http.Handler, r *http.Request) answer {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Result().Header, w.Body.String()}
}

// refusal is the one answer for a status, whatever the cause. On the wire
// net/http may add Connection: close, which tells the sender no more than how
// much of its body is left.
func refusal(status int) answer {
	a := answer{status, http.Header{
		"Content-Type":            {"text/plain; charset=utf-8"},
		"Cache-Control":           {"no-store"},
		"Content-Security-Policy": {"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"},
		"Referrer-Policy":         {"no-referrer"},
		"X-Content-Type-Options":  {"nosniff"},
		"X-Frame-Options":         {"DENY"},
	}, http.StatusText(status)}
	if status == http.StatusMethodNotAllowed {
		a.header.Set("Allow", http.MethodPost)
	}
	return a
}

// window is the shortest piece of a body that counts as one: the names of the
// protocol's members are shorter, and the log may say which of them is missing.
const window = 16

// requireSilent wants a log that repeats no piece of the body and no secret,
// and prints neither when it does.
func requireSilent(t testing.TB, log, body string) {
	body = body[:min(len(body), 4096)]
	pieces := []string{marker, tokenValue, gatewaytest.DefaultSalt, otherSalt}
	for i := 0; i+window <= len(body); i++ {
		pieces = append(pieces, body[i:i+window])
	}
	require.False(t, slices.ContainsFunc(pieces, func(piece string) bool { return strings.Contains(log, piece) }),
		"the log holds a secret or a piece of the body")
}

// requireSame compares texts that must not be printed.
func requireSame(t testing.TB, want, got, what string) {
	if want != got {
		require.Fail(t, what)
	}
}

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	read int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read += int64(n)
	return n, err
}
