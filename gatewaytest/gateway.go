package gatewaytest

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// Gateway is the simulated PingPong gateway: its API, the wallets' pages and
// the operator's ledger in one http.Handler. Make one with [New] or
// [NewServer]. All methods may be called concurrently.
type Gateway struct {
	cfg      Config
	accounts map[string]Account
	client   *http.Client
	ops      map[string]Op
	pages    http.Handler

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex
	idle       *sync.Cond
	busy       int
	closed     bool
	timers     map[*time.Timer]struct{}
	source     *rand.PCG // of random
	random     *rand.Rand
	faults     []*Fault
	holding    bool
	losing     bool // every new notification is lost
	held       []*notice
	notices    []*notice
	agreements []*agreement
	charges    []*charge
	refunds    []*refund

	byState   map[string]*agreement
	byRequest map[key]*agreement
	byToken   map[key]*agreement
	attempts  map[key]*charge // by requestId
	orders    map[key][]*charge
	refundOf  map[key]*refund // by merchantRefundId
	unbinds   map[key]*agreement
}

// key is a merchant's own number together with the account that chose it.
type key struct{ accountID, id string }

// New returns a gateway to mount or to use through [Gateway.Transport]. Call
// [Gateway.Close] when done with it.
func New(cfg Config) *Gateway {
	cfg = cfg.withDefaults()
	seed := cfg.Seed
	if seed == 0 {
		var random [8]byte
		crand.Read(random[:])
		seed = binary.LittleEndian.Uint64(random[:])
	}
	g := &Gateway{
		cfg:       cfg,
		accounts:  cfg.accounts(),
		client:    cfg.HTTPClient,
		timers:    make(map[*time.Timer]struct{}),
		source:    rand.NewPCG(seed, 0),
		byState:   make(map[string]*agreement),
		byRequest: make(map[key]*agreement),
		byToken:   make(map[key]*agreement),
		attempts:  make(map[key]*charge),
		orders:    make(map[key][]*charge),
		refundOf:  make(map[key]*refund),
		unbinds:   make(map[key]*agreement),
		ops: map[string]Op{
			"/v4/paymethod/bind":            OpSignUp,
			cfg.Paths.SignUpQuery:           OpSignUpQuery,
			cfg.Paths.Unbind:                OpUnbind,
			"/v4/payment/unifiedPay":        OpPay,
			"/v4/payment/query":             OpPayQuery,
			"/v4/payment/refund":            OpRefund,
			"/v4/refund/query":              OpRefundQuery,
			"/v4/payment/getRefund":         OpRefundQuery,
			"/v4/authorization/prepare":     OpPrepare,
			"/v4/authorization/applyToken":  OpApplyToken,
			"/v4/authorization/cancelToken": OpCancelToken,
			"/v4/authorization/list":        OpList,
		},
	}
	g.random = rand.New(g.source)
	g.idle = sync.NewCond(&g.mu)
	g.ctx, g.cancel = context.WithCancel(context.Background())
	if g.client == nil {
		g.client = &http.Client{
			Transport: http.DefaultTransport.(*http.Transport).Clone(),
			Timeout:   10 * time.Second,
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		}
	}
	g.pages = g.pageRoutes()
	return g
}

// ServeHTTP answers an API call or shows a page.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if op, ok := g.ops[r.URL.Path]; ok {
		g.exchange(op, r).write(w)
		return
	}
	g.pages.ServeHTTP(w, r)
}

// Close stops retries, pending deliveries and hanging calls, and waits until no
// goroutine of the gateway is left. It must not be called from a merchant's
// notification handler. Closing twice is harmless.
func (g *Gateway) Close() {
	g.mu.Lock()
	g.closed = true
	for timer := range g.timers {
		if timer.Stop() {
			g.work.Done()
		}
	}
	clear(g.timers)
	g.mu.Unlock()

	g.cancel()
	g.work.Wait()
	if g.cfg.HTTPClient == nil {
		g.client.CloseIdleConnections()
	}
}

// Wait blocks until no delivery attempt is under way. Attempts that wait for
// their time or are held do not count. Use it after a payment, whose
// notification goes out on its own.
func (g *Gateway) Wait() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.busy > 0 {
		g.idle.Wait()
	}
}

// begin counts a piece of work that Close and Wait must wait for, and reports
// false once the gateway is closed. The caller holds mu.
func (g *Gateway) begin() bool {
	if g.closed {
		return false
	}
	g.work.Add(1)
	g.busy++
	return true
}

func (g *Gateway) end() {
	g.mu.Lock()
	g.busy--
	g.idle.Broadcast()
	g.mu.Unlock()
	g.work.Done()
}

// after runs do once d has passed, unless the gateway closes first. The caller
// holds mu.
func (g *Gateway) after(d time.Duration, do func()) {
	if g.closed {
		return
	}
	g.work.Add(1)
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		defer g.work.Done()
		g.mu.Lock()
		delete(g.timers, timer)
		g.mu.Unlock()
		do()
	})
	g.timers[timer] = struct{}{}
}

// hex and number make identifiers from the seeded source. The caller holds mu.
func (g *Gateway) hex(digits int) string {
	text := ""
	for len(text) < digits {
		text += fmt.Sprintf("%016x", g.random.Uint64())
	}
	return text[:digits]
}

func (g *Gateway) number(digits int) string {
	text := fmt.Sprintf("%019d", g.random.Int64())
	return text[len(text)-digits:]
}
