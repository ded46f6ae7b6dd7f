package hostiletest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

// world is one shop and one gateway while a sequence is played. What the
// gateway sends lies in letters until an event delivers it.
type world struct {
	target  target
	gateway *gatewaytest.Gateway
	config  codegrant.Config
	kit     *codegrant.Kit
	store   codegrant.TokenStore // without the breakage
	db      *sql.DB              // nil without one
	process process
	met     *tally

	mu      sync.Mutex
	arrived []*letter // as the gateway sent them, not looked at yet
	letters []*letter

	now      time.Time
	records  map[string]*modelled
	order    []string // ids of the records as they appeared
	payments []*payment
	heard    map[string][]hearing
	paid     map[string]int // payment notifications that the hook took, by order
	calls    int            // answers of the gateway
	breaks   int            // breakages of the shop that happened
	wire     gatewaytest.FaultKind
	booked   int  // charges of the gateway that were looked at
	copes    bool // what breaks in this step is no excuse: the kit must try again
	quick    bool // the next sign-up's notification overtakes its answer
	err      error
}

// letter is a notification on its way.
type letter struct {
	path, id, token string
	body            []byte
	fact            fact
	accepted, lost  bool
}

// hearing is one call of the hook.
type hearing struct {
	from, status codegrant.Status
	revision     int64
	accepted     bool // it returned nil, as far as the shop knows
}

// shopUsers are who signs up; nobody is the stranger who never does.
var shopUsers = []string{"ann", "bob"}

// play runs the events in a world of their own and returns what was wrong.
func play(target target, seed uint64, events []event, met *tally) error {
	w, err := newWorld(target, seed, met)
	if err != nil {
		return err
	}
	defer w.gateway.Close()
	if w.db != nil {
		defer func() { _ = w.db.Close() }()
	}
	for i, e := range events {
		if w.step(e); w.err != nil {
			return fmt.Errorf("event %d (%s): %w", i, e.do, w.err)
		}
	}
	w.settle()
	met.sequences.Add(1)
	met.records.Add(int64(len(w.order)))
	met.charges.Add(int64(len(w.gateway.Ledger().Charges)))
	if w.err != nil {
		return fmt.Errorf("in the end: %w", w.err)
	}
	return nil
}

func newWorld(target target, seed uint64, met *tally) (*world, error) {
	w := &world{
		target: target, met: met, now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
		records: map[string]*modelled{}, heard: map[string][]hearing{}, paid: map[string]int{},
	}
	var err error
	if w.store, w.db, err = target.open(); err != nil {
		return nil, err
	}
	w.gateway = gatewaytest.New(gatewaytest.Config{
		BaseURL: "https://gateway.test", Seed: seed, NotifyRefusals: true,
		RichNotification: seed>>1%2 == 0, MinimalEnvelope: seed>>2%2 == 0, SupersedeOlder: seed>>3%4 == 0,
	})
	w.gateway.DeliverTo(http.HandlerFunc(w.receive))
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: codegrant.Account{
			ID: gatewaytest.DefaultAccountID, ClientID: gatewaytest.DefaultClientID,
			Salts: codegrant.Salts(gatewaytest.DefaultSalt),
		},
		Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
		HTTPClient: &http.Client{Transport: frailTransport{&w.process, w.gateway.Transport(), func(path string) {
			w.calls++
			if w.quick && path == "/v4/paymethod/bind" {
				w.quick = false
				w.decide(0, true)
				w.deliver(w.waiting(-1))
			}
		}}},
	})
	if err != nil {
		return nil, err
	}
	w.config = codegrant.Config{
		Client: client, Store: frail(&w.process, w.store, target.inTx), BaseURL: baseURL,
		User:    func(*http.Request) (string, error) { return "", nil },
		OnToken: w.onToken,
		OnPayment: func(_ context.Context, n codegrant.PaymentNotification) error {
			return w.process.call("hook", func() error { w.paid[n.OrderID]++; return nil })
		},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return w.now },
		Timeout: time.Minute, // nothing here hangs, and a slow machine is no failure
	}
	w.kit, err = codegrant.New(w.config)
	return w, err
}

// receive takes what the gateway sends, as if the network kept it for a while.
func (w *world) receive(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		body = nil
	}
	l := &letter{path: strings.TrimPrefix(r.URL.Path, "/wallet"), body: body}
	l.id, l.token, l.fact = told(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrived = append(w.arrived, l)
}

// collect looks at what has arrived: from now on the model knows the token.
func (w *world) collect() {
	w.gateway.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.arrived {
		if l.fact != noFact && l.token != "" {
			w.record(l.id).token = l.token
		}
		w.letters = append(w.letters, l)
	}
	w.arrived = nil
}

