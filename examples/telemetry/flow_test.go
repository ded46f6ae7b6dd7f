package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// gathered is every metric of a shop that has seen everything happen. It may be
// called inside of a bubble.
func gathered(t *testing.T) (all []*dto.MetricFamily) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		traces, shutdown, err := newTraces(io.Discard)
		require.NoError(t, err)
		defer shutdown()
		kit := liveThrough(t, observers{newMetrics(registry), traces})
		registry.MustRegister(salts(kit.SaltUsage))
		all, err = registry.Gather()
		require.NoError(t, err)
		problems, err := testutil.GatherAndLint(registry)
		require.NoError(t, err)
		require.Empty(t, problems)
	})
	return all
}

// liveThrough has a merchant with this observer sign up, charge, refund and
// unbind, each also when it goes wrong, and returns the merchant's kit.
func liveThrough(t *testing.T, o codegrant.Observer) *codegrant.Kit {
	t.Helper()
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	defer gateway.Close()
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt, "the salt that is to come"),
		},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: gateway.Transport()},
		Observer:   o,
	})
	require.NoError(t, err)
	store, hookFails := memstore.New(), false
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: store, Payments: store, BaseURL: "https://shop.test/wallet",
		User: func(*http.Request) (string, error) { return "ann", nil },
		OnToken: func(context.Context, codegrant.Change) error {
			if hookFails {
				return errors.New("the queue is full")
			}
			return nil
		},
		OnPayment: func(context.Context, codegrant.PaymentNotification) error { return nil },
		Logger:    slog.New(slog.DiscardHandler),
		Observer:  o,
	})
	require.NoError(t, err)
	gateway.DeliverTo(http.StripPrefix("/wallet", kit))
	start := func(wallet codegrant.Wallet) codegrant.Token {
		token, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: wallet})
		require.Equal(t, wallet == "Purse", err != nil)
		return token
	}
	charge := func(order string) {
		_, _ = kit.Charge(t.Context(), codegrant.ChargeParams{
			UserID: "ann", OrderID: order, Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"},
			ShopperIP: "203.0.113.7", Email: "ann@example.com",
		})
		gateway.Wait()
	}
	notify := func(body string) int {
		w := httptest.NewRecorder()
		kit.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/notify", strings.NewReader(body)))
		return w.Code
	}

	start("Purse") // the gateway refuses it
	require.NoError(t, gateway.Approve(start(codegrant.GCash).AuthURL))
	charge("order-1")
	gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline})
	charge("order-2")
	gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
	charge("order-3")
	_, err = kit.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: codegrant.Amount{Minor: 100, Currency: "PHP"}})
	require.NoError(t, err)
	require.Equal(t, 401, notify(strings.Replace(string(gateway.SignedBody(`{"notifyType":"RECHARGE"}`, nil)), "RECHARGE", "RECHARGF", 1)))
	require.Equal(t, 200, notify(string(gateway.SignedBody(`{"notifyType":"CAROUSEL"}`, nil))))
	require.Equal(t, 503, notify(string(gateway.SignedBody(`{"notifyType":"ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER","token":"T","requestId":"R-1"}`, nil))))
	hookFails = true
	require.NoError(t, gateway.Approve(start(codegrant.DANA).AuthURL))
	hookFails = false
	require.NoError(t, gateway.UnbindInWallet("ann", "GCash"))
	gateway.LoseNotifications(true)
	start(codegrant.Boost) // whose user turns back
	time.Sleep(5 * time.Minute)
	_, err = kit.Reconcile(t.Context())
	require.NoError(t, err)
	return kit
}

func TestTheMetricsCountWhatHappened(t *testing.T) {
	t.Parallel()
	all := gathered(t)
	value := func(name string, want ...string) float64 {
		sum := 0.0
		for _, family := range all {
			for _, m := range family.GetMetric() {
				if family.GetName() == name && hasLabels(m, want) {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
		}
		return sum
	}
	for _, tc := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{3, "codegrant_operation_duration_seconds", []string{"kind", "call", "name", "sign-up", "code", "ok"}},
		{1, "codegrant_operation_duration_seconds", []string{"kind", "call", "name", "sign-up", "code", "refused"}},
		{1, "codegrant_operation_duration_seconds", []string{"kind", "call", "name", "unifiedPay", "code", "outcome_unknown"}},
		{1, "codegrant_charges_total", []string{"wallet", "GCash", "outcome", "succeeded"}},
		{1, "codegrant_charges_total", []string{"wallet", "GCash", "outcome", "failed"}},
		{1, "codegrant_charges_total", []string{"wallet", "GCash", "outcome", "outcome_unknown"}},
		{1, "codegrant_payments_total", []string{"wallet", "GCash", "outcome", "succeeded", "currency", "PHP"}},
		{2, "codegrant_transitions_total", []string{"from", "pending", "to", "active", "ended_by", ""}},
		{1, "codegrant_transitions_total", []string{"wallet", "other", "from", "pending", "to", "failed"}},
		{1, "codegrant_transitions_total", []string{"wallet", "GCash", "from", "active", "to", "unbound", "ended_by", "user"}},
		{1, "codegrant_hook_calls_total", []string{"hook", "OnToken", "code", "hook_error"}},
		{0, "codegrant_hook_calls_total", []string{"code", "hook_panic"}},
		{1, "codegrant_rejections_total", []string{"op", "notify", "code", "bad_signature"}},
		{1, "codegrant_rejections_total", []string{"op", "notify", "code", "unmatched"}},
		{1, "codegrant_answers_total", []string{"endpoint", "notify", "status", "401"}},
		{1, "codegrant_events_total", []string{"code", "sweep"}},
		{0, "codegrant_events_total", []string{"code", "paid_twice"}},
		{0, "codegrant_salt_verified_total", []string{"salt", "1"}},
	} {
		require.InDelta(t, tc.want, value(tc.name, tc.labels...), 0, "%s %q", tc.name, tc.labels)
	}
	require.Positive(t, value("codegrant_salt_verified_total", "salt", "0"))
	require.Positive(t, value("codegrant_swept_records_total", "result", "waiting"))
}

// hasLabels reports whether m has these names and values, one after the other.
func hasLabels(m *dto.Metric, want []string) bool {
	have := map[string]string{}
	for _, l := range m.GetLabel() {
		have[l.GetName()] = l.GetValue()
	}
	for i := 0; i < len(want); i += 2 {
		if have[want[i]] != want[i+1] {
			return false
		}
	}
	return true
}
