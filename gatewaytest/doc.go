// Package gatewaytest is the PingPong v4 CodeGrant gateway as a local
// simulator, in the manner of net/http/httptest: the API, the wallet's consent
// page, the notifications with their retries, and a ledger of who was charged.
// It has its own encoding and signing code, so a mistake in a client shows as a
// refused signature instead of cancelling itself out.
//
// # Use
//
//	gateway := gatewaytest.New(gatewaytest.Config{})
//	defer gateway.Close()
//	shop := newShop(gateway.Client())        // your own constructor
//	gateway.DeliverTo(shop)                  // notifications go to its handler
//	err := gateway.Approve(signUp.AuthURL)   // the user agrees
//
// The token is now at the merchant. After some charges,
// gateway.Ledger().ChargedTwice() says whether anybody was charged twice.
// [NewServer] is the same on a loopback port, for browsers and other languages.
//
// [Gateway.Approve], [Gateway.Refuse], [Gateway.UnbindInWallet] and
// [Gateway.Settle] return after the first delivery attempt, so tests need no
// sleep. Notifications that follow an API call, such as a payment's, go out
// when the call has been answered; [Gateway.Wait] waits for them.
//
// [New] with [Gateway.Transport] and [HandlerTransport] needs no socket. With
// these two, testing/synctest runs the whole 12-hour retry schedule in no time;
// [Config.Scale] shortens it for people who watch.
//
// [Gateway.Snapshot] and [Gateway.Restore] carry a demonstration over a restart.
//
// A browser finds the consent page at authUrl, the user's agreements at
// /wallet, and the operator's books at /ledger.
//
// # Faults
//
// [Gateway.Inject] makes a chosen call or delivery go wrong: time-outs and
// resets before or after execution, 5xx, truncated, forged or unsigned answers,
// declines, and notifications that are lost, late, doubled or forged.
// [Config.Rates] does the same at random, repeatably with [Config.Seed].
// [Gateway.Hold] and [Gateway.Release] reorder notifications, and
// [Gateway.Redeliver] and [Gateway.SignedBody] make ones of their own.
//
// # Charging twice
//
// unifiedPay repeated with the same requestId never charges again. With a new
// requestId it charges the order again as long as the merchant cannot know that
// the order is paid: while an attempt is PROCESSING or under way, see
// [Config.Latency], and after an answer was lost. Once an answer, a query or an
// accepted notification has reported the success, a new requestId is refused
// with 107000. That is the real gateway's hazard (PingPong v4, section 7.3) at
// its worst, and [Ledger.ChargedTwice] shows who fell for it.
//
// # Certain and guessed
//
// Envelopes, the signature, the paths and fields of bind, unifiedPay, query,
// refund and the legacy authorization interfaces, result codes, the retry
// schedule and the wallets' names are documented by PingPong.
//
// These are guesses, and most are switches in [Config]: path and fields of the
// sign-up query and of unbinding, the content of sign-up and unbinding
// notifications, the success code of the paymethod interfaces, the code of
// "token does not exist", what a repeated requestId does outside unifiedPay,
// time zones, and what the result URL carries.
//
// Unlike the real gateway, this one accepts loopback and private notification
// URLs and plain HTTP. It does not enforce the wallets' spending limits or
// currencies, and has no card, capture or void interfaces.
package gatewaytest