func (w *world) onToken(ctx context.Context, c codegrant.Change) error {
	w.met.hooks.Add(1)
	heard := hearing{from: c.From, status: c.Token.Status, revision: c.Token.Revision}
	defer func() { w.heard[c.Token.ID] = append(w.heard[c.Token.ID], heard) }()
	err := w.process.call("hook", func() error {
		if !w.target.inTx {
			return nil
		}
		tx, ok := sqlstore.Tx(ctx)
		if !ok {
			return errors.New("the hook runs outside of the transaction")
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?, ?)", c.Token.ID, int(c.Token.Status))
		return err
	})
	heard.accepted = err == nil
	return err
}

func (w *world) record(id string) *modelled {
	if w.records[id] == nil {
		w.records[id] = &modelled{}
		w.order = append(w.order, id)
	}
	return w.records[id]
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// whole reports that nothing has gone wrong in this step so far, so that the
// kit has no excuse.
func (w *world) whole() bool {
	fired, dead := w.process.state()
	return (!fired || w.copes) && !dead && w.wire == 0
}

// step plays one event and looks at everything afterwards.
func (w *world) step(e event) {
	w.met.actions[e.do].Add(1)
	w.now = w.now.Add(time.Duration(e.later)*time.Minute + time.Second)
	w.process.begin(e.shop)
	// Only a new record's number may be taken for good.
	w.copes = e.shop.mode == conflict && e.do != doSignUp && e.do != doSignUpQuick
	if w.wire = e.wire.Kind; w.wire != 0 {
		w.gateway.Inject(e.wire)
	}
	w.do(e)
	w.collect()
	w.gateway.ClearFaults()
	w.wire = 0
	fired, dead := w.process.state()
	if fired {
		w.met.modes[e.shop.mode].Add(1)
		w.breaks++
	}
	w.process.begin(breakage{})
	w.copes = false
	if dead {
		w.restart()
	}
	w.observe()
}

// restart is a new process on the same store: locks, and what callers held in
// their hands, are gone.
func (w *world) restart() {
	w.process.revive()
	for _, p := range w.payments {
		p.resolve = nil
	}
	var err error
	if w.kit, err = codegrant.New(w.config); err != nil {
		w.fail("restart: %v", err)
	}
}

// observe compares every record with the model, and the gateway's books with
// what the records allowed before this step.
func (w *world) observe() {
	w.judgeCharges()
	for _, user := range shopUsers {
		list, err := w.store.ByUser(context.Background(), gatewaytest.DefaultAccountID, user)
		if err != nil {
			w.fail("store: %v", err)
		}
		for _, t := range list {
			if err := w.record(t.ID).judge(t); err != nil {
				w.fail("%v", err)
			}
			w.judgeHook(t)
		}
	}
}

// judgeHook: the hook hears rising statuses, each with a higher revision, and
// what the record calls handled is what it accepted. Where it runs inside the
// transaction, calls that were rolled back never were, and judgeEnd looks at
// what they left behind.
func (w *world) judgeHook(t codegrant.Token) {
	took := codegrant.StatusPending
	var last hearing
	calls := map[codegrant.Status]int{}
	for _, h := range w.heard[t.ID] {
		calls[h.status]++
		kept := !w.target.inTx || w.breaks == 0
		switch {
		case kept && (h.status < last.status || h.revision < last.revision):
			w.fail("record %s: the hook heard %v after %v", t.ID, h, last)
		case kept && h.status > last.status && h.revision == last.revision:
			w.fail("record %s: two statuses under one revision: %v and %v", t.ID, last, h)
		case h.from >= h.status || h.from > took || (w.breaks == 0 && h.from != took):
			w.fail("record %s: the hook heard %v, and had accepted %v", t.ID, h, took)
		case calls[h.status] > 1+w.breaks:
			w.fail("record %s: the hook heard %v again for nothing", t.ID, h)
		}
		if h.accepted {
			took = max(took, h.status)
		}
		last = h
	}
	if t.Handled > took || (w.breaks == 0 && t.Handled != took) {
		w.fail("record %s says handled %s, and the hook accepted %s", t.ID, t.Handled, took)
	}
}

// answer delivers a letter to the kit's endpoint and returns whether it was
// accepted.
func (w *world) answer(l *letter) bool {
	r := httptest.NewRequest(http.MethodPost, l.path, strings.NewReader(string(l.body)))
	recorder := httptest.NewRecorder()
	w.kit.ServeHTTP(recorder, r)
	switch code := recorder.Code; {
	case code == http.StatusOK && recorder.Body.String() == "OK":
		return true
	case code != http.StatusServiceUnavailable:
		w.fail("a genuine notification was answered with %d", code)
	case w.whole():
		w.fail("a notification was answered with 503 for no reason")
	}
	return false
}
