package gatewaytest_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestSignUpPayRefundUnbind(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})

	bound := s.call("/v4/paymethod/bind", bindRequest())
	require.Regexp(t, "^[0-9a-f]{32}$", bound.biz("token"))
	require.Contains(t, bound.biz("authUrl"), "http://gateway.test/consent?")
	require.Contains(t, bound.biz("authUrl"), "scopes=AGREEMENT_PAY%2CUSER_LOGIN_ID")
	require.Equal(t, bound.Biz, s.call("/v4/paymethod/bind", bindRequest()).Biz, "the same sign-up again")

	query := object{"requestId": "REQ-1", "merchantUserId": "user-1"}
	require.Equal(t, "PENDING", s.call("/v4/paymethod/query", query).biz("status"))

	require.NoError(t, s.gateway.Approve(bound.biz("authUrl")))
	require.Len(t, s.received(), 1)
	token := s.gateway.Ledger().Agreements[0].Token
	require.Regexp(t, "^[0-9a-f]{64}$", token)
	require.Contains(t, s.received()[0], token)

	found := s.call("/v4/paymethod/query", query)
	require.Equal(t, "SUCCESS", found.biz("status"))
	require.Equal(t, token, found.biz("token"))
	require.Equal(t, "GCash", found.biz("payMethod"))
	require.Regexp(t, `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`, found.biz("expireTime"))

	paid := s.call("/v4/payment/unifiedPay", payRequest(token))
	require.Equal(t, "000000", paid.code())
	require.Equal(t, "SUCCESS", paid.biz("status"))
	require.Equal(t, "100.000000", paid.biz("amount"))
	require.Regexp(t, `^\d{16}$`, paid.biz("transactionId"))
	require.Regexp(t, `^\d{14}$`, paid.biz("transactionTime"))
	s.gateway.Wait()
	require.Contains(t, s.received()[1], `\"notifyType\":\"RECHARGE\"`)

	queried := s.call("/v4/payment/query", object{"merchantTransactionId": "ORDER-1"})
	require.Equal(t, "001000", queried.code())
	require.Equal(t, "000000", queried.biz("resultCode"))
	require.Regexp(t, `^\d{12,13}$`, queried.biz("transactionTime"))
	byNumber := s.call("/v4/payment/query", object{"transactionId": paid.biz("transactionId")})
	require.Equal(t, queried.Biz, byNumber.Biz)

	refunded := s.call("/v4/payment/refund", object{
		"merchantTransactionId": "ORDER-1", "merchantRefundId": "REFUND-1", "amount": "30.50", "currency": "PHP",
		"notificationUrl": "https://shop.example/refund",
	})
	require.Equal(t, "000000", refunded.code())
	require.Equal(t, "30.500000", refunded.biz("amount"))
	s.gateway.Wait()
	require.Contains(t, s.received()[2], `\"notifyType\":\"REFUND\"`)
	for _, path := range []string{"/v4/refund/query", "/v4/payment/getRefund"} {
		r := s.call(path, object{"merchantTransactionId": "ORDER-1", "merchantRefundId": "REFUND-1"})
		require.Equal(t, "001000", r.code())
		require.Equal(t, "SUCCESS", r.biz("status"))
		require.Equal(t, "000000", r.biz("resultCode"))
	}

	unbind := object{"requestId": "UNBIND-1", "merchantUserId": "user-1", "token": token, "bizType": "CodeGrant"}
	require.Equal(t, "SUCCESS", s.call("/v4/paymethod/unbind", unbind).biz("status"))
	require.Equal(t, "SUCCESS", s.call("/v4/paymethod/unbind", unbind).biz("status"), "the same unbinding again")
	s.gateway.Wait()
	require.Len(t, s.received(), 4)
	require.Contains(t, s.received()[3], `ACCESS_TOKEN_CANCEL_OF_MERCHANT\"`)
	require.Equal(t, "UNBOUND", s.call("/v4/paymethod/query", query).biz("status"))

	later := s.call("/v4/payment/unifiedPay", with(payRequest(token), object{
		"requestId": "PAY-2", "merchantTransactionId": "ORDER-2",
	}))
	require.Equal(t, "102000", later.code())
	require.Equal(t, "token does not exist", later.Envelope["description"])
	again := s.call("/v4/paymethod/unbind", with(unbind, object{"requestId": "UNBIND-2"}))
	require.Equal(t, "token does not exist", again.Envelope["description"])
}

