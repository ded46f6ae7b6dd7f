package codegrant_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
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
)

// asked counts the calls of the gateway, by path and by the record or number
// that they are about.
type asked struct {
	next http.RoundTripper

	mu    sync.Mutex
	calls map[string]map[string]int
}

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var envelope struct{ BizContent string }
	var biz struct{ RequestID string }
	if err := errors.Join(json.Unmarshal(body, &envelope), json.Unmarshal([]byte(envelope.BizContent), &biz)); err != nil {
		return nil, err
	}
	a.mu.Lock()
	if a.calls == nil {
		a.calls = map[string]map[string]int{}
	}
	if a.calls[r.URL.Path] == nil {
		a.calls[r.URL.Path] = map[string]int{}
	}
	a.calls[r.URL.Path][biz.RequestID]++
	a.mu.Unlock()
	r.Body = io.NopCloser(bytes.NewReader(body))
	return a.next.RoundTrip(r)
}

// about returns how often the interface was called, by number.
func (a *asked) about(path string) map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	counts := map[string]int{}
	for id, n := range a.calls[path] {
		counts[id] = n
	}
	return counts
}

func total(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

// node is one more process of the shop, on the same store.
func (s *shop) node(t testing.TB, change ...func(*codegrant.Config)) *codegrant.Kit {
	t.Helper()
	config := codegrant.Config{
		Client: s.client, Store: s.store, BaseURL: baseURL,
		User: func(*http.Request) (string, error) { return "", nil },
		OnToken: func(_ context.Context, c codegrant.Change) error {
			return s.record(func() { s.changes = append(s.changes, c) })
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&config)
	}
	kit, err := codegrant.New(config)
	require.NoError(t, err)
	return kit
}

// newAskedShop is a shop whose gateway counts what it is asked.
func newAskedShop(t testing.TB, options ...shopOption) (*shop, *asked) {
	a := &asked{}
	options = append(options, withClient(func(c *codegrant.ClientConfig) { c.HTTPClient = &http.Client{Transport: a} }))
	s := newShop(t, options...)
	a.next = s.gateway.Transport()
	return s, a
}

// silence loses every notification from now on.
func (s *shop) silence() { s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1}) }

// quick sweeps without any rate that matters.
func quick(c *codegrant.Config) { c.Reconcile.Rate = 1e6 }

const queryPath, unbindPath = gatewaytest.DefaultSignUpQueryPath, gatewaytest.DefaultUnbindPath

func TestOneSweepFindsWhatEveryLostNotificationSaid(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newAskedShop(t, withConfig(quick))
		s.silence()
		const n = 1000
		want := map[string]codegrant.Status{}
		for i := range n {
			token := s.start(t, fmt.Sprint("user-", i))
			want[token.ID] = codegrant.StatusPending
			switch i % 10 {
			case 0, 1:
			case 2:
				require.NoError(t, s.gateway.Refuse(token.AuthURL))
				want[token.ID] = codegrant.StatusFailed
			default:
				require.NoError(t, s.gateway.Approve(token.AuthURL))
				want[token.ID] = codegrant.StatusActive
			}
		}
		require.Empty(t, s.heard())
		sweep, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{}, sweep, "nothing has waited for a minute yet")

		time.Sleep(time.Minute)
		sweep, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: n, Settled: n * 8 / 10, More: true}, sweep)
		for id, status := range want {
			require.Equal(t, status, s.get(t, id).Status)
			require.Equal(t, status, s.get(t, id).Handled)
		}
		require.Len(t, s.heard(), n*8/10)
		require.Equal(t, n, total(asked.about(queryPath)))
	})
}

func TestThreeNodesAskOnceAboutEachRecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newAskedShop(t, withConfig(quick))
		s.silence()
		const n = 200
		for i := range n {
			token := s.start(t, fmt.Sprint("user-", i))
			if i%2 == 0 {
				require.NoError(t, s.gateway.Approve(token.AuthURL))
			}
		}
		time.Sleep(2 * time.Minute)
		nodes := []*codegrant.Kit{s.Kit, s.node(t, quick), s.node(t, quick)}
		var looked atomic.Int64
		var running sync.WaitGroup
		for _, kit := range nodes {
			running.Go(func() {
				sweep, err := kit.Reconcile(t.Context())
				if err != nil || sweep.Failed > 0 {
					t.Errorf("%+v %v", sweep, err)
				}
				looked.Add(int64(sweep.Looked))
			})
		}
		running.Wait()
		require.EqualValues(t, n, looked.Load())
		counts := asked.about(queryPath)
		require.Len(t, counts, n)
		require.Equal(t, n, total(counts), "a record was asked about by two nodes")
		require.Len(t, s.heard(), n/2)
	})
}

