package cornershop

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

// OrderState is where an order stands.
type OrderState string

// The states of an order.
const (
	Waiting   OrderState = "waiting" // the money may have moved or not
	Paid      OrderState = "paid"
	Declined  OrderState = "declined"
	Refunding OrderState = "refunding"
	Refunded  OrderState = "refunded"
)

// Order is one purchase.
type Order struct {
	ID      string
	UserID  string
	SKU     string
	Amount  codegrant.Amount
	Wallet  codegrant.Wallet
	TokenID string
	At      time.Time

	State     OrderState
	Note      string // what the buyer should know
	Reconnect bool   // the wallet has to be connected again
	Checking  bool   // an unknown outcome is being found out
	Unknown   bool   // it could not be found out; asking again is safe
	Refunds   int    // number of the last refund that was asked for
}

// Product is what was bought.
func (o Order) Product() Product {
	p, _ := findProduct(o.SKU)
	return p
}

// Orders keeps the orders. Every change names the states that it starts from
// and does nothing in any other, so that it may come repeatedly, from several
// places at once and in any order: that is how notifications arrive. Each is one
// atomic step.
type Orders interface {
	// Place adds an order that waits for its payment. It reports false when
	// there is one with this ID already.
	Place(ctx context.Context, o Order) (bool, error)
	// Find returns an order; false means that there is none.
	Find(ctx context.Context, id string) (Order, bool, error)
	// ByUser returns a user's orders, newest first.
	ByUser(ctx context.Context, userID string) ([]Order, error)
	// Unfinished returns all orders that are waiting or refunding.
	Unfinished(ctx context.Context) ([]Order, error)

	// Pay moves a waiting or declined order to paid: the money arrived, and may
	// overtake a decline.
	Pay(ctx context.Context, id string) error
	// Decline moves a waiting order to declined. It never undoes a payment. That
	// the wallet must be connected again may come after the decline itself.
	Decline(ctx context.Context, id, note string, reconnect bool) error
	// Check sets Checking and Unknown of a waiting or refunding order.
	Check(ctx context.Context, id string, checking, unknown bool) error
	// AskRefund moves a paid order to refunding and returns the number of the
	// refund at the gateway; false means that the order was not paid. A refused
	// refund needs a new number; until then it is the same refund, however often
	// it is asked for.
	AskRefund(ctx context.Context, id string) (int, bool, error)
	// Refund moves an order to refunded, whatever it was.
	Refund(ctx context.Context, id string) error
	// Keep moves a refunding order back to paid: the refund did not happen, and
	// can be asked for again. refundID is the gateway's name of it, and of each
	// only the first counts; empty when the gateway never heard of it.
	Keep(ctx context.Context, id, refundID, note string) error
}

// newOrderID makes the number under which a form may buy, once. It is bound to
// the session, the product and the wallet, and so to the price that was shown:
// a form that was sent twice is the same order, and nobody can make up one.
func newOrderID(user Session, sku string, w codegrant.Wallet) string {
	nonce := rand.Text()
	return nonce + "-" + orderMAC(user, nonce, sku, w)
}

func validOrderID(user Session, id, sku string, w codegrant.Wallet) bool {
	nonce, mac, ok := strings.Cut(id, "-")
	return ok && hmac.Equal([]byte(mac), []byte(orderMAC(user, nonce, sku, w)))
}

func orderMAC(user Session, nonce, sku string, w codegrant.Wallet) string {
	h := hmac.New(sha256.New, []byte(user.FormKey))
	h.Write([]byte(strings.Join([]string{nonce, sku, string(w)}, "\x00")))
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)[:16]))
}
