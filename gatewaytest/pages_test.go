package gatewaytest_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func (s *shop) page(link string) (int, string) {
	resp, err := s.client.Get(link)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	return resp.StatusCode, string(body)
}

func (s *shop) submit(link string, form url.Values) (int, string) {
	resp, err := s.client.PostForm(link, form)
	require.NoError(s.t, err)
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("Location")
}

func TestConsentPageForEveryWallet(t *testing.T) {
	t.Parallel()
	require.Len(t, gatewaytest.Wallets(), 9)
	s := newShop(t, gatewaytest.Config{MerchantName: "Tom & Co"})
	for _, wallet := range gatewaytest.Wallets() {
		bound := s.call("/v4/paymethod/bind", with(bindRequest(), object{
			"requestId": wallet, "paymentMethod": object{"type": wallet}, "merchantUserId": `user "&' 1`,
		}))
		code, html := s.page(bound.biz("authUrl"))
		require.Equal(t, http.StatusOK, code)
		require.Contains(t, html, wallet)
		require.Contains(t, html, gatewaytest.DefaultClientID)
		require.Contains(t, html, `Tom &amp; Co`)
		require.Contains(t, html, `user &#34;&amp;&#39; 1`)
		for _, id := range []string{`id="agree"`, `id="refuse"`, `id="leave"`} {
			require.Contains(t, html, id)
		}
		require.NotContains(t, html, gatewaytest.DefaultSalt)
	}
}

func TestConsentPageEscapesMarkup(t *testing.T) {
	t.Parallel()
	// Requests with angle brackets never get this far; the merchant's name does.
	s := newShop(t, gatewaytest.Config{MerchantName: "<script>alert(1)</script>"})
	_, html := s.page(s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl"))
	require.NotContains(t, html, "<script")
	require.Contains(t, html, "&lt;script&gt;")
}

func TestDecidingOnTheConsentPage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		decision, status, heading string
		received                  int
	}{
		{"agree", "SUCCESS", "You have already agreed", 1},
		{"refuse", "FAILED", "You have refused", 0},
	}
	for _, tt := range tests {
		t.Run(tt.decision, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, gatewaytest.Config{})
			authURL := s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl")
			code, _ := s.submit(authURL, nil)
			require.Equal(t, http.StatusBadRequest, code)

			for range 2 {
				code, location := s.submit(authURL, url.Values{"decision": {tt.decision}})
				require.Equal(t, http.StatusSeeOther, code)
				require.Equal(t, "https://shop.example/return/1", location)
			}
			require.Equal(t, tt.status, s.gateway.Ledger().Agreements[0].Status)
			require.Len(t, s.received(), tt.received)
			_, html := s.page(authURL)
			require.Contains(t, html, tt.heading)
			require.NotContains(t, html, `id="agree"`)
		})
	}
}

func TestConsentPageOfNoSignUp(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	code, html := s.page("http://gateway.test/consent?authState=1")
	require.Equal(t, http.StatusNotFound, code)
	require.Contains(t, html, "This link is not valid")
	code, _ = s.submit("http://gateway.test/consent?authState=1", url.Values{"decision": {"agree"}})
	require.Equal(t, http.StatusNotFound, code)
}

func TestNotifyDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{NotifyDelay: 3 * time.Second})
		authURL := s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl")
		s.submit(authURL, url.Values{"decision": {"agree"}})
		time.Sleep(2 * time.Second)
		require.Empty(t, s.received(), "the user is back before the notification")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, s.received(), 1)
	})
}

func TestWalletPage(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{SilentWallets: []string{"DANA"}})
	_, html := s.page("http://gateway.test/wallet")
	require.Contains(t, html, `id="none"`)

	s.signUp(nil)
	s.signUp(object{"requestId": "REQ-2", "paymentMethod": object{"type": "DANA"}, "merchantUserId": "user-2"})
	_, html = s.page("http://gateway.test/wallet")
	require.Contains(t, html, "The merchant is told when you unbind.")
	require.Contains(t, html, "This wallet does not tell the merchant when you unbind.")
	_, html = s.page("http://gateway.test/wallet?user=user-2")
	require.NotContains(t, html, "user-1")

	for _, a := range s.gateway.Ledger().Agreements {
		u, err := url.Parse(a.AuthURL)
		require.NoError(t, err)
		form := url.Values{"agreement": {u.Query().Get("authState")}}
		code, location := s.submit("http://gateway.test/wallet/unbind", form)
		require.Equal(t, http.StatusSeeOther, code)
		require.Contains(t, location, "../wallet")
		code, _ = s.submit("http://gateway.test/wallet/unbind", form)
		require.Equal(t, http.StatusNotFound, code)
	}
	require.Len(t, s.received(), 3)
	_, html = s.page("http://gateway.test/wallet")
	require.Contains(t, html, "The merchant was told and confirmed it.")
	require.Contains(t, html, "The merchant was not told.")
}

func TestLedgerPage(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	_, html := s.page("http://gateway.test/ledger")
	require.Contains(t, html, "Nothing has been charged.")

	s.answers = always(status(503))[:1]
	token := s.signUp(nil)
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	pay := with(payRequest(token), object{"notificationUrl": nil})
	_, err := s.post("/v4/payment/unifiedPay", pay)
	require.Error(t, err)
	s.call("/v4/payment/unifiedPay", with(pay, object{"requestId": second}))
	s.call("/v4/payment/refund", object{
		"merchantTransactionId": "ORDER-1", "merchantRefundId": "REFUND-1", "amount": "1", "currency": "PHP",
	})
	_, html = s.page("http://gateway.test/ledger")
	for _, text := range []string{
		"Charged more than once", "ORDER-1", "PAY-1", "PAY-2", "100.000000 PHP", "REFUND-1", "503", "waiting", token[:8] + "…",
	} {
		require.Contains(t, html, text)
	}
	require.NotContains(t, html, token)
	require.NotContains(t, html, gatewaytest.DefaultSalt)
	require.Equal(t, 1, strings.Count(html, "<h1>"))
}

func TestServer(t *testing.T) {
	t.Parallel()
	server := gatewaytest.NewServer(gatewaytest.Config{})
	defer server.Close()
	resp, err := http.Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "/ledger", resp.Request.URL.Path)
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
