package gatewaytest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// micros is money in millionths of the currency's major unit, because answers
// carry six decimals whatever the currency.
type micros int64

func (m micros) String() string {
	return fmt.Sprintf("%d.%06d", m/1e6, m%1e6)
}

// decimals reports how many decimals a currency has (PingPong v4, section 7.1;
// AUD and CAD from the wallet table in section 9).
func decimals(currency string) (int, bool) {
	switch currency {
	case "KRW", "JPY", "VND":
		return 0, true
	case "HKD", "PHP", "MYR", "IDR", "THB", "CNY", "SGD", "USD", "EUR", "GBP", "AUD", "CAD":
		return 2, true
	}
	return 0, false
}

func parseAmount(text string, decimals int) (micros, error) {
	whole, fraction, dotted := strings.Cut(text, ".")
	if len(whole) == 0 || len(whole) > 12 || (dotted && fraction == "") || !digits(whole+fraction) {
		return 0, errors.New("amount is not a positive decimal number")
	}
	if len(strings.TrimRight(fraction, "0")) > decimals {
		return 0, fmt.Errorf("amount has more than %d decimals", decimals)
	}
	value, err := strconv.ParseInt(whole+(fraction + "000000")[:6], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("amount: %w", err)
	}
	if value == 0 {
		return 0, errors.New("amount must be more than zero")
	}
	return micros(value), nil
}

func digits(text string) bool {
	return strings.Trim(text, "0123456789") == ""
}
