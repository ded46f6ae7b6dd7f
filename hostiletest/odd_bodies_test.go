package hostiletest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func endWithData(r io.Reader) io.Reader { return iotest.DataErrReader(r) }

// oddBodies say the same as the genuine one in other bytes.
func oddBodies() []odd {
	table := []odd{
		// GoCardless hashes what its decoder happened to read of these.
		{name: "5,000 blanks after the body, which GoCardless refuses", body: around("", strings.Repeat(" ", 5000))},
		{name: "blanks before the body", body: around(" \r\n\t", "")},
		{name: "a line for each member", body: func(b *besieged) string {
			var out bytes.Buffer
			_ = json.Indent(&out, []byte(b.sign(nil)), "\r\n", " \t")
			return out.String()
		}},
		{name: "the members in another order", body: func(b *besieged) string { return reordered(b.sign(nil)) }},
		// The signature covers values, so that a proxy may write them anew.
		{name: "names and values escaped again", body: func(b *besieged) string {
			return strings.ReplaceAll(b.sign(nil), "e", `\u0065`)
		}},
		{name: "escapes for HTML", body: func(b *besieged) string {
			body := encoded(decoded(b.sign(map[string]string{"description": "<b>1 & 2</b>"})))
			return replaceOnce(body, `\u003c/b`, `\u003C\/b`)
		}},
		{name: "escapes for all but ASCII", body: func(b *besieged) string {
			return replaceOnce(replaceOnce(b.sign(map[string]string{"description": "支😹"}), "支", `\u652F`), "😹", `\ud83d\uDE39`)
		}},
		{name: "characters of two, three and four bytes", body: signed(map[string]string{"description": "é 支付成功 😹", "zone": "日本"})},
	}
	// A decoder's buffer ends at one of these; the body ends in a line end there.
	for _, size := range []int{511, 512, 513, 514, 1024, 1025, 4096, 4097, 32 << 10, defaultMaxBody - 1, defaultMaxBody} {
		table = append(table, odd{
			name: fmt.Sprintf("a body of %d bytes that ends in a line end, where GoCardless answers 498", size),
			body: func(b *besieged) string {
				body := b.sign(map[string]string{"code": "", "description": "", "bizContent": strings.Replace(b.biz(), `,"remark":"`+marker+`"`, "", 1)})
				if len(body) >= 511 {
					panic("the body is too long for the smallest edge")
				}
				return pad(body, size-1) + "\n"
			},
		})
	}
	return table
}

func decoded(body string) (members map[string]string) {
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		panic(err)
	}
	return members
}

