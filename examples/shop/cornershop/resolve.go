package cornershop

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/codegrant/codegrant"
)

// What can be unknown of an order.
const (
	opCharge = "charge"
	opRefund = "refund"
)

// question asks the gateway what became of a charge or a refund.
type question func(context.Context) (codegrant.Receipt, error)

// resolve finds out in the background what became of a charge or a refund. It
// gives up after a while; the notification may still come then, and the buyer
// can ask again.
func (s *Shop) resolve(o Order, op string, ask question) {
	s.check("resolve", s.orders.Check(s.ctx, o.ID, true, false))
	s.background.Go(func() {
		for _, wait := range s.retryAfter {
			select {
			case <-time.After(wait):
			case <-s.ctx.Done():
				return
			}
			receipt, err := ask(s.ctx)
			if err == nil {
				s.questions.Delete(o.ID)
				s.check("settle", s.settle(s.ctx, o, op, receipt))
				return
			}
			s.log.Warn("shop: outcome still unknown", "order", o.ID, "error", err)
			var unknown *codegrant.UnknownOutcomeError
			if errors.As(err, &unknown) {
				ask = unknown.Resolve
			}
		}
		s.questions.Store(o.ID, ask)
		s.check("resolve", s.orders.Check(s.ctx, o.ID, false, true))
	})
}

// settle records a resolved receipt. What is pending waits for its
// notification.
func (s *Shop) settle(ctx context.Context, o Order, op string, receipt codegrant.Receipt) error {
	switch {
	case op == opRefund && receipt.Outcome == codegrant.Succeeded:
		return s.record(ctx, o.ID, receipt.Amount, s.orders.Refund)
	case op == opRefund && receipt.Outcome == codegrant.Failed:
		return s.orders.Keep(ctx, o.ID, receipt.RequestID, refundRefused)
	case receipt.Outcome != codegrant.Succeeded && receipt.Outcome != codegrant.Failed:
		return s.orders.Check(ctx, o.ID, false, false)
	case receipt.Outcome == codegrant.Succeeded:
		return s.record(ctx, o.ID, receipt.Amount, s.orders.Pay)
	case receipt.Outcome == codegrant.Failed:
		return s.decline(ctx, o, receipt)
	}
	return nil
}

// checkAgain is for an order whose outcome could not be found out.
func (s *Shop) checkAgain(w http.ResponseWriter, r *http.Request) {
	o, ok := s.ownOrder(w, r)
	if !ok {
		return
	}
	if o.Unknown {
		op, ask := s.lookUp(o)
		if open, ok := s.questions.Load(o.ID); ok {
			ask = open.(question)
		}
		s.resolve(o, op, ask)
	}
	http.Redirect(w, r, "/orders#"+o.ID, http.StatusSeeOther)
}

// resume asks about the orders that an earlier process was still busy with. A
// notification may settle them first.
func (s *Shop) resume() error {
	orders, err := s.orders.Unfinished(s.ctx)
	for _, o := range orders {
		op, ask := s.lookUp(o)
		s.resolve(o, op, ask)
	}
	return err
}

// lookUp asks about an order with nothing but what is stored, so that it works
// after a restart. A refund that was never sent is sent now; a charge is not, so
// that nobody pays minutes after pressing the button.
func (s *Shop) lookUp(o Order) (op string, ask question) {
	if o.State == Refunding {
		return opRefund, func(ctx context.Context) (codegrant.Receipt, error) {
			return s.kit.Refund(ctx, codegrant.RefundParams{OrderID: o.ID, Number: o.Refunds, Amount: o.Amount})
		}
	}
	return opCharge, func(ctx context.Context) (codegrant.Receipt, error) {
		for {
			receipt, err := s.kit.QueryCharge(ctx, o.ID)
			if !errors.Is(err, codegrant.ErrNotFound) {
				return receipt, err
			}
			// Until now the request may have been on its way.
			wait := time.Until(o.At.Add(2 * clientTimeout))
			if wait <= 0 {
				return receipt, s.orders.Decline(ctx, o.ID, unreached(o.Wallet), false)
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return receipt, ctx.Err()
			}
		}
	}
}
