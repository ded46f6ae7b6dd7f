package codegrant

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"time"
)

// Outcome is what is known of a charge or a refund.
type Outcome string

// The outcomes. What is not known is no outcome but an [UnknownOutcomeError].
const (
	// Succeeded: the money moved. Final.
	Succeeded Outcome = "succeeded"
	// Failed: this attempt moved no money. A new attempt may succeed.
	Failed Outcome = "failed"
	// Pending: the gateway is working on it; [Config.OnPayment] or
	// [Config.OnRefund] will hear the end.
	Pending Outcome = "pending"
)

// Receipt is what the gateway says of a charge or a refund.
type Receipt struct {
	Outcome     Outcome
	OrderID     string
	RequestID   string        // requestId of the charge, or merchantRefundId
	GatewayID   string        // transactionId or refundId; may be empty
	TokenID     string        // record that was charged; empty for refunds
	Amount      Amount        // as the gateway says, else as asked for
	Status      PaymentStatus // the gateway's word; empty for a refusal
	Code        string        // the gateway's code; may be empty
	Description string        // the gateway's text; escape it before display

	// TokenGone: the charge failed because the gateway does not know the
	// token. The record is being checked; the user may have to sign up again.
	// Where another call of the same attempt may still be under way with another
	// token, wait for that one: raising the attempt is refused meanwhile.
	TokenGone bool
	// ActionType and ActionURL are set on a pending charge that wants something
	// of the user, which CodeGrant is not expected to do.
	ActionType, ActionURL string
}

// ChargeParams says whom to charge, what for and how much.
type ChargeParams struct {
	UserID  string // the merchant's own user id; required
	OrderID string // merchantTransactionId, at most 64 characters; required
	// Attempt numbers the tries at one order, from 1; zero means 1. The same
	// attempt is the same request at the gateway, so repeating it is safe. Raise
	// it only after an attempt ended as [Failed].
	Attempt int
	Amount  Amount // required, positive

	TokenID string // record to charge; empty means the user's newest active one
	// Wallet is the only one whose token may be charged; empty means any. It is
	// needed for a token that was adopted and whose wallet nobody has said.
	Wallet Wallet

	ShopperIP string      // IPv4 or IPv6 address of the user; required
	Email     string      // of the user; required
	Terminal  PayTerminal // where the user is; empty means PayOnPC
	Goods     []Goods     // optional
	Country   string      // ISO 3166-1 alpha-2; optional
	Remark    string      // echoed in the notification; optional
}

// Charge charges a user's token once. A declined charge is no error: its
// outcome is [Failed]. Errors are: [ErrNoToken] or [ErrNotOwner] and nothing
// was sent; a [*RequestError] and nothing was sent; [ErrUnreachable] and the
// gateway did not hear of it; or an [*UnknownOutcomeError], of which nothing may
// be concluded before its Resolve. Calls for one order run one after the other
// within a process.
//
// With [Config.Payments] every attempt is recorded before it is sent, and an
// order that is settled is answered from its record, without a call. What does
// not fit the record, such as another amount under the same attempt, matches
// [ErrConflict].
//
// An order that is paid stays paid, whatever amount is asked for now: the
// receipt has the amount that was paid, and the log says [EventAmountDiffers].
//
// Cancelling ctx in the middle makes the outcome unknown: a handler that must
// know it passes context.WithoutCancel of its request's context.
func (k *Kit) Charge(ctx context.Context, p ChargeParams) (Receipt, error) {
	return observed(ctx, k, OperationTask, "charge", func(ctx context.Context) (Receipt, error) { return k.charge(ctx, p) })
}