func TestWhatASweepSettles(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		prepare func(t *testing.T, s *shop) codegrant.Token // what waits
		status  codegrant.Status
		calls   map[string]int // of the gateway, by path
	}{
		{"a hook owed to a sign-up that was refused at once needs no call", func(t *testing.T, s *shop) codegrant.Token {
			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "107003"})
			token, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "fails", Wallet: codegrant.GCash})
			require.ErrorIs(t, err, codegrant.ErrRefused)
			return token
		}, codegrant.StatusFailed, nil},
		{"a hook owed to an ended token needs no call", func(t *testing.T, s *shop) codegrant.Token {
			token := s.connect(t, "fails at the end")
			s.silence()
			_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "fails at the end", TokenID: token.ID})
			require.ErrorIs(t, err, codegrant.ErrHook)
			return token
		}, codegrant.StatusUnbound, nil},
		{"an unbinding that the gateway never heard of is repeated", func(t *testing.T, s *shop) codegrant.Token {
			token := s.connect(t, "ann")
			s.silence()
			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetBefore})
			_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			return token
		}, codegrant.StatusUnbound, map[string]int{unbindPath: 1}},
		{"an unbinding whose answer was lost is found to be done", func(t *testing.T, s *shop) codegrant.Token {
			token := s.connect(t, "ann")
			s.silence()
			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetAfter})
			_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			return token
		}, codegrant.StatusUnbound, map[string]int{unbindPath: 1}},
		{"a token that a charge found dead is confirmed to be", func(t *testing.T, s *shop) codegrant.Token {
			token := s.connect(t, "ann")
			s.silence()
			require.NoError(t, s.gateway.UnbindInWallet("ann", string(codegrant.GCash)))
			s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUpQuery, Kind: gatewaytest.ResetBefore})
			receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
			require.NoError(t, err)
			require.True(t, receipt.TokenGone)
			require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status)
			return token
		}, codegrant.StatusUnbound, map[string]int{queryPath: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failing := true
				s, asked := newAskedShop(t, withConfig(quick), withConfig(func(c *codegrant.Config) {
					c.OnToken = func(_ context.Context, c codegrant.Change) error {
						if c.Token.Status != codegrant.StatusActive && strings.HasPrefix(c.Token.UserID, "fails") && failing {
							failing = false
							return errors.New("the hook is not in the mood")
						}
						return nil
					}
				}))
				token := tc.prepare(t, s)
				require.False(t, s.get(t, token.ID).UnsettledSince.IsZero())
				before := map[string]int{unbindPath: total(asked.about(unbindPath)), queryPath: total(asked.about(queryPath))}
				time.Sleep(time.Minute)
				sweep, err := s.Reconcile(t.Context())
				require.NoError(t, err)
				require.Equal(t, codegrant.Sweep{Looked: 1, Settled: 1}, sweep)
				got := s.get(t, token.ID)
				require.Equal(t, tc.status, got.Status)
				require.Equal(t, tc.status, got.Handled)
				require.True(t, got.UnsettledSince.IsZero())
				for path, n := range before {
					require.Equal(t, tc.calls[path], total(asked.about(path))-n, path)
				}
				sweep, err = s.Reconcile(t.Context())
				require.NoError(t, err)
				require.Zero(t, sweep, "what is settled is left alone")
			})
		})
	}
}

func TestASignUpThatNobodyFinishesIsAskedAboutEverMoreRarelyAndThenFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newAskedShop(t)
		s.silence()
		token := s.start(t, "ann")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		time.Sleep(24 * time.Hour)
		require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)
		time.Sleep(6 * time.Hour)
		require.Equal(t, codegrant.StatusFailed, s.get(t, token.ID).Status)
		require.True(t, s.get(t, token.ID).UnsettledSince.IsZero())
		n := total(asked.about(queryPath))
		require.Greater(t, n, 8)
		require.Less(t, n, 25)
		time.Sleep(24 * time.Hour)
		require.Equal(t, n, total(asked.about(queryPath)), "it is over")
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)

		s.gateway.ClearFaults()
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status, "a late success counts")
	})
}

func TestABusyGatewayIsLeftAloneAndHooksAreNotHeldUp(t *testing.T) {
	t.Parallel()
	for _, kind := range []gatewaytest.FaultKind{gatewaytest.Status500Before, gatewaytest.ResetBefore} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				failing := true
				s, asked := newAskedShop(t, withConfig(func(c *codegrant.Config) {
					quick(c)
					c.OnToken = func(context.Context, codegrant.Change) error {
						if failing {
							return errors.New("the hook is not in the mood")
						}
						return nil
					}
				}))
				s.silence()
				for i := range 50 {
					s.start(t, fmt.Sprint("user-", i))
				}
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "107003"})
				owed, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "bob", Wallet: codegrant.GCash})
				require.ErrorIs(t, err, codegrant.ErrRefused)
				failing = false
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUpQuery, Kind: kind, Times: -1})
				time.Sleep(time.Minute)
				sweep, err := s.Reconcile(t.Context())
				require.NoError(t, err)
				require.True(t, sweep.BackOff)
				require.Equal(t, 51, sweep.Looked)
				require.Equal(t, codegrant.StatusFailed, s.get(t, owed.ID).Handled)
				require.LessOrEqual(t, total(asked.about(queryPath)), 3+3, "three in a row, and those under way")

				before := total(asked.about(queryPath))
				ctx, cancel := context.WithTimeout(t.Context(), 4*time.Hour)
				defer cancel()
				require.ErrorIs(t, s.Run(ctx), context.DeadlineExceeded)
				require.Less(t, total(asked.about(queryPath))-before, 6*30, "sweeps have become rare")
			})
		})
	}
}

