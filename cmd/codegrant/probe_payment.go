package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

const payPath = "/v4/payment/unifiedPay"

// payRequest is a charge as PingPong v4, CodeGrant, documents it.
func (p *probe) payRequest(user, token, amount string) map[string]any {
	id := probeID()
	return map[string]any{
		"requestId": id, "merchantTransactionId": id, "merchantUserId": user, "token": token, "bizType": "CodeGrant",
		"paymentMethod": map[string]any{"type": p.options.wallet}, "amount": amount, "currency": p.options.currency,
		"captureDelayHours": 0, "shopperIP": p.options.ip, "customer": map[string]any{"email": p.options.email},
		"device": map[string]any{"orderTerminal": "02"}, "notificationUrl": p.options.notifyURL + "/notify/" + id,
		"payResultUrl": p.options.notifyURL + "/return/" + id,
	}
}

// decimal writes an amount of the command line as the library would.
func (p *probe) decimal(amount string) string {
	parsed, err := codegrant.ParseAmount(amount, p.options.currency)
	if err != nil {
		return amount
	}
	text, err := parsed.Decimal()
	if err != nil {
		return amount
	}
	return text
}

// madeUpToken has the form of a token and belongs to nobody.
func madeUpToken() string {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}

// stepDeadToken charges a token that does not exist, and then breaks the
// request in another way: a code that both get does not say that a token is
// dead.
func (p *probe) stepDeadToken(ctx context.Context) probeVerdict {
	request := p.payRequest(p.options.user, madeUpToken(), p.decimal("1"))
	a := p.post(ctx, payPath, request)
	if !a.verified() {
		return unsettled("%s", a)
	}
	broken := maps.Clone(request)
	broken["requestId"], broken["merchantTransactionId"], broken["bizType"] = probeID(), probeID(), "Nonsense"
	if control := p.post(ctx, payPath, broken); control.verified() {
		p.refused[control.code()] = "a wrong bizType"
	}
	p.deadCode = a.code()
	if saysGone(a) {
		return confirmed("its words say so: %s", a)
	}
	if cause, also := p.refused[a.code()]; also || a.code() == "" {
		return uncovered("%s. The words are not the documented ones, and the code is also that of %s: a dead token looks like any refusal", a, cause)
	}
	p.found.goneCodes = append(p.found.goneCodes, a.code())
	return settled("code %s: ClientConfig.TokenGoneCodes; %s", a.code(), a)
}

// saysGone reports the documented words.
func saysGone(a *probeAnswer) bool {
	return a.message != nil && strings.Contains(strings.ToLower(a.message.text("description")), "token does not exist")
}

// meansGone reports an answer that the library takes for a dead token.
func (p *probe) meansGone(a *probeAnswer) bool {
	return saysGone(a) || slices.Contains(p.found.goneCodes, a.code())
}

func (p *probe) stepRefundQuery(ctx context.Context) probeVerdict {
	query := map[string]any{"merchantTransactionId": probeID(), "merchantRefundId": probeID()}
	var seen []string
	for i, path := range []string{"/v4/refund/query", "/v4/payment/getRefund"} {
		a := p.post(ctx, path, query)
		if a.err != nil {
			return unsettled("%s: %s", path, a)
		}
		if !p.exists(a) {
			seen = append(seen, path+": "+a.String())
			continue
		}
		p.refundPath = path
		if i == 0 {
			return confirmed("%s answers an unknown refund with %s", path, a)
		}
		p.found.endpoints.RefundQuery = path
		return settled("%s answers an unknown refund with %s: Endpoints.RefundQuery", path, a)
	}
	return unsettled("none is there: %s", strings.Join(seen, "; "))
}

// stepCharge moves money, and only with -charge.
func (p *probe) stepCharge(ctx context.Context) probeVerdict {
	switch {
	case p.options.charge == "":
		return unsettled("nothing is charged without -charge")
	case p.signUp.token == "":
		return unsettled("no token is known")
	}
	request := p.payRequest(p.signUp.user, p.signUp.token, p.decimal(p.options.charge))
	a := p.post(ctx, payPath, request)
	p.charged = request // it may have been executed whatever the answer says
	if !a.verified() {
		return unsettled("%s. Look in the portal for order %s", a, request["merchantTransactionId"])
	}
	return p.judgePayment(a)
}

func (p *probe) judgePayment(a *probeAnswer) probeVerdict {
	status := a.field("status")
	text := fmt.Sprintf("status %q, %s; bizContent: %s", status, a, listed(a.fields()))
	normal := a.code() == "" || a.code() == "000000" || a.code() == "001000"
	switch {
	case status == "SUCCESS" && !normal:
		return uncovered("the library takes a success for one only with 000000, 001000 or no code; %s", text)
	case status == "FAILED" && a.code() == "000000":
		return uncovered("the library takes the outcome for unknown; %s", text)
	case status == "" && !normal:
		return confirmed("a refusal without a payment in it; %s", text)
	}
	return confirmed("%s", text)
}

