package hostiletest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// policy is how a merchant goes wrong; the zero policy is the right merchant.
type policy struct {
	newOrderAfterUnknown bool // tries an unknown outcome again under another order number
	believesUnverified   bool // takes an answer without a valid signature at its word
	unknownIsFailure     bool // tells the user that nothing was charged
	freshNumbers         bool // pays through Client with a new requestId for each try
	refundsAgain         bool // tries an unknown refund again under another number
	hastyUnbind          bool // calls an agreement ended before the gateway says so
}

// market is a shop of two processes on one store, its users, and the gateway.
type market struct {
	policy  policy
	gateway *gatewaytest.Gateway
	network *badNetwork
	dice    *dice
	config  codegrant.Config
	client  *codegrant.Client
	kits    [2]atomic.Pointer[codegrant.Kit] // share nothing but the store
	users   []string
	met     *chargeTally
	clock   atomic.Int64 // numbers what happens

	mu        sync.Mutex
	purchases []*purchase
	byOrder   map[string]*purchase
	marked    map[string]int64       // when the store first kept a token as ending
	ended     map[string]int         // charges in the ledger when a token's end was acknowledged
	sends     map[string][]departure // by requestId and token
	denials   []denial
	wrong     []string
}

type callKey struct{}

// departure is one unifiedPay on its way.
type departure struct {
	number int64
	at     time.Time
}

// denial is a receipt by which an attempt moved no money.
type denial struct {
	requestID string
	record    string // of the token that did not pay
	began     int64  // of the call that returned it
	why       string
}

func newMarket(seed uint64, d *dice, p policy, met *chargeTally) (*market, error) {
	m := &market{
		policy: p, dice: d, met: met, users: []string{"ann", "bob", "cem"}, byOrder: map[string]*purchase{},
		marked: map[string]int64{}, ended: map[string]int{}, sends: map[string][]departure{},
	}
	g := gatewaytest.Config{
		BaseURL: "https://gateway.test", Seed: seed, SupersedeOlder: d.chance(20), ProcessingFirst: d.chance(25),
		SettleAfter: time.Second + d.upTo(20*time.Second), SilentWallets: []string{"DANA"}, MutePayments: d.chance(50),
		Rates: map[gatewaytest.FaultKind]float64{
			gatewaytest.DropAttempt: 0.1, gatewaytest.DropAll: 0.1, gatewaytest.Duplicate: 0.2, gatewaytest.Delay: 0.1,
			gatewaytest.TamperNotification: 0.05, gatewaytest.UnsignedNotification: 0.05,
		},
	}
	m.gateway = gatewaytest.New(g)
	m.gateway.DeliverTo(http.HandlerFunc(m.receive))
	m.network = &badNetwork{gateway: m.gateway, dice: d, strict: d.chance(50), sent: m.sent, met: met, answers: map[gatewaytest.Op][]byte{}}
	var err error
	m.client, err = codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints:  codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: m.network}, Timeout: patience,
	})
	if err != nil {
		return nil, err
	}
	m.config = codegrant.Config{
		Client: m.client, BaseURL: baseURL, User: func(*http.Request) (string, error) { return "", nil },
		OnPayment: m.heard, Logger: slog.New(slog.DiscardHandler),
		Store: endingStore{&watchedStore{TokenStore: memstore.New(), before: func(context.Context, string) error {
			if d.chance(10) {
				time.Sleep(d.upTo(100 * time.Millisecond))
			}
			return nil
		}}, m},
	}
	if d.chance(50) { // with or without records of the payments, the same must hold
		m.config.Payments = memstore.New()
	}
	return m, errors.Join(m.restart(0), m.restart(1))
}

// restart is a new process in the place of another.
func (m *market) restart(i int) error {
	kit, err := codegrant.New(m.config)
	if err == nil {
		m.kits[i].Store(kit)
	}
	return err
}

func (m *market) kit() *codegrant.Kit { return m.kits[m.dice.intN(2)].Load() }

func (m *market) violation(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wrong = append(m.wrong, fmt.Sprintf(format, args...))
}

// endingStore notes when a token is first kept as ending.
type endingStore struct {
	codegrant.TokenStore
	market *market
}

func (s endingStore) Save(ctx context.Context, t codegrant.Token) error {
	err := s.TokenStore.Save(ctx, t)
	if err == nil && t.Status >= codegrant.StatusUnbinding {
		s.market.mu.Lock()
		defer s.market.mu.Unlock()
		if token := t.Value.Reveal(); s.market.marked[token] == 0 {
			s.market.marked[token] = s.market.clock.Add(1)
		}
	}
	return err
}

// sent hears of every unifiedPay that leaves. A call that began after the
// token was marked must not send it.
func (m *market) sent(r *http.Request, body []byte) {
	var envelope struct{ BizContent string }
	var biz struct{ RequestID, Token, MerchantTransactionID string }
	if json.Unmarshal(body, &envelope) != nil || json.Unmarshal([]byte(envelope.BizContent), &biz) != nil {
		m.violation("an unreadable unifiedPay was sent")
		return
	}
	began, named := r.Context().Value(callKey{}).(int64)
	m.mu.Lock()
	defer m.mu.Unlock()
	key := biz.RequestID + biz.Token
	m.sends[key] = append(m.sends[key], departure{m.clock.Add(1), time.Now()})
	if end := m.marked[biz.Token]; named && end != 0 && end < began {
		m.wrong = append(m.wrong, "order "+biz.MerchantTransactionID+": a charge that began after its token was marked was sent")
	}
}

