package codegrant_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// bodyOf is what request looks like on the wire: bizContent, after envelope
// and signature were checked by code that is not the client's.
func bodyOf(t testing.TB, account codegrant.Account, request any) string {
	t.Helper()
	client, tap := tappedClient(t, answering(500, ""), func(c *codegrant.ClientConfig) { c.Account = account })
	err := sendAny(context.Background(), client, request)
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	require.Len(t, tap.requests(), 1)
	body := tap.requests()[0].body

	var members map[string]string // every value is a string, bizContent too
	require.NoError(t, json.Unmarshal([]byte(body), &members))
	want := map[string]string{
		"accId": account.ID, "clientId": account.ClientID, "signType": string(account.Digest), "version": "1.0",
		"bizContent": members["bizContent"],
	}
	if want["clientId"] == "" {
		want["clientId"] = account.ID[:len(account.ID)-3]
	}
	if want["signType"] == "" {
		want["signType"] = "SHA256"
	}
	want["sign"] = gatewaytest.Sign(account.Salts[0].Reveal(), want["signType"], want)
	require.Equal(t, want, members)
	require.True(t, json.Valid([]byte(members["bizContent"])))
	require.NotContains(t, body, ` ":`)
	return members["bizContent"]
}

func TestRequestBodies(t *testing.T) {
	t.Parallel()
	token := codegrant.NewSecret(rigToken)
	full := payRequest()
	full.NotificationURL, full.ResultURL = "https://shop.example/notify/1", "https://shop.example/done"
	full.Country, full.Remark = "HK", "gift"
	full.Wallet, full.Amount = codegrant.AlipayHK, codegrant.Amount{Minor: 10000, Currency: "HKD"}
	full.Goods = []codegrant.Goods{
		{Name: "tea", UnitPrice: "10", Quantity: "2", ImageURL: "https://shop.example/tea.png", SKU: "T-1", Virtual: "N"},
		{Name: "茶", UnitPrice: "80", Quantity: "1"},
	}
	won := payRequest()
	won.Wallet, won.Amount, won.ShopperIP = codegrant.Kakaopay, codegrant.Amount{Minor: 100, Currency: "KRW"}, "2001:db8::1"
	cents := payRequest()
	cents.Amount = codegrant.Amount{Minor: 5, Currency: "USD"}
	refund := refundRequest()
	refund.NotificationURL, refund.Remark = "https://shop.example/notify/2", "broken"
	const payEnd = `"shopperIP":"203.0.113.7","customer":{"email":"pass@pingpongx.com"},"device":{"orderTerminal":"02"},`

	tests := []struct {
		name    string
		request any
		want    string // PingPong v4, sections 4.2 to 4.4, 7.1 and 8
	}{
		{"sign-up", signUpRequest(), `{"requestId":"REQ-1","merchantUserId":"user-1","paymentMethod":{"type":"GCash"},
			"merchantResultUrl":"https://shop.example/return","notificationUrl":"https://shop.example/notify",
			"device":{"orderTerminal":"01"},"bizType":"CodeGrant"}`},
		{"sign-up query", codegrant.SignUpQuery{RequestID: "R", UserID: "U"},
			`{"requestId":"R","merchantUserId":"U","bizType":"CodeGrant"}`},
		{"sign-up query by everything", codegrant.SignUpQuery{RequestID: "R", UserID: "U", Token: token, Wallet: codegrant.RabbitLINEPay},
			`{"requestId":"R","merchantUserId":"U","token":"` + rigToken + `","paymentMethod":{"type":"Rabbit LINE Pay"},"bizType":"CodeGrant"}`},
		{"unbind", codegrant.UnbindRequest{RequestID: "R", UserID: "U", Token: token},
			`{"requestId":"R","merchantUserId":"U","token":"` + rigToken + `","bizType":"CodeGrant"}`},
		{"unbind with the wallet", codegrant.UnbindRequest{RequestID: "R", UserID: "U", Token: token, Wallet: codegrant.TNGeWallet},
			`{"requestId":"R","merchantUserId":"U","token":"` + rigToken + `","paymentMethod":{"type":"TNG eWallet"},"bizType":"CodeGrant"}`},
		{"pay", full, `{"requestId":"PAY-1","merchantTransactionId":"ORDER-1","merchantUserId":"user-1","token":"` + rigToken + `",
			"paymentMethod":{"type":"AlipayHK"},"amount":"100.00","currency":"HKD",` + payEnd + `
			"notificationUrl":"https://shop.example/notify/1","payResultUrl":"https://shop.example/done",
			"goods":[{"name":"tea","unitPrice":"10","number":"2","imgUrl":"https://shop.example/tea.png","sku":"T-1","virtualProduct":"N"},
			{"name":"茶","unitPrice":"80","number":"1"}],"tradeCountry":"HK","remark":"gift","bizType":"CodeGrant","captureDelayHours":0}`},
		{"pay in won from IPv6", won, `{"requestId":"PAY-1","merchantTransactionId":"ORDER-1","merchantUserId":"user-1","token":"` + rigToken + `",
			"paymentMethod":{"type":"Kakaopay"},"amount":"100","currency":"KRW",` +
			strings.Replace(payEnd, "203.0.113.7", "2001:db8::1", 1) + `"bizType":"CodeGrant","captureDelayHours":0}`},
		{"pay cents", cents, `{"requestId":"PAY-1","merchantTransactionId":"ORDER-1","merchantUserId":"user-1","token":"` + rigToken + `",
			"paymentMethod":{"type":"GCash"},"amount":"0.05","currency":"USD",` + payEnd + `"bizType":"CodeGrant","captureDelayHours":0}`},
		{"payment query", codegrant.PaymentQuery{OrderID: "O"}, `{"merchantTransactionId":"O"}`},
		{"payment query by every number", codegrant.PaymentQuery{OrderID: "O", TransactionID: "T", RequestID: "R"},
			`{"merchantTransactionId":"O","transactionId":"T","requestId":"R"}`},
		{"refund", refundRequest(), `{"merchantTransactionId":"ORDER-1","merchantRefundId":"REFUND-1","amount":"30.50","currency":"PHP"}`},
		{"refund with everything", refund, `{"merchantTransactionId":"ORDER-1","merchantRefundId":"REFUND-1","amount":"30.50","currency":"PHP",
			"notificationUrl":"https://shop.example/notify/2","remark":"broken"}`},
		{"refund query", codegrant.RefundQuery{OrderID: "O", RefundID: "R"}, `{"merchantTransactionId":"O","merchantRefundId":"R"}`},
		{"refund query by the gateway's number", codegrant.RefundQuery{OrderID: "O", GatewayID: "G"}, `{"merchantTransactionId":"O","refundId":"G"}`},
		{"prepare", prepareRequest(), `{"requestId":"OLD-1","merchantUserId":"user-1","payMethod":"AlipayHK",
			"authRedirectUrl":"https://shop.example/back","notifyUrl":"https://shop.example/notify","device":{"orderTerminal":"02"}}`},
		{"applyToken", codegrant.ApplyTokenRequest{RequestID: "R", UserID: "U", AuthCode: token, AuthState: "S"},
			`{"requestId":"R","merchantUserId":"U","authCode":"` + rigToken + `","authState":"S"}`},
		{"cancelToken", codegrant.CancelTokenRequest{RequestID: "R", UserID: "U", Token: token},
			`{"requestId":"R","merchantUserId":"U","token":"` + rigToken + `"}`},
		{"list", codegrant.ListTokensRequest{RequestID: "R", UserID: "U"}, `{"requestId":"R","merchantUserId":"U"}`},
		{"list one token", codegrant.ListTokensRequest{RequestID: "R", UserID: "U", Token: token},
			`{"requestId":"R","merchantUserId":"U","token":"` + rigToken + `"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			biz := bodyOf(t, rigAccount(), tt.request)
			require.JSONEq(t, tt.want, biz)
			require.NotContains(t, biz, `""`, "an empty string has no rule in the signature")
			require.NotContains(t, biz, "null")
			requireUniqueNames(t, biz)
		})
	}
}

// requireUniqueNames: a map would hide a member that is written twice.
func requireUniqueNames(t testing.TB, biz string) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(biz))
	type frame struct {
		names  map[string]bool
		isName bool
	}
	var stack []frame
	for {
		token, err := decoder.Token()
		if err != nil {
			return
		}
		top := len(stack) - 1
		switch value := token.(type) {
		case json.Delim:
			switch value {
			case '{':
				stack = append(stack, frame{map[string]bool{}, true})
				continue
			case '[':
				stack = append(stack, frame{})
				continue
			}
			stack = stack[:top]
			top--
		case string:
			if top >= 0 && stack[top].isName {
				require.False(t, stack[top].names[value], "%s twice in %s", value, biz)
				stack[top].names[value] = true
				stack[top].isName = false
				continue
			}
		}
		if top >= 0 && stack[top].names != nil {
			stack[top].isName = true
		}
	}
}

func TestTextIsSentAsItIs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"a&b=c", `quote " and \ and /`, "用户-007", "😀", "%E7%99%BE+%20", "{}[]:,;", "a\u2028\u2029b", "e\u0301", "'()*!~`",
	} {
		request := codegrant.SignUpQuery{RequestID: "R", UserID: text}
		biz := bodyOf(t, rigAccount(), request)
		var decoded struct{ MerchantUserID string }
		require.NoError(t, json.Unmarshal([]byte(biz), &decoded))
		require.Equal(t, text, decoded.MerchantUserID)
		require.NotContains(t, biz, `\u`, "no escape that JSON does not demand")
		require.NotContains(t, biz, `\/`)
	}
}

// TestRequestSignatures are the published vectors and those of PingPong v4,
// section 3.5, by way of the client.
func TestRequestSignatures(t *testing.T) {
	t.Parallel()
	request := codegrant.SignUpRequest{
		RequestID: "REQ-0001", UserID: "1260489643332513151", Wallet: codegrant.GCash, Terminal: codegrant.SignUpOnH5,
		ResultURL: "https://merchant.example/wallet/result", NotificationURL: "https://merchant.example/pp/notify",
	}
	for _, digest := range []codegrant.Digest{"", codegrant.SHA256, codegrant.MD5} {
		account := codegrant.Account{
			ID: "2018092714313010016291", ClientID: "2018092714313010016", Digest: digest,
			Salts: codegrant.Salts("F78BC96A55548B2319EE68E0", "BCE27A281029F5EAF3CC0E82"),
		}
		require.JSONEq(t, `{"requestId":"REQ-0001","merchantUserId":"1260489643332513151","bizType":"CodeGrant",`+
			`"paymentMethod":{"type":"GCash"},"merchantResultUrl":"https://merchant.example/wallet/result",`+
			`"notificationUrl":"https://merchant.example/pp/notify","device":{"orderTerminal":"01"}}`, bodyOf(t, account, request))
	}
}

// TestTerminalsAreTwoLists: PingPong v4, sections 4.2 and 7.1, number apps
// differently.
func TestTerminalsAreTwoLists(t *testing.T) {
	t.Parallel()
	for terminal, want := range map[codegrant.SignUpTerminal]string{
		codegrant.SignUpOnH5: "01", codegrant.SignUpOnPC: "02", codegrant.SignUpOnIOS: "04", codegrant.SignUpOnAndroid: "05",
	} {
		up, prepare := signUpRequest(), prepareRequest()
		up.Terminal, prepare.Terminal = terminal, terminal
		require.Contains(t, bodyOf(t, rigAccount(), up), `"device":{"orderTerminal":"`+want+`"}`)
		require.Contains(t, bodyOf(t, rigAccount(), prepare), `"device":{"orderTerminal":"`+want+`"}`)
	}
	for terminal, want := range map[codegrant.PayTerminal]string{
		codegrant.PayOnH5: "01", codegrant.PayOnPC: "02", codegrant.PayOnIOS: "03", codegrant.PayOnAndroid: "04",
	} {
		pay := payRequest()
		pay.Terminal = terminal
		require.Contains(t, bodyOf(t, rigAccount(), pay), `"device":{"orderTerminal":"`+want+`"}`)
	}
}

func TestHostsOfTheGateway(t *testing.T) {
	t.Parallel()
	require.Equal(t, "https://sandbox-acquirer-payment.pingpongx.com", codegrant.Sandbox().Host)
	require.Equal(t, "https://acquirer-payment.pingpongx.com", codegrant.ProductionFRA().Host)
	require.Equal(t, "https://acquirer-payment-checkout-sg.pingpongx.com", codegrant.ProductionSG().Host)
	require.Equal(t, "https://acquirer-payment-checkout-us.pingpongx.com", codegrant.ProductionUS().Host)
	for _, endpoints := range []codegrant.Endpoints{codegrant.Sandbox(), codegrant.ProductionFRA(), codegrant.ProductionSG(), codegrant.ProductionUS()} {
		_, err := codegrant.NewClient(codegrant.ClientConfig{Account: rigAccount(), Endpoints: endpoints})
		require.NoError(t, err)
	}
}
