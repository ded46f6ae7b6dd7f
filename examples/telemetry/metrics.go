package main

import (
	"cmp"
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codegrant/codegrant"
)

// metrics is a codegrant.Observer for Prometheus. Every label is from a short
// list, as the Observer is told nothing else.
type metrics struct {
	duration                                                                  *prometheus.HistogramVec
	answers, charges, transitions, payments, hooks, rejections, events, swept *prometheus.CounterVec
}

// Start times an operation, counts the answers of the endpoints, and how charges
// ended by wallet.
func (m *metrics) Start(ctx context.Context, op codegrant.Operation) (context.Context, func(codegrant.Result)) {
	began := time.Now()
	return ctx, func(r codegrant.Result) {
		code := cmp.Or(string(codegrant.CodeOf(r.Err)), "ok")
		m.duration.WithLabelValues(string(op.Kind), op.Name, code).Observe(time.Since(began).Seconds())
		switch {
		case op.Kind == codegrant.OperationEndpoint:
			m.answers.WithLabelValues(op.Name, strconv.Itoa(r.Status)).Inc()
		case op.Name == "unifiedPay": // succeeded, failed, pending, or why it is not known
			m.charges.WithLabelValues(string(op.Wallet), cmp.Or(string(r.Outcome), code)).Inc()
		}
	}
}

// Event counts what the kit tells the log.
func (m *metrics) Event(_ context.Context, e codegrant.Event) {
	switch {
	case e.Hook != "": // hook, hook_error or hook_panic
		m.hooks.WithLabelValues(e.Hook, string(e.Code)).Inc()
	case e.Err != nil:
		m.rejections.WithLabelValues(e.Op, string(e.Code)).Inc()
	default:
		m.events.WithLabelValues(string(e.Code)).Inc()
	}
	switch e.Code {
	case codegrant.EventTransition:
		m.transitions.WithLabelValues(string(e.Wallet), e.From, e.To, string(e.EndedBy)).Inc()
	case codegrant.EventPayment:
		m.payments.WithLabelValues(string(e.Wallet), e.To, e.Currency).Inc()
	case codegrant.EventSweep:
		m.swept.WithLabelValues("settled").Add(float64(e.Sweep.Settled))
		m.swept.WithLabelValues("failed").Add(float64(e.Sweep.Failed))
		m.swept.WithLabelValues("waiting").Add(float64(e.Sweep.Looked - e.Sweep.Settled - e.Sweep.Failed))
	}
}

// newMetrics registers them.
func newMetrics(registry prometheus.Registerer) *metrics {
	with := promauto.With(registry)
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return with.NewCounterVec(prometheus.CounterOpts{Namespace: "codegrant", Name: name, Help: help}, labels)
	}
	m := &metrics{
		duration: with.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "codegrant", Name: "operation_duration_seconds",
			Help:    "How long endpoints, functions, hooks, calls of the gateway and sweeps took.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}, // a call may take 30 s
		}, []string{"kind", "name", "code"}),
		answers:     counter("answers_total", "What the endpoints answered.", "endpoint", "status"),
		charges:     counter("charges_total", "How calls that charge ended.", "wallet", "outcome"),
		transitions: counter("transitions_total", "Sign-ups whose status rose.", "wallet", "from", "to", "ended_by"),
		payments:    counter("payments_total", "Orders whose outcome changed, from wherever that was learned.", "wallet", "outcome", "currency"),
		hooks:       counter("hook_calls_total", "Calls of hooks: hook, hook_error, hook_panic.", "hook", "code"),
		rejections:  counter("rejections_total", "What was refused, or failed.", "op", "code"),
		events:      counter("events_total", "All else that the log says.", "code"),
		swept:       counter("swept_records_total", "Records that sweeps looked at.", "result"),
	}
	// increase() does not see a series begin: what an alert waits for must be
	// there, as zero, before it happens.
	for _, code := range []codegrant.Code{
		codegrant.EventPaidTwice, codegrant.EventAmountDiffers, codegrant.EventSweep, codegrant.EventOtherSalt,
		codegrant.EventUnknownNotification,
	} {
		m.events.WithLabelValues(string(code))
	}
	for _, hook := range []string{"OnToken", "OnPayment", "OnRefund"} {
		m.hooks.WithLabelValues(hook, string(codegrant.EventHookFailed))
		m.hooks.WithLabelValues(hook, string(codegrant.EventHookPanicked))
	}
	for _, code := range []codegrant.Code{codegrant.ErrBadSignature, codegrant.ErrUnmatched, codegrant.ErrStore} {
		m.rejections.WithLabelValues("notify", string(code))
	}
	for _, status := range []string{"200", "503"} {
		m.answers.WithLabelValues("notify", status)
	}
	for _, call := range []string{"unifiedPay", "refund"} {
		m.duration.WithLabelValues("call", call, string(codegrant.ErrOutcomeUnknown))
	}
	m.duration.WithLabelValues("call", "unifiedPay", string(codegrant.ErrUnreachable))
	m.swept.WithLabelValues("failed")
	return m
}

// salts shows Kit.SaltUsage: when a salt that is to go was last needed.
type salts func() []codegrant.SaltUsage

var _ prometheus.Collector = salts(nil)

// Describe sends what Collect will.
func (s salts) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(s, ch) }

// Collect reads the usage now.
func (s salts) Collect(ch chan<- prometheus.Metric) {
	verified := prometheus.NewDesc("codegrant_salt_verified_total", "Messages that the salt at this place of Account.Salts verified.", []string{"salt"}, nil)
	last := prometheus.NewDesc("codegrant_salt_last_used_timestamp_seconds",
		"When it verified the last one; when the process began to count, if none.", []string{"salt"}, nil)
	for _, u := range s() {
		used := u.Since
		if u.Last.After(used) {
			used = u.Last
		}
		salt := strconv.Itoa(u.Salt)
		ch <- prometheus.MustNewConstMetric(verified, prometheus.CounterValue, float64(u.Verified), salt)
		ch <- prometheus.MustNewConstMetric(last, prometheus.GaugeValue, float64(used.Unix()), salt)
	}
}
