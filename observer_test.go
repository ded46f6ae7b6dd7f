package codegrant_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// lines removes the indentation of a test's source.
func lines(s string) string {
	s = strings.TrimPrefix(s, "\n")
	indent := s[:len(s)-len(strings.TrimLeft(s, "\t"))]
	return strings.TrimRight(strings.ReplaceAll("\n"+s, "\n"+indent, "\n")[1:], "\t")
}

func TestAnObserverSeesWhatHappensInWhat(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		options []shopOption
		given   func(t *testing.T, s *shop) codegrant.Token
		do      func(t *testing.T, s *shop, token codegrant.Token)
		want    string
	}{
		{
			name: "a sign-up by a form, and its notification", given: started,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				require.Equal(t, 303, s.do(newRequest(t, http.MethodPost, baseURL+"/signup", "wallet=GCash"), "ann").Code)
				require.NoError(t, s.gateway.Approve(token.AuthURL))
			},
			want: `
				endpoint sign-up 303
				  call sign-up GCash 200
				endpoint notify 200
				  hook OnToken
			`,
		},
		{
			name: "what the functions do",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				token := s.start(t, "ann")
				require.NoError(t, s.Apply(t.Context(), s.gateway.SignedBody(bizOf(created, token.ID, "ann", tokenValue), nil), ""))
				_, err := s.Refresh(t.Context(), token.ID)
				require.NoError(t, err)
				_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
				require.ErrorIs(t, err, codegrant.ErrNoToken)
			},
			want: `
				task sign-up
				  call sign-up GCash 200
				task notify
				  hook OnToken
				task refresh
				  call sign-up query 200 token_gone
				  hook OnToken
				task unbind no_token
			`,
		},
		{
			name: "a charge, and its notification", given: connected,
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
				require.NoError(t, err)
				s.gateway.Wait()
			},
			want: `
				task charge succeeded
				  call unifiedPay GCash 200 succeeded
				endpoint notify 200
				  hook OnPayment
			`,
		},
		{
			name: "an unbinding that the gateway does not answer, and one that it does", given: connected,
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.gateway.LoseNotifications(true)
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.Status500Before})
				require.Equal(t, 303, s.do(newRequest(t, http.MethodPost, baseURL+"/unbind", ""), "ann").Code)
				_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
				require.NoError(t, err)
			},
			want: `
				endpoint unbind 303 outcome_unknown
				  call unbind 500 outcome_unknown
				  hook OnToken
				task unbind
				  call unbind 200
				  hook OnToken
			`,
		},
		{
			name: "a charge whose outcome is lost, and what became of it", given: connected, options: []shopOption{withConfig(withPayments)},
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.gateway.LoseNotifications(true)
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Status500After})
				_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
				var unknown *codegrant.UnknownOutcomeError
				require.ErrorAs(t, err, &unknown)
				_, err = unknown.Resolve(t.Context())
				require.NoError(t, err)
			},
			want: `
				task charge outcome_unknown
				  call unifiedPay GCash 500 outcome_unknown
				task charge succeeded
				  call payment query 200 succeeded
				  hook OnPayment
			`,
		},
		{
			name: "a charge that is declined, and a refund of nothing", given: connected,
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				s.gateway.LoseNotifications(true)
				s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.Decline})
				p := chargeParams("ann", "order-1")
				_, err := s.Charge(t.Context(), p)
				require.NoError(t, err)
				_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: p.Amount})
				require.NoError(t, err)
			},
			want: `
				task charge failed
				  call unifiedPay GCash 200 failed
				task refund failed
				  call refund 200 refused
			`,
		},
		{
			name: "refusals of every endpoint", given: connected,
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				s.do(newRequest(t, http.MethodPost, baseURL+"/signup", "wallet=GCash"), "")
				s.do(newRequest(t, http.MethodGet, baseURL+"/unbind", ""), "ann")
				s.do(newRequest(t, http.MethodGet, baseURL+"/return/"+token.ID, ""), "bob")
				s.do(newRequest(t, http.MethodGet, baseURL+"/status", ""), "")
				s.do(newRequest(t, http.MethodGet, baseURL+"/status", ""), "ann")
				s.deliver(t, token.ID, []byte("{"))
			},
			want: `
				endpoint sign-up 401 unauthenticated
				endpoint unbind 405 method_not_allowed
				endpoint return 404 not_owner
				endpoint status 401 unauthenticated
				endpoint status 200
				endpoint notify 400 malformed
			`,
		},
		{
			name: "a wallet that somebody made up",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				_, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: "Wallet 4711"})
				require.Error(t, err)
			},
			want: `
				task sign-up refused
				  call sign-up other 200 refused
				  hook OnToken
			`,
		},
		{
			name: "a hook that fails", given: started, options: []shopOption{hookThat(func() error { return errors.New("no") })},
			do: func(t *testing.T, s *shop, token codegrant.Token) { _ = s.gateway.Approve(token.AuthURL) },
			want: `
				endpoint notify 503 hook_failed
				  hook OnToken hook_failed
			`,
		},
		{
			name: "an operation that is switched off", given: started,
			options: []shopOption{withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled })},
			do: func(t *testing.T, s *shop, token codegrant.Token) {
				_, err := s.Refresh(t.Context(), token.ID)
				require.ErrorIs(t, err, codegrant.ErrDisabled)
			},
			want: `
				task refresh disabled
			`,
		},
		{
			name: "what VerifyNotification lets through",
			do: func(t *testing.T, s *shop, _ codegrant.Token) {
				inside := s.VerifyNotification(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					require.Nil(t, r.Context().Value(watchedKey{}), "next is not in it")
				}))
				inside.ServeHTTP(httptest.NewRecorder(), newRequest(t, http.MethodPost, "/", string(s.gateway.SignedBody(`{"notifyType":"RECHARGE"}`, nil))))
				inside.ServeHTTP(httptest.NewRecorder(), newRequest(t, http.MethodPost, "/", "x"))
			},
			want: `
				endpoint verify
				endpoint verify 400 malformed
			`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := &watcher{}
			s := newShop(t, append(tc.options, watchedBy(w))...)
			var token codegrant.Token
			if tc.given != nil {
				token = tc.given(t, s)
			}
			s.gateway.Wait()
			w.forget()
			tc.do(t, s, token)
			s.gateway.Wait()
			require.Equal(t, lines(tc.want), w.operations())
			w.requireDiscreet(t, token)
		})
	}
}

