package codegrant_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// TestSignUpQueryUnbind is the whole life of an agreement in every form of
// answer that PingPong v4, section 2, leaves open.
func TestSignUpQueryUnbind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  gatewaytest.Config
	}{
		{"code 001000", gatewaytest.Config{}},
		{"code 000000", gatewaytest.Config{BindCode: "000000"}},
		{"no code", gatewaytest.Config{BindCode: gatewaytest.OmitCode}},
		{"minimal envelopes", gatewaytest.Config{MinimalEnvelope: true}},
		{"minimal envelopes without a code by MD5", gatewaytest.Config{MinimalEnvelope: true, BindCode: gatewaytest.OmitCode, SignType: gatewaytest.MD5}},
		{"MD5", gatewaytest.Config{SignType: gatewaytest.MD5}},
		{"paths elsewhere", gatewaytest.Config{Paths: gatewaytest.Paths{SignUpQuery: "/v4/q", Unbind: "/v4/u"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, g, token := connectedClient(t, tt.cfg, func(c *codegrant.ClientConfig) {
				c.Account.Digest = codegrant.Digest(tt.cfg.SignType)
				c.Endpoints.SignUpQuery, c.Endpoints.Unbind = tt.cfg.Paths.SignUpQuery, tt.cfg.Paths.Unbind
			})
			again, err := client.SignUp(t.Context(), signUpRequest())
			require.NoError(t, err)
			agreement := g.Ledger().Agreements[0]
			require.Equal(t, agreement.AuthURL, again.AuthURL)
			require.Equal(t, agreement.Reference, again.Reference.Reveal())
			require.False(t, again.Reference.Equal(token), "the reference does not pay")

			query := codegrant.SignUpQuery{RequestID: "REQ-1", UserID: "user-1", Wallet: codegrant.GCash}
			state, err := client.QuerySignUp(t.Context(), query)
			require.NoError(t, err)
			require.Equal(t, "SUCCESS", state.Status)
			require.Equal(t, "REQ-1", state.RequestID)
			require.Equal(t, "user-1", state.UserID)
			require.Equal(t, codegrant.GCash, state.Wallet)
			require.True(t, state.Token.Equal(token))
			require.Equal(t, agreement.LoginID, state.LoginID.Reveal())
			require.Len(t, state.Expires, len("2038-09-11 19:52:30"))

			unbind := codegrant.UnbindRequest{RequestID: "U-1", UserID: "user-1", Token: token, Wallet: codegrant.GCash}
			require.NoError(t, client.Unbind(t.Context(), unbind))
			require.NoError(t, client.Unbind(t.Context(), unbind), "the identical request again")
			unbind.RequestID = "U-2"
			err = client.Unbind(t.Context(), unbind)
			require.ErrorIs(t, err, codegrant.ErrTokenGone)
			require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			requireDiscreet(t, err, token.Reveal())
			g.Wait()
			require.Equal(t, gatewaytest.EndedByMerchant, g.Ledger().Agreements[0].EndedBy)
		})
	}
}

func TestEveryWalletAndTerminalSignsUp(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(gatewaytest.Config{})
	t.Cleanup(g.Close)
	client, _ := tappedClient(t, g.Transport().RoundTrip)
	for _, info := range codegrant.Wallets() {
		for _, terminal := range info.Terminals {
			r := signUpRequest()
			r.RequestID, r.Wallet, r.Terminal = string(info.Wallet)+string(terminal), info.Wallet, terminal
			signedUp, err := client.SignUp(t.Context(), r)
			require.NoError(t, err, "%s %s", info.Wallet, terminal)
			require.NotEmpty(t, signedUp.AuthURL)
		}
	}
}

func TestSignUpRefusals(t *testing.T) {
	t.Parallel()
	client, _, _ := connectedClient(t, gatewaytest.Config{})
	other := signUpRequest()
	other.UserID = "user-2"
	unknown := signUpRequest()
	unknown.RequestID, unknown.Wallet = "REQ-9", "NewWallet"
	for _, r := range []codegrant.SignUpRequest{other, unknown} {
		_, err := client.SignUp(t.Context(), r)
		require.ErrorIs(t, err, codegrant.ErrRefused)
		require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	}
	_, err := client.QuerySignUp(t.Context(), codegrant.SignUpQuery{RequestID: "REQ-1", UserID: "user-2"})
	require.ErrorIs(t, err, codegrant.ErrRefused)
	_, err = client.QuerySignUp(t.Context(), codegrant.SignUpQuery{RequestID: "Q", UserID: "user-1", Token: codegrant.NewSecret(rigToken)})
	require.ErrorIs(t, err, codegrant.ErrTokenGone)
	requireDiscreet(t, err, rigToken)
}

