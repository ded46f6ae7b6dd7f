package gatewaytest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ErrNotFound is wrapped by every error about something that the gateway does
// not know: an authUrl, a user's wallet, an order, a notification.
var ErrNotFound = errors.New("gatewaytest: not found")

// RetrySchedule returns the waits after each failed delivery attempt, unscaled
// (PingPong v4, section 6): 12 retries, 13 attempts, 12h03m10s in all. That
// each wait starts at the end of the attempt before is inferred.
func RetrySchedule() []time.Duration {
	return []time.Duration{
		5 * time.Second, 5 * time.Second, 3 * time.Minute, 10 * time.Minute,
		20 * time.Minute, 30 * time.Minute, 30 * time.Minute, 30 * time.Minute,
		60 * time.Minute, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour,
	}
}

// Hold keeps back every attempt that becomes due from now on, until
// [Gateway.Release] sends it.
func (g *Gateway) Hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.holding = true
}

// Held returns the notifications that wait for [Gateway.Release], in the order
// in which they became due.
func (g *Gateway) Held() []Notification {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []Notification
	for _, n := range g.held {
		list = append(list, n.copy())
	}
	return list
}

// Release delivers the held notifications with these IDs, in this order, and
// returns after the last attempt; the gateway goes on holding others. Without
// IDs it delivers everything held and stops holding. A failed attempt is
// retried on schedule.
func (g *Gateway) Release(ids ...int) error {
	g.mu.Lock()
	var chosen []*notice
	for _, id := range ids {
		i := slices.IndexFunc(g.held, func(n *notice) bool { return n.ID == id })
		if i < 0 || slices.Contains(chosen, g.held[i]) {
			g.mu.Unlock()
			return fmt.Errorf("held notification %d: %w", id, ErrNotFound)
		}
		chosen = append(chosen, g.held[i])
	}
	if len(ids) == 0 {
		chosen = slices.Clone(g.held)
		g.holding = false
	}
	for _, n := range chosen {
		n.Held = false
		g.held = slices.DeleteFunc(g.held, func(held *notice) bool { return held == n })
	}
	g.mu.Unlock()

	for _, n := range chosen {
		g.attempt(n, true)
	}
	return nil
}

// LoseNotifications loses every notification from now on, or no longer: it is
// never sent, as by a [DropAll] fault, unless [Gateway.Redeliver] sends it. The
// ledger's page has a switch for it.
func (g *Gateway) LoseNotifications(lose bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.losing = lose
}

// Redeliver sends a notification once more, whatever became of it before, and
// returns the attempt. It ignores Hold and faults, and takes no step of the
// retry schedule; if it succeeds, the retries stop.
func (g *Gateway) Redeliver(id int) (Attempt, error) {
	g.mu.Lock()
	if id < 1 || id > len(g.notices) {
		g.mu.Unlock()
		return Attempt{}, fmt.Errorf("notification %d: %w", id, ErrNotFound)
	}
	n := g.notices[id-1]
	started := g.begin()
	g.mu.Unlock()
	if !started {
		return Attempt{}, http.ErrServerClosed
	}
	defer g.end()
	return g.send(n, n.Body, 0), nil
}

// first makes the first attempt after wait, or when a Delay fault says.
func (g *Gateway) first(n *notice, wait time.Duration) {
	g.mu.Lock()
	fault := g.takeFault(n.Op, firstKinds())
	switch {
	case fault.Kind == DropAll, g.losing:
		n.Lost = true
		g.mu.Unlock()
	case fault.Kind == Delay:
		if fault.Delay == 0 {
			fault.Delay = 5 * time.Second
		}
		g.later(n, wait+fault.Delay)
		g.mu.Unlock()
	case wait > 0:
		g.later(n, wait)
		g.mu.Unlock()
	default:
		g.mu.Unlock()
		g.attempt(n, false)
	}
}

// later schedules an attempt. The caller holds mu.
func (g *Gateway) later(n *notice, wait time.Duration) {
	n.NextAt = time.Now().Add(wait)
	g.after(wait, func() {
		g.mu.Lock()
		n.NextAt = time.Time{}
		delivered := n.Delivered
		g.mu.Unlock()
		if !delivered {
			g.attempt(n, false)
		}
	})
}

// attempt makes one scheduled attempt and, if it fails, arranges the next.
func (g *Gateway) attempt(n *notice, released bool) {
	g.mu.Lock()
	if g.holding && !released {
		n.Held = true
		g.held = append(g.held, n)
		g.mu.Unlock()
		return
	}
	if !g.begin() {
		g.mu.Unlock()
		return
	}
	defer g.end()
	fault := g.takeFault(n.Op, attemptKinds())
	g.mu.Unlock()

	g.send(n, n.bodyFor(fault.Kind), fault.Kind)
	if fault.Kind == Duplicate {
		g.send(n, n.Body, fault.Kind)
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	if schedule := RetrySchedule(); !n.Delivered && n.retries < len(schedule) {
		wait := schedule[n.retries]
		n.retries++
		g.later(n, time.Duration(float64(wait)/g.cfg.Scale))
	}
}

// send posts the body and records the attempt.
func (g *Gateway) send(n *notice, body []byte, fault FaultKind) Attempt {
	a := Attempt{At: time.Now(), Fault: fault}
	if fault == DropAttempt {
		a.Err = "lost on purpose"
	} else if status, answer, err := g.post(g.ctx, n.URL, body); err != nil {
		a.Err = err.Error()
	} else {
		a.Status, a.Body = status, answer
	}

	g.mu.Lock()
	defer g.mu.Unlock()
	n.Attempts = append(n.Attempts, a)
	if a.Accepted() {
		n.Delivered = true
		n.NextAt = time.Time{}
		if n.charge != nil {
			n.charge.told = n.charge.told || n.charge.Status == StatusSuccess
		}
	}
	return a
}

func (g *Gateway) post(ctx context.Context, url string, body []byte) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("notification URL: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := g.notifier().Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil {
		return 0, "", fmt.Errorf("merchant's answer: %w", err)
	}
	return resp.StatusCode, strings.TrimSpace(string(answer)), nil
}
