package codegrant_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// documentedCodes is every constant of type Code with a comment, by value.
func documentedCodes(t testing.TB) map[string]string {
	t.Helper()
	codes := map[string]string{}
	for _, file := range []string{"errors.go", "log.go"} {
		for _, declaration := range parse(t, file, parser.ParseComments).Decls {
			constants, ok := declaration.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, s := range constants.Specs {
				spec := s.(*ast.ValueSpec)
				if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
					continue
				}
				name := spec.Names[0].Name
				require.NotEmpty(t, spec.Doc.Text(), "%s says nothing of itself", name)
				value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				require.Empty(t, codes[value], "%s and %s are one code", codes[value], name)
				codes[value] = name
			}
		}
	}
	require.Greater(t, len(codes), 40)
	return codes
}

func parse(t testing.TB, file string, mode parser.Mode) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, mode)
	require.NoError(t, err)
	return parsed
}

// writers lists where a file calls a method that writes to a log.
func writers(t testing.TB, file string) []*ast.CallExpr {
	t.Helper()
	var calls []*ast.CallExpr
	ast.Inspect(parse(t, file, 0), func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch method.Sel.Name {
		case "Log", "LogAttrs", "Debug", "DebugContext", "InfoContext", "Warn", "WarnContext", "ErrorContext":
			calls = append(calls, call)
		case "Info", "Error": // those of a wallet and of an error take nothing
			if len(call.Args) > 0 {
				calls = append(calls, call)
			}
		}
		return true
	})
	return calls
}

func TestEveryRecordIsWrittenWithADocumentedCode(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, name := range documentedCodes(t) {
		documented[name] = true
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	inPackage := map[string]int{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		if n := len(writers(t, file)); n > 0 {
			inPackage[file] = n
		}
		// What log.go writes is an Event, and no Event is made up on the spot.
		ast.Inspect(parse(t, file, 0), func(n ast.Node) bool {
			literal, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if typ, ok := literal.Type.(*ast.Ident); !ok || typ.Name != "Event" {
				return true
			}
			for _, element := range literal.Elts {
				pair := element.(*ast.KeyValueExpr)
				if value, ok := pair.Value.(*ast.BasicLit); ok && pair.Key.(*ast.Ident).Name == "Code" {
					t.Errorf("%s: an Event with the code %s", file, value.Value)
				}
			}
			return true
		})
	}
	require.Equal(t, map[string]int{"log.go": 1, "observer.go": 1}, inPackage, "records are written in one place")

	files, err = filepath.Glob("sqlstore/*.go")
	require.NoError(t, err)
	seen := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, call := range writers(t, file) {
			code := ""
			ast.Inspect(call, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && documented[s.Sel.Name] {
					code = s.Sel.Name
				}
				return true
			})
			require.NotEmpty(t, code, "%s writes a record without a documented code", file)
			seen++
		}
	}
	require.Equal(t, 3, seen)
}

// logged is one line of a JSON log.
type logged struct {
	Level, Code, Op, Error, Hook string
	Duration                     *int64
}

// since reads the log from that length on.
func (b *logBuffer) since(t testing.TB, length int) []logged {
	t.Helper()
	var list []logged
	for line := range strings.Lines(b.String()[length:]) {
		var l logged
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		list = append(list, l)
	}
	return list
}

func hookThat(does func() error) shopOption {
	return withConfig(func(c *codegrant.Config) {
		c.OnToken = func(context.Context, codegrant.Change) error { return does() }
	})
}

func withPayments(c *codegrant.Config) { c.Payments = c.Store.(codegrant.PaymentStore) }

