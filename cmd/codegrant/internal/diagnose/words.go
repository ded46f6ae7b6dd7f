package diagnose

import (
	"fmt"
	"strings"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// resultCode is a line of PingPong v4, Status Code. The simulator's texts
// stand beside the documented ones.
type resultCode struct{ code, description string }

func resultCodes() []resultCode {
	return []resultCode{
		{"000000", "Transaction succeeded"},
		{"001000", "Successful request"},
		{"002000", "Transaction processing"},
		{"101000", "Merchant is disabled"},
		{"102000", "Invalid or missing parameter"},
		{"103000", "Invalid authentication"},
		{"104000", "Invalid signature"},
		{"105000", "Invalid or expired transaction"},
		{"106000", "Invalid transaction currency"},
		{"107000", "Transaction failed (duplicated transaction)"},
		{"107001", "Transaction does not exist"},
		{"107002", "Original transaction does not exist"},
		{"108000", "Refund failed (exceeds original transaction amount)"},
		{"200000", "High risk"},
		{"301002", "Transaction declined (Do not honor,Please contact the issuing bank to confirm the bank card payment limit)"},
		{"301002", "Transaction declined (Do not honor)"},
		{"303000", "Refund failed"},
		{"500000", "Internal gateway error"},
		{"600002", "External response timeout"},
	}
}

// knownWords are the documented names and values, by their lower case.
func knownWords() map[string]string {
	words := make(map[string]string)
	for w := range strings.FieldsSeq(`accId bizContent clientId code description sign signType version
		requestId merchantUserId token notifyType status paymentMethod type userLoginId expireTime bizType CodeGrant
		merchantResultUrl notificationUrl device orderTerminal merchantTransactionId transactionId amount currency
		remark transactionTime transactionEndTime transactionEndingTime exchangedAmount exchangedCurrency issuerInfo
		issuerResultCode issuerResultMsg merchantRefundId refundId refundTime refundEndingTime resultCode
		resultDescription authUrl authCode authState payMethod cancelSuccess goods name unitPrice number shopperIP
		captureDelayHours tradeCountry shopperIp payResultUrl payCancelUrl
		ACCESS_TOKEN_CREATION ACCESS_TOKEN_CANCEL_OF_MERCHANT ACCESS_TOKEN_CANCEL_OF_MERCHANT_USER RECHARGE REFUND
		SUCCESS FAILED PROCESSING PENDING CLOSED CANCELLED INIT REVIEW AlipayHK GCash DANA Boost Kakaopay Alipay
		USD HKD PHP IDR MYR KRW THB CNY EUR SHA256 MD5`) {
		words[strings.ToLower(w)] = w
	}
	for _, w := range []string{"TNG eWallet", "True Money", "Rabbit LINE Pay"} {
		words[strings.ToLower(w)] = w
	}
	return words
}

// shown is a member's name for people: only a short plain one is repeated.
func shown(name string) string {
	if text := mask.Text(name, nil); len(name) <= 40 && text == mask.Printable(name) {
		return text
	}
	return fmt.Sprintf("a name of %d bytes", len(name))
}

func ticks(s string) string { return "`" + s + "`" }
