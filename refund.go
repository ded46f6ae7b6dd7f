package codegrant

import (
	"context"
	"errors"
	"strconv"
)

// RefundParams says which order to pay back and how much of it.
type RefundParams struct {
	OrderID string // merchantTransactionId of the charge; required
	// Number numbers the refunds of one order, from 1; zero means 1. The same
	// number is the same refund at the gateway, so repeating it is safe.
	Number int
	Amount Amount // required, positive; a part of the payment where the wallet allows it
	Remark string // at most 32 characters; optional
}

// Refund pays an order back, whole or in part. A refused refund is no error:
// its outcome is [Failed]. Errors are those of [Kit.Charge]. With
// [Config.Payments] an order that is not paid matches [ErrConflict], and what is
// more than is left of the payment is a [*RequestError]: nothing was sent.
func (k *Kit) Refund(ctx context.Context, p RefundParams) (Receipt, error) {
	const op = "refund"
	id := k.refundID(p.OrderID, p.Number)
	request := k.refundRequest(p.OrderID, id, p.Amount, p.Remark)
	if err := k.client.requests.check(op, request); err != nil {
		return Receipt{}, err
	}
	unlock, _, err := k.locks.lock(ctx, "order "+p.OrderID)
	if err != nil {
		return Receipt{}, wrap(op, ErrDeadline, err)
	}
	defer unlock()
	if k.payments != nil {
		return k.refundRecorded(ctx, op, p, request)
	}
	return k.refund(ctx, request)
}

func (k *Kit) refundRequest(orderID, refundID string, amount Amount, remark string) RefundRequest {
	return RefundRequest{
		OrderID: orderID, RefundID: refundID, Amount: amount, Remark: remark,
		NotificationURL: k.cfg.NotifyURL + "/" + refundID,
	}
}

func (k *Kit) refundID(orderID string, number int) string {
	return derivedID("refund", k.client.account.ID, orderID, strconv.Itoa(max(number, 1)))
}

// QueryRefund asks the gateway how a refund stands, without sending anything.
// It matches [ErrNotFound] when the gateway does not know it.
func (k *Kit) QueryRefund(ctx context.Context, orderID string, number int) (Receipt, error) {
	id := k.refundID(orderID, number)
	state, err := k.client.QueryRefund(ctx, RefundQuery{OrderID: orderID, RefundID: id})
	if err != nil {
		return Receipt{}, err
	}
	return refundReceipt(state, RefundRequest{OrderID: orderID, RefundID: id, Amount: state.Amount}), nil
}

func (k *Kit) refund(ctx context.Context, request RefundRequest) (Receipt, error) {
	response, err := k.client.Refund(ctx, request)
	if err == nil {
		return refundReceipt(response, request), nil
	}
	var refusal *GatewayError
	if errors.Is(err, ErrOutcomeUnknown) {
		return Receipt{}, k.unknownRefund(request, err)
	}
	if !errors.As(err, &refusal) {
		return Receipt{}, err
	}
	return Receipt{
		Outcome: Failed, OrderID: request.OrderID, RequestID: request.RefundID, Amount: request.Amount,
		Code: refusal.Code, Description: refusal.Description,
	}, nil
}

func (k *Kit) unknownRefund(request RefundRequest, err error) error {
	return &UnknownOutcomeError{
		Op: "refund", OrderID: request.OrderID, RequestID: request.RefundID, Err: err,
		resolve: func(ctx context.Context) (Receipt, error) { return k.resolveRefund(ctx, request) },
	}
}

func (k *Kit) resolveRefund(ctx context.Context, request RefundRequest) (Receipt, error) {
	unlock, _, err := k.locks.lock(ctx, "order "+request.OrderID)
	if err != nil {
		return Receipt{}, k.unknownRefund(request, err)
	}
	defer unlock()
	state, err := k.client.QueryRefund(ctx, RefundQuery{OrderID: request.OrderID, RefundID: request.RefundID})
	switch {
	case err == nil:
		return refundReceipt(state, request), nil
	case errors.Is(err, ErrNotFound):
		return k.refund(ctx, request) // the same number: never paid back twice
	}
	return Receipt{}, k.unknownRefund(request, err)
}

func refundReceipt(s RefundResponse, request RefundRequest) Receipt {
	r := Receipt{
		Outcome: outcomeOf(s.Status), OrderID: request.OrderID, RequestID: request.RefundID, GatewayID: s.GatewayID,
		Amount: request.Amount, Status: s.Status, Code: s.Code, Description: s.Description,
	}
	if s.Amount.Minor != 0 {
		r.Amount = s.Amount
	}
	return r
}
