package hostiletest

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// shopSecret is what a panic of the shop's code holds. It is no token, so that
// a kit that does not survive it prints none.
const shopSecret = "the password of the shop's outbox"

// misdeed is what a hook does when it is called the first time.
type misdeed struct {
	name  string
	exact bool // it hangs, so the request lasts exactly as long as Config.Timeout
	do    func(ctx context.Context, m *merchant, id string, release <-chan struct{}) error
}

func misdeeds() []misdeed {
	returns := func(err error) func(context.Context, *merchant, string, <-chan struct{}) error {
		return func(context.Context, *merchant, string, <-chan struct{}) error { return err }
	}
	list := []misdeed{
		{"hangs until its context ends", true, func(ctx context.Context, _ *merchant, _ string, _ <-chan struct{}) error {
			<-ctx.Done()
			return ctx.Err()
		}},
		{"hangs, deaf to its context, and succeeds late", true, func(_ context.Context, _ *merchant, _ string, release <-chan struct{}) error {
			<-release
			return nil
		}},
		{"hangs, deaf to its context, and panics late", true, func(_ context.Context, _ *merchant, _ string, release <-chan struct{}) error {
			<-release
			panic(shopSecret)
		}},
		{"panics with a secret", false, func(context.Context, *merchant, string, <-chan struct{}) error { panic(shopSecret) }},
		{"panics with an error that holds a secret", false, func(context.Context, *merchant, string, <-chan struct{}) error {
			panic(fmt.Errorf("no: %s", shopSecret))
		}},
		{"panics with nil", false, func(context.Context, *merchant, string, <-chan struct{}) error { panic(nil) }},
		{"reads behind the end of a slice", false, func(context.Context, *merchant, string, <-chan struct{}) error {
			var none []error
			return none[len(none)]
		}},
		{"ends its goroutine", false, func(context.Context, *merchant, string, <-chan struct{}) error {
			runtime.Goexit()
			return nil
		}},
		{"cancels a context of its own", false, func(ctx context.Context, _ *merchant, _ string, _ <-chan struct{}) error {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx.Err()
		}},
		{"says that the deadline is over", false, returns(context.DeadlineExceeded)},
	}
	for _, code := range []codegrant.Code{
		codegrant.ErrConflict, codegrant.ErrNotFound, codegrant.ErrUnmatched, codegrant.ErrStore, codegrant.ErrOutcomeUnknown,
		codegrant.ErrRefused, codegrant.ErrTokenGone, codegrant.ErrNoToken, codegrant.ErrMalformed, codegrant.ErrBadSignature,
		codegrant.ErrTooLarge, codegrant.ErrMethod, codegrant.ErrDisabled, codegrant.ErrDeadline,
	} {
		list = append(list, misdeed{"returns the kit's own " + string(code), false, returns(code)})
	}
	list = append(list, misdeed{"returns a conflict of the kit, wrapped twice", false, returns(
		fmt.Errorf("outbox: %w", &codegrant.Error{Op: "notify", Code: codegrant.ErrConflict, Err: codegrant.ErrNotFound}))})
	return list
}

// hookKind is one of the four hooks, and a notification that calls it.
type hookKind struct {
	name string
	biz  func(id string) string
	set  func(c *codegrant.Config, hook func(ctx context.Context) error)
}

func hookKinds() []hookKind {
	payment := `"merchantTransactionId":"ORDER-1","transactionId":"2026112300000001","status":"SUCCESS","amount":"12.50","currency":"HKD"}`
	return []hookKind{
		{"OnToken", success, func(c *codegrant.Config, hook func(context.Context) error) {
			c.OnToken = func(ctx context.Context, _ codegrant.Change) error { return hook(ctx) }
		}},
		{"OnPayment", func(string) string { return `{"notifyType":"RECHARGE","requestId":"R-1",` + payment }, func(c *codegrant.Config, hook func(context.Context) error) {
			c.OnPayment = func(ctx context.Context, _ codegrant.PaymentNotification) error { return hook(ctx) }
		}},
		{"OnRefund", func(string) string { return `{"notifyType":"REFUND","merchantRefundId":"REFUND-1",` + payment }, func(c *codegrant.Config, hook func(context.Context) error) {
			c.OnRefund = func(ctx context.Context, _ codegrant.RefundNotification) error { return hook(ctx) }
		}},
		{"OnUnknown", func(string) string { return `{"notifyType":"NEW_THING"}` }, func(c *codegrant.Config, hook func(context.Context) error) {
			c.OnUnknown = func(ctx context.Context, _ codegrant.Notification) error { return hook(ctx) }
		}},
	}
}

