package console

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/codegrant/codegrant"
)

func (v *visit) order(ctx context.Context) error {
	account, id, err := v.named()
	if err != nil {
		return err
	}
	p, err := v.payment(ctx, account, id)
	if err != nil {
		return err
	}
	r := record{
		Kind: "Order", Name: p.OrderID, Badge: outcomeBadge(p.Outcome),
		Waiting: v.paymentReasons(p), Next: v.nextLook(p.UnsettledSince),
		Facts: []fact{
			{Name: "Amount", Text: p.Amount.String()},
			{Name: "Wallet", Text: cmp.Or(string(p.Wallet), "not known")},
			{Name: "User", Text: cmp.Or(p.UserID, "not known"), Link: v.userLink(account, p.UserID)},
			{Name: "Account", Text: account},
			{Name: "Created", At: v.at(p.CreatedAt)},
			{Name: "Last change", At: v.at(p.UpdatedAt)},
			{Name: "Revision", Text: strconv.FormatInt(p.Revision, 10)},
		},
		Steps: v.orderSteps(p),
	}
	if refunded := refunded(p); refunded.Minor > 0 {
		r.Facts = append(r.Facts, fact{Name: "Refunded", Text: refunded.String()})
	}
	if p.TokenID != "" {
		r.Facts = append(r.Facts, fact{Name: "Charged sign-up", Text: p.TokenID, Link: link("token", account, p.TokenID)})
	}
	return v.show("record", page{Title: "Order " + p.OrderID, Content: r})
}

// refunded is the sum of the refunds that succeeded.
func refunded(p codegrant.Payment) codegrant.Amount {
	sum := codegrant.Amount{Currency: p.Amount.Currency}
	for _, r := range p.Refunds {
		if r.Outcome == codegrant.Succeeded {
			sum.Minor += r.Amount.Minor
		}
	}
	return sum
}

// orderSteps tells an order's life as far as the record knows it.
func (v *visit) orderSteps(p codegrant.Payment) []step {
	var steps []step
	switch {
	case p.Attempt == 0:
		steps = append(steps, step{Class: "off", Title: "Heard of by a notification", At: v.at(p.CreatedAt),
			Text: "This order was not charged here, or its record was lost."})
	case p.Attempt > 1:
		steps = append(steps, step{Class: "bad", Title: fmt.Sprintf("Attempts before number %d failed", p.Attempt),
			Text: "The next one is only sent then. Your log has their details."})
	}
	if p.Attempt > 0 {
		steps = append(steps, step{Class: "good", Title: fmt.Sprintf("Attempt %d sent", p.Attempt), At: v.at(p.SentAt),
			Text: "For " + p.Amount.String() + ".", Facts: facts("requestId", p.RequestID)})
	}
	steps = append(steps, v.outcomeStep("Payment", p.Outcome, facts(
		"PingPong’s number", p.Last.TransactionID, "Status", string(p.Last.Status), "Code", p.Last.Code,
		"Amount", amount(p.Last.Amount), "Wallet’s code", p.Last.IssuerCode, "Wallet’s message", p.Last.IssuerMessage,
		"Remark", p.Last.Remark)))
	steps[len(steps)-1].At = v.at(p.Last.EndedAt)
	if !open(p.Outcome) {
		steps = append(steps, hookStep("OnPayment", p.Outcome, paymentHookOwed(p)))
	}
	for _, r := range p.Refunds {
		name := "Refund " + strconv.Itoa(r.Number)
		if r.Number == 0 {
			name = "Refund that was not made here"
		}
		steps = append(steps, step{Class: "good", Title: name + " sent", At: v.at(r.SentAt), Text: "For " + r.Amount.String() + ".",
			Facts: facts("merchantRefundId", r.RefundID, "Remark", r.Remark)})
		ended := v.outcomeStep(name, r.Outcome, facts(
			"PingPong’s number", r.Last.GatewayID, "Status", string(r.Last.Status), "Code", r.Last.Code, "Amount", amount(r.Last.Amount)))
		ended.At = v.at(r.Last.EndedAt)
		steps = append(steps, ended)
		if !open(r.Outcome) {
			steps = append(steps, hookStep("OnRefund", r.Outcome, refundHookOwed(r)))
		}
	}
	return v.withNext(steps, p.UnsettledSince)
}

func (v *visit) outcomeStep(what string, o codegrant.Outcome, about []fact) step {
	b := outcomeBadge(o)
	s := step{Class: b.Class, Title: what + " " + b.Text, Facts: about}
	switch o {
	case "":
		s.Title, s.Text = what+": answer not known", "The gateway has not said yet whether the money moved."
	case codegrant.Pending:
		s.Text = "The gateway is working on it."
	}
	return s
}

func hookStep(hook string, o codegrant.Outcome, owed bool) step {
	if owed {
		return step{Class: "wait", Title: "Hook " + hook + " owed", Text: "It has not accepted “" + string(o) + "” yet."}
	}
	return step{Class: "good", Title: "Hook " + hook + " accepted “" + string(o) + "”"}
}

// facts makes facts of names and texts in turn, and leaves empty ones out.
func facts(pairs ...string) (list []fact) {
	for pair := range slices.Chunk(pairs, 2) {
		if name, text := pair[0], pair[len(pair)-1]; text != "" {
			list = append(list, fact{Name: name, Text: text})
		}
	}
	return list
}

func amount(a codegrant.Amount) string {
	if a == (codegrant.Amount{}) {
		return ""
	}
	return a.String()
}