func (k *Kit) charge(ctx context.Context, p ChargeParams) (Receipt, error) {
	const op = "charge"
	p.Attempt = max(p.Attempt, 1)
	setDefault(&p.Terminal, PayOnPC)
	unlock, _, err := k.locks.lock(ctx, "order "+p.OrderID)
	if err != nil {
		return Receipt{}, wrap(op, ErrDeadline, err)
	}
	defer unlock()
	if k.payments != nil {
		return k.chargeRecorded(ctx, op, p)
	}
	t, err := k.chargeable(ctx, op, p)
	if err != nil {
		return Receipt{}, err
	}
	request, err := k.payRequest(op, t, p)
	if err != nil {
		return Receipt{}, err
	}
	if p.Attempt > 1 {
		receipt, err := k.earlierAttempt(ctx, p, t.ID, request)
		if errors.Is(err, ErrOutcomeUnknown) {
			err = k.unsentCharge(p, request, err)
		}
		if receipt.Outcome != "" || err != nil {
			k.noteAmount(ctx, op, receipt, p)
			return receipt, err
		}
	}
	receipt, err := k.pay(ctx, t.ID, request)
	k.noteAmount(ctx, op, receipt, p)
	return receipt, err
}

// chargeable returns the token to charge. Another user's is refused here,
// before the network.
func (k *Kit) chargeable(ctx context.Context, op string, p ChargeParams) (Token, error) {
	if p.TokenID == "" {
		if p.UserID == "" {
			return Token{}, &Error{Op: op, Code: ErrUnauthenticated}
		}
		return k.ActiveToken(ctx, p.UserID, p.Wallet)
	}
	t, err := k.ownToken(ctx, op, p.UserID, p.TokenID)
	if err != nil {
		return Token{}, err
	}
	if t.Status != StatusActive || (p.Wallet != "" && t.Wallet != "" && t.Wallet != p.Wallet) {
		return Token{}, &Error{Op: op, Code: ErrNoToken}
	}
	return t, nil
}

// payRequest returns the request of a charge, checked. It shares nothing that the
// caller may change while its outcome is not known.
func (k *Kit) payRequest(op string, t Token, p ChargeParams) (PayRequest, error) {
	request := PayRequest{
		RequestID: k.chargeID(p.OrderID, p.Attempt), OrderID: p.OrderID, UserID: t.UserID,
		Token: t.Value, Wallet: cmp.Or(t.Wallet, p.Wallet), Amount: p.Amount,
		ShopperIP: p.ShopperIP, Email: p.Email, Terminal: p.Terminal,
		NotificationURL: k.cfg.NotifyURL + "/" + t.ID,
		Goods:           slices.Clone(p.Goods), Country: p.Country, Remark: p.Remark,
	}
	return request, k.client.requests.check(op, request)
}

func (k *Kit) chargeID(orderID string, attempt int) string {
	return derivedID("charge", k.client.account.ID, orderID, strconv.Itoa(attempt))
}

// earlierAttempt keeps a new attempt from starting while an older one may
// still succeed: PingPong v4, paystatus, says that two requests in flight for
// one order can both charge. A zero Receipt and nil mean go ahead.
func (k *Kit) earlierAttempt(ctx context.Context, p ChargeParams, tokenID string, request PayRequest) (Receipt, error) {
	state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: p.OrderID})
	if errors.Is(err, ErrNotFound) {
		return Receipt{}, wrap("charge", ErrConflict,
			errors.New("the gateway knows no earlier attempt of this order: repeat that one"))
	}
	if err != nil {
		return Receipt{}, err
	}
	receipt := k.receiptOf(state, request, tokenID)
	if receipt.Outcome != Failed || state.Status == PaymentClosed {
		return receipt, nil
	}
	if state.RequestID != "" && state.RequestID != k.chargeID(p.OrderID, p.Attempt-1) && state.RequestID != request.RequestID {
		return Receipt{}, wrap("charge", ErrConflict,
			errors.New("the gateway has not seen the attempt before this one: repeat that one"))
	}
	return Receipt{}, nil
}

