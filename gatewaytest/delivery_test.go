package gatewaytest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func status(code int) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

func always(reply func(http.ResponseWriter, *http.Request)) []func(http.ResponseWriter, *http.Request) {
	list := make([]func(http.ResponseWriter, *http.Request), 100)
	for i := range list {
		list[i] = reply
	}
	return list
}

func TestRetrySchedule(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.answers = always(status(503))
		start := time.Now()
		s.signUp(nil)
		time.Sleep(48 * time.Hour)
		synctest.Wait()

		n := s.gateway.Notifications()[0]
		require.Len(t, n.Attempts, 13)
		var waits []time.Duration
		for i := range 12 {
			waits = append(waits, n.Attempts[i+1].At.Sub(n.Attempts[i].At))
		}
		require.Equal(t, gatewaytest.RetrySchedule(), waits)
		require.Equal(t, 12*time.Hour+3*time.Minute+10*time.Second, n.Attempts[12].At.Sub(start))
		require.False(t, n.Delivered)
		require.Zero(t, n.NextAt)
		require.Len(t, s.received(), 13)
	})
}

func TestRetryScheduleScaled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{Scale: 10})
		s.answers = always(status(503))
		s.signUp(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, s.received(), 3)
	})
}

func TestRetriesStopAtTheFirstSuccess(t *testing.T) {
	t.Parallel()
	body := func(code int, text string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = io.WriteString(w, text)
		}
	}
	tests := []struct {
		name     string
		answer   func(http.ResponseWriter, *http.Request)
		accepted bool
	}{
		{"200 with OK is a success", body(200, "OK"), true},
		{"204 is a success", status(204), true},
		{"200 with another text is a success", body(200, "FAILED later"), true},
		{"200 with FAIL is a failure", body(200, "FAIL"), false},
		{"200 with FAIL and a line end is a failure", body(200, "FAIL\n"), false},
		{"301 is a failure", status(301), false},
		{"404 is a failure", status(404), false},
		{"503 with OK is a failure", body(503, "OK"), false},
		{"a panic is a failure", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false},
		{"no answer is a failure", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, gatewaytest.Config{})
				s.answers = append(s.answers, tt.answer)
				s.signUp(nil)
				n := s.gateway.Notifications()[0]
				require.Equal(t, tt.accepted, n.Delivered)
				require.Equal(t, tt.accepted, n.Attempts[0].Accepted())
				require.Equal(t, tt.accepted, n.NextAt.IsZero())

				time.Sleep(time.Hour)
				synctest.Wait()
				n = s.gateway.Notifications()[0]
				require.True(t, n.Delivered)
				require.Equal(t, tt.accepted, len(n.Attempts) == 1)
				require.LessOrEqual(t, len(n.Attempts), 2)
			})
		})
	}
}

func TestCloseStopsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.answers = always(status(503))
		s.signUp(nil)
		s.gateway.Close()
		time.Sleep(24 * time.Hour)
		require.Len(t, s.received(), 1)
		s.gateway.Close()
	})
}

func TestNotificationFaults(t *testing.T) {
	t.Parallel()
	type outcome struct {
		bodies int // received at once
		later  int // received in all
		lost   bool
	}
	tests := []struct {
		name  string
		fault gatewaytest.Fault
		want  outcome
	}{
		{"one attempt lost", gatewaytest.Fault{Kind: gatewaytest.DropAttempt}, outcome{0, 1, false}},
		{"three attempts lost", gatewaytest.Fault{Kind: gatewaytest.DropAttempt, Times: 3}, outcome{0, 1, false}},
		{"lost for good", gatewaytest.Fault{Kind: gatewaytest.DropAll}, outcome{0, 0, true}},
		{"doubled", gatewaytest.Fault{Kind: gatewaytest.Duplicate}, outcome{2, 2, false}},
		{"delayed", gatewaytest.Fault{Kind: gatewaytest.Delay, Delay: time.Hour}, outcome{0, 1, false}},
		{"aimed at sign-ups", gatewaytest.Fault{Op: gatewaytest.OpNotifySignUp, Kind: gatewaytest.DropAll}, outcome{0, 0, true}},
		{"aimed at payments", gatewaytest.Fault{Op: gatewaytest.OpNotifyPayment, Kind: gatewaytest.DropAll}, outcome{1, 1, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, gatewaytest.Config{})
				s.gateway.Inject(tt.fault)
				s.signUp(nil)
				now := len(s.received())
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				lost := s.gateway.Notifications()[0].Lost
				require.Equal(t, tt.want, outcome{now, len(s.received()), lost})
			})
		})
	}
}

