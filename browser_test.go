package codegrant_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// answer is what a browser got.
type answer struct {
	*httptest.ResponseRecorder
}

func (a answer) redirectsTo(t testing.TB, location string) {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, a.Code, a.Body.String())
	require.Equal(t, location, a.Header().Get("Location"))
}

func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	require.Equal(t, "application/json", a.Header().Get("Content-Type"))
	var v map[string]any
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &v))
	return v
}

func (s *shop) do(r *http.Request, user string) answer {
	if user != "" {
		r.Header.Set("X-User", user)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return answer{w}
}

// browse opens a page as user.
func (s *shop) browse(t testing.TB, user, url string, header ...string) answer {
	t.Helper()
	return s.do(newRequest(t, http.MethodGet, url, "", header...), user)
}

// submit posts a form as user, from a page of the shop.
func (s *shop) submit(t testing.TB, user, path string, form url.Values, header ...string) answer {
	t.Helper()
	header = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin"}, header...)
	return s.do(newRequest(t, http.MethodPost, baseURL+path, form.Encode(), header...), user)
}

// deliver posts body as the gateway does; without an id to the bare path.
func (s *shop) deliver(t testing.TB, id string, body []byte) answer {
	t.Helper()
	return s.do(newRequest(t, http.MethodPost, strings.TrimSuffix(baseURL+"/notify/"+id, "/"), string(body)), "")
}

func newRequest(t testing.TB, method, target, body string, header ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}
