package hostiletest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestATruncatedBodyIsNeverAccepted cuts genuine bodies at every byte. What is
// left is never one complete object, so all of it is unreadable.
func TestATruncatedBodyIsNeverAccepted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		body func(t *testing.T, b *besieged) string
	}{
		{"a success of a sign-up", func(_ *testing.T, b *besieged) string { return b.sign(nil) }},
		{"an unbinding", func(_ *testing.T, b *besieged) string {
			return b.sign(map[string]string{"bizContent": `{"notifyType":"` + endedByUser + `","token":"` + tokenValue + `","remark":"` + marker + `"}`})
		}},
		{"a payment with escapes and characters of two, three and four bytes", func(t *testing.T, b *besieged) string {
			body := b.sign(map[string]string{
				"bizContent": `{"notifyType":"RECHARGE","merchantTransactionId":"order-1","status":"SUCCESS","amount":"100.000000",` +
					`"currency":"HKD","remark":"` + marker + ` é 支付 😹 \n\t\\ \u652f\u4ed8 \ud83d\ude39"}`,
				"description": "支付成功 & é=\"1\" 😹",
			})
			require.Contains(t, body, `\\u652f`, "an escape inside of an escape")
			return body
		}},
		{"a body that was escaped again on its way", func(t *testing.T, b *besieged) string {
			body := strings.ReplaceAll(b.sign(map[string]string{"description": "支付成功 😹"}), "支", `\u652f`)
			return strings.ReplaceAll(strings.ReplaceAll(body, "😹", `\uD83D\uDE39`), "e", `\u0065`)
		}},
		{"a body with a line for each member", func(t *testing.T, b *besieged) string {
			var out bytes.Buffer
			require.NoError(t, json.Indent(&out, []byte(b.sign(nil)), "", "\t"))
			return out.String()
		}},
		{"a content that is an object", func(_ *testing.T, b *besieged) string {
			return replaceOnce(b.sign(nil), encoded(b.biz()), b.biz())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBesieged(t)
			body := tc.body(t, b)
			before := b.moved()
			for cut := range len(body) {
				for _, e := range b.entries {
					require.Equal(t, refusal(http.StatusBadRequest), send(e.handler, b.request(t, body[:cut])), "%s, cut at byte %d", e.name, cut)
				}
			}
			require.Equal(t, before, b.moved(), "a part of a body set something in motion")
			require.Equal(t, b.open.Revision, b.get(t, b.open.ID).Revision, "the record was saved")
			log := b.log.reset()
			require.Equal(t, 2*len(body), strings.Count(log, "\n"), "records in the log")
			requireSilent(t, log, body)

			require.Equal(t, http.StatusOK, b.post(t, b.open.ID, []byte(body)).Code, "the whole body")
			require.Greater(t, b.moved(), before, "the whole body sets something in motion")
		})
	}
}