func TestSignUpQueryFindsTheSignUp(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	first := s.call("/v4/paymethod/bind", bindRequest())
	s.call("/v4/paymethod/bind", with(bindRequest(), object{"requestId": "REQ-2", "paymentMethod": object{"type": "DANA"}}))
	tests := []struct {
		name  string
		query object
		want  string
		code  string
	}{
		{"by its own requestId", object{"requestId": "REQ-1"}, "REQ-1", "001000"},
		{"by the reference", object{"requestId": "Q", "token": first.biz("token")}, "REQ-1", "001000"},
		{"as the user's latest", object{"requestId": "Q"}, "REQ-2", "001000"},
		{"as the user's latest with a wallet", object{"requestId": "Q", "paymentMethod": object{"type": "GCash"}}, "REQ-1", "001000"},
		{"not for another user", object{"requestId": "REQ-1", "merchantUserId": "other"}, "", "107001"},
		{"not by an unknown token", object{"requestId": "Q", "token": "00"}, "", "102000"},
	}
	for _, tt := range tests {
		r := s.call("/v4/paymethod/query", with(object{"merchantUserId": "user-1"}, tt.query))
		require.Equal(t, tt.code, r.code(), tt.name)
		require.Equal(t, tt.want, r.biz("requestId"), tt.name)
	}
}

func TestRequestsAreValidated(t *testing.T) {
	t.Parallel()
	pay := payRequest("7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97")
	legacy := object{
		"requestId": "REQ-1", "merchantUserId": "user-1", "payMethod": "AlipayHK", "authRedirectUrl": "https://shop.example/",
		"notifyUrl": "https://shop.example/notify", "device": object{"orderTerminal": "02"},
	}
	refund := object{"merchantTransactionId": "O", "merchantRefundId": "R", "amount": "1", "currency": "PHP"}
	token := object{"requestId": "R", "merchantUserId": "U", "token": "T"}
	long := strings.Repeat("x", 257)
	tests := []struct {
		name   string
		path   string
		biz    object
		change object
		code   string
	}{
		{"sign-up without a requestId", "paymethod/bind", bindRequest(), object{"requestId": nil}, "102000"},
		{"sign-up with a requestId of 65 characters", "paymethod/bind", bindRequest(), object{"requestId": long[:65]}, "102000"},
		{"sign-up with a user of 257 characters", "paymethod/bind", bindRequest(), object{"merchantUserId": long}, "102000"},
		{"sign-up with a wallet spelled otherwise", "paymethod/bind", bindRequest(), object{"paymentMethod": object{"type": "GCASH"}}, "102000"},
		{"sign-up with a relative result URL", "paymethod/bind", bindRequest(), object{"merchantResultUrl": "/return"}, "102000"},
		{"sign-up with a query in the notification URL", "paymethod/bind", bindRequest(), object{"notificationUrl": "https://shop.example/n?id=1"}, "102000"},
		{"sign-up with a notification URL of 256 characters", "paymethod/bind", bindRequest(), object{"notificationUrl": "https://shop.example/" + long[:235]}, "102000"},
		{"sign-up with the payment's terminal 03", "paymethod/bind", bindRequest(), object{"device": object{"orderTerminal": "03"}}, "102000"},
		{"sign-up with the old bizType", "paymethod/bind", bindRequest(), object{"bizType": "codeGrant"}, "102000"},
		{"sign-up with a number for a name", "paymethod/bind", bindRequest(), object{"requestId": 7}, "102000"},
		{"sign-up query without a user", "paymethod/query", object{"requestId": "R"}, nil, "102000"},
		{"unbinding without a token", "paymethod/unbind", token, object{"token": nil}, "102000"},
		{"payment without a token", "payment/unifiedPay", pay, object{"token": nil}, "102000"},
		{"payment with an unknown token", "payment/unifiedPay", pay, nil, "102000"},
		{"payment with a negative amount", "payment/unifiedPay", pay, object{"amount": "-1"}, "102000"},
		{"payment of nothing", "payment/unifiedPay", pay, object{"amount": "0.00"}, "102000"},
		{"payment with three decimals", "payment/unifiedPay", pay, object{"amount": "1.005"}, "102000"},
		{"payment with decimals in won", "payment/unifiedPay", pay, object{"amount": "1.5", "currency": "KRW"}, "102000"},
		{"payment with an amount of 13 characters", "payment/unifiedPay", pay, object{"amount": "1234567890.00"}, "102000"},
		{"payment in an unknown currency", "payment/unifiedPay", pay, object{"currency": "XXX"}, "106000"},
		{"payment with manual capture", "payment/unifiedPay", pay, object{"captureDelayHours": -1}, "102000"},
		{"payment with a name for an IP address", "payment/unifiedPay", pay, object{"shopperIP": "localhost"}, "102000"},
		{"payment without an e-mail address", "payment/unifiedPay", pay, object{"customer": object{}}, "102000"},
		{"payment without a device", "payment/unifiedPay", pay, object{"device": nil}, "102000"},
		{"payment with the sign-up's terminal 05", "payment/unifiedPay", pay, object{"device": object{"orderTerminal": "05"}}, "102000"},
		{"payment query without a number", "payment/query", object{}, nil, "102000"},
		{"payment query for an unknown order", "payment/query", object{"merchantTransactionId": "O"}, nil, "107001"},
		{"refund of an unknown order", "payment/refund", refund, nil, "107002"},
		{"refund without an amount", "payment/refund", refund, object{"amount": nil}, "102000"},
		{"refund query without an order", "refund/query", object{"merchantRefundId": "R"}, nil, "102000"},
		{"refund query for an unknown refund", "refund/query", object{"merchantTransactionId": "O", "merchantRefundId": "R"}, nil, "107001"},
		{"legacy prepare with an unknown wallet", "authorization/prepare", legacy, object{"payMethod": "Nope"}, "102000"},
		{"legacy applyToken with an unknown code", "authorization/applyToken",
			object{"requestId": "R", "merchantUserId": "U", "authCode": "C", "authState": "S"}, nil, "105000"},
		{"legacy cancelToken with an unknown token", "authorization/cancelToken", token, nil, "102000"},
		{"legacy list without a user", "authorization/list", token, object{"merchantUserId": nil}, "102000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, gatewaytest.Config{})
			r := s.call("/v4/"+tt.path, with(tt.biz, tt.change))
			require.Equal(t, tt.code, r.code(), r.Envelope["description"])
			require.Empty(t, s.gateway.Ledger().Agreements)
		})
	}
}

