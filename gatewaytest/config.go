package gatewaytest

import (
	"net/http"
	"net/url"
	"time"
)

// The account that a gateway serves when [Config] names none. The numbers are
// those of the documentation's samples; the salt is made up.
const (
	DefaultAccountID = "2022102018024210348883"
	DefaultClientID  = "2022102018024210348"
	DefaultSalt      = "5A17C0DE96A7E5EED0000001"
)

// Default paths of the two interfaces whose real path is unknown (PingPong v4,
// section 4.1). They are guesses; change them with [Paths].
const (
	DefaultSignUpQueryPath = "/v4/paymethod/query"
	DefaultUnbindPath      = "/v4/paymethod/unbind"
)

// Account is one merchant store as the gateway knows it.
type Account struct {
	AccountID string // accId
	ClientID  string // clientId; empty means AccountID without its last three digits
	Salt      string // the shared secret; empty means [DefaultSalt]
}

// Paths moves the interfaces whose real path is unknown. An empty path means
// its default.
type Paths struct {
	SignUpQuery string
	Unbind      string
}

// NotificationShape says how sign-up and unbinding notifications look, which
// the documentation leaves open (PingPong v4, sections 5.2 and 5.3). Payment
// and refund notifications always use the documented signed envelope.
type NotificationShape int

const (
	// Enveloped is the signed envelope that the documentation describes for
	// notifications in general. It is the default.
	Enveloped NotificationShape = iota
	// Flat is the legacy body, {"token":…,"notifyType":…}, without a signature.
	Flat
	// UnsignedEnvelope is the envelope without sign and signType.
	UnsignedEnvelope
)

// OmitCode as [Config.BindCode] leaves code and description out of the answer.
const OmitCode = "none"

// Config describes a gateway. The zero value is a gateway for the default
// account that behaves as documented and injects no faults.
type Config struct {
	// AccountID, ClientID and Salt are the account served. AccountID defaults to
	// [DefaultAccountID]; the other two as in [Account].
	AccountID, ClientID, Salt string
	// ExtraAccounts are served too. A request's accId chooses the account.
	ExtraAccounts []Account
	// MerchantName is what the consent page calls the merchant. The default is
	// "Demo Merchant".
	MerchantName string

	// BaseURL is where the handler can be reached; it starts every authUrl.
	// [NewServer] fills it. If empty, the request's Host is used.
	BaseURL string
	// Paths moves the interfaces whose real path is unknown.
	Paths Paths
	// SignType signs answers and notifications: [MD5], or [SHA256] for any other
	// value. Requests are verified with the signType that they name.
	SignType string
	// Scale is how many times faster than documented the retry schedule runs.
	// 0 means 1, real time. No other duration is scaled.
	Scale float64
	// NotifyDelay is the wait between the user's consent on the page and the
	// first delivery. 0 means that the page answers after the first delivery.
	// [Gateway.Approve] does not wait.
	NotifyDelay time.Duration
	// Latency is how long every API answer takes, after execution. Payment
	// attempts for one order that overlap in this time can charge it twice.
	Latency time.Duration
	// HTTPClient delivers notifications. The default gives up after 10 s and
	// follows no redirect. [HandlerTransport] delivers in memory.
	HTTPClient *http.Client
	// Seed makes tokens, numbers and random faults repeatable as long as calls
	// arrive in the same order. 0 means random.
	Seed uint64
	// Rates gives kinds of fault a probability between 0 and 1 of happening to
	// each call or delivery attempt they apply to. [Gateway.Inject] goes first.
	Rates map[FaultKind]float64

	// MinimalEnvelope leaves accId, clientId, code and description out of
	// successful answers of the paymethod and authorization interfaces, as the
	// legacy samples do (PingPong v4, section 2.2).
	MinimalEnvelope bool
	// BindCode is the success code of the paymethod and authorization
	// interfaces, which no sample prints. The default is "001000"; [OmitCode]
	// leaves it out.
	BindCode string
	// MissingTokenCode goes with the description "token does not exist". Its
	// real number is unknown; the default is "102000".
	MissingTokenCode string
	// SharedTokens lets the legacy list and cancelToken see tokens made by bind,
	// and the paymethod interfaces see legacy ones. The default is that neither
	// sees the other's. Paying works with both.
	SharedTokens bool
	// SupersedeOlder makes a new sign-up kill, without a notification, the older
	// tokens of the same account, user and wallet.
	SupersedeOlder bool

	// NotificationShape is how sign-up and unbinding notifications look.
	NotificationShape NotificationShape
	// RichNotification adds status, paymentMethod, userLoginId and expireTime
	// to enveloped sign-up and unbinding notifications.
	RichNotification bool
	// NotifyRefusals sends an enveloped ACCESS_TOKEN_CREATION with status FAILED
	// when a user refuses. The default is silence; the documentation says nothing.
	NotifyRefusals bool
	// SilentWallets are wallets whose own unbinding tells the merchant nothing
	// (PingPong v4, section 9). The default is none.
	SilentWallets []string
	// MutePayments sends no payment and refund notifications. The default is to
	// send one for every SUCCESS and FAILED whose request has a notificationUrl.
	MutePayments bool

	// ReturnParams are added to the merchant's result URL when the browser goes
	// back. The default is none (PingPong v4, section 4.2: unknown).
	ReturnParams url.Values
	// BindReturnsAuthCode adds authCode and authState when the browser goes back
	// from a bind sign-up, as the legacy flow always does.
	BindReturnsAuthCode bool

	// ProcessingFirst makes unifiedPay answer PROCESSING. [Gateway.Settle]
	// completes the payment.
	ProcessingFirst bool
	// SettleAfter completes a PROCESSING payment by itself after this time.
	// 0 leaves it to [Gateway.Settle].
	SettleAfter time.Duration
	// FailFirst declines the first attempt for every order with 301002. A second
	// attempt with its own requestId then succeeds.
	FailFirst bool
}

func (c Config) withDefaults() Config {
	c.AccountID = or(c.AccountID, DefaultAccountID)
	c.MerchantName = or(c.MerchantName, "Demo Merchant")
	c.Paths.SignUpQuery = or(c.Paths.SignUpQuery, DefaultSignUpQueryPath)
	c.Paths.Unbind = or(c.Paths.Unbind, DefaultUnbindPath)
	c.BindCode = or(c.BindCode, codeOK)
	c.MissingTokenCode = or(c.MissingTokenCode, codeInvalidParameter)
	if c.SignType != MD5 {
		c.SignType = SHA256
	}
	if c.Scale <= 0 {
		c.Scale = 1
	}
	return c
}

func (c Config) accounts() map[string]Account {
	accounts := make(map[string]Account)
	first := Account{AccountID: c.AccountID, ClientID: c.ClientID, Salt: c.Salt}
	for _, a := range append([]Account{first}, c.ExtraAccounts...) {
		a.Salt = or(a.Salt, DefaultSalt)
		a.ClientID = or(a.ClientID, a.AccountID[:max(0, len(a.AccountID)-3)])
		accounts[a.AccountID] = a
	}
	return accounts
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