func TestAWrongPathOfTheQueryHoldsNothingElseUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newAskedShop(t, withConfig(quick), withClient(func(c *codegrant.ClientConfig) {
			c.Endpoints.SignUpQuery = "/v4/no/such/path"
		}))
		unbinding := s.connect(t, "bob")
		s.silence()
		s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetBefore})
		_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "bob"})
		require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		var pending []codegrant.Token
		for i := range 20 {
			pending = append(pending, s.start(t, fmt.Sprint("user-", i)))
		}
		time.Sleep(time.Minute)
		sweep, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.False(t, sweep.BackOff)
		require.Equal(t, codegrant.StatusUnbound, s.get(t, unbinding.ID).Status)

		time.Sleep(25 * time.Hour)
		sweep, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, 20, sweep.Looked)
		for _, token := range pending {
			require.Equal(t, codegrant.StatusFailed, s.get(t, token.ID).Status)
		}
	})
}

func TestWithoutAQueryTheRestIsSettledAndItIsSaidOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newAskedShop(t, withConfig(quick), withClient(func(c *codegrant.ClientConfig) {
			c.Endpoints.SignUpQuery = codegrant.Disabled
		}))
		s.silence()
		for i := range 5 {
			s.start(t, fmt.Sprint("user-", i))
		}
		time.Sleep(time.Minute)
		for range 3 {
			sweep, err := s.Reconcile(t.Context())
			require.NoError(t, err)
			require.Zero(t, sweep.Failed)
			time.Sleep(time.Hour)
		}
		require.Equal(t, 1, strings.Count(s.log.String(), "Endpoints.SignUpQuery is switched off"))
	})
}

func TestTheOlderListStandsInForTheQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newAskedShop(t, withGateway(func(c *gatewaytest.Config) { c.SharedTokens = true }),
			withConfig(func(c *codegrant.Config) { quick(c); c.QueryByList = true }),
			withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled }))
		s.silence()
		agreed, open := s.start(t, "ann"), s.start(t, "bob")
		require.NoError(t, s.gateway.Approve(agreed.AuthURL))
		time.Sleep(time.Minute)
		_, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.StatusActive, s.get(t, agreed.ID).Status)
		require.Equal(t, codegrant.StatusPending, s.get(t, open.ID).Status)

		again := s.start(t, "ann") // the list shows nothing new for this one
		time.Sleep(time.Minute)
		_, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.StatusPending, s.get(t, again.ID).Status, "a token belongs to one record")

		// That the list lacks a token says nothing where it may not know any.
		require.NoError(t, s.gateway.UnbindInWallet("ann", string(codegrant.GCash)))
		receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
		require.NoError(t, err)
		require.True(t, receipt.TokenGone)
		require.Equal(t, codegrant.StatusActive, s.get(t, agreed.ID).Status)
		require.False(t, s.get(t, agreed.ID).DoubtedAt.IsZero())
	})
}

func TestASweepThatIsCancelledIsTakenUpByTheNext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, asked := newAskedShop(t) // ten calls a second
		s.silence()
		const n = 100
		for i := range n {
			require.NoError(t, s.gateway.Approve(s.start(t, fmt.Sprint("user-", i)).AuthURL))
		}
		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second+50*time.Millisecond)
		defer cancel()
		first, err := s.Reconcile(ctx)
		require.ErrorIs(t, err, codegrant.ErrDeadline)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.InDelta(t, 41, first.Looked, 1, "ten a second")
		second, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, n, first.Looked+second.Looked)
		require.Equal(t, n, total(asked.about(queryPath)))
		require.Len(t, s.heard(), n)
	})
}

func TestAStoreThatFailsOrPanicsEndsNoProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := ""
		store := &faultyStore{before: func(_ context.Context, method string) error {
			switch broken {
			case method:
				return errStore
			case "panic at " + method:
				panic("on purpose")
			}
			return nil
		}}
		s, _ := newAskedShop(t, withConfig(func(c *codegrant.Config) { quick(c); store.TokenStore = c.Store; c.Store = store }))
		s.silence()
		token := s.start(t, "ann")
		require.NoError(t, s.gateway.Approve(token.AuthURL))
		for _, method := range []string{"Unsettled", "Save", "Get", "panic at Unsettled", "panic at Save", "panic at Get"} {
			time.Sleep(longAgo)
			broken = method
			sweep, err := s.Reconcile(t.Context())
			if strings.HasSuffix(method, "Unsettled") {
				require.ErrorIs(t, err, codegrant.ErrStore, method)
				continue
			}
			require.NoError(t, err, method)
			require.Equal(t, 1, sweep.Failed, method)
			kept, err := store.TokenStore.Get(t.Context(), token.ID)
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusPending, kept.Status)
		}
		broken = ""
		time.Sleep(longAgo)
		_, err := s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status)
	})
}

// longAgo is longer than a sweep leaves any record alone.
const longAgo = 3*time.Hour + time.Minute
