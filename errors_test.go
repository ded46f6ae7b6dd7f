package codegrant_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// requireDiscreet holds every form of an error's text against what must not
// stand in it.
func requireDiscreet(t testing.TB, err error, secrets ...string) {
	t.Helper()
	require.Error(t, err)
	text := fmt.Sprintf("%s\n%v\n%+v\n%#v\n%q", err, err, err, err, err)
	if data, marshalErr := json.Marshal(err); marshalErr == nil {
		text += string(data)
	}
	for _, secret := range append(secrets, gatewaytest.DefaultSalt, "bizContent=", `"bizContent"`) {
		require.NotContains(t, text, secret)
	}
}

// requireUnknown wants an error from which nothing can be concluded.
func requireUnknown(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	for _, definite := range []error{codegrant.ErrRefused, codegrant.ErrTokenGone, codegrant.ErrUnreachable, codegrant.ErrInvalidRequest} {
		require.NotErrorIs(t, err, definite, "an unknown outcome matches a definite one")
	}
	require.Equal(t, http.StatusBadGateway, codegrant.HTTPStatus(err))
	requireDiscreet(t, err, rigToken)
}

func TestEveryFaultLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	faults := map[string]gatewaytest.FaultKind{
		"time-out before": gatewaytest.TimeoutBefore, "time-out after": gatewaytest.TimeoutAfter,
		"500 before": gatewaytest.Status500Before, "500 after": gatewaytest.Status500After,
		"reset before": gatewaytest.ResetBefore, "reset after": gatewaytest.ResetAfter,
		"truncated": gatewaytest.Truncated, "tampered": gatewaytest.Tampered, "unsigned": gatewaytest.Unsigned,
		"wrong salt": gatewaytest.WrongSalt, "HTML": gatewaytest.HTMLAnswer,
	}
	for _, o := range operations() {
		for name, kind := range faults {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					g := gatewaytest.New(gatewaytest.Config{})
					defer g.Close()
					client, tap := tappedClient(t, g.Transport().RoundTrip)
					g.Inject(gatewaytest.Fault{Op: o.op, Kind: kind})
					result, err := o.send(t.Context(), client)
					requireUnknown(t, err)
					require.Zero(t, result, "something of the answer was believed")
					require.Len(t, tap.requests(), 1)
				})
			})
		}
	}
}

// TestASignedBreakdownLeavesTheOutcomeUnknown: PingPong v4, section 2.3, 5xxxxx
// internal and 6xxxxx external system.
func TestASignedBreakdownLeavesTheOutcomeUnknown(t *testing.T) {
	t.Parallel()
	answers := map[string]func(*http.Request) (*http.Response, error){
		"500000":               answering(200, signedAnswer("", map[string]string{"code": "500000", "description": "internal"})),
		"500009":               answering(200, signedAnswer("", map[string]string{"code": "500009", "description": "no channel"})),
		"600002":               answering(200, signedAnswer("", map[string]string{"code": "600002", "description": "time-out"})),
		"HTTP 429 and 102000":  answering(429, signedAnswer("", map[string]string{"code": "102000", "description": "slow down"})),
		"HTTP 500 and 301002":  answering(500, signedAnswer("", map[string]string{"code": "301002", "description": "declined"})),
		"HTTP 503 and no code": answering(503, signedAnswer("{}", map[string]string{"code": "", "description": ""})),
		"HTTP 502 and token gone": answering(502, signedAnswer("", map[string]string{
			"code": "102000", "description": "token does not exist",
		})),
		"600000 and token gone": answering(200, signedAnswer("", map[string]string{
			"code": "600000", "description": "token does not exist",
		})),
	}
	for _, o := range operations() {
		for name, reply := range answers {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				client, _ := tappedClient(t, reply)
				_, err := o.send(t.Context(), client)
				requireUnknown(t, err)
				var shown *codegrant.GatewayError
				require.ErrorAs(t, err, &shown, "a person sees what the gateway said")
				require.False(t, shown.Unverified)
			})
		}
		t.Run(o.name+"/success under HTTP 500", func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, answering(500, signedAnswer(o.biz, nil)))
			_, err := o.send(t.Context(), client)
			requireUnknown(t, err)
		})
	}
}

