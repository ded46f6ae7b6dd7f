package hostiletest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// purchase is a row of the shop's own table: what is sold to whom, and how the
// payment stands. The protocol that makes charging safe:
//
//   - The order number and the attempt are in the row before the gateway hears
//     of them. Whoever works on the row makes the attempt that it shows, as
//     often as he likes, in any process.
//   - An unknown outcome changes nothing in the row. Resolve, or the identical
//     Charge, finds it out.
//   - Only Failed raises the attempt, once, and only from the attempt that
//     failed. ErrConflict takes it back: the one before is to be repeated.
//   - Failed speaks of the token that the call used. Another call of the attempt
//     that used another token, and whose outcome is unknown, may still succeed;
//     until then a raised attempt is answered with ErrConflict.
//   - Succeeded, by a receipt or by the notification, is final. That nothing was
//     paid is said to nobody before all calls have ended and the last word was
//     Failed, or the gateway, asked later than any request can live, does not
//     know the order.
type purchase struct {
	mu      sync.Mutex
	params  codegrant.ChargeParams // the attempt to make
	most    int                    // highest attempt that the row ever showed
	orders  []string               // every order number that was used
	status  string                 // "open", "paid", "failed"
	receipt codegrant.Receipt      // where it is paid
	all     []codegrant.Receipt    // every success that the shop was told of
	known   bool                   // no outcome was ever unknown, or it has become known
	open    *inquiry               // the last outcome that was unknown

	giveBack codegrant.RefundParams // nothing for no order number
	refund   codegrant.Receipt
}

// inquiry is an unknown outcome, and the attempt that it is about.
type inquiry struct {
	params codegrant.ChargeParams
	err    *codegrant.UnknownOutcomeError
}

func (m *market) newPurchase() *purchase {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := len(m.purchases)
	p := &purchase{status: "open", known: true, most: 1, params: codegrant.ChargeParams{
		UserID: m.users[n%len(m.users)], OrderID: fmt.Sprint("ORDER-", n), Attempt: 1, ShopperIP: "192.0.2.7", Email: "x@shop.test",
		Amount: codegrant.Amount{Minor: int64(1000 + n%2), Currency: "HKD"},
	}}
	p.orders = []string{p.params.OrderID}
	m.byOrder[p.params.OrderID] = p
	m.purchases = append(m.purchases, p)
	return p
}

// paid notes a success. The caller holds p.mu.
func (p *purchase) paid(r codegrant.Receipt, by string, met *chargeTally) {
	p.all = append(p.all, r)
	if p.status != "paid" {
		p.status, p.receipt = "paid", r
		p.learned(by, met)
	}
}

func (p *purchase) learned(by string, met *chargeTally) {
	if !p.known {
		p.known = true
		met.resolvedBy(by)
	}
}

// buy is one of several goroutines that work on a purchase at once.
func (m *market) buy(p *purchase) {
	var unknown *inquiry
	for i := range 4 {
		pause := 4 * time.Second
		if i == 0 {
			pause = 500 * time.Millisecond // all of them at once
		}
		time.Sleep(m.dice.upTo(pause))
		p.mu.Lock()
		params, open := p.params, p.status == "open"
		p.mu.Unlock()
		if !open {
			return
		}
		unknown = m.pay(p, params, unknown)
	}
}

// pay makes one call for the purchase and enters what it says.
func (m *market) pay(p *purchase, params codegrant.ChargeParams, unknown *inquiry) *inquiry {
	ctx, began, cancel := m.context()
	defer cancel()
	var receipt codegrant.Receipt
	var err error
	by := "the same Charge"
	switch {
	case m.policy.freshNumbers:
		receipt, err = m.tryPay(ctx, params)
	case unknown != nil && m.dice.chance(50):
		by, params = "Resolve", unknown.params
		receipt, err = unknown.err.Resolve(ctx)
	default:
		receipt, err = m.kit().Charge(ctx, params)
	}
	return m.enter(p, params, receipt, err, began, by)
}

