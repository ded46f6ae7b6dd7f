package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// otherWords replaces words in bizContent and signs again: a gateway that says
// what the simulator says in another language.
func otherWords(body []byte, words *strings.Replacer) []byte {
	var members map[string]string
	if json.Unmarshal(body, &members) != nil || members["bizContent"] == "" {
		return body
	}
	members["bizContent"] = words.Replace(members["bizContent"])
	members["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, members["signType"], members)
	return compactJSON(members)
}

// wordyTransport delivers notifications in other words.
type wordyTransport struct{ words *strings.Replacer }

func (w wordyTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	body = otherWords(body, w.words)
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return http.DefaultTransport.RoundTrip(r)
}

func TestWordsThatNobodyDocumented(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query, notices []string // old and new
		kinds          map[string]string
		want           []string
	}{
		"other notification types": {
			notices: []string{"ACCESS_TOKEN_CREATION", "SIGN_SUCCESS", "ACCESS_TOKEN_CANCEL_OF_MERCHANT", "UNSIGN_SUCCESS"},
			kinds:   map[string]string{"consent": probeSettled, "unbind-notice": probeSettled},
			want:    []string{`"SIGN_SUCCESS":   codegrant.KindSignedUp`, `"UNSIGN_SUCCESS": codegrant.KindUnboundByMerchant`},
		},
		"no notification type": {
			notices: []string{`"notifyType":"ACCESS_TOKEN_CREATION",`, ""},
			kinds:   map[string]string{"consent": probeUncovered, "unbind-notice": probeConfirmed},
		},
		"other status words": {
			query: []string{`"SUCCESS"`, `"VALID"`, `"PENDING"`, `"FAILED"`, `"UNBOUND"`, `"INVALID"`},
			kinds: map[string]string{"signup-query": probeConfirmed, "signup-query-after": probeSettled, "signup-query-ended": probeSettled},
			want: []string{`"VALID":   codegrant.KindSignedUp`, `"INVALID": codegrant.KindTokenGone`,
				`"SUCCESS": codegrant.KindSignedUp`, `"UNBOUND": codegrant.KindTokenGone`},
		},
		"one status word for everything": {
			query: []string{`"SUCCESS"`, `"KNOWN"`, `"PENDING"`, `"KNOWN"`, `"UNBOUND"`, `"KNOWN"`},
			kinds: map[string]string{"signup-query-after": probeUncovered, "signup-query-ended": probeUncovered},
		},
		"no status word": {
			query: []string{`"status":`, `"state":`},
			kinds: map[string]string{"signup-query": probeConfirmed, "signup-query-after": probeConfirmed, "signup-query-ended": probeUncovered},
		},
		"a token that the library does not find in the query": {
			query: []string{`"token":`, `"payToken":`},
			kinds: map[string]string{"signup-query-after": probeUncovered},
		},
		"a token that the library does not find in the notification": {
			notices: []string{`"token":`, `"payToken":`},
			kinds:   map[string]string{"consent": probeUncovered, "signup-query-after": probeConfirmed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inNotices, inQuery := strings.NewReplacer(tc.notices...), strings.NewReplacer(tc.query...)
			g := gatewaytest.NewServer(gatewaytest.Config{HTTPClient: &http.Client{Transport: wordyTransport{inNotices}}})
			t.Cleanup(g.Close)
			query := func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != gatewaytest.DefaultSignUpQueryPath {
					return false
				}
				recorder := httptest.NewRecorder()
				g.ServeHTTP(recorder, r)
				_, _ = w.Write(otherWords(recorder.Body.Bytes(), inQuery))
				return true
			}
			host := altered(t, g, query)
			r := runTheProbe(t.Context(), t, host, nil)
			require.NoError(t, r.err)
			for step, kind := range tc.kinds {
				require.Equal(t, kind, r.verdict(t, step).Verdict, "%s: %s", step, r.verdict(t, step).Text)
			}
			for _, text := range tc.want {
				require.Contains(t, r.out, text)
			}
			if _, wasFailed := r.probe.found.statuses["FAILED"]; strings.Contains(strings.Join(tc.query, ""), "FAILED") {
				require.True(t, wasFailed)
				require.NotContains(t, r.probe.found.kit().SignUpStatuses, "FAILED", "an open sign-up has that word")
			}
			if len(tc.want) > 0 {
				useSettingsThrough(t, g, host, r.probe, false, func(h http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						body, err := io.ReadAll(r.Body)
						if err != nil {
							return
						}
						body = otherWords(body, inNotices)
						r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
						h.ServeHTTP(w, r)
					})
				})
			}
		})
	}
}

// TestAnUnsignedTokenIsNotCharged: whoever knows the listener's address can
// send one.
func TestAnUnsignedTokenIsNotCharged(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{NotificationShape: gatewaytest.Flat})
	t.Cleanup(g.Close)
	r := runTheProbe(t.Context(), t, altered(t, g, missing(gatewaytest.DefaultSignUpQueryPath)), nil)
	require.NoError(t, r.err)
	require.Equal(t, probeSettled, r.verdict(t, "consent").Verdict)
	require.Equal(t, "no token is known", r.verdict(t, "charge").Text)
	require.Equal(t, "no token is known", r.verdict(t, "unbind").Text)
	require.Empty(t, g.Ledger().Charges)
}

// TestACodeWithAnotherMeaningEndsNoToken: 102000 is what many faults get.
func TestACodeWithAnotherMeaningEndsNoToken(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	r := runTheProbe(t.Context(), t, altered(t, g, reworded(g, "102000", "bad parameter")), nil)
	require.Equal(t, probeUncovered, r.verdict(t, "dead-token").Verdict)
	require.Contains(t, r.verdict(t, "dead-token").Text, "the code is also that of a wrong ")
	require.Empty(t, r.probe.found.goneCodes)
	require.Equal(t, probeUncovered, r.verdict(t, "unbind-repeat").Verdict)
}

// TestAGatewayThatSignsItsAnswersToEverything: a made-up path gets a signed
// refusal, which says nothing for a candidate.
func TestAGatewayThatSignsItsAnswersToEverything(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	refusal := map[string]string{"code": "103000", "description": "no such interface", "signType": "SHA256"}
	refusal["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, "SHA256", refusal)
	hidden := missing(gatewaytest.DefaultSignUpQueryPath, gatewaytest.DefaultUnbindPath, "/v4/refund/query")
	r := runTheProbe(t.Context(), t, altered(t, g, func(w http.ResponseWriter, r *http.Request) bool {
		recorder := httptest.NewRecorder()
		if !hidden(recorder, r) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return true
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			g.ServeHTTP(recorder, r)
		}
		if strings.HasPrefix(r.URL.Path, "/v4/") && recorder.Code == http.StatusNotFound {
			_, _ = w.Write(compactJSON(refusal))
			return true
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(recorder.Body.Bytes())
		return true
	}), nil)
	require.Contains(t, r.verdict(t, "no-such-path").Text, "a signed answer")
	require.Equal(t, "-", r.probe.found.endpoints.SignUpQuery)
	require.Equal(t, "-", r.probe.found.endpoints.Unbind)
	require.Equal(t, "/v4/payment/getRefund", r.probe.found.endpoints.RefundQuery)
}