func TestTheOlderFlow(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]gatewaytest.Config{
		"full envelopes": {}, "minimal envelopes": {MinimalEnvelope: true}, "no code": {BindCode: gatewaytest.OmitCode},
		"MD5": {SignType: gatewaytest.MD5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.HTTPClient = &http.Client{Transport: gatewaytest.HandlerTransport(http.NotFoundHandler())}
			g := gatewaytest.New(cfg)
			t.Cleanup(g.Close)
			client, _ := tappedClient(t, g.Transport().RoundTrip, func(c *codegrant.ClientConfig) {
				c.Account.Digest = codegrant.Digest(cfg.SignType)
			})
			prepared, err := client.Prepare(t.Context(), prepareRequest())
			require.NoError(t, err)
			require.True(t, prepared.Reference.IsZero())
			require.NoError(t, g.Approve(prepared.AuthURL))
			back, err := g.ReturnURL(prepared.AuthURL)
			require.NoError(t, err)
			u, err := url.Parse(back)
			require.NoError(t, err)

			apply := codegrant.ApplyTokenRequest{
				RequestID: "A-1", UserID: "user-1",
				AuthCode: codegrant.NewSecret(u.Query().Get("authCode")), AuthState: u.Query().Get("authState"),
			}
			applied, err := client.ApplyToken(t.Context(), apply)
			require.NoError(t, err)
			agreement := g.Ledger().Agreements[0]
			require.Equal(t, agreement.Token, applied.Token.Reveal())
			require.Equal(t, agreement.LoginID, applied.LoginID.Reveal())
			require.NotEmpty(t, applied.Expires)
			apply.RequestID = "A-2"
			_, err = client.ApplyToken(t.Context(), apply)
			require.ErrorIs(t, err, codegrant.ErrRefused)
			requireDiscreet(t, err, apply.AuthCode.Reveal())

			list := codegrant.ListTokensRequest{RequestID: "L-1", UserID: "user-1"}
			tokens, err := client.ListTokens(t.Context(), list)
			require.NoError(t, err)
			require.Len(t, tokens, 1)
			require.Equal(t, agreement.Token, tokens[0].Token.Reveal())
			require.Equal(t, agreement.LoginID, tokens[0].LoginID.Reveal())
			require.Equal(t, codegrant.AlipayHK, tokens[0].Wallet)
			require.Equal(t, "user-1", tokens[0].UserID)
			require.Equal(t, gatewaytest.DefaultAccountID, tokens[0].AccountID)
			require.Equal(t, gatewaytest.DefaultClientID, tokens[0].ClientID)

			cancel := codegrant.CancelTokenRequest{RequestID: "C-1", UserID: "user-1", Token: applied.Token}
			require.NoError(t, client.CancelToken(t.Context(), cancel))
			cancel.RequestID = "C-2"
			require.ErrorIs(t, client.CancelToken(t.Context(), cancel), codegrant.ErrTokenGone)
			tokens, err = client.ListTokens(t.Context(), list)
			require.NoError(t, err)
			require.Empty(t, tokens)
		})
	}
}