func TestAnObserverHearsTheNewsOfARecord(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &watcher{}
		s := newShop(t, watchedBy(w), withConfig(withPayments))
		token := s.connect(t, "ann")
		const account = gatewaytest.DefaultAccountID
		require.Equal(t, codegrant.Event{
			Code: codegrant.EventTransition, Op: "notify", AccountID: account, Wallet: codegrant.GCash, From: "pending", To: "active",
		}, w.heard(t, codegrant.EventTransition))
		require.Equal(t, codegrant.Event{
			Code: codegrant.EventHook, Op: "notify", AccountID: account, Hook: "OnToken",
		}, w.heard(t, codegrant.EventHook))

		s.gateway.LoseNotifications(true)
		w.forget()
		p := chargeParams("ann", "order-1")
		_, err := s.Charge(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, codegrant.Event{
			Code: codegrant.EventPayment, Op: "charge", AccountID: account, Wallet: codegrant.GCash, To: "succeeded", Currency: "PHP",
		}, w.heard(t, codegrant.EventPayment))
		_, err = s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: p.Amount})
		require.NoError(t, err)
		require.Equal(t, codegrant.Event{
			Code: codegrant.EventRefund, Op: "refund", AccountID: account, Wallet: codegrant.GCash, To: "succeeded", Currency: "PHP",
		}, w.heard(t, codegrant.EventRefund))

		require.NoError(t, s.gateway.UnbindTokenInWallet(token.Value.Reveal()))
		time.Sleep(time.Hour)
		w.forget()
		s.start(t, "bob")
		time.Sleep(2 * time.Minute)
		_, err = s.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Event{
			Code: codegrant.EventSweep, Op: "reconcile", AccountID: account, Sweep: codegrant.Sweep{Looked: 1},
		}, w.heard(t, codegrant.EventSweep))
		require.Equal(t, lines(`
			task sign-up
			  call sign-up GCash 200
			sweep reconcile
			  task refresh
			    call sign-up query 200
		`), w.operations())

		w.forget()
		s.deliver(t, "", s.gateway.SignedBody(bizOf(endedByUser, token.ID, "ann", token.Value.Reveal()), nil))
		require.Equal(t, codegrant.EndedByUser, w.heard(t, codegrant.EventTransition).EndedBy)
		require.Equal(t, codegrant.KindUnboundByUser, w.heard(t, codegrant.EventNotification).Kind)
		s.deliver(t, "", []byte("{"))
		require.ErrorIs(t, w.heard(t, codegrant.ErrMalformed).Err, codegrant.ErrMalformed)

		w.forget()
		s.deliver(t, "", s.gateway.SignedBody(`{"notifyType":"RECHARGE","merchantTransactionId":"o","status":"SUCCESS","amount":"1","currency":"PHP","paymentMethod":{"type":"Purse"}}`, nil))
		odd := w.heard(t, codegrant.EventPayment)
		require.Equal(t, "other PHP", string(odd.Wallet)+" "+odd.Currency)
	})
}