// stepChargeRepeat asks for less under the same requestId, so that a gateway
// that breaks its promise does not take more than was allowed.
func (p *probe) stepChargeRepeat(ctx context.Context) probeVerdict {
	if p.charged == nil {
		return unsettled("nothing was charged")
	}
	same := p.post(ctx, payPath, p.charged)
	other := maps.Clone(p.charged)
	other["remark"] = "probe"
	if amount, err := codegrant.ParseAmount(p.options.charge, p.options.currency); err == nil && amount.Minor > 1 {
		amount.Minor--
		if text, err := amount.Decimal(); err == nil {
			other["amount"] = text
		}
	}
	changed := p.post(ctx, payPath, other)
	if !same.verified() || !changed.verified() {
		return unsettled("the same again gets %s; with other content %s", same, changed)
	}
	return confirmed("the same again gets %s with status %q; with other content %s with status %q. The kit never changes a request under its number",
		same, same.field("status"), changed, changed.field("status"))
}

func (p *probe) stepChargeFailed(ctx context.Context) probeVerdict {
	if p.options.chargeFailing == "" || p.signUp.token == "" {
		return unsettled("no amount to be declined was given, or no token is known: -charge-failing")
	}
	request := p.payRequest(p.signUp.user, p.signUp.token, p.decimal(p.options.chargeFailing))
	a := p.post(ctx, payPath, request)
	switch {
	case !a.verified():
		return unsettled("%s. Look in the portal for order %s", a, request["merchantTransactionId"])
	case a.field("status") == "SUCCESS":
		back := p.post(ctx, "/v4/payment/refund", p.refundRequest(request))
		return unsettled("it was not declined: %s. Paying it back: %s, status %q", a, back, back.field("status"))
	}
	return p.judgePayment(a)
}

func (p *probe) refundRequest(charged map[string]any) map[string]any {
	return map[string]any{
		"merchantTransactionId": charged["merchantTransactionId"], "merchantRefundId": probeID(),
		"amount": charged["amount"], "currency": p.options.currency,
	}
}

func (p *probe) stepPaymentNotice(ctx context.Context) probeVerdict {
	if p.charged == nil || p.listener == nil {
		return unsettled("nothing was charged, or nobody listened")
	}
	id := p.charged["requestId"].(string)
	all := p.listener.wait(ctx, id, p.options.linger, func(all []arrival) bool { return len(all) > 0 })
	if len(all) == 0 {
		return unsettled("none came within %s", p.options.linger)
	}
	m := readProbeMessage(all[0].body, p.account.Salts)
	if m == nil {
		return uncovered("a body of %d bytes that is no JSON object", len(all[0].body))
	}
	n, err := codegrant.ParseNotification(all[0].body, p.found.account(p.account))
	text := fmt.Sprintf("%s; notifyType %q, members: %s; bizContent: %s", m.signed, m.field("notifyType"), m.names(), listed(m.bizNames()))
	if err != nil || n.Payment == nil || n.Payment.OrderID == "" {
		return uncovered("the library does not read a payment in it (%v); %s", err, text)
	}
	return confirmed("%s", text)
}

// awaitSettlement returns when the charge is no longer PROCESSING, or after
// -linger.
func (p *probe) awaitSettlement(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, p.options.linger)
	defer cancel()
	for {
		a := p.post(ctx, "/v4/payment/query", map[string]any{"merchantTransactionId": p.charged["merchantTransactionId"]})
		if a.err != nil || a.field("status") != "PROCESSING" {
			return
		}
		select {
		case <-time.After(p.options.linger / 10):
		case <-ctx.Done():
			return
		}
	}
}

// stepRefund pays back what stepCharge took.
func (p *probe) stepRefund(ctx context.Context) probeVerdict {
	if p.charged == nil {
		return unsettled("nothing was charged")
	}
	p.awaitSettlement(ctx)
	refund := p.refundRequest(p.charged)
	a := p.post(ctx, "/v4/payment/refund", refund)
	if status := a.field("status"); !a.verified() || (status != "SUCCESS" && status != "PROCESSING") {
		return unsettled("it may NOT be paid back: status %q, %s. Look in the portal for order %s", status, a, refund["merchantTransactionId"])
	}
	p.paidBack = true
	v := p.judgePayment(a)
	if p.refundPath != "" {
		delete(refund, "amount")
		delete(refund, "currency")
		query := p.post(ctx, p.refundPath, refund)
		v.text += fmt.Sprintf("; its query: %s, status %q", query, query.field("status"))
	}
	return v
}
