package gatewaytest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func set(name, value string) func(map[string]string) {
	return func(members map[string]string) { members[name] = value }
}

func TestEnvelope(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(map[string]string)
		code   string
		signed bool
	}{
		{"a request signed with SHA256 is taken", set("signType", "SHA256"), "001000", true},
		{"a request signed with MD5 is taken", set("signType", "MD5"), "001000", true},
		{"an unknown top-level member takes part in the signature", set("extra", "a&b=c"), "001000", true},
		{"an empty top-level member takes no part in the signature", set("extra", ""), "001000", true},
		{"a lower-case signature is taken", func(members map[string]string) {
			members["sign"] = strings.ToLower(gatewaytest.Sign(gatewaytest.DefaultSalt, "SHA256", members))
		}, "001000", true},
		{"a wrong signature is refused without a signature", set("sign", "00"), "104000", false},
		{"another salt is refused", func(members map[string]string) {
			members["sign"] = gatewaytest.Sign("other", "SHA256", members)
		}, "104000", false},
		{"a digest that does not exist is refused", set("signType", "SHA512"), "104000", false},
		{"an unknown account is refused", set("accId", "1"), "103000", false},
		{"another account's client number is refused", set("clientId", "1"), "103000", true},
		{"another version is refused", set("version", "2.0"), "102000", true},
		{"business content that is no object is refused", set("bizContent", "[]"), "102000", true},
		{"business content that is no JSON is refused", set("bizContent", "{"), "102000", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, gatewaytest.Config{})
			resp, err := s.post("/v4/paymethod/bind", bindRequest(), tt.change)
			require.NoError(t, err)
			r := s.read(resp)
			require.Equal(t, tt.code, r.code(), r.Envelope["description"])
			require.Equal(t, tt.signed, signed(r.Envelope))
			require.NotContains(t, r.Envelope, "version")
		})
	}
}

func TestEnvelopeThatIsNotOne(t *testing.T) {
	t.Parallel()
	object := map[string]any{
		"accId": gatewaytest.DefaultAccountID, "clientId": gatewaytest.DefaultClientID,
		"signType": "SHA256", "version": "1.0", "bizContent": map[string]string{"requestId": "REQ-1"},
	}
	object["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, "SHA256", map[string]string{
		"accId": gatewaytest.DefaultAccountID, "clientId": gatewaytest.DefaultClientID,
		"signType": "SHA256", "version": "1.0", "bizContent": `{"requestId":"REQ-1"}`,
	})
	asObject, err := json.Marshal(object)
	require.NoError(t, err)

	tests := []struct{ name, body, description string }{
		{"text that is no JSON", "hello", "request is not a JSON object"},
		{"an array", "[]", "request is not a JSON object"},
		{"business content as an object", string(asObject), "bizContent must be a string"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, gatewaytest.Config{})
			resp, err := s.send(context.Background(), "/v4/paymethod/bind", []byte(tt.body))
			require.NoError(t, err)
			r := s.read(resp)
			require.Equal(t, "102000", r.code())
			require.Equal(t, tt.description, r.Envelope["description"])
		})
	}
}

func TestAngleBracketsAreBlockedWithAPage(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"a<b", "a>b"} {
		s := newShop(t, gatewaytest.Config{})
		// json.Marshal writes \u003c, so this also covers escaped characters.
		resp, err := s.post("/v4/paymethod/bind", with(bindRequest(), object{"merchantUserId": user}))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, resp.StatusCode)
		require.False(t, json.Valid(body))
		require.Empty(t, s.gateway.Ledger().Agreements)
	}
}

func TestHeadersAndMethod(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	resp, err := s.client.Get("http://gateway.test/v4/paymethod/bind")
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)

	body := s.gateway.SignedBody("{}", map[string]string{"version": "1.0"})
	resp, err = s.client.Post("http://gateway.test/v4/paymethod/bind", "text/plain", strings.NewReader(string(body)))
	require.NoError(t, err)
	require.Equal(t, "Content-Type must be application/json", s.read(resp).Envelope["description"])
}

func TestAnswerEnvelopes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		cfg     gatewaytest.Config
		members []string
		code    string
	}{
		{"full by default", gatewaytest.Config{},
			[]string{"accId", "clientId", "code", "description", "signType", "sign", "bizContent"}, "001000"},
		{"full with another success code", gatewaytest.Config{BindCode: "000000"},
			[]string{"accId", "clientId", "code", "description", "signType", "sign", "bizContent"}, "000000"},
		{"without a code", gatewaytest.Config{BindCode: gatewaytest.OmitCode},
			[]string{"accId", "clientId", "signType", "sign", "bizContent"}, ""},
		{"minimal", gatewaytest.Config{MinimalEnvelope: true},
			[]string{"signType", "sign", "bizContent"}, ""},
		{"signed with MD5", gatewaytest.Config{SignType: gatewaytest.MD5},
			[]string{"accId", "clientId", "code", "description", "signType", "sign", "bizContent"}, "001000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tt.cfg)
			r := s.call("/v4/paymethod/bind", bindRequest())
			require.Equal(t, tt.code, r.code())
			names := make([]string, 0, len(r.Envelope))
			for name := range r.Envelope {
				names = append(names, name)
			}
			require.ElementsMatch(t, tt.members, names)

			refused := s.call("/v4/paymethod/bind", with(bindRequest(), object{"bizType": nil}))
			require.Equal(t, "102000", refused.code(), "an error always has its code")
		})
	}
}

func TestSignedBody(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{ExtraAccounts: []gatewaytest.Account{{AccountID: "42000", Salt: "pepper"}}})

	var members map[string]string
	require.NoError(t, json.Unmarshal(s.gateway.SignedBody(`{"a":"1"}`, nil), &members))
	require.True(t, signed(members))
	require.Equal(t, `{"a":"1"}`, members["bizContent"])

	members = nil
	body := s.gateway.SignedBody(`{}`, map[string]string{"accId": "42000", "code": "", "clientId": "42", "later": "x"})
	require.NoError(t, json.Unmarshal(body, &members))
	require.Equal(t, gatewaytest.Sign("pepper", "SHA256", members), members["sign"])
	require.NotContains(t, members, "code")
	require.Equal(t, "x", members["later"])
}

func TestSeveralAccounts(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{ExtraAccounts: []gatewaytest.Account{{AccountID: "42000", Salt: "pepper"}}})
	token := s.signUp(nil)
	other := func(members map[string]string) {
		members["accId"], members["clientId"] = "42000", "42"
		members["sign"] = gatewaytest.Sign("pepper", "SHA256", members)
	}
	resp, err := s.post("/v4/payment/unifiedPay", payRequest(token), other)
	require.NoError(t, err)
	r := s.read(resp)
	require.Equal(t, "token does not exist", r.Envelope["description"])
	require.Equal(t, gatewaytest.Sign("pepper", "SHA256", r.Envelope), r.Envelope["sign"])
}
