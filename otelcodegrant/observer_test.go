package otelcodegrant_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/otelcodegrant"
)

const (
	user  = "user-of-the-merchant"
	order = "order-4711"
)

// shop is a merchant who watches with OpenTelemetry.
type shop struct {
	*codegrant.Kit
	gateway *gatewaytest.Gateway
	spans   *tracetest.SpanRecorder
	tracer  trace.Tracer
	reader  *sdkmetric.ManualReader
	handler http.Handler
	hook    func() error
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{spans: tracetest.NewSpanRecorder(), reader: sdkmetric.NewManualReader()}
	tracers := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s.spans))
	s.tracer = tracers.Tracer("the merchant")
	observer, err := otelcodegrant.New(otelcodegrant.Config{
		TracerProvider: tracers, MeterProvider: sdkmetric.NewMeterProvider(sdkmetric.WithReader(s.reader)),
	})
	require.NoError(t, err)
	s.gateway = gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	t.Cleanup(s.gateway.Close)
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:    codegrant.Account{ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt)},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: s.gateway.Transport()},
		Observer:   observer,
	})
	require.NoError(t, err)
	store := memstore.New()
	s.Kit, err = codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: "https://shop.test/wallet",
		User:     func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil },
		OnToken:  func(context.Context, codegrant.Change) error { return s.heard() },
		Logger:   slog.New(slog.DiscardHandler),
		Observer: observer,
		// One after the other, so that the test knows the order.
		Reconcile: codegrant.ReconcileConfig{Concurrency: 1},
	})
	require.NoError(t, err)
	s.handler = http.StripPrefix("/wallet", s.Kit)
	s.gateway.DeliverTo(s.handler)
	return s
}

func (s *shop) heard() error {
	if s.hook != nil {
		return s.hook()
	}
	return nil
}

func (s *shop) do(ctx context.Context, method, path, body string) int {
	r := httptest.NewRequestWithContext(ctx, method, "https://shop.test/wallet"+path, strings.NewReader(body))
	r.Header.Set("X-User", user)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Code
}

func (s *shop) start(t *testing.T) codegrant.Token {
	t.Helper()
	token, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: user, Wallet: codegrant.GCash})
	require.NoError(t, err)
	return token
}

func (s *shop) charge(t *testing.T) (codegrant.Receipt, error) {
	t.Helper()
	return s.Charge(t.Context(), codegrant.ChargeParams{
		UserID: user, OrderID: order, Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "user@example.com",
	})
}

func words(list []attribute.KeyValue) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, " %s=%s", strings.TrimPrefix(string(a.Key), "codegrant."), a.Value.Emit())
	}
	return b.String()
}