// success is what a sign-up's notification says.
func success(id string) string {
	return fmt.Sprintf(`{"notifyType":%q,"requestId":%q,"merchantUserId":"ann","token":%q}`, created, id, tokenValue)
}

// requireUnavailable: the answer for everything of ours that failed, and
// nothing in it of why.
func requireUnavailable(t testing.TB, w *httptest.ResponseRecorder) {
	t.Helper()
	require.Equal(t, 503, w.Code)
	require.Equal(t, "Service Unavailable", w.Body.String())
}

func requireNoSecret(t testing.TB, text string) {
	t.Helper()
	for _, secret := range []string{tokenValue, gatewaytest.DefaultSalt, shopSecret} {
		if i := strings.Index(text, secret); i >= 0 {
			t.Fatalf("a secret got out at byte %d of %d", i, len(text))
		}
	}
}

// TestMisbehavingHooks: whatever a hook does, its request ends in time and says
// 503, and the redelivery completes what was left undone. The bubble fails if a
// goroutine stays behind.
func TestMisbehavingHooks(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds() {
		for _, bad := range misdeeds() {
			t.Run(kind.name+" "+bad.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { misbehave(t, kind, bad) })
			})
		}
	}
}

func misbehave(t *testing.T, kind hookKind, bad misdeed) {
	var m *merchant
	var id string
	var calls, completed atomic.Int64
	release := make(chan struct{})
	m = newMerchant(t, func(s *setup) {
		kind.set(&s.kit, func(ctx context.Context) error {
			if calls.Add(1) == 1 {
				return bad.do(ctx, m, id, release)
			}
			completed.Add(1)
			return nil
		})
	})
	id = m.start(t, "ann").ID
	body := m.gateway.SignedBody(kind.biz(id), nil)
	m.log.reset()

	began := time.Now()
	requireUnavailable(t, m.post(t, id, body))
	took := time.Since(began)
	require.LessOrEqual(t, took, 3*time.Second)
	if bad.exact {
		require.Equal(t, 3*time.Second, took)
	}
	require.EqualValues(t, 1, calls.Load(), "one delivery calls a failing hook once")
	text := m.log.reset()
	require.Contains(t, text, `"code":"hook_failed"`)
	requireNoSecret(t, text)

	close(release)
	synctest.Wait()
	require.Less(t, m.get(t, id).Handled, codegrant.StatusActive, "a late success does not count")
	requireNoSecret(t, m.log.reset())

	for range 2 {
		w := m.post(t, id, body)
		require.Equal(t, 200, w.Code)
		require.Equal(t, "OK", w.Body.String())
	}
	if kind.name == "OnToken" {
		require.EqualValues(t, 1, completed.Load(), "a repetition runs no hook")
		got := m.get(t, id)
		require.Equal(t, codegrant.StatusActive, got.Status)
		require.Equal(t, codegrant.StatusActive, got.Handled)
		require.True(t, got.UnsettledSince.IsZero())
	} else {
		require.EqualValues(t, 2, completed.Load(), "each delivery of what has no record runs the hook")
	}
}

// TestAHookThatReturnsNilAfterItsTime may have been counted or not where the
// hook is all there is to do; a record is never called handled by it.
func TestAHookThatReturnsNilAfterItsTime(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds() {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var calls atomic.Int64
				m := newMerchant(t, func(s *setup) {
					kind.set(&s.kit, func(ctx context.Context) error {
						if calls.Add(1) == 1 {
							<-ctx.Done()
						}
						return nil
					})
				})
				id := m.start(t, "ann").ID
				body := m.gateway.SignedBody(kind.biz(id), nil)
				began := time.Now()
				w := m.post(t, id, body)
				require.Equal(t, 3*time.Second, time.Since(began))
				if kind.name == "OnToken" {
					requireUnavailable(t, w)
					require.Less(t, m.get(t, id).Handled, codegrant.StatusActive)
				} else {
					require.Contains(t, []int{200, 503}, w.Code)
				}
				require.Equal(t, 200, m.post(t, id, body).Code)
				if kind.name == "OnToken" {
					require.Equal(t, codegrant.StatusActive, m.get(t, id).Handled)
				}
			})
		})
	}
}

