package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

// page is a browser with the page open: it keeps cookies and speaks JSON.
type page struct {
	t       *testing.T
	url     string
	gateway *gatewaytest.Server
	client  *http.Client
}

func open(t *testing.T) *page {
	t.Helper()
	gateway := gatewaytest.NewServer(gatewaytest.Config{})
	server := httptest.NewUnstartedServer(nil)
	url := "http://" + server.Listener.Addr().String()
	kit, err := newKit(gateway.Client(), url)
	require.NoError(t, err)
	server.Config.Handler = routes(kit)
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(gateway.Close)
	p := &page{t: t, url: url, gateway: gateway}
	return p.another()
}

// another is somebody else's browser.
func (p *page) another() *page {
	p.t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(p.t, err)
	other := &page{t: p.t, url: p.url, gateway: p.gateway, client: &http.Client{Jar: jar}}
	other.get("/")
	return other
}

func (p *page) do(method, path string, body any, header ...string) (*http.Response, map[string]any) {
	p.t.Helper()
	var sent io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		require.NoError(p.t, err)
		sent = bytes.NewReader(encoded)
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, sent)
	require.NoError(p.t, err)
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := p.client.Do(r)
	require.NoError(p.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	data := map[string]any{}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "application/json") {
		require.NoError(p.t, json.Unmarshal(text, &data))
	}
	data["text"] = string(text)
	return response, data
}

func (p *page) get(path string) map[string]any {
	p.t.Helper()
	response, data := p.do(http.MethodGet, path, nil)
	require.Equal(p.t, http.StatusOK, response.StatusCode, data["text"])
	return data
}

func (p *page) post(want int, path string, body any, header ...string) map[string]any {
	p.t.Helper()
	response, data := p.do(http.MethodPost, path, body, header...)
	require.Equal(p.t, want, response.StatusCode, data["text"])
	return data
}

type fields = map[string]any

func TestOnePayment(t *testing.T) {
	t.Parallel()
	p := open(t)
	me := p.get("/api/me")
	require.Equal(t, []any{"Boost", "TNG eWallet"}, me["wallets"])
	require.Equal(t, "28.00 MYR", me["price"])
	require.Equal(t, "no_token", p.post(http.StatusConflict, "/api/buy", fields{"order": "too-early"})["error"])

	begun := p.post(http.StatusOK, "/wallet/signup", fields{"wallet": "TNG eWallet"})
	id := begun["id"].(string)
	require.Equal(t, "pending", p.get("/wallet/status/" + id)["status"])
	require.NoError(t, p.gateway.Approve(begun["authUrl"].(string)))
	back, err := p.gateway.ReturnURL(begun["authUrl"].(string))
	require.NoError(t, err)
	require.Equal(t, p.url+"/connected/"+id, back)
	require.Contains(t, p.get("/connected/" + id)["text"], "<title>Tea")
	require.Equal(t, "active", p.get("/wallet/status/" + id)["status"])

	for range 3 {
		bought := p.post(http.StatusOK, "/api/buy", fields{"order": "7"})
		require.Equal(t, "succeeded", bought["outcome"])
		require.Equal(t, "28.00 MYR", bought["amount"])
	}
	p.gateway.Wait()
	for _, sent := range p.gateway.Notifications() {
		require.True(t, sent.Delivered, sent.Op)
	}

	require.Equal(t, "unbound", p.post(http.StatusOK, "/wallet/unbind", fields{"id": id})["status"])
	require.Equal(t, "no_token", p.post(http.StatusConflict, "/api/buy", fields{"order": "too-late"})["error"])
	require.Len(t, p.gateway.Ledger().Charges, 1)
	require.Equal(t, gatewaytest.StatusSuccess, p.gateway.Ledger().Charges[0].Status)
}

func TestALostAnswerIsResolvedUnderTheSameNumber(t *testing.T) {
	t.Parallel()
	p := open(t)
	begun := p.post(http.StatusOK, "/wallet/signup", fields{"wallet": "Boost"})
	require.NoError(t, p.gateway.Approve(begun["authUrl"].(string)))
	p.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	require.Equal(t, "succeeded", p.post(http.StatusOK, "/api/buy", fields{"order": "6"})["outcome"])

	p.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
	p.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.ResetBefore, Times: 1})
	require.Equal(t, "outcome_unknown", p.post(http.StatusBadGateway, "/api/buy", fields{"order": "7"})["error"])
	require.Equal(t, "succeeded", p.post(http.StatusOK, "/api/buy", fields{"order": "7"})["outcome"])
	require.Len(t, p.gateway.Ledger().Charges, 2)
	require.Empty(t, p.gateway.Ledger().ChargedTwice())
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	p := open(t)
	begun := p.post(http.StatusOK, "/wallet/signup", fields{"wallet": "Boost"})
	id := begun["id"].(string)
	require.NoError(t, p.gateway.Approve(begun["authUrl"].(string)))

	other := p.another()
	response, _ := other.do(http.MethodGet, "/wallet/status/"+id, nil)
	require.Equal(t, http.StatusNotFound, response.StatusCode)
	other.post(http.StatusNotFound, "/wallet/unbind", fields{"id": id})
	other.post(http.StatusConflict, "/api/buy", fields{"order": "7"})

	stranger := &page{t: t, url: p.url, gateway: p.gateway, client: http.DefaultClient}
	response, data := stranger.do(http.MethodGet, "/api/me", nil)
	require.Equal(t, http.StatusUnauthorized, response.StatusCode)
	require.Equal(t, "unauthenticated", data["error"])

	for _, path := range []string{"/wallet/signup", "/wallet/unbind", "/api/buy"} {
		p.post(http.StatusForbidden, path, fields{"wallet": "Boost", "id": id, "order": "7"}, "Sec-Fetch-Site", "cross-site")
		response, _ := p.do(http.MethodGet, path, nil)
		require.NotEqual(t, http.StatusOK, response.StatusCode, path)
	}
	for _, body := range []any{nil, "7", fields{}, fields{"order": 7}, fields{"order": "7", "more": strings.Repeat("7", 2<<10)}, fields{"order": "<7>"}} {
		require.Equal(t, "invalid_request", p.post(http.StatusBadRequest, "/api/buy", body)["error"], body)
	}
	require.Empty(t, p.gateway.Ledger().Charges)
}

func TestThePageRunsNothingButItsOwnFiles(t *testing.T) {
	t.Parallel()
	p := open(t)
	for path, kind := range map[string]string{
		"/": "text/html", "/connected/AAAAAAAAAAAAAAAAAAAAAAAAAA": "text/html", "/app.js": "text/javascript",
		"/style.css": "text/css", "/tea.svg": "image/svg+xml",
	} {
		response, data := p.do(http.MethodGet, path, nil)
		require.Equal(t, http.StatusOK, response.StatusCode, path)
		require.Contains(t, response.Header.Get("Content-Type"), kind, path)
		require.Contains(t, response.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self'", path)
		for _, inline := range []string{"<script>", "<style", " style=", " onclick=", "javascript:"} {
			require.NotContains(t, data["text"], inline, path)
		}
	}
}
