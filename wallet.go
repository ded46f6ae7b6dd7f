package codegrant

import "slices"

// Wallet is a wallet's exact name on the wire (paymentMethod.type), blanks
// included. Names that this package does not know pass through unchanged.
type Wallet string

// The wallets that support CodeGrant. PingPong v4, sign-up interface.
const (
	AlipayHK      Wallet = "AlipayHK"
	GCash         Wallet = "GCash"
	DANA          Wallet = "DANA"
	Boost         Wallet = "Boost"
	TNGeWallet    Wallet = "TNG eWallet"
	Kakaopay      Wallet = "Kakaopay"
	TrueMoney     Wallet = "True Money"
	Alipay        Wallet = "Alipay"
	RabbitLINEPay Wallet = "Rabbit LINE Pay"
)

// SignUpTerminal is where the user signs up (device.orderTerminal of the
// sign-up interface). Paying uses other numbers: see [PayTerminal].
type SignUpTerminal string

// PingPong v4, sign-up interface: the values are those documented for the
// older authorization interface.
const (
	SignUpOnH5      SignUpTerminal = "01" // mobile browser
	SignUpOnPC      SignUpTerminal = "02" // desktop browser
	SignUpOnIOS     SignUpTerminal = "04" // inside an iOS app
	SignUpOnAndroid SignUpTerminal = "05" // inside an Android app
)

// PayTerminal is where the user pays (device.orderTerminal of unifiedPay).
type PayTerminal string

// PingPong v4, unifiedPay: these are not the sign-up interface's numbers.
const (
	PayOnH5      PayTerminal = "01" // mobile browser
	PayOnPC      PayTerminal = "02" // desktop browser
	PayOnIOS     PayTerminal = "03" // iOS SDK
	PayOnAndroid PayTerminal = "04" // Android SDK
)

// WalletInfo is what PingPong's tables say about a wallet (as of 2023). It
// helps to choose what to show; the kit refuses nothing because of it, since
// the gateway's lists change.
type WalletInfo struct {
	Wallet        Wallet
	Country       string           // ISO 3166-1 alpha-2 of the home market
	Currencies    []string         // ISO 4217; the first is the usual one
	Terminals     []SignUpTerminal // where sign-up is documented to work
	PartialRefund bool             // partial refunds are documented
}

// Wallets returns the documented wallets, each call a fresh slice.
func Wallets() []WalletInfo {
	app := []SignUpTerminal{SignUpOnPC, SignUpOnIOS, SignUpOnAndroid}
	all := append([]SignUpTerminal{SignUpOnH5}, app...)
	info := func(w Wallet, country string, terminals []SignUpTerminal, partial bool, currencies ...string) WalletInfo {
		return WalletInfo{w, country, currencies, slices.Clone(terminals), partial}
	}
	return []WalletInfo{
		info(AlipayHK, "HK", app, true, "HKD", "CNY"),
		info(GCash, "PH", all, true, "PHP", "USD"),
		info(DANA, "ID", all, true, "IDR"),
		info(Boost, "MY", all, true, "MYR"),
		info(TNGeWallet, "MY", all, true, "MYR"),
		info(Kakaopay, "KR", app, false, "KRW", "USD"),
		info(TrueMoney, "TH", all, false, "THB"),
		info(Alipay, "CN", app, true, "AUD", "CAD", "EUR", "GBP", "HKD", "SGD", "USD"),
		info(RabbitLINEPay, "TH", all, false, "THB"),
	}
}

// Info returns what is documented about w; false for an unknown wallet.
func (w Wallet) Info() (WalletInfo, bool) {
	for _, info := range Wallets() {
		if info.Wallet == w {
			return info, true
		}
	}
	return WalletInfo{}, false
}
