package otelcodegrant

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/codegrant/codegrant"
)

const scope = "github.com/codegrant/codegrant/otelcodegrant"

// The attributes that no convention has.
const (
	operationKind    = attribute.Key("codegrant.operation.kind")
	operationName    = attribute.Key("codegrant.operation.name")
	accountID        = attribute.Key("codegrant.account.id")
	walletName       = attribute.Key("codegrant.wallet")
	outcome          = attribute.Key("codegrant.outcome")
	eventCode        = attribute.Key("codegrant.event.code")
	statusFrom       = attribute.Key("codegrant.status.from")
	statusTo         = attribute.Key("codegrant.status.to")
	endedBy          = attribute.Key("codegrant.ended_by")
	currency         = attribute.Key("codegrant.currency")
	notificationKind = attribute.Key("codegrant.notification.kind")
	hookName         = attribute.Key("codegrant.hook")
	sweepResult      = attribute.Key("codegrant.sweep.result")
)

// Config says where spans and metrics go.
type Config struct {
	// TracerProvider and MeterProvider are those of the program. Nil means the
	// global ones.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider
}

// Observer is a [codegrant.Observer] for OpenTelemetry. One can serve any number
// of kits and clients, at the same time.
type Observer struct {
	tracer   trace.Tracer
	duration metric.Float64Histogram
	events   metric.Int64Counter
	swept    metric.Int64Counter
}

var _ codegrant.Observer = (*Observer)(nil)

// New makes the instruments. The error is that of the meter.
func New(cfg Config) (*Observer, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	meter := cfg.MeterProvider.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
	duration, errDuration := meter.Float64Histogram("codegrant.operation.duration", metric.WithUnit("s"),
		metric.WithDescription("How long operations of the kit, hooks and calls of the gateway took."),
		// Those of HTTP's conventions, up to the time-out of a call.
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30))
	events, errEvents := meter.Int64Counter("codegrant.events", metric.WithUnit("{event}"),
		metric.WithDescription("What the kit told the log, by code."))
	swept, errSwept := meter.Int64Counter("codegrant.sweep.records", metric.WithUnit("{record}"),
		metric.WithDescription("Records that sweeps looked at."))
	return &Observer{
		tracer:   cfg.TracerProvider.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL)),
		duration: duration, events: events, swept: swept,
	}, errors.Join(errDuration, errEvents, errSwept)
}

// Start begins a span; its end is also measured.
func (o *Observer) Start(ctx context.Context, op codegrant.Operation) (context.Context, func(codegrant.Result)) {
	began := time.Now()
	common := []attribute.KeyValue{operationKind.String(string(op.Kind)), operationName.String(op.Name)}
	if op.Wallet != "" {
		common = append(common, walletName.String(string(op.Wallet)))
	}
	name, kind := spanOf(ctx, op)
	inside, span := o.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(common...),
		trace.WithAttributes(only(op)...))
	return inside, func(r codegrant.Result) {
		ended := resultOf(r)
		span.SetAttributes(ended...)
		if atFault(op, r) {
			span.SetStatus(codes.Error, string(codegrant.CodeOf(r.Err)))
		}
		span.End()
		o.duration.Record(inside, time.Since(began).Seconds(), metric.WithAttributes(append(common, ended...)...))
	}
}

// spanOf returns name and kind of op's span.
func spanOf(ctx context.Context, op codegrant.Operation) (string, trace.SpanKind) {
	switch op.Kind {
	case codegrant.OperationCall:
		return "POST " + op.Path, trace.SpanKindClient
	case codegrant.OperationHook:
		return "codegrant hook " + op.Name, trace.SpanKindInternal
	case codegrant.OperationEndpoint:
		if around := trace.SpanContextFromContext(ctx); !around.IsValid() || around.IsRemote() {
			return "codegrant " + op.Name, trace.SpanKindServer
		}
	}
	return "codegrant " + op.Name, trace.SpanKindInternal
}

// only returns the attributes of a span that no metric has.
func only(op codegrant.Operation) []attribute.KeyValue {
	var list []attribute.KeyValue
	if op.AccountID != "" {
		list = append(list, accountID.String(op.AccountID))
	}
	if op.Kind != codegrant.OperationCall {
		return list
	}
	list = append(list, semconv.HTTPRequestMethodPost, semconv.URLTemplate(op.Path), semconv.URLFull(op.Host+op.Path))
	host, err := url.Parse(op.Host)
	if err != nil {
		return list
	}
	port, err := strconv.Atoi(host.Port())
	switch {
	case err == nil:
	case host.Scheme == "http":
		port = 80
	default:
		port = 443
	}
	return append(list, semconv.ServerAddress(host.Hostname()), semconv.ServerPort(port))
}

func resultOf(r codegrant.Result) []attribute.KeyValue {
	var list []attribute.KeyValue
	if r.Status != 0 {
		list = append(list, semconv.HTTPResponseStatusCode(r.Status))
	}
	if r.Outcome != "" {
		list = append(list, outcome.String(string(r.Outcome)))
	}
	if r.Err != nil {
		list = append(list, semconv.ErrorTypeKey.String(string(codegrant.CodeOf(r.Err))))
	}
	return list
}

// atFault reports a failure of the server or of the gateway, and not of whoever
// asked.
func atFault(op codegrant.Operation, r codegrant.Result) bool {
	if op.Kind == codegrant.OperationEndpoint && r.Status != 0 {
		return r.Status >= 500 && !errors.Is(r.Err, codegrant.ErrRefused)
	}
	switch {
	case r.Err == nil, errors.Is(r.Err, codegrant.ErrRefused), errors.Is(r.Err, codegrant.ErrDisabled):
		return false // the gateway decided, and the merchant did
	}
	return codegrant.HTTPStatus(r.Err) >= 500
}

// Event counts e, and makes it an event of the span in ctx.
func (o *Observer) Event(ctx context.Context, e codegrant.Event) {
	list := []attribute.KeyValue{eventCode.String(string(e.Code)), operationName.String(e.Op)}
	for _, a := range []struct {
		key   attribute.Key
		value string
	}{
		{walletName, string(e.Wallet)}, {statusFrom, e.From}, {statusTo, e.To}, {endedBy, string(e.EndedBy)},
		{notificationKind, string(e.Kind)}, {hookName, e.Hook},
	} {
		if a.value != "" {
			list = append(list, a.key.String(a.value))
		}
	}
	o.events.Add(ctx, 1, metric.WithAttributes(list...))
	if e.Code == codegrant.EventSweep {
		o.sweep(ctx, e.Sweep)
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		if e.Currency != "" {
			list = append(list, currency.String(e.Currency))
		}
		span.AddEvent(string(e.Code), trace.WithAttributes(list[1:]...))
	}
}

func (o *Observer) sweep(ctx context.Context, s codegrant.Sweep) {
	for result, n := range map[string]int{
		"settled": s.Settled, "failed": s.Failed, "waiting": s.Looked - s.Settled - s.Failed,
	} {
		if n > 0 {
			o.swept.Add(ctx, int64(n), metric.WithAttributes(sweepResult.String(result)))
		}
	}
}
