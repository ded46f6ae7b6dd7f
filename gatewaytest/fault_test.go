package gatewaytest_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/gatewaytest"
)

func TestAPIFaults(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		kind     gatewaytest.FaultKind
		executed bool
		check    func(*testing.T, int, []byte, error)
	}{
		{"time-out before execution", gatewaytest.TimeoutBefore, false, isTimeout},
		{"time-out after execution", gatewaytest.TimeoutAfter, true, isTimeout},
		{"500 before execution", gatewaytest.Status500Before, false, is500},
		{"500 after execution", gatewaytest.Status500After, true, is500},
		{"reset before execution", gatewaytest.ResetBefore, false, isReset},
		{"reset after execution", gatewaytest.ResetAfter, true, isReset},
		{"truncated answer", gatewaytest.Truncated, true, func(t *testing.T, _ int, body []byte, err error) {
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.False(t, json.Valid(body))
		}},
		{"tampered answer", gatewaytest.Tampered, true, isForged},
		{"unsigned answer", gatewaytest.Unsigned, true, isForged},
		{"answer signed with another salt", gatewaytest.WrongSalt, true, isForged},
		{"page for an answer", gatewaytest.HTMLAnswer, true, func(t *testing.T, status int, body []byte, err error) {
			require.NoError(t, err)
			require.Equal(t, 200, status)
			require.False(t, json.Valid(body))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, gatewaytest.Config{})
				pay := payRequest(s.signUp(nil))
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: tt.kind})
				resp, err := s.post("/v4/payment/unifiedPay", pay)
				var status int
				var body []byte
				if err == nil {
					status = resp.StatusCode
					body, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				tt.check(t, status, body, err)
				require.Equal(t, tt.executed, len(s.gateway.Ledger().Charges) == 1)

				synctest.Wait()
				require.Equal(t, tt.executed, len(s.received()) == 2, "an executed payment is notified all the same")
				require.Equal(t, "000000", s.call("/v4/payment/unifiedPay", pay).code(), "the fault is used up")
				require.Len(t, s.gateway.Ledger().Charges, 1)
			})
		})
	}
}

func isTimeout(t *testing.T, _ int, _ []byte, err error) {
	t.Helper()
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func isReset(t *testing.T, _ int, _ []byte, err error) {
	t.Helper()
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func is500(t *testing.T, status int, body []byte, err error) {
	t.Helper()
	require.NoError(t, err)
	require.Equal(t, 500, status)
	require.False(t, json.Valid(body))
}

func isForged(t *testing.T, status int, body []byte, err error) {
	t.Helper()
	require.NoError(t, err)
	require.Equal(t, 200, status)
	var members map[string]string
	require.NoError(t, json.Unmarshal(body, &members))
	require.False(t, signed(members))
	require.True(t, json.Valid([]byte(members["bizContent"])))
}

func TestFaultsOverASocket(t *testing.T) {
	t.Parallel()
	for _, kind := range []gatewaytest.FaultKind{
		gatewaytest.TimeoutBefore, gatewaytest.TimeoutAfter, gatewaytest.ResetBefore, gatewaytest.ResetAfter, gatewaytest.Truncated,
	} {
		server := gatewaytest.NewServer(gatewaytest.Config{})
		t.Cleanup(server.Close)
		server.Inject(gatewaytest.Fault{Kind: kind})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/v4/paymethod/bind", http.NoBody)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
		}
		require.Error(t, err)
	}
}

func TestCloseEndsAHangingCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, gatewaytest.Config{})
		s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.TimeoutBefore})
		failed := make(chan error)
		go func() {
			_, err := s.send(context.Background(), "/v4/paymethod/bind", nil)
			failed <- err
		}()
		synctest.Wait()
		s.gateway.Close()
		require.ErrorIs(t, <-failed, syscall.ECONNRESET)
	})
}

func TestDecline(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "101000"})
	require.Equal(t, "101000", s.call("/v4/paymethod/bind", bindRequest()).code())

	pay := payRequest(s.signUp(nil))
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline, Code: "301003"})
	r := s.call("/v4/payment/unifiedPay", pay)
	require.Equal(t, "301003", r.code())
	require.Equal(t, "FAILED", r.biz("status"))
	require.Equal(t, "301003", s.gateway.Ledger().Charges[0].Code)
}

func TestInjectedFaultsFireInOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t, gatewaytest.Config{})
	query := func() int {
		resp, err := s.post("/v4/payment/query", object{"merchantTransactionId": "O"})
		if errors.Is(err, syscall.ECONNRESET) {
			return 0
		}
		require.NoError(t, err)
		resp.Body.Close()
		return resp.StatusCode
	}
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.ResetBefore})
	s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.Status500Before, Times: 2})
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPayQuery, Kind: gatewaytest.ResetBefore, Times: -1})
	require.Equal(t, []int{500, 500, 0, 0}, []int{query(), query(), query(), query()})
	s.gateway.ClearFaults()
	require.Equal(t, 200, query())
}

func TestRatesAreRepeatable(t *testing.T) {
	t.Parallel()
	run := func() (outcomes []int) {
		s := newShop(t, gatewaytest.Config{Rates: map[gatewaytest.FaultKind]float64{
			gatewaytest.Status500Before: 0.3, gatewaytest.ResetBefore: 0.3,
		}})
		for range 50 {
			resp, err := s.post("/v4/payment/query", object{"merchantTransactionId": "O"})
			if err != nil {
				outcomes = append(outcomes, 0)
				continue
			}
			resp.Body.Close()
			outcomes = append(outcomes, resp.StatusCode)
		}
		return outcomes
	}
	first := run()
	require.Equal(t, first, run())
	require.Subset(t, first, []int{0, 200, 500})
}