func TestForgedNotifications(t *testing.T) {
	t.Parallel()
	for _, kind := range []gatewaytest.FaultKind{gatewaytest.TamperNotification, gatewaytest.UnsignedNotification} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, gatewaytest.Config{})
			s.answers = always(status(401))[:1]
			s.gateway.Inject(gatewaytest.Fault{Kind: kind})
			token := s.signUp(nil)
			time.Sleep(5 * time.Second)
			synctest.Wait()

			var forged, genuine map[string]string
			require.NoError(t, json.Unmarshal([]byte(s.received()[0]), &forged))
			require.NoError(t, json.Unmarshal([]byte(s.received()[1]), &genuine))
			require.False(t, signed(forged))
			require.True(t, signed(genuine))
			require.Contains(t, genuine["bizContent"], token)
			require.Equal(t, kind == gatewaytest.UnsignedNotification, forged["bizContent"] == genuine["bizContent"])
		})
	}
}

func TestNotificationShapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		cfg    gatewaytest.Config
		shape  string
		signed bool
	}{
		{"enveloped", gatewaytest.Config{},
			`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-1","merchantUserId":"user-1","token":"TOKEN"}`, true},
		{"unsigned envelope", gatewaytest.Config{NotificationShape: gatewaytest.UnsignedEnvelope},
			`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-1","merchantUserId":"user-1","token":"TOKEN"}`, false},
		{"flat", gatewaytest.Config{NotificationShape: gatewaytest.Flat},
			`{"token":"TOKEN","notifyType":"ACCESS_TOKEN_CREATION"}`, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tt.cfg)
			token := s.signUp(nil)
			var members map[string]string
			require.NoError(t, json.Unmarshal([]byte(s.received()[0]), &members))
			require.Equal(t, tt.signed, signed(members))
			content := members["bizContent"]
			if content == "" {
				content = s.received()[0]
			}
			require.JSONEq(t, tt.shape, strings.ReplaceAll(content, token, "TOKEN"))

			s.call("/v4/payment/unifiedPay", payRequest(token))
			s.gateway.Wait()
			members = nil
			require.NoError(t, json.Unmarshal([]byte(s.received()[1]), &members))
			require.True(t, signed(members), "payment notifications are always signed")
		})
	}
}

func TestRichNotification(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{RichNotification: true})
	s.signUp(nil)
	for _, member := range []string{"userLoginId", "expireTime", "paymentMethod", "status"} {
		require.Contains(t, s.received()[0], member)
	}
}

func TestHoldAndRelease(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	s.gateway.Hold()
	s.signUp(nil)
	require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
	require.Empty(t, s.received())
	held := s.gateway.Held()
	require.Len(t, held, 2)
	require.True(t, held[0].Held)

	require.ErrorIs(t, s.gateway.Release(7), gatewaytest.ErrNotFound)
	require.NoError(t, s.gateway.Release(held[1].ID, held[0].ID))
	require.Contains(t, s.received()[0], "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER")
	require.Contains(t, s.received()[1], "ACCESS_TOKEN_CREATION")

	s.signUp(object{"requestId": "REQ-2"})
	require.Len(t, s.received(), 2, "the gateway goes on holding")
	require.NoError(t, s.gateway.Release())
	s.signUp(object{"requestId": "REQ-3"})
	require.Len(t, s.received(), 4)
}

func TestRedeliver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.answers = always(status(503))[:1]
		s.signUp(nil)
		_, err := s.gateway.Redeliver(2)
		require.ErrorIs(t, err, gatewaytest.ErrNotFound)

		attempt, err := s.gateway.Redeliver(1)
		require.NoError(t, err)
		require.True(t, attempt.Accepted())
		time.Sleep(time.Hour)
		require.Len(t, s.received(), 2, "the success has stopped the retries")

		_, err = s.gateway.Redeliver(1)
		require.NoError(t, err)
		require.Equal(t, s.received()[0], s.received()[2])

		s.gateway.Close()
		_, err = s.gateway.Redeliver(1)
		require.ErrorIs(t, err, http.ErrServerClosed)
	})
}
