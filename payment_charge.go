package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// chargeRecorded is Charge with a PaymentStore: what is about to be sent is
// recorded first, and what is settled is answered from the record. The caller
// holds the order's lock.
func (k *Kit) chargeRecorded(ctx context.Context, op string, p ChargeParams) (Receipt, error) {
	for range maxConflicts {
		known, err := k.Payment(ctx, p.OrderID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return Receipt{}, err
		}
		receipt, done, err := k.chargeKnown(ctx, op, known, p)
		if done || err != nil {
			return receipt, err
		}
		t, err := k.chargeable(ctx, op, p)
		if err != nil {
			return Receipt{}, err
		}
		request, err := k.payRequest(op, t, p)
		if err != nil {
			return Receipt{}, err
		}
		next, err := k.recordAttempt(ctx, op, known, t, p)
		if errors.Is(err, ErrConflict) {
			continue // another process charges this order too
		}
		if err != nil {
			return Receipt{}, err
		}
		return k.send(ctx, op, next, p, request)
	}
	return Receipt{}, &Error{Op: op, Code: ErrConflict}
}

// send sends the attempt that known records, and records what came of it.
func (k *Kit) send(ctx context.Context, op string, known Payment, p ChargeParams, request PayRequest) (Receipt, error) {
	receipt, err := k.pay(ctx, known.TokenID, request)
	if err != nil {
		return receipt, k.resolvable(err, p)
	}
	saving, cancel := k.detached(ctx)
	defer cancel()
	after, saveErr := k.hearPaymentNews(saving, op, known, receipt.news(known))
	if saveErr != nil {
		// The receipt is true all the same. The record stays unsettled, and the
		// notification or a sweep settles it.
		k.reject(ctx, op, saveErr, slog.Any("payment", after))
	}
	return receipt, nil
}

// resolvable lets an unknown outcome be resolved by the record: the same charge
// again asks first.
func (k *Kit) resolvable(err error, p ChargeParams) error {
	var unknown *UnknownOutcomeError
	if errors.As(err, &unknown) {
		unknown.resolve = func(ctx context.Context) (Receipt, error) {
			receipt, err := k.Charge(ctx, p)
			if known, knownErr := k.Payment(ctx, p.OrderID); errors.Is(err, ErrNoToken) && knownErr == nil && !known.open() {
				return known.receipt(), nil // no token is left for another attempt: this is the outcome
			}
			return receipt, err
		}
	}
	return err
}

// chargeKnown answers from the record of the order, or goes on with an attempt
// of which the outcome is not known. done is false when a new attempt may
// start.
func (k *Kit) chargeKnown(ctx context.Context, op string, known Payment, p ChargeParams) (_ Receipt, done bool, err error) {
	conflict := func(reason string) (Receipt, bool, error) {
		return Receipt{}, true, wrap(op, ErrConflict, errors.New(reason))
	}
	switch {
	case known.ID == "":
		return Receipt{}, false, nil
	case known.UserID != "" && known.UserID != p.UserID:
		return Receipt{}, true, &Error{Op: op, Code: ErrNotOwner}
	case known.Outcome == Succeeded, known.Last.Status == PaymentClosed:
		receipt := known.receipt() // PingPong v4, paystatus: both are final
		k.noteAmount(ctx, op, receipt, p)
		return receipt, true, nil
	case p.Attempt < known.Attempt:
		return conflict("a later attempt of this order was made")
	case p.Attempt == known.Attempt && known.Amount != p.Amount:
		return conflict("this attempt was made over another amount")
	case p.Attempt == known.Attempt && p.TokenID != "" && p.TokenID != known.TokenID:
		return conflict("this attempt was made with another token")
	case p.Attempt == known.Attempt && known.Outcome == Failed:
		return known.receipt(), true, nil
	case p.Attempt == known.Attempt:
		receipt, err := k.resumeCharge(ctx, known, p)
		return receipt, true, err
	case !known.open():
		return Receipt{}, false, nil
	}
	// A new attempt must not start while an older one may still succeed.
	known, err = k.askPayment(ctx, op, known)
	switch {
	case errors.Is(err, ErrOutcomeUnknown):
		// This attempt was not sent; it is the one before it that is unknown.
		return Receipt{}, true, k.resolvable(&UnknownOutcomeError{
			Op: op, OrderID: p.OrderID, RequestID: k.chargeID(p.OrderID, p.Attempt), Err: err,
		}, p)
	case err != nil:
		return Receipt{}, true, err
	case known.Outcome == "":
		return conflict("the outcome of the attempt before this one is not known: repeat that one")
	case known.Outcome != Failed || known.Last.Status == PaymentClosed:
		return known.receipt(), true, nil
	}
	return Receipt{}, false, nil
}

