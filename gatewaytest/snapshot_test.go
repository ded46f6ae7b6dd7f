package gatewaytest_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func snapshotOf(t *testing.T, g *gatewaytest.Gateway) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, g.Snapshot(&b))
	return b.String()
}

// restarted is s with a new gateway that has restored the old one's snapshot.
func (s *shop) restarted(cfg gatewaytest.Config) *shop {
	s.t.Helper()
	saved := snapshotOf(s.t, s.gateway)
	s.gateway.Close()
	next := newShop(s.t, cfg)
	next.answers = s.next
	require.NoError(s.t, next.gateway.Restore(strings.NewReader(saved)))
	return next
}

func TestSnapshotHoldsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := gatewaytest.Config{BindReturnsAuthCode: true}
		s := newShop(t, cfg)
		token := s.signUp(nil)
		open := s.call("/v4/paymethod/bind", with(bindRequest(), object{"requestId": "REQ-2"}))
		ended := s.signUp(object{"requestId": "REQ-3", "paymentMethod": object{"type": "DANA"}})
		unbind := object{"requestId": "UNBIND-1", "merchantUserId": "user-1", "token": ended}
		s.call("/v4/paymethod/unbind", unbind)
		paid := s.call("/v4/payment/unifiedPay", payRequest(token))
		refund := object{
			"merchantTransactionId": "ORDER-1", "merchantRefundId": "R-1", "amount": "60", "currency": "PHP",
			"notificationUrl": "https://shop.example/refund",
		}
		refunded := s.call("/v4/payment/refund", refund)
		s.gateway.Wait()
		before := snapshotOf(t, s.gateway)
		require.NotContains(t, before, gatewaytest.DefaultSalt)
		pages := map[string]string{}
		for _, link := range []string{"/ledger", "/wallet", open.biz("authUrl")} {
			_, pages[link] = s.page(link)
		}
		notifications := s.gateway.Notifications()

		s = s.restarted(cfg)
		require.Equal(t, before, snapshotOf(t, s.gateway))
		for link, want := range pages {
			_, got := s.page(link)
			require.Equal(t, want, got, link)
		}
		require.Len(t, notifications, 5)
		for i, n := range s.gateway.Notifications() {
			require.Equal(t, string(notifications[i].Body), string(n.Body))
		}
		require.Empty(t, s.received(), "what was delivered is not delivered again")

		require.Equal(t, paid.Biz, s.call("/v4/payment/unifiedPay", payRequest(token)).Biz, "the same request charges nothing")
		require.Equal(t, "107000", s.call("/v4/payment/unifiedPay", with(payRequest(token), object{"requestId": "PAY-2"})).code())
		require.Equal(t, refunded.Biz, s.call("/v4/payment/refund", refund).Biz)
		more := with(refund, object{"merchantRefundId": "R-2", "amount": "41"})
		require.Equal(t, "108000", s.call("/v4/payment/refund", more).code(), "60 of 100 are gone")
		require.Equal(t, "001000", s.call("/v4/paymethod/unbind", unbind).code(), "the same unbinding succeeds again")
		require.Equal(t, open.Biz, s.call("/v4/paymethod/bind", with(bindRequest(), object{"requestId": "REQ-2"})).Biz)
		require.NoError(t, s.gateway.Approve(open.biz("authUrl")))
		s.call("/v4/payment/unifiedPay", with(payRequest(token), object{"requestId": "PAY-3", "merchantTransactionId": "ORDER-3"}))
		s.gateway.Wait()
		require.Len(t, s.received(), 2)

		seen := map[string]bool{}
		for _, a := range s.gateway.Ledger().Agreements {
			require.False(t, seen[a.Token], "the seeded numbers go on and do not repeat")
			seen[a.Token] = true
		}
	})
}

func TestRestoreGoesOnDelivering(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.answers = always(status(503))
		start := time.Now()
		s.signUp(nil)
		time.Sleep(15 * time.Second) // three attempts; the next one in 3 minutes
		s.next = always(status(503)) // what the shop answers after the next restart
		s = s.restarted(gatewaytest.Config{})
		require.Empty(t, s.received())
		time.Sleep(5 * time.Minute)
		s = s.restarted(gatewaytest.Config{})
		time.Sleep(time.Hour)
		require.Len(t, s.received(), 1)
		n := s.gateway.Notifications()[0]
		require.True(t, n.Delivered)
		require.Len(t, n.Attempts, 5)
		require.Equal(t, start.Add(3*time.Minute+10*time.Second), n.Attempts[3].At.Local())
		require.Equal(t, start.Add(13*time.Minute+10*time.Second), n.Attempts[4].At.Local(), "the schedule goes on where it was")
	})
}

func TestRestoreSendsWhatBecameDueMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.answers = always(status(503))
		s.signUp(nil)
		saved := snapshotOf(t, s.gateway)
		s.gateway.Close()
		time.Sleep(24 * time.Hour)
		s = newShop(t, gatewaytest.Config{})
		require.NoError(t, s.gateway.Restore(strings.NewReader(saved)))
		synctest.Wait()
		require.Len(t, s.received(), 1)
	})
}

func TestRestoreSendsWhatWasUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		var first, again string
		s.answers = append(s.answers, func(http.ResponseWriter, *http.Request) { first = snapshotOf(t, s.gateway) },
			status(503), func(http.ResponseWriter, *http.Request) { again = snapshotOf(t, s.gateway) })
		s.signUp(nil)
		s.signUp(object{"requestId": "REQ-2"})
		time.Sleep(time.Minute)
		synctest.Wait()
		for name, saved := range map[string]string{"in the first attempt": first, "in the second": again} {
			next := newShop(t, gatewaytest.Config{})
			require.NoError(t, next.gateway.Restore(strings.NewReader(saved)))
			synctest.Wait()
			require.Len(t, next.received(), 1, name)
			next.gateway.Close()
		}
	})
}

func TestRestoreKeepsWhatIsHeldAndOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := gatewaytest.Config{ProcessingFirst: true, SettleAfter: time.Minute}
		s := newShop(t, cfg)
		token := s.signUp(nil)
		s.gateway.Hold()
		s.signUp(object{"requestId": "REQ-2"})
		s.call("/v4/payment/unifiedPay", payRequest(token))
		time.Sleep(50 * time.Second)
		s = s.restarted(cfg)
		require.Len(t, s.gateway.Held(), 1)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, gatewaytest.StatusSuccess, s.gateway.Ledger().Charges[0].Status)
		require.Len(t, s.gateway.Held(), 2, "still holding")
		require.NoError(t, s.gateway.Release())
		require.Len(t, s.received(), 2)
		require.Equal(t, "107000", s.call("/v4/payment/unifiedPay", with(payRequest(token), object{"requestId": "PAY-2"})).code(),
			"the accepted notification made the order final")
	})
}

func TestRestoreKeepsTheShapeOfNotifications(t *testing.T) {
	t.Parallel()
	for _, shape := range []gatewaytest.NotificationShape{gatewaytest.Flat, gatewaytest.UnsignedEnvelope} {
		cfg := gatewaytest.Config{NotificationShape: shape}
		s := newShop(t, cfg)
		s.signUp(nil)
		s = s.restarted(cfg)
		s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.TamperNotification})
		_, err := s.gateway.Redeliver(1)
		require.NoError(t, err)
		require.Equal(t, string(s.gateway.Notifications()[0].Body), s.received()[0])
		require.NotContains(t, s.received()[0], `"sign"`)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	s.signUp(nil)
	good := snapshotOf(t, s.gateway)
	require.ErrorContains(t, s.gateway.Restore(strings.NewReader(good)), "in use already")
	for name, tc := range map[string]struct{ text, want string }{
		"nothing":           {"", "EOF"},
		"half of it":        {good[:len(good)/2], "unexpected EOF"},
		"a later version":   {strings.Replace(good, `"Version":1`, `"Version":2`, 1), "has version 2, this package reads 1"},
		"another account":   {strings.ReplaceAll(good, gatewaytest.DefaultAccountID, "A"), "account A is not in the Config"},
		"a broken link":     {strings.Replace(good, `"Last":1`, `"Last":7`, 1), "damaged"},
		"a negative link":   {strings.Replace(good, `"Last":1`, `"Last":-1`, 1), "damaged"},
		"a broken charge":   {strings.Replace(good, `"Charge":-1`, `"Charge":0`, 1), "damaged"},
		"a wrong number":    {strings.Replace(good, `"ID":1`, `"ID":2`, 1), "damaged"},
		"an unknown hold":   {strings.Replace(good, `"Held":null`, `"Held":[2]`, 1), "damaged"},
		"no unbound one":    {strings.Replace(good, `"Unbinds":null`, `"Unbinds":[{"Agreement":1}]`, 1), "damaged"},
		"no random source":  {strings.Replace(good, `"Random":"`, `"Random":"AAAA`, 1), "PCG"},
		"not a JSON object": {"[]", "cannot unmarshal"},
	} {
		next := newShop(t, gatewaytest.Config{})
		require.ErrorContains(t, next.gateway.Restore(strings.NewReader(tc.text)), tc.want, name)
		require.Empty(t, next.gateway.Ledger().Agreements, name)
		require.NoError(t, next.gateway.Restore(strings.NewReader(good)), name)
	}
	closed := newShop(t, gatewaytest.Config{})
	closed.gateway.Close()
	require.ErrorContains(t, closed.gateway.Restore(strings.NewReader(good)), "closed")
}

// brokenWriter is a full disk.
type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestSnapshotReportsAFailedWrite(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	require.ErrorIs(t, s.gateway.Snapshot(brokenWriter{}), io.ErrShortWrite)
}
