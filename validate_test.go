package codegrant_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// sendAny sends a request of any kind.
func sendAny(ctx context.Context, c *codegrant.Client, request any) error {
	var err error
	switch r := request.(type) {
	case codegrant.SignUpRequest:
		_, err = c.SignUp(ctx, r)
	case codegrant.SignUpQuery:
		_, err = c.QuerySignUp(ctx, r)
	case codegrant.UnbindRequest:
		err = c.Unbind(ctx, r)
	case codegrant.PayRequest:
		_, err = c.Pay(ctx, r)
	case codegrant.PaymentQuery:
		_, err = c.QueryPayment(ctx, r)
	case codegrant.RefundRequest:
		_, err = c.Refund(ctx, r)
	case codegrant.RefundQuery:
		_, err = c.QueryRefund(ctx, r)
	case codegrant.PrepareRequest:
		_, err = c.Prepare(ctx, r)
	case codegrant.ApplyTokenRequest:
		_, err = c.ApplyToken(ctx, r)
	case codegrant.CancelTokenRequest:
		err = c.CancelToken(ctx, r)
	case codegrant.ListTokensRequest:
		_, err = c.ListTokens(ctx, r)
	default:
		panic("no such request")
	}
	return err
}

// fieldRule is what PingPong v4, sections 4, 7, 8 and 11, demand of a field.
type fieldRule struct {
	request  any // valid
	field    string
	wire     string
	max      int
	required bool
	form     string // "", "url", "ip", "email" or the values allowed
}

func fieldRules() []fieldRule {
	token := codegrant.NewSecret(rigToken)
	signUp, pay, refund, prepare := signUpRequest(), payRequest(), refundRequest(), prepareRequest()
	query := codegrant.SignUpQuery{RequestID: "R", UserID: "U"}
	unbind := codegrant.UnbindRequest{RequestID: "R", UserID: "U", Token: token}
	find := codegrant.PaymentQuery{OrderID: "O", TransactionID: "T"}
	findRefund := codegrant.RefundQuery{OrderID: "O", RefundID: "R", GatewayID: "G"}
	apply := codegrant.ApplyTokenRequest{RequestID: "R", UserID: "U", AuthCode: token, AuthState: "S"}
	cancel := codegrant.CancelTokenRequest{RequestID: "R", UserID: "U", Token: token}
	list := codegrant.ListTokensRequest{RequestID: "R", UserID: "U"}
	return []fieldRule{
		{signUp, "RequestID", "requestId", 64, true, ""},
		{signUp, "UserID", "merchantUserId", 256, true, ""},
		{signUp, "Wallet", "paymentMethod.type", 64, true, ""},
		{signUp, "ResultURL", "merchantResultUrl", 255, true, "url"},
		{signUp, "NotificationURL", "notificationUrl", 255, true, "url"},
		{signUp, "Terminal", "device.orderTerminal", 0, true, "01 02 04 05"},
		{query, "RequestID", "requestId", 64, true, ""},
		{query, "UserID", "merchantUserId", 256, true, ""},
		{query, "Token", "token", 512, false, ""},
		{query, "Wallet", "paymentMethod.type", 64, false, ""},
		{unbind, "RequestID", "requestId", 64, true, ""},
		{unbind, "UserID", "merchantUserId", 256, true, ""},
		{unbind, "Token", "token", 512, true, ""},
		{unbind, "Wallet", "paymentMethod.type", 64, false, ""},
		{pay, "RequestID", "requestId", 64, true, ""},
		{pay, "OrderID", "merchantTransactionId", 64, true, ""},
		{pay, "UserID", "merchantUserId", 256, true, ""},
		{pay, "Token", "token", 512, true, ""},
		{pay, "Wallet", "paymentMethod.type", 64, true, ""},
		{pay, "ShopperIP", "shopperIP", 64, true, "ip"},
		{pay, "Email", "customer.email", 128, true, "email"},
		{pay, "Terminal", "device.orderTerminal", 0, true, "01 02 03 04"},
		{pay, "NotificationURL", "notificationUrl", 255, false, "url"},
		{pay, "ResultURL", "payResultUrl", 255, false, "url"},
		{pay, "Country", "tradeCountry", 2, false, "two"},
		{pay, "Remark", "remark", 255, false, ""},
		{find, "OrderID", "merchantTransactionId", 64, false, ""},
		{find, "TransactionID", "transactionId", 64, false, ""},
		{find, "RequestID", "requestId", 64, false, ""},
		{refund, "OrderID", "merchantTransactionId", 64, true, ""},
		{refund, "RefundID", "merchantRefundId", 64, true, ""},
		{refund, "NotificationURL", "notificationUrl", 255, false, "url"},
		{refund, "Remark", "remark", 32, false, ""},
		{findRefund, "OrderID", "merchantTransactionId", 64, true, ""},
		{findRefund, "RefundID", "merchantRefundId", 64, false, ""},
		{findRefund, "GatewayID", "refundId", 64, false, ""},
		{prepare, "RequestID", "requestId", 64, true, ""},
		{prepare, "UserID", "merchantUserId", 256, true, ""},
		{prepare, "Wallet", "payMethod", 64, true, ""},
		{prepare, "RedirectURL", "authRedirectUrl", 255, true, "url"},
		{prepare, "NotificationURL", "notifyUrl", 255, true, "url"},
		{prepare, "Terminal", "device.orderTerminal", 0, true, "01 02 04 05"},
		{apply, "RequestID", "requestId", 64, true, ""},
		{apply, "UserID", "merchantUserId", 256, true, ""},
		{apply, "AuthCode", "authCode", 2048, true, ""},
		{apply, "AuthState", "authState", 2048, true, ""},
		{cancel, "RequestID", "requestId", 64, true, ""},
		{cancel, "UserID", "merchantUserId", 256, true, ""},
		{cancel, "Token", "token", 512, true, ""},
		{list, "RequestID", "requestId", 64, true, ""},
		{list, "UserID", "merchantUserId", 256, true, ""},
		{list, "Token", "token", 512, false, ""},
	}
}

