package codegrant_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// connectedClient is a client of a simulated gateway at which user-1 has
// signed up; it returns the token that pays.
func connectedClient(t testing.TB, cfg gatewaytest.Config, change ...func(*codegrant.ClientConfig)) (
	*codegrant.Client, *gatewaytest.Gateway, codegrant.Secret) {
	t.Helper()
	cfg.HTTPClient = &http.Client{Transport: gatewaytest.HandlerTransport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))}
	g := gatewaytest.New(cfg)
	t.Cleanup(g.Close)
	client, _ := tappedClient(t, g.Transport().RoundTrip, change...)
	signedUp, err := client.SignUp(t.Context(), signUpRequest())
	require.NoError(t, err)
	require.NoError(t, g.Approve(signedUp.AuthURL))
	return client, g, codegrant.NewSecret(g.Ledger().Agreements[0].Token)
}

func payWith(token codegrant.Secret, change func(*codegrant.PayRequest)) codegrant.PayRequest {
	r := payRequest()
	r.Token = token
	if change != nil {
		change(&r)
	}
	return r
}

func TestPayQueryRefund(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]gatewaytest.Config{
		"SHA256": {}, "MD5": {SignType: gatewaytest.MD5},
		"minimal envelopes": {MinimalEnvelope: true}, "another code for sign-up": {BindCode: "000000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, g, token := connectedClient(t, cfg, func(c *codegrant.ClientConfig) { c.Account.Digest = codegrant.Digest(cfg.SignType) })
			amount := codegrant.Amount{Minor: 10000, Currency: "PHP"}
			paid, err := client.Pay(t.Context(), payWith(token, func(r *codegrant.PayRequest) { r.Remark = "gift, 礼物" }))
			require.NoError(t, err)
			require.NotEmpty(t, paid.TransactionID)
			require.Equal(t, codegrant.PayResponse{
				Code: "000000", Description: "Transaction succeeded", OrderID: "ORDER-1", RequestID: "PAY-1",
				TransactionID: paid.TransactionID, Status: codegrant.PaymentSuccess, Amount: amount,
				Wallet: codegrant.GCash, Remark: "gift, 礼物",
			}, paid)

			again, err := client.Pay(t.Context(), payWith(token, func(r *codegrant.PayRequest) { r.Remark = "gift, 礼物" }))
			require.NoError(t, err)
			require.Equal(t, paid, again, "the identical request is the same payment")

			for _, q := range []codegrant.PaymentQuery{{OrderID: "ORDER-1"}, {TransactionID: paid.TransactionID}, {OrderID: "ORDER-1", RequestID: "PAY-1"}} {
				state, err := client.QueryPayment(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, "000000", state.Code, "the payment's own code")
				require.Equal(t, codegrant.PaymentSuccess, state.Status)
				require.Equal(t, amount, state.Amount)
				require.Equal(t, "PAY-1", state.RequestID)
			}

			refunded, err := client.Refund(t.Context(), refundRequest())
			require.NoError(t, err)
			require.Equal(t, codegrant.RefundResponse{
				Code: "000000", Description: "Transaction succeeded", OrderID: "ORDER-1", RefundID: "REFUND-1",
				TransactionID: refunded.TransactionID, GatewayID: refunded.GatewayID, Status: codegrant.PaymentSuccess,
				Amount: codegrant.Amount{Minor: 3050, Currency: "PHP"},
			}, refunded)
			for _, q := range []codegrant.RefundQuery{{OrderID: "ORDER-1", RefundID: "REFUND-1"}, {OrderID: "ORDER-1", GatewayID: refunded.GatewayID}} {
				state, err := client.QueryRefund(t.Context(), q)
				require.NoError(t, err)
				require.Equal(t, refunded, state)
			}
			g.Wait()
			require.Len(t, g.Ledger().Charges, 1)
			require.Len(t, g.Ledger().Refunds, 1)
		})
	}
}

func TestRefundsAreFoundOnBothPaths(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v4/refund/query", "/v4/payment/getRefund"} {
		client, _, token := connectedClient(t, gatewaytest.Config{}, func(c *codegrant.ClientConfig) { c.Endpoints.RefundQuery = path })
		_, err := client.Pay(t.Context(), payWith(token, nil))
		require.NoError(t, err)
		_, err = client.Refund(t.Context(), refundRequest())
		require.NoError(t, err)
		state, err := client.QueryRefund(t.Context(), codegrant.RefundQuery{OrderID: "ORDER-1", RefundID: "REFUND-1"})
		require.NoError(t, err, path)
		require.Equal(t, codegrant.PaymentSuccess, state.Status, path)
	}
}

