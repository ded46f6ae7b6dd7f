package codegrant_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
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

// Two stores of one merchant, so that they have one clientId, and one that
// nobody knows.
const (
	accountA = "2022102018024210348001"
	accountB = "2022102018024210348002"
	nowhere  = "2022102018024210348003"
)

func saltOf(accountID string) string { return "salt-of-" + accountID }

// mall is a merchant with several accounts on one store, joined to a simulated
// gateway in memory.
type mall struct {
	shop     // its Kit is account A's
	accounts *codegrant.Accounts
	asked    *asked // what the gateway was asked
	kits     map[string]*codegrant.Kit
	finds    atomic.Int64
	// orders is Config.Payments of the Kits that are made from now on.
	orders codegrant.PaymentStore
	// find stands in for the look-up by kits.
	find func(ctx context.Context, accountID string) (*codegrant.Kit, error)
}

func newMall(t testing.TB, change ...func(*codegrant.AccountsConfig)) *mall {
	t.Helper()
	m := &mall{kits: map[string]*codegrant.Kit{}, asked: &asked{}}
	m.store, m.log = memstore.New(), &logBuffer{}
	m.gateway = gatewaytest.New(gatewaytest.Config{
		BaseURL: "https://gateway.test", AccountID: accountA, Salt: saltOf(accountA),
		ExtraAccounts: []gatewaytest.Account{{AccountID: accountB, Salt: saltOf(accountB)}},
	})
	t.Cleanup(m.gateway.Close)
	m.asked.next = m.gateway.Transport()
	for _, id := range []string{accountA, accountB} {
		m.kits[id] = m.kit(t, id, saltOf(id))
	}
	m.Kit = m.kits[accountA]
	config := codegrant.AccountsConfig{
		Find: func(ctx context.Context, accountID string) (*codegrant.Kit, error) {
			m.finds.Add(1)
			if m.find != nil {
				return m.find(ctx, accountID)
			}
			if kit, ok := m.kits[accountID]; ok {
				return kit, nil
			}
			return nil, fmt.Errorf("no account %q: %w", accountID, codegrant.ErrNotFound)
		},
		Store:     m.store,
		Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
		Logger:    slog.New(slog.NewJSONHandler(m.log, nil)),
	}
	for _, c := range change {
		c(&config)
	}
	var err error
	m.accounts, err = codegrant.NewAccounts(config)
	require.NoError(t, err)
	m.handler = http.StripPrefix("/wallet", m.accounts)
	m.gateway.DeliverTo(m.handler)
	return m
}

// kit makes a Kit of the mall.
func (m *mall) kit(t testing.TB, accountID string, salts ...string) *codegrant.Kit {
	t.Helper()
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:    codegrant.Account{ID: accountID, Salts: codegrant.Salts(salts...)},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: m.asked},
	})
	require.NoError(t, err)
	kit, err := codegrant.New(codegrant.Config{
		Client: client, Store: m.store, Payments: m.orders, BaseURL: baseURL + "/" + accountID,
		User: func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil },
		OnToken: func(_ context.Context, c codegrant.Change) error {
			return m.record(func() { m.changes = append(m.changes, c) })
		},
		OnPayment: func(_ context.Context, n codegrant.PaymentNotification) error {
			return m.record(func() { m.payments = append(m.payments, n) })
		},
		Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
		Logger:    slog.New(slog.NewJSONHandler(m.log, nil)),
	})
	require.NoError(t, err)
	return kit
}

// startIn signs a user up in an account as far as the wallet's page.
func (m *mall) startIn(t testing.TB, accountID, user string) codegrant.Token {
	t.Helper()
	token, err := m.kits[accountID].StartSignUp(t.Context(), codegrant.SignUpParams{UserID: user, Wallet: codegrant.GCash})
	require.NoError(t, err)
	return token
}

// post sends body as a notification to a path below the mall's URL.
func (m *mall) post(t testing.TB, path string, body []byte) answer {
	t.Helper()
	return m.do(newRequest(t, http.MethodPost, baseURL+path, string(body)), "")
}

// signedBy is a notification of an account under any salt; members are added, or
// left out where they are "".
func signedBy(salt, accountID, biz string, members map[string]string) []byte {
	all := map[string]string{
		"accId": accountID, "clientId": accountID[:len(accountID)-3], "signType": gatewaytest.SHA256, "bizContent": biz,
	}
	maps.Copy(all, members)
	maps.DeleteFunc(all, func(_, value string) bool { return value == "" })
	all["sign"] = gatewaytest.Sign(salt, gatewaytest.SHA256, all)
	body, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return body
}