// enter writes what a call said into the row, and returns what is unknown.
func (m *market) enter(p *purchase, params codegrant.ChargeParams, receipt codegrant.Receipt, err error, began int64, by string) *inquiry {
	m.met.attempts.Add(1)
	if err == nil && receipt.Outcome == codegrant.Failed {
		m.mu.Lock()
		m.denials = append(m.denials, denial{receipt.RequestID, receipt.TokenID, began, fmt.Sprintf("by %s, code %q, token gone: %t", by, receipt.Code, receipt.TokenGone)})
		m.mu.Unlock()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	current := p.params.OrderID == params.OrderID && p.params.Attempt == params.Attempt
	var unknown *codegrant.UnknownOutcomeError
	switch {
	case err == nil && receipt.Outcome == codegrant.Succeeded:
		p.paid(receipt, by, m.met)
	case err == nil && receipt.Outcome == codegrant.Failed:
		if current && !m.policy.freshNumbers {
			p.params.Attempt++
			p.most = max(p.most, p.params.Attempt)
		}
		p.learned(by, m.met)
	case errors.As(err, &unknown):
		m.met.unknown.Add(1)
		p.known, p.open = false, &inquiry{params, unknown}
		m.misjudge(p, err)
		return p.open
	case errors.Is(err, codegrant.ErrConflict):
		if current && params.Attempt > 1 {
			p.params.Attempt--
		}
	case errors.Is(err, codegrant.ErrOutcomeUnknown):
		if !m.policy.freshNumbers {
			m.violation("order %s: an unknown outcome without a way to resolve it: %v", params.OrderID, err)
		}
	case err != nil && !m.policy.freshNumbers && !anyOf(err, []error{codegrant.ErrNoToken, codegrant.ErrUnreachable, codegrant.ErrDeadline}):
		m.violation("order %s: %v", params.OrderID, err)
	}
	return nil
}

// misjudge is what wrong merchants make of an unknown outcome. The caller holds
// p.mu.
func (m *market) misjudge(p *purchase, err error) {
	var answer *codegrant.GatewayError
	switch {
	case p.status != "open":
	case m.policy.newOrderAfterUnknown:
		p.params.OrderID, p.params.Attempt = fmt.Sprintf("%s-%d", p.orders[0], len(p.orders)), 1
		p.orders = append(p.orders, p.params.OrderID)
		m.mu.Lock()
		m.byOrder[p.params.OrderID] = p
		m.mu.Unlock()
	case m.policy.unknownIsFailure:
		p.status = "failed"
	case m.policy.believesUnverified && errors.As(err, &answer) && answer.Unverified:
		switch answer.Code {
		case "000000":
			p.paid(codegrant.Receipt{Outcome: codegrant.Succeeded, OrderID: p.params.OrderID, Amount: p.params.Amount}, "belief", m.met)
		case "301002":
			p.status = "failed"
		}
	}
}

// payBack is one of two goroutines that pay a purchase back, under one number
// until that is known to have failed.
func (m *market) payBack(p *purchase) {
	var unknown *codegrant.UnknownOutcomeError
	var about codegrant.RefundParams
	for range 5 {
		time.Sleep(m.dice.upTo(8 * time.Second))
		p.mu.Lock()
		params := p.giveBack
		p.mu.Unlock()
		find := unknown != nil && m.dice.chance(50)
		if find {
			params = about
		}
		var done bool
		if unknown, done = m.payBackOnce(p, params, find, unknown); done {
			return
		}
		about = params
	}
}

func (m *market) payBackOnce(p *purchase, params codegrant.RefundParams, find bool, unknown *codegrant.UnknownOutcomeError) (_ *codegrant.UnknownOutcomeError, done bool) {
	ctx, _, cancel := m.context()
	defer cancel()
	m.met.attempts.Add(1)
	var receipt codegrant.Receipt
	var err error
	if find {
		receipt, err = unknown.Resolve(ctx)
	} else {
		receipt, err = m.kit().Refund(ctx, params)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	current := p.giveBack.Number == params.Number
	unknown = nil
	switch {
	case err == nil && receipt.Outcome == codegrant.Failed:
		if current {
			p.giveBack.Number++
		}
	case err == nil:
		if p.refund.Outcome == "" {
			p.refund = receipt
		}
		return nil, receipt.Outcome == codegrant.Succeeded
	case errors.As(err, &unknown):
		m.met.unknown.Add(1)
		if m.policy.refundsAgain && current {
			p.giveBack.Number++
		}
	case !anyOf(err, []error{codegrant.ErrUnreachable, codegrant.ErrDeadline}):
		m.violation("refund of order %s: %v", params.OrderID, err)
	}
	return unknown, false
}

// settle finds out what is open once the network is whole again, in one of the
// ways that a shop has.
func (m *market) settle(p *purchase) {
	right := m.policy == policy{}
	way := m.dice.intN(4)
	for range 40 {
		p.mu.Lock()
		params, status, unknown := p.params, p.status, p.open
		p.open = nil
		p.mu.Unlock()
		if status != "open" && (!right || status == "failed") {
			return
		}
		ctx := context.WithValue(context.Background(), callKey{}, m.clock.Add(1))
		began := m.clock.Add(1)
		var receipt codegrant.Receipt
		var err error
		var by string
		switch {
		case way == 0 && unknown != nil:
			by, params = "Resolve in the end", unknown.params
			receipt, err = unknown.err.Resolve(ctx)
		case way == 1:
			by = "QueryCharge in the end"
			receipt, err = m.kit().QueryCharge(ctx, params.OrderID)
		case way == 2 && m.restart(0) == nil:
			by = "the same Charge after a restart"
			receipt, err = m.kits[0].Load().Charge(ctx, params)
		default:
			by = "the same Charge in the end"
			receipt, err = m.kit().Charge(ctx, params)
		}
		if errors.Is(err, codegrant.ErrNoToken) {
			by = "QueryCharge in the end"
			receipt, err = m.kit().QueryCharge(ctx, params.OrderID)
		}
		if errors.Is(err, codegrant.ErrNotFound) { // and nothing has been on its way for a long time
			receipt, err = codegrant.Receipt{Outcome: codegrant.Failed, OrderID: params.OrderID}, nil
		}
		m.enter(p, params, receipt, err, began, by)
		switch {
		case errors.Is(err, codegrant.ErrConflict): // the attempt before it is next
		case err != nil:
			m.violation("order %s does not resolve by %s: %v", params.OrderID, by, err)
			return
		case receipt.Outcome == codegrant.Pending:
			time.Sleep(10 * time.Second)
		case receipt.Outcome == codegrant.Succeeded && status == "paid":
			return // and a repetition has just said so again
		case receipt.Outcome == codegrant.Failed && status == "paid":
			m.violation("order %s: paid, and then %s says that it is not", params.OrderID, by)
			return
		case receipt.Outcome == codegrant.Failed:
			p.mu.Lock()
			if p.status == "open" {
				p.status = "failed"
			}
			p.mu.Unlock()
			return
		}
		way = m.dice.intN(4)
	}
	m.violation("order %s never settles", p.orders[0])
}

// settleRefund does the same for what is to be paid back.
func (m *market) settleRefund(p *purchase) {
	for range 3 {
		began := p.refund
		if unknown, done := m.payBackOnce(p, p.giveBack, false, nil); unknown != nil {
			m.violation("the refund of order %s does not resolve: %v", p.giveBack.OrderID, unknown)
			return
		} else if done {
			if began.Outcome == "" {
				m.met.resolvedBy("the same Refund in the end")
			}
			break
		}
	}
	if p.refund.Outcome == "" {
		m.violation("the refund of order %s never settles", p.giveBack.OrderID)
	}
	// More than is left is refused, whatever happened before.
	receipt, err := m.kit().Refund(context.Background(), codegrant.RefundParams{
		OrderID: p.giveBack.OrderID, Number: 99, Amount: p.params.Amount,
	})
	refused := err == nil && receipt.Outcome == codegrant.Failed
	if m.config.Payments != nil { // the record knows what is left
		refused = errors.Is(err, codegrant.ErrInvalidRequest)
	}
	if !refused {
		m.violation("order %s was paid back beyond its price: %v, %v", p.giveBack.OrderID, receipt.Outcome, err)
	}
}
