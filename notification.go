package codegrant

import (
	"maps"
	"sync"
	"time"
)

// Kind is what a notification says, after the table of notifyType values.
type Kind string

// The kinds. The zero Kind is a type that the table does not know.
const (
	KindUnknown           Kind = ""
	KindSignedUp          Kind = "signed_up"
	KindSignUpFailed      Kind = "sign_up_failed"
	KindUnboundByUser     Kind = "unbound_by_user"
	KindUnboundByMerchant Kind = "unbound_by_merchant"
	KindPayment           Kind = "payment"
	KindRefund            Kind = "refund"

	// KindTokenGone is what a query finds out; no documented notifyType says it.
	KindTokenGone Kind = "token_gone"
)

// DefaultNotifyTypes returns the documented notifyType values. The new
// sign-up notification's own values are UNKNOWN, so [Config.NotifyTypes] adds
// to this table.
// PingPong v4, oneClickPayment and payment and refund notifications.
func DefaultNotifyTypes() map[string]Kind {
	return map[string]Kind{
		"ACCESS_TOKEN_CREATION":                KindSignedUp,
		"ACCESS_TOKEN_CANCEL_OF_MERCHANT":      KindUnboundByMerchant,
		"ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER": KindUnboundByUser,
		"RECHARGE":                             KindPayment,
		"REFUND":                               KindRefund,
	}
}

// Notification is a verified message of the gateway. There is no other way to
// get one than through the verification of its signature.
type Notification struct {
	Kind        Kind
	AccountID   string // accId of the account whose salt verified it
	Salt        int    // index in Account.Salts of that salt, for rotation
	Code        string // top-level code; may be empty
	Description string // the gateway's text; escape it before display
	Raw         Secret // the body as received

	Type      string `wire:"notifyType"`
	RequestID string `wire:"requestId"`
	UserID    string `wire:"merchantUserId"`
	Token     Secret `wire:"token"`
	Status    string `wire:"status"`
	Wallet    Wallet `wire:"paymentMethod.type|payMethod"`
	LoginID   Secret `wire:"userLoginId"` // personal data
	Expires   string `wire:"expireTime"`  // time zone UNKNOWN

	Payment *PaymentNotification // set for KindPayment
	Refund  *RefundNotification  // set for KindRefund
}

// PaymentNotification says what became of a charge. Only SUCCESS is final:
// FAILED may be followed by a success of a later attempt on the same order.
// PingPong v4, payment notification.
type PaymentNotification struct {
	AccountID        string        // accId of the account whose salt verified it
	Code             string        // top-level code; may be empty
	OrderID          string        `wire:"merchantTransactionId"`
	RequestID        string        `wire:"requestId"`
	TransactionID    string        `wire:"transactionId"` // PingPong's number
	Status           PaymentStatus `wire:"status"`
	Amount           Amount        `wire:"amount,currency"`
	Wallet           Wallet        `wire:"paymentMethod.type"`
	Token            Secret        `wire:"token"`
	Remark           string        `wire:"remark"`          // as sent with the charge
	StartedAt        time.Time     `wire:"transactionTime"` // zero when absent
	EndedAt          time.Time     `wire:"transactionEndTime|transactionEndingTime"`
	ExchangedAmount  string        `wire:"exchangedAmount"` // major units
	ExchangeCurrency string        `wire:"exchangedCurrency"`
	IssuerCode       string        `wire:"issuerInfo.issuerResultCode"`
	IssuerMessage    string        `wire:"issuerInfo.issuerResultMsg"`
}

// RefundNotification says what became of a refund.
// PingPong v4, refund notification.
type RefundNotification struct {
	AccountID     string        // accId of the account whose salt verified it
	Code          string        // top-level code; may be empty
	OrderID       string        `wire:"merchantTransactionId"`
	RefundID      string        `wire:"merchantRefundId"`
	GatewayID     string        `wire:"refundId"` // PingPong's number of the refund
	TransactionID string        `wire:"transactionId"`
	Status        PaymentStatus `wire:"status"`
	Amount        Amount        `wire:"amount,currency"`
	Remark        string        `wire:"remark"`
	StartedAt     time.Time     `wire:"refundTime"`
	EndedAt       time.Time     `wire:"refundEndingTime"`
}

// ParseNotification verifies body, as received, by the account's salts and
// reads it in one step. Nothing is read from a body that does not verify.
// Errors match [ErrMalformed], [ErrWrongAccount] or [ErrBadSignature]; a
// misconfigured account is a [*ConfigError]. A [Kit] does this with its own
// account and table: this function is for code without one.
func ParseNotification(body []byte, account Account) (Notification, error) {
	account.setDefaults()
	if p := account.problems(); len(p) > 0 {
		return Notification{}, &ConfigError{Problems: p}
	}
	env, err := readEnvelope(body, true)
	if err != nil {
		return Notification{}, err
	}
	defer env.release()
	salt, err := env.verify(&account)
	if err != nil {
		return Notification{}, unverified(err)
	}
	return env.notification(body, account.ID, salt, documentedTypes())
}

// notification reads e, which the account's salt verified.
func (e *envelope) notification(body []byte, accountID string, salt int, types map[string]Kind) (Notification, error) {
	// What reflection has seen lies on the heap: here it need not be new.
	n := &e.read
	r := wireReader{doc: &e.biz}
	r.texts.Grow(len(e.code) + len(e.description) + e.biz.textSize())
	n.AccountID, n.Salt, n.Raw = accountID, salt, NewSecret(string(body))
	n.Code, n.Description = r.text(e.code), r.text(e.description)
	if err := r.fill(n); err != nil {
		return Notification{}, wrap("read", ErrMalformed, err)
	}
	n.Kind = types[n.Type]
	var err error
	switch n.Kind {
	case KindSignedUp:
		if failedStatus(n.Status) {
			n.Kind = KindSignUpFailed
		}
	case KindPayment:
		n.Payment = &PaymentNotification{AccountID: n.AccountID, Code: n.Code}
		err = r.fill(n.Payment)
	case KindRefund:
		n.Refund = &RefundNotification{AccountID: n.AccountID, Code: n.Code}
		err = r.fill(n.Refund)
	}
	if err != nil {
		return Notification{}, wrap("read", ErrMalformed, err)
	}
	return *n, nil
}

// documentedTypes is a table that nobody writes to.
var documentedTypes = sync.OnceValue(DefaultNotifyTypes)

// failedStatus reports the words by which a sign-up would be said to have
// failed. Whether the gateway ever says so is UNKNOWN.
func failedStatus(status string) bool {
	switch PaymentStatus(status) {
	case PaymentFailed, PaymentClosed, PaymentCancelled:
		return true
	}
	return false
}

// notifyTypes is the default table with the merchant's additions.
func notifyTypes(extra map[string]Kind) map[string]Kind {
	types := DefaultNotifyTypes()
	maps.Copy(types, extra)
	return types
}