// receive is the shop's notification endpoint, in one of its processes.
func (m *market) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = m.kit().Apply(r.Context(), body, path.Base(r.URL.Path))
	}
	if err == nil {
		if _, token, f := told(body); f == endedInWallet || f == endedAtMerchant {
			m.acknowledge(token)
		}
		_, _ = io.WriteString(w, "OK")
		return
	}
	w.WriteHeader(codegrant.HTTPStatus(err))
}

// acknowledge notes that the shop was told, or told somebody, that the token
// is over: the ledger must hold no later charge of it.
func (m *market) acknowledge(token string) {
	charges := len(m.gateway.Ledger().Charges)
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.ended[token]; !known && token != "" {
		m.ended[token] = charges
		m.met.unbound.Add(1)
	}
}

// heard is the shop's hook. What it is told counts as much as a receipt.
func (m *market) heard(_ context.Context, n codegrant.PaymentNotification) error {
	m.met.notices.Add(1)
	m.mu.Lock()
	p := m.byOrder[n.OrderID]
	m.mu.Unlock()
	if p == nil {
		m.violation("a payment of an order that nobody made was announced")
		return nil
	}
	if n.Status == codegrant.PaymentSuccess {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.paid(codegrant.Receipt{
			Outcome: codegrant.Succeeded, OrderID: n.OrderID, RequestID: n.RequestID, GatewayID: n.TransactionID, Amount: n.Amount,
		}, "notification", m.met)
	}
	return nil
}

// context is that of one call of the shop. Many callers do not wait for its end.
func (m *market) context() (ctx context.Context, began int64, cancel context.CancelFunc) {
	began = m.clock.Add(1)
	ctx = context.WithValue(context.Background(), callKey{}, began)
	switch way := m.dice.intN(6); {
	case !m.network.broken.Load():
		ctx, cancel = context.WithCancel(ctx)
	case way == 0:
		ctx, cancel = context.WithTimeout(ctx, m.dice.upTo(3*time.Second))
	case way == 1:
		ctx, cancel = context.WithCancel(ctx)
		timer := time.AfterFunc(m.dice.upTo(3*time.Second), cancel)
		stop := cancel
		cancel = func() { timer.Stop(); stop() }
	default:
		ctx, cancel = context.WithCancel(ctx)
	}
	return ctx, began, cancel
}

// signUp brings a user through the wallet, if the network lets it happen.
func (m *market) signUp(user string) {
	wallet := []codegrant.Wallet{codegrant.GCash, codegrant.DANA}[m.dice.intN(2)]
	t, err := m.kit().StartSignUp(context.Background(), codegrant.SignUpParams{UserID: user, Wallet: wallet})
	if err != nil {
		return
	}
	if err := m.gateway.Approve(t.AuthURL); err != nil {
		m.violation("approve: %v", err)
	}
}

// live is what a user does besides buying, and what happens to the processes.
func (m *market) live(user string) {
	for range 16 {
		time.Sleep(m.dice.upTo(5 * time.Second))
		switch m.dice.intN(11) {
		case 0:
			if err := m.restart(m.dice.intN(2)); err != nil {
				m.violation("restart: %v", err)
			}
		case 1, 2:
			// The user may have no agreement to end.
			_ = m.gateway.UnbindInWallet(user, []string{"GCash", "DANA"}[m.dice.intN(2)])
		case 3, 4:
			m.unbind(user)
		default:
			m.signUp(user)
		}
	}
}

func (m *market) unbind(user string) {
	ctx, _, cancel := m.context()
	defer cancel()
	kit := m.kit()
	tokens, err := kit.Tokens(ctx, user)
	if err != nil {
		return
	}
	for _, t := range tokens {
		if t.Status != codegrant.StatusActive && t.Status != codegrant.StatusUnbinding {
			continue
		}
		if m.policy.hastyUnbind {
			m.acknowledge(t.Value.Reveal())
		}
		if _, err := kit.UnbindToken(ctx, codegrant.UnbindParams{UserID: user, TokenID: t.ID}); err == nil {
			m.acknowledge(t.Value.Reveal())
		}
	}
}

// tryPay is one try of the merchant who numbers requests by himself.
func (m *market) tryPay(ctx context.Context, params codegrant.ChargeParams) (codegrant.Receipt, error) {
	t, err := m.kit().ActiveToken(ctx, params.UserID, "")
	if err != nil {
		return codegrant.Receipt{}, err
	}
	r, err := m.client.Pay(ctx, codegrant.PayRequest{
		RequestID: rand.Text(), OrderID: params.OrderID, UserID: t.UserID, Token: t.Value, Wallet: t.Wallet,
		Amount: params.Amount, ShopperIP: params.ShopperIP, Email: params.Email, Terminal: codegrant.PayOnPC,
	})
	if err != nil {
		return codegrant.Receipt{}, err
	}
	receipt := codegrant.Receipt{
		Outcome: codegrant.Failed, OrderID: r.OrderID, RequestID: r.RequestID, GatewayID: r.TransactionID, Amount: r.Amount,
	}
	if r.Status == codegrant.PaymentSuccess {
		receipt.Outcome = codegrant.Succeeded
	}
	return receipt, nil
}
