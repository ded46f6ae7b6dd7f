package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"slices"
)

// refundRecorded is Refund with a PaymentStore: what is about to be sent is
// recorded first, against what is left of the payment. The caller holds the
// order's lock.
func (k *Kit) refundRecorded(ctx context.Context, op string, p RefundParams, request RefundRequest) (Receipt, error) {
	for range maxConflicts {
		known, err := k.paidOrder(ctx, op, p.OrderID)
		if errors.Is(err, ErrOutcomeUnknown) { // of the payment: no refund was sent
			err = k.unknownRefund(request, err)
		}
		if err != nil {
			return Receipt{}, k.resolvableRefund(err, p)
		}
		if r, ok := known.refund(request.RefundID); ok {
			switch {
			case r.Amount != p.Amount:
				return Receipt{}, wrap(op, ErrConflict, errors.New("this refund was made over another amount"))
			case !r.open():
				return r.receipt(known), nil
			}
			receipt, err := k.resumeRefund(ctx, op, known, r)
			return receipt, k.resolvableRefund(err, p)
		}
		if left := known.left(); p.Amount.Currency != left.Currency || p.Amount.Minor > left.Minor {
			return Receipt{}, &RequestError{Operation: op, Problems: []Problem{
				{Field: "RefundParams.Amount", Wire: "amount", Rule: "is more than what is left of the payment"},
			}}
		}
		next := known
		next.Refunds = append(slices.Clone(known.Refunds), RefundRecord{
			Number: max(p.Number, 1), RefundID: request.RefundID, Amount: p.Amount, Remark: p.Remark, SentAt: k.now(),
		})
		next = k.payments.stamp(known, next, k.now())
		saving, cancel := k.detached(ctx)
		err = k.payments.save(saving, next)
		cancel()
		if errors.Is(err, ErrConflict) {
			continue // another refund of this order, or news of it
		}
		if err != nil {
			return Receipt{}, k.storeError(ctx, op, err)
		}
		receipt, err := k.sendRefund(ctx, op, next, request)
		return receipt, k.resolvableRefund(err, p)
	}
	return Receipt{}, &Error{Op: op, Code: ErrConflict}
}

// paidOrder returns the record of an order that was paid. One that was charged
// before there was a PaymentStore is asked about, and gets a record.
func (k *Kit) paidOrder(ctx context.Context, op, orderID string) (Payment, error) {
	known, err := k.Payment(ctx, orderID)
	if errors.Is(err, ErrNotFound) {
		state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: orderID})
		if err != nil {
			return Payment{}, err
		}
		known, err = k.notedPayment(ctx, orderID, func() Payment {
			return Payment{RequestID: state.RequestID, Wallet: state.Wallet, Amount: state.Amount}
		})
		if err != nil {
			return known, err
		}
		saving, cancel := k.detached(ctx)
		defer cancel()
		if known, err = k.hearPaymentNews(saving, op, known, state.news(known)); err != nil && !errors.Is(err, ErrHook) {
			return known, err
		}
	} else if err != nil {
		return known, err
	}
	if known.open() {
		if known, err = k.askPayment(ctx, op, known); err != nil && !errors.Is(err, ErrHook) {
			return known, err
		}
	}
	if known.Outcome != Succeeded {
		return known, wrap(op, ErrConflict, errors.New("the order is not paid"))
	}
	return known, nil
}

// resumeRefund goes on with a refund of which only the beginning is known. The
// same number is never paid back twice, so that what the gateway has not seen
// is simply sent again.
func (k *Kit) resumeRefund(ctx context.Context, op string, known Payment, r RefundRecord) (Receipt, error) {
	state, err := k.client.QueryRefund(ctx, RefundQuery{OrderID: known.OrderID, RefundID: r.RefundID})
	request := k.refundRequest(known.OrderID, r.RefundID, r.Amount, r.Remark)
	switch {
	case errors.Is(err, ErrNotFound) && r.Outcome == "" && r.Number > 0:
		return k.sendRefund(ctx, op, known, request)
	case err != nil:
		return Receipt{}, k.unknownRefund(request, err)
	}
	return k.recordRefund(ctx, op, known, refundReceipt(state, request)), nil
}

func (k *Kit) sendRefund(ctx context.Context, op string, known Payment, request RefundRequest) (Receipt, error) {
	receipt, err := k.refund(ctx, request)
	if err != nil {
		return receipt, err
	}
	return k.recordRefund(ctx, op, known, receipt), nil
}

// recordRefund saves what a call found out. The receipt is true whether or not
// that succeeds: the record stays unsettled then.
func (k *Kit) recordRefund(ctx context.Context, op string, known Payment, receipt Receipt) Receipt {
	saving, cancel := k.detached(ctx)
	defer cancel()
	n := RefundNotification{
		AccountID: known.AccountID, Code: receipt.Code, OrderID: known.OrderID, RefundID: receipt.RequestID,
		GatewayID: receipt.GatewayID, Status: receipt.Status, Amount: receipt.Amount,
	}
	if n.Status == "" {
		n.Status = statusOf(receipt.Outcome)
	}
	after, err := k.hearRefundNews(saving, op, known, n)
	if err != nil {
		k.reject(ctx, op, err, slog.Any("payment", after))
	}
	return receipt
}

func (k *Kit) hearRefundNews(ctx context.Context, op string, known Payment, n RefundNotification) (Payment, error) {
	return k.payments.advance(ctx, op, known, func(p Payment) (Payment, bool) { return transitionRefund(p, n, k.now()) })
}

// applyRefund moves the record of the order whose refund a notification is
// about.
func (k *Kit) applyRefund(ctx context.Context, n RefundNotification) error {
	known, err := k.notedPayment(ctx, n.OrderID, func() Payment { return Payment{} })
	if err != nil {
		return err
	}
	if _, changes := transitionRefund(known, n, k.now()); !changes && !k.payments.owes(known) {
		return nil
	}
	_, err = k.hearRefundNews(ctx, "notify", known, n)
	return err
}

// resolvableRefund lets an unknown outcome be resolved by the record.
func (k *Kit) resolvableRefund(err error, p RefundParams) error {
	var unknown *UnknownOutcomeError
	if errors.As(err, &unknown) {
		unknown.resolve = func(ctx context.Context) (Receipt, error) { return k.Refund(ctx, p) }
	}
	return err
}

func (p Payment) refund(refundID string) (RefundRecord, bool) {
	i := slices.IndexFunc(p.Refunds, func(r RefundRecord) bool { return r.RefundID == refundID })
	if i < 0 {
		return RefundRecord{}, false
	}
	return p.Refunds[i], true
}

// receipt is what the record says of the refund.
func (r RefundRecord) receipt(p Payment) Receipt {
	return Receipt{
		Outcome: r.Outcome, OrderID: p.OrderID, RequestID: r.RefundID, GatewayID: r.Last.GatewayID,
		Amount: r.Amount, Status: r.Last.Status, Code: r.Last.Code,
	}
}