func TestWonHaveNoDecimals(t *testing.T) {
	t.Parallel()
	client, g, _ := connectedClient(t, gatewaytest.Config{})
	up := signUpRequest()
	up.RequestID, up.Wallet = "REQ-KR", codegrant.Kakaopay
	signedUp, err := client.SignUp(t.Context(), up)
	require.NoError(t, err)
	require.NoError(t, g.Approve(signedUp.AuthURL))
	won := codegrant.Amount{Minor: 1500, Currency: "KRW"}
	paid, err := client.Pay(t.Context(), payWith(codegrant.NewSecret(g.Ledger().Agreements[1].Token), func(r *codegrant.PayRequest) {
		r.Wallet, r.Amount = codegrant.Kakaopay, won
	}))
	require.NoError(t, err)
	require.Equal(t, won, paid.Amount)
	require.Equal(t, "1500.000000", g.Ledger().Charges[0].Amount, "won, not hundredths of won")
}

func TestADeclineIsAResponse(t *testing.T) {
	t.Parallel()
	client, g, token := connectedClient(t, gatewaytest.Config{})
	g.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline, Code: "301003"})
	declined, err := client.Pay(t.Context(), payWith(token, nil))
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentFailed, declined.Status)
	require.Equal(t, "301003", declined.Code)
	require.NotEmpty(t, declined.Description)
	require.Equal(t, "ORDER-1", declined.OrderID)

	state, err := client.QueryPayment(t.Context(), codegrant.PaymentQuery{OrderID: "ORDER-1"})
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentFailed, state.Status)
	require.Equal(t, "301003", state.Code)

	paid, err := client.Pay(t.Context(), payWith(token, func(r *codegrant.PayRequest) { r.RequestID = "PAY-2" }))
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentSuccess, paid.Status)
	g.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.Decline})
	refunded, err := client.Refund(t.Context(), refundRequest())
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentFailed, refunded.Status)
	require.Equal(t, "303000", refunded.Code)
}

// TestALostSuccessIsNoSuccess: what the gateway did is one thing, what its
// answer lets the merchant know another.
func TestALostSuccessIsNoSuccess(t *testing.T) {
	t.Parallel()
	executed := map[gatewaytest.FaultKind]int{
		gatewaytest.TimeoutBefore: 0, gatewaytest.Status500Before: 0, gatewaytest.ResetBefore: 0,
		gatewaytest.TimeoutAfter: 1, gatewaytest.Status500After: 1, gatewaytest.ResetAfter: 1, gatewaytest.Truncated: 1,
		gatewaytest.Tampered: 1, gatewaytest.Unsigned: 1, gatewaytest.WrongSalt: 1, gatewaytest.HTMLAnswer: 1,
	}
	for kind, charges := range executed {
		synctest.Test(t, func(t *testing.T) {
			client, g, token := connectedClient(t, gatewaytest.Config{})
			g.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: kind})
			result, err := client.Pay(t.Context(), payWith(token, nil))
			requireUnknown(t, err)
			requireDiscreet(t, err, token.Reveal())
			require.Zero(t, result)
			require.Len(t, g.Ledger().Charges, charges)

			paid, err := client.Pay(t.Context(), payWith(token, nil))
			require.NoError(t, err, "the identical request settles it")
			require.Equal(t, codegrant.PaymentSuccess, paid.Status)
			g.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: kind})
			_, err = client.Refund(t.Context(), refundRequest())
			requireUnknown(t, err)
			require.Len(t, g.Ledger().Refunds, charges)
			_, err = client.Refund(t.Context(), refundRequest())
			require.NoError(t, err)

			g.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: kind})
			unbind := codegrant.UnbindRequest{RequestID: "U-1", UserID: "user-1", Token: token}
			requireUnknown(t, client.Unbind(t.Context(), unbind))
			require.NoError(t, client.Unbind(t.Context(), unbind))
			g.Wait()
			require.Len(t, g.Ledger().Charges, 1)
			require.Len(t, g.Ledger().Refunds, 1)
			require.Empty(t, g.Ledger().ChargedTwice())
			g.Close()
		})
	}
}

func TestAPaymentMayTakeTime(t *testing.T) {
	t.Parallel()
	client, g, token := connectedClient(t, gatewaytest.Config{ProcessingFirst: true})
	pending, err := client.Pay(t.Context(), payWith(token, nil))
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentProcessing, pending.Status)
	require.Equal(t, "002000", pending.Code)
	require.NoError(t, g.Settle("ORDER-1"))
	state, err := client.QueryPayment(t.Context(), codegrant.PaymentQuery{OrderID: "ORDER-1"})
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentSuccess, state.Status)
}

