package gatewaytest

// Result codes that the simulator gives (PingPong v4, section 2.3).
const (
	codeSuccess          = "000000"
	codeOK               = "001000"
	codeProcessing       = "002000"
	codeInvalidParameter = "102000"
	codeNotAuthentic     = "103000"
	codeBadSignature     = "104000"
	codeExpired          = "105000"
	codeBadCurrency      = "106000"
	codeDuplicate        = "107000"
	codeNoTransaction    = "107001"
	codeNoOriginal       = "107002"
	codeRefundExceeds    = "108000"
	codeDoNotHonor       = "301002"
	codeRefundFailed     = "303000"
	codeInternal         = "500000"
)

func describe(code string) string {
	switch code {
	case codeSuccess:
		return "Transaction succeeded"
	case codeOK:
		return "Successful request"
	case codeProcessing:
		return "Transaction processing"
	case codeInvalidParameter:
		return "Invalid or missing parameter"
	case codeNotAuthentic:
		return "Invalid authentication"
	case codeBadSignature:
		return "Invalid signature"
	case codeExpired:
		return "Invalid or expired transaction"
	case codeBadCurrency:
		return "Invalid transaction currency"
	case codeDuplicate:
		return "Transaction failed (duplicated transaction)"
	case codeNoTransaction:
		return "Transaction does not exist"
	case codeNoOriginal:
		return "Original transaction does not exist"
	case codeRefundExceeds:
		return "Refund failed (exceeds original transaction amount)"
	case codeDoNotHonor:
		return "Transaction declined (Do not honor)"
	case codeRefundFailed:
		return "Refund failed"
	case codeInternal:
		return "Internal gateway error"
	}
	return "Transaction failed"
}
