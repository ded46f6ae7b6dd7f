package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

const tokenValue = "7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"

func bizOf(notifyType, requestID, userID, token string) string {
	var fields []string
	for _, f := range [][2]string{{"notifyType", notifyType}, {"requestId", requestID}, {"merchantUserId", userID}, {"token", token}} {
		if f[1] != "" {
			fields = append(fields, fmt.Sprintf("%q:%q", f[0], f[1]))
		}
	}
	return "{" + strings.Join(fields, ",") + "}"
}

const (
	created      = "ACCESS_TOKEN_CREATION"
	endedByUser  = "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER"
	endedByUs    = "ACCESS_TOKEN_CANCEL_OF_MERCHANT"
	constantBody = "Unauthorized"
)

func TestNotifyAnswersByTheTable(t *testing.T) {
	t.Parallel()
	good := func(s *shop, id string) []byte {
		return s.gateway.SignedBody(bizOf(created, id, "ann", tokenValue), nil)
	}
	for _, tc := range []struct {
		name   string
		method string
		body   func(s *shop, id string) []byte
		status int
		answer string
		calls  bool // whether the store may be called
	}{
		{"a signed notification is applied", "POST", good, 200, "OK", true},
		{"a signed notification of unknown type is accepted", "POST", func(s *shop, id string) []byte {
			return s.gateway.SignedBody(`{"notifyType":"NEW_THING"}`, nil)
		}, 200, "OK", true},
		{"trailing white space is no reason to refuse", "POST", func(s *shop, id string) []byte {
			return append(good(s, id), strings.Repeat(" ", 5000)+"\n"...)
		}, 200, "OK", true},
		{"an unknown member is signed and kept", "POST", func(s *shop, id string) []byte {
			return s.gateway.SignedBody(bizOf(created, id, "ann", tokenValue), map[string]string{"aNewMember": "x", "zone": "9"})
		}, 200, "OK", true},
		{"GET is not a notification", "GET", good, 405, "Method Not Allowed", false},
		{"PUT is not a notification", "PUT", good, 405, "Method Not Allowed", false},
		{"an empty body was read by somebody else", "POST", func(*shop, string) []byte { return nil }, 400, "Bad Request", false},
		{"bytes that are no JSON are unreadable", "POST", func(*shop, string) []byte { return []byte("token=x") }, 400, "Bad Request", false},
		{"an unsigned flat body is refused", "POST", func(_ *shop, id string) []byte {
			return []byte(bizOf(created, id, "ann", tokenValue))
		}, 401, constantBody, false},
		{"a body over the cap is too large", "POST", func(s *shop, id string) []byte {
			return append(good(s, id), strings.Repeat(" ", 64<<10)...)
		}, 413, "Request Entity Too Large", false},
		{"a flipped byte is refused", "POST", func(s *shop, id string) []byte {
			return []byte(strings.Replace(string(good(s, id)), `\"ann\"`, `\"eve\"`, 1))
		}, 401, constantBody, false},
		{"another salt is refused", "POST", func(s *shop, id string) []byte {
			other := gatewaytest.New(gatewaytest.Config{Salt: "0123456789ABCDEF01234567"})
			defer other.Close()
			return other.SignedBody(bizOf(created, id, "ann", tokenValue), nil)
		}, 401, constantBody, false},
		{"another account is refused", "POST", func(s *shop, id string) []byte {
			other := gatewaytest.New(gatewaytest.Config{AccountID: "9999999999999999999001"})
			defer other.Close()
			return other.SignedBody(bizOf(created, id, "ann", tokenValue), nil)
		}, 401, constantBody, false},
		{"the other digest is refused", "POST", func(s *shop, id string) []byte {
			return s.gateway.SignedBody(bizOf(created, id, "ann", tokenValue), map[string]string{"signType": "MD5"})
		}, 401, constantBody, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int64
			store := &faultyStore{TokenStore: memstore.New(), before: func(context.Context, string) error {
				calls.Add(1)
				return nil
			}}
			s := newShop(t, withConfig(func(c *codegrant.Config) { c.Store = store }))
			token := s.start(t, "ann")
			calls.Store(0)
			body := tc.body(s, token.ID)
			a := s.do(newRequest(t, tc.method, baseURL+"/notify/"+token.ID, string(body)), "")
			require.Equal(t, tc.status, a.Code)
			require.Equal(t, tc.answer, a.Body.String())
			if !tc.calls {
				require.Zero(t, calls.Load(), "the store was called before the verdict")
				require.Empty(t, s.heard())
			}
			require.NotContains(t, s.log.String(), tokenValue)
			require.NotContains(t, s.log.String(), gatewaytest.DefaultSalt)
		})
	}
}