func TestPaymentRefusals(t *testing.T) {
	t.Parallel()
	client, _, token := connectedClient(t, gatewaytest.Config{})
	for name, r := range map[string]codegrant.PayRequest{
		"a token that never was":         payWith(codegrant.NewSecret(rigToken), nil),
		"a token of another user":        payWith(token, func(r *codegrant.PayRequest) { r.UserID = "user-2" }),
		"a token of another wallet":      payWith(token, func(r *codegrant.PayRequest) { r.Wallet = codegrant.DANA }),
		"a token with a letter in upper": payWith(codegrant.NewSecret(strings.ToUpper(token.Reveal())), nil),
	} {
		result, err := client.Pay(t.Context(), r)
		require.ErrorIs(t, err, codegrant.ErrTokenGone, name)
		require.ErrorIs(t, err, codegrant.ErrRefused, name)
		require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown, name)
		require.NotEqual(t, codegrant.PaymentSuccess, result.Status, name)
		requireDiscreet(t, err, r.Token.Reveal())
	}

	_, err := client.QueryPayment(t.Context(), codegrant.PaymentQuery{OrderID: "NOBODY"})
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = client.QueryRefund(t.Context(), codegrant.RefundQuery{OrderID: "NOBODY", RefundID: "R"})
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	_, err = client.Refund(t.Context(), refundRequest())
	require.ErrorIs(t, err, codegrant.ErrRefused)
	require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)

	_, err = client.Pay(t.Context(), payWith(token, nil))
	require.NoError(t, err)
	_, err = client.Pay(t.Context(), payWith(token, func(r *codegrant.PayRequest) { r.Amount.Minor++ }))
	requireUnknown(t, err) // 107000: the payment exists already
	_, err = client.Refund(t.Context(), codegrant.RefundRequest{
		OrderID: "ORDER-1", RefundID: "R", Amount: codegrant.Amount{Minor: 10001, Currency: "PHP"},
	})
	require.ErrorIs(t, err, codegrant.ErrRefused)
}

// TestWhatAnAnswerToAPaymentMeans covers the answers that no simulator gives.
func TestWhatAnAnswerToAPaymentMeans(t *testing.T) {
	t.Parallel()
	const unknown, refused = "unknown", "refused"
	tests := []struct {
		name string
		code string
		biz  string
		want string // a status, unknown or refused
	}{
		{"success", "000000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-1","requestId":"PAY-1"}`, "SUCCESS"},
		{"success as PHP printed it", "000000", `{"status":"SUCCESS","amount":100,"currency":"PHP"}`, "SUCCESS"},
		{"success with six decimals", "000000", `{"status":"SUCCESS","amount":"100.000000","currency":"PHP"}`, "SUCCESS"},
		{"success without the currency", "000000", `{"status":"SUCCESS","amount":"100.000000"}`, "SUCCESS"},
		{"success without a code", "", `{"status":"SUCCESS"}`, "SUCCESS"},
		{"success by a decline's code", "301002", `{"status":"SUCCESS"}`, unknown},
		{"success by an internal code", "500000", `{"status":"SUCCESS"}`, unknown},
		{"failure by the success code", "000000", `{"status":"FAILED"}`, unknown},
		{"another order", "000000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-2"}`, unknown},
		{"another order's failure", "301002", `{"status":"FAILED","merchantTransactionId":"ORDER-2"}`, unknown},
		{"another attempt", "000000", `{"status":"SUCCESS","requestId":"PAY-2"}`, unknown},
		{"another attempt's failure", "301002", `{"status":"FAILED","requestId":"PAY-2"}`, unknown},
		{"another amount", "000000", `{"status":"SUCCESS","amount":"100.01","currency":"PHP"}`, unknown},
		{"an amount in another currency", "000000", `{"status":"SUCCESS","amount":"100.00","currency":"USD"}`, unknown},
		{"an amount of nothing", "000000", `{"status":"SUCCESS","amount":"0.000000","currency":"PHP"}`, unknown},
		{"an amount that is none", "000000", `{"status":"SUCCESS","amount":"1e2","currency":"PHP"}`, unknown},
		{"an amount in an unknown currency", "000000", `{"status":"SUCCESS","amount":"100","currency":"XXX"}`, unknown},
		{"a duplicate", "107000", `{}`, unknown},
		{"a duplicate with a failure", "107000", `{"status":"FAILED"}`, unknown},
		{"a duplicate at the bank", "301013", `{"status":"FAILED"}`, unknown},
		{"an internal failure", "500000", `{"status":"FAILED"}`, unknown},
		{"an external failure", "600001", `{"status":"FAILED"}`, unknown},
		{"an internal failure without content", "500003", ``, unknown},
		{"a decline", "301002", `{"status":"FAILED"}`, "FAILED"},
		{"processing", "002000", `{"status":"PROCESSING"}`, "PROCESSING"},
		{"processing without a status", "002000", `{}`, "PROCESSING"},
		{"served without a status", "001000", `{}`, "PROCESSING"},
		{"served without content", "000000", ``, "PROCESSING"},
		{"closed", "105000", `{"status":"CLOSED"}`, "CLOSED"},
		{"a status that nobody knows", "000000", `{"status":"NEWS"}`, "NEWS"},
		{"a refusal without content", "102000", ``, refused},
		{"a refusal with empty content", "200000", `{}`, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(200, signedAnswer(tt.biz, map[string]string{"code": tt.code})))
			result, err := client.Pay(t.Context(), payRequest())
			switch tt.want {
			case unknown:
				requireUnknown(t, err)
			case refused:
				require.ErrorIs(t, err, codegrant.ErrRefused)
				require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			default:
				require.NoError(t, err)
				require.Equal(t, codegrant.PaymentStatus(tt.want), result.Status)
				require.Equal(t, tt.code, result.Code)
			}
		})
	}
}