// trace writes the spans that ended, each inside of its parent, and forgets
// them. What every span has is left out, once it is seen to be right.
func (s *shop) trace(t *testing.T) string {
	t.Helper()
	inside := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	ended := s.spans.Ended()
	known := map[trace.SpanID]bool{}
	for _, span := range ended {
		known[span.SpanContext().SpanID()] = true
	}
	for _, span := range ended {
		parent := span.Parent().SpanID()
		if !known[parent] {
			parent = trace.SpanID{}
		}
		inside[parent] = append(inside[parent], span)
	}
	require.Len(t, s.spans.Started(), len(ended), "every span ended")
	s.spans.Reset()
	var b strings.Builder
	var write func(parent trace.SpanID, indent string)
	write = func(parent trace.SpanID, indent string) {
		slices.SortStableFunc(inside[parent], func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
		for _, span := range inside[parent] {
			attributes := slices.DeleteFunc(span.Attributes(), func(a attribute.KeyValue) bool {
				switch a.Key {
				case "codegrant.account.id":
					return a.Value.AsString() == gatewaytest.DefaultAccountID
				case "codegrant.operation.name":
					return strings.HasSuffix(span.Name(), " "+a.Value.AsString())
				case "http.request.method", "url.template", "url.full", "server.address", "server.port":
					return span.SpanKind() == trace.SpanKindClient
				}
				return false
			})
			fmt.Fprintf(&b, "%s%s: %s%s", indent, span.SpanKind(), span.Name(), words(attributes))
			if span.Status().Code == codes.Error {
				fmt.Fprintf(&b, " ERROR %s", span.Status().Description)
			}
			b.WriteString("\n")
			for _, e := range span.Events() {
				fmt.Fprintf(&b, "%s  * %s%s\n", indent, e.Name, words(e.Attributes))
			}
			write(span.SpanContext().SpanID(), indent+"  ")
		}
	}
	write(trace.SpanID{}, "")
	return b.String()
}

// metrics writes each series with its sum or count, sorted.
func (s *shop) metrics(t *testing.T) string {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, s.reader.Collect(t.Context(), &all))
	var list []string
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.True(t, data.IsMonotonic)
				for _, p := range data.DataPoints {
					list = append(list, fmt.Sprintf("%s %s%s: %d\n", m.Name, m.Unit, words(p.Attributes.ToSlice()), p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					list = append(list, fmt.Sprintf("%s %s%s: %d\n", m.Name, m.Unit, words(p.Attributes.ToSlice()), p.Count))
				}
			default:
				t.Fatalf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, "")
}

func lines(s string) string {
	s = strings.TrimPrefix(s, "\n")
	indent := s[:len(s)-len(strings.TrimLeft(s, "\t"))]
	return strings.TrimRight(strings.ReplaceAll("\n"+s, "\n"+indent, "\n")[1:], "\t")
}

func TestEverythingIsTraced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		token := s.start(t)
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.Equal(t, lines(`
			internal: codegrant sign-up operation.kind=task
			  client: POST /v4/paymethod/bind operation.kind=call operation.name=sign-up wallet=GCash http.response.status_code=200
			server: codegrant notify operation.kind=endpoint http.response.status_code=200
			  * notification operation.name=notify notification.kind=signed_up
			  * transition operation.name=notify wallet=GCash status.from=pending status.to=active
			  * hook operation.name=notify hook=OnToken
			  internal: codegrant hook OnToken operation.kind=hook
		`), s.trace(t))

		s.gateway.LoseNotifications(true)
		_, err := s.charge(t)
		require.NoError(t, err)
		require.Equal(t, lines(`
			internal: codegrant charge operation.kind=task outcome=succeeded
			  * payment operation.name=charge wallet=GCash status.to=succeeded currency=PHP
			  client: POST /v4/payment/unifiedPay operation.kind=call operation.name=unifiedPay wallet=GCash http.response.status_code=200 outcome=succeeded
		`), s.trace(t))

		require.Equal(t, 401, s.do(t.Context(), http.MethodPost, "/notify/"+token.ID,
			strings.Replace(string(s.gateway.SignedBody(`{"notifyType":"RECHARGE"}`, nil)), "RECHARGE", "RECHARGF", 1)))
		require.Equal(t, lines(`
			server: codegrant notify operation.kind=endpoint http.response.status_code=401 error.type=bad_signature
			  * bad_signature operation.name=notify
		`), s.trace(t), "a forgery is not our fault")

		time.Sleep(time.Second)
		second := s.start(t)
		s.trace(t)
		s.hook = func() error { return errors.New("the queue of " + user + " is full") }
		s.gateway.LoseNotifications(false)
		_ = s.gateway.Approve(second.AuthURL)
		s.hook = nil
		s.gateway.LoseNotifications(true)
		require.Equal(t, lines(`
			server: codegrant notify operation.kind=endpoint http.response.status_code=503 error.type=hook_failed ERROR hook_failed
			  * notification operation.name=notify notification.kind=signed_up
			  * transition operation.name=notify wallet=GCash status.from=pending status.to=active
			  * token_doubted operation.name=notify wallet=GCash status.to=active
			  * hook_error operation.name=notify hook=OnToken
			  * hook_failed operation.name=notify
			  internal: codegrant hook OnToken operation.kind=hook error.type=hook_failed ERROR hook_failed
		`), s.trace(t))

		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.ResetAfter})
		_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: order, Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		require.Equal(t, lines(`
			internal: codegrant refund operation.kind=task error.type=outcome_unknown ERROR outcome_unknown
			  client: POST /v4/payment/refund operation.kind=call operation.name=refund error.type=outcome_unknown ERROR outcome_unknown
		`), s.trace(t))

		time.Sleep(2 * time.Minute)
		_, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, lines(`
			server: codegrant notify operation.kind=endpoint http.response.status_code=200
			  * notification operation.name=notify notification.kind=signed_up
			  * hook operation.name=notify hook=OnToken
			  internal: codegrant hook OnToken operation.kind=hook
			internal: codegrant reconcile operation.kind=sweep
			  * refund operation.name=reconcile wallet=GCash status.to=succeeded currency=PHP
			  * sweep operation.name=reconcile
			  client: POST /v4/refund/query operation.kind=call operation.name=refund query http.response.status_code=200 outcome=succeeded
			  internal: codegrant refresh operation.kind=task
			    client: POST /v4/paymethod/query operation.kind=call operation.name=sign-up query http.response.status_code=200
		`), s.trace(t), "the gateway delivers again, and the sweep asks about the rest")

		require.Equal(t, lines(`
			codegrant.events {event} event.code=bad_signature operation.name=notify: 1
			codegrant.events {event} event.code=hook hook=OnToken operation.name=notify: 2
			codegrant.events {event} event.code=hook_error hook=OnToken operation.name=notify: 1
			codegrant.events {event} event.code=hook_failed operation.name=notify: 1
			codegrant.events {event} event.code=notification notification.kind=signed_up operation.name=notify: 3
			codegrant.events {event} event.code=payment operation.name=charge status.to=succeeded wallet=GCash: 1
			codegrant.events {event} event.code=refund operation.name=reconcile status.to=succeeded wallet=GCash: 1
			codegrant.events {event} event.code=sweep operation.name=reconcile: 1
			codegrant.events {event} event.code=token_doubted operation.name=notify status.to=active wallet=GCash: 1
			codegrant.events {event} event.code=transition operation.name=notify status.from=pending status.to=active wallet=GCash: 2
		`), s.only(t, "codegrant.events"))
		require.Equal(t, "codegrant.sweep.records {record} sweep.result=settled: 2\n", s.only(t, "codegrant.sweep"))
		require.Equal(t, lines(`
			codegrant.operation.duration s operation.kind=call operation.name=refund error.type=outcome_unknown: 1
			codegrant.operation.duration s operation.kind=call operation.name=refund query outcome=succeeded http.response.status_code=200: 1
			codegrant.operation.duration s operation.kind=call operation.name=sign-up query http.response.status_code=200: 1
			codegrant.operation.duration s operation.kind=call operation.name=sign-up wallet=GCash http.response.status_code=200: 2
			codegrant.operation.duration s operation.kind=call operation.name=unifiedPay outcome=succeeded wallet=GCash http.response.status_code=200: 1
			codegrant.operation.duration s operation.kind=endpoint operation.name=notify error.type=bad_signature http.response.status_code=401: 1
			codegrant.operation.duration s operation.kind=endpoint operation.name=notify error.type=hook_failed http.response.status_code=503: 1
			codegrant.operation.duration s operation.kind=endpoint operation.name=notify http.response.status_code=200: 2
			codegrant.operation.duration s operation.kind=hook operation.name=OnToken error.type=hook_failed: 1
			codegrant.operation.duration s operation.kind=hook operation.name=OnToken: 2
			codegrant.operation.duration s operation.kind=sweep operation.name=reconcile: 1
			codegrant.operation.duration s operation.kind=task operation.name=charge outcome=succeeded: 1
			codegrant.operation.duration s operation.kind=task operation.name=refresh: 1
			codegrant.operation.duration s operation.kind=task operation.name=refund error.type=outcome_unknown: 1
			codegrant.operation.duration s operation.kind=task operation.name=sign-up: 2
		`), s.only(t, "codegrant.operation"))
	})
}

