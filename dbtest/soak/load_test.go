//go:build linux

package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/codegrant/codegrant"
)

const (
	perSecond = 50 // operations that the world begins
	inFlight  = 200
)

var (
	price       = codegrant.Amount{Minor: 1250, Currency: "HKD"}
	partOfPrice = codegrant.Amount{Minor: 300, Currency: "HKD"}
)

// books are what the world remembers. Their size is bounded, but for the
// complaints.
type books struct {
	mu         sync.Mutex
	known      [500]customer // who agreed last
	orders     [500]*order   // of a moment ago
	tally      map[string]int
	complaints []string

	serial  atomic.Int64
	skipped atomic.Int64 // operations that found too many others under way
}

// customer is a user who agreed in the wallet.
type customer struct {
	id     string
	wallet codegrant.Wallet
}

// order is what its customer knows of it.
type order struct {
	id, user string
	attempt  int
	outcome  codegrant.Outcome
}

// operation is something that the world does, and how often of 100 times.
type operation struct {
	name  string
	share int
	do    func(context.Context)
}

func (w *world) operations() []operation {
	return []operation{
		{"sign-up", 16, w.signUp},
		{"charge", 23, w.newOrder},
		{"charge pressed twice", 4, w.pressTwice},
		{"repeated charge", 16, w.chargeAgain},
		{"charge that is hung up", 3, w.hangUp},
		{"refund", 9, w.refund},
		{"unbinding by the shop", 4, w.unbindByShop},
		{"unbinding in the wallet", 4, w.unbindInWallet},
		{"forgery", 10, w.forge},
		{"look", 9, w.look},
		{"stalled sender", 2, w.stall},
	}
}

// load begins operations at a constant rate until ctx ends, and returns when
// the last one is over.
func (w *world) load(ctx context.Context) {
	operations := w.operations()
	slots := make(chan struct{}, inFlight)
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		draw, chosen := rand.IntN(100), operations[0]
		for _, chosen = range operations {
			if draw -= chosen.share; draw < 0 {
				break
			}
		}
		select {
		case slots <- struct{}{}:
		default:
			w.skipped.Add(1)
			continue
		}
		w.count(chosen.name)
		wg.Go(func() {
			defer func() { <-slots }()
			// What has begun goes on to its end, also after the load.
			chosen.do(context.WithoutCancel(ctx))
		})
	}
}

func (w *world) count(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.tally[what]++
}

// complain notes what the shop must never do.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

func (w *world) number(prefix string) string { return prefix + strconv.FormatInt(w.serial.Add(1), 10) }

// post asks the shop for something as user, and returns 0 if no answer came.
func (w *world) post(ctx context.Context, user, path, body string) (status int, answer []byte) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://shop.test"+path, strings.NewReader(body))
	if err != nil {
		return 0, nil
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "application/json")
	request.Header.Set(userHeader, user)
	response, err := w.customers.Do(request)
	if err != nil {
		return 0, nil
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	if err != nil {
		return 0, nil
	}
	return response.StatusCode, answer
}

