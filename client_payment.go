package codegrant

import (
	"context"
	"errors"
	"fmt"
)

// PaymentStatus is the gateway's word for the state of a payment or refund.
type PaymentStatus string

// PingPong v4, paystatus. SUCCESS and CLOSED are final. FAILED is not: a later
// attempt on the same order may succeed.
const (
	PaymentInit       PaymentStatus = "INIT"
	PaymentProcessing PaymentStatus = "PROCESSING"
	PaymentFailed     PaymentStatus = "FAILED"
	PaymentClosed     PaymentStatus = "CLOSED"
	PaymentCancelled  PaymentStatus = "CANCEL"
	PaymentSuccess    PaymentStatus = "SUCCESS"
	PaymentAuthorized PaymentStatus = "AUTH_SUCCESS"
)

// Goods is one line of an order.
type Goods struct {
	Name      string `wire:"name" validate:"required,max=500,text"`
	UnitPrice string `wire:"unitPrice" validate:"required,max=12,text"` // major units
	Quantity  string `wire:"number" validate:"required,max=12,text"`
	ImageURL  string `wire:"imgUrl" validate:"max=255,text"`
	SKU       string `wire:"sku" validate:"max=64,text"`
	Virtual   string `wire:"virtualProduct" validate:"omitempty,oneof=Y N"`
}

// PayRequest charges a token. PingPong v4, /v4/payment/unifiedPay.
type PayRequest struct {
	RequestID       string      `wire:"requestId" validate:"required,max=64,text"` // idempotency key of the attempt
	OrderID         string      `wire:"merchantTransactionId" validate:"required,max=64,text"`
	UserID          string      `wire:"merchantUserId" validate:"required,max=256,text"` // as at sign-up
	Token           Secret      `wire:"token" validate:"required,max=512,text"`
	Wallet          Wallet      `wire:"paymentMethod.type" validate:"required,max=64,text"` // as at sign-up
	Amount          Amount      `wire:"amount,currency" validate:"amount"`
	ShopperIP       string      `wire:"shopperIP" validate:"required,max=64,ip"`
	Email           string      `wire:"customer.email" validate:"required,max=128,email,text"`
	Terminal        PayTerminal `wire:"device.orderTerminal" validate:"required,oneof=01 02 03 04"`
	NotificationURL string      `wire:"notificationUrl" validate:"omitempty,max=255,text,callback"`
	ResultURL       string      `wire:"payResultUrl" validate:"omitempty,max=255,text,callback"`
	Goods           []Goods     `wire:"goods" validate:"dive"`
	Country         string      `wire:"tradeCountry" validate:"omitempty,len=2,text"`
	Remark          string      `wire:"remark" validate:"max=255,text"` // echoed in the notification
	bizType         string      `wire:"bizType"`
	captureDelay    int         `wire:"captureDelayHours"` //nolint:unused // 0, written to the wire by reflection
}

// PayResponse is the gateway's view of a payment.
type PayResponse struct {
	Code          string        // result code: of the payment, or of the query's own subject
	Description   string        // the gateway's text; escape it before display
	OrderID       string        `wire:"merchantTransactionId"`
	RequestID     string        `wire:"requestId"`
	TransactionID string        `wire:"transactionId"` // PingPong's number
	Status        PaymentStatus `wire:"status"`
	Amount        Amount        `wire:"amount,currency"` // zero when the gateway left it out
	Wallet        Wallet        `wire:"paymentMethod.type"`
	Remark        string        `wire:"remark"`
	IssuerCode    string        `wire:"issuerInfo.issuerResultCode"`
	IssuerMessage string        `wire:"issuerInfo.issuerResultMsg"`

	// ActionType and ActionURL are set when the user must do something more,
	// which CodeGrant is not expected to ask: QR_CODE, QR_URL or
	// PAYMENT_REDIRECT_URL.
	ActionType string `wire:"action.type"`
	ActionURL  string `wire:"action.paymentRedirectUrl|action.qrUrl|action.qrCode"`
}

// Pay charges a token. A signed decline is a response whose Status is FAILED
// or a [*GatewayError] when the answer holds no payment at all; an answer by
// which the money may or may not have moved matches [ErrOutcomeUnknown].
func (c *Client) Pay(ctx context.Context, r PayRequest) (PayResponse, error) {
	return c.pay(ctx, r, unchecked)
}

func (c *Client) pay(ctx context.Context, r PayRequest, isChecked bool) (PayResponse, error) {
	return observedCall(ctx, c, "unifiedPay", c.endpoints.Pay, r.Wallet, func(ctx context.Context) (PayResponse, error) {
		return c.sendPay(ctx, r, isChecked)
	})
}

