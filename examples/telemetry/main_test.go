package main

import (
	"bufio"
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// program is run, running, with what it printed.
type program struct {
	shop    string
	mu      sync.Mutex
	printed strings.Builder
}

func start(t *testing.T) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	output, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"-addr", "127.0.0.1:0"}, stdout)
		_ = stdout.Close()
	}()
	p := &program{}
	addresses := map[string]string{}
	lines := bufio.NewScanner(output)
	for addresses["Metrics"] == "" && lines.Scan() {
		if i := strings.Index(lines.Text(), "http://"); i >= 0 {
			addresses[strings.TrimSpace(lines.Text()[:i])] = strings.Fields(lines.Text()[i:])[0]
		}
	}
	p.shop = addresses["Shop"]
	require.Equal(t, p.shop+"/metrics", addresses["Metrics"])
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines.Scan() {
			p.mu.Lock()
			p.printed.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
		<-read
	})
	return p
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

// visit sends a form, or without one looks at a page.
func visit(t *testing.T, client *http.Client, address string, form url.Values) (ended *url.URL, body string) {
	t.Helper()
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, address)
	return response.Request.URL, string(text)
}

func hidden(body, name string) string {
	found := regexp.MustCompile(fmt.Sprintf(`type="hidden" name=%q value="([^"]*)"`, name)).FindStringSubmatch(body)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

func TestRunShowsWhatShoppersDo(t *testing.T) {
	t.Parallel()
	p := start(t)
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	visit(t, browser, p.shop+"/login", url.Values{"name": {"Mia"}})
	consent, _ := visit(t, browser, p.shop+"/wallet/signup", url.Values{"wallet": {"GCash"}, "returnTo": {"/"}})
	visit(t, browser, consent.String(), url.Values{"decision": {"agree"}})
	metrics := func() string {
		_, text := visit(t, browser, p.shop+"/metrics", nil)
		return text
	}
	shows := func(line string) {
		require.Eventually(t, func() bool { return strings.Contains(metrics(), "\n"+line+"\n") }, time.Minute, 50*time.Millisecond, line)
	}
	shows(`codegrant_transitions_total{ended_by="",from="pending",to="active",wallet="GCash"} 1`)
	_, home := visit(t, browser, p.shop+"/", nil)
	visit(t, browser, p.shop+"/buy", url.Values{
		"order": {hidden(home, "order")}, "sku": {hidden(home, "sku")}, "wallet": {hidden(home, "wallet")},
	})
	shows(`codegrant_charges_total{outcome="succeeded",wallet="GCash"} 1`)
	shows(`codegrant_answers_total{endpoint="notify",status="200"} 2`)
	require.Contains(t, metrics(), "\n"+`codegrant_salt_last_used_timestamp_seconds{salt="0"} `)

	require.Eventually(t, func() bool { return strings.Count(p.output(), " codegrant notify ") == 2 }, time.Minute, 50*time.Millisecond)
	printed := p.output()
	trace := regexp.MustCompile(`trace ([0-9a-f]{8}) .* codegrant charge outcome=succeeded \*payment \*hook\n`).FindStringSubmatch(printed)
	require.NotNil(t, trace, printed)
	require.Regexp(t, `trace `+trace[1]+` .* POST /v4/payment/unifiedPay wallet=GCash status_code=200 outcome=succeeded\n`, printed, "the same trace")
	require.Regexp(t, `codegrant notify status_code=200 \*notification \*transition \*hook\n`, printed)
	require.NotContains(t, printed+metrics(), "user-1")
}

func TestRunRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-addr 0.0.0.0:0": "use 127.0.0.1",
		"-port 8080":      "see -help",
	} {
		require.ErrorContains(t, run(t.Context(), strings.Fields(args), io.Discard), want, args)
	}
	var help strings.Builder
	require.NoError(t, run(t.Context(), []string{"-help"}, &help))
	require.Contains(t, help.String(), "-traces")
}