func TestTokensAreListedInEitherShape(t *testing.T) {
	t.Parallel()
	one := `{"token":"T1","payMethod":"AlipayHK","merchantUserId":"user-1"}`
	tests := []struct {
		name string
		biz  string
		want []string // nil with no error; "?" for an unknown outcome
	}{
		{"one object", `{"queryData":` + one + `}`, []string{"T1"}},
		{"an array", `{"queryData":[` + one + `, {"token" : "T2"} ]}`, []string{"T1", "T2"}},
		{"an array with white space", "{\"queryData\" : [\n" + one + "\t,\r\n{\"token\":\"T2\"}\n]}", []string{"T1", "T2"}},
		{"an array as text", `{"queryData":"[{\"token\":\"T1\"}]"}`, []string{"?"}},
		{"an object as text", `{"queryData":"{\"token\":\"T1\"}"}`, []string{"T1"}},
		{"an empty object", `{"queryData":{}}`, nil},
		{"an empty array", `{"queryData":[ ]}`, nil},
		{"null", `{"queryData":null}`, nil},
		{"nothing", `{}`, nil},
		{"an object with an object inside", `{"queryData":{"token":"T1","x":{"token":"T9"}}}`, []string{"T1"}},
		{"an agreement without a token", `{"queryData":[{"payMethod":"Boost"}]}`, nil},
		{"an array of texts", `{"queryData":["T1"]}`, []string{"?"}},
		{"an array of arrays", `{"queryData":[[` + one + `]]}`, []string{"?"}},
		{"a number", `{"queryData":7}`, []string{"?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(200, signedAnswer(tt.biz, map[string]string{"code": "001000"})))
			tokens, err := client.ListTokens(t.Context(), codegrant.ListTokensRequest{RequestID: "L", UserID: "user-1"})
			if len(tt.want) == 1 && tt.want[0] == "?" {
				requireUnknown(t, err)
				return
			}
			require.NoError(t, err)
			var got []string
			for _, token := range tokens {
				got = append(got, token.Token.Reveal())
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestWhatAnAnswerToUnbindingMeans(t *testing.T) {
	t.Parallel()
	const unknown, refused, gone = "unknown", "refused", "gone"
	tests := []struct {
		name    string
		members map[string]string
		biz     string
		want    string // "" for success
	}{
		{"success", nil, `{"status":"SUCCESS"}`, ""},
		{"cancelled", nil, `{"cancelSuccess":true}`, ""},
		{"cancelled as text", nil, `{"cancelSuccess":"true"}`, ""},
		{"cancelled, minimal envelope", map[string]string{"accId": "", "clientId": "", "code": "", "description": ""}, `{"cancelSuccess":true}`, ""},
		{"failed", nil, `{"status":"FAILED"}`, refused},
		{"not cancelled", nil, `{"cancelSuccess":false}`, refused},
		{"success and failure at once", nil, `{"status":"SUCCESS","cancelSuccess":false}`, unknown},
		{"failure and success at once", nil, `{"status":"FAILED","cancelSuccess":true}`, unknown},
		{"a status that nobody knows", nil, `{"status":"PROCESSING"}`, unknown},
		{"neither", nil, `{}`, unknown},
		{"no content", nil, ``, unknown},
		{"a number for true", nil, `{"cancelSuccess":1}`, unknown},
		{"a refusal", map[string]string{"code": "103000"}, ``, refused},
		{"success by a refusal's code", map[string]string{"code": "103000"}, `{"status":"SUCCESS"}`, refused},
		{"a token that is gone", map[string]string{"code": "102000", "description": "Token does not exist!"}, ``, gone},
		{"a token that is gone, in one sentence", map[string]string{"code": "999999", "description": "the token does not exist or expired"}, `{}`, gone},
		{"a code that the merchant names", map[string]string{"code": "107009", "description": ""}, ``, gone},
		{"a breakdown", map[string]string{"code": "500000"}, ``, unknown},
	}
	for _, tt := range tests {
		for _, request := range []any{
			codegrant.UnbindRequest{RequestID: "U", UserID: "user-1", Token: codegrant.NewSecret(rigToken)},
			codegrant.CancelTokenRequest{RequestID: "U", UserID: "user-1", Token: codegrant.NewSecret(rigToken)},
		} {
			client, _ := tappedClient(t, answering(200, signedAnswer(tt.biz, tt.members)), func(c *codegrant.ClientConfig) {
				c.TokenGoneCodes = []string{"107009"}
			})
			err := sendAny(t.Context(), client, request)
			t.Run(tt.name, func(t *testing.T) {
				switch tt.want {
				case "":
					require.NoError(t, err)
				case unknown:
					requireUnknown(t, err)
				case gone:
					require.ErrorIs(t, err, codegrant.ErrTokenGone)
					require.ErrorIs(t, err, codegrant.ErrRefused)
				default:
					require.ErrorIs(t, err, codegrant.ErrRefused)
					require.NotErrorIs(t, err, codegrant.ErrTokenGone)
					require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown)
				}
			})
		}
	}
}

func TestAnswersWithoutTheExpectedField(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		for _, biz := range []string{``, `{}`, `{"authUrl":"","token":"","status":""}`, `{"authUrl":null,"token":null}`, `{"authUrl":{"a":"b"},"token":["x"]}`} {
			client, _ := tappedClient(t, answering(200, signedAnswer(biz, map[string]string{"code": "001000"})))
			_, err := o.send(t.Context(), client)
			switch o.op {
			case gatewaytest.OpPay, gatewaytest.OpRefund, gatewaytest.OpList, gatewaytest.OpSignUpQuery:
				require.NoError(t, err, "%s %s", o.name, biz) // PROCESSING, none, or nothing known
			default:
				requireUnknown(t, err)
			}
		}
	}
}

func TestASignUpQueryReadsEveryShape(t *testing.T) {
	t.Parallel()
	want := codegrant.SignUpState{RequestID: "R", UserID: "U", Status: "SUCCESS", Wallet: codegrant.Boost, Expires: "2038-09-11 19:52:30"}
	flat := `"requestId":"R","merchantUserId":"U","status":"SUCCESS","expireTime":"2038-09-11 19:52:30","token":"T","userLoginId":"L",`
	for name, biz := range map[string]string{
		"flat":                      `{` + flat + `"payMethod":"Boost"}`,
		"flat, wallet as in bind":   `{` + flat + `"paymentMethod":{"type":"Boost"}}`,
		"below queryData":           `{"queryData":{` + flat + `"payMethod":"Boost"}}`,
		"the outer one comes first": `{` + flat + `"payMethod":"Boost","queryData":{"requestId":"X","token":"X","payMethod":"X"}}`,
	} {
		client, _ := tappedClient(t, answering(200, signedAnswer(biz, nil)))
		got, err := client.QuerySignUp(t.Context(), codegrant.SignUpQuery{RequestID: "R", UserID: "U"})
		require.NoError(t, err, name)
		require.Equal(t, "T", got.Token.Reveal(), name)
		require.Equal(t, "L", got.LoginID.Reveal(), name)
		got.Token, got.LoginID = codegrant.Secret{}, codegrant.Secret{}
		require.Equal(t, want, got, name)
	}
}
