package codegrant_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// A user has disconnected one wallet and connected another since the page was
// made that now asks to disconnect the first one.
func TestUnbindEndsTheAgreementAskedForWhateverReadTheBody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		before func(*http.Request)
		want   int
	}{
		{"nothing has read it", func(*http.Request) {}, http.StatusSeeOther},
		{"a form was parsed", func(r *http.Request) { _ = r.PostFormValue("csrf") }, http.StatusSeeOther},
		{"a form was parsed as multipart", func(r *http.Request) { _ = r.ParseMultipartForm(1 << 10) }, http.StatusSeeOther},
		{"the body was thrown away", func(r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }, http.StatusBadRequest},
		{"the body was thrown away, and a form parsed of nothing", func(r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.ParseForm()
		}, http.StatusBadRequest},
		{"a form in chunks was parsed", func(r *http.Request) {
			r.ContentLength = -1
			_ = r.ParseForm()
		}, http.StatusSeeOther},
		{"a body in chunks was thrown away", func(r *http.Request) {
			r.ContentLength = -1
			_, _ = io.Copy(io.Discard, r.Body)
		}, http.StatusBadRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			gateway := gatewaytest.New(gatewaytest.Config{})
			t.Cleanup(gateway.Close)
			kit, err := codegrant.New(codegrant.Config{
				Client: gateway.Client(), Store: memstore.New(), BaseURL: "https://shop.example/wallet",
				User: func(*http.Request) (string, error) { return "ann", nil },
			})
			require.NoError(t, err)
			gateway.DeliverTo(http.StripPrefix("/wallet", kit))
			connect := func() string {
				record, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
				require.NoError(t, err)
				require.NoError(t, gateway.Approve(record.AuthURL))
				return record.ID
			}
			first := connect()
			_, err = kit.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: first})
			require.NoError(t, err)
			second := connect()

			form := strings.NewReader(url.Values{"id": {first}}.Encode())
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/unbind", form)
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			tc.before(r)
			w := httptest.NewRecorder()
			kit.ServeHTTP(w, r)
			require.Equal(t, tc.want, w.Code)
			live, err := kit.ActiveToken(t.Context(), "ann", "")
			require.NoError(t, err)
			require.Equal(t, second, live.ID)
		})
	}
}