func TestRequestIDUsedForSomethingElse(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	token := s.signUp(nil)
	other := s.call("/v4/paymethod/bind", with(bindRequest(), object{"merchantUserId": "user-2"}))
	require.Equal(t, "107000", other.code())

	s.call("/v4/payment/unifiedPay", payRequest(token))
	other = s.call("/v4/payment/unifiedPay", with(payRequest(token), object{"amount": "101"}))
	require.Equal(t, "107000", other.code())
	require.Len(t, s.gateway.Ledger().Charges, 1)
}

func TestTokenBelongsToItsUserAndWallet(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{MissingTokenCode: "103001"})
	token := s.signUp(nil)
	reference := s.gateway.Ledger().Agreements[0].Reference
	for _, change := range []object{
		{"merchantUserId": "user-2"},
		{"paymentMethod": object{"type": "DANA"}},
		{"token": reference},
	} {
		r := s.call("/v4/payment/unifiedPay", with(payRequest(token), change))
		require.Equal(t, "103001", r.code())
		require.Equal(t, "token does not exist", r.Envelope["description"])
	}
	require.Empty(t, s.gateway.Ledger().Charges)
}

func TestRefundsStayBelowThePayment(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	s.call("/v4/payment/unifiedPay", payRequest(s.signUp(nil)))
	refund := func(id, amount, currency string) string {
		return s.call("/v4/payment/refund", object{
			"merchantTransactionId": "ORDER-1", "merchantRefundId": id, "amount": amount, "currency": currency,
		}).code()
	}
	require.Equal(t, "108000", refund("R1", "100.01", "PHP"))
	require.Equal(t, "106000", refund("R1", "60", "USD"))
	require.Equal(t, "000000", refund("R1", "60", "PHP"))
	require.Equal(t, "000000", refund("R1", "60.00", "PHP"), "the same refund again")
	require.Equal(t, "107000", refund("R1", "61", "PHP"))
	require.Equal(t, "108000", refund("R2", "40.01", "PHP"))
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.Decline})
	require.Equal(t, "303000", refund("R3", "40", "PHP"))
	require.Equal(t, "000000", refund("R4", "40", "PHP"))
	require.Len(t, s.gateway.Ledger().Refunds, 3)
}

