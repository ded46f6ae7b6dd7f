package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"sync"
	"time"
)

// crowd is a number of people who buy, each as fast as the shop answers.
type crowd struct {
	cluster *cluster
	ctx     context.Context //nolint:containedctx // bounds what outlives newCrowd
	closing chan struct{}
	buyers  sync.WaitGroup

	mu    sync.Mutex
	tally tally
}

// tally is what the people saw.
type tally struct {
	requests  int
	lost      []string       // requests without the expected answer
	served    map[string]int // answers by instance
	connected []string       // sign-ups that the wallet has approved
	paid      []string       // orders that a page said were paid
	ended     []string       // agreements that were ended
}

// newCrowd lets n people in. They finish what they are doing when ctx ends or
// the crowd leaves.
func newCrowd(ctx context.Context, c *cluster, n int) *crowd {
	all := &crowd{cluster: c, ctx: context.WithoutCancel(ctx), closing: make(chan struct{})}
	all.tally.served = make(map[string]int)
	for i := range n {
		all.buyers.Go(func() {
			for visit := 0; all.open(ctx); visit++ {
				all.visit(fmt.Sprintf("buyer-%d-%d", i, visit), visit)
			}
		})
	}
	return all
}

func (c *crowd) open(ctx context.Context) bool {
	select {
	case <-c.closing:
		return false
	default:
		return ctx.Err() == nil
	}
}

// leave waits until everybody has gone.
func (c *crowd) leave() tally {
	close(c.closing)
	c.buyers.Wait()
	return c.tally
}

// buyer is one person with a browser.
type buyer struct {
	crowd  *crowd
	client *http.Client
}

// visit is one person's: sign in, connect a wallet, buy twice, and every third
// one disconnects.
func (c *crowd) visit(name string, number int) {
	jar, _ := cookiejar.New(nil) // never fails
	b := &buyer{c, &http.Client{
		Jar: jar, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		// A browser opens another connection when an idle one was closed just as
		// it sent a form. Go's client does not dare to, so it keeps none.
		Transport: &http.Transport{DisableKeepAlives: true},
	}}
	var ignored struct{}
	if !b.insist("/login", url.Values{"name": {name}}, http.StatusSeeOther, &ignored) {
		return
	}
	token, ok := b.connect()
	if !ok {
		return
	}
	for range 2 {
		b.buy()
	}
	if number%3 == 2 {
		var state struct{ Status string }
		if b.insist("/wallet/unbind", url.Values{"id": {token}}, http.StatusOK, &state) && b.expect(state.Status, "unbound", "/wallet/unbind") {
			c.note(func(t *tally) { t.ended = append(t.ended, token) })
		}
	}
}

// connect signs up until the wallet's page is there, agrees, and comes back.
func (b *buyer) connect() (token string, ok bool) {
	var started struct{ ID, AuthURL string }
	if !b.insist("/wallet/signup", url.Values{"wallet": {"GCash"}}, http.StatusOK, &started) {
		return "", false
	}
	if err := b.crowd.cluster.gateway.Approve(started.AuthURL); err != nil {
		b.lose("approve: " + err.Error())
		return "", false
	}
	b.crowd.note(func(t *tally) { t.connected = append(t.connected, started.ID) })
	var state struct{ Status string }
	for range tries { // the page asks again by itself
		if !b.insist("/wallet/return/"+started.ID, nil, http.StatusOK, &state) {
			return "", false
		}
		if state.Status == "active" {
			return started.ID, true
		}
		b.pause()
	}
	return "", b.expect(state.Status, "active", "/wallet/return")
}

// buy presses the button of one order until it says that it is paid.
func (b *buyer) buy() {
	id := rand.Text()
	var order struct{ State string }
	for range tries {
		if !b.insist("/orders/"+id+"/pay", url.Values{}, http.StatusOK, &order) {
			return
		}
		if order.State == "paid" {
			b.crowd.note(func(t *tally) { t.paid = append(t.paid, id) })
			return
		}
		b.pause()
	}
	b.expect(order.State, "paid", "/orders/"+id+"/pay")
}

// tries bounds how often somebody asks again, half a minute in all.
const tries = 150

func (b *buyer) pause() { time.Sleep(200 * time.Millisecond) }

// insist makes a request, and makes it again when the answer is not the one
// wanted. Each time is noted as lost.
func (b *buyer) insist(path string, form url.Values, want int, into any) bool {
	for range tries {
		began := time.Now()
		err := b.request(path, form, want, into)
		if err == nil {
			return true
		}
		b.lose(fmt.Sprintf("%s after %d ms: %v", path, time.Since(began).Milliseconds(), err))
		b.pause()
	}
	return false
}

// request makes one request; without a form it is a GET.
func (b *buyer) request(path string, form url.Values, want int, into any) error {
	method := http.MethodGet
	if form != nil {
		method = http.MethodPost
	}
	r, err := http.NewRequestWithContext(b.crowd.ctx, method, b.crowd.cluster.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "application/json")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	b.crowd.note(func(t *tally) { t.requests++ })
	response, err := b.client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s from %q", response.Status, response.Header.Get("X-Instance"))
	}
	b.crowd.note(func(t *tally) { t.served[response.Header.Get("X-Instance")]++ })
	if len(body) > 0 {
		return json.Unmarshal(body, into)
	}
	return nil
}

func (b *buyer) expect(got, want, where string) bool {
	if got != want {
		b.lose(fmt.Sprintf("%s: %q, not %q", where, got, want))
	}
	return got == want
}

func (b *buyer) lose(what string) {
	b.crowd.note(func(t *tally) { t.lost = append(t.lost, what) })
}

func (c *crowd) note(change func(*tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.tally)
}
