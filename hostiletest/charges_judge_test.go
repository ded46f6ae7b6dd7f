package hostiletest

import (
	"fmt"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// run lives through one market and returns what was wrong in the end.
func (m *market) run(purchases int) []string {
	defer m.gateway.Close()
	for _, user := range m.users {
		m.signUp(user)
	}
	m.network.broken.Store(true)
	var running sync.WaitGroup
	for _, user := range m.users {
		running.Go(func() { m.live(user) })
	}
	for range purchases {
		p := m.newPurchase()
		var buying sync.WaitGroup
		start := m.dice.upTo(40 * time.Second)
		for range 2 + m.dice.intN(3) {
			buying.Go(func() { time.Sleep(start); m.buy(p) })
		}
		running.Go(func() {
			buying.Wait()
			if m.startRefund(p) {
				running.Go(func() { m.payBack(p) })
				running.Go(func() { m.payBack(p) })
			}
		})
	}
	running.Wait()
	m.network.broken.Store(false)
	m.gateway.ClearFaults()
	m.network.late.Wait()
	time.Sleep(3 * patience) // longer than any request lives
	for _, user := range m.users {
		if m.dice.chance(50) {
			m.signUp(user)
		}
	}
	for _, p := range m.purchases {
		m.settle(p)
		if p.giveBack.OrderID != "" && p.status == "paid" {
			m.settleRefund(p)
		}
	}
	m.gateway.Wait()
	m.judge()
	m.met.worlds.Add(1)
	m.met.purchases.Add(int64(len(m.purchases)))
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wrong
}

// startRefund decides whether a paid purchase is paid back, in whole or in part.
func (m *market) startRefund(p *purchase) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status != "paid" || m.dice.chance(60) {
		return false
	}
	p.giveBack = codegrant.RefundParams{OrderID: p.receipt.OrderID, Number: 1, Amount: p.params.Amount}
	if m.dice.chance(50) {
		p.giveBack.Amount.Minor /= 3
	}
	return true
}

// judge compares what the shop believes with the gateway's books.
func (m *market) judge() {
	ledger := m.gateway.Ledger()
	if twice := ledger.ChargedTwice(); len(twice) > 0 {
		m.violation("orders charged twice: %v", twice)
	}
	owners, records := map[string]string{}, map[string]string{}
	for _, a := range ledger.Agreements {
		owners[a.Token], records[a.Token] = a.UserID, a.RequestID
	}
	successes := map[*purchase][]gatewaytest.Charge{}
	requests := map[*purchase]map[string]bool{}
	for i, c := range ledger.Charges {
		p := m.byOrder[c.OrderID]
		if requests[p] == nil {
			requests[p] = map[string]bool{}
		}
		requests[p][c.RequestID] = true
		if c.UserID != p.params.UserID || owners[c.Token] != c.UserID {
			m.violation("order %s was charged to %s, the token is %s's", c.OrderID, c.UserID, owners[c.Token])
		}
		if at, over := m.ended[c.Token]; over && i >= at {
			m.violation("order %s was charged after the end of its token was acknowledged", c.OrderID)
		}
		if c.Status == gatewaytest.StatusSuccess {
			successes[p] = append(successes[p], c)
			m.judgeDenials(c, records[c.Token])
		}
	}
	for _, p := range m.purchases {
		m.judgePurchase(p, successes[p])
		if n := len(requests[p]); n > p.most && len(p.orders) == 1 {
			m.violation("order %s: %d request numbers in %d attempts", p.orders[0], n, p.most)
		}
		m.judgeRefunds(p, ledger.Refunds)
	}
}

// judgeDenials: what had left before a call that called its attempt failed, by
// the same token, was not executed after all.
func (m *market) judgeDenials(c gatewaytest.Charge, record string) {
	var last int64
	for _, s := range m.sends[c.RequestID+c.Token] {
		if !s.at.After(c.At) {
			last = max(last, s.number)
		}
	}
	for _, d := range m.denials {
		if d.requestID == c.RequestID && d.record == record && last < d.began {
			m.violation("order %s: an attempt that was called failed was executed (%s)", c.OrderID, d.why)
		}
	}
}

func (m *market) judgePurchase(p *purchase, charges []gatewaytest.Charge) {
	name := p.orders[0]
	m.met.charged.Add(int64(len(charges)))
	switch {
	case len(charges) > 1:
		m.violation("purchase %s was charged %d times", name, len(charges))
	case p.status == "open":
		m.violation("purchase %s stays unknown", name)
	case p.status == "paid" && len(charges) == 0:
		m.violation("purchase %s is called paid and was not charged", name)
	case p.status == "failed" && len(charges) == 1:
		m.violation("purchase %s is called failed and was charged", name)
	}
	for _, r := range p.all {
		if len(charges) != 1 {
			break
		}
		c := charges[0]
		if r.OrderID != c.OrderID || r.RequestID != c.RequestID || r.GatewayID != c.TransactionID || decimal(r.Amount) != c.Amount ||
			r.Amount != p.params.Amount || r.Amount.Currency != c.Currency {
			m.violation("purchase %s: a receipt over %v, and the ledger says %s", name, r.Amount, c.Amount)
		}
	}
}

func (m *market) judgeRefunds(p *purchase, refunds []gatewaytest.Refund) {
	var done []gatewaytest.Refund
	for _, r := range refunds {
		if r.OrderID == p.giveBack.OrderID && r.Status == gatewaytest.StatusSuccess {
			done = append(done, r)
		}
	}
	if p.giveBack.OrderID == "" {
		return
	}
	m.met.refunded.Add(int64(len(done)))
	switch r := p.refund; {
	case len(done) > 1:
		m.violation("purchase %s was paid back %d times", p.orders[0], len(done))
	case len(done) == 0:
		m.violation("purchase %s was not paid back", p.orders[0])
	case r.RequestID != done[0].RefundID || r.GatewayID != done[0].GatewayID || r.Amount != p.giveBack.Amount || decimal(r.Amount) != done[0].Amount:
		m.violation("purchase %s: a receipt of a refund over %v, and the ledger says %s", p.orders[0], r.Amount, done[0].Amount)
	}
}

// decimal is how the ledger writes an amount of two decimals.
func decimal(a codegrant.Amount) string { return fmt.Sprintf("%d.%02d0000", a.Minor/100, a.Minor%100) }