// TestHooksThatUseTheKit: a hook may call the kit. What waits for the hook's
// own record waits no longer than the hook may.
func TestHooksThatUseTheKit(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		status int
		took   time.Duration
		last   codegrant.Status // of the record, when all is quiet
		hook   func(ctx context.Context, m *merchant, old, id string) error
	}{
		{"reads the user's tokens", 200, 0, codegrant.StatusActive, func(ctx context.Context, m *merchant, _, id string) error {
			_, err := m.Tokens(ctx, "ann")
			t, active := m.ActiveToken(ctx, "ann", "")
			if active == nil && t.ID != id {
				active = errors.New("not the newest")
			}
			return errors.Join(err, active)
		}},
		{"charges the new token", 200, 0, codegrant.StatusActive, func(ctx context.Context, m *merchant, _, id string) error {
			_, err := m.Charge(ctx, codegrant.ChargeParams{
				UserID: "ann", TokenID: id, OrderID: "ORDER-1", Amount: orderPrice, ShopperIP: "192.0.2.7", Email: "x@shop.test",
			})
			return err
		}},
		{"ends the user's older agreement", 200, 0, codegrant.StatusActive, func(ctx context.Context, m *merchant, old, _ string) error {
			_, err := m.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann", TokenID: old})
			return err
		}},
		{"starts slow work and returns", 200, 0, codegrant.StatusActive, func(context.Context, *merchant, string, string) error {
			go time.Sleep(time.Minute)
			return nil
		}},
		{"ends the agreement that it hears of", 503, 3 * time.Second, codegrant.StatusUnbound, func(ctx context.Context, m *merchant, _, id string) error {
			_, err := m.UnbindToken(ctx, codegrant.UnbindParams{UserID: "ann", TokenID: id})
			return err
		}},
		{"delivers its own notification again", 503, 3 * time.Second, codegrant.StatusActive, func(ctx context.Context, m *merchant, _, id string) error {
			return m.Apply(ctx, m.gateway.SignedBody(success(id), nil), id)
		}},
		{"asks the gateway about its record", 503, 3 * time.Second, codegrant.StatusActive, func(ctx context.Context, m *merchant, _, id string) error {
			_, err := m.Refresh(ctx, id)
			return err
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var m *merchant
				var old, id string
				var calls atomic.Int64
				m = newMerchant(t, func(s *setup) {
					s.kit.OnToken = func(ctx context.Context, c codegrant.Change) error {
						if c.Token.ID == id && c.Token.Status == codegrant.StatusActive && calls.Add(1) == 1 {
							return tc.hook(ctx, m, old, id)
						}
						return nil
					}
				})
				old = m.connect(t, "ann").ID
				time.Sleep(time.Second)
				pending := m.start(t, "ann")
				id = pending.ID
				began := time.Now()
				require.NoError(t, m.gateway.Approve(pending.AuthURL))
				took := time.Since(began)
				var notice gatewaytest.Notification
				for _, n := range m.gateway.Notifications() {
					if n.Op == gatewaytest.OpNotifySignUp && n.Subject == id {
						notice = n
					}
				}
				require.Equal(t, tc.status, notice.Attempts[0].Status)
				require.Equal(t, tc.took, took)

				time.Sleep(time.Hour) // and the gateway has delivered again
				attempt, err := m.gateway.Redeliver(notice.ID)
				require.NoError(t, err)
				require.True(t, attempt.Accepted())
				got := m.get(t, id)
				require.Equal(t, tc.last, got.Status)
				require.Equal(t, tc.last, got.Handled)
				requireNoSecret(t, m.log.String())
			})
		})
	}
}