func TestTheAccountIsChosenByPathOrByAccIdAndItsOwnSaltJudges(t *testing.T) {
	t.Parallel()
	biz := func(id string) string { return bizOf(created, id, "ann", tokenValue) }
	signed := func(account, salt string) func(string) []byte {
		return func(id string) []byte { return signedBy(salt, account, biz(id), nil) }
	}
	unnamed := func(salt string) func(string) []byte {
		return func(id string) []byte {
			return signedBy(salt, accountA, biz(id), map[string]string{"accId": "", "clientId": ""})
		}
	}
	fixed := func(text string) func(string) []byte { return func(string) []byte { return []byte(text) } }
	flat := func(id string) []byte { return []byte(biz(id)) }
	byA := signed(accountA, saltOf(accountA))
	for _, tc := range []struct {
		name   string
		method string
		path   string // ID stands for the record of account A
		body   func(id string) []byte
		status int
		finds  int64
	}{
		{"by the path", "POST", "/" + accountA + "/notify/ID", byA, 200, 1},
		{"by the path, without a record", "POST", "/" + accountA + "/notify", byA, 200, 1},
		{"by the path, in a message that names none", "POST", "/" + accountA + "/notify/ID", unnamed(saltOf(accountA)), 200, 1},
		{"by accId", "POST", "/notify/ID", byA, 200, 1},
		{"by accId, without a record", "POST", "/notify", byA, 200, 1},
		{"neither in the path nor in the message", "POST", "/notify/ID", unnamed(saltOf(accountA)), 401, 0},
		{"another account in the path", "POST", "/" + accountB + "/notify/ID", byA, 401, 1},
		{"another account in the path, none in the message", "POST", "/" + accountB + "/notify/ID", unnamed(saltOf(accountA)), 401, 1},
		{"an accId that was put in afterwards", "POST", "/notify/ID", signed(accountB, saltOf(accountA)), 401, 1},
		{"an accId that was put in afterwards, its path too", "POST", "/" + accountB + "/notify/ID", signed(accountB, saltOf(accountA)), 401, 1},
		{"the account's accId under another's salt", "POST", "/" + accountA + "/notify/ID", signed(accountA, saltOf(accountB)), 401, 1},
		{"an unknown account in the path", "POST", "/" + nowhere + "/notify/ID", byA, 401, 1},
		{"an unknown accId", "POST", "/notify/ID", signed(nowhere, saltOf(accountA)), 401, 1},
		{"a path that no account can have", "POST", "/a.b/notify/ID", byA, 401, 0},
		{"an unsigned body in the account's path", "POST", "/" + accountA + "/notify/ID", flat, 401, 1},
		{"an unsigned body in an unknown path", "POST", "/" + nowhere + "/notify/ID", flat, 401, 1},
		{"an unsigned body without a path", "POST", "/notify/ID", flat, 401, 0},
		{"an unreadable body in the account's path", "POST", "/" + accountA + "/notify/ID", fixed("{"), 400, 0},
		{"an unreadable body in an unknown path", "POST", "/" + nowhere + "/notify/ID", fixed("{"), 400, 0},
		{"an unreadable body without a path", "POST", "/notify/ID", fixed("{"), 400, 0},
		{"an empty body", "POST", "/" + accountA + "/notify/ID", fixed(""), 400, 0},
		{"a body over the cap", "POST", "/" + accountA + "/notify/ID", fixed(strings.Repeat(" ", 64<<10+1)), 413, 0},
		{"a body over the cap without a path", "POST", "/notify/ID", fixed(strings.Repeat(" ", 64<<10+1)), 413, 0},
		{"GET in the account's path", "GET", "/" + accountA + "/notify/ID", byA, 405, 0},
		{"GET in an unknown path", "GET", "/" + nowhere + "/notify/ID", byA, 405, 0},
		{"GET without a path", "GET", "/notify/ID", byA, 405, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := newMall(t)
			token := m.startIn(t, accountA, "ann")
			m.startIn(t, accountB, "ann")
			body := tc.body(token.ID)
			a := m.do(newRequest(t, tc.method, baseURL+strings.Replace(tc.path, "ID", token.ID, 1), string(body)), "")
			require.Equal(t, tc.status, a.Code)
			require.Equal(t, tc.finds, m.finds.Load())
			if tc.status == 200 {
				require.Equal(t, "OK", a.Body.String())
				require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status)
				require.Len(t, m.heard(), 1)
				return
			}
			require.Equal(t, http.StatusText(tc.status), a.Body.String())
			require.Empty(t, m.heard())
			if tc.status == 401 { // nothing tells whoever probes why
				refused := m.post(t, "/"+accountA+"/notify/"+token.ID, signedBy("another salt of A", accountA, bizOf(created, token.ID, "ann", tokenValue), nil))
				require.Equal(t, refused.Code, a.Code)
				require.Equal(t, refused.Header(), a.Header())
				require.Equal(t, refused.Body.String(), a.Body.String())
			}
			require.NotContains(t, m.log.String(), tokenValue)
			require.NotContains(t, m.log.String(), "salt-of-")
		})
	}
}

