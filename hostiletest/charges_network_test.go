package hostiletest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/codegrant/codegrant/gatewaytest"
)

// patience is the client's time-out in these worlds.
const patience = 5 * time.Second

// mishap is how a call of the gateway's interface goes wrong.
type mishap int

// The mishaps up to declined are the simulator's own; those behind it are made
// here.
const (
	declined       = mishap(gatewaytest.Decline)
	late           = declined + iota // the caller sees a reset; the request arrives seconds later
	forgedSuccess                    // not by the gateway, which never hears of it
	forgedDecline                    // not by the gateway, which did the work
	replayedAnswer                   // genuine, but of an earlier call of the same interface
	hungUp                           // the caller's context ended while it waited
	mishaps
)

func (m mishap) String() string {
	return [...]string{
		"none", "time-out before", "time-out after", "500 before", "500 after", "reset before", "reset after", "truncated",
		"tampered", "unsigned", "wrong salt", "HTML", "declined", "late", "forged success", "forged decline", "replayed", "hung up",
	}[m]
}

// dice is a random source for several goroutines.
type dice struct {
	mu     sync.Mutex
	random *rand.Rand
}

func (d *dice) intN(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.random.IntN(n)
}

// chance is true in percent of 100 cases.
func (d *dice) chance(percent int) bool { return d.intN(100) < percent }

// upTo is a random time below limit, in milliseconds.
func (d *dice) upTo(limit time.Duration) time.Duration {
	return time.Duration(d.intN(int(limit/time.Millisecond))) * time.Millisecond
}

// badNetwork is the way to the gateway: slow, and while broken is set it loses
// or corrupts about 30 % of the answers.
type badNetwork struct {
	gateway *gatewaytest.Gateway
	dice    *dice
	broken  atomic.Bool
	strict  bool                               // the gateway looks at the token before it looks for the requestId
	sent    func(r *http.Request, body []byte) // hears of each unifiedPay before it leaves
	met     *chargeTally

	mu      sync.Mutex
	answers map[gatewaytest.Op][]byte // a genuine one of each interface, to be replayed
	late    sync.WaitGroup            // requests that nobody waits for
}

func (n *badNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	op := gatewaytest.Op(strings.TrimPrefix(r.URL.Path, "/v4/"))
	if op == gatewaytest.OpPay {
		n.sent(r, body)
	}
	if !n.broken.Load() {
		return n.forward(r, body)
	}
	n.met.calls.Add(1)
	if !n.wait(r.Context(), n.dice.upTo(400*time.Millisecond)) {
		n.met.mishaps[hungUp].Add(1)
		n.arriveLater(r, body) // what was sent cannot be called back
		return nil, r.Context().Err()
	}
	m := n.draw(op)
	n.met.mishaps[m].Add(1)
	switch {
	case m == late:
		n.arriveLater(r, body)
		return nil, syscall.ECONNRESET
	case m == forgedSuccess:
		return n.forge(r, body, "000000", "SUCCESS"), nil
	case m != 0 && m <= declined:
		n.gateway.Inject(gatewaytest.Fault{Op: op, Kind: gatewaytest.FaultKind(m)})
	}
	answer, err := n.forward(r, body)
	if !n.wait(r.Context(), n.dice.upTo(400*time.Millisecond)) {
		n.met.mishaps[hungUp].Add(1)
		return nil, r.Context().Err()
	}
	switch m {
	case forgedDecline:
		return n.forge(r, body, "301002", "FAILED"), nil
	case replayedAnswer:
		n.mu.Lock()
		defer n.mu.Unlock()
		if old := n.answers[op]; old != nil {
			return answerOf(r, old), nil
		}
	case 0:
		if err == nil && n.dice.chance(10) {
			return n.keep(op, answer)
		}
	}
	return answer, err
}

// draw throws for one call: 24 % of the answers do not arrive as they were
// given, which callers who hang up make 30, and a few payments and refunds are
// declined.
func (n *badNetwork) draw(op gatewaytest.Op) mishap {
	if n.dice.chance(24) {
		for {
			m := 1 + mishap(n.dice.intN(int(hungUp)-1))
			if m != declined && (m != replayedAnswer || strings.HasPrefix(string(op), "payment/") || op == gatewaytest.OpRefundQuery) {
				return m
			}
		}
	}
	if (op == gatewaytest.OpPay || op == gatewaytest.OpRefund) && n.dice.chance(6) {
		return declined
	}
	return 0
}