func (s *shop) only(t *testing.T, prefix string) string {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(s.metrics(t)) {
		if strings.HasPrefix(line, prefix) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestACallSaysWhereItWent(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.start(t)
	span := s.spans.Ended()[0]
	require.Equal(t, trace.SpanKindClient, span.SpanKind())
	require.Subset(t, span.Attributes(), []attribute.KeyValue{
		attribute.String("http.request.method", "POST"), attribute.String("url.template", "/v4/paymethod/bind"),
		attribute.String("url.full", "https://gateway.test/v4/paymethod/bind"),
		attribute.String("server.address", "gateway.test"), attribute.Int("server.port", 443),
		attribute.String("codegrant.account.id", gatewaytest.DefaultAccountID),
	})
}

func TestOnlyFaultsAreErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		op    gatewaytest.Op
		fault gatewaytest.FaultKind
		want  codes.Code
	}{
		{"a charge that is declined", gatewaytest.OpPay, gatewaytest.Decline, codes.Unset},
		{"a gateway that breaks", gatewaytest.OpPay, gatewaytest.Status500Before, codes.Error},
		{"an answer that nobody signed", gatewaytest.OpPay, gatewaytest.Unsigned, codes.Error},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			require.NoError(t, s.gateway.Approve(s.start(t).AuthURL))
			s.spans.Reset()
			s.gateway.Inject(gatewaytest.Fault{Op: tc.op, Kind: tc.fault})
			_, _ = s.charge(t)
			spans := s.spans.Ended()
			require.NotEmpty(t, spans)
			for _, span := range spans {
				if span.SpanKind() != trace.SpanKindServer {
					require.Equal(t, tc.want, span.Status().Code, span.Name())
				}
			}
		})
	}
	t.Run("a user without a token", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		_, err := s.charge(t)
		require.ErrorIs(t, err, codegrant.ErrNoToken)
		require.Equal(t, "internal: codegrant charge operation.kind=task error.type=no_token\n", s.trace(t))
	})
	t.Run("a sign-up that the gateway refuses", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		require.Equal(t, http.StatusBadGateway, s.do(t.Context(), http.MethodPost, "/signup", "wallet=Purse"))
		for _, span := range s.spans.Ended() {
			require.Equal(t, codes.Unset, span.Status().Code, span.Name())
		}
	})
}