func (c *Client) sendPay(ctx context.Context, r PayRequest, isChecked bool) (PayResponse, error) {
	const op = "unifiedPay"
	r.bizType = bizTypeCodeGrant
	a, err := c.call(ctx, op, c.endpoints.Pay, r, isChecked)
	if err != nil {
		return PayResponse{}, err
	}
	defer a.release()
	out := PayResponse{Code: a.code, Description: a.description, Amount: Amount{Currency: r.Amount.Currency}}
	if err := decodeBiz(a.biz(), &out); err != nil {
		return PayResponse{}, wrap(op, ErrOutcomeUnknown, err)
	}
	switch {
	case mismatch(out.OrderID, r.OrderID) || mismatch(out.RequestID, r.RequestID):
		return PayResponse{}, wrap(op, ErrOutcomeUnknown, errors.New("answer belongs to another payment"))
	case out.Status == PaymentSuccess:
		if err := doubtSuccess(op, a, out.Amount, r.Amount); err != nil {
			return PayResponse{}, err
		}
	case internalCode(a.code) || duplicateCode(a.code):
		return PayResponse{}, c.undecided(op, r, a)
	case out.Status == PaymentFailed && a.code == "000000":
		return PayResponse{}, wrap(op, ErrOutcomeUnknown, errors.New("status FAILED with the code of a success"))
	case out.Status != "":
	case paymentCode(a.code) || a.code == "002000":
		out.Status = PaymentProcessing
	default:
		return PayResponse{}, c.refusal(op, r, a)
	}
	return out, nil
}

// doubtSuccess returns nil for a success that agrees with itself and with what
// was asked for.
func doubtSuccess(op string, a answer, got, asked Amount) error {
	switch {
	case !paymentCode(a.code):
		return wrap(op, ErrOutcomeUnknown, fmt.Errorf("status SUCCESS with code %q", a.code))
	case got.Currency != asked.Currency || (a.biz().text("amount") != "" && got != asked):
		return wrap(op, ErrOutcomeUnknown, errors.New("answer has another amount"))
	}
	return nil
}

// paymentCode reports the codes that go with a served request: PingPong v4,
// Status Code. An absent code says nothing against it.
func paymentCode(code string) bool { return code == "" || code == "000000" || code == "001000" }

// duplicateCode reports the codes which say that this payment exists already.
// PingPong v4, Status Code.
func duplicateCode(code string) bool { return code == "107000" || code == "301013" }

func mismatch(got, want string) bool { return got != "" && want != "" && got != want }

// PaymentQuery asks for a payment by one of its numbers.
type PaymentQuery struct {
	OrderID       string `wire:"merchantTransactionId" validate:"required_without=TransactionID,max=64,text"`
	TransactionID string `wire:"transactionId" validate:"max=64,text"`
	RequestID     string `wire:"requestId" validate:"max=64,text"` // optional: only this attempt
}

// QueryPayment returns the payment's state; its Code and Description are those
// of the payment. It returns [ErrNotFound] when the gateway answers that it
// does not know the order.
// PingPong v4, /v4/payment/query.
func (c *Client) QueryPayment(ctx context.Context, r PaymentQuery) (PayResponse, error) {
	return observedCall(ctx, c, "payment query", c.endpoints.PaymentQuery, "", func(ctx context.Context) (PayResponse, error) {
		return c.queryPayment(ctx, r)
	})
}

func (c *Client) queryPayment(ctx context.Context, r PaymentQuery) (PayResponse, error) {
	const op = "payment query"
	a, err := c.query(ctx, op, c.endpoints.PaymentQuery, r)
	if err != nil {
		return PayResponse{}, err
	}
	defer a.release()
	var out PayResponse
	if err := decodeBiz(a.biz(), &out); err != nil {
		return PayResponse{}, wrap(op, ErrOutcomeUnknown, err)
	}
	out.Code, out.Description = a.biz().text("resultCode"), a.biz().text("resultDescription")
	if mismatch(out.OrderID, r.OrderID) || mismatch(out.TransactionID, r.TransactionID) ||
		mismatch(out.RequestID, r.RequestID) || out.Status == "" {
		return PayResponse{}, wrap(op, ErrOutcomeUnknown, errors.New("answer does not describe the payment"))
	}
	return out, nil
}

// query is call for the interfaces that answer 001000 and put the subject's
// own result into bizContent.
func (c *Client) query(ctx context.Context, op, path string, request any) (answer, error) {
	a, err := c.call(ctx, op, path, request, unchecked)
	if err != nil || paymentCode(a.code) {
		return a, err
	}
	a.release()
	switch {
	case a.code == "107001" || a.code == "107002":
		return answer{}, wrap(op, ErrNotFound, c.refusal(op, request, a))
	case internalCode(a.code):
		return answer{}, c.undecided(op, request, a)
	}
	return answer{}, c.refusal(op, request, a)
}

