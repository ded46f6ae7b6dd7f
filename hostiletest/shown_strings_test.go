package hostiletest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// hostileTexts try to leave text, attributes, titles, comments, scripts, styles
// and templates. Each carries the word by which it is found again.
func hostileTexts() []string {
	return []string{
		`"><script>zebra(1)</script>`, `'><img src=x onerror=zebra(1)>`, `</title><svg onload=zebra(1)>`, `</style><script>zebra(1)</script>`,
		`</script><script>zebra(1)</script>`, `zebra" onmouseover="zebra(1)`, `zebra' onfocus='zebra(1)' autofocus='`, "zebra` onclick=`zebra(1)", `zebra onload=zebra(1) x=`,
		`<!--zebra`, `--><b>zebra`, `]]><b>zebra`, `{{.Nonce}}zebra`, `${zebra(1)}`, `&lt;script&gt;zebra&lt;/script&gt;`, `&#34;&#62;<i>zebra`, `javascript:zebra(1)`,
		`\u003cscript\u003ezebra`, `\";zebra(1);//`, `%3Cscript%3Ezebra`, "\u2028<b>zebra", "\u202e<b>zebra", "＜script＞zebra＜/script＞", "<b>zebra\ufeff", `<meta http-equiv=refresh content=0;url=//zebra>`,
		`<base href=//zebra/>`, `<iframe srcdoc="<script>zebra(1)</script>">`, `<form action=//zebra>`, strings.Repeat(`<b>zebra`, 20),
	}
}

// skeleton is a page without its texts: the tags, the attributes with their
// values but for the nonce, and the scripts. It fails on what the kit's pages
// have no need of: quotation marks and angle brackets in a text, a value
// without quotation marks, a comment.
func skeleton(t testing.TB, page, name string) string {
	t.Helper()
	var bones strings.Builder
	page, found := strings.CutPrefix(page, "<!doctype html>")
	require.True(t, found, name)
	for page != "" {
		text, rest, found := strings.Cut(page, "<")
		require.False(t, strings.ContainsAny(text, `<>"'`), "%s: %q", name, text)
		if !found {
			break
		}
		tag, after, found := strings.Cut(rest, ">")
		require.True(t, found, name)
		element, attributes, _ := strings.Cut(tag, " ")
		fmt.Fprintf(&bones, "<%s", element)
		for attributes != "" {
			attribute, value, _ := strings.Cut(attributes, `="`)
			require.Empty(t, strings.Trim(attribute, "abcdefghijklmnopqrstuvwxyz-"), "%s: %q", name, attribute)
			value, attributes, found = strings.Cut(value, `"`)
			require.True(t, found, name)
			require.False(t, strings.ContainsAny(value, `<>'`), "%s: %q", name, value)
			if attribute == "nonce" {
				value = ""
			}
			fmt.Fprintf(&bones, " %s=%q", attribute, value)
			attributes = strings.TrimPrefix(attributes, " ")
		}
		bones.WriteString(">\n")
		page = after
		if element == "script" || element == "style" {
			var code string
			code, page, found = strings.Cut(page, "</"+element)
			require.True(t, found, name)
			bones.WriteString(code)
			page = "</" + element + page
		}
	}
	return bones.String()
}

// requireInert wants the same page as the harmless one but for its texts, or
// JSON that no browser takes for a page.
func requireInert(t testing.TB, harmless, w *httptest.ResponseRecorder, name string) {
	t.Helper()
	require.Equal(t, harmless.Code, w.Code, name)
	requireGuarded(t, w, name)
	kind := w.Header().Get("Content-Type")
	require.Equal(t, harmless.Header().Get("Content-Type"), kind, name)
	switch kind {
	case "text/html; charset=utf-8":
		require.Equal(t, skeleton(t, harmless.Body.String(), name), skeleton(t, w.Body.String(), name), name)
	case "application/json":
		require.NotContains(t, w.Body.String(), "<", name)
		require.True(t, json.Valid(w.Body.Bytes()), name)
	default:
		require.NotContains(t, w.Body.String(), "zebra", name)
	}
	for key, values := range w.Header() {
		if key != "Location" {
			require.NotContains(t, strings.Join(values, " "), "zebra", name)
		}
	}
}

