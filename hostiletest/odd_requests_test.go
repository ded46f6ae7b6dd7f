package hostiletest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// odd is a request that looks strange and must be accepted.
type odd struct {
	name   string
	body   func(b *besieged) string // nil: the genuine body
	change func(r *http.Request)    // what else is odd about it; may be nil
	setup  func(*setup)
	want   func(t *testing.T, b *besieged, h *heard) // nil: the open sign-up became active
}

// heard is all that the merchant heard of one request.
type heard struct {
	mu       sync.Mutex
	changes  []codegrant.Change
	payments []codegrant.PaymentNotification
	refunds  []codegrant.RefundNotification
	unknown  []codegrant.Notification
	verified codegrant.Notification // by VerifyNotification
	body     string                 // that the next handler found
}

func hear[T any](h *heard, list *[]T) func(context.Context, T) error {
	return func(_ context.Context, v T) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		*list = append(*list, v)
		return nil
	}
}

func (h *heard) calls() int {
	return len(h.changes) + len(h.payments) + len(h.refunds) + len(h.unknown)
}

// TestOddRequestsAreAccepted sends each request to VerifyNotification, whose
// next handler must find the same bytes, and to Notify, which must do what the
// request asks for, once.
func TestOddRequestsAreAccepted(t *testing.T) {
	t.Parallel()
	var cases []odd
	for _, table := range [][]odd{oddBodies(), oddTransports(), oddSignatures(), oddMembers(), oddKinds(), twoSpellings()} {
		cases = append(cases, table...)
	}
	require.GreaterOrEqual(t, len(cases), 15)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			h := &heard{}
			b := newBesieged(t, func(s *setup) {
				s.kit.OnToken, s.kit.OnPayment = hear(h, &h.changes), hear(h, &h.payments)
				s.kit.OnRefund, s.kit.OnUnknown = hear(h, &h.refunds), hear(h, &h.unknown)
				if tc.setup != nil {
					tc.setup(s)
				}
			})
			body := b.sign(nil)
			if tc.body != nil {
				body = tc.body(b)
			}
			request := func() *http.Request {
				r := b.request(t, body)
				if tc.change != nil {
					tc.change(r)
				}
				return r
			}
			before := b.moved()
			verify := b.VerifyNotification(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var found bool
				h.verified, found = codegrant.NotificationFromContext(r.Context())
				require.True(t, found)
				text, err := io.ReadAll(r.Body)
				require.NoError(t, err)
				h.body = string(text)
				require.EqualValues(t, len(text), r.ContentLength)
				w.WriteHeader(http.StatusTeapot)
			}))
			require.Equal(t, http.StatusTeapot, send(verify, request()).status, "the next handler's answer")
			requireSame(t, body, h.body, "the next handler finds another body than was sent")
			requireSame(t, body, h.verified.Raw.Reveal(), "Raw is another body than was sent")
			require.Equal(t, before, b.moved(), "VerifyNotification set something in motion")
			require.Zero(t, h.calls())

			a := send(b.handler, request())
			require.Equal(t, http.StatusOK, a.status)
			require.Equal(t, "OK", a.body)
			if tc.want == nil {
				wantActive(t, b, h)
			} else {
				tc.want(t, b, h)
			}
			require.Equal(t, 1, h.calls(), "calls of the hooks")
			requireSilent(t, b.log.reset(), "")
		})
	}
}

// wantActive wants the open sign-up to have become active, by the genuine token.
func wantActive(t *testing.T, b *besieged, h *heard) {
	require.Len(t, h.changes, 1)
	change := h.changes[0]
	require.Equal(t, codegrant.StatusPending, change.From)
	for _, token := range []codegrant.Token{change.Token, b.get(t, b.open.ID)} {
		require.Equal(t, b.open.ID, token.ID)
		require.Equal(t, "ann", token.UserID)
		require.Equal(t, codegrant.StatusActive, token.Status)
		require.True(t, token.Value.Equal(codegrant.NewSecret(tokenValue)), "the token as it was sent")
	}
	require.Equal(t, codegrant.StatusActive, b.get(t, b.open.ID).Handled)
	require.Equal(t, codegrant.KindSignedUp, h.verified.Kind)
	require.True(t, h.verified.Token.Equal(codegrant.NewSecret(tokenValue)))
}

// wantUnknown wants OnUnknown to have been called with a type, and no record to
// have changed.
func wantUnknown(notifyType string) func(*testing.T, *besieged, *heard) {
	return func(t *testing.T, b *besieged, h *heard) {
		require.Len(t, h.unknown, 1)
		require.Equal(t, codegrant.KindUnknown, h.unknown[0].Kind)
		require.Equal(t, notifyType, h.unknown[0].Type)
		require.Equal(t, b.open.Revision, b.get(t, b.open.ID).Revision, "the record was saved")
	}
}

// oddTransports carry a genuine body.
func oddTransports() []odd {
	header := func(pairs ...string) func(*http.Request) {
		return func(r *http.Request) {
			r.Header.Del("Content-Type")
			for i := 0; i < len(pairs); i += 2 {
				r.Header.Set(pairs[i], pairs[i+1])
			}
		}
	}
	at := func(path string) func(*http.Request) {
		return func(r *http.Request) { r.URL.Path = "/wallet" + path }
	}
	table := []odd{
		{name: "no declared length", change: func(r *http.Request) { r.ContentLength = -1 }},
		{name: "a byte at a time", change: func(r *http.Request) { r.Body = io.NopCloser(byteByByte{r.Body}) }},
		{name: "the last byte together with the end", change: func(r *http.Request) { r.Body = io.NopCloser(endWithData(r.Body)) }},
		{name: "a browser's headers of another site", change: header("Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site", "Cookie", "a=b")},
		{name: "a query string, which the gateway forbids itself", change: func(r *http.Request) { r.URL.RawQuery = "requestId=another&%zz;" }},
		{name: "a URL without a record", change: at("/notify")},
		{name: "the URL of a record that does not exist", change: at("/notify/NOBODY")},
		{name: "a URL whose last segment is no record's number", change: at("/notify/<x>\x00%2f")},
		{name: "a content that names no record, at the record's URL", body: func(b *besieged) string {
			return b.sign(map[string]string{"bizContent": `{"notifyType":"` + created + `","token":"` + tokenValue + `"}`})
		}},
	}
	for _, contentType := range []string{"", "text/plain", "application/json; charset=GBK", "application/x-www-form-urlencoded", "multipart/form-data", "\x00"} {
		table = append(table, odd{name: fmt.Sprintf("the content type %q", contentType), change: header("Content-Type", contentType)})
	}
	return table
}

type byteByByte struct{ io.Reader }

func (r byteByByte) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(1, len(p))]) }