func (n *badNetwork) wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (n *badNetwork) forward(r *http.Request, body []byte) (*http.Response, error) {
	if n.strict && r.URL.Path == "/v4/payment/unifiedPay" && n.dead(body) {
		return answerOf(r, n.gateway.SignedBody("{}", map[string]string{"code": "102000", "description": "token does not exist"})), nil
	}
	inner := r.Clone(r.Context())
	inner.Body = io.NopCloser(bytes.NewReader(body))
	return n.gateway.Transport().RoundTrip(inner)
}

// dead reports whether the token that is to pay has ended.
func (n *badNetwork) dead(body []byte) bool {
	var envelope struct{ BizContent string }
	var biz struct{ Token string }
	if json.Unmarshal(body, &envelope) != nil || json.Unmarshal([]byte(envelope.BizContent), &biz) != nil {
		return false
	}
	for _, a := range n.gateway.Ledger().Agreements {
		if a.Token == biz.Token {
			return a.Status == gatewaytest.StatusUnbound
		}
	}
	return false
}

// arriveLater lets a request that its sender has given up arrive within the
// time for which a connection may live.
func (n *badNetwork) arriveLater(r *http.Request, body []byte) {
	delay := n.dice.upTo(patience)
	n.late.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 2*patience)
		defer cancel()
		time.Sleep(delay)
		if answer, err := n.forward(r.WithContext(ctx), body); err == nil {
			_ = answer.Body.Close()
		}
	})
}

// keep remembers an answer. One that breaks off is given on as it is.
func (n *badNetwork) keep(op gatewaytest.Op, answer *http.Response) (*http.Response, error) {
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil {
		return nil, err
	}
	// An answer that names no payment fits every question: no scheme without a
	// nonce can tell such a replay, only TLS can keep it out.
	if bytes.Contains(text, []byte("merchantTransactionId")) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.answers[op] = text
	}
	return answerOf(answer.Request, text), nil
}

// forge is an answer that fits the request in everything but the signature.
func (n *badNetwork) forge(r *http.Request, body []byte, code, status string) *http.Response {
	var sent struct{ AccID, ClientID, BizContent string }
	var biz map[string]any
	if json.Unmarshal(body, &sent) != nil || json.Unmarshal([]byte(sent.BizContent), &biz) != nil {
		biz = map[string]any{}
	}
	biz["status"], biz["resultCode"] = status, code
	content, err := json.Marshal(biz)
	if err != nil {
		content = []byte("{}")
	}
	text, err := json.Marshal(map[string]string{
		"accId": sent.AccID, "clientId": sent.ClientID, "code": code, "description": "believe me",
		"bizContent": string(content), "signType": "SHA256", "sign": strings.Repeat("0A", 32),
	})
	if err != nil {
		text = nil
	}
	return answerOf(r, text)
}

func answerOf(r *http.Request, text []byte) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)),
		ContentLength: int64(len(text)),
	}
}

// chargeTally counts what the worlds of a test met.
type chargeTally struct {
	worlds, purchases, attempts atomic.Int64
	charged, refunded, unbound  atomic.Int64
	calls                       atomic.Int64 // of the gateway's interface while it was broken
	mishaps                     [mishaps]atomic.Int64
	unknown                     atomic.Int64 // calls whose outcome was unknown
	notices                     atomic.Int64 // payment notifications that the hook took
	mu                          sync.Mutex
	resolved                    map[string]int // purchases and refunds that were unknown, by what told
}

func (c *chargeTally) resolvedBy(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.resolved == nil {
		c.resolved = map[string]int{}
	}
	c.resolved[what]++
}

func (c *chargeTally) lost() (n int64) {
	for m := range mishaps {
		if m != 0 && m != declined {
			n += c.mishaps[m].Load()
		}
	}
	return n
}

func (c *chargeTally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d worlds, %d purchases, %d calls of Charge, Refund or Resolve, %d charged, %d refunded, %d agreements ended; ",
		c.worlds.Load(), c.purchases.Load(), c.attempts.Load(), c.charged.Load(), c.refunded.Load(), c.unbound.Load())
	fmt.Fprintf(&b, "%d calls of the gateway, %.1f %% of the answers lost;", c.calls.Load(), percent(int(c.lost()), int(c.calls.Load())))
	for m := mishap(1); m < mishaps; m++ {
		fmt.Fprintf(&b, " %s %d,", m, c.mishaps[m].Load())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&b, " %d unknown outcomes; settled by %v; %d payment notifications", c.unknown.Load(), c.resolved, c.notices.Load())
	return b.String()
}
