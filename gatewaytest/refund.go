package gatewaytest

import "time"

// Refund is one refund, successful or not.
type Refund struct {
	AccountID string
	OrderID   string // merchantTransactionId of the payment
	RefundID  string // merchantRefundId
	GatewayID string // refundId
	Amount    string // decimal, major unit, six decimals
	Currency  string
	Status    string // SUCCESS or FAILED
	Code      string
	At        time.Time
}

type refund struct {
	Refund
	amount        micros
	transactionID string
	remark        string
	notifyURL     string
}

// refund is POST /v4/payment/refund (PingPong v4, section 8). A refund needs no
// living token. The same merchantRefundId again answers with the first refund,
// or 107000 if its content differs; both are guesses. An order that was charged
// twice can be refunded up to one charge: the rest is manual (section 7.3).
func (g *Gateway) refund(c *call) answer {
	var req struct {
		MerchantTransactionID string `json:"merchantTransactionId"`
		MerchantRefundID      string `json:"merchantRefundId"`
		Amount                scalar `json:"amount"`
		Currency              string `json:"currency"`
		NotificationURL       string `json:"notificationUrl"`
		Remark                string `json:"remark"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("merchantTransactionId", req.MerchantTransactionID, 64)
	check.required("merchantRefundId", req.MerchantRefundID, 64)
	check.required("amount", string(req.Amount), 14)
	check.required("currency", req.Currency, 3)
	check.optional("remark", req.Remark, 32)
	if req.NotificationURL != "" {
		check.notifyURL("notificationUrl", req.NotificationURL)
	}
	if a, bad := check.refused(); bad {
		return a
	}
	places, known := decimals(req.Currency)
	if !known {
		return refuse(codeBadCurrency, "")
	}
	amount, err := parseAmount(string(req.Amount), places)
	if err != nil {
		return refuse(codeInvalidParameter, err.Error())
	}

	id := key{c.account.AccountID, req.MerchantRefundID}
	if first := g.refundOf[id]; first != nil {
		if first.OrderID != req.MerchantTransactionID || first.amount != amount || first.Currency != req.Currency {
			return refuse(codeDuplicate, "")
		}
		return first.answer(first.Code)
	}
	var paid *charge
	for _, each := range g.orders[key{c.account.AccountID, req.MerchantTransactionID}] {
		if each.Status == StatusSuccess && paid == nil {
			paid = each
		}
	}
	switch {
	case paid == nil:
		return refuse(codeNoOriginal, "")
	case paid.Currency != req.Currency:
		return refuse(codeBadCurrency, "")
	case amount > paid.amount-paid.refunded:
		return refuse(codeRefundExceeds, "")
	}

	now := time.Now()
	made := &refund{
		Refund: Refund{
			AccountID: c.account.AccountID,
			OrderID:   req.MerchantTransactionID,
			RefundID:  req.MerchantRefundID,
			GatewayID: g.transactionID(now),
			Amount:    amount.String(),
			Currency:  req.Currency,
			Status:    StatusSuccess,
			Code:      codeSuccess,
			At:        now,
		},
		amount:        amount,
		transactionID: paid.TransactionID,
		remark:        req.Remark,
		notifyURL:     req.NotificationURL,
	}
	if c.decline != "" {
		made.Status, made.Code = StatusFailed, c.decline
	} else {
		paid.refunded += amount
	}
	g.refunds = append(g.refunds, made)
	g.refundOf[id] = made
	if n := g.refundNotice(made); n != nil {
		c.after = append(c.after, n)
	}
	return made.answer(made.Code)
}

// refundQuery is POST /v4/refund/query and POST /v4/payment/getRefund: the
// editions of the documentation disagree about the path.
func (g *Gateway) refundQuery(c *call) answer {
	var req struct {
		MerchantTransactionID string `json:"merchantTransactionId"`
		MerchantRefundID      string `json:"merchantRefundId"`
		RefundID              string `json:"refundId"`
	}
	var check checker
	check.read(c.biz, &req)
	check.required("merchantTransactionId", req.MerchantTransactionID, 64)
	if req.MerchantRefundID == "" && req.RefundID == "" {
		check.fail("refundId or merchantRefundId is missing")
	}
	if a, bad := check.refused(); bad {
		return a
	}
	for _, each := range g.refunds {
		if each.AccountID == c.account.AccountID && each.OrderID == req.MerchantTransactionID &&
			(req.MerchantRefundID == "" || req.MerchantRefundID == each.RefundID) &&
			(req.RefundID == "" || req.RefundID == each.GatewayID) {
			return each.answer(codeOK)
		}
	}
	return refuse(codeNoTransaction, "")
}

type refundRecord struct {
	NotifyType            string `json:"notifyType,omitempty"`
	TransactionID         string `json:"transactionId"`
	MerchantTransactionID string `json:"merchantTransactionId"`
	MerchantRefundID      string `json:"merchantRefundId"`
	RefundID              string `json:"refundId"`
	Amount                string `json:"amount"`
	Currency              string `json:"currency"`
	ResultCode            string `json:"resultCode,omitempty"`
	ResultDescription     string `json:"resultDescription,omitempty"`
	RefundTime            string `json:"refundTime"`
	RefundEndingTime      string `json:"refundEndingTime"`
	Status                string `json:"status"`
	Remark                string `json:"remark,omitempty"`
}

func (r *refund) record() refundRecord {
	return refundRecord{
		TransactionID:         r.transactionID,
		MerchantTransactionID: r.OrderID,
		MerchantRefundID:      r.RefundID,
		RefundID:              r.GatewayID,
		Amount:                r.Amount,
		Currency:              r.Currency,
		RefundTime:            epochMillis(r.At),
		RefundEndingTime:      epochMillis(r.At),
		Status:                r.Status,
		Remark:                r.remark,
	}
}

func (r *refund) answer(code string) answer {
	record := r.record()
	record.ResultCode, record.ResultDescription = r.Code, describe(r.Code)
	return answer{code: code, description: describe(code), biz: record}
}