// with returns the request with the field set to text.
func (r fieldRule) with(text string) any {
	v := reflect.New(reflect.TypeOf(r.request)).Elem()
	v.Set(reflect.ValueOf(r.request))
	f := v.FieldByName(r.field)
	if f.Kind() == reflect.String {
		f.SetString(text)
	} else {
		f.Set(reflect.ValueOf(codegrant.NewSecret(text)))
	}
	return v.Interface()
}

func (r fieldRule) bad() []string {
	const marker = "SENTINEL"
	switch r.form {
	case "url":
		return []string{
			marker, "/" + marker, "ftp://shop.example/" + marker, "http://shop.example/" + marker, "https:///" + marker,
			"https://shop.example/" + marker + "?id=1", "https://shop.example/" + marker + "?", "https://shop.example/" + marker + "#a",
			"https://shop.example/" + marker + "#", "https://u:p@shop.example/" + marker, "https://shop.example/<" + marker + ">",
			" https://shop.example/" + marker, "https://shop.example/ " + marker, "https://shop.example/\n" + marker,
			"https://:443/" + marker, "//shop.example/" + marker, "https://shop.example/" + strings.Repeat("a", 235) + marker,
		}
	case "ip":
		return []string{marker, "localhost", "1.2.3", "1.2.3.4.5", "256.1.1.1", "203.0.113.7 ", "203.0.113.7:80", "fe80::1%eth0", "203.0.113.0/24"}
	case "email":
		return []string{
			marker, marker + "@", "@" + marker, "a b@" + marker + ".example", "a@" + marker + ".example ",
			`"<` + marker + `>"@shop.example`, strings.Repeat("a", 60) + "@" + strings.Repeat("b", 60) + "." + strings.Repeat("c", 10),
		}
	case "two":
		return []string{"H", "HKG", "H ", "<>", "\n\n", strings.Repeat("H", 300)}
	case "":
		return []string{
			"a<" + marker, marker + ">b", " " + marker, marker + " ", "\t" + marker, marker + "\u00a0", marker + "\u3000",
			marker + "\nb", marker + "\rb", marker + "\x00b", marker + "\x7fb", marker + "\u0085b", marker + "\xffb",
			marker + "\xed\xa0\x80", "   ", marker + strings.Repeat("a", r.max-len(marker)+1), strings.Repeat("界", r.max+1),
		}
	default:
		return []string{"1", "00", "06", "1 2", "01 02", "001", "<01", "１"}
	}
}

