package hostiletest

import (
	"bytes"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// part is one top-level member of a message.
type part struct {
	name, value string
	literal     bool // value is JSON text, not a string
}

func (p part) text() string {
	if p.literal {
		return p.value
	}
	return quoted(p.value)
}

// quoted writes s as a JSON string and keeps every byte that JSON lets stand,
// which encoding/json does not.
func quoted(s string) string {
	const digits = "0123456789abcdef"
	out := []byte{'"'}
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < 0x20:
			out = append(out, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		default:
			out = append(out, c)
		}
	}
	return string(append(out, '"'))
}

// written is the message of these members and this sign.
func written(parts []part, sign string) []byte {
	var out strings.Builder
	out.WriteByte('{')
	for _, p := range parts {
		out.WriteString(quoted(p.name) + ":" + p.text() + ",")
	}
	return []byte(out.String() + `"sign":` + quoted(sign) + "}")
}

// unsigned is the message of these members alone.
func unsigned(parts []part) []byte {
	return append(bytes.TrimSuffix(written(parts, ""), []byte(`,"sign":""}`)), '}')
}

// genuine is a genuine message, as a forger overhears it. Only the tests' own
// checks look at its salt.
type genuine struct {
	name    string
	account codegrant.Account
	parts   []part
	sign    string
	meaning meaning
}

