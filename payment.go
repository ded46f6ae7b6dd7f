package codegrant

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// Payment is the record of one order: its charge, attempt after attempt, and
// its refunds. It holds no credential, so that stores keep it as it is.
type Payment struct {
	ID        string // derived from account and order: the primary key
	AccountID string // accId of the account that charges
	OrderID   string // merchantTransactionId
	UserID    string // the merchant's user; empty for an order of which only a notification is known
	TokenID   string // record of the token that is charged
	Wallet    Wallet
	Amount    Amount // asked for by the newest attempt

	Attempt   int       // the newest attempt, from 1
	RequestID string    // its requestId
	SentAt    time.Time // when it was recorded, which is before it was sent
	// Outcome is what is known of the newest attempt. Empty means that it was
	// sent, or was about to be, and nothing is known yet.
	Outcome Outcome
	// Last is what the gateway said last of the order, by a notification, an
	// answer or a query, without the token.
	Last PaymentNotification

	// Handled and HandledAttempt are the outcome that [Config.OnPayment] has
	// accepted; empty and 0 for none.
	Handled        Outcome
	HandledAttempt int

	Refunds []RefundRecord // in the order of their making

	Revision int64 // number of saves; the fencing number for hooks
	// UnsettledSince is since when this record waits for the gateway or for a
	// hook; zero when it waits for nothing. It is all that
	// [PaymentStore.UnsettledPayments] looks at. A sweep that takes the record up
	// moves it, up to 3 h into the future.
	UnsettledSince time.Time
	CreatedAt      time.Time
	UpdatedAt      time.Time // of the last change; a sweep's look is none
}

// RefundRecord is one refund of an order. What has not failed counts against
// what is left of the payment.
type RefundRecord struct {
	Number   int    // as in [RefundParams]; 0 for one that the kit did not make
	RefundID string // merchantRefundId
	Amount   Amount
	Remark   string
	SentAt   time.Time // when it was recorded, which is before it was sent
	Outcome  Outcome   // empty while nothing is known
	Handled  Outcome   // what [Config.OnRefund] has accepted
	Last     RefundNotification
}

// String returns order and outcome.
func (p Payment) String() string { return fmt.Sprintf("payment(%s %s)", p.OrderID, p.Outcome) }

// LogValue is the group that log/slog shows for a Payment.
func (p Payment) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("order", p.OrderID),
		slog.Int("attempt", p.Attempt),
		slog.String("outcome", string(p.Outcome)),
		slog.Int64("revision", p.Revision),
	)
}

// MarshalBinary returns the whole record, for stores that keep records as
// bytes. Later versions of this package read it too.
func (p Payment) MarshalBinary() ([]byte, error) { return json.Marshal(paymentFields(p)) }

// UnmarshalBinary reads what [Payment.MarshalBinary] wrote.
func (p *Payment) UnmarshalBinary(data []byte) error {
	var stored paymentFields
	if err := json.Unmarshal(data, &stored); err != nil {
		return fmt.Errorf("codegrant: not a stored payment record: %T", err)
	}
	if string(bytes.TrimSpace(data)) == "null" {
		return errors.New("codegrant: not a stored payment record: null")
	}
	*p = Payment(stored)
	return nil
}

type paymentFields Payment // without Payment's methods

// PaymentStore keeps the records of orders. It holds no rules of the product
// and is like [TokenStore] in everything that is not said here. Where it is
// also a [TxStore], the store that InTx hands to its function must be a
// PaymentStore too.
type PaymentStore interface {
	// GetPayment returns the record with this id, or [ErrNotFound].
	GetPayment(ctx context.Context, id string) (Payment, error)

	// SavePayment must store p exactly as given if the revision stored for p.ID
	// is p.Revision-1, as [TokenStore] demands of Save.
	SavePayment(ctx context.Context, p Payment) error

	// UnsettledPayments returns at most limit records whose UnsettledSince is
	// neither zero nor later than olderThan, by UnsettledSince and then ID,
	// oldest first.
	UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]Payment, error)
}