// pay sends request, which payRequest made, and says what came of it.
func (k *Kit) pay(ctx context.Context, tokenID string, request PayRequest) (Receipt, error) {
	sent := k.now()
	response, err := k.client.pay(ctx, request, checked)
	if err == nil {
		return k.receiptOf(response, request, tokenID), nil
	}
	var refusal *GatewayError
	isAnswer := errors.As(err, &refusal)
	if errors.Is(err, ErrOutcomeUnknown) {
		if isAnswer && !refusal.Unverified && duplicateCode(refusal.Code) {
			// This attempt was made before with another token, since when the user
			// has signed up again. To send it once more would say no more.
			state, queryErr := k.client.QueryPayment(ctx, PaymentQuery{OrderID: request.OrderID})
			if queryErr == nil && (!mismatch(state.RequestID, request.RequestID) || outcomeOf(state.Status) != Failed) {
				return k.receiptOf(state, request, tokenID), nil
			}
		}
		return Receipt{}, k.unknownCharge(tokenID, request, sent, err)
	}
	if !isAnswer {
		return Receipt{}, err
	}
	receipt := Receipt{
		Outcome: Failed, OrderID: request.OrderID, RequestID: request.RequestID, TokenID: tokenID,
		Amount: request.Amount, Code: refusal.Code, Description: refusal.Description,
		TokenGone: errors.Is(err, ErrTokenGone),
	}
	if !receipt.TokenGone {
		return receipt, nil
	}
	k.doubt(ctx, tokenID)
	// This may be the repetition of a request that was executed while the token
	// lived: the refusal speaks of the token and not of the order.
	state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: request.OrderID})
	switch {
	case errors.Is(err, ErrNotFound):
	case err != nil:
		return Receipt{}, k.unknownCharge(tokenID, request, sent, err)
	case outcomeOf(state.Status) != Failed:
		receipt = k.receiptOf(state, request, tokenID)
		receipt.TokenGone = true
	}
	return receipt, nil
}

// QueryCharge asks the gateway how an order stands, without sending or storing
// anything and whether or not the user still has a token. It matches
// [ErrNotFound] when the gateway does not know the order. The receipt's TokenID
// is empty.
func (k *Kit) QueryCharge(ctx context.Context, orderID string) (Receipt, error) {
	state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: orderID})
	if err != nil {
		return Receipt{}, err
	}
	return k.receiptOf(state, PayRequest{OrderID: orderID, RequestID: state.RequestID, Amount: state.Amount}, ""), nil
}

// receiptOf reads a verified state of a payment.
func (k *Kit) receiptOf(s PayResponse, request PayRequest, tokenID string) Receipt {
	r := Receipt{
		OrderID: request.OrderID, RequestID: request.RequestID, GatewayID: s.TransactionID, TokenID: tokenID,
		Amount: request.Amount, Status: s.Status, Code: s.Code, Description: s.Description,
		ActionType: s.ActionType, ActionURL: s.ActionURL,
	}
	// What was asked for now is not what an earlier attempt was about.
	if s.RequestID != "" {
		r.RequestID = s.RequestID
	}
	if s.Amount.Minor != 0 {
		r.Amount = s.Amount
	}
	r.Outcome = outcomeOf(s.Status)
	if s.ActionURL != "" && r.Outcome == Succeeded {
		// PingPong v4, unifiedPay: an action means that the user is not done.
		r.Outcome = Pending
	}
	return r
}

// outcomeOf reads PingPong's seven statuses.
func outcomeOf(s PaymentStatus) Outcome {
	switch s {
	case PaymentSuccess:
		return Succeeded
	case PaymentFailed, PaymentClosed, PaymentCancelled:
		return Failed
	}
	return Pending
}

// doubt marks a token that the gateway says it does not know and asks the
// gateway about it. Only a confirmation ends it.
func (k *Kit) doubt(ctx context.Context, tokenID string) {
	saving, cancel := k.detached(ctx)
	defer cancel()
	t, err := k.tokens.advance(saving, "charge", Token{ID: tokenID}, func(t Token) (Token, bool) {
		if t.Status != StatusActive || !t.DoubtedAt.IsZero() {
			return t, false
		}
		t.DoubtedAt = k.now()
		return t, true
	})
	if err == nil {
		asking, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
		defer cancel()
		_, err = k.Refresh(asking, tokenID)
		if ctx.Err() != nil {
			return // the caller has left: the query goes on, and sweeps ask again
		}
	}
	if err != nil {
		k.reject(ctx, "charge", err, slog.Any("token", t))
	}
}