// looks is every answer that shows something of Ann's records.
func (s *storefront) looks(t testing.TB, id string) map[string]*httptest.ResponseRecorder {
	t.Helper()
	all := map[string]*httptest.ResponseRecorder{}
	for _, accept := range []string{"text/html", "application/json"} {
		for _, path := range []string{"/return/%ID", "/status/%ID", "/status", "/return/NOSUCH"} {
			all[path+" "+accept] = s.surf(t, "ann", "GET", "/wallet"+strings.ReplaceAll(path, "%ID", id), "", "Accept", accept)
		}
	}
	return all
}

// TestRecordsAreShownAsText fills every text of a record, which came from the
// gateway, from another program or from an older version.
func TestRecordsAreShownAsText(t *testing.T) {
	t.Parallel()
	fill := func(text string) func(*codegrant.Token) {
		return func(token *codegrant.Token) {
			v := reflect.ValueOf(token).Elem()
			for i := range v.NumField() {
				switch name := v.Type().Field(i).Name; {
				case name == "ID" || name == "AccountID" || name == "UserID":
				case v.Field(i).Kind() == reflect.String:
					v.Field(i).SetString(text)
				case v.Field(i).Type() == reflect.TypeFor[codegrant.Secret]():
					v.Field(i).Set(reflect.ValueOf(codegrant.NewSecret(text)))
				}
			}
		}
	}
	for _, status := range allStatuses() {
		for _, elapsed := range []time.Duration{0, time.Hour} {
			if elapsed > 0 && status != codegrant.StatusPending {
				continue
			}
			s := newStorefront(t, quiet)
			s.elapsed.Store(int64(elapsed))
			s.keep(t, status)
			show := func(text string) map[string]*httptest.ResponseRecorder {
				record := s.get(t, "KEPT-"+strings.ToUpper(status.String()))
				record.Revision++
				fill(text)(&record)
				require.NoError(t, s.store.TokenStore.Save(t.Context(), record))
				return s.looks(t, record.ID)
			}
			harmless := show("harmless")
			for _, text := range hostileTexts() {
				shown := show(text)
				for name, w := range shown {
					requireInert(t, harmless[name], w, fmt.Sprintf("%s %s %q", name, status, text))
				}
				var view struct{ Wallet string }
				require.NoError(t, json.Unmarshal(shown["/return/%ID application/json"].Body.Bytes(), &view))
				require.Equal(t, text, view.Wallet, "JSON says what it is")
			}
		}
	}
}

// TestNotificationsAreShownAsText delivers each text, validly signed, in every
// member, for a record that is there and for one that is adopted.
func TestNotificationsAreShownAsText(t *testing.T) {
	t.Parallel()
	s := newStorefront(t, quiet)
	n := 0
	show := func(text string, known bool) map[string]*httptest.ResponseRecorder {
		n++
		id := fmt.Sprintf("RECORD-%d", n)
		if known {
			s.keep(t, codegrant.StatusPending, func(token *codegrant.Token) { token.ID = id })
		}
		quoted, err := json.Marshal(text)
		require.NoError(t, err)
		member := quoted
		if strings.ContainsAny(text, "&=") {
			member = []byte(`"zebra"`) // such a name is refused
		}
		biz := fmt.Sprintf(`{"notifyType":%q,"requestId":"%[2]s","merchantUserId":"ann","token":"T-%[2]s","paymentMethod":{"type":%[3]s},"userLoginId":%[3]s,"expireTime":%[3]s,"status":%[3]s,"remark":%[3]s,%[4]s:%[3]s}`,
			created, id, quoted, member)
		shown := map[string]*httptest.ResponseRecorder{}
		shown["notify"] = s.post(t, id, s.gateway.SignedBody(biz, map[string]string{"description": text}))
		require.Equal(t, http.StatusOK, shown["notify"].Code, "%q", text)
		for name, w := range s.looks(t, id) {
			shown[name] = w
		}
		for _, kind := range []string{"RECHARGE", "REFUND", "ELSE"} {
			shown[kind] = s.post(t, id, s.gateway.SignedBody(strings.Replace(biz, created, kind, 1), map[string]string{"description": text}))
		}
		return shown
	}
	for _, known := range []bool{true, false} {
		harmless := show("harmless", known)
		for _, text := range hostileTexts() {
			for name, w := range show(text, known) {
				if name == "notify" || !strings.Contains(name, "/") {
					require.NotContains(t, w.Body.String(), "zebra", name)
					continue
				}
				requireInert(t, harmless[name], w, fmt.Sprintf("%s %q", name, text))
			}
		}
	}
}