func TestNotifyAnswersWhenSomethingOfOursFails(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		fail func(method string) error
		hook func(context.Context, codegrant.Change) error
	}{
		{"the look-up fails", failOn("ByFingerprint"), nil},
		{"the read fails", failOn("Get"), nil},
		{"the save fails", failOn("Save"), nil},
		{"every save conflicts", func(m string) error {
			if m == "Save" {
				return codegrant.ErrConflict
			}
			return nil
		}, nil},
		{"the hook fails", nil, func(context.Context, codegrant.Change) error { return errors.New("no: " + tokenValue) }},
		{"the hook panics", nil, func(context.Context, codegrant.Change) error { panic("no: " + tokenValue) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			store := &faultyStore{TokenStore: memstore.New(), before: func(_ context.Context, m string) error {
				if broken.Load() && tc.fail != nil {
					return tc.fail(m)
				}
				return nil
			}}
			var heard atomic.Int64
			s := newShop(t, withConfig(func(c *codegrant.Config) {
				c.Store = store
				c.OnToken = func(ctx context.Context, change codegrant.Change) error {
					if broken.Load() && tc.hook != nil {
						return tc.hook(ctx, change)
					}
					heard.Add(1)
					return nil
				}
			}))
			token := s.start(t, "ann")
			body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
			broken.Store(true)
			a := s.deliver(t, token.ID, body)
			require.Equal(t, http.StatusServiceUnavailable, a.Code)
			require.Equal(t, "Service Unavailable", a.Body.String())

			broken.Store(false)
			require.Equal(t, 200, s.deliver(t, token.ID, body).Code, "the redelivery succeeds")
			got := s.get(t, token.ID)
			require.Equal(t, codegrant.StatusActive, got.Status)
			require.Equal(t, codegrant.StatusActive, got.Handled)
			require.EqualValues(t, 1, heard.Load())
			require.Equal(t, 200, s.deliver(t, token.ID, body).Code)
			require.EqualValues(t, 1, heard.Load(), "a repetition runs no hook")
		})
	}
}

func failOn(method string) func(string) error {
	return func(m string) error {
		if m == method {
			return errStore
		}
		return nil
	}
}

func TestAHookThatHangsEndsTheRequestInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int64
		s := newShop(t, withConfig(func(c *codegrant.Config) {
			c.OnToken = func(context.Context, codegrant.Change) error {
				if calls.Add(1) == 1 {
					<-release // deaf to its context
				}
				return nil
			}
		}))
		token := s.start(t, "ann")
		body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
		began := time.Now()
		require.Equal(t, 503, s.deliver(t, token.ID, body).Code)
		require.Equal(t, 3*time.Second, time.Since(began))
		require.Equal(t, 200, s.deliver(t, token.ID, body).Code, "the next delivery is not held up")
		require.EqualValues(t, 2, calls.Load())
		close(release)
		synctest.Wait()
		require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Handled)
	})
}

func TestAHangUpDoesNotCutTheWorkInHalf(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.start(t, "ann")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := newRequest(t, http.MethodPost, baseURL+"/notify/"+token.ID,
		string(s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil))).WithContext(ctx)
	require.Equal(t, 200, s.do(r, "").Code)
	require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Handled)
}

// The deliveries of one sign-up, in every order and with repetitions, leave
// the same record.
func TestEveryOrderOfDeliveriesLeavesTheSameRecord(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		bodies []string
		status codegrant.Status
		ended  codegrant.EndedBy
	}{
		{"signed up twice", []string{created, created}, codegrant.StatusActive, ""},
		{"signed up and ended by the user", []string{created, endedByUser}, codegrant.StatusUnbound, codegrant.EndedByUser},
		{"signed up, ended by both", []string{created, endedByUser, endedByUs}, codegrant.StatusUnbound, codegrant.EndedByUser},
		{"failed, signed up, ended", []string{"FAILED", created, endedByUs}, codegrant.StatusUnbound, codegrant.EndedByMerchant},
		{"failed and signed up after all", []string{"FAILED", created}, codegrant.StatusActive, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, order := range permutations(len(tc.bodies)) {
				for _, copies := range []int{1, 2} {
					s := newShop(t)
					token := s.start(t, "ann")
					for _, i := range order {
						biz := bizOf(tc.bodies[i], token.ID, "ann", tokenValue)
						if tc.bodies[i] == "FAILED" {
							biz = `{"notifyType":"` + created + `","status":"FAILED","requestId":"` + token.ID + `"}`
						}
						for range copies {
							require.Equal(t, 200, s.deliver(t, token.ID, s.gateway.SignedBody(biz, nil)).Code)
						}
					}
					got := s.get(t, token.ID)
					require.Equal(t, tc.status, got.Status, order)
					require.Equal(t, tc.status, got.Handled, order)
					require.Equal(t, tc.ended, got.EndedBy, order)
					require.Equal(t, codegrant.Fingerprint(codegrant.NewSecret(tokenValue)), got.Fingerprint, order)
					heard := s.heard()
					require.Equal(t, tc.status, heard[len(heard)-1].Token.Status, "the hook's last word")
				}
			}
		})
	}
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, p := range permutations(n - 1) {
		for i := range n {
			q := append(append(append([]int(nil), p[:i]...), n-1), p[i:]...)
			all = append(all, q)
		}
	}
	return all
}

