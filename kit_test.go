package codegrant_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

const baseURL = "https://shop.test/wallet"

// shop is a merchant with a kit, joined to a simulated gateway in memory.
type shop struct {
	*codegrant.Kit
	gateway *gatewaytest.Gateway
	store   codegrant.TokenStore
	client  *codegrant.Client
	handler http.Handler
	log     *logBuffer

	mu       sync.Mutex
	changes  []codegrant.Change
	payments []codegrant.PaymentNotification
	refunds  []codegrant.RefundNotification
	unknown  []codegrant.Notification
}

type shopOption func(*gatewaytest.Config, *codegrant.ClientConfig, *codegrant.Config)

func withConfig(f func(*codegrant.Config)) shopOption {
	return func(_ *gatewaytest.Config, _ *codegrant.ClientConfig, c *codegrant.Config) { f(c) }
}

func withClient(f func(*codegrant.ClientConfig)) shopOption {
	return func(_ *gatewaytest.Config, c *codegrant.ClientConfig, _ *codegrant.Config) { f(c) }
}

func withGateway(f func(*gatewaytest.Config)) shopOption {
	return func(g *gatewaytest.Config, _ *codegrant.ClientConfig, _ *codegrant.Config) { f(g) }
}

// lateHandler lets the gateway be made before the shop that it notifies.
type lateHandler struct{ http.Handler }

func newShop(t testing.TB, options ...shopOption) *shop {
	t.Helper()
	s := &shop{store: memstore.New(), log: &logBuffer{}}
	late := &lateHandler{}
	gatewayConfig := gatewaytest.Config{
		BaseURL: "https://gateway.test",
		HTTPClient: &http.Client{Transport: gatewaytest.HandlerTransport(http.HandlerFunc(
			func(w http.ResponseWriter, r *http.Request) { late.ServeHTTP(w, r) }))},
	}
	clientConfig := codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
	}
	config := codegrant.Config{
		Store:   s.store,
		BaseURL: baseURL,
		User:    func(r *http.Request) (string, error) { return r.Header.Get("X-User"), nil },
		OnToken: func(_ context.Context, c codegrant.Change) error {
			return s.record(func() { s.changes = append(s.changes, c) })
		},
		OnPayment: func(_ context.Context, n codegrant.PaymentNotification) error {
			return s.record(func() { s.payments = append(s.payments, n) })
		},
		OnRefund: func(_ context.Context, n codegrant.RefundNotification) error {
			return s.record(func() { s.refunds = append(s.refunds, n) })
		},
		OnUnknown: func(_ context.Context, n codegrant.Notification) error {
			return s.record(func() { s.unknown = append(s.unknown, n) })
		},
		ReturnTo: []string{"/account", "/checkout"},
		Logger:   slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, o := range options {
		o(&gatewayConfig, &clientConfig, &config)
	}
	s.gateway = gatewaytest.New(gatewayConfig)
	t.Cleanup(s.gateway.Close)
	if clientConfig.HTTPClient == nil {
		clientConfig.HTTPClient = &http.Client{Transport: s.gateway.Transport()}
	}
	var err error
	s.client, err = codegrant.NewClient(clientConfig)
	require.NoError(t, err)
	config.Client = s.client
	s.store = config.Store
	s.Kit, err = codegrant.New(config)
	require.NoError(t, err)
	s.handler = http.StripPrefix("/wallet", s.Kit)
	late.Handler = s.handler
	return s
}

func (s *shop) record(add func()) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	add()
	return nil
}

func (s *shop) heard() []codegrant.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]codegrant.Change(nil), s.changes...)
}

func (s *shop) heardPayments() []codegrant.PaymentNotification {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]codegrant.PaymentNotification(nil), s.payments...)
}

// start signs a user up as far as the wallet's page.
func (s *shop) start(t testing.TB, user string) codegrant.Token {
	t.Helper()
	token, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: user, Wallet: codegrant.GCash})
	require.NoError(t, err)
	return token
}

// connect signs a user up to the end.
func (s *shop) connect(t testing.TB, user string) codegrant.Token {
	t.Helper()
	token := s.start(t, user)
	require.NoError(t, s.gateway.Approve(token.AuthURL))
	token = s.get(t, token.ID)
	require.Equal(t, codegrant.StatusActive, token.Status)
	return token
}

func (s *shop) get(t testing.TB, id string) codegrant.Token {
	t.Helper()
	token, err := s.store.Get(context.Background(), id)
	require.NoError(t, err)
	return token
}

func chargeParams(user, order string) codegrant.ChargeParams {
	return codegrant.ChargeParams{
		UserID: user, OrderID: order, Amount: codegrant.Amount{Minor: 10050, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "user@example.com",
	}
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

var errStore = errors.New("the database is away")

// faultyStore fails or delays chosen calls of a store.
type faultyStore struct {
	codegrant.TokenStore
	before func(ctx context.Context, method string) error
}

func (f *faultyStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	if err := f.before(ctx, "Get"); err != nil {
		return codegrant.Token{}, err
	}
	return f.TokenStore.Get(ctx, id)
}

func (f *faultyStore) Save(ctx context.Context, t codegrant.Token) error {
	if err := f.before(ctx, "Save"); err != nil {
		return err
	}
	return f.TokenStore.Save(ctx, t)
}

func (f *faultyStore) ByFingerprint(ctx context.Context, fp string) (codegrant.Token, error) {
	if err := f.before(ctx, "ByFingerprint"); err != nil {
		return codegrant.Token{}, err
	}
	return f.TokenStore.ByFingerprint(ctx, fp)
}

func (f *faultyStore) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	if err := f.before(ctx, "ByUser"); err != nil {
		return nil, err
	}
	return f.TokenStore.ByUser(ctx, account, user)
}

func (f *faultyStore) Unsettled(ctx context.Context, before time.Time, limit int) ([]codegrant.Token, error) {
	if err := f.before(ctx, "Unsettled"); err != nil {
		return nil, err
	}
	return f.TokenStore.Unsettled(ctx, before, limit)
}
