package gatewaytest

import (
	"slices"
	"time"
)

// The notifyType values (PingPong v4, sections 5.2 and 6.1).
const (
	notifyCreation         = "ACCESS_TOKEN_CREATION"
	notifyCancelByMerchant = "ACCESS_TOKEN_CANCEL_OF_MERCHANT"
	notifyCancelByUser     = "ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER"
	notifyPayment          = "RECHARGE"
	notifyRefund           = "REFUND"
)

// Notification is a message to the merchant and the history of its delivery.
type Notification struct {
	ID        int // 1 for the gateway's first notification
	Op        Op  // which kind it is, such as [OpNotifySignUp]
	Type      string
	AccountID string
	Subject   string // requestId of the sign-up, order id or merchantRefundId
	URL       string
	Body      []byte // as signed; faults change single attempts only
	Attempts  []Attempt
	Delivered bool      // an attempt was accepted
	Lost      bool      // [DropAll] hit it
	Held      bool      // waits for [Gateway.Release]
	NextAt    time.Time // when the next attempt is due; zero if none is
}

// Attempt is one delivery attempt.
type Attempt struct {
	At     time.Time
	Status int       // HTTP status; 0 if no answer came
	Body   string    // the start of the merchant's answer
	Err    string    // why no answer came
	Fault  FaultKind // what went wrong on purpose; 0 if nothing
}

// Accepted reports whether the merchant took the notification: a 2xx answer
// whose body is not FAIL (PingPong v4, section 6).
func (a Attempt) Accepted() bool {
	return a.Status >= 200 && a.Status < 300 && a.Body != "FAIL"
}

type notice struct {
	Notification
	message message
	// plain is the whole body of a notification without an envelope.
	plain []byte
	// retries is how many steps of the schedule have been used.
	retries int
	charge  *charge
}

// Notifications returns a copy of every notification so far, oldest first.
func (g *Gateway) Notifications() []Notification {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]Notification, len(g.notices))
	for i, n := range g.notices {
		list[i] = n.copy()
	}
	return list
}

func (n *notice) copy() Notification {
	c := n.Notification
	c.Body = slices.Clone(n.Body)
	c.Attempts = slices.Clone(n.Attempts)
	return c
}

// signUpContent is the assumed content of sign-up and unbinding
// notifications (PingPong v4, section 5.3). RequestID is always the sign-up's.
type signUpContent struct {
	NotifyType     string `json:"notifyType"`
	RequestID      string `json:"requestId"`
	MerchantUserID string `json:"merchantUserId"`
	Token          string `json:"token,omitempty"`
	Status         string `json:"status,omitempty"`
	PaymentMethod  *named `json:"paymentMethod,omitempty"`
	UserLoginID    string `json:"userLoginId,omitempty"`
	ExpireTime     string `json:"expireTime,omitempty"`
}

// signUpNotice records a sign-up or unbinding notification. The caller holds
// mu.
func (g *Gateway) signUpNotice(a *agreement, notifyType string) *notice {
	op := OpNotifySignUp
	if notifyType != notifyCreation {
		op = OpNotifyUnbind
	}
	content := signUpContent{
		NotifyType:     notifyType,
		RequestID:      a.RequestID,
		MerchantUserID: a.UserID,
		Token:          a.Token,
	}
	code := codeSuccess
	if a.Status == StatusFailed {
		content.Status = StatusFailed
		code = codeExpired
	}
	if g.cfg.RichNotification && a.Token != "" {
		content.Status = StatusSuccess
		content.PaymentMethod = &named{a.Wallet}
		content.UserLoginID = a.LoginID
		content.ExpireTime = expireTime(a.ExpiresAt)
	}
	n := g.notice(op, a.AccountID, a.RequestID, a.NotifyURL, code, content)
	n.Type = notifyType
	a.last = n
	switch g.cfg.NotificationShape {
	case UnsignedEnvelope:
		n.message = n.message.unsigned()
		n.Body = n.message.body()
	case Flat:
		n.plain = encode(struct {
			Token      string `json:"token,omitempty"`
			NotifyType string `json:"notifyType"`
		}{a.Token, notifyType})
		n.Body = n.plain
	}
	return n
}

// paymentNotice records the notification of a settled attempt, or returns nil
// if there is none to send. The caller holds mu.
func (g *Gateway) paymentNotice(c *charge) *notice {
	if c.notifyURL == "" || g.cfg.MutePayments || c.Status == StatusProcessing {
		return nil
	}
	p := c.payment(epochMillis)
	p.NotifyType = notifyPayment
	n := g.notice(OpNotifyPayment, c.AccountID, c.OrderID, c.notifyURL, c.Code, p)
	n.Type = notifyPayment
	n.charge = c
	return n
}

func (g *Gateway) refundNotice(r *refund) *notice {
	if r.notifyURL == "" || g.cfg.MutePayments {
		return nil
	}
	record := r.record()
	record.NotifyType = notifyRefund
	n := g.notice(OpNotifyRefund, r.AccountID, r.RefundID, r.notifyURL, r.Code, record)
	n.Type = notifyRefund
	return n
}

func (g *Gateway) notice(op Op, accountID, subject, url, code string, content any) *notice {
	account := g.accounts[accountID]
	m := message{
		AccountID:   accountID,
		ClientID:    account.ClientID,
		Code:        code,
		Description: describe(code),
		BizContent:  string(encode(content)),
	}.signed(account.Salt, g.cfg.SignType)
	n := &notice{message: m}
	n.ID = len(g.notices) + 1
	n.Op = op
	n.AccountID = accountID
	n.Subject = subject
	n.URL = url
	n.Body = m.body()
	g.notices = append(g.notices, n)
	return n
}

// bodyFor returns the body of one attempt under a fault.
func (n *notice) bodyFor(kind FaultKind) []byte {
	switch {
	case kind == TamperNotification && n.plain == nil:
		return n.message.tampered().body()
	case kind == TamperNotification:
		return []byte(message{BizContent: string(n.plain)}.tampered().BizContent)
	case kind == UnsignedNotification && n.plain == nil:
		return n.message.unsigned().body()
	}
	return n.Body
}