// recordAttempt saves that an attempt is about to be sent.
func (k *Kit) recordAttempt(ctx context.Context, op string, known Payment, t Token, p ChargeParams) (Payment, error) {
	now := k.now()
	next := known
	if known.ID == "" {
		next = Payment{ID: k.paymentID(p.OrderID), AccountID: t.AccountID, OrderID: p.OrderID, CreatedAt: now}
	}
	next.UserID, next.TokenID, next.Wallet, next.Amount = t.UserID, t.ID, t.Wallet, p.Amount
	next.Attempt, next.RequestID, next.SentAt = p.Attempt, k.chargeID(p.OrderID, p.Attempt), now
	next.Outcome, next.Last = "", PaymentNotification{}
	next = k.payments.stamp(known, next, now)
	ctx, cancel := k.detached(ctx)
	defer cancel()
	if err := k.payments.save(ctx, next); err != nil {
		return known, k.storeError(ctx, op, err)
	}
	return next, nil
}

// resumeCharge goes on with an attempt of which only the beginning is known:
// it asks first, and sends the identical request again only if the gateway has
// not seen it.
func (k *Kit) resumeCharge(ctx context.Context, known Payment, p ChargeParams) (Receipt, error) {
	const op = "charge"
	unknown := func(err error) error {
		return k.resolvable(&UnknownOutcomeError{Op: op, OrderID: known.OrderID, RequestID: known.RequestID, Err: err}, p)
	}
	known, err := k.askPayment(ctx, op, known)
	if err != nil {
		return Receipt{}, unknown(err)
	}
	if known.Outcome != "" {
		return known.receipt(), nil
	}
	t, err := k.store.Get(ctx, known.TokenID)
	if err != nil {
		return Receipt{}, unknown(k.storeError(ctx, op, err))
	}
	if t.Status != StatusActive {
		return Receipt{}, unknown(&Error{Op: op, Code: ErrNoToken})
	}
	request, err := k.payRequest(op, t, p)
	if err != nil {
		return Receipt{}, err
	}
	// Recorded again, so that nobody takes the attempt for one that will not be
	// executed any more.
	known, err = k.recordAttempt(ctx, op, known, t, p)
	if err != nil {
		return Receipt{}, unknown(err)
	}
	return k.send(ctx, op, known, p, request)
}

// hearPaymentNews moves the record of an order.
func (k *Kit) hearPaymentNews(ctx context.Context, op string, known Payment, n PaymentNotification) (Payment, error) {
	after, err := k.payments.advance(ctx, op, known, func(p Payment) (Payment, bool) { return transitionPayment(p, n, k.now()) })
	if after.Outcome == Succeeded && n.Status == PaymentSuccess && mismatch(n.RequestID, after.RequestID) {
		// Nothing that the kit did: it starts no attempt while another may succeed.
		k.tell(ctx, slog.LevelError, paymentEvent(EventPaidTwice, op, after, after), func() []slog.Attr {
			return []slog.Attr{slog.Any("payment", after), slog.String("request", n.RequestID)}
		})
	}
	return after, err
}