func TestAnswersThatAreNotBelieved(t *testing.T) {
	t.Parallel()
	good := signedAnswer(`{"status":"SUCCESS"}`, nil)
	tests := []struct {
		name  string
		reply func(*http.Request) (*http.Response, error)
		want  error
	}{
		{"an HTML page that forbids", answering(403, "<!doctype html><h1>Request blocked</h1>"), codegrant.ErrMalformed},
		{"nothing", answering(200, ""), codegrant.ErrMalformed},
		{"no object", answering(200, `"OK"`), codegrant.ErrMalformed},
		{"two objects", answering(200, good+good), codegrant.ErrMalformed},
		{"a byte order mark", answering(200, "\ufeff"+good), codegrant.ErrMalformed},
		{"a member twice", answering(200, `{"code":"000000",`+good[1:]), codegrant.ErrMalformed},
		{"half an answer", answering(200, good[:len(good)/2]), codegrant.ErrMalformed},
		{"no signature", answering(200, `{"code":"000000","bizContent":"{\"status\":\"SUCCESS\"}"}`), codegrant.ErrBadSignature},
		{"another salt", answering(200, signedWith("AAAAAAAAAAAAAAAAAAAAAAAA", `{"status":"SUCCESS"}`, nil)), codegrant.ErrBadSignature},
		{"no salt", answering(200, signedWith("", `{"status":"SUCCESS"}`, nil)), codegrant.ErrBadSignature},
		{"the weaker digest", answering(200, signedAnswer(`{"status":"SUCCESS"}`, map[string]string{"signType": "MD5"})), codegrant.ErrBadSignature},
		{"another store", answering(200, signedAnswer(`{"status":"SUCCESS"}`, map[string]string{"accId": "2018092714313010016291"})), codegrant.ErrWrongAccount},
		{"another merchant", answering(200, signedAnswer(`{"status":"SUCCESS"}`, map[string]string{"clientId": "2018092714313010016"})), codegrant.ErrWrongAccount},
		{"a code changed afterwards", answering(200, strings.Replace(
			signedAnswer(`{"status":"FAILED"}`, map[string]string{"code": "301002"}), "301002", "000000", 1)), codegrant.ErrBadSignature},
		{"a status changed afterwards", answering(200, strings.Replace(
			signedAnswer(`{"status":"FAILED"}`, nil), "FAILED", "SUCCESS", 1)), codegrant.ErrBadSignature},
		{"a member that can be split again", answering(200, signedAnswer(`{"status":"SUCCESS"}`, map[string]string{"traceId": "7&version=1.0"})), codegrant.ErrMalformed},
		{"business content that is no object", answering(200, signedAnswer(`SUCCESS`, nil)), codegrant.ErrMalformed},
		{"business content with a status twice", answering(200, signedAnswer(`{"status":"FAILED","status":"SUCCESS"}`, nil)), codegrant.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			client, _ := tappedClient(t, tt.reply)
			result, err := client.Pay(t.Context(), payRequest())
			requireUnknown(t, err)
			require.ErrorIs(t, err, tt.want)
			require.Zero(t, result)
			var shown *codegrant.GatewayError
			require.ErrorAs(t, err, &shown)
			require.True(t, shown.Unverified)
			requireDiscreet(t, err, "blocked", "<h1>", `"status"`, `\"status`)
		})
	}
}

// TestAnEchoIsNoAnswer: a request is signed by the same scheme and the same
// salt as its answer, so what comes back may be nothing but what was sent.
func TestAnEchoIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, o := range operations() {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			client, tap := tappedClient(t, nil)
			tap.reply = func(r *http.Request) (*http.Response, error) {
				return answering(200, tap.requests()[0].body)(r)
			}
			_, err := o.send(t.Context(), client)
			requireUnknown(t, err)
		})
	}
}

func TestAnswersThatAreBelieved(t *testing.T) {
	t.Parallel()
	const biz = `{"status":"SUCCESS","news":[{"a":1},{"a":2}]}`
	lower := signedAnswer(biz, nil)
	sign := lower[strings.Index(lower, `"sign":"`)+8:][:64]
	tests := []struct {
		name string
		body string
	}{
		{"in the full envelope", signedAnswer(biz, nil)},
		{"in the minimal envelope", signedAnswer(biz, map[string]string{"accId": "", "clientId": "", "code": "", "description": ""})},
		{"with a member that nobody knows", signedAnswer(biz, map[string]string{"traceId": "7"})},
		{"with the signature in lower case", strings.Replace(lower, sign, strings.ToLower(sign), 1)},
		{"with white space around it", "\r\n\t " + lower + "\n"},
	}
	for _, tt := range tests {
		client, _ := tappedClient(t, answering(200, tt.body))
		result, err := client.Pay(t.Context(), payRequest())
		require.NoError(t, err, tt.name)
		require.Equal(t, codegrant.PaymentSuccess, result.Status, tt.name)
	}
}