func TestOneThingIsOneRecord(t *testing.T) {
	t.Parallel()
	failing := func() error { return errors.New("the queue is full") }
	get := func(s *shop, target, user string) {
		r := httptest.NewRequest(http.MethodGet, "/wallet"+target, nil)
		r.Header.Set("X-User", user)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	form := func(s *shop, target, user, body string) {
		r := httptest.NewRequest(http.MethodPost, "/wallet"+target, strings.NewReader(body))
		r.Header.Set("X-User", user)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
	}
	documented := documentedCodes(t)
	for _, tc := range []struct {
		name    string
		options []shopOption
		given   func(t *testing.T, s *shop) codegrant.Token
		do      func(t *testing.T, s *shop, token codegrant.Token)
		want    string // level, code and op of each record
	}{
		{
			name: "a sign-up that is asked for",
			do:   func(_ *testing.T, s *shop, _ codegrant.Token) { form(s, "/signup", "ann", "wallet=GCash") },
		},
		{
			name: "a token that arrives", given: started,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				require.NoError(t, s.gateway.Approve(token.AuthURL))
			},
			want: "DEBUG notification notify, INFO transition notify, DEBUG hook notify",
		},
		{
			name: "a repetition", given: connected,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				s.deliver(t, token.ID, s.gateway.SignedBody(bizOf(created, token.ID, "ann", token.Value.Reveal()), nil))
			},
			want: "DEBUG notification notify",
		},
		{
			name: "a hook that fails", given: started, options: []shopOption{hookThat(failing)},
			do:   func(t *testing.T, s *shop, token codegrant.Token) { _ = s.gateway.Approve(token.AuthURL) },
			want: "DEBUG notification notify, INFO transition notify, WARN hook_error notify, ERROR hook_failed notify",
		},
		{
			name: "a hook that panics", given: started, options: []shopOption{hookThat(func() error { panic("no") })},
			do:   func(t *testing.T, s *shop, token codegrant.Token) { _ = s.gateway.Approve(token.AuthURL) },
			want: "DEBUG notification notify, INFO transition notify, ERROR hook_panic notify, ERROR hook_failed notify",
		},
		{
			name: "a token without a record",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.deliver(t, "", s.gateway.SignedBody(bizOf(created, "RECORD-1", "ann", tokenValue), nil))
			},
			want: "DEBUG notification notify, INFO adopted notify, INFO transition notify, DEBUG hook notify",
		},
		{
			name: "an end that fits no record", options: []shopOption{withConfig(func(c *codegrant.Config) { c.OnUnknown = nil })},
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.deliver(t, "", s.gateway.SignedBody(bizOf(endedByUser, "RECORD-1", "ann", tokenValue), nil))
			},
			want: "DEBUG notification notify, WARN unmatched notify",
		},
		{
			name: "an end that fits no record and is taken",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.deliver(t, "", s.gateway.SignedBody(bizOf(endedByUser, "RECORD-1", "ann", tokenValue), nil))
			},
			want: "DEBUG notification notify, INFO unknown_notification notify, DEBUG hook unknown notification",
		},
		{
			name: "a type that nobody knows",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.deliver(t, "", s.gateway.SignedBody(`{"notifyType":"CAROUSEL"}`, nil))
			},
			want: "DEBUG notification notify, INFO unknown_notification notify, DEBUG hook unknown notification",
		},
		{
			name: "a forgery", given: started,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
				s.deliver(t, token.ID, []byte(strings.Replace(string(body), "ann", "bob", 1)))
			},
			want: "WARN bad_signature notify",
		},
		{name: "an empty body", do: func(t *testing.T, s *shop, _ codegrant.Token) { s.deliver(t, "", nil) }, want: "WARN body_consumed notify"},
		{name: "a wrong method", do: func(_ *testing.T, s *shop, _ codegrant.Token) { get(s, "/notify", "") }, want: "INFO method_not_allowed notify"},
		{name: "an address that is none", do: func(_ *testing.T, s *shop, _ codegrant.Token) { get(s, "/.env", "") }, want: "INFO not_found route"},
		{name: "a status without a user", do: func(_ *testing.T, s *shop, _ codegrant.Token) { get(s, "/status", "") }, want: "INFO unauthenticated status"},
		{
			name: "a return of somebody else", given: connected,
			do: func(_ *testing.T, s *shop, token codegrant.Token) { get(s, "/return/"+token.ID, "bob") }, want: "WARN not_owner return",
		},
		{
			name: "an unbinding that wants to go elsewhere", given: connected,
			do: func(_ *testing.T, s *shop, _ codegrant.Token) {
				form(s, "/unbind", "ann", "returnTo=https://evil.test")
			},
			want: "WARN invalid_request unbind",
		},
		{
			name: "an unbinding", given: connected,
			do: func(_ *testing.T, s *shop, _ codegrant.Token) {
				s.gateway.LoseNotifications(true)
				form(s, "/unbind", "ann", "")
			},
			want: "INFO transition unbind, INFO transition unbind, DEBUG hook unbind", // to unbinding, and to unbound
		},
		{
			name: "a code of the older flow whose hook fails", given: started,
			options: []shopOption{hookThat(failing), withConfig(func(c *codegrant.Config) { c.OlderFlow = true })},
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				s.gateway.LoseNotifications(true)
				require.NoError(t, s.gateway.Approve(token.AuthURL))
				back, err := s.gateway.ReturnURL(token.AuthURL)
				require.NoError(t, err)
				get(s, strings.TrimPrefix(back, baseURL), "ann")
			},
			want: "INFO transition return, WARN hook_error return, ERROR hook_failed return",
		},
		{
			name: "a payment without records", given: connected,
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
				require.NoError(t, err)
				s.gateway.Wait()
			},
			want: "DEBUG notification notify, INFO payment notify, DEBUG hook payment",
		},
		{
			name: "a payment and a refund with records", given: connected, options: []shopOption{withConfig(withPayments)},
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.gateway.LoseNotifications(true)
				p := chargeParams("ann", "order-1")
				_, err := s.Charge(t.Context(), p)
				require.NoError(t, err)
				_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: p.Amount})
				require.NoError(t, err)
			},
			want: "INFO payment charge, DEBUG hook charge, INFO refund refund, DEBUG hook refund",
		},
		{
			name: "a charge of a token that is gone", given: connected,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				s.gateway.LoseNotifications(true)
				require.NoError(t, s.gateway.UnbindTokenInWallet(token.Value.Reveal()))
				receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
				require.NoError(t, err)
				require.True(t, receipt.TokenGone)
			},
			want: "INFO token_doubted charge, INFO transition refresh, DEBUG hook refresh",
		},
		{
			name: "a sweep that finds nothing",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				_, err := s.Reconcile(t.Context())
				require.NoError(t, err)
			},
			want: "DEBUG sweep reconcile",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, tc.options...)
			var record codegrant.Token
			if tc.given != nil {
				record = tc.given(t, s)
			}
			s.gateway.Wait()
			before := len(s.log.String())
			tc.do(t, s, record)
			s.gateway.Wait()
			var got []string
			for _, l := range s.log.since(t, before) {
				got = append(got, l.Level+" "+l.Code+" "+l.Op)
				require.NotEmpty(t, documented[l.Code], "code %q is not documented", l.Code)
				require.Equal(t, strings.HasPrefix(l.Code, "hook_e") || l.Code == "hook" || l.Code == "hook_panic", l.Hook != "" && l.Duration != nil, l.Code)
			}
			require.Equal(t, tc.want, strings.Join(got, ", "))
			for _, secret := range []string{tokenValue, gatewaytest.DefaultSalt, record.Value.Reveal()} {
				if secret != "" {
					require.NotContains(t, s.log.String(), secret)
				}
			}
		})
	}
}

