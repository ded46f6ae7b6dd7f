package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// probed is what one run of the probe said.
type probed struct {
	probe   *probe
	err     error
	out     string
	lines   []probeLine
	records string
}

func probeAccount() codegrant.Account {
	return codegrant.Account{
		ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
		Salts: codegrant.Salts(gatewaytest.DefaultSalt), Digest: codegrant.SHA256,
	}
}

// runTheProbe runs it against host as the command does, approving by itself.
func runTheProbe(ctx context.Context, t *testing.T, host string, change func(*probeOptions), alsoTo ...io.Writer) probed {
	t.Helper()
	o := probeOptions{
		wallet: "GCash", terminal: "02", email: "probe@example.com", ip: "203.0.113.7", charge: "12.50",
		approve: true, timeout: 5 * time.Second, wait: 5 * time.Second, linger: 300 * time.Millisecond, notifyListen: "127.0.0.1:0",
	}
	if change != nil {
		change(&o)
	}
	require.NoError(t, o.check())
	var out, records bytes.Buffer
	p := &probe{options: o, account: probeAccount(), out: io.MultiWriter(append(alsoTo, &out)...), refused: map[string]string{}}
	p.input = newInput("")
	for _, w := range alsoTo {
		if person, ok := w.(personAt); ok {
			p.input = bufio.NewReader(person.keyboard)
		}
	}
	p.found.endpoints.Host = host
	p.mask = mask.NewMemory(revealed(p.account.Salts))
	p.record = &probeRecord{mask: p.mask, out: &records}
	p.http = plainClient(&probeTransport{next: http.DefaultTransport, record: p.record})
	if o.notifyListen != "" {
		listener, local, err := listenFor(ctx, o.notifyListen, p.record)
		require.NoError(t, err)
		defer listener.close()
		p.listener, p.options.notifyURL = listener, local
	}
	result := probed{probe: p}
	result.err = p.run(ctx)
	result.out, result.records = out.String(), records.String()
	for line := range strings.Lines(result.records) {
		var l probeLine
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		result.lines = append(result.lines, l)
	}
	return result
}

// verdict returns the verdict on a step.
func (r probed) verdict(t *testing.T, step string) probeLine {
	t.Helper()
	for _, l := range r.lines {
		if l.Step == step && l.Kind == "verdict" {
			return l
		}
	}
	require.Fail(t, "no verdict on "+step, r.out)
	return probeLine{}
}