func TestTheGatewaysOwnWordsReachAPersonOnly(t *testing.T) {
	t.Parallel()
	t.Run("an unsigned refusal of the signature shows its code", func(t *testing.T) {
		t.Parallel()
		g := gatewaytest.New(gatewaytest.Config{Salt: "ANOTHERSALT0000000000000"})
		t.Cleanup(g.Close)
		client, _ := tappedClient(t, g.Transport().RoundTrip)
		for _, o := range operations() {
			_, err := o.send(t.Context(), client)
			requireUnknown(t, err)
			var shown *codegrant.GatewayError
			require.ErrorAs(t, err, &shown, o.name)
			require.True(t, shown.Unverified)
			require.Equal(t, "104000", shown.Code)
			require.Contains(t, err.Error(), "104000")
			require.Contains(t, err.Error(), "Invalid signature")
			require.Contains(t, err.Error(), "without a valid signature")
		}
	})
	t.Run("an unsigned end of the token ends nothing", func(t *testing.T) {
		t.Parallel()
		client, _ := tappedClient(t, answering(200, `{"code":"102000","description":"token does not exist"}`),
			func(cfg *codegrant.ClientConfig) { cfg.TokenGoneCodes = []string{"102000"} })
		for _, o := range operations() {
			_, err := o.send(t.Context(), client)
			requireUnknown(t, err)
		}
	})
	t.Run("an echoed token is masked", func(t *testing.T) {
		t.Parallel()
		echo := "bad token " + rigToken + ", again " + rigToken
		long := strings.Repeat("x", 480) + rigToken
		for name, body := range map[string]string{
			"signed":               signedAnswer("", map[string]string{"code": "102000", "description": echo}),
			"signed and internal":  signedAnswer("", map[string]string{"code": "500000", "description": echo}),
			"unsigned":             `{"code":"104000","description":"` + echo + `"}`,
			"unsigned and clipped": `{"code":"104000","description":"` + long + `"}`,
		} {
			client, _ := tappedClient(t, answering(200, body))
			_, err := client.Pay(t.Context(), payRequest())
			requireDiscreet(t, err, rigToken, rigToken[:20])
			_, err = client.ApplyToken(t.Context(), codegrant.ApplyTokenRequest{
				RequestID: "A", UserID: "U", AuthCode: codegrant.NewSecret(rigToken), AuthState: "S",
			})
			requireDiscreet(t, err, rigToken, rigToken[:20])
			if !strings.Contains(name, "clipped") {
				require.Contains(t, err.Error(), "bad token [redacted], again [redacted]", name)
			}
		}
	})
	t.Run("what looks like a token is masked, whosever it is", func(t *testing.T) {
		t.Parallel()
		foreign := strings.Repeat("0aF9", 16)
		for _, tt := range []struct{ description, want string }{
			{foreign, "[redacted]"},
			{foreign + "7", "[redacted]"},
			{"x" + foreign, "x[redacted]"},
			{foreign[1:], foreign[1:]},
			{foreign[1:] + "-", foreign[1:] + "-"},
		} {
			client, _ := tappedClient(t, answering(200, signedAnswer("", map[string]string{"code": "102000", "description": tt.description})))
			_, err := client.Pay(t.Context(), payRequest())
			var shown *codegrant.GatewayError
			require.ErrorAs(t, err, &shown)
			require.Equal(t, tt.want, shown.Description)
		}
	})
	t.Run("what was not verified is cut", func(t *testing.T) {
		t.Parallel()
		client, _ := tappedClient(t, answering(200, `{"code":"1234567890","description":"`+strings.Repeat("界", 400)+`"}`))
		_, err := client.Pay(t.Context(), payRequest())
		var shown *codegrant.GatewayError
		require.ErrorAs(t, err, &shown)
		require.Equal(t, "123456", shown.Code)
		require.Equal(t, strings.Repeat("界", 166), shown.Description, "500 bytes, no half character")
	})
}

// TestErrorsAreOneLine: Error promises one line, and a log is forged by more.
func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"unreadable":             "",
		"unsigned":               `{"code":"104000","description":"Invalid signature"}`,
		"unsigned with line end": `{"code":"10\n40","description":"a\r\nlevel=INFO msg=\"all is well\"\u001b[2J"}`,
		"signed refusal":         signedAnswer("", map[string]string{"code": "102000", "description": "no"}),
		"signed breakdown":       signedAnswer("", map[string]string{"code": "500000", "description": "no"}),
	} {
		client, _ := tappedClient(t, answering(200, body))
		_, err := client.Pay(t.Context(), payRequest())
		require.Error(t, err)
		assertThat(t, !strings.ContainsAny(err.Error(), "\r\n\x1b"), "%s: the text of the error has control characters: %q", name, err)
	}
}