func (r fieldRule) good() []string {
	switch r.form {
	case "url":
		return []string{
			"https://shop.example", "https://shop.example/a/b", "https://shop.example:8443/x", "http://localhost:8080/n",
			"http://127.0.0.1/n", "http://[::1]:9/n", "https://shop.example/" + strings.Repeat("a", 255-len("https://shop.example/")),
		}
	case "ip":
		return []string{"203.0.113.7", "2001:db8::1", "::1"}
	case "email":
		return []string{"a@shop.example", "a.b+c@shop.example"}
	case "two":
		return []string{"HK"}
	case "":
		return []string{"a", "a b", "a&b=c", `"\/{}`, "用户-007", strings.Repeat("a", r.max), strings.Repeat("界", r.max), strings.Repeat("😀", r.max)}
	default:
		return strings.Fields(r.form)
	}
}

func TestEveryRuleOfEveryField(t *testing.T) {
	t.Parallel()
	client, tap := tappedClient(t, answering(200, signedAnswer(`{"authUrl":"https://w.example/","status":"SUCCESS","token":"t"}`, nil)))
	for _, rule := range fieldRules() {
		kind := reflect.TypeOf(rule.request).Name()
		bad := rule.bad()
		if rule.required {
			bad = append(bad, "")
		}
		var passed []string
		for _, text := range bad {
			before := len(tap.requests())
			err := sendAny(t.Context(), client, rule.with(text))
			var refused *codegrant.RequestError
			if !errors.As(err, &refused) {
				passed = append(passed, text)
				continue
			}
			require.Len(t, tap.requests(), before, "a refused request was sent")
			require.ErrorIs(t, err, codegrant.ErrInvalidRequest)
			require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			require.Len(t, refused.Problems, 1, "%s.%s = %.40q", kind, rule.field, text)
			require.Equal(t, kind+"."+rule.field, refused.Problems[0].Field)
			require.Equal(t, rule.wire, refused.Problems[0].Wire)
			assertThat(t, !strings.Contains(refused.Problems[0].Rule, "breaks the rule"), "%v: say it in words", err)
			requireDiscreet(t, err, "SENTINEL", "界")
		}
		assertThat(t, len(passed) == 0, "%s.%s was sent as %.40q", kind, rule.field, passed)
	}

	client, tap = tappedClient(t, answering(200, signedAnswer(`{"authUrl":"https://w.example/","status":"SUCCESS","token":"t"}`, nil)))
	sentOnes := 0
	for _, rule := range fieldRules() {
		good := rule.good()
		if !rule.required {
			good = append(good, "")
		}
		for _, text := range good {
			err := sendAny(t.Context(), client, rule.with(text))
			var refused *codegrant.RequestError
			require.NotErrorAs(t, err, &refused, "%T.%s = %.40q", rule.request, rule.field, text)
			sentOnes++
		}
	}
	require.Len(t, tap.requests(), sentOnes)
}

// assertThat lets a table report every row that fails.
func assertThat(t *testing.T, ok bool, format string, args ...any) bool {
	t.Helper()
	if !ok {
		t.Errorf(format, args...)
	}
	return ok
}