func TestATraceContinues(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	carrier := propagation.MapCarrier{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	remote := propagation.TraceContext{}.Extract(t.Context(), carrier)
	require.Equal(t, 303, s.do(remote, http.MethodPost, "/signup", "wallet=GCash"))
	spans := s.spans.Ended()
	require.Len(t, spans, 2)
	call, endpoint := spans[0], spans[1]
	require.Equal(t, "0af7651916cd43dd8448eb211c80319c", endpoint.SpanContext().TraceID().String())
	require.Equal(t, "b7ad6b7169203331", endpoint.Parent().SpanID().String())
	require.Equal(t, trace.SpanKindServer, endpoint.SpanKind())
	require.Equal(t, endpoint.SpanContext().SpanID(), call.Parent().SpanID(), "also in the detached context")

	s.spans.Reset()
	local, around := s.tracer.Start(remote, "POST /wallet/signup", trace.WithSpanKind(trace.SpanKindServer))
	require.Equal(t, 303, s.do(local, http.MethodPost, "/signup", "wallet=GCash"))
	around.End()
	spans = s.spans.Ended()
	require.Equal(t, trace.SpanKindInternal, spans[1].SpanKind(), "one request is one server span")
	require.Equal(t, around.SpanContext().SpanID(), spans[1].Parent().SpanID())
}

// TestNothingTellsOnAnybody looks through every text that leaves the process.
func TestNothingTellsOnAnybody(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.start(t)
	require.NoError(t, s.gateway.Approve(token.AuthURL))
	s.hook = func() error { return errors.New(user) }
	_, err := s.charge(t)
	require.NoError(t, err)
	_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: user})
	require.ErrorIs(t, err, codegrant.ErrHook)
	s.do(t.Context(), http.MethodPost, "/signup", "wallet="+user)
	s.do(t.Context(), http.MethodPost, "/notify/"+token.ID, `{"sign":"`+user+`"}`)
	s.do(t.Context(), user, "/"+user, user)
	s.gateway.Wait()
	tokens, err := s.Tokens(t.Context(), user)
	require.NoError(t, err)
	require.NotEmpty(t, tokens[0].Value.Reveal())

	var told strings.Builder
	spans := s.spans.Ended()
	require.Greater(t, len(spans), 8)
	for _, span := range spans {
		fmt.Fprintln(&told, span.Name(), words(span.Attributes()), span.Status().Description)
		for _, e := range span.Events() {
			fmt.Fprintln(&told, e.Name, words(e.Attributes))
		}
	}
	told.WriteString(s.metrics(t))
	for _, secret := range []string{
		user, order, "203.0.113.7", "example.com", "bizContent", gatewaytest.DefaultSalt,
		token.ID, tokens[0].Value.Reveal(), tokens[0].Fingerprint,
	} {
		require.NotContains(t, told.String(), secret)
	}
}

func TestWithoutProvidersTheGlobalOnesCount(t *testing.T) {
	t.Parallel()
	observer, err := otelcodegrant.New(otelcodegrant.Config{})
	require.NoError(t, err)
	_, end := observer.Start(t.Context(), codegrant.Operation{Kind: codegrant.OperationCall, Host: "::", Path: "/"})
	end(codegrant.Result{})
	observer.Event(t.Context(), codegrant.Event{Code: codegrant.EventSweep, Sweep: codegrant.Sweep{Looked: 1}})
}