func TestANotificationMayOvertakeTheAnswerOfTheSignUp(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	// The gateway's answer to bind is held back until the notification has
	// been delivered and answered.
	inner := s.gateway.Transport()
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := inner.RoundTrip(r)
		if strings.HasSuffix(r.URL.Path, "/bind") {
			agreements := s.gateway.Ledger().Agreements
			last := agreements[len(agreements)-1]
			require.NoError(t, s.gateway.Approve(last.AuthURL))
		}
		return resp, err
	})
	early := newShop(t, withClient(func(c *codegrant.ClientConfig) { c.HTTPClient = &http.Client{Transport: transport} }),
		withConfig(func(c *codegrant.Config) { c.Store = s.store }))
	token, err := early.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.NoError(t, err)
	got := s.get(t, token.ID)
	require.Equal(t, codegrant.StatusActive, got.Status)
	require.NotEmpty(t, got.AuthURL, "the late answer is kept beside the token")
	require.False(t, got.Reference.IsZero())

	usual := newShop(t)
	other := usual.connect(t, "ann")
	require.Equal(t, other.Status, got.Status)
	require.Equal(t, other.Handled, got.Handled)
	require.Equal(t, other.UnsettledSince, got.UnsettledSince)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCopiesThatArriveAtOnceMakeOneTransition(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.start(t, "ann")
	body := s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 13 {
				if code := s.deliver(t, token.ID, body).Code; code != 200 {
					t.Errorf("answered %d", code)
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, s.heard(), 1)
	require.Equal(t, 1, strings.Count(s.log.String(), `"code":"transition"`))
}

func TestWhichRecordANotificationConcerns(t *testing.T) {
	t.Parallel()
	t.Run("what is signed goes before the path", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, b := s.start(t, "ann"), s.start(t, "bob")
		require.Equal(t, 200, s.deliver(t, b.ID, s.gateway.SignedBody(bizOf(created, a.ID, "ann", tokenValue), nil)).Code)
		require.Equal(t, codegrant.StatusActive, s.get(t, a.ID).Status)
		require.Equal(t, codegrant.StatusPending, s.get(t, b.ID).Status)
	})
	t.Run("a body without numbers belongs to its path", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.start(t, "ann")
		require.Equal(t, 200, s.deliver(t, a.ID, s.gateway.SignedBody(bizOf(created, "", "", tokenValue), nil)).Code)
		require.Equal(t, codegrant.StatusActive, s.get(t, a.ID).Status)
	})
	t.Run("a replay on another user's path moves no token", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a, b := s.start(t, "ann"), s.start(t, "bob")
		body := s.gateway.SignedBody(bizOf(created, "", "", tokenValue), nil)
		require.Equal(t, 200, s.deliver(t, a.ID, body).Code)
		require.Equal(t, 200, s.deliver(t, b.ID, body).Code)
		require.Equal(t, codegrant.StatusPending, s.get(t, b.ID).Status)
		require.True(t, s.get(t, b.ID).Value.IsZero())
	})
	t.Run("an unbinding is found by its token", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.connect(t, "ann")
		body := s.gateway.SignedBody(bizOf(endedByUser, "an-unbind-number", "ann", a.Value.Reveal()), nil)
		require.Equal(t, 200, s.deliver(t, "", body).Code)
		require.Equal(t, codegrant.StatusUnbound, s.get(t, a.ID).Status)
	})
	t.Run("an unbinding of an older token leaves the newer one", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		older, newer := s.connect(t, "ann"), s.connect(t, "ann")
		body := s.gateway.SignedBody(bizOf(endedByUser, "", "ann", older.Value.Reveal()), nil)
		require.Equal(t, 200, s.deliver(t, newer.ID, body).Code)
		require.Equal(t, codegrant.StatusUnbound, s.get(t, older.ID).Status)
		require.Equal(t, codegrant.StatusActive, s.get(t, newer.ID).Status)
	})
	t.Run("a success that fits no record is adopted", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		body := s.gateway.SignedBody(bizOf(created, "RESTORED-1", "ann", tokenValue), nil)
		require.Equal(t, 200, s.deliver(t, "RESTORED-1", body).Code)
		got := s.get(t, "RESTORED-1")
		require.Equal(t, codegrant.StatusActive, got.Status)
		require.Equal(t, "ann", got.UserID)
	})
	t.Run("a success under another user's number is not taken for kept", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.start(t, "ann")
		body := s.gateway.SignedBody(bizOf(created, a.ID, "bob", tokenValue), nil)
		require.Equal(t, 503, s.deliver(t, a.ID, body).Code)
		require.Equal(t, codegrant.StatusPending, s.get(t, a.ID).Status)
	})
	t.Run("a second token of one sign-up is kept beside the first", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		a := s.connect(t, "ann")
		body := s.gateway.SignedBody(bizOf(created, a.ID, "ann", tokenValue), nil)
		for range 2 {
			require.Equal(t, 200, s.deliver(t, a.ID, body).Code)
		}
		tokens, err := s.Tokens(t.Context(), "ann")
		require.NoError(t, err)
		require.Len(t, tokens, 2)
		require.Equal(t, a.Value, tokens[0].Value)
		require.Equal(t, tokenValue, tokens[1].Value.Reveal())
		ended := s.gateway.SignedBody(bizOf(endedByUser, a.ID, "ann", tokenValue), nil)
		require.Equal(t, 200, s.deliver(t, a.ID, ended).Code)
		require.Equal(t, codegrant.StatusActive, s.get(t, a.ID).Status)
		require.Equal(t, codegrant.StatusUnbound, s.get(t, tokens[1].ID).Status)
	})
	t.Run("a success of nobody goes to OnUnknown", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		body := s.gateway.SignedBody(bizOf(created, "", "", tokenValue), nil)
		require.Equal(t, 200, s.deliver(t, "", body).Code)
		require.Len(t, s.unknown, 1)
	})
	t.Run("a success of nobody is kept at the gateway where no hook takes it", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, withConfig(func(c *codegrant.Config) { c.OnUnknown = nil }))
		for _, kind := range []string{created, endedByUser} {
			body := s.gateway.SignedBody(bizOf(kind, "", "", tokenValue), nil)
			require.Equal(t, 503, s.deliver(t, "", body).Code)
		}
	})
}