func TestAnObserverHearsWhereAPaymentComesFrom(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	s := newShop(t, watchedBy(w), withConfig(withPayments), withGateway(func(g *gatewaytest.Config) { g.ProcessingFirst = true }))
	s.connect(t, "ann")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, "pending", w.heard(t, codegrant.EventPayment).To)
	require.Empty(t, w.heard(t, codegrant.EventPayment).From)
	w.forget()
	require.NoError(t, s.gateway.Settle("order-1"))
	require.Equal(t, codegrant.Event{
		Code: codegrant.EventPayment, Op: "notify", AccountID: gatewaytest.DefaultAccountID, Wallet: codegrant.GCash,
		From: "pending", To: "succeeded", Currency: "PHP",
	}, w.heard(t, codegrant.EventPayment))
}

func TestAccountsAreObserved(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	m := newMall(t, func(c *codegrant.AccountsConfig) { c.Observer = w })
	token := m.startIn(t, accountA, "ann")
	w.forget()
	biz := bizOf(created, token.ID, "ann", tokenValue)
	m.find = func(context.Context, string) (*codegrant.Kit, error) {
		return nil, fmt.Errorf("none: %w", codegrant.ErrNotFound)
	}
	require.Equal(t, 401, m.post(t, "/"+nowhere+"/notify", signedBy(saltOf(accountA), nowhere, biz, nil)).Code)
	m.find = func(context.Context, string) (*codegrant.Kit, error) { panic("the directory is away") }
	require.Equal(t, 503, m.post(t, "/"+"2022102018024210348009"+"/notify", signedBy(saltOf(accountA), accountA, biz, nil)).Code)
	_, err := m.accounts.Reconcile(t.Context())
	require.NoError(t, err)
	require.Equal(t, lines(`
		endpoint notify 401 wrong_account
		  hook Find
		endpoint notify 503 accounts_failed
		  hook Find hook_failed
		sweep reconcile
	`), w.operations())
	require.Equal(t, "Find", w.heard(t, codegrant.EventHookPanicked).Hook)
	require.Empty(t, w.heard(t, codegrant.EventHookPanicked).AccountID, "anybody may send a number")
}

// observerFuncs is an Observer of functions.
type observerFuncs struct {
	start func(context.Context, codegrant.Operation) (context.Context, func(codegrant.Result))
	event func(context.Context, codegrant.Event)
}

func (o observerFuncs) Start(ctx context.Context, op codegrant.Operation) (context.Context, func(codegrant.Result)) {
	return o.start(ctx, op)
}
func (o observerFuncs) Event(ctx context.Context, e codegrant.Event) { o.event(ctx, e) }