// UnknownOutcomeError says that the gateway may or may not have moved money.
// It matches [ErrOutcomeUnknown]. Nothing may be concluded from it: neither
// that the user paid, nor that charging again under another number is safe.
type UnknownOutcomeError struct {
	Op        string // "charge" or "refund"
	OrderID   string
	RequestID string // requestId of the charge, or merchantRefundId
	Err       error  // why the outcome is unknown

	resolve func(context.Context) (Receipt, error)
}

// Error names the operation, the order and the reason.
func (e *UnknownOutcomeError) Error() string {
	return "codegrant: " + e.Op + " of order " + e.OrderID + ": outcome unknown: " + e.Err.Error()
}

// Is matches [ErrOutcomeUnknown].
func (e *UnknownOutcomeError) Is(target error) bool { return target == ErrOutcomeUnknown }

// Unwrap returns the reason.
func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// Resolve finds out: it asks the gateway and sends the identical request again
// only when the gateway has not seen it and the token is still active. It may
// be called any number of times, and returns another UnknownOutcomeError while
// nothing is known. After a restart, call [Kit.Charge] or [Kit.Refund] again
// with the same parameters, or only look with [Kit.QueryCharge] or
// [Kit.QueryRefund].
func (e *UnknownOutcomeError) Resolve(ctx context.Context) (Receipt, error) { return e.resolve(ctx) }

func (k *Kit) unknownCharge(tokenID string, request PayRequest, sent time.Time, err error) error {
	return &UnknownOutcomeError{
		Op: "charge", OrderID: request.OrderID, RequestID: request.RequestID, Err: err,
		resolve: func(ctx context.Context) (Receipt, error) { return k.resolveCharge(ctx, tokenID, request, sent) },
	}
}

// unsentCharge is for an attempt that was not sent, because it is not known
// what became of the ones before it.
func (k *Kit) unsentCharge(p ChargeParams, request PayRequest, err error) error {
	return &UnknownOutcomeError{
		Op: "charge", OrderID: p.OrderID, RequestID: request.RequestID, Err: err,
		resolve: func(ctx context.Context) (Receipt, error) {
			receipt, err := k.Charge(ctx, p)
			if !errors.Is(err, ErrNoToken) {
				return receipt, err
			}
			// No token is left to send it with: the outcome is theirs.
			receipt, err = k.QueryCharge(ctx, p.OrderID)
			switch {
			case errors.Is(err, ErrNotFound):
				return Receipt{Outcome: Failed, OrderID: p.OrderID, RequestID: request.RequestID, Amount: p.Amount}, nil
			case err != nil:
				return Receipt{}, k.unsentCharge(p, request, err)
			}
			return receipt, nil
		},
	}
}

func (k *Kit) resolveCharge(ctx context.Context, tokenID string, request PayRequest, sent time.Time) (Receipt, error) {
	unknown := func(err error) error { return k.unknownCharge(tokenID, request, sent, err) }
	unlock, _, err := k.locks.lock(ctx, "order "+request.OrderID)
	if err != nil {
		return Receipt{}, unknown(err)
	}
	defer unlock()
	state, err := k.client.QueryPayment(ctx, PaymentQuery{OrderID: request.OrderID})
	switch {
	case err == nil && (!mismatch(state.RequestID, request.RequestID) || state.Status == PaymentSuccess):
		return k.receiptOf(state, request, tokenID), nil
	case err != nil && !errors.Is(err, ErrNotFound):
		return Receipt{}, unknown(err)
	}
	// The gateway has not seen this attempt.
	t, err := k.store.Get(ctx, tokenID)
	if err != nil {
		return Receipt{}, unknown(k.storeError(ctx, "charge", err))
	}
	if t.Status == StatusActive {
		return k.pay(ctx, tokenID, request)
	}
	// Other calls, in any process, may have sent it until the token stopped
	// paying.
	if t.UpdatedAt.After(sent) {
		sent = t.UpdatedAt
	}
	if k.now().Sub(sent) < 2*k.client.timeout {
		return Receipt{}, unknown(&Error{Op: "charge", Code: ErrNoToken})
	}
	// The token has ended and the request has been gone for longer than any
	// connection lived: it will not be executed any more.
	return Receipt{
		Outcome: Failed, OrderID: request.OrderID, RequestID: request.RequestID, TokenID: tokenID, Amount: request.Amount,
	}, nil
}
