package hostiletest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

var orderPrice = codegrant.Amount{Minor: 1250, Currency: "HKD"}

// payment is an order that the shop charges, and the last that it was told.
type payment struct {
	params  codegrant.ChargeParams
	receipt codegrant.Receipt // zero while nothing is known
	unknown bool              // the outcome is
	decline int               // attempt that the gateway was told to decline
	resolve func(context.Context) (codegrant.Receipt, error)
}

func (w *world) startCharge(n int) {
	p := &payment{params: codegrant.ChargeParams{
		UserID: shopUsers[n%2], OrderID: fmt.Sprintf("ORDER-%d", len(w.payments)), Amount: orderPrice,
		ShopperIP: "192.0.2.7", Email: "x@shop.test",
	}}
	if n >= 3 && len(w.order) > 0 { // this record and no other
		t := w.records[w.order[n%len(w.order)]].last
		if t.ID == "" {
			return
		}
		p.params.UserID, p.params.TokenID = t.UserID, t.ID
	}
	w.payments = append(w.payments, p)
	w.charge(p, false)
}

// charge makes the next sensible call for an order: it finds out what is not
// known, by Resolve or by the identical call; it tries a declined one once
// more; it repeats a successful one, which must not charge again.
func (w *world) charge(p *payment, resolve bool) {
	var dying []string // records that this call may find to be over
	chargeable := false
	for _, id := range w.order {
		t := w.records[id].last
		if t.Status != codegrant.StatusActive || t.UserID != p.params.UserID || (p.params.TokenID != "" && p.params.TokenID != id) {
			continue
		}
		chargeable = true
		if w.agreement(id).Status == gatewaytest.StatusUnbound {
			dying = append(dying, id)
		}
	}
	params, calls := p.params, w.calls
	if p.receipt.Outcome == codegrant.Failed {
		params.Attempt = max(params.Attempt, 1) + 1
	}
	attempt := max(params.Attempt, 1)
	if w.wire == gatewaytest.Decline {
		p.decline = attempt // also where the answer is lost and the next call hears it
	}
	var receipt codegrant.Receipt
	var err error
	resolve = resolve && p.resolve != nil
	if resolve {
		receipt, err = p.resolve(context.Background())
	} else {
		receipt, err = w.kit.Charge(context.Background(), params)
	}
	for _, id := range dying {
		found := err == nil && receipt.TokenGone && receipt.TokenID == id && w.whole()
		w.records[id].learned(gone, found)
	}
	var unknown *codegrant.UnknownOutcomeError
	switch {
	case err == nil:
		p.params, p.receipt, p.unknown, p.resolve = params, receipt, false, nil
	case errors.As(err, &unknown):
		p.params, p.receipt, p.unknown, p.resolve = params, codegrant.Receipt{}, true, unknown.Resolve
	case errors.Is(err, codegrant.ErrNoToken):
		if chargeable && w.whole() {
			w.fail("order %s: the user's token was not found: %v", params.OrderID, err)
		}
	case errors.Is(err, codegrant.ErrConflict) && params.Attempt > 1:
		// The attempt before it, which failed, is to be repeated.
		if resolve {
			p.params.Attempt, p.receipt, p.unknown, p.resolve = params.Attempt-1, codegrant.Receipt{Outcome: codegrant.Failed}, false, nil
		}
	case w.whole():
		w.fail("order %s: %v", params.OrderID, err)
	}
	if !chargeable && !resolve && w.calls != calls {
		w.fail("order %s reached the gateway without a token that pays", params.OrderID)
	}
	if err == nil && receipt.Amount != orderPrice {
		w.fail("order %s: receipt over %v", params.OrderID, receipt.Amount)
	}
	if w.whole() && chargeable && len(dying) == 0 && !resolve && err == nil && p.decline != attempt && receipt.Outcome != codegrant.Succeeded {
		w.fail("order %s was declined for no reason: %v", params.OrderID, receipt)
	}
	w.judgePayment(p)
}

// judgePayment compares what the kit says of an order with the books.
func (w *world) judgePayment(p *payment) {
	succeeded, attempts := 0, map[string]bool{}
	for _, c := range w.gateway.Ledger().Charges {
		if c.OrderID != p.params.OrderID {
			continue
		}
		attempts[c.RequestID] = true
		if c.Status == gatewaytest.StatusSuccess {
			succeeded++
		}
	}
	switch {
	case succeeded > 1:
		w.fail("order %s was charged %d times", p.params.OrderID, succeeded)
	case p.receipt.Outcome == codegrant.Succeeded && succeeded != 1,
		p.receipt.Outcome == codegrant.Failed && succeeded != 0,
		p.receipt.Outcome == codegrant.Pending:
		w.fail("order %s: the kit says %q, charged %d times", p.params.OrderID, p.receipt.Outcome, succeeded)
	case p.receipt.Outcome == "" && !p.unknown && len(attempts) > 0:
		w.fail("order %s reached the gateway, and the kit did not say so", p.params.OrderID)
	case len(attempts) > max(p.params.Attempt, 1):
		w.fail("order %s: %d request numbers in %d attempts", p.params.OrderID, len(attempts), max(p.params.Attempt, 1))
	}
}

// judgeCharges looks at every charge since the last event: the record was
// active before it, and of the user who was charged.
func (w *world) judgeCharges() {
	ledger := w.gateway.Ledger()
	for _, c := range ledger.Charges[w.booked:] {
		found := false
		for _, id := range w.order {
			t := w.records[id].last
			found = found || (t.Value.Reveal() == c.Token && t.Status == codegrant.StatusActive && t.UserID == c.UserID)
		}
		if !found {
			w.fail("order %s charged %s by a token that was not active", c.OrderID, c.UserID)
		}
	}
	w.booked = len(ledger.Charges)
	if twice := ledger.ChargedTwice(); len(twice) > 0 {
		w.fail("charged twice: %v", twice)
	}
}

// settleCharges finds out every outcome, as a shop does after a restart too.
func (w *world) settleCharges() {
	for _, p := range w.payments {
		if p.unknown && p.resolve == nil {
			w.charge(p, false)
		}
		if p.unknown && p.resolve == nil { // there is no token any more to ask with
			receipt, err := w.kit.QueryCharge(context.Background(), p.params.OrderID)
			switch {
			case err == nil:
				p.receipt, p.unknown = receipt, false
			case errors.Is(err, codegrant.ErrNotFound):
				p.receipt, p.unknown = codegrant.Receipt{Outcome: codegrant.Failed}, false
			default:
				w.fail("order %s: %v", p.params.OrderID, err)
			}
		}
		if p.unknown {
			w.charge(p, true)
		}
		if p.unknown { // its token ended only now: until then other calls could send it
			w.now = w.now.Add(10 * time.Minute)
			w.charge(p, true)
		}
		if p.unknown {
			w.fail("order %s stays unknown", p.params.OrderID)
		}
		w.collect()
		w.observe()
		w.judgePayment(p)
	}
}
