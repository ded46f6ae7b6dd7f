package gatewaytest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

const second = "PAY-2"

func TestSameRequestNeverChargesTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	pay := payRequest(s.signUp(nil))
	first := s.call("/v4/payment/unifiedPay", pay)
	require.Equal(t, first.Biz, s.call("/v4/payment/unifiedPay", pay).Biz)
	require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
	require.Equal(t, first.Biz, s.call("/v4/payment/unifiedPay", pay).Biz, "even after unbinding")
	require.Len(t, s.gateway.Ledger().Charges, 1)
}

func TestNewRequestForAPaidOrderIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	pay := payRequest(s.signUp(nil))
	s.call("/v4/payment/unifiedPay", pay)
	r := s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second}))
	require.Equal(t, "107000", r.code())
	require.Empty(t, s.gateway.Ledger().ChargedTwice())
}

func TestNewRequestAfterALostAnswerChargesTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	pay := with(payRequest(s.signUp(nil)), object{"notificationUrl": nil})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	_, err := s.post("/v4/payment/unifiedPay", pay)
	require.Error(t, err)

	r := s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second}))
	require.Equal(t, "000000", r.code())
	require.Equal(t, []string{"ORDER-1"}, s.gateway.Ledger().ChargedTwice())
}

func TestQueryAfterALostAnswerMakesTheOrderFinal(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	pay := with(payRequest(s.signUp(nil)), object{"notificationUrl": nil})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	_, err := s.post("/v4/payment/unifiedPay", pay)
	require.Error(t, err)
	require.Equal(t, "SUCCESS", s.call("/v4/payment/query", object{"merchantTransactionId": "ORDER-1"}).biz("status"))
	require.Equal(t, "107000", s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second})).code())
}

func TestAcceptedNotificationAfterALostAnswerMakesTheOrderFinal(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	pay := payRequest(s.signUp(nil))
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	_, err := s.post("/v4/payment/unifiedPay", pay)
	require.Error(t, err)
	s.gateway.Wait()
	require.Equal(t, "107000", s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second})).code())
}

func TestOverlappingRequestsChargeTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{Latency: time.Second})
		pay := payRequest(s.signUp(nil))
		var both sync.WaitGroup
		for _, id := range []string{"PAY-1", second} {
			both.Go(func() {
				resp, err := s.post("/v4/payment/unifiedPay", with(pay, object{"requestId": id}))
				if err == nil {
					resp.Body.Close()
				}
			})
		}
		both.Wait()
		require.Equal(t, []string{"ORDER-1"}, s.gateway.Ledger().ChargedTwice())
	})
}

func TestProcessingFirst(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{ProcessingFirst: true})
	pay := payRequest(s.signUp(nil))
	r := s.call("/v4/payment/unifiedPay", pay)
	require.Equal(t, "002000", r.code())
	require.Equal(t, "PROCESSING", r.biz("status"))
	s.gateway.Wait()
	require.Len(t, s.received(), 1, "nothing is notified while processing")

	require.NoError(t, s.gateway.Settle("ORDER-1"))
	require.Contains(t, s.received()[1], `\"status\":\"SUCCESS\"`)
	require.ErrorIs(t, s.gateway.Settle("ORDER-1"), gatewaytest.ErrNotFound)
	require.Equal(t, "000000", s.call("/v4/payment/unifiedPay", pay).code(), "the same attempt as it now stands")
}

func TestProcessingThenFailed(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{ProcessingFirst: true})
	s.call("/v4/payment/unifiedPay", payRequest(s.signUp(nil)))
	require.NoError(t, s.gateway.SettleFailed("ORDER-1"))
	require.Contains(t, s.received()[1], `\"status\":\"FAILED\"`)
}

func TestSettleAfter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{ProcessingFirst: true, SettleAfter: time.Minute})
		s.call("/v4/payment/unifiedPay", payRequest(s.signUp(nil)))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, "SUCCESS", s.gateway.Ledger().Charges[0].Status)
		require.Len(t, s.received(), 2)
	})
}

