package codegrant_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestWalletsAreTheDocumentedOnes(t *testing.T) {
	t.Parallel()
	var names []string
	for _, info := range codegrant.Wallets() {
		names = append(names, string(info.Wallet))
		require.Len(t, info.Country, 2)
		require.NotEmpty(t, info.Currencies)
		for _, currency := range info.Currencies {
			require.Contains(t, currencyPlaces(), currency)
		}
		require.Contains(t, info.Terminals, codegrant.SignUpOnPC)

		found, ok := info.Wallet.Info()
		require.True(t, ok)
		require.Equal(t, info, found)
	}
	require.ElementsMatch(t, gatewaytest.Wallets(), names)

	for _, name := range []codegrant.Wallet{"", "GCASH", "Rabbit Line Pay", "TrueMoney Wallet", "GCash "} {
		_, ok := name.Info()
		require.False(t, ok, "%q", name)
	}
}

// TestWalletTable is PingPong v4, section 9, row by row.
func TestWalletTable(t *testing.T) {
	t.Parallel()
	rows := []struct {
		wallet        codegrant.Wallet
		name          string
		country       string
		first         string // currency
		inBrowser     bool   // WAP/H5 is listed
		partialRefund bool
	}{
		{codegrant.Boost, "Boost", "MY", "MYR", true, true},
		{codegrant.GCash, "GCash", "PH", "PHP", true, true},
		{codegrant.TNGeWallet, "TNG eWallet", "MY", "MYR", true, true},
		{codegrant.DANA, "DANA", "ID", "IDR", true, true},
		{codegrant.Kakaopay, "Kakaopay", "KR", "KRW", false, false},
		{codegrant.TrueMoney, "True Money", "TH", "THB", true, false},
		{codegrant.AlipayHK, "AlipayHK", "HK", "HKD", false, true},
		{codegrant.Alipay, "Alipay", "CN", "AUD", false, true},
		{codegrant.RabbitLINEPay, "Rabbit LINE Pay", "TH", "THB", true, false},
	}
	for _, row := range rows {
		info, ok := row.wallet.Info()
		require.True(t, ok, row.name)
		require.Equal(t, row.name, string(row.wallet))
		require.Equal(t, row.country, info.Country, row.name)
		require.Equal(t, row.first, info.Currencies[0], row.name)
		require.Equal(t, row.inBrowser, slices.Contains(info.Terminals, codegrant.SignUpOnH5), row.name)
		require.Equal(t, row.partialRefund, info.PartialRefund, row.name)
	}
	require.Len(t, codegrant.Wallets(), len(rows))
}

func TestTheWalletTableCannotBeChanged(t *testing.T) {
	t.Parallel()
	for i := range codegrant.Wallets() {
		changed := codegrant.Wallets()
		changed[i].Wallet, changed[i].Currencies[0], changed[i].Terminals[0] = "x", "x", "x"
		for j, other := range changed {
			if j != i {
				require.NotContains(t, other.Terminals, codegrant.SignUpTerminal("x"), "wallets share a slice")
			}
		}
	}
	for _, info := range codegrant.Wallets() {
		require.NotContains(t, info.Terminals, codegrant.SignUpTerminal("x"))
		require.NotContains(t, info.Currencies, "x")
	}
}