func TestLegacyAuthorization(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	prepared := s.call("/v4/authorization/prepare", object{
		"requestId": "REQ-1", "merchantUserId": "user-1", "payMethod": "AlipayHK",
		"authRedirectUrl": "https://shop.example/back?lang=en", "notifyUrl": "https://shop.example/notify",
		"device": object{"orderTerminal": "02"},
	})
	authURL := prepared.biz("authUrl")
	require.NoError(t, s.gateway.Approve(authURL))
	back, err := s.gateway.ReturnURL(authURL)
	require.NoError(t, err)
	u, err := url.Parse(back)
	require.NoError(t, err)
	require.Equal(t, "en", u.Query().Get("lang"))

	apply := object{
		"requestId": "APPLY-1", "merchantUserId": "user-1",
		"authCode": u.Query().Get("authCode"), "authState": u.Query().Get("authState"),
	}
	applied := s.call("/v4/authorization/applyToken", apply)
	token := applied.biz("token")
	require.Regexp(t, "^[0-9a-f]{64}$", token)
	require.Contains(t, s.received()[0], token)
	require.Equal(t, applied.Biz, s.call("/v4/authorization/applyToken", apply).Biz)
	require.Equal(t, "105000", s.call("/v4/authorization/applyToken", with(apply, object{"requestId": "APPLY-2"})).code())

	who := object{"requestId": "LIST-1", "merchantUserId": "user-1"}
	listed := s.call("/v4/authorization/list", who).Biz["queryData"].(map[string]any)
	require.Equal(t, token, listed["token"])
	require.Equal(t, "AlipayHK", listed["payMethod"])

	bound := s.signUp(object{"requestId": "REQ-2", "paymentMethod": object{"type": "Boost"}})
	cancel := object{"requestId": "CANCEL-1", "merchantUserId": "user-1", "token": bound}
	require.Equal(t, "102000", s.call("/v4/authorization/cancelToken", cancel).code(), "bind tokens are not seen")

	cancel["token"] = token
	require.Equal(t, true, s.call("/v4/authorization/cancelToken", cancel).Biz["cancelSuccess"])
	require.Empty(t, s.call("/v4/authorization/list", who).Biz["queryData"])
	s.gateway.Wait()
	require.Contains(t, s.received()[2], "ACCESS_TOKEN_CANCEL_OF_MERCHANT")
}

func TestSharedTokens(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{SharedTokens: true})
	token := s.signUp(nil)
	cancel := object{"requestId": "CANCEL-1", "merchantUserId": "user-1", "token": token}
	require.Equal(t, true, s.call("/v4/authorization/cancelToken", cancel).Biz["cancelSuccess"])
}

func TestSupersedeOlder(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		s := newShop(t, gatewaytest.Config{SupersedeOlder: on})
		older := s.signUp(nil)
		s.signUp(object{"requestId": "REQ-2"})
		r := s.call("/v4/payment/unifiedPay", payRequest(older))
		require.Equal(t, on, r.code() != "000000")
		require.Len(t, s.gateway.Notifications(), map[bool]int{false: 3, true: 2}[on], "superseding is silent")
	}
}

func TestPathsAreConfigurable(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{Paths: gatewaytest.Paths{SignUpQuery: "/v4/q", Unbind: "/v4/u"}})
	token := s.signUp(nil)
	request := object{"requestId": "X", "merchantUserId": "user-1", "token": token}
	require.Equal(t, token, s.call("/v4/q", request).biz("token"))
	require.Equal(t, "SUCCESS", s.call("/v4/u", request).biz("status"))
}

func TestTokensExpire(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	s.signUp(nil)
	a := s.gateway.Ledger().Agreements[0]
	require.WithinDuration(t, time.Now().AddDate(2, 0, 0), a.ExpiresAt, time.Minute)
}
