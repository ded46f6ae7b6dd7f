// Package codegrant lets an existing Go web server take one-click wallet
// payments through PingPong's CodeGrant product. The user agrees once in the
// wallet (AlipayHK, GCash, DANA, Boost, TNG eWallet, Kakaopay, True Money,
// Alipay, Rabbit LINE Pay), a signed notification delivers a payment token,
// and from then on the merchant charges with the token until either side ends
// the agreement.
//
// The package never acts on an unsigned message, never loses a token that the
// gateway delivered, and never sends a second charge while the first may still
// succeed.
//
// # Mounting it
//
// [New] takes a [Config] and returns a [Kit], an [net/http.Handler] for all
// endpoints. Each endpoint is also a handler of its own, and beneath each is a
// function that needs no request, for other frameworks and for queues:
//
//	POST /signup       Kit.SignUp   Kit.StartSignUp
//	GET  /return/{id}  Kit.Return   Kit.Returned
//	POST /notify/{id}  Kit.Notify   Kit.Apply
//	POST /unbind       Kit.Unbind   Kit.UnbindToken
//	GET  /status       Kit.Status   Kit.Tokens
//
// [Kit.RequireToken] and [Kit.VerifyNotification] are middleware. [Kit.Charge]
// and [Kit.Refund] move money. [Client] is the gateway's API without a kit.
//
// # What happens
//
//	browser ─ POST /signup ──▶ record: pending ─ signed bind ──▶ wallet page
//	gateway ─ POST /notify ──▶ verify ▶ transition ▶ save ▶ OnToken ▶ 200
//	browser ─ GET /return ───▶ pending, connected or failed, from the record
//	Kit.Charge ──────────────▶ signed unifiedPay ▶ Receipt or unknown outcome
//	Kit.Run ─────────────────▶ signed queries for what nobody was told of
//
// A record's status only rises: pending, failed, active, unbinding, unbound.
// Deliveries may repeat, overtake each other and come late; the record ends
// the same ([Transition]).
//
// # Hooks
//
// [Config.OnToken] is called at least once for a record's newest status. It is
// owed until it returns nil: an error, a panic or a crash makes the gateway's
// next delivery call it again. Calls may overlap between processes; compare
// [Token.Revision] where that matters.
//
// # Money
//
// [Kit.Charge] has three outcomes: [Succeeded], [Failed] and [Pending]. When
// the answer is lost the error is an [*UnknownOutcomeError], and its Resolve
// finds out. The same order and attempt are always the same request at the
// gateway, so repeating a charge is safe.
//
// With [Config.Payments] every charge and refund is recorded before it is sent. A
// crash between sending and the answer is then found and resolved, and
// [Config.OnPayment] hears each outcome once.
//
// # What got lost
//
// [Kit.Run] sweeps until its context ends, [Kit.Reconcile] once: over sign-ups
// whose notification never came, hooks that are owed, unbindings and payments
// without a known outcome, and tokens in doubt. Every process may run it.
//
// # Several accounts
//
// A Kit is one account. [Accounts] serves several under one URL and sweeps over
// the records of all. An account may have several salts while they change;
// [Kit.SaltUsage] tells when an old one is no longer used.
//
// # Errors
//
// Every error matches a [Code] with [errors.Is]: the same code stands in the
// log record and in a JSON answer. No error carries a token, a salt or a body.
//
// # Words
//
// The names here, and what others call the same thing:
//
//	SignUp        bind, account linking, authorization, agreement signing
//	Token         stored payment method, mandate, grant, billing agreement
//	Unbind        revoke, cancel, terminate
//	Notification  webhook, callback, IPN
//	Return        redirect, merchantResultUrl
//	UserID        merchantUserId
//	AccountID     accId, store number
//	ClientID      clientId, merchant number
//	Salt          signing secret
//	Wallet        paymentMethod.type
//
// What PingPong does not document is a setting with a default; search this
// documentation for UNKNOWN. Package gatewaytest is the gateway as a local
// simulator, for tests and for trying everything offline.
package codegrant