// altered puts change between the probe and the gateway.
func altered(t *testing.T, g *gatewaytest.Server, change func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if change == nil || !change(w, r) {
			g.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// missing answers 404 for a path, as a gateway of another edition would.
func missing(paths ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		for _, path := range paths {
			if r.URL.Path == path {
				http.NotFound(w, r)
				return true
			}
		}
		return false
	}
}

// reworded answers as the gateway does, with other words for a code.
func reworded(g *gatewaytest.Server, code, words string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v4/") {
			return false
		}
		recorder := httptest.NewRecorder()
		g.ServeHTTP(recorder, r)
		body := recorder.Body.Bytes()
		var members map[string]string
		if json.Unmarshal(body, &members) == nil && members["code"] == code {
			members["description"] = words
			members["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, members["signType"], members)
			body = compactJSON(members)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(recorder.Code)
		_, _ = w.Write(body)
		return true
	}
}

// TestThePrintedSettingsWork feeds what the probe found back into a kit, and
// signs up, charges and unbinds with it.
func TestThePrintedSettingsWork(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		gateway gatewaytest.Config
		missing []string
		words   string // of code 109999
		want    []string
		kinds   map[string]string // the kind of verdict on a step
		byQuery bool              // the token comes by a query
		silent  bool              // nobody can unbind by the API
	}{
		"everything is as assumed": {
			kinds: map[string]string{"bind": probeConfirmed, "consent": probeConfirmed, "unbind": probeConfirmed, "refund-query": probeConfirmed},
		},
		"success has a code of its own": {
			gateway: gatewaytest.Config{BindCode: "009000"},
			want:    []string{`SuccessCodes: []string{"000000", "001000", "009000"}`},
			kinds:   map[string]string{"bind": probeSettled, "signup-query": probeConfirmed},
		},
		"success has no code, and the envelope is minimal": {
			gateway: gatewaytest.Config{BindCode: gatewaytest.OmitCode, MinimalEnvelope: true, RichNotification: true},
			kinds:   map[string]string{"bind": probeConfirmed, "consent": probeConfirmed},
		},
		"answers are signed with MD5": {
			gateway: gatewaytest.Config{SignType: gatewaytest.MD5},
			want:    []string{"Digest: codegrant.MD5"},
			kinds:   map[string]string{"signature": probeSettled, "consent": probeConfirmed},
		},
		"notifications are flat": {
			gateway: gatewaytest.Config{NotificationShape: gatewaytest.Flat},
			want:    []string{"QueryUnsigned: true"},
			kinds:   map[string]string{"consent": probeSettled, "signup-query-after": probeConfirmed},
		},
		"notifications are unsigned envelopes": {
			gateway: gatewaytest.Config{NotificationShape: gatewaytest.UnsignedEnvelope},
			kinds:   map[string]string{"consent": probeUncovered, "signup-query-after": probeConfirmed},
			byQuery: true,
		},
		"the guessed paths are others": {
			gateway: gatewaytest.Config{Paths: gatewaytest.Paths{SignUpQuery: "/v4/paymethod/bindQuery", Unbind: "/v4/paymethod/unBind"}},
			want:    []string{`SignUpQuery: "/v4/paymethod/bindQuery"`, `Unbind:      "/v4/paymethod/unBind"`},
			kinds:   map[string]string{"signup-query": probeSettled, "unbind-path": probeSettled, "unbind": probeSettled},
		},
		"the refund query is the other edition's": {
			missing: []string{"/v4/refund/query"},
			want:    []string{`RefundQuery: "/v4/payment/getRefund"`},
			kinds:   map[string]string{"refund-query": probeSettled},
		},
		"there is no sign-up query": {
			missing: []string{"/v4/paymethod/query"},
			want:    []string{"SignUpQuery: codegrant.Disabled"},
			kinds:   map[string]string{"signup-query": probeSettled, "signup-query-after": probeOpen, "list": probeConfirmed},
		},
		"there is no sign-up query, and the older interfaces see the token": {
			gateway: gatewaytest.Config{SharedTokens: true},
			missing: []string{"/v4/paymethod/query", "/v4/paymethod/unbind"},
			want:    []string{"SignUpQuery: codegrant.Disabled", "QueryByList: true", `Unbind:      "/v4/authorization/cancelToken"`},
			kinds:   map[string]string{"list": probeSettled, "unbind": probeSettled},
		},
		"a dead token has a code and other words": {
			gateway: gatewaytest.Config{MissingTokenCode: "109999"},
			words:   "no agreement",
			want:    []string{`TokenGoneCodes: []string{"109999"}`},
			kinds:   map[string]string{"dead-token": probeSettled, "unbind-repeat": probeConfirmed},
		},
		"a dead token has a code, and the documented words": {
			gateway: gatewaytest.Config{MissingTokenCode: "109999"},
			kinds:   map[string]string{"dead-token": probeConfirmed},
		},
		"charges are processed later": {
			gateway: gatewaytest.Config{ProcessingFirst: true, SettleAfter: time.Millisecond},
			kinds:   map[string]string{"charge": probeConfirmed, "payment-notice": probeConfirmed},
		},
		"the return URL gets parameters": {
			gateway: gatewaytest.Config{BindReturnsAuthCode: true},
			kinds:   map[string]string{"return": probeConfirmed},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := gatewaytest.NewServer(tc.gateway)
			t.Cleanup(g.Close)
			change := missing(tc.missing...)
			if tc.words != "" {
				change = reworded(g, tc.gateway.MissingTokenCode, tc.words)
			}
			host := altered(t, g, change)
			r := runTheProbe(t.Context(), t, host, nil)
			require.NoError(t, r.err, r.out)
			for step, kind := range tc.kinds {
				require.Equal(t, kind, r.verdict(t, step).Verdict, "%s: %s", step, r.verdict(t, step).Text)
			}
			for _, text := range tc.want {
				require.Contains(t, r.out, text)
			}
			if len(tc.want) == 0 { // nothing but Host differs
				for _, setting := range []string{"SuccessCodes:", "TokenGoneCodes:", "NotifyTypes:", "Statuses:", "Query", "Unbind:", "Digest:"} {
					require.NotContains(t, r.out[strings.Index(r.out, "package settings"):], setting)
				}
			}
			require.Empty(t, g.Ledger().ChargedTwice())
			if !tc.gateway.ProcessingFirst {
				require.Len(t, g.Ledger().Refunds, len(g.Ledger().Charges), "everything is paid back")
			}
			checkRecord(t, g, r)
			useSettings(t, g, host, r.probe, tc.byQuery)
		})
	}
}