// signUp is a user who goes to the wallet and agrees, refuses, turns back, or
// agrees when the shop has given up.
func (w *world) signUp(ctx context.Context) {
	c := customer{w.number("user-"), codegrant.GCash}
	if rand.IntN(4) == 0 {
		c.wallet = codegrant.Boost // says nothing when a user unbinds there
	}
	status, body := w.post(ctx, c.id, "/wallet/signup", fmt.Sprintf(`{"wallet":%q}`, c.wallet))
	var page struct{ AuthURL string }
	if status != http.StatusOK || json.Unmarshal(body, &page) != nil || page.AuthURL == "" {
		w.count("sign-up: no page")
		return
	}
	wait := rand.N(time.Second)
	draw := rand.IntN(100)
	switch {
	case draw < 15:
		w.count("sign-up: turned back")
		return
	case draw < 18:
		w.count("sign-up: late")
		wait += giveUpAfter * 3 / 2
	}
	<-time.After(wait)
	if draw < 28 && draw >= 18 {
		w.count("sign-up: refused")
		_ = w.gateway.Refuse(page.AuthURL)
		return
	}
	if err := w.gateway.Approve(page.AuthURL); err != nil {
		w.complain("a page of the wallet did not work: %v", err)
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.known[rand.IntN(len(w.known))] = c
}

// someone returns a customer; its id is empty if there is none.
func (w *world) someone() customer {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range len(w.known) {
		if c := w.known[rand.IntN(len(w.known))]; c.id != "" {
			return c
		}
	}
	return customer{}
}

// forget strikes a customer off who cannot pay any more.
func (w *world) forget(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.known {
		if w.known[i].id == id {
			w.known[i] = customer{}
		}
	}
}

func (w *world) someOrder(fits func(*order) bool) *order {
	w.mu.Lock()
	defer w.mu.Unlock()
	for range len(w.orders) {
		if o := w.orders[rand.IntN(len(w.orders))]; o != nil && fits(o) {
			return o
		}
	}
	return nil
}

func (w *world) beginOrder() *order {
	c := w.someone()
	if c.id == "" {
		return nil
	}
	o := &order{id: w.number("ORDER-"), user: c.id, attempt: 1}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.orders[rand.IntN(len(w.orders))] = o
	return o
}

func (w *world) newOrder(ctx context.Context) {
	if o := w.beginOrder(); o != nil {
		w.charge(ctx, o)
	}
}

// chargeAgain repeats a charge, whatever came of it; a failed one as the next
// attempt.
func (w *world) chargeAgain(ctx context.Context) {
	if o := w.someOrder(func(*order) bool { return true }); o != nil {
		w.charge(ctx, o)
	}
}

// pressTwice is a customer who does not wait: the same charge, and soon the same
// refund, reach the shop twice at once and most often different nodes.
func (w *world) pressTwice(ctx context.Context) {
	o := w.beginOrder()
	if o == nil {
		return
	}
	twice := func(do func()) {
		var wg sync.WaitGroup
		wg.Go(do)
		wg.Go(do)
		wg.Wait()
	}
	twice(func() { w.charge(ctx, o) })
	w.mu.Lock()
	paid := o.outcome == codegrant.Succeeded
	w.mu.Unlock()
	if paid && rand.IntN(4) == 0 {
		twice(func() { w.refundPart(ctx, o, 1) })
	}
}

// hangUp is a customer whose browser leaves in the middle of a charge.
func (w *world) hangUp(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, rand.N(10*time.Millisecond))
	defer cancel()
	if o := w.beginOrder(); o != nil {
		w.charge(ctx, o)
	}
}

func (w *world) charge(ctx context.Context, o *order) {
	w.mu.Lock()
	attempt, before := o.attempt, o.outcome
	if before == codegrant.Failed && attempt < 3 {
		attempt++
	}
	w.mu.Unlock()
	status, body := w.post(ctx, o.user, fmt.Sprintf("/charge?user=%s&order=%s&attempt=%d", o.user, o.id, attempt), "")
	v := w.read("charge", status, body)
	if v.Code == string(codegrant.ErrNoToken) {
		w.forget(o.user)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case before == codegrant.Succeeded && v.Outcome != "" && v.Outcome != codegrant.Succeeded:
		w.complaints = append(w.complaints, fmt.Sprintf("order %s was paid, and then %s", o.id, v.Outcome))
	case v.Outcome == codegrant.Succeeded, v.Outcome != "" && attempt >= o.attempt && o.outcome != codegrant.Succeeded:
		o.attempt, o.outcome = max(attempt, o.attempt), v.Outcome
	}
}

// read counts the shop's answer to a charge or a refund.
func (w *world) read(what string, status int, body []byte) (v verdict) {
	if status != http.StatusOK || json.Unmarshal(body, &v) != nil {
		w.count(what + ": no answer")
		return verdict{}
	}
	w.count(what + ": " + string(v.Outcome) + v.Code)
	switch v.Code {
	case "other", string(codegrant.ErrNotOwner), string(codegrant.ErrInvalidRequest), string(codegrant.ErrNotFound):
		w.complain("a %s was answered with %s", what, v.Code)
	}
	return v
}

// refund pays a part back, or asks again for a part that was.
func (w *world) refund(ctx context.Context) {
	o := w.someOrder(func(o *order) bool { return o.outcome == codegrant.Succeeded })
	if o != nil {
		w.refundPart(ctx, o, 1+rand.IntN(3))
	}
}

func (w *world) refundPart(ctx context.Context, o *order, number int) {
	status, body := w.post(ctx, o.user, fmt.Sprintf("/refund?order=%s&number=%d", o.id, number), "")
	w.read("refund", status, body)
}

func (w *world) unbindByShop(ctx context.Context) {
	c := w.someone()
	if c.id == "" {
		return
	}
	status, _ := w.post(ctx, c.id, "/wallet/unbind", `{}`)
	w.count(fmt.Sprintf("unbinding by the shop: %d", status))
}

func (w *world) unbindInWallet(context.Context) {
	if c := w.someone(); c.id != "" {
		_ = w.gateway.UnbindInWallet(c.id, string(c.wallet)) // it may have ended
	}
}

// look is a user who looks at the own wallets.
func (w *world) look(ctx context.Context) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://shop.test/wallet/status", nil)
	if err != nil {
		return
	}
	request.Header.Set(userHeader, w.someone().id)
	if response, err := w.customers.Do(request); err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
		w.count(fmt.Sprintf("look: %d", response.StatusCode))
	}
}
