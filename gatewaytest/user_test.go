package gatewaytest_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestApproveAndRefuseDecideOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	authURL := s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl")
	require.NoError(t, s.gateway.Refuse(authURL))
	require.ErrorIs(t, s.gateway.Approve(authURL), gatewaytest.ErrDecided)
	require.Empty(t, s.received(), "a refusal is not notified")
	require.Equal(t, "FAILED", s.call("/v4/paymethod/query", object{"requestId": "REQ-1", "merchantUserId": "user-1"}).biz("status"))

	require.ErrorIs(t, s.gateway.Approve("http://gateway.test/consent?authState=1"), gatewaytest.ErrNotFound)
	require.Error(t, s.gateway.Approve(":"))
	_, err := s.gateway.ReturnURL("http://gateway.test/consent")
	require.ErrorIs(t, err, gatewaytest.ErrNotFound)
}

func TestNotifyRefusals(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{NotifyRefusals: true})
	require.NoError(t, s.gateway.Refuse(s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl")))
	require.Contains(t, s.received()[0], `\"status\":\"FAILED\"`)
	require.NotContains(t, s.received()[0], "token")
}

func TestReturnURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  gatewaytest.Config
		want string
	}{
		{"unchanged by default", gatewaytest.Config{}, `^https://shop\.example/return/1$`},
		{"with parameters", gatewaytest.Config{ReturnParams: url.Values{"result": {"ok"}}}, `^https://shop\.example/return/1\?result=ok$`},
		{"with an authorization code", gatewaytest.Config{BindReturnsAuthCode: true},
			`^https://shop\.example/return/1\?authCode=[0-9a-f]{32}&authState=\d{16}$`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tt.cfg)
			authURL := s.call("/v4/paymethod/bind", bindRequest()).biz("authUrl")
			require.NoError(t, s.gateway.Approve(authURL))
			back, err := s.gateway.ReturnURL(authURL)
			require.NoError(t, err)
			require.Regexp(t, tt.want, back)
		})
	}
}

func TestUnbindInWallet(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		cfg := gatewaytest.Config{}
		if silent {
			cfg.SilentWallets = []string{"GCash"}
		}
		s := newShop(t, cfg)
		token := s.signUp(nil)
		require.ErrorIs(t, s.gateway.UnbindInWallet("user-1", "DANA"), gatewaytest.ErrNotFound)
		require.NoError(t, s.gateway.UnbindInWallet("user-1", "GCash"))
		require.ErrorIs(t, s.gateway.UnbindTokenInWallet(token), gatewaytest.ErrNotFound)
		require.Equal(t, gatewaytest.EndedByUser, s.gateway.Ledger().Agreements[0].EndedBy)
		require.Equal(t, "token does not exist", s.call("/v4/payment/unifiedPay", payRequest(token)).Envelope["description"])
		if silent {
			require.Len(t, s.received(), 1)
		} else {
			require.Contains(t, s.received()[1], `ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER`)
		}
	}
}