func started(t *testing.T, s *shop) codegrant.Token { return s.start(t, "ann") }

func connected(t *testing.T, s *shop) codegrant.Token { return s.connect(t, "ann") }

func TestASweepSaysWhatItDid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		token := s.start(t, "ann")
		s.gateway.LoseNotifications(true)
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		time.Sleep(2 * time.Minute)
		before := len(s.log.String())
		_, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		var got []string
		for _, l := range s.log.since(t, before) {
			got = append(got, l.Level+" "+l.Code)
		}
		require.Equal(t, []string{"INFO transition", "DEBUG hook", "INFO sweep"}, got)
		require.Contains(t, s.log.String(), `"looked":1,"settled":1,"failed":0`)
	})
}

func TestAHookThatIsLeftBehindIsLoggedWhenItPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, hookThat(func() error { time.Sleep(time.Hour); panic("late") }))
		token := s.start(t, "ann")
		_ = s.deliver(t, token.ID, s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil))
		before := len(s.log.String())
		require.Equal(t, 1, strings.Count(s.log.String(), `"hook_error"`))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		late := s.log.since(t, before)
		require.Len(t, late, 1)
		require.Equal(t, "hook_panic", late[0].Code)
		require.Equal(t, int64(time.Hour), *late[0].Duration)
	})
}

// pickyHandler takes records from Warn on, and fails a test that gives it others.
type pickyHandler struct {
	slog.Handler
	t testing.TB
}

func (h pickyHandler) Handle(_ context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		h.t.Errorf("%s at %s", r.Message, r.Level)
	}
	return nil
}

func TestALogIsNotGivenWhatItDoesNotTake(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) {
		c.Store = memstore.New()
		c.Logger = slog.New(pickyHandler{slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}), t})
	}))
	s.connect(t, "ann")
}