func TestFailFirst(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{FailFirst: true})
	pay := payRequest(s.signUp(nil))
	r := s.call("/v4/payment/unifiedPay", pay)
	require.Equal(t, "301002", r.code())
	require.Equal(t, "FAILED", r.biz("status"))
	require.Equal(t, "301002", s.call("/v4/payment/unifiedPay", pay).code(), "the same attempt")
	require.Equal(t, "000000", s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second})).code())

	query := object{"merchantTransactionId": "ORDER-1"}
	require.Equal(t, "SUCCESS", s.call("/v4/payment/query", query).biz("status"))
	byRequest := s.call("/v4/payment/query", with(query, object{"requestId": "PAY-1"}))
	require.Equal(t, "FAILED", byRequest.biz("status"))
	require.Equal(t, "301002", byRequest.biz("resultCode"))
	s.gateway.Wait()
	require.Len(t, s.received(), 3, "the failure and the success are notified")
	require.Empty(t, s.gateway.Ledger().ChargedTwice())
}

func TestAmounts(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	token := s.signUp(nil)
	for _, tt := range []struct {
		amount   any
		currency string
		want     string
	}{
		{100, "PHP", "100.000000"},
		{99.5, "PHP", "99.500000"},
		{"0.01", "HKD", "0.010000"},
		{"2000000", "KRW", "2000000.000000"},
		{"5.00", "KRW", "5.000000"},
	} {
		order := object{"amount": tt.amount, "currency": tt.currency, "requestId": tt.want, "merchantTransactionId": tt.want}
		r := s.call("/v4/payment/unifiedPay", with(payRequest(token), order))
		require.Equal(t, tt.want, r.biz("amount"), r.Envelope["description"])
	}
}

func TestMutePayments(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{MutePayments: true})
	s.call("/v4/payment/unifiedPay", payRequest(s.signUp(nil)))
	s.gateway.Wait()
	require.Len(t, s.received(), 1)
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{
		Rates: map[gatewaytest.FaultKind]float64{gatewaytest.Status500After: 0.2, gatewaytest.DropAttempt: 0.2, gatewaytest.Duplicate: 0.2},
		Scale: 1e6,
	})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Status500Before})
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			user := string(rune('a' + i))
			var authURL string
			for authURL == "" {
				resp, err := s.post("/v4/paymethod/bind", with(bindRequest(), object{"requestId": user, "merchantUserId": user}))
				if err == nil && resp.StatusCode == 200 {
					authURL = s.read(resp).biz("authUrl")
				}
			}
			_ = s.gateway.Approve(authURL)
			var token string
			for _, a := range s.gateway.Ledger().Agreements {
				if a.UserID == user {
					token = a.Token
				}
			}
			for range 5 {
				pay := object{"requestId": user, "merchantTransactionId": user, "merchantUserId": user}
				resp, err := s.post("/v4/payment/unifiedPay", with(payRequest(token), pay))
				if err == nil {
					resp.Body.Close()
				}
			}
			_ = s.gateway.UnbindTokenInWallet(token)
			for _, path := range []string{"/ledger", "/wallet"} {
				resp, err := s.client.Get("http://gateway.test" + path)
				if err == nil {
					resp.Body.Close()
				}
			}
			s.gateway.Notifications()
		})
	}
	all.Wait()
	s.gateway.Wait()
	l := s.gateway.Ledger()
	require.Len(t, l.Agreements, 16)
	require.Len(t, l.Charges, 16)
	require.Empty(t, l.ChargedTwice())
}

func TestAnswerThatComesTooLateIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{Latency: time.Second})
		pay := with(payRequest(s.signUp(nil)), object{"notificationUrl": nil})
		s.client.Timeout = time.Millisecond
		_, err := s.post("/v4/payment/unifiedPay", pay)
		require.Error(t, err)
		s.client.Timeout = time.Minute
		require.Equal(t, "000000", s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second})).code())
		require.Len(t, s.gateway.Ledger().ChargedTwice(), 1)
	})
}

func TestWaitDoesNotMissAPaymentNotification(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	token := s.signUp(nil)
	server := httptest.NewServer(s.gateway)
	defer server.Close()
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	s.client = &http.Client{Transport: toHost{at.Host}}
	for i := range 50 {
		id := strconv.Itoa(i)
		s.call("/v4/payment/unifiedPay", with(payRequest(token), object{"requestId": id, "merchantTransactionId": id}))
		s.gateway.Wait()
		require.Len(t, s.received(), i+2)
	}
}

// toHost sends every request to one address.
type toHost struct{ host string }

func (t toHost) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.URL.Host = t.host
	return http.DefaultTransport.RoundTrip(req)
}
