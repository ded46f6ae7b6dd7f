package gatewaytest

import "slices"

// Ledger is what the gateway did, each list oldest first.
type Ledger struct {
	Agreements []Agreement
	Charges    []Charge
	Refunds    []Refund
}

// Ledger returns a copy of the books.
func (g *Gateway) Ledger() Ledger {
	g.mu.Lock()
	defer g.mu.Unlock()
	var l Ledger
	for _, a := range g.agreements {
		l.Agreements = append(l.Agreements, a.Agreement)
	}
	for _, c := range g.charges {
		l.Charges = append(l.Charges, c.Charge)
	}
	for _, r := range g.refunds {
		l.Refunds = append(l.Refunds, r.Refund)
	}
	return l
}

// ChargedTwice lists, in order of the second charge, the orders of any account
// that have more than one successful charge. Refunds do not matter.
func (l Ledger) ChargedTwice() []string {
	paid := make(map[key]int)
	var orders []string
	for _, c := range l.Charges {
		id := key{c.AccountID, c.OrderID}
		if c.Status == StatusSuccess {
			paid[id]++
		}
		if paid[id] == 2 && c.Status == StatusSuccess {
			orders = append(orders, c.OrderID)
		}
	}
	return slices.Clip(orders)
}
