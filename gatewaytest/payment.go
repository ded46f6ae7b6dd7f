package gatewaytest

import (
	"fmt"
	"strconv"
	"time"
)

// Charge is one payment attempt, successful or not.
type Charge struct {
	AccountID     string
	OrderID       string // merchantTransactionId
	RequestID     string
	Token         string
	UserID        string
	Wallet        string
	Amount        string // decimal, major unit, six decimals
	Currency      string
	Status        string // SUCCESS, FAILED or PROCESSING
	Code          string // the attempt's own result code
	TransactionID string
	At            time.Time
}

type charge struct {
	Charge
	amount    micros
	remark    string
	resultURL string
	notifyURL string
	endedAt   time.Time
	refunded  micros
	// told is whether the merchant has learned of the success by an answer, a
	// query or a notification.
	told bool
}

// pay is POST /v4/payment/unifiedPay (PingPong v4, section 7).
//
// The same requestId again answers with the first attempt as it now stands. A
// new requestId makes a new attempt and so charges again while the merchant
// cannot know that the order is paid, that is while its earlier attempts are
// PROCESSING or their answers were lost: the documented hazard (section 7.3).
// Once a success has been reported by an answer, a query or an accepted
// notification, the order is final and a new requestId gets 107000. That a
// requestId used again with other content gets 107000 too is a guess.
func (g *Gateway) pay(c *call) answer {
	var req struct {
		Token                 string  `json:"token"`
		BizType               string  `json:"bizType"`
		MerchantUserID        string  `json:"merchantUserId"`
		PaymentMethod         named   `json:"paymentMethod"`
		RequestID             string  `json:"requestId"`
		MerchantTransactionID string  `json:"merchantTransactionId"`
		Amount                scalar  `json:"amount"`
		Currency              string  `json:"currency"`
		CaptureDelayHours     scalar  `json:"captureDelayHours"`
		ShopperIP             string  `json:"shopperIP"`
		NotificationURL       string  `json:"notificationUrl"`
		PayResultURL          string  `json:"payResultUrl"`
		Device                *device `json:"device"`
		Remark                string  `json:"remark"`
		Customer              struct {
			Email string `json:"email"`
		} `json:"customer"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("token", req.Token, 64)
	check.exactly("bizType", req.BizType, "CodeGrant")
	check.required("merchantUserId", req.MerchantUserID, 256)
	check.required("paymentMethod.type", req.PaymentMethod.Type, 32)
	check.required("requestId", req.RequestID, 64)
	check.required("merchantTransactionId", req.MerchantTransactionID, 64)
	check.required("amount", string(req.Amount), 12)
	check.required("currency", req.Currency, 3)
	check.exactly("captureDelayHours", string(req.CaptureDelayHours), "0")
	check.ip("shopperIP", req.ShopperIP)
	check.required("customer.email", req.Customer.Email, 128)
	check.optional("remark", req.Remark, 255)
	if req.NotificationURL != "" {
		check.notifyURL("notificationUrl", req.NotificationURL)
	}
	if req.PayResultURL != "" {
		check.webURL("payResultUrl", req.PayResultURL)
	}
	if req.Device == nil {
		check.fail("device is missing")
	} else if req.Device.OrderTerminal != "" {
		check.exactly("device.orderTerminal", req.Device.OrderTerminal, "01", "02", "03", "04")
	}
	places, known := decimals(req.Currency)
	if a, bad := check.refused(); bad {
		return a
	}
	if !known {
		return refuse(codeBadCurrency, "")
	}
	amount, err := parseAmount(string(req.Amount), places)
	if err != nil {
		return refuse(codeInvalidParameter, err.Error())
	}

	account := c.account.AccountID
	if first := g.attempts[key{account, req.RequestID}]; first != nil {
		if first.OrderID != req.MerchantTransactionID || first.amount != amount ||
			first.Currency != req.Currency || first.Token != req.Token || first.UserID != req.MerchantUserID {
			return refuse(codeDuplicate, "")
		}
		return g.payAnswer(c, first)
	}
	agreement := g.usable(account, req.MerchantUserID, req.Token)
	if agreement == nil || agreement.Wallet != req.PaymentMethod.Type {
		return g.missingToken()
	}
	order := key{account, req.MerchantTransactionID}
	for _, earlier := range g.orders[order] {
		if earlier.told {
			return refuse(codeDuplicate, "")
		}
	}

	now := time.Now()
	made := &charge{
		Charge: Charge{
			AccountID:     account,
			OrderID:       req.MerchantTransactionID,
			RequestID:     req.RequestID,
			Token:         req.Token,
			UserID:        req.MerchantUserID,
			Wallet:        agreement.Wallet,
			Amount:        amount.String(),
			Currency:      req.Currency,
			TransactionID: g.transactionID(now),
			At:            now,
		},
		amount:    amount,
		remark:    req.Remark,
		resultURL: req.PayResultURL,
		notifyURL: req.NotificationURL,
	}
	switch {
	case c.decline != "":
		made.settle(StatusFailed, c.decline)
	case g.cfg.FailFirst && len(g.orders[order]) == 0:
		made.settle(StatusFailed, codeDoNotHonor)
	case g.cfg.ProcessingFirst:
		made.settle(StatusProcessing, codeProcessing)
		if g.cfg.SettleAfter > 0 {
			g.after(g.cfg.SettleAfter, func() { g.settle(made, StatusSuccess, codeSuccess) })
		}
	default:
		made.settle(StatusSuccess, codeSuccess)
	}
	g.charges = append(g.charges, made)
	g.attempts[key{account, req.RequestID}] = made
	g.orders[order] = append(g.orders[order], made)
	if n := g.paymentNotice(made); n != nil {
		c.after = append(c.after, n)
	}
	return g.payAnswer(c, made)
}

func (c *charge) settle(status, code string) {
	c.Status, c.Code = status, code
	c.endedAt = time.Time{}
	if status != StatusProcessing {
		c.endedAt = time.Now()
	}
}

// payment is a payment as answers and notifications describe it. The two
// kinds of answer write their times differently (PingPong v4, sections 6.1,
// 7.2 and 8).
type payment struct {
	NotifyType            string `json:"notifyType,omitempty"`
	RequestID             string `json:"requestId"`
	MerchantTransactionID string `json:"merchantTransactionId"`
	TransactionID         string `json:"transactionId"`
	Amount                string `json:"amount"`
	Currency              string `json:"currency"`
	TransactionTime       string `json:"transactionTime"`
	TransactionEndingTime string `json:"transactionEndingTime,omitempty"`
	Status                string `json:"status"`
	ResultCode            string `json:"resultCode,omitempty"`
	ResultDescription     string `json:"resultDescription,omitempty"`
	Token                 string `json:"token"`
	CaptureDelayHours     int    `json:"captureDelayHours"`
	PaymentMethod         named  `json:"paymentMethod"`
	PayResultURL          string `json:"payResultUrl,omitempty"`
	Remark                string `json:"remark,omitempty"`
}

func (c *charge) payment(format func(time.Time) string) payment {
	p := payment{
		RequestID:             c.RequestID,
		MerchantTransactionID: c.OrderID,
		TransactionID:         c.TransactionID,
		Amount:                c.Amount,
		Currency:              c.Currency,
		TransactionTime:       format(c.At),
		Status:                c.Status,
		Token:                 c.Token,
		PaymentMethod:         named{c.Wallet},
		Remark:                c.remark,
	}
	if !c.endedAt.IsZero() {
		p.TransactionEndingTime = format(c.endedAt)
	}
	return p
}

// payAnswer puts the attempt's own result into code, as unifiedPay does.
func (g *Gateway) payAnswer(c *call, made *charge) answer {
	p := made.payment(compactTime)
	p.PayResultURL = made.resultURL
	c.reported = append(c.reported, made)
	return answer{code: made.Code, description: describe(made.Code), biz: p}
}

// payQuery is POST /v4/payment/query. Of several attempts for an order it
// answers with a successful one, else with the latest.
func (g *Gateway) payQuery(c *call) answer {
	var req struct {
		TransactionID         string `json:"transactionId"`
		MerchantTransactionID string `json:"merchantTransactionId"`
		RequestID             string `json:"requestId"`
	}
	var check checker
	check.read(c.biz, &req)
	check.optional("transactionId", req.TransactionID, 64)
	check.optional("merchantTransactionId", req.MerchantTransactionID, 64)
	check.optional("requestId", req.RequestID, 64)
	if req.TransactionID == "" && req.MerchantTransactionID == "" {
		check.fail("transactionId or merchantTransactionId is missing")
	}
	if a, bad := check.refused(); bad {
		return a
	}

	candidates := g.orders[key{c.account.AccountID, req.MerchantTransactionID}]
	if req.MerchantTransactionID == "" {
		candidates = g.charges
	}
	var found *charge
	for _, each := range candidates {
		if each.AccountID != c.account.AccountID ||
			(req.TransactionID != "" && req.TransactionID != each.TransactionID) ||
			(req.RequestID != "" && req.RequestID != each.RequestID) {
			continue
		}
		if found == nil || found.Status != StatusSuccess {
			found = each
		}
	}
	if found == nil {
		return refuse(codeNoTransaction, "")
	}
	p := found.payment(epochMillis)
	p.ResultCode, p.ResultDescription = found.Code, describe(found.Code)
	c.reported = append(c.reported, found)
	return answer{code: codeOK, description: describe(codeOK), biz: p}
}

// transactionID has the 16 digits of the samples. The caller holds mu.
func (g *Gateway) transactionID(now time.Time) string {
	serial := len(g.charges) + len(g.refunds) + 1
	return inChina(now).Format("20060102") + fmt.Sprintf("%08d", serial)
}

func compactTime(t time.Time) string { return inChina(t).Format("20060102150405") }

func epochMillis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