// signed returns the members under the digest, sorted.
func (l *genuine) signed() []part {
	parts := slices.DeleteFunc(slices.Clone(l.parts), func(p part) bool {
		return strings.TrimSpace(p.value) == "" || p.text() == "null"
	})
	slices.SortFunc(parts, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return parts
}

func (l *genuine) canonical() string { return canonical(l.signed()) }

func canonical(sorted []part) string {
	pairs := make([]string, len(sorted))
	for i, p := range sorted {
		pairs[i] = p.name + "=" + p.value
	}
	return strings.Join(pairs, "&")
}

func (l *genuine) body() []byte { return written(l.parts, l.sign) }

// without and with return changed copies of the letter's members.
func (l *genuine) without(name string) []part {
	return slices.DeleteFunc(slices.Clone(l.parts), func(p part) bool { return p.name == name })
}

func (l *genuine) with(name, value string) []part {
	return append(l.without(name), part{name: name, value: value})
}

func (l *genuine) value(name string) string {
	for _, p := range l.parts {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

const (
	ownSalt    = "F78BC96A55548B2319EE68E0"
	ownOldSalt = "0123456789ABCDEF0123456789ABCDEF"
	ownID      = "2018092714313010016291"
)

// genuineMessages are messages of every kind, in many envelopes, to accounts
// with either digest and with one salt or two.
func genuineMessages() []*genuine {
	biz := []struct{ name, text string }{
		{"a sign-up", `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"RECORD-1","merchantUserId":"ann","token":"TOKEN-1"}`},
		{"a sign-up of a user whose name holds members", `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"RECORD-1","merchantUserId":"ann&clientId=1&code=999999",` +
			`"token":"TOKEN-1","userLoginId":"a=b&description=x&signType=MD5&version=1.0"}`},
		{"an unbinding", `{"notifyType":"ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER","merchantUserId":"ann","token":"TOKEN-1"}`},
		{"a payment", `{"notifyType":"RECHARGE","status":"SUCCESS","transactionId":"2023092050004595","merchantTransactionId":"PMT-1","requestId":"PMT-1",` +
			`"amount":"100.000000","currency":"HKD","transactionTime":"1693290395000","paymentMethod":{"type":"AlipayHK"},"token":"TOKEN-1"}`},
		{"a payment with a remark", `{"notifyType":"RECHARGE","status":"FAILED","merchantTransactionId":"PMT-2","amount":100,"currency":"KRW",` +
			`"remark":"caf\u00e9 é 用户 https://shop.example/?a=1&b=%E7%9A&c=\"d\" \\ /","issuerInfo":{"issuerResultCode":"51","issuerResultMsg":"no & more"}}`},
		{"a refund", ` {"notifyType" : "REFUND",` + "\n\t" + `"merchantRefundId":"REF-1","merchantTransactionId":"PMT-1","status":"SUCCESS","amount":30.50,"currency":"PHP","list":[1,{"a":"b"}]} `},
		{"a message of tomorrow", `{"notifyType":"TOMORROW","requestId":"RECORD-1","merchantUserId":"ann","token":"TOKEN-1","status":"SUCCESS"}`},
		{"a payment whose length is written with an ampersand", `{"notifyType":"RECHARGE","status":"SUCCESS","merchantTransactionId":"PMT-3","amount":"1","currency":"HKD","remark":"` +
			strings.Repeat("x", 920) + `"}`},
	}
	envelopes := []struct {
		name  string
		extra []part
	}{
		{"in full", []part{{name: "code", value: "000000"}, {name: "description", value: "Transaction succeeded"}}},
		{"that says more", []part{{name: "code", value: "000000"}, {name: "description", value: "paid & settled&extra=1&f=2&token=3"}, {name: "version", value: "1.0"}}},
		{"with members of tomorrow", []part{{name: "coda", value: "1"}, {name: "code", value: "301002"}, {name: "Alpha", value: "x=y=z"}, {name: "count", value: "7", literal: true}, {name: "zzz", value: "1"}, {name: "eventId", value: "E-1"}}},
		{"with a number of its own", []part{{name: "code", value: "000000"}, {name: "webhookId", value: "W-1"}}},
		{"with blanks", []part{{name: "code", value: ""}, {name: "description", value: " "}, {name: "zzz", value: ""}, {name: "none", value: "null", literal: true}}},
		{"that splits everywhere", []part{{name: "description", value: "a=b&bizContent={}&clientId=1&code=1&description=x&signType=MD5&version=1.0&zzz=1"}, {name: "code", value: "1"}}},
	}
	accounts := []struct {
		name    string
		account codegrant.Account
		salt    string
	}{
		{"by SHA256", codegrant.Account{ID: ownID, Salts: codegrant.Salts(ownSalt), Digest: codegrant.SHA256}, ownSalt},
		{"by SHA256 and the older salt", codegrant.Account{ID: ownID, Salts: codegrant.Salts(ownSalt, ownOldSalt), Digest: codegrant.SHA256}, ownOldSalt},
		{"by MD5", codegrant.Account{ID: ownID, Salts: codegrant.Salts(ownSalt), Digest: codegrant.MD5}, ownSalt},
		{"by MD5 and the newer salt", codegrant.Account{ID: ownID, Salts: codegrant.Salts(ownSalt, ownOldSalt), Digest: codegrant.MD5}, ownSalt},
	}
	var all []*genuine
	for i, b := range biz {
		for j, a := range accounts {
			e := envelopes[(i+j)%len(envelopes)]
			l := &genuine{name: b.name + " " + e.name + " " + a.name, account: a.account}
			asObject := (i+j)%4 == 3
			text := b.text
			if asObject {
				text = strings.TrimSpace(text)
			}
			l.parts = append([]part{{name: "bizContent", value: text, literal: asObject}, {name: "signType", value: string(a.account.Digest)}}, e.extra...)
			if (i+j)%5 != 4 { // else the minimal envelope
				l.parts = append(l.parts, part{name: "accId", value: ownID}, part{name: "clientId", value: ownID[:len(ownID)-3]})
			}
			l.sign = signedBy(a.salt, l)
			all = append(all, l)
		}
	}
	return all
}

// signedBy signs with the simulator's code, not with the kit's.
func signedBy(salt string, l *genuine) string {
	fields := map[string]string{}
	for _, p := range l.signed() {
		fields[p.name] = p.value
	}
	return gatewaytest.Sign(salt, string(l.account.Digest), fields)
}

// meaning is all that a store or a hook can act on of a notification: every
// field but two. Description is text for people, and the place that members
// which the kit does not know can be moved to and from by splitting the signed
// text elsewhere; SECURITY.md says so, and the kit decides nothing by it. Raw is
// the body itself, which differs by the mere spelling.
type meaning struct {
	rest                       codegrant.Notification
	payment                    codegrant.PaymentNotification
	refund                     codegrant.RefundNotification
	token, login, paymentToken string
	isPayment, isRefund        bool
}

func meaningOf(n codegrant.Notification) meaning {
	m := meaning{rest: n, token: n.Token.Reveal(), login: n.LoginID.Reveal(), isPayment: n.Payment != nil, isRefund: n.Refund != nil}
	if m.isPayment {
		m.payment, m.paymentToken = *n.Payment, n.Payment.Token.Reveal()
		m.payment.Token = codegrant.Secret{}
	}
	if m.isRefund {
		m.refund = *n.Refund
	}
	m.rest.Description, m.rest.Raw = "", codegrant.Secret{}
	m.rest.Token, m.rest.LoginID = codegrant.Secret{}, codegrant.Secret{}
	m.rest.Payment, m.rest.Refund = nil, nil
	return m
}