// RefundRequest pays an order back, whole or in part.
// PingPong v4, /v4/payment/refund.
type RefundRequest struct {
	OrderID         string `wire:"merchantTransactionId" validate:"required,max=64,text"`
	RefundID        string `wire:"merchantRefundId" validate:"required,max=64,text"` // idempotency key
	Amount          Amount `wire:"amount,currency" validate:"amount"`
	NotificationURL string `wire:"notificationUrl" validate:"omitempty,max=255,text,callback"`
	Remark          string `wire:"remark" validate:"max=32,text"`
}

// RefundResponse is the gateway's view of a refund.
type RefundResponse struct {
	Code          string        // result code of the refund
	Description   string        // the gateway's text; escape it before display
	OrderID       string        `wire:"merchantTransactionId"`
	RefundID      string        `wire:"merchantRefundId"`
	TransactionID string        `wire:"transactionId"`
	GatewayID     string        `wire:"refundId"` // PingPong's number of the refund
	Status        PaymentStatus `wire:"status"`
	Amount        Amount        `wire:"amount,currency"`
}

// Refund pays an order back; errors as [Client.Pay].
func (c *Client) Refund(ctx context.Context, r RefundRequest) (RefundResponse, error) {
	return observedCall(ctx, c, "refund", c.endpoints.Refund, "", func(ctx context.Context) (RefundResponse, error) {
		return c.sendRefund(ctx, r)
	})
}

func (c *Client) sendRefund(ctx context.Context, r RefundRequest) (RefundResponse, error) {
	const op = "refund"
	a, err := c.call(ctx, op, c.endpoints.Refund, r, unchecked)
	if err != nil {
		return RefundResponse{}, err
	}
	defer a.release()
	out := RefundResponse{Amount: Amount{Currency: r.Amount.Currency}}
	if err := decodeBiz(a.biz(), &out); err != nil {
		return RefundResponse{}, wrap(op, ErrOutcomeUnknown, err)
	}
	out.Code, out.Description = a.biz().text("resultCode"), a.biz().text("resultDescription")
	if out.Code == "" {
		out.Code, out.Description = a.code, a.description
	}
	switch {
	case mismatch(out.OrderID, r.OrderID) || mismatch(out.RefundID, r.RefundID):
		return RefundResponse{}, wrap(op, ErrOutcomeUnknown, errors.New("answer belongs to another refund"))
	case out.Status == PaymentSuccess:
		if err := doubtSuccess(op, a, out.Amount, r.Amount); err != nil {
			return RefundResponse{}, err
		}
	case internalCode(a.code) || duplicateCode(a.code):
		return RefundResponse{}, c.undecided(op, r, a)
	case out.Status != "":
	case paymentCode(a.code) || a.code == "002000":
		out.Status = PaymentProcessing
	default:
		return RefundResponse{}, c.refusal(op, r, a)
	}
	return out, nil
}

// RefundQuery asks for a refund by one of its numbers.
type RefundQuery struct {
	OrderID   string `wire:"merchantTransactionId" validate:"required,max=64,text"`
	RefundID  string `wire:"merchantRefundId" validate:"required_without=GatewayID,max=64,text"`
	GatewayID string `wire:"refundId" validate:"max=64,text"`
}

// QueryRefund returns a refund's state, or [ErrNotFound].
// PingPong v4, /v4/refund/query.
func (c *Client) QueryRefund(ctx context.Context, r RefundQuery) (RefundResponse, error) {
	return observedCall(ctx, c, "refund query", c.endpoints.RefundQuery, "", func(ctx context.Context) (RefundResponse, error) {
		return c.queryRefund(ctx, r)
	})
}

func (c *Client) queryRefund(ctx context.Context, r RefundQuery) (RefundResponse, error) {
	const op = "refund query"
	a, err := c.query(ctx, op, c.endpoints.RefundQuery, r)
	if err != nil {
		return RefundResponse{}, err
	}
	defer a.release()
	var out RefundResponse
	if err := decodeBiz(a.biz(), &out); err != nil {
		return RefundResponse{}, wrap(op, ErrOutcomeUnknown, err)
	}
	out.Code, out.Description = a.biz().text("resultCode"), a.biz().text("resultDescription")
	if mismatch(out.OrderID, r.OrderID) || mismatch(out.RefundID, r.RefundID) ||
		mismatch(out.GatewayID, r.GatewayID) || out.Status == "" {
		return RefundResponse{}, wrap(op, ErrOutcomeUnknown, errors.New("answer does not describe the refund"))
	}
	return out, nil
}