// reordered writes the members in descending order.
func reordered(body string) string {
	members := decoded(body)
	names := slices.Sorted(maps.Keys(members))
	slices.Reverse(names)
	var parts []string
	for _, name := range names {
		parts = append(parts, encoded(name)+":"+encoded(members[name]))
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func oddSignatures() []odd {
	lettering := func(change func(string) string) func(*besieged) string {
		return resigned(func(s string) any { return change(s) })
	}
	twoSalts := func(s *setup) { s.client.Account.Salts = codegrant.Salts(gatewaytest.DefaultSalt, otherSalt) }
	by := func(index int) func(*testing.T, *besieged, *heard) {
		return func(t *testing.T, b *besieged, h *heard) {
			require.Equal(t, index, h.verified.Salt)
			wantActive(t, b, h)
		}
	}
	return []odd{
		{name: "the digest in large letters", body: lettering(strings.ToUpper)},
		{name: "the digest in small letters", body: lettering(strings.ToLower)},
		{name: "the digest in both", body: lettering(func(s string) string { return strings.ToLower(s[:32]) + s[32:] })},
		// Paddle refuses two signatures, as they stand side by side in rotation.
		{name: "the newer of two live salts", setup: twoSalts, want: by(0)},
		{name: "the older of two live salts", setup: twoSalts, want: by(1), body: sealedBy(otherSalt, gatewaytest.SHA256, nil)},
		{name: "MD5, where the account is configured for it", want: by(0), setup: func(s *setup) {
			s.gateway.SignType, s.client.Account.Digest = gatewaytest.MD5, codegrant.MD5
		}},
	}
}

func oddMembers() []odd {
	return []odd{
		{name: "version in place of code and description", body: signed(map[string]string{"code": "", "description": "", "version": "1.0"})},
		{name: "the shortest envelope", body: signed(map[string]string{"accId": "", "clientId": "", "code": "", "description": ""})},
		{name: "unknown members", body: signed(map[string]string{"aNew": marker, "zone": "9", "Token": "x", "bizcontent": "{}"})},
		{name: "unknown members that are no strings", body: func(b *besieged) string {
			members := decoded(b.sign(nil))
			members["zone"], members["live"], members["more"] = "9.50", "true", `{"a":[1,null,{"b":2}]}`
			members["sign"] = gatewaytest.Sign(gatewaytest.DefaultSalt, gatewaytest.SHA256, members)
			body := encoded(members)
			for _, name := range []string{"zone", "live", "more"} {
				body = replaceOnce(body, encoded(name)+":"+encoded(members[name]), encoded(name)+":"+members[name])
			}
			return body
		}},
		{name: "a null, which is not signed", body: edit(`{"`, `{"zone":null,"`)},
		{name: "a blank, which the Java helper does not sign", body: edit(`{"`, `{"zone":"  ","`)},
		{name: "a blank, which the PHP helper signs", body: func(b *besieged) string {
			members := decoded(b.sign(map[string]string{"code": ""}))
			members["code"] = ""
			return sealedAsPHP(members)
		}},
		{name: "every sign of the canonical text in a description", body: signed(map[string]string{"description": "a=b&token=c&=&"})},
		{name: "every sign of the canonical text in the content", body: signedBiz(marker, "a=b&token=c&=&")},
		{name: "a content that is an object", body: func(b *besieged) string {
			return replaceOnce(b.sign(nil), encoded(b.biz()), b.biz())
		}},
		{name: "blanks and line ends in the content", body: signedBiz(`{"`, "\r\n\t { \"")},
		{name: "escapes in the content", body: signedBiz(`"ann"`, `"\u0061nn"`)},
		{name: "unknown members in the content", body: signedBiz(`{"`, `{"TOKEN":"x","tokens":["y"],"paymentMethod":{"token":"z"},"live":true,"more":{"a":{"b":[[]]}},"`)},
		{name: "members of the content that are null, numbers and lists", body: signedBiz(`{"`, `{"status":null,"expireTime":20301231,"userLoginId":["x"],"`)},
	}
}

// sealedAsPHP signs blank members too, as the official PHP helper does.
func sealedAsPHP(members map[string]string) string {
	delete(members, "sign")
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		pairs = append(pairs, name+"="+members[name])
	}
	sum := sha256.Sum256([]byte(gatewaytest.DefaultSalt + strings.Join(pairs, "&")))
	members["sign"] = strings.ToUpper(hex.EncodeToString(sum[:]))
	return encoded(members)
}

func content(biz string) func(*besieged) string {
	return func(b *besieged) string { return b.sign(map[string]string{"bizContent": biz}) }
}

// oddKinds are no success of a sign-up. Chargebee answers 500 to a type that
// has no callback, and is sent it until its sender gives up.
func oddKinds() []odd {
	emptyPayment := func(t *testing.T, _ *besieged, h *heard) {
		require.Equal(t, []codegrant.PaymentNotification{{AccountID: gatewaytest.DefaultAccountID, Code: "000000"}}, h.payments)
	}
	return []odd{
		{name: "a type that nobody knows yet", body: content(`{"notifyType":"NEW_THING","remark":"` + marker + `"}`), want: wantUnknown("NEW_THING")},
		{name: "a documented type that the kit has no use for", body: content(`{"notifyType":"CAPTURE"}`), want: wantUnknown("CAPTURE")},
		{name: "a type in other letters", body: content(`{"notifyType":"recharge"}`), want: wantUnknown("recharge")},
		{name: "no type at all", body: content(`{"a":"b"}`), want: wantUnknown("")},
		{name: "a content without a member", body: content(`{}`), want: wantUnknown("")},
		{name: "a signed event without data, which Omise panics on", body: content(`{"notifyType":"RECHARGE"}`), want: emptyPayment},
		{name: "a signed event whose data is null", body: content(`{"notifyType":"RECHARGE","paymentMethod":null,"amount":null,"currency":null,"issuerInfo":null}`),
			want: emptyPayment},
		{name: "a signed event whose data is of other types", body: content(`{"notifyType":"RECHARGE","paymentMethod":"x","amount":{},"currency":[],"issuerInfo":7}`),
			want: emptyPayment},
		{name: "a failed sign-up", body: signedBiz(`{"`, `{"status":"FAILED","`), want: func(t *testing.T, b *besieged, h *heard) {
			require.Len(t, h.changes, 1)
			require.Equal(t, codegrant.StatusFailed, h.changes[0].Token.Status)
			require.Equal(t, codegrant.StatusFailed, b.get(t, b.open.ID).Handled)
		}},
		{name: "an unbinding before the success", body: signedBiz(created, endedByUser), want: func(t *testing.T, b *besieged, h *heard) {
			require.Len(t, h.changes, 1)
			require.Equal(t, codegrant.StatusUnbound, h.changes[0].Token.Status)
			require.Equal(t, codegrant.EndedByUser, b.get(t, b.open.ID).EndedBy)
		}},
	}
}

// twoSpellings are fields that the documents spell, or print, in two ways.
func twoSpellings() []odd {
	payment := `"merchantTransactionId":"order-1","requestId":"R-1","transactionId":"T-1","status":"SUCCESS","transactionTime":"1693290395000"`
	paid := func(t *testing.T, _ *besieged, h *heard) {
		require.Equal(t, []codegrant.PaymentNotification{{
			AccountID: gatewaytest.DefaultAccountID, Code: "000000",
			OrderID: "order-1", RequestID: "R-1", TransactionID: "T-1", Status: codegrant.PaymentSuccess,
			Amount:    codegrant.Amount{Minor: 10050, Currency: "HKD"},
			StartedAt: time.UnixMilli(1693290395000).UTC(), EndedAt: time.UnixMilli(1693290399000).UTC(),
		}}, h.payments)
	}
	adopted := func(t *testing.T, b *besieged, h *heard) {
		require.Len(t, h.changes, 1)
		require.Equal(t, codegrant.GCash, h.verified.Wallet)
		require.Equal(t, codegrant.GCash, b.get(t, "RESTORED-1").Wallet)
		require.Equal(t, codegrant.StatusActive, b.get(t, "RESTORED-1").Status)
	}
	restored := `{"notifyType":"` + created + `","requestId":"RESTORED-1","merchantUserId":"ann","token":"` + tokenValue + `",`
	return []odd{
		{name: "transactionEndTime and an amount with six decimals", want: paid,
			body: content(`{"notifyType":"RECHARGE",` + payment + `,"amount":"100.500000","currency":"HKD","transactionEndTime":"1693290399000"}`)},
		{name: "transactionEndingTime and an amount with two decimals", want: paid,
			body: content(`{"notifyType":"RECHARGE",` + payment + `,"amount":"100.50","currency":"HKD","transactionEndingTime":"1693290399000"}`)},
		{name: "both spellings of the end, the first one blank, and numbers for texts", want: paid,
			body: content(`{"notifyType":"RECHARGE",` + payment + `,"amount":100.5,"currency":"HKD","transactionEndTime":"","transactionEndingTime":1693290399000}`)},
		{name: "a wallet as paymentMethod.type", want: adopted, body: content(restored + `"paymentMethod":{"type":"GCash"}}`)},
		{name: "a wallet as payMethod", want: adopted, body: content(restored + `"payMethod":"GCash"}`)},
		{name: "a wallet as payMethod beside an empty paymentMethod", want: adopted, body: content(restored + `"payMethod":"GCash","paymentMethod":{}}`)},
		{name: "a refund with both numbers", want: func(t *testing.T, _ *besieged, h *heard) {
			require.Equal(t, []codegrant.RefundNotification{{
				AccountID: gatewaytest.DefaultAccountID, Code: "000000", OrderID: "order-1", RefundID: "ours", GatewayID: "theirs",
				TransactionID: "T-1", Status: codegrant.PaymentFailed, Amount: codegrant.Amount{Minor: 100, Currency: "KRW"},
				StartedAt: time.UnixMilli(1693290395000).UTC(), EndedAt: time.UnixMilli(1693290399000).UTC(),
			}}, h.refunds)
		}, body: content(`{"notifyType":"REFUND","merchantTransactionId":"order-1","merchantRefundId":"ours","refundId":"theirs","transactionId":"T-1",` +
			`"status":"FAILED","amount":"100.000000","currency":"KRW","refundTime":"1693290395000","refundEndingTime":1693290399000}`)},
	}
}
