package cornershop

import (
	"slices"

	"github.com/codegrant/codegrant"
)

// Product is something on sale.
type Product struct {
	SKU, Name, About string
	prices           map[string]int64 // minor units by currency
}

// catalog has a price for each product in the usual currency of every wallet,
// so that any wallet can buy anything.
func catalog() []Product {
	return []Product{
		{"tea", "Jasmine tea", "Loose leaf, 100 g", map[string]int64{
			"HKD": 48_00, "PHP": 350_00, "IDR": 95_000_00, "MYR": 28_00, "KRW": 8_500, "THB": 215_00, "AUD": 9_50}},
		{"mug", "Stoneware mug", "Holds 350 ml", map[string]int64{
			"HKD": 128_00, "PHP": 890_00, "IDR": 255_000_00, "MYR": 72_00, "KRW": 21_000, "THB": 560_00, "AUD": 24_50}},
		{"notebook", "Pocket notebook", "Dotted, 96 pages", map[string]int64{
			"HKD": 68_00, "PHP": 480_00, "IDR": 135_000_00, "MYR": 39_00, "KRW": 11_500, "THB": 305_00, "AUD": 13_50}},
		{"umbrella", "Folding umbrella", "Fits in a bag", map[string]int64{
			"HKD": 158_00, "PHP": 1_120_00, "IDR": 315_000_00, "MYR": 89_00, "KRW": 27_000, "THB": 699_00, "AUD": 31_00}},
	}
}

func findProduct(sku string) (Product, bool) {
	all := catalog()
	i := slices.IndexFunc(all, func(p Product) bool { return p.SKU == sku })
	if i < 0 {
		return Product{}, false
	}
	return all[i], true
}

// price is what p costs for people who pay with w.
func (p Product) price(w codegrant.Wallet) codegrant.Amount {
	currency := currencyOf(w)
	return codegrant.Amount{Minor: p.prices[currency], Currency: currency}
}

// currencyOf is a wallet's usual currency; Hong Kong dollars before a wallet
// is chosen.
func currencyOf(w codegrant.Wallet) string {
	if info, ok := w.Info(); ok {
		return info.Currencies[0]
	}
	return "HKD"
}