func TestUnsignedNotificationsOnlyEverTriggerAQuery(t *testing.T) {
	t.Parallel()
	flat := withGateway(func(g *gatewaytest.Config) { g.NotificationShape = gatewaytest.Flat })
	t.Run("by default they are refused", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, flat)
		token := s.start(t, "ann")
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)
	})
	t.Run("where it is asked for, the signed query decides", func(t *testing.T) {
		t.Parallel()
		s := newShop(t, flat, withConfig(func(c *codegrant.Config) { c.QueryUnsigned = true }))
		token := s.start(t, "ann")
		forged := []byte(`{"notifyType":"` + created + `","token":"` + tokenValue + `"}`)
		require.Equal(t, 401, s.deliver(t, token.ID, forged).Code)
		require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		got := s.get(t, token.ID)
		require.Equal(t, codegrant.StatusActive, got.Status)
		require.NotEqual(t, tokenValue, got.Value.Reveal())
	})
}

func TestAQueryThatHangsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, withConfig(func(c *codegrant.Config) { c.QueryUnsigned = true }),
			withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }))
		token := s.start(t, "ann")
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUpQuery, Kind: gatewaytest.TimeoutBefore, Times: -1})
		began := time.Now()
		hint := []byte(`{"notifyType":"` + created + `","token":"` + tokenValue + `"}`)
		require.Equal(t, 401, s.deliver(t, token.ID, hint).Code)
		require.Equal(t, 3*time.Second, time.Since(began))

		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		_, err := s.Charge(ctx, chargeParams("ann", "order-1"))
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown, "there was no time left to ask about the order")
		require.Equal(t, time.Second, time.Since(began))
		require.False(t, s.get(t, token.ID).DoubtedAt.IsZero())
		s.gateway.Close()
	})
}

func TestTwoLiveSaltsVerifyDuringRotation(t *testing.T) {
	t.Parallel()
	s := newShop(t, withClient(func(c *codegrant.ClientConfig) {
		c.Account.Salts = codegrant.Salts(gatewaytest.DefaultSalt, "OLD-SALT-0123456789ABCDEF")
	}))
	token := s.start(t, "ann")
	old := gatewaytest.New(gatewaytest.Config{Salt: "OLD-SALT-0123456789ABCDEF"})
	defer old.Close()
	body := old.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil)
	n, err := codegrant.ParseNotification(body, codegrant.Account{
		ID: gatewaytest.DefaultAccountID, Salts: codegrant.Salts(gatewaytest.DefaultSalt, "OLD-SALT-0123456789ABCDEF"),
	})
	require.NoError(t, err)
	require.Equal(t, 1, n.Salt)
	require.Equal(t, 200, s.deliver(t, token.ID, body).Code)
	require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status)
}