// askPayment queries the order and moves its record. Where the gateway has not
// seen the newest attempt and it has been gone for longer than any connection
// lived, it has failed.
func (k *Kit) askPayment(ctx context.Context, op string, known Payment) (Payment, error) {
	state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: known.OrderID})
	unseen := errors.Is(err, ErrNotFound) ||
		(err == nil && mismatch(state.RequestID, known.RequestID) && state.Status != PaymentSuccess)
	news := state.news(known)
	switch {
	case unseen && known.Outcome == "" && k.now().Sub(known.SentAt) >= k.notExecutedAfter():
		news = PaymentNotification{AccountID: known.AccountID, OrderID: known.OrderID, RequestID: known.RequestID, Status: PaymentFailed, Amount: known.Amount}
	case unseen:
		return known, nil
	case err != nil:
		return known, err
	}
	saving, cancel := k.detached(ctx)
	defer cancel()
	return k.hearPaymentNews(saving, op, known, news)
}

// notExecutedAfter is when a request that the gateway has not seen will not be
// executed any more.
func (k *Kit) notExecutedAfter() time.Duration {
	return max(2*k.client.timeout, k.cfg.Reconcile.After)
}

// news is what an answer to a query says, in the form of a notification.
func (s PayResponse) news(p Payment) PaymentNotification {
	return PaymentNotification{
		AccountID: p.AccountID, Code: s.Code, OrderID: p.OrderID, RequestID: s.RequestID, TransactionID: s.TransactionID,
		Status: s.Status, Amount: s.Amount, Wallet: s.Wallet, Remark: s.Remark, IssuerCode: s.IssuerCode, IssuerMessage: s.IssuerMessage,
	}
}

// news is what a call found out, in the form of a notification.
func (r Receipt) news(p Payment) PaymentNotification {
	n := PaymentNotification{
		AccountID: p.AccountID, Code: r.Code, OrderID: r.OrderID, RequestID: r.RequestID, TransactionID: r.GatewayID,
		Status: r.Status, Amount: r.Amount, Wallet: p.Wallet,
	}
	if n.Status == "" || outcomeOf(n.Status) != r.Outcome {
		n.Status = statusOf(r.Outcome)
	}
	return n
}

// statusOf is the gateway's word for an outcome.
func statusOf(o Outcome) PaymentStatus {
	switch o {
	case Succeeded:
		return PaymentSuccess
	case Failed:
		return PaymentFailed
	}
	return PaymentProcessing
}

// receipt is what the record says of the charge.
func (p Payment) receipt() Receipt {
	r := Receipt{
		Outcome: p.Outcome, OrderID: p.OrderID, RequestID: p.RequestID, GatewayID: p.Last.TransactionID, TokenID: p.TokenID,
		Amount: p.Amount, Status: p.Last.Status, Code: p.Last.Code,
	}
	if p.Last.Amount.Minor != 0 {
		r.Amount = p.Last.Amount
	}
	return r
}

// applyPayment moves the record of the order that a notification is about. One
// that the kit does not know gets a record, so that copies stay harmless.
func (k *Kit) applyPayment(ctx context.Context, n PaymentNotification) error {
	known, err := k.notedPayment(ctx, n.OrderID, func() Payment {
		return Payment{RequestID: n.RequestID, Wallet: n.Wallet, Amount: n.Amount}
	})
	if err != nil {
		return err
	}
	if _, changes := transitionPayment(known, n, k.now()); !changes && !k.payments.owes(known) {
		return nil
	}
	_, err = k.hearPaymentNews(ctx, "notify", known, n)
	return err
}

// notedPayment returns the record of an order, which it makes if there is none.
func (k *Kit) notedPayment(ctx context.Context, orderID string, fresh func() Payment) (Payment, error) {
	known, err := k.Payment(ctx, orderID)
	if !errors.Is(err, ErrNotFound) {
		return known, err
	}
	now := k.now()
	p := fresh()
	p.ID, p.AccountID, p.OrderID, p.CreatedAt, p.SentAt = k.paymentID(orderID), k.client.account.ID, orderID, now, now
	p = k.payments.stamp(Payment{}, p, now)
	switch err := k.payments.save(ctx, p); {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrConflict): // it was made meanwhile
		return k.Payment(ctx, orderID)
	default:
		return Payment{}, k.storeError(ctx, "payment", err)
	}
}