// checkRecord looks for secrets in what was printed and recorded.
func checkRecord(t *testing.T, g *gatewaytest.Server, r probed) {
	t.Helper()
	for what, text := range map[string]string{"record": r.records, "output": r.out} {
		shown := func(secret string) bool { return secret != "" && strings.Contains(text, secret) }
		require.False(t, shown(gatewaytest.DefaultSalt), "salt in the %s", what)
		for _, a := range g.Ledger().Agreements {
			require.False(t, shown(a.Token) || shown(a.LoginID), "token or login id in the %s", what)
		}
	}
	require.Empty(t, regexp.MustCompile(`[0-9A-Fa-f]{32}`).FindString(r.records), "a sign, or a token that was made up")
	for _, text := range []string{"masked sign, ", "masked token, 64 lower-case hex digits"} {
		require.Positive(t, strings.Count(r.records, text), text) // Contains would print all of it
	}
	var bind string
	for _, l := range r.lines {
		if l.Step == "bind" && l.Kind == "exchange" {
			bind = l.Request
		}
	}
	require.Contains(t, bind, `\"merchantUserId\":\"PROBE-`, "the rest is as it was sent")
}

// useSettings goes through a whole agreement with what the probe found.
func useSettings(t *testing.T, g *gatewaytest.Server, host string, p *probe, byQuery bool) {
	t.Helper()
	useSettingsThrough(t, g, host, p, byQuery, func(h http.Handler) http.Handler { return h })
}

// useSettingsThrough does it with something between gateway and kit.
func useSettingsThrough(t *testing.T, g *gatewaytest.Server, host string, p *probe, byQuery bool, between func(http.Handler) http.Handler) {
	t.Helper()
	require.Equal(t, host, p.found.endpoints.Host)
	account := probeAccount()
	account.Digest = ""
	client, err := codegrant.NewClient(p.found.client(account))
	require.NoError(t, err)
	cfg := p.found.kit()
	cfg.Client, cfg.Store, cfg.BaseURL = client, memstore.New(), "https://shop.example"
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.User = func(*http.Request) (string, error) { return "mia", nil }
	kit, err := codegrant.New(cfg)
	require.NoError(t, err)
	g.DeliverTo(between(kit))

	signUp, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "mia", Wallet: codegrant.GCash})
	require.NoError(t, err)
	require.NoError(t, g.Approve(strings.Replace(signUp.AuthURL, host, g.URL, 1)))
	if byQuery {
		_, err = kit.Refresh(t.Context(), signUp.ID)
		require.NoError(t, err)
	}
	token, err := kit.ActiveToken(t.Context(), "mia", codegrant.GCash)
	require.NoError(t, err)
	receipt, err := kit.Charge(t.Context(), codegrant.ChargeParams{
		UserID: "mia", OrderID: "order-1", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "mia@example.com",
	})
	require.NoError(t, err)
	require.NotEqual(t, codegrant.Failed, receipt.Outcome)
	g.Wait()
	if receipt.Outcome == codegrant.Succeeded { // what is pending cannot be paid back yet
		refundIt(t, kit)
	}
	ended, err := kit.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "mia", TokenID: token.ID})
	require.NoError(t, err)
	require.Equal(t, codegrant.StatusUnbound, ended.Status)
}

func refundIt(t *testing.T, kit *codegrant.Kit) {
	t.Helper()
	_, err := kit.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
	require.NoError(t, err)
	_, err = kit.QueryRefund(t.Context(), "order-1", 1)
	require.NoError(t, err)
}

