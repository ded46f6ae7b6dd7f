package gatewaytest

import (
	"slices"
	"strconv"
)

type ledgerView struct {
	frame
	Agreements []agreementView
	Charges    []chargeView
	Refunds    []Refund
	Deliveries []deliveryView
	Twice      []string
	Losing     bool
}

type chargeView struct {
	Charge
	When string
}

type deliveryView struct {
	ID                 int
	Type, Subject, URL string
	State, Next        string
	Attempts           []attemptView
}

type attemptView struct {
	When, Outcome string
	OK            bool
}

func (g *Gateway) ledgerView() ledgerView {
	books := g.Ledger()
	view := ledgerView{
		frame: frame{Title: "Ledger", Accent: "#1f4e79", Nav: "ledger"},
		Twice: books.ChargedTwice(),
	}
	for _, c := range slices.Backward(books.Charges) {
		c.Token = short(c.Token)
		view.Charges = append(view.Charges, chargeView{c, stamp(c.At)})
	}
	for _, r := range slices.Backward(books.Refunds) {
		view.Refunds = append(view.Refunds, r)
	}
	for _, n := range slices.Backward(g.Notifications()) {
		view.Deliveries = append(view.Deliveries, viewDelivery(n))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	view.Losing = g.losing
	for _, a := range slices.Backward(g.agreements) {
		view.Agreements = append(view.Agreements, g.agreementView(a))
	}
	return view
}

func viewDelivery(n Notification) deliveryView {
	view := deliveryView{ID: n.ID, Type: n.Type, Subject: n.Subject, URL: n.URL, Next: stamp(n.NextAt)}
	switch {
	case n.Delivered:
		view.State = "delivered"
	case n.Held:
		view.State = "held"
	case n.Lost:
		view.State = "lost"
	case view.Next != "":
		view.State = "waiting"
	default:
		view.State = "open"
	}
	for _, a := range n.Attempts {
		outcome := a.Err
		if a.Status != 0 {
			outcome = strconv.Itoa(a.Status) + " " + a.Body
		}
		if len(outcome) > 80 {
			outcome = outcome[:80] + "…"
		}
		view.Attempts = append(view.Attempts, attemptView{stamp(a.At), outcome, a.Accepted()})
	}
	return view
}