func TestAllProblemsOfARequestAreNamedAtOnce(t *testing.T) {
	t.Parallel()
	client, tap := tappedClient(t, answering(200, ""))
	goods := payRequest()
	goods.Goods = []codegrant.Goods{
		{Name: "tea", UnitPrice: "10", Quantity: "1", Virtual: "Y"},
		{Name: "<SENTINEL>", UnitPrice: "1234567890123", Quantity: "", ImageURL: "SENTINEL ", SKU: "\x01SENTINEL", Virtual: "SENTINEL"},
	}
	tests := []struct {
		request any
		want    string // field (wire) of each problem
	}{
		{codegrant.SignUpRequest{}, "RequestID (requestId) UserID (merchantUserId) Wallet (paymentMethod.type) ResultURL (merchantResultUrl) NotificationURL (notificationUrl) Terminal (device.orderTerminal)"},
		{codegrant.SignUpQuery{}, "RequestID (requestId) UserID (merchantUserId)"},
		{codegrant.UnbindRequest{}, "RequestID (requestId) UserID (merchantUserId) Token (token)"},
		{codegrant.PayRequest{}, "RequestID (requestId) OrderID (merchantTransactionId) UserID (merchantUserId) Token (token) Wallet (paymentMethod.type) Amount (amount) ShopperIP (shopperIP) Email (customer.email) Terminal (device.orderTerminal)"},
		{goods, "Goods[1].Name (name) Goods[1].UnitPrice (unitPrice) Goods[1].Quantity (number) Goods[1].ImageURL (imgUrl) Goods[1].SKU (sku) Goods[1].Virtual (virtualProduct)"},
		{codegrant.PaymentQuery{}, "OrderID (merchantTransactionId)"},
		{codegrant.RefundRequest{}, "OrderID (merchantTransactionId) RefundID (merchantRefundId) Amount (amount)"},
		{codegrant.RefundQuery{}, "OrderID (merchantTransactionId) RefundID (merchantRefundId)"},
		{codegrant.PrepareRequest{}, "RequestID (requestId) UserID (merchantUserId) Wallet (payMethod) RedirectURL (authRedirectUrl) NotificationURL (notifyUrl) Terminal (device.orderTerminal)"},
		{codegrant.ApplyTokenRequest{}, "RequestID (requestId) UserID (merchantUserId) AuthCode (authCode) AuthState (authState)"},
		{codegrant.CancelTokenRequest{}, "RequestID (requestId) UserID (merchantUserId) Token (token)"},
		{codegrant.ListTokensRequest{}, "RequestID (requestId) UserID (merchantUserId)"},
	}
	for _, tt := range tests {
		kind := reflect.TypeOf(tt.request).Name()
		err := sendAny(t.Context(), client, tt.request)
		var refused *codegrant.RequestError
		require.ErrorAs(t, err, &refused, kind)
		var got []string
		for _, p := range refused.Problems {
			got = append(got, strings.TrimPrefix(p.Field, kind+".")+" ("+p.Wire+")")
			require.Contains(t, err.Error(), p.Field+" ("+p.Wire+") "+p.Rule)
		}
		require.Equal(t, tt.want, strings.Join(got, " "), kind)
		requireDiscreet(t, err, "SENTINEL", rigToken)
	}
	require.Empty(t, tap.requests())
}

func TestAmountsThatCannotBeSent(t *testing.T) {
	t.Parallel()
	client, tap := tappedClient(t, answering(200, signedAnswer(`{"status":"PROCESSING"}`, nil)))
	tests := []struct {
		name   string
		amount codegrant.Amount
		ok     bool
	}{
		{"one cent", codegrant.Amount{Minor: 1, Currency: "HKD"}, true},
		{"twelve characters", codegrant.Amount{Minor: 99999999999, Currency: "HKD"}, true},
		{"twelve digits of won", codegrant.Amount{Minor: 999999999999, Currency: "KRW"}, true},
		{"thirteen characters", codegrant.Amount{Minor: 100000000000, Currency: "HKD"}, false},
		{"thirteen digits of won", codegrant.Amount{Minor: 1000000000000, Currency: "KRW"}, false},
		{"nothing", codegrant.Amount{Currency: "HKD"}, false},
		{"less than nothing", codegrant.Amount{Minor: -1, Currency: "HKD"}, false},
		{"the smallest number", codegrant.Amount{Minor: -1 << 63, Currency: "HKD"}, false},
		{"no currency", codegrant.Amount{Minor: 100}, false},
		{"an unknown currency", codegrant.Amount{Minor: 100, Currency: "XXX"}, false},
		{"a currency in lower case", codegrant.Amount{Minor: 100, Currency: "hkd"}, false},
	}
	for _, tt := range tests {
		pay, refund := payRequest(), refundRequest()
		pay.Amount, refund.Amount = tt.amount, tt.amount
		for _, request := range []any{pay, refund} {
			before := len(tap.requests())
			err := sendAny(t.Context(), client, request)
			if tt.ok {
				require.NoError(t, err, tt.name)
				require.Len(t, tap.requests(), before+1, tt.name)
				continue
			}
			require.ErrorIs(t, err, codegrant.ErrInvalidRequest, tt.name)
			require.Len(t, tap.requests(), before, tt.name)
		}
	}
}