func TestWhatAnAnswerToARefundMeans(t *testing.T) {
	t.Parallel()
	const unknown, refused = "unknown", "refused"
	tests := []struct {
		name string
		code string
		biz  string
		want string
	}{
		{"success", "000000", `{"status":"SUCCESS","amount":"30.500000","currency":"PHP"}`, "SUCCESS"},
		{"success as queries say it", "001000", `{"status":"SUCCESS","resultCode":"000000"}`, "SUCCESS"},
		{"success by a decline's code", "303000", `{"status":"SUCCESS"}`, unknown},
		{"success by an internal code", "600000", `{"status":"SUCCESS"}`, unknown},
		{"another order", "000000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-2"}`, unknown},
		{"another refund", "000000", `{"status":"SUCCESS","merchantRefundId":"REFUND-2"}`, unknown},
		{"another amount", "000000", `{"status":"SUCCESS","amount":"31.500000","currency":"PHP"}`, unknown},
		{"another currency", "000000", `{"status":"SUCCESS","amount":"30.500000","currency":"USD"}`, unknown},
		{"a duplicate", "107000", `{}`, unknown},
		{"an internal failure", "500000", `{"status":"FAILED"}`, unknown},
		{"a failure", "303000", `{"status":"FAILED"}`, "FAILED"},
		{"processing", "002000", `{}`, "PROCESSING"},
		{"served without a status", "001000", `{}`, "PROCESSING"},
		{"a refusal", "108000", ``, refused},
		{"an original that nobody knows", "107002", ``, refused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(200, signedAnswer(tt.biz, map[string]string{"code": tt.code})))
			result, err := client.Refund(t.Context(), refundRequest())
			switch tt.want {
			case unknown:
				requireUnknown(t, err)
			case refused:
				require.ErrorIs(t, err, codegrant.ErrRefused)
				require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			default:
				require.NoError(t, err)
				require.Equal(t, codegrant.PaymentStatus(tt.want), result.Status)
			}
		})
	}
}

func TestWhatAnAnswerToAQueryMeans(t *testing.T) {
	t.Parallel()
	order, number := codegrant.PaymentQuery{OrderID: "ORDER-1"}, codegrant.PaymentQuery{TransactionID: "T1"}
	attempt := codegrant.PaymentQuery{OrderID: "ORDER-1", RequestID: "PAY-1"}
	ours, theirs := codegrant.RefundQuery{OrderID: "ORDER-1", RefundID: "R1"}, codegrant.RefundQuery{OrderID: "ORDER-1", GatewayID: "G1"}
	tests := []struct {
		name  string
		query any
		code  string
		biz   string
		want  error // nil for a response
	}{
		{"the payment", order, "001000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-1"}`, nil},
		{"the payment under an older success code", order, "000000", `{"status":"SUCCESS"}`, nil},
		{"another order", order, "001000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-2"}`, codegrant.ErrOutcomeUnknown},
		{"another transaction", number, "001000", `{"status":"SUCCESS","transactionId":"T2"}`, codegrant.ErrOutcomeUnknown},
		{"another attempt than the one asked for", attempt, "001000", `{"status":"FAILED","requestId":"PAY-2"}`, codegrant.ErrOutcomeUnknown},
		{"no status", order, "001000", `{"merchantTransactionId":"ORDER-1"}`, codegrant.ErrOutcomeUnknown},
		{"no content", order, "001000", ``, codegrant.ErrOutcomeUnknown},
		{"an amount that is none", order, "001000", `{"status":"SUCCESS","amount":"-1","currency":"HKD"}`, codegrant.ErrOutcomeUnknown},
		{"no such payment", order, "107001", ``, codegrant.ErrNotFound},
		{"no such original", order, "107002", ``, codegrant.ErrNotFound},
		{"a refusal", order, "103000", ``, codegrant.ErrRefused},
		{"a breakdown", order, "500000", ``, codegrant.ErrOutcomeUnknown},
		{"the refund", ours, "001000", `{"status":"SUCCESS","merchantRefundId":"R1"}`, nil},
		{"another refund", ours, "001000", `{"status":"SUCCESS","merchantRefundId":"R2"}`, codegrant.ErrOutcomeUnknown},
		{"a refund of another order", ours, "001000", `{"status":"SUCCESS","merchantTransactionId":"ORDER-2"}`, codegrant.ErrOutcomeUnknown},
		{"another refund by the gateway's number", theirs, "001000", `{"status":"SUCCESS","refundId":"G2"}`, codegrant.ErrOutcomeUnknown},
		{"a refund without status", ours, "001000", `{}`, codegrant.ErrOutcomeUnknown},
		{"no such refund", ours, "107001", ``, codegrant.ErrNotFound},
		{"a refused refund query", ours, "102000", ``, codegrant.ErrRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(200, signedAnswer(tt.biz, map[string]string{"code": tt.code})))
			err := sendAny(t.Context(), client, tt.query)
			switch {
			case tt.want == nil:
				require.NoError(t, err)
			case errors.Is(tt.want, codegrant.ErrOutcomeUnknown):
				requireUnknown(t, err)
			default:
				require.ErrorIs(t, err, tt.want)
				require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			}
		})
	}
}

// TestSuccessCodesAreForTheUndocumentedInterfaces: paying and querying have
// documented codes, which a setting for the others must not take away.
func TestSuccessCodesAreForTheUndocumentedInterfaces(t *testing.T) {
	t.Parallel()
	client, _, token := connectedClient(t, gatewaytest.Config{BindCode: "009000"},
		func(c *codegrant.ClientConfig) { c.SuccessCodes = []string{"009000"} })
	paid, err := client.Pay(t.Context(), payWith(token, nil))
	require.NoError(t, err)
	require.Equal(t, codegrant.PaymentSuccess, paid.Status)
	_, err = client.QueryPayment(t.Context(), codegrant.PaymentQuery{OrderID: "ORDER-1"})
	require.NoError(t, err)
	_, err = client.Refund(t.Context(), refundRequest())
	require.NoError(t, err)
}

func TestEveryFieldOfAPaymentsAnswer(t *testing.T) {
	t.Parallel()
	biz := `{"merchantTransactionId":"ORDER-1","requestId":"PAY-1","transactionId":2023092050004595,"status":"PROCESSING",` +
		`"amount":100,"currency":"PHP","paymentMethod":{"type":"GCash"},"remark":"r","issuerInfo":{"issuerResultCode":"05","issuerResultMsg":"no"},` +
		`"action":{"type":"QR_URL","qrUrl":"https://qr.example/"},"token":"` + rigToken + `","transactionTime":"20230920120000","more":[1,{"a":null}]}`
	client, _ := tappedClient(t, answering(200, signedAnswer(biz, map[string]string{"code": "002000", "description": "wait"})))
	got, err := client.Pay(t.Context(), payRequest())
	require.NoError(t, err)
	require.Equal(t, codegrant.PayResponse{
		Code: "002000", Description: "wait", OrderID: "ORDER-1", RequestID: "PAY-1", TransactionID: "2023092050004595",
		Status: codegrant.PaymentProcessing, Amount: codegrant.Amount{Minor: 10000, Currency: "PHP"}, Wallet: codegrant.GCash,
		Remark: "r", IssuerCode: "05", IssuerMessage: "no", ActionType: "QR_URL", ActionURL: "https://qr.example/",
	}, got)
}
