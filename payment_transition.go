package codegrant

import (
	"slices"
	"time"
)

// transitionPayment is what the record of an order becomes when a verified
// notification, or an equally verified answer, says how its charge stands. It
// is pure, and its result does not depend on the order or the number of times
// in which the news of one attempt arrive. The second result is false when
// nothing changes.
//
// Succeeded is final. Failed ends an attempt, not the order: PingPong v4,
// paystatus, allows a further attempt, and even a late success.
func transitionPayment(p Payment, n PaymentNotification, now time.Time) (Payment, bool) {
	outcome := outcomeOf(n.Status)
	rises := p.Outcome == "" || (p.Outcome == Pending && outcome != Pending)
	closes := p.Outcome == Failed && n.Status == PaymentClosed && p.Last.Status != PaymentClosed
	switch {
	case p.Outcome == Succeeded:
		return p, false
	case outcome == Succeeded:
		// Of whatever attempt it is: the order is paid.
	case mismatch(n.RequestID, p.RequestID), !rises && !closes:
		return p, false
	}
	n.Token = Secret{}
	p.Outcome, p.Last = outcome, n
	if n.RequestID != "" {
		p.RequestID = n.RequestID
	}
	if p.Wallet == "" {
		p.Wallet = n.Wallet
	}
	if p.Amount == (Amount{}) {
		p.Amount = n.Amount
	}
	return settlePayment(p, now), true
}

// transitionRefund is [transitionPayment] for the refunds of the order. One that
// the kit did not make is added.
func transitionRefund(p Payment, n RefundNotification, now time.Time) (Payment, bool) {
	outcome := outcomeOf(n.Status)
	i := slices.IndexFunc(p.Refunds, func(r RefundRecord) bool { return r.RefundID == n.RefundID })
	if i < 0 {
		p.Refunds = append(slices.Clip(p.Refunds), RefundRecord{RefundID: n.RefundID, Amount: n.Amount, SentAt: now})
		i = len(p.Refunds) - 1
	} else {
		p.Refunds = slices.Clone(p.Refunds)
	}
	r := &p.Refunds[i]
	rises := r.Outcome == "" || (r.Outcome == Pending && outcome != Pending)
	if r.Outcome == Succeeded || (outcome != Succeeded && !rises) {
		return p, false
	}
	r.Outcome, r.Last = outcome, n
	return settlePayment(p, now), true
}

// left is what may still be refunded: the payment less every refund that has
// not failed.
func (p Payment) left() Amount {
	left := p.Amount
	if p.Last.Amount.Minor != 0 {
		left = p.Last.Amount
	}
	for _, r := range p.Refunds {
		if r.Outcome != Failed {
			left.Minor -= r.Amount.Minor
		}
	}
	return left
}

// open reports that the gateway still has to say how the newest attempt ended.
func (p Payment) open() bool { return p.Outcome == "" || p.Outcome == Pending }

func (r RefundRecord) open() bool { return r.Outcome == "" || r.Outcome == Pending }

func (p Payment) owesHook() bool {
	return !p.open() && (p.Handled != p.Outcome || (p.Outcome == Failed && p.HandledAttempt != p.Attempt))
}

func (r RefundRecord) owesHook() bool { return !r.open() && r.Handled != r.Outcome }

// acceptPayment notes what the hooks accepted. A success that was accepted
// stays accepted.
func acceptPayment(now, heard Payment) (Payment, bool) {
	changed := false
	if heard.owesHook() && now.Handled != Succeeded && (now.Handled != heard.Outcome || now.HandledAttempt != heard.Attempt) {
		now.Handled, now.HandledAttempt, changed = heard.Outcome, heard.Attempt, true
	}
	refunds := slices.Clone(now.Refunds)
	for _, h := range heard.Refunds {
		i := slices.IndexFunc(refunds, func(r RefundRecord) bool { return r.RefundID == h.RefundID })
		if i >= 0 && h.owesHook() && refunds[i].Handled != Succeeded && refunds[i].Handled != h.Outcome {
			refunds[i].Handled, changed = h.Outcome, true
		}
	}
	now.Refunds = refunds
	return now, changed
}

// settlePayment keeps UnsettledSince in step with the rest of the record.
func settlePayment(p Payment, now time.Time) Payment {
	waits := p.open() || p.owesHook() ||
		slices.ContainsFunc(p.Refunds, func(r RefundRecord) bool { return r.open() || r.owesHook() })
	switch {
	case !waits:
		p.UnsettledSince = time.Time{}
	case p.UnsettledSince.IsZero():
		p.UnsettledSince = now
	}
	return p
}