func TestNotifyTakesTheAccountFromThePattern(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	mux := http.NewServeMux()
	mux.Handle("/hooks/{account}/{id}", m.accounts.Notify())
	mux.Handle("/all/{id}", m.accounts.Notify())
	m.handler = mux
	token := m.startIn(t, accountA, "ann")
	body := signedBy(saltOf(accountA), accountA, bizOf(created, token.ID, "ann", tokenValue), nil)
	for path, status := range map[string]int{
		"/hooks/" + accountA + "/": 200, "/hooks/" + accountB + "/": 401, "/hooks/" + nowhere + "/": 401, "/all/": 200,
	} {
		require.Equal(t, status, m.do(newRequest(t, "POST", "https://shop.test"+path+token.ID, string(body)), "").Code, path)
	}
}

func TestTheOtherEndpointsAreThoseOfTheAccountsKit(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	start := m.do(newRequest(t, http.MethodPost, baseURL+"/"+accountB+"/signup", "wallet=GCash",
		"Content-Type", "application/x-www-form-urlencoded", "Accept", "application/json"), "ann")
	require.Equal(t, 200, start.Code, start.Body.String())
	tokens, err := m.kits[accountB].Tokens(t.Context(), "ann")
	require.NoError(t, err)
	require.Len(t, tokens, 1)
	require.NoError(t, m.gateway.Approve(tokens[0].AuthURL))
	require.Equal(t, codegrant.StatusActive, m.get(t, tokens[0].ID).Status)
	require.Equal(t, 200, m.browse(t, "ann", baseURL+"/"+accountB+"/return/"+tokens[0].ID).Code)
	require.Equal(t, 404, m.browse(t, "ann", baseURL+"/"+accountA+"/return/"+tokens[0].ID).Code, "another account's record")
	for _, path := range []string{"", "/", "/" + accountA + "/", "/" + nowhere + "/status", "/a.b/status", "/favicon.ico"} {
		require.Equal(t, 404, m.browse(t, "ann", baseURL+path).Code, path)
	}

	m.find = func(context.Context, string) (*codegrant.Kit, error) { return nil, errStore }
	down := m.browse(t, "ann", baseURL+"/2022102018024210348009/status", "Accept", "application/json")
	require.Equal(t, 503, down.Code)
	require.Contains(t, down.Body.String(), "accounts_failed")
	require.Contains(t, m.log.String(), "accounts_failed")
}

func TestAFailureOfFindIs503AndIsForgotten(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		find func(context.Context, *mall) (*codegrant.Kit, error)
	}{
		{"it fails", func(context.Context, *mall) (*codegrant.Kit, error) { return nil, errStore }},
		{"it fails with a refusal of its own", func(context.Context, *mall) (*codegrant.Kit, error) {
			return nil, codegrant.ErrBadSignature
		}},
		{"it fails beside a Kit", func(_ context.Context, m *mall) (*codegrant.Kit, error) { return m.kits[accountA], errStore }},
		{"it panics", func(context.Context, *mall) (*codegrant.Kit, error) { panic(saltOf(accountA)) }},
		{"it returns nothing", func(context.Context, *mall) (*codegrant.Kit, error) { return nil, nil }},
		{"it returns another account's Kit", func(_ context.Context, m *mall) (*codegrant.Kit, error) { return m.kits[accountB], nil }},
		{"it waits until it is cancelled", func(ctx context.Context, _ *mall) (*codegrant.Kit, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{"it is deaf and late", func(_ context.Context, m *mall) (*codegrant.Kit, error) {
			time.Sleep(time.Minute)
			return m.kits[accountA], nil
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMall(t)
				token := m.startIn(t, accountA, "ann")
				body := signedBy(saltOf(accountA), accountA, bizOf(created, token.ID, "ann", tokenValue), nil)
				fail := func(ctx context.Context, _ string) (*codegrant.Kit, error) { return tc.find(ctx, m) }
				for _, path := range []string{"/" + accountA + "/notify/", "/notify/"} {
					m.find = fail
					began := time.Now()
					a := m.post(t, path+token.ID, body)
					require.Equal(t, 503, a.Code)
					require.Equal(t, "Service Unavailable", a.Body.String())
					require.LessOrEqual(t, time.Since(began), 3*time.Second)
					require.Empty(t, m.heard())
					require.Contains(t, m.log.String(), `"code":"accounts_failed"`)
					require.NotContains(t, m.log.String(), "salt-of-")
					_, err := m.accounts.Kit(t.Context(), accountA)
					require.ErrorIs(t, err, codegrant.ErrAccounts)
					require.Equal(t, 503, codegrant.HTTPStatus(err))
					synctest.Wait()
				}
				m.find = nil
				require.Equal(t, 200, m.post(t, "/notify/"+token.ID, body).Code, "the failure was kept")
				require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status)

				m.find = fail
				require.Equal(t, 200, m.post(t, "/notify/"+token.ID, body).Code, "still kept")
				time.Sleep(time.Minute)
				require.Equal(t, 503, m.post(t, "/notify/"+token.ID, body).Code, "what is too old was used")
				time.Sleep(time.Minute) // the deaf one
			})
		})
	}
}