// TestTheSnippetCompiles runs the printed file and compares what it says with
// the values that the other tests build a kit from.
func TestTheSnippetCompiles(t *testing.T) {
	t.Parallel()
	s := probeSettings{
		digest:       codegrant.MD5,
		endpoints:    codegrant.Endpoints{Host: "https://gateway.example", SignUpQuery: codegrant.Disabled, Unbind: "/v4/x", RefundQuery: "/v4/y"},
		successCodes: []string{"009000"}, goneCodes: []string{"109999"},
		notifyTypes:   map[string]codegrant.Kind{"SIGNED": codegrant.KindSignedUp, "ENDED": codegrant.KindUnboundByMerchant},
		statuses:      map[string]codegrant.Kind{"VALID": codegrant.KindSignedUp, "FAILED": codegrant.KindUnknown, "OVER": codegrant.KindTokenGone},
		queryUnsigned: true, queryByList: true, authHosts: []string{"wallet.example"},
		confirmed: []string{"bind", "list"}, settled: []string{"x: a\nb */ \" ` c"}, notSettled: []string{"charge"}, needsAttention: []string{"y"},
	}
	folder := t.TempDir()
	source := strings.Replace(s.source(probeAccount()), "package settings", "package main", 1)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "settings.go"), []byte(source), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(`package main

import (
	"encoding/json"
	"os"
)

func main() {
	client, kit := Client(nil), Kit(nil)
	_ = json.NewEncoder(os.Stdout).Encode([]any{client.Account, client.Endpoints, client.SuccessCodes, client.TokenGoneCodes,
		kit.NotifyTypes, kit.SignUpStatuses, kit.QueryUnsigned, kit.QueryByList})
}
`), 0o600))
	said, err := exec.CommandContext(t.Context(), "go", "run", filepath.Join(folder, "settings.go"), filepath.Join(folder, "main.go")).CombinedOutput()
	require.NoError(t, err, string(said))
	account := probeAccount()
	account.Salts = nil
	client, kit := s.client(account), s.kit()
	want, err := json.Marshal([]any{client.Account, client.Endpoints, client.SuccessCodes, client.TokenGoneCodes,
		kit.NotifyTypes, kit.SignUpStatuses, kit.QueryUnsigned, kit.QueryByList})
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(said))
}

// TestBrokenEndpoints: a clear verdict for every step, and an end.
func TestBrokenEndpoints(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"garbage":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x1b[31m{{{") }, "no JSON object"},
		"a page":            {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<!doctype html><h1>Hi") }, "text/html"},
		"status 500":        {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusInternalServerError) }, "HTTP 500"},
		"nothing, for ever": {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() }, "did not come in time"},
		"nothing but a home page": {func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, _ = io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}
		}, errSilent.Error()},
		"a cut connection": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "EOF"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://example.com/", http.StatusFound)
		}, "HTTP 302"},
		"an unsigned answer": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"code":"104000","description":"Invalid\u001b[31m signature"}`)
		}, "104000"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				tc.answer(w, r)
			}))
			t.Cleanup(s.Close)
			r := runTheProbe(t.Context(), t, s.URL, func(o *probeOptions) { o.timeout = 200 * time.Millisecond })
			require.ErrorIs(t, r.err, errFailed)
			require.Contains(t, r.out, tc.says)
			require.NotContains(t, r.out, "\x1b")
			if strings.Contains(r.out, errSilent.Error()) {
				require.LessOrEqual(t, calls.Load(), int32(1+maxSilent))
			}
			for _, step := range probeSteps() {
				v := r.verdict(t, step.id)
				require.NotEmpty(t, v.Text)
				if step.id != "reach" && step.id != "no-such-path" {
					require.Equal(t, probeOpen, v.Verdict, "%s: %s", step.id, v.Text)
				}
			}
			require.Contains(t, r.out, "func Endpoints()")
		})
	}
}

func TestAnEndpointThatIsNotThere(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(nil)
	s.Close()
	r := runTheProbe(t.Context(), t, s.URL, nil)
	require.ErrorIs(t, r.err, errFailed)
	require.Contains(t, r.verdict(t, "unbind").Text, "the endpoint cannot be reached")
	require.Contains(t, r.verdict(t, "unbind").Text, "connection refused")
}

// personAt gives the probe a person, and reads nothing.
type personAt struct{ keyboard io.Reader }

func (personAt) Write(b []byte) (int, error) { return len(b), nil }

func newInput(text string) *bufio.Reader { return bufio.NewReader(strings.NewReader(text)) }

// whenSaid calls then when a text was written.
type whenSaid struct {
	text string
	then func()
}

func (w whenSaid) Write(b []byte) (int, error) {
	if strings.Contains(string(b), w.text) {
		w.then()
	}
	return len(b), nil
}

// TestInterrupting ends the probe while it waits for the user, who never comes.
func TestInterrupting(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	ctx, stop := context.WithCancel(t.Context())
	began := time.Now()
	r := runTheProbe(ctx, t, g.URL, func(o *probeOptions) { o.approve, o.wait = false, time.Minute },
		whenSaid{"Open this page", stop})
	require.Less(t, time.Since(began), 30*time.Second)
	require.ErrorIs(t, r.err, errFailed)
	require.Equal(t, probeConfirmed, r.verdict(t, "bind").Verdict)
	require.Equal(t, "interrupted", r.verdict(t, "consent").Text)
	require.Equal(t, "interrupted", r.verdict(t, "unbind").Text)
	require.Contains(t, r.out, "func Endpoints()", "what was found is printed all the same")
}
