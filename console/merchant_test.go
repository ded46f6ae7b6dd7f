package console_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

const hostile = `"><script>alert(1)</script>'` + "`" + `{{.}}`

// merchant is a shop with everything that can happen to records.
type merchant struct {
	*codegrant.Kit
	t        *testing.T
	gateway  *gatewaytest.Gateway
	store    *spyStore
	handler  http.Handler
	log      *logBuffer
	refusing atomic.Bool // hooks
	later    atomic.Int64
	orders   []string
}

// now is the clock of the kit and of the pages.
func (m *merchant) now() time.Time { return time.Now().Add(time.Duration(m.later.Load())) }

// spyStore remembers the id of the payment that was looked up last, and fails
// when told to.
type spyStore struct {
	*memstore.Store
	mu     sync.Mutex
	last   string
	asked  []string
	fail   error
	partly error // what Unsettled returns beside its list
}

func (s *spyStore) failPartly(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partly = err
}

func (s *spyStore) note(parameter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, parameter)
}

// askedFor is every id and user that the store was asked for.
func (s *spyStore) askedFor() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *spyStore) failing() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail
}

func (s *spyStore) failWith(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

func (s *spyStore) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	if err := s.failing(); err != nil {
		return codegrant.Payment{}, err
	}
	s.mu.Lock()
	s.last = id
	s.mu.Unlock()
	return s.Store.GetPayment(ctx, id)
}

func (s *spyStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	if err := s.failing(); err != nil {
		return codegrant.Token{}, err
	}
	s.note(id)
	return s.Store.Get(ctx, id)
}

func (s *spyStore) ByUser(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	if err := s.failing(); err != nil {
		return nil, err
	}
	s.note(user)
	return s.Store.ByUser(ctx, account, user)
}

func (s *spyStore) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	if err := s.failing(); err != nil {
		return codegrant.Token{}, err
	}
	return s.Store.ByFingerprint(ctx, fingerprint)
}

func (s *spyStore) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	if err := s.failing(); err != nil {
		return nil, err
	}
	list, err := s.Store.Unsettled(ctx, olderThan, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	return list, errors.Join(err, s.partly)
}

type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newMerchant(t *testing.T, change ...func(*merchant, *console.Config)) *merchant {
	t.Helper()
	m := &merchant{t: t, store: &spyStore{Store: memstore.New()}, log: &logBuffer{}}
	m.gateway = gatewaytest.New(gatewaytest.Config{
		BaseURL: "https://gateway.test", ProcessingFirst: true, NotifyRefusals: true, RichNotification: true,
	})
	t.Cleanup(m.gateway.Close)
	logger := slog.New(slog.NewJSONHandler(m.log, nil))
	hook := func(text string) error {
		if m.refusing.Load() {
			return errors.New(text + " is refused")
		}
		return nil
	}
	var err error
	m.Kit, err = codegrant.New(codegrant.Config{
		Client: m.gateway.Client(), Store: m.store, Payments: m.store, BaseURL: "https://shop.test/wallet", Now: m.now,
		User:      func(*http.Request) (string, error) { return "nobody", nil },
		OnToken:   func(context.Context, codegrant.Change) error { return hook("token") },
		OnPayment: func(context.Context, codegrant.PaymentNotification) error { return hook("payment") },
		OnRefund:  func(context.Context, codegrant.RefundNotification) error { return hook("refund") },
		Reconcile: codegrant.ReconcileConfig{Rate: 1e6},
		Logger:    slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	m.gateway.DeliverTo(http.StripPrefix("/wallet", m.Kit))
	cfg := console.Config{
		Kit: m.Kit, Store: m.store, Payments: m.store, Sweep: m.Reconcile, Logger: logger, Now: m.now,
		Authorize: func(r *http.Request) (string, error) { return r.Header.Get("X-Staff"), nil },
	}
	for _, c := range change {
		c(m, &cfg)
	}
	ops, err := console.New(cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/ops/wallets/", http.StripPrefix("/ops/wallets", ops))
	m.handler = mux
	return m
}

func (m *merchant) start(user string, wallet codegrant.Wallet) codegrant.Token {
	m.t.Helper()
	signUp, err := m.StartSignUp(m.t.Context(), codegrant.SignUpParams{UserID: user, Wallet: wallet})
	require.NoError(m.t, err)
	return signUp
}

func (m *merchant) connect(user string, wallet codegrant.Wallet) codegrant.Token {
	m.t.Helper()
	signUp := m.start(user, wallet)
	require.NoError(m.t, m.gateway.Approve(signUp.AuthURL))
	return m.record(signUp.ID)
}

func (m *merchant) record(id string) codegrant.Token {
	m.t.Helper()
	t, err := m.store.Get(m.t.Context(), id)
	require.NoError(m.t, err)
	return t
}

func (m *merchant) charge(user, order string) error {
	m.orders = append(m.orders, order)
	_, err := m.Charge(m.t.Context(), codegrant.ChargeParams{
		UserID: user, OrderID: order, Amount: codegrant.Amount{Minor: 35000, Currency: "PHP"},
		ShopperIP: "203.0.113.7", Email: "buyer@example.com",
	})
	m.gateway.Wait()
	return err
}

// populate makes one record in every state.
func (m *merchant) populate() *merchant {
	t := m.t
	m.start("pending", codegrant.GCash)
	m.connect("active", codegrant.TNGeWallet)
	require.NoError(t, m.gateway.Refuse(m.start("failed", codegrant.DANA).AuthURL))
	m.connect("unbound", codegrant.Kakaopay)
	require.NoError(t, m.gateway.UnbindInWallet("unbound", string(codegrant.Kakaopay)))
	ended := m.connect("ended", codegrant.AlipayHK)
	_, err := m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ended", TokenID: ended.ID})
	require.NoError(t, err)

	m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUpQuery, Kind: gatewaytest.Status500Before, Times: -1})
	m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.Status500Before, Times: -1})
	unbinding := m.connect("unbinding", codegrant.GCash)
	_, err = m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "unbinding", TokenID: unbinding.ID})
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	doubted := m.connect("doubted", codegrant.GCash)
	m.connect("doubted", codegrant.GCash)
	require.False(t, m.record(doubted.ID).DoubtedAt.IsZero())

	m.connect("buyer", codegrant.GCash)
	for _, order := range []string{"order-pending", "order-paid", "order-failed", "order-refunded"} {
		require.NoError(t, m.charge("buyer", order))
	}
	require.NoError(t, m.gateway.Settle("order-paid"))
	require.NoError(t, m.gateway.SettleFailed("order-failed"))
	require.NoError(t, m.gateway.Settle("order-refunded"))
	_, err = m.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-refunded", Amount: codegrant.Amount{Minor: 5000, Currency: "PHP"}, Remark: "broken cup"})
	require.NoError(t, err)
	m.gateway.Wait()
	m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetBefore})
	require.ErrorIs(t, m.charge("buyer", "order-unknown"), codegrant.ErrOutcomeUnknown)

	require.NoError(t, m.charge("buyer", "order-owed"))
	m.refusing.Store(true)
	m.connect("hook", codegrant.Boost)
	require.NoError(t, m.gateway.Settle("order-owed"))

	m.hostileRecords()
	return m
}