func TestAnObserverHarmsNothing(t *testing.T) {
	t.Parallel()
	quiet := func(context.Context, codegrant.Event) {}
	for name, o := range map[string]observerFuncs{
		"one that panics": {
			func(context.Context, codegrant.Operation) (context.Context, func(codegrant.Result)) {
				panic("no label")
			},
			func(context.Context, codegrant.Event) { panic("no label") },
		},
		"one that panics at the end": {
			func(ctx context.Context, _ codegrant.Operation) (context.Context, func(codegrant.Result)) {
				return ctx, func(codegrant.Result) { panic("no label") }
			}, quiet,
		},
		"one that returns nothing": {
			func(context.Context, codegrant.Operation) (context.Context, func(codegrant.Result)) { return nil, nil }, quiet,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, withConfig(func(c *codegrant.Config) { c.Observer = o }))
			s.connect(t, "ann")
			receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
			require.NoError(t, err)
			require.Equal(t, codegrant.Succeeded, receipt.Outcome)
			s.gateway.Wait()
			require.Len(t, s.heardPayments(), 1)
			said := strings.Count(s.log.String(), `"code":"observer_panic"`)
			require.Equal(t, strings.Contains(name, "panics"), said == 1, "said %d times", said)
		})
	}
}

func TestAHookRunsInTheContextOfTheObserver(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	var inside *watched
	s := newShop(t, watchedBy(w), withConfig(func(c *codegrant.Config) {
		c.OnToken = func(ctx context.Context, _ codegrant.Change) error {
			inside, _ = ctx.Value(watchedKey{}).(*watched)
			return nil
		}
	}))
	s.connect(t, "ann")
	require.NotNil(t, inside)
	require.Equal(t, "OnToken", inside.Name)
}

func TestAnObserverHearsWhatTheLogDoesNot(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	s := newShop(t, watchedBy(w), withConfig(func(c *codegrant.Config) { c.Logger = slog.New(slog.DiscardHandler) }))
	s.connect(t, "ann")
	s.deliver(t, "", []byte("{"))
	w.heard(t, codegrant.EventTransition)
	w.heard(t, codegrant.EventHook)
	w.heard(t, codegrant.ErrMalformed)
}

func TestAHandlerThatPanicsEndsItsOperation(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	s := newShop(t, watchedBy(w), withConfig(func(c *codegrant.Config) {
		c.Store = &faultyStore{memstore.New(), func(context.Context, string) error { panic("the store") }}
	}))
	require.Panics(t, func() { s.do(newRequest(t, http.MethodPost, baseURL+"/signup", "wallet=GCash"), "ann") })
	require.Panics(t, func() { _, _ = s.Charge(t.Context(), chargeParams("ann", "order-1")) })
	require.Equal(t, "endpoint sign-up internal\ntask charge internal\n", w.operations())
}

func TestAnObserverDoesNotKeepAnEndlessSenderConnected(t *testing.T) {
	t.Parallel()
	w := &watcher{}
	s := newShop(t, watchedBy(w))
	server := httptest.NewServer(s.handler)
	defer server.Close()
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 80<<10))) // whose length is not said
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/wallet/notify", body)
	require.NoError(t, err)
	response, err := server.Client().Do(r)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Equal(t, http.StatusRequestEntityTooLarge, response.StatusCode)
	require.True(t, response.Close, "as without an observer")
}

func TestAnObserverThatIsANilPointerIsRefused(t *testing.T) {
	t.Parallel()
	c := newConfig(t)
	c.Observer = (*watcher)(nil)
	_, err := codegrant.New(c)
	require.ErrorContains(t, err, "Observer is a nil pointer")
	_, err = codegrant.NewClient(codegrant.ClientConfig{
		Account: rigAccount(), Endpoints: codegrant.Endpoints{Host: rigHost}, Observer: (*watcher)(nil),
	})
	require.ErrorContains(t, err, "ClientConfig.Observer is a nil pointer")
	_, err = codegrant.NewAccounts(codegrant.AccountsConfig{
		Find: func(context.Context, string) (*codegrant.Kit, error) { return nil, codegrant.ErrNotFound }, Observer: (*watcher)(nil),
	})
	require.ErrorContains(t, err, "Observer is a nil pointer")
	c.Observer, c.Logger = &watcher{}, slog.New(slog.DiscardHandler)
	_, err = codegrant.New(c)
	require.NoError(t, err)
}
