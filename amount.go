package codegrant

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Amount is money: a whole number of the currency's minor unit, never a
// float. 100.00 Hong Kong dollars are Amount{Minor: 10000, Currency: "HKD"};
// 100 won are Amount{Minor: 100, Currency: "KRW"}.
type Amount struct {
	Minor    int64  // minor units (cents); won and yen have none
	Currency string // ISO 4217, upper case
}

// String returns decimals and currency, for example "100.00 HKD". An amount in
// a currency whose decimals are not known prints as its minor units.
func (a Amount) String() string {
	d, err := a.Decimal()
	if err != nil {
		return fmt.Sprintf("%d minor units of %q", a.Minor, a.Currency)
	}
	return d + " " + a.Currency
}

// Decimal returns the amount in major units with exactly the currency's
// decimals and no currency, for example "100.00". It fails for a currency
// whose decimals are not known.
func (a Amount) Decimal() (string, error) {
	places, ok := decimals(a.Currency)
	if !ok {
		return "", fmt.Errorf("codegrant: decimals of currency %q are not known", a.Currency)
	}
	sign, minor := "", uint64(a.Minor) //nolint:gosec // G115: the sign is handled below
	if a.Minor < 0 {
		sign, minor = "-", -minor
	}
	digits := strconv.FormatUint(minor, 10)
	if places == 0 {
		return sign + digits, nil
	}
	if pad := places + 1 - len(digits); pad > 0 {
		digits = strings.Repeat("0", pad) + digits
	}
	cut := len(digits) - places
	return sign + digits[:cut] + "." + digits[cut:], nil
}

// ParseAmount reads a decimal number of major units, such as "100",
// "100.5" or the gateway's "100.000000", as currency. Decimals beyond the
// currency's must be zeros. Signs, exponents, blanks and grouping are refused.
func ParseAmount(decimal, currency string) (Amount, error) {
	places, ok := decimals(currency)
	if !ok {
		if len(currency) != 3 || !isWord(currency) { // somebody's text, not to be repeated in a log
			return Amount{}, fmt.Errorf("codegrant: currency is not a code of three letters")
		}
		return Amount{}, fmt.Errorf("codegrant: decimals of currency %q are not known", currency)
	}
	whole, fraction, dotted := strings.Cut(decimal, ".")
	if whole == "" || (dotted && fraction == "") || !allDigits(whole) || !allDigits(fraction) {
		return Amount{}, fmt.Errorf("codegrant: amount is not a plain decimal number")
	}
	if len(fraction) > places && strings.Trim(fraction[places:], "0") != "" {
		return Amount{}, fmt.Errorf("codegrant: amount has more decimals than %s", currency)
	}
	minor := int64(0)
	for i := range len(whole) + places {
		digit := int64(0)
		if i < len(whole) {
			digit = int64(whole[i] - '0')
		} else if i -= len(whole); i < len(fraction) {
			digit = int64(fraction[i] - '0')
		}
		if minor > (math.MaxInt64-digit)/10 {
			return Amount{}, fmt.Errorf("codegrant: amount is out of range")
		}
		minor = 10*minor + digit
	}
	return Amount{Minor: minor, Currency: currency}, nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// decimals returns the number of decimals of a currency.
// PingPong v4, Transaction currency; AUD and CAD, which its wallet table names
// for Alipay, follow ISO 4217.
func decimals(currency string) (int, bool) {
	switch currency {
	case "HKD", "PHP", "MYR", "IDR", "THB", "CNY", "SGD", "USD", "EUR", "GBP", "AUD", "CAD":
		return 2, true
	case "KRW", "JPY", "VND":
		return 0, true
	}
	return 0, false
}
