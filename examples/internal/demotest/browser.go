package demotest

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Browser is one person's: it keeps cookies, and shows redirects instead of
// following them.
type Browser struct {
	t      *testing.T
	shop   *Shop
	client *http.Client
}

// Browser opens the shop's page in a new browser.
func (s *Shop) Browser(t *testing.T) *Browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	b := &Browser{t: t, shop: s, client: &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	b.Get("/") // for the cookie
	return b
}

// Answer is what the browser received.
type Answer struct {
	Status   int
	Location string
	Header   http.Header
	Body     string
}

// Do sends a request to the shop; header holds names and values in turn.
func (b *Browser) Do(method, path, body string, header ...string) Answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.shop.URL+path, strings.NewReader(body))
	must(b.t, err)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := b.client.Do(r)
	must(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(b.t, err)
	return Answer{response.StatusCode, response.Header.Get("Location"), response.Header, string(text)}
}

// Get opens a page.
func (b *Browser) Get(path string) Answer { b.t.Helper(); return b.Do(http.MethodGet, path, "") }

// Submit sends a form as a browser does.
func (b *Browser) Submit(path string, form url.Values, header ...string) Answer {
	b.t.Helper()
	return b.Do(http.MethodPost, path, form.Encode(), append([]string{
		"Content-Type", "application/x-www-form-urlencoded", "Origin", b.shop.URL, "Sec-Fetch-Site", "same-origin",
	}, header...)...)
}

// Start presses "Connect GCash" and returns the wallet's page.
func (b *Browser) Start() (authURL string) {
	b.t.Helper()
	away := b.Submit("/wallet/signup", url.Values{"wallet": {"GCash"}})
	equal(b.t, http.StatusSeeOther, away.Status, "sign-up: "+away.Body)
	if !strings.HasPrefix(away.Location, b.shop.Gateway.URL+"/") {
		b.t.Fatal("not sent to the wallet but to ", away.Location)
	}
	return away.Location
}

// Connect starts, agrees in the wallet, and returns the path to which the
// wallet sends the browser back.
func (b *Browser) Connect() (back string) {
	b.t.Helper()
	authURL := b.Start()
	must(b.t, b.shop.Gateway.Approve(authURL))
	equal(b.t, http.StatusOK, b.shop.Delivered(), "the notification of the sign-up")
	back, err := b.shop.Gateway.ReturnURL(authURL)
	must(b.t, err)
	return strings.TrimPrefix(back, b.shop.URL)
}

// Field returns the value of a hidden field on the shop's page, "" when it has
// none.
func (b *Browser) Field(name string) string {
	b.t.Helper()
	found := regexp.MustCompile(` name="` + name + `" value="([^"]*)"`).FindStringSubmatch(b.Get("/").Body)
	if found == nil {
		return ""
	}
	return found[1]
}

// elsewhere is an address that the browser claims to come from.
const elsewhere = "203.0.113.99"

// Buy presses "One-click buy" for an order. The browser lies about its address.
func (b *Browser) Buy(order string) Answer {
	b.t.Helper()
	return b.Submit("/buy", url.Values{"order": {order}},
		"X-Forwarded-For", elsewhere, "X-Real-Ip", elsewhere, "True-Client-Ip", elsewhere)
}

// Disconnect presses "Disconnect GCash".
func (b *Browser) Disconnect() Answer {
	b.t.Helper()
	return b.Submit("/wallet/unbind", url.Values{"id": {b.Field("id")}})
}