// hostileRecords are what a gateway or a user could try.
func (m *merchant) hostileRecords() {
	long := strings.Repeat("W", 300)
	require.NoError(m.t, m.store.Save(m.t.Context(), codegrant.Token{
		ID: "hostile-token", AccountID: m.AccountID(), UserID: hostile, Wallet: codegrant.Wallet(hostile + long),
		Status: codegrant.StatusFailed, Handled: codegrant.StatusFailed, EndedBy: codegrant.EndedBy(hostile), Revision: 1,
		CreatedAt: m.now(), UpdatedAt: m.now(),
	}))
	_, err := m.Payment(m.t.Context(), hostile)
	require.ErrorIs(m.t, err, codegrant.ErrNotFound)
	last := codegrant.PaymentNotification{
		OrderID: hostile, TransactionID: hostile, Status: codegrant.PaymentStatus(hostile), Code: hostile,
		IssuerCode: hostile, IssuerMessage: hostile + long, Remark: hostile,
	}
	require.NoError(m.t, m.store.SavePayment(m.t.Context(), codegrant.Payment{
		ID: m.store.last, AccountID: m.AccountID(), OrderID: hostile, UserID: hostile, TokenID: hostile, RequestID: hostile,
		Wallet: hostile, Amount: codegrant.Amount{Minor: 1, Currency: hostile}, Attempt: 3, Outcome: codegrant.Failed, Last: last,
		Handled: codegrant.Failed, HandledAttempt: 3, Revision: 1, CreatedAt: m.now(), UpdatedAt: m.now(),
		Refunds: []codegrant.RefundRecord{{RefundID: hostile, Amount: codegrant.Amount{Minor: 1, Currency: hostile}, Remark: hostile,
			Outcome: codegrant.Pending, Last: codegrant.RefundNotification{GatewayID: hostile, Code: hostile}}},
		UnsettledSince: m.now(),
	}))
	m.orders = append(m.orders, hostile)
}

// do sends a request as a member of staff.
func (m *merchant) do(method, target string, form url.Values, header ...string) *httptest.ResponseRecorder {
	m.t.Helper()
	r := httptest.NewRequestWithContext(m.t.Context(), method, target, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("X-Staff", "Mia")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	m.handler.ServeHTTP(w, r)
	return w
}

const root = "https://shop.test/ops/wallets/"

func (m *merchant) get(target string) *httptest.ResponseRecorder {
	m.t.Helper()
	return m.do(http.MethodGet, resolve(root, target), nil)
}

func (m *merchant) search(q string, form ...string) *httptest.ResponseRecorder {
	m.t.Helper()
	values := url.Values{"q": {q}}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return m.do(http.MethodPost, root+"search", values)
}

// resolve is what a browser does with a relative address.
func resolve(base, target string) string {
	b, err := url.Parse(base)
	if err != nil {
		return ""
	}
	u, err := b.Parse(target)
	if err != nil {
		return ""
	}
	return u.String()
}