// Payment returns the record of an order, or [ErrNotFound]; [ErrDisabled]
// without [Config.Payments].
func (k *Kit) Payment(ctx context.Context, orderID string) (Payment, error) {
	const op = "payment"
	if k.payments == nil {
		return Payment{}, &Error{Op: op, Code: ErrDisabled}
	}
	p, err := k.payments.get(ctx, k.paymentID(orderID))
	if err != nil {
		return Payment{}, k.storeError(ctx, op, err)
	}
	return p, nil
}

func (k *Kit) paymentID(orderID string) string {
	return derivedID("payment", k.client.account.ID, orderID)
}

// paymentKeeper keeps the records of orders; nil without a store for them.
func (k *Kit) paymentKeeper() *keeper[Payment] {
	store := k.cfg.Payments
	if store == nil {
		return nil
	}
	of := func(s PaymentStore) records[Payment] {
		return records[Payment]{get: checkedPayments{s}.GetPayment, save: s.SavePayment}
	}
	payments := &keeper[Payment]{
		kit: k, kind: "payment ", records: of(store),
		hooked:   k.cfg.OnPayment != nil || k.cfg.OnRefund != nil,
		id:       func(p Payment) string { return p.ID },
		revision: func(p Payment) int64 { return p.Revision },
		owes:     func(p Payment) bool { return p.owesHook() || slices.ContainsFunc(p.Refunds, RefundRecord.owesHook) },
		hear:     k.hearPayment,
		accept:   acceptPayment,
		stamp: func(before, p Payment, now time.Time) Payment {
			p.Revision, p.UpdatedAt = before.Revision+1, now
			return settlePayment(p, now)
		},
		note: k.notePayment,
	}
	if tx, ok := store.(TxStore); ok && payments.hooked && !k.cfg.HooksAfterSave {
		payments.inTx = func(ctx context.Context, fn func(context.Context, records[Payment]) error) error {
			return tx.InTx(ctx, func(ctx context.Context, s TokenStore) error {
				inTx, ok := s.(PaymentStore)
				if !ok {
					return errors.New("codegrant: the store of the transaction is no PaymentStore")
				}
				return fn(ctx, of(inTx))
			})
		}
	}
	return payments
}

func (k *Kit) hearPayment(ctx context.Context, op string, p Payment) error {
	if k.cfg.OnPayment != nil && p.owesHook() {
		err := k.runHook(ctx, op, func(ctx context.Context) error { return k.cfg.OnPayment(ctx, p.Last) })
		if err != nil {
			return err
		}
	}
	for _, r := range p.Refunds {
		if k.cfg.OnRefund == nil || !r.owesHook() {
			continue
		}
		if err := k.runHook(ctx, op, func(ctx context.Context) error { return k.cfg.OnRefund(ctx, r.Last) }); err != nil {
			return err
		}
	}
	return nil
}

func (k *Kit) notePayment(ctx context.Context, op string, before, after Payment) {
	if after.Outcome != before.Outcome || after.Attempt != before.Attempt {
		k.note(ctx, op, "payment", slog.Any("payment", after))
	}
	if after.Outcome == Succeeded && before.Outcome != Succeeded && after.Last.Amount.Minor != 0 && after.Last.Amount != after.Amount {
		k.log.LogAttrs(ctx, slog.LevelWarn, "codegrant: the gateway names another amount than was asked for",
			slog.String("code", "amount_differs"), slog.String("op", op), slog.Any("payment", after))
	}
	for i, r := range after.Refunds {
		if i >= len(before.Refunds) || before.Refunds[i].Outcome != r.Outcome {
			k.note(ctx, op, "refund", slog.String("order", after.OrderID), slog.Int("number", r.Number),
				slog.String("outcome", string(r.Outcome)))
		}
	}
}
