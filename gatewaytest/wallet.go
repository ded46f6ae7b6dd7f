package gatewaytest

import "slices"

// wallet is one row of PingPong v4, section 9. Accent is only a colour that
// tells the pages apart, not the brand's.
type wallet struct {
	Name   string
	Place  string
	Accent string
	// years is how long a token lives. The documentation says "long-term" for
	// some wallets; its one sample expiry lies 15 years ahead.
	years int
}

func walletTable() []wallet {
	return []wallet{
		{"Boost", "Malaysia", "#9f1d35", 15},
		{"GCash", "Philippines", "#1d4f91", 2},
		{"TNG eWallet", "Malaysia", "#0f5c8c", 2},
		{"DANA", "Indonesia", "#20639b", 10},
		{"Kakaopay", "South Korea", "#6b5310", 15},
		{"True Money", "Thailand", "#a2471b", 2},
		{"AlipayHK", "Hong Kong", "#155e75", 15},
		{"Alipay", "China", "#2b5797", 15},
		{"Rabbit LINE Pay", "Thailand", "#2f6b3a", 15},
	}
}

// Wallets returns the nine wallet names that a sign-up accepts, spelled as
// paymentMethod.type needs them (PingPong v4, section 9).
func Wallets() []string {
	var names []string
	for _, w := range walletTable() {
		names = append(names, w.Name)
	}
	return names
}

func findWallet(name string) (wallet, bool) {
	table := walletTable()
	i := slices.IndexFunc(table, func(w wallet) bool { return w.Name == name })
	if i < 0 {
		return wallet{Name: name, Accent: "#374151"}, false
	}
	return table[i], true
}
