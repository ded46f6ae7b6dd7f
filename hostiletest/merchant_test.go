// Package hostiletest proves the kit's promises against a hostile world: forged
// and broken messages, slow senders, lost and reordered deliveries, outages,
// failing hooks and stores, unknown outcomes. Random tests print their seed; run
// one again with
//
//	go test ./hostiletest -run NAME -seed N
//
// and a longer one with -times N.
package hostiletest

import (
	"context"
	"flag"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

const (
	baseURL    = "https://shop.test/wallet"
	tokenValue = "7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"

	created     = "ACCESS_TOKEN_CREATION"
	endedByUser = "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER"
	endedByUs   = "ACCESS_TOKEN_CANCEL_OF_MERCHANT"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "seed of the random tests; 0 draws one")
	timesFlag = flag.Int("times", 1, "how many times as long the random tests run")
)

// seeded returns a seed and makes a failing test print it.
func seeded(t testing.TB) uint64 {
	t.Helper()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("run again with: -run '^%s$' -seed %d", strings.Split(t.Name(), "/")[0], seed)
		}
	})
	return seed
}

// rounds is how often a random test does its work: n times, fewer under the
// race detector, more with -times.
func rounds(n int) int { return max(1, n*max(1, *timesFlag)/slowdown) }

// merchant is a kit joined to a simulated gateway in memory.
type merchant struct {
	*codegrant.Kit
	gateway *gatewaytest.Gateway
	store   *watchedStore
	handler http.Handler
	log     *logBuffer
	hooks   atomic.Int64 // calls of any hook
}

// setup is what a test may change before the merchant is made.
type setup struct {
	gateway gatewaytest.Config
	client  codegrant.ClientConfig
	kit     codegrant.Config
}

func newMerchant(t testing.TB, change ...func(*setup)) *merchant {
	t.Helper()
	m := &merchant{log: &logBuffer{}}
	s := setup{
		gateway: gatewaytest.Config{BaseURL: "https://gateway.test"},
		client: codegrant.ClientConfig{
			Account: codegrant.Account{
				ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
				Salts: codegrant.Salts(gatewaytest.DefaultSalt),
			},
			Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
		},
		kit: codegrant.Config{
			Store:     memstore.New(),
			BaseURL:   baseURL,
			User:      func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil },
			OnToken:   func(context.Context, codegrant.Change) error { m.hooks.Add(1); return nil },
			OnPayment: func(context.Context, codegrant.PaymentNotification) error { m.hooks.Add(1); return nil },
			OnRefund:  func(context.Context, codegrant.RefundNotification) error { m.hooks.Add(1); return nil },
			OnUnknown: func(context.Context, codegrant.Notification) error { m.hooks.Add(1); return nil },
			ReturnTo:  []string{"/account", "/checkout"},
			Logger:    slog.New(slog.NewJSONHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		},
	}
	for _, c := range change {
		c(&s)
	}
	m.gateway = gatewaytest.New(s.gateway)
	t.Cleanup(m.gateway.Close)
	if s.client.HTTPClient == nil {
		s.client.HTTPClient = &http.Client{Transport: m.gateway.Transport()}
	}
	m.store = &watchedStore{TokenStore: s.kit.Store}
	if s.kit.Store != nil {
		if _, ok := s.kit.Store.(codegrant.TxStore); !ok {
			s.kit.Store = m.store // a TxStore would no longer be seen as one
		}
	}
	var err error
	s.kit.Client, err = codegrant.NewClient(s.client)
	require.NoError(t, err)
	m.Kit, err = codegrant.New(s.kit)
	require.NoError(t, err)
	m.handler = http.StripPrefix("/wallet", m.Kit)
	m.gateway.DeliverTo(m.handler)
	return m
}

// start signs a user up as far as the wallet's page.
func (m *merchant) start(t testing.TB, user string) codegrant.Token {
	t.Helper()
	token, err := m.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: user, Wallet: codegrant.GCash})
	require.NoError(t, err)
	return token
}

// connect signs a user up to the end.
func (m *merchant) connect(t testing.TB, user string) codegrant.Token {
	t.Helper()
	token := m.start(t, user)
	require.NoError(t, m.gateway.Approve(token.AuthURL))
	token = m.get(t, token.ID)
	require.Equal(t, codegrant.StatusActive, token.Status)
	return token
}

// get reads a record without counting as a call of the kit.
func (m *merchant) get(t testing.TB, id string) codegrant.Token {
	t.Helper()
	token, err := m.store.TokenStore.Get(context.Background(), id)
	require.NoError(t, err)
	return token
}

// post sends body as a notification and returns the answer.
func (m *merchant) post(t testing.TB, id string, body []byte) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, baseURL+"/notify/"+id, strings.NewReader(string(body)))
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	return w
}

// watchedStore counts the calls of a store, and runs before in front of each.
type watchedStore struct {
	codegrant.TokenStore
	calls  atomic.Int64
	before func(ctx context.Context, method string) error // may be nil
}

func (s *watchedStore) called(ctx context.Context, method string) error {
	s.calls.Add(1)
	if s.before == nil {
		return nil
	}
	return s.before(ctx, method)
}

func (s *watchedStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	if err := s.called(ctx, "Get"); err != nil {
		return codegrant.Token{}, err
	}
	return s.TokenStore.Get(ctx, id)
}

func (s *watchedStore) Save(ctx context.Context, t codegrant.Token) error {
	if err := s.called(ctx, "Save"); err != nil {
		return err
	}
	return s.TokenStore.Save(ctx, t)
}

func (s *watchedStore) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	if err := s.called(ctx, "ByFingerprint"); err != nil {
		return codegrant.Token{}, err
	}
	return s.TokenStore.ByFingerprint(ctx, fingerprint)
}

func (s *watchedStore) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	if err := s.called(ctx, "ByUser"); err != nil {
		return nil, err
	}
	return s.TokenStore.ByUser(ctx, accountID, userID)
}

func (s *watchedStore) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	if err := s.called(ctx, "Unsettled"); err != nil {
		return nil, err
	}
	return s.TokenStore.Unsettled(ctx, olderThan, limit)
}

// logBuffer collects log output.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// reset forgets what was logged, and returns it.
func (b *logBuffer) reset() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.text.String()
	b.text.Reset()
	return text
}
