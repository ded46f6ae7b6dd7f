package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric/noop"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/codegrant/codegrant/otelcodegrant"
)

// newTraces returns an Observer whose spans are printed to w. In a real shop the
// exporter is that of the shop's other traces, for example otlptracehttp.
func newTraces(w io.Writer) (_ *otelcodegrant.Observer, shutdown func(), err error) {
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(&printer{w: w}))
	observer, err := otelcodegrant.New(otelcodegrant.Config{
		TracerProvider: provider,
		MeterProvider:  noop.NewMeterProvider(), // the metrics are those of metrics.go
	})
	return observer, func() { _ = provider.Shutdown(context.Background()) }, err
}

// printer is an exporter that writes a line for each span: trace, time it took,
// name and attributes. What happens inside of it ends first, and stands above.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

// ExportSpans prints spans.
func (p *printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, span := range spans {
		var b strings.Builder
		fmt.Fprintf(&b, "trace %.8s %8s  %s", span.SpanContext().TraceID(),
			span.EndTime().Sub(span.StartTime()).Round(10*time.Microsecond), span.Name())
		for _, a := range span.Attributes() {
			switch a.Key {
			case "codegrant.wallet", "codegrant.outcome", "http.response.status_code", "error.type":
				key := string(a.Key)
				fmt.Fprintf(&b, " %s=%s", key[strings.LastIndexByte(key, '.')+1:], a.Value.Emit())
			}
		}
		for _, e := range span.Events() {
			fmt.Fprintf(&b, " *%s", e.Name)
		}
		if _, err := fmt.Fprintln(p.w, b.String()); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown has nothing to wait for.
func (p *printer) Shutdown(context.Context) error { return nil }