func TestAHangUpDuringFindLosesNothing(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	token := m.startIn(t, accountA, "ann")
	ctx, hangUp := context.WithCancel(t.Context())
	m.find = func(ctx context.Context, _ string) (*codegrant.Kit, error) {
		hangUp()
		return m.kits[accountA], ctx.Err()
	}
	body := signedBy(saltOf(accountA), accountA, bizOf(created, token.ID, "ann", tokenValue), nil)
	require.NoError(t, m.accounts.Apply(ctx, body, "", token.ID))
	require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status)
}

func TestFindIsAskedOnceAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t)
		m.find = func(_ context.Context, accountID string) (*codegrant.Kit, error) {
			time.Sleep(time.Second)
			if kit, ok := m.kits[accountID]; ok {
				return kit, nil
			}
			return nil, codegrant.ErrNotFound
		}
		ask := func(n int) int64 {
			m.finds.Store(0)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					id := []string{accountA, accountB, nowhere}[i%3]
					kit, err := m.accounts.Kit(context.Background(), id)
					if id == nowhere {
						require.ErrorIs(t, err, codegrant.ErrNotFound)
						require.Nil(t, kit)
						return
					}
					require.NoError(t, err)
					require.Same(t, m.kits[id], kit)
				})
			}
			wg.Wait()
			return m.finds.Load()
		}
		require.EqualValues(t, 3, ask(3000))
		require.Zero(t, ask(3000), "kept")
		time.Sleep(10 * time.Second)
		require.EqualValues(t, 1, ask(3000), "that there is none is kept for 10 s")
		time.Sleep(time.Minute)
		require.EqualValues(t, 3, ask(3000))

		time.Sleep(time.Minute)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err := m.accounts.Kit(ctx, accountA)
		require.ErrorIs(t, err, codegrant.ErrDeadline)
		time.Sleep(time.Second)
		require.Zero(t, ask(1), "one who gives up ends the look-up for nobody")
	})
}

func TestAFixedSetOfAccounts(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	var err error
	m.accounts, err = codegrant.NewAccounts(codegrant.AccountsConfig{
		Kits:   []*codegrant.Kit{m.kits[accountA], m.kits[accountB]},
		Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	for id, kit := range m.kits {
		got, err := m.accounts.Kit(t.Context(), id)
		require.NoError(t, err)
		require.Same(t, kit, got)
	}
	for _, id := range []string{nowhere, "", "a b", strings.Repeat("1", 65)} {
		_, err = m.accounts.Kit(t.Context(), id)
		require.ErrorIs(t, err, codegrant.ErrNotFound)
	}
	err = m.accounts.Apply(t.Context(), signedBy(saltOf(accountA), nowhere, `{"notifyType":"NEW_THING"}`, nil), "", "")
	require.ErrorIs(t, err, codegrant.ErrWrongAccount)
	require.NoError(t, m.accounts.Apply(t.Context(), signedBy(saltOf(accountA), accountA, `{"notifyType":"NEW_THING"}`, nil), "", "../x"))
}

func TestNewAccountsNamesEveryProblem(t *testing.T) {
	t.Parallel()
	m := newMall(t)
	_, err := codegrant.NewAccounts(codegrant.AccountsConfig{
		Kits: []*codegrant.Kit{m.kits[accountA], nil, m.kits[accountA]},
		Find: func(context.Context, string) (*codegrant.Kit, error) { return nil, nil },
		Keep: -1, Reconcile: codegrant.ReconcileConfig{Limit: -1},
	})
	var config *codegrant.ConfigError
	require.ErrorAs(t, err, &config)
	require.Len(t, config.Problems, 5)
	_, err = codegrant.NewAccounts(codegrant.AccountsConfig{})
	require.ErrorIs(t, err, codegrant.ErrInvalidConfig)

	accounts, err := codegrant.NewAccounts(codegrant.AccountsConfig{Kits: []*codegrant.Kit{m.kits[accountA]}})
	require.NoError(t, err)
	_, err = accounts.Reconcile(t.Context())
	require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
	require.ErrorIs(t, accounts.Run(t.Context()), codegrant.ErrInvalidConfig)
}
