package console

import (
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
)

// reason is one thing that a record waits for, in words. The reasons of a
// record follow the kit's own rules: it has one if and only if its
// UnsettledSince is set.
type reason struct {
	Class, Label, Text string
	Since              moment // zero where the record does not say
}

func (v *visit) tokenReasons(t codegrant.Token) (list []reason) {
	add := func(class, label, text string, since time.Time) {
		list = append(list, reason{class, label, text, v.at(since)})
	}
	switch {
	case t.Status == codegrant.StatusPending:
		add("wait", "Sign-up undecided", "The user was sent to the wallet, and nothing has told yet how it ended: "+
			"the user has not decided or turned back, or the gateway’s notification is late or lost.", t.CreatedAt)
	case t.Status == codegrant.StatusUnbinding:
		add("wait", "Unbinding unanswered", "The gateway was asked to end this agreement, and no answer has confirmed it. "+
			"No new charge starts meanwhile.", t.UpdatedAt)
	case t.Status == codegrant.StatusActive && !t.DoubtedAt.IsZero():
		add("wait", "Token in doubt", "A charge was told that the gateway does not know this token, or a newer sign-up may have "+
			"taken its place. Only a confirmation by the gateway ends it.", t.DoubtedAt)
	}
	if t.Handled < t.Status {
		add("bad", "OnToken owed", fmt.Sprintf("Your hook OnToken has not accepted “%s”: it failed, or a crash came between. "+
			"Your log says which.", t.Status), t.UpdatedAt)
	}
	return list
}

// open reports that the gateway still has to say how it ended.
func open(o codegrant.Outcome) bool { return o == "" || o == codegrant.Pending }

func paymentHookOwed(p codegrant.Payment) bool {
	return !open(p.Outcome) && (p.Handled != p.Outcome || (p.Outcome == codegrant.Failed && p.HandledAttempt != p.Attempt))
}

func refundHookOwed(r codegrant.RefundRecord) bool { return !open(r.Outcome) && r.Handled != r.Outcome }

func (v *visit) paymentReasons(p codegrant.Payment) (list []reason) {
	add := func(class, label, text string, since time.Time) {
		list = append(list, reason{class, label, text, v.at(since)})
	}
	switch {
	case p.Outcome == "":
		add("bad", "Payment unknown", "The charge was sent, or was about to be, and its answer is not known: the user may have paid or not. "+
			"Repeat the same attempt, never a new one.", p.SentAt)
	case p.Outcome == codegrant.Pending:
		add("wait", "Payment pending", "The gateway is working on the charge and has not told its end.", p.SentAt)
	case paymentHookOwed(p):
		add("bad", "OnPayment owed", fmt.Sprintf("Your hook OnPayment has not accepted “%s”: it failed, or a crash came between. "+
			"Your log says which.", p.Outcome), time.Time{})
	}
	for _, r := range p.Refunds {
		switch name := refundName(r); {
		case r.Outcome == "":
			add("bad", "Refund unknown", name+" was sent, or was about to be, and its answer is not known.", r.SentAt)
		case r.Outcome == codegrant.Pending:
			add("wait", "Refund pending", "The gateway is working on "+name+" and has not told its end.", r.SentAt)
		case refundHookOwed(r):
			add("bad", "OnRefund owed", fmt.Sprintf("Your hook OnRefund has not accepted “%s” of %s.", r.Outcome, name), time.Time{})
		}
	}
	return list
}

func refundName(r codegrant.RefundRecord) string {
	if r.Number == 0 {
		return "a refund that was not made here"
	}
	return fmt.Sprintf("refund %d", r.Number)
}

// nextLook is when a sweep looks at the record next; zero when it waits for
// nothing.
func (v *visit) nextLook(unsettledSince time.Time) moment {
	if unsettledSince.IsZero() {
		return moment{}
	}
	return v.at(unsettledSince.Add(v.cfg.After))
}