func TestErrorsOfACallNameIt(t *testing.T) {
	t.Parallel()
	refusal := signedAnswer("", map[string]string{"code": "103000", "description": "Invalid authentication"})
	names := map[string]string{"sign-up": "REQ-1", "pay": "PAY-1", "payment query": "ORDER-1", "refund": "REFUND-1", "unbind": "U-1"}
	for _, o := range operations() {
		client, _ := tappedClient(t, answering(200, refusal))
		_, err := o.send(t.Context(), client)
		var refused *codegrant.GatewayError
		require.ErrorAs(t, err, &refused, o.name)
		require.ErrorIs(t, err, codegrant.ErrRefused, o.name)
		require.NotErrorIs(t, err, codegrant.ErrOutcomeUnknown, o.name)
		require.NotErrorIs(t, err, codegrant.ErrTokenGone, o.name)
		require.Equal(t, "103000", refused.Code)
		require.Equal(t, "Invalid authentication", refused.Description)
		require.Equal(t, 200, refused.HTTPStatus)
		require.NotEmpty(t, refused.Operation)
		require.NotEmpty(t, refused.RequestID)
		if want := names[o.name]; want != "" {
			require.Equal(t, want, refused.RequestID)
		}
		require.Contains(t, err.Error(), refused.Operation)
		requireDiscreet(t, err, rigToken)
	}
}

func TestErrorTextsAndTargets(t *testing.T) {
	t.Parallel()
	inner := fmt.Errorf("codegrant: inner: %w", context.Canceled)
	err := error(&codegrant.Error{Op: "notify", Code: codegrant.ErrBadSignature, Err: inner})
	require.Equal(t, "codegrant: notify: bad signature: inner: context canceled", err.Error())
	require.ErrorIs(t, err, codegrant.ErrBadSignature)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, codegrant.ErrMalformed)
	require.Equal(t, "codegrant: notify: bad signature", (&codegrant.Error{Op: "notify", Code: codegrant.ErrBadSignature}).Error())
	require.Equal(t, "codegrant: method not allowed", codegrant.ErrMethod.Error())

	gone := &codegrant.GatewayError{Operation: "unbind", Code: "102000", Description: "no", RequestID: "R", HTTPStatus: 200}
	require.ErrorIs(t, gone, codegrant.ErrRefused)
	require.NotErrorIs(t, gone, codegrant.ErrTokenGone)
	require.Equal(t, `codegrant: unbind: gateway answered code "102000" (no), HTTP 200, request R`, gone.Error())
	gone.Unverified = true
	require.NotErrorIs(t, gone, codegrant.ErrRefused)

	request := &codegrant.RequestError{Operation: "pay", Problems: []codegrant.Problem{{"A.B", "b", "is required"}, {"A.C", "c", "is bad"}}}
	require.Equal(t, "codegrant: pay: request not sent: A.B (b) is required; A.C (c) is bad", request.Error())
	config := &codegrant.ConfigError{Problems: []string{"one", "two"}}
	require.Equal(t, "codegrant: invalid configuration: one; two", config.Error())
	for _, e := range []error{request, config, gone} {
		require.NotErrorIs(t, e, codegrant.ErrOutcomeUnknown)
	}
}

func TestHTTPStatusOfEachCode(t *testing.T) {
	t.Parallel()
	statuses := map[codegrant.Code]int{
		codegrant.ErrMalformed: 400, codegrant.ErrBodyConsumed: 400, codegrant.ErrTooLarge: 413, codegrant.ErrMethod: 405,
		codegrant.ErrBadSignature: 401, codegrant.ErrWrongAccount: 401, codegrant.ErrUnauthenticated: 401,
		codegrant.ErrCrossOrigin: 403, codegrant.ErrNotFound: 404, codegrant.ErrNotOwner: 404, codegrant.ErrConflict: 503, codegrant.ErrAccounts: 503,
		codegrant.ErrNoToken: 409, codegrant.ErrTokenGone: 409, codegrant.ErrOutcomeUnknown: 502, codegrant.ErrUnreachable: 502,
		codegrant.ErrRefused: 502, codegrant.ErrInvalidRequest: 400, codegrant.ErrInvalidConfig: 503, codegrant.ErrDisabled: 501,
		codegrant.ErrStore: 503, codegrant.ErrHook: 503, codegrant.ErrDeadline: 503, codegrant.ErrUnmatched: 503, codegrant.ErrRedacted: 503,
	}
	for code, status := range statuses {
		for _, err := range []error{code, fmt.Errorf("outside: %w", code), &codegrant.Error{Op: "x", Code: code, Err: errors.New("why")}} {
			require.Equal(t, status, codegrant.HTTPStatus(err), "%v", err)
		}
	}
	require.Equal(t, 200, codegrant.HTTPStatus(nil))
	require.Equal(t, 503, codegrant.HTTPStatus(errors.New("strange")))
	require.Equal(t, 400, codegrant.HTTPStatus(&codegrant.RequestError{}))
	require.Equal(t, 502, codegrant.HTTPStatus(&codegrant.GatewayError{Code: "102000"}))
	wrapped := &codegrant.Error{Op: "pay", Code: codegrant.ErrOutcomeUnknown, Err: codegrant.ErrBadSignature}
	require.Equal(t, 502, codegrant.HTTPStatus(wrapped), "the gateway's fault, not the caller's")
}
