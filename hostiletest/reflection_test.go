package hostiletest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// wiretap keeps the bodies of all requests and answers.
type wiretap struct {
	http.RoundTripper
	mu     sync.Mutex
	bodies [][]byte
	of     []string // path of each, and which of the two it is
}

func (w *wiretap) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	answer, err := w.RoundTripper.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	received, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(received))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bodies = append(w.bodies, sent, received)
	w.of = append(w.of, "the request to "+r.URL.Path, "the answer of "+r.URL.Path)
	return answer, nil
}

// The merchant's own requests, and the gateway's answers to them, are signed by
// the same salt and by the same rule as notifications, so they verify when they
// are posted back. None has a notifyType: each is a message of unknown kind,
// which OnUnknown hears of, and which moves no record and calls no other hook.
func TestWhatWasSentOrAnsweredIsNoNotification(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var unknown []codegrant.Notification
	tap := &wiretap{}
	m := newMerchant(t, func(s *setup) {
		s.client.HTTPClient = &http.Client{Transport: tap}
		s.kit.OnUnknown = func(_ context.Context, n codegrant.Notification) error {
			mu.Lock()
			defer mu.Unlock()
			unknown = append(unknown, n)
			return nil
		}
	})
	tap.RoundTripper = m.gateway.Transport()

	pending, token := m.start(t, "ann"), m.connect(t, "ann")
	money := codegrant.Amount{Minor: 10000, Currency: "PHP"}
	receipt, err := m.Charge(t.Context(), codegrant.ChargeParams{
		UserID: "ann", OrderID: "ORDER-1", Amount: money, ShopperIP: "192.0.2.1", Email: "ann@shop.test",
	})
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	_, err = m.QueryCharge(t.Context(), "ORDER-1")
	require.NoError(t, err)
	_, err = m.Refund(t.Context(), codegrant.RefundParams{OrderID: "ORDER-1", Amount: money})
	require.NoError(t, err)
	_, err = m.QueryRefund(t.Context(), "ORDER-1", 1)
	require.NoError(t, err)
	for _, id := range []string{pending.ID, token.ID} {
		_, _ = m.Refresh(t.Context(), id) // the simulator may not have this interface
	}
	over := m.connect(t, "bob")
	_, err = m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "bob", TokenID: over.ID})
	require.NoError(t, err)
	m.gateway.Wait()

	ids := []string{pending.ID, token.ID, over.ID}
	var before []codegrant.Token
	for _, id := range ids {
		before = append(before, m.get(t, id))
	}
	require.Equal(t, codegrant.StatusPending, before[0].Status)
	require.Equal(t, codegrant.StatusActive, before[1].Status)
	require.Equal(t, codegrant.StatusUnbound, before[2].Status)
	hooks, overheard, of := m.hooks.Load(), tap.bodies, tap.of
	require.GreaterOrEqual(t, len(overheard), 2*9)
	for i, body := range overheard {
		for _, id := range append(ids, "nobody") {
			unknown = nil
			calls := m.store.calls.Load()
			require.Equal(t, http.StatusOK, m.post(t, id, body).Code, of[i])
			require.Len(t, unknown, 1, of[i])
			require.Equal(t, codegrant.KindUnknown, unknown[0].Kind)
			require.Empty(t, unknown[0].Type)
			require.Equal(t, calls, m.store.calls.Load(), "the store was asked for %s", of[i])
		}
	}
	for i, id := range ids {
		same := before[i] == m.get(t, id)
		if !same {
			a, _ := before[i].MarshalBinary()
			b, _ := m.get(t, id).MarshalBinary()
			same = bytes.Equal(a, b)
		}
		require.True(t, same, "record %d was moved", i)
	}
	require.Equal(t, hooks, m.hooks.Load(), "another hook was called")
}