// TestAnswersOfTheGatewayAreShownAsText answers every call with each text in
// every member, as success and as refusal.
func TestAnswersOfTheGatewayAreShownAsText(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"001000", "102000", "zebra", "<zebra>"} {
		s := newStorefront(t, quiet)
		s.elapsed.Store(int64(time.Minute))
		n := 0
		show := func(text string, accept string) map[string]*httptest.ResponseRecorder {
			n++
			fresh := func(status codegrant.Status) string {
				return s.keep(t, status, func(token *codegrant.Token) {
					token.ID, token.UserID = fmt.Sprintf("%s-%d", token.ID, n), fmt.Sprintf("user-%d", n)
				})
			}
			user := fmt.Sprintf("user-%d", n)
			quoted, err := json.Marshal(text)
			require.NoError(t, err)
			authURL, err := json.Marshal("https://wallet.test/consent?x=" + text)
			require.NoError(t, err)
			s.says = func(string) (string, map[string]string) {
				return fmt.Sprintf(`{"authUrl":%s,"token":%[2]s,"status":%[2]s,"requestId":%[2]s,"merchantUserId":%[2]s,"userLoginId":%[2]s,"paymentMethod":{"type":%[2]s}}`,
					authURL, quoted), map[string]string{"code": code, "description": text}
			}
			active, pending := fresh(codegrant.StatusActive), fresh(codegrant.StatusPending)
			return map[string]*httptest.ResponseRecorder{
				"sign-up":           s.submit(t, user, "/signup", url.Values{"wallet": {"GCash"}}, "Accept", accept),
				"sign-up by a name": s.submit(t, user, "/signup", url.Values{"wallet": {text}, "terminal": {text}}, "Accept", accept),
				"unbind":            s.submit(t, user, "/unbind", url.Values{"id": {active}}, "Accept", accept),
				"return":            s.surf(t, user, "GET", "/wallet/return/"+pending, "", "Accept", accept),
			}
		}
		for _, accept := range []string{"text/html", "application/json"} {
			harmless := show("harmless", accept)
			for _, text := range hostileTexts() {
				for name, w := range show(text, accept) {
					if strings.HasPrefix(name, "sign-up") && harmless[name].Code != w.Code {
						require.GreaterOrEqual(t, w.Code, 400, "%s %q", name, text) // no URL, or no name of a wallet
						requireInert(t, w, w, name)
						continue
					}
					requireInert(t, harmless[name], w, fmt.Sprintf("%s %s %q", name, code, text))
					if location := w.Header().Get("Location"); location != "" && name == "sign-up" {
						require.Equal(t, place{"https", "wallet.test", true}, follow(location), "%q", text)
					}
				}
			}
		}
	}
}

// TestTheSkeletonNoticesWhatIsNotEscaped is the control.
func TestTheSkeletonNoticesWhatIsNotEscaped(t *testing.T) {
	t.Parallel()
	s := newStorefront(t, quiet)
	page := s.surf(t, "ann", "GET", "/wallet/return/"+s.keep(t, codegrant.StatusActive), "").Body.String()
	whole := skeleton(t, page, "page")
	require.Contains(t, whole, `<a href="/account">`)
	for _, text := range hostileTexts() {
		if !strings.ContainsAny(text, `<>"'`) {
			continue
		}
		for _, at := range []string{"GCash is connected", "/account", "active"} {
			require.Contains(t, page, at)
			require.NotEqual(t, whole, skeletonOrNothing(t, strings.Replace(page, at, text, 1)), "%q in the place of %q", text, at)
		}
	}
}

// probe is a test that is expected to fail.
type probe struct{ testing.TB }

func (probe) Helper()               {}
func (probe) Name() string          { return "probe" }
func (probe) Errorf(string, ...any) {}
func (probe) FailNow()              { panic(probe{}) }

// skeletonOrNothing is "" where skeleton would fail the test.
func skeletonOrNothing(t testing.TB, page string) (bones string) {
	defer func() {
		if r := recover(); r != nil && r != any(probe{}) {
			panic(r)
		}
	}()
	return skeleton(probe{}, page, t.Name())
}
