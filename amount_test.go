package codegrant_test

import (
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// currencyPlaces is PingPong v4, section 7.1, and ISO 4217 for AUD and CAD.
func currencyPlaces() map[string]int {
	return map[string]int{
		"HKD": 2, "PHP": 2, "MYR": 2, "IDR": 2, "THB": 2, "CNY": 2, "SGD": 2, "USD": 2, "EUR": 2, "GBP": 2,
		"AUD": 2, "CAD": 2, "KRW": 0, "JPY": 0, "VND": 0,
	}
}

func TestAmountsAsText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		minor    int64
		currency string
		want     string
	}{
		{0, "HKD", "0.00"}, {1, "HKD", "0.01"}, {10, "HKD", "0.10"}, {99, "HKD", "0.99"}, {100, "HKD", "1.00"},
		{10000, "HKD", "100.00"}, {-1, "HKD", "-0.01"}, {-100, "HKD", "-1.00"}, {-12345, "USD", "-123.45"},
		{math.MaxInt64, "HKD", "92233720368547758.07"}, {math.MinInt64, "HKD", "-92233720368547758.08"},
		{math.MinInt64 + 1, "HKD", "-92233720368547758.07"},
		{0, "KRW", "0"}, {7, "KRW", "7"}, {100, "KRW", "100"}, {-7, "JPY", "-7"},
		{math.MaxInt64, "VND", "9223372036854775807"}, {math.MinInt64, "VND", "-9223372036854775808"},
	}
	for _, tt := range tests {
		a := codegrant.Amount{Minor: tt.minor, Currency: tt.currency}
		got, err := a.Decimal()
		require.NoError(t, err)
		require.Equal(t, tt.want, got)
		require.Equal(t, tt.want+" "+tt.currency, a.String())
	}
	for _, currency := range []string{"", "XXX", "hkd", "HKD ", "BHD", "US"} {
		a := codegrant.Amount{Minor: 5, Currency: currency}
		_, err := a.Decimal()
		require.Error(t, err, "%q", currency)
		require.Contains(t, a.String(), "5 minor units")
		_, err = codegrant.ParseAmount("5", currency)
		require.Error(t, err, "%q", currency)
	}
}

func TestAmountsFromText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text     string
		currency string
		want     int64
		ok       bool
	}{
		{"100", "HKD", 10000, true}, {"100.5", "HKD", 10050, true}, {"100.50", "HKD", 10050, true},
		{"100.000000", "HKD", 10000, true}, {"100.500000", "HKD", 10050, true}, {"0.010000", "HKD", 1, true},
		{"0", "HKD", 0, true}, {"0.00", "HKD", 0, true}, {"007", "HKD", 700, true},
		{"100.000000", "KRW", 100, true}, {"100", "KRW", 100, true}, {"100.0", "JPY", 100, true},
		{"92233720368547758.07", "HKD", math.MaxInt64, true}, {"92233720368547758.070000", "HKD", math.MaxInt64, true},
		{"9223372036854775807", "KRW", math.MaxInt64, true},
		{strings.Repeat("0", 1000) + "1." + strings.Repeat("0", 1000), "HKD", 100, true},

		{"100.001", "HKD", 0, false}, {"100.000001", "HKD", 0, false}, {"100.5", "KRW", 0, false},
		{"92233720368547758.08", "HKD", 0, false}, {"9223372036854775808", "KRW", 0, false},
		{"18446744073709551616", "KRW", 0, false}, {"184467440737095516.17", "HKD", 0, false},
		{strings.Repeat("9", 400), "HKD", 0, false},
		{"", "HKD", 0, false}, {".", "HKD", 0, false}, {".5", "HKD", 0, false}, {"5.", "HKD", 0, false},
		{"-1", "HKD", 0, false}, {"+1", "HKD", 0, false}, {" 1", "HKD", 0, false}, {"1 ", "HKD", 0, false},
		{"1e2", "HKD", 0, false}, {"1,000", "HKD", 0, false}, {"1_000", "HKD", 0, false}, {"0x10", "HKD", 0, false},
		{"1.2.3", "HKD", 0, false}, {"1..2", "HKD", 0, false}, {"1.-2", "HKD", 0, false}, {"1.2a", "HKD", 0, false},
		{"１００", "HKD", 0, false}, {"NaN", "HKD", 0, false}, {"Inf", "HKD", 0, false}, {"1\x00", "HKD", 0, false},
	}
	for _, tt := range tests {
		got, err := codegrant.ParseAmount(tt.text, tt.currency)
		if !tt.ok {
			require.Error(t, err, "%.40q %s", tt.text, tt.currency)
			require.Zero(t, got)
			continue
		}
		require.NoError(t, err, "%.40q %s", tt.text, tt.currency)
		require.Equal(t, codegrant.Amount{Minor: tt.want, Currency: tt.currency}, got)
	}
}

// TestAmountsSurviveBothWays compares with exact arithmetic for random
// amounts in each currency.
func TestAmountsSurviveBothWays(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for currency, places := range currencyPlaces() {
		unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
		for range 2000 {
			want := codegrant.Amount{Minor: random.Int64() >> random.IntN(63), Currency: currency}
			text, err := want.Decimal()
			require.NoError(t, err)
			exact := new(big.Rat).SetFrac(big.NewInt(want.Minor), unit)
			require.Equal(t, exact.FloatString(places), text)
			for _, form := range []string{text, exact.FloatString(6), exact.FloatString(places + 9), "000" + text} {
				got, err := codegrant.ParseAmount(form, currency)
				require.NoError(t, err)
				require.Equal(t, want, got, form)
			}
			negative := codegrant.Amount{Minor: -want.Minor, Currency: currency}
			text, err = negative.Decimal()
			require.NoError(t, err)
			require.Equal(t, exact.Neg(exact).FloatString(places), text)
		}
	}
}

func TestErrorsOfAmountsDoNotRepeatTheText(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SENTINEL", "1.SENTINEL", "777777.777", "77777777777777777777777777"} {
		_, err := codegrant.ParseAmount(text, "HKD")
		requireDiscreet(t, err, "SENTINEL", "777777")
	}
	_, err := codegrant.ParseAmount("1.00", "SENTINEL")
	requireDiscreet(t, err, "SENTINEL")
	_, err = codegrant.ParseAmount("1.00", "BHD")
	require.ErrorContains(t, err, "BHD", "a code of three letters helps who reads the log")
}
