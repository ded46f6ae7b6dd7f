package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
)

// orderState is where an order stands.
type orderState string

const (
	waiting   orderState = "waiting" // the money may have moved or not
	paid      orderState = "paid"
	declined  orderState = "declined"
	refunding orderState = "refunding"
	refunded  orderState = "refunded"
)

// order is one purchase.
type order struct {
	ID      string
	UserID  string
	Product product
	Amount  codegrant.Amount
	Wallet  codegrant.Wallet
	TokenID string
	At      time.Time

	State     orderState
	Note      string // what the buyer should know
	Reconnect bool   // the wallet has to be connected again
	Checking  bool   // an unknown outcome is being found out
	// Unknown is an outcome that could not be found out; asking again is safe.
	Unknown *codegrant.UnknownOutcomeError

	refunds       int      // refunds asked for
	failedRefunds []string // merchantRefundId of those that were refused
}

// orderBook keeps the orders in memory. Every method may be called repeatedly
// and in any order, because that is how notifications arrive.
type orderBook struct {
	log  *slog.Logger
	mu   sync.Mutex
	byID map[string]*order
}

func newOrderBook(log *slog.Logger) *orderBook {
	return &orderBook{log: log, byID: make(map[string]*order)}
}

// newOrderID makes the number under which a form may buy, once. It is bound to
// the session, the product and the wallet, and so to the price that was shown:
// a form that was sent twice is the same order, and nobody can make up one.
func newOrderID(key []byte, sessionID, sku string, w codegrant.Wallet) string {
	nonce := rand.Text()
	return nonce + "-" + orderMAC(key, nonce, sessionID, sku, w)
}

func validOrderID(key []byte, id, sessionID, sku string, w codegrant.Wallet) bool {
	nonce, mac, ok := strings.Cut(id, "-")
	return ok && hmac.Equal([]byte(mac), []byte(orderMAC(key, nonce, sessionID, sku, w)))
}

func orderMAC(key []byte, nonce, sessionID, sku string, w codegrant.Wallet) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(strings.Join([]string{nonce, sessionID, sku, string(w)}, "\x00")))
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)[:16]))
}

// place adds an order that waits for its payment. It reports false when there
// is one with this ID already.
func (b *orderBook) place(o order) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[o.ID] != nil {
		return false
	}
	o.State = waiting
	b.byID[o.ID] = &o
	return true
}

// find returns a user's order.
func (b *orderBook) find(userID, id string) (order, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.byID[id]
	if o == nil || o.UserID != userID {
		return order{}, false
	}
	return *o, true
}

// of returns a user's orders, newest first.
func (b *orderBook) of(userID string) []order {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []order
	for _, o := range b.byID {
		if o.UserID == userID {
			found = append(found, *o)
		}
	}
	slices.SortFunc(found, func(x, y order) int { return y.At.Compare(x.At) })
	return found
}

// edit changes an order that exists.
func (b *orderBook) edit(id string, change func(*order)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.byID[id]; o != nil {
		change(o)
	} else {
		b.log.Warn("shop: no such order", "order", id)
	}
}

// pay records that the money arrived. It comes from a signed notification or
// from a resolved receipt, and may overtake a decline.
func (b *orderBook) pay(id string, amount codegrant.Amount) {
	b.edit(id, func(o *order) {
		if amount != o.Amount {
			b.log.Error("shop: a payment is not what the order costs; a person must look at it",
				"order", id, "paid", amount.String(), "price", o.Amount.String())
			return
		}
		if o.State == waiting || o.State == declined {
			o.State, o.Note, o.Reconnect, o.Checking, o.Unknown = paid, "", false, false, nil
		}
	})
}

// decline records that no money moved. It never undoes a payment.
func (b *orderBook) decline(id, note string, reconnect bool) {
	b.edit(id, func(o *order) {
		if o.State == waiting {
			o.State, o.Note, o.Reconnect, o.Checking, o.Unknown = declined, note, reconnect, false, nil
		}
	})
}

// checking records that an unknown outcome is being found out, or that this
// was given up for now (unknown is then not nil).
func (b *orderBook) checking(id string, unknown *codegrant.UnknownOutcomeError) {
	b.edit(id, func(o *order) {
		if o.State == waiting || o.State == refunding {
			o.Checking, o.Unknown = unknown == nil, unknown
		}
	})
}

// askRefund moves a paid order to refunding and returns the number of the
// refund at the gateway. A refused refund needs a new number; until then it is
// the same refund, however often it is asked for.
func (b *orderBook) askRefund(id string) (int, bool) {
	number, ok := 0, false
	b.edit(id, func(o *order) {
		if o.State != paid {
			return
		}
		o.refunds++
		o.State, o.Note = refunding, ""
		number, ok = o.refunds, true
	})
	return number, ok
}

// refund records that the money went back.
func (b *orderBook) refund(id string, amount codegrant.Amount) {
	b.edit(id, func(o *order) {
		if amount != o.Amount {
			b.log.Error("shop: a refund is not what was asked for; a person must look at it",
				"order", id, "refunded", amount.String(), "price", o.Amount.String())
			return
		}
		o.State, o.Note, o.Checking, o.Unknown = refunded, "", false, nil
	})
}

// keep records that a refund did not happen, so that it can be asked for
// again. refundID is empty when the gateway never heard of it.
func (b *orderBook) keep(id, refundID, note string) {
	b.edit(id, func(o *order) {
		if o.State != refunding || slices.Contains(o.failedRefunds, refundID) {
			return // old news
		}
		if refundID == "" {
			o.refunds--
		} else {
			o.failedRefunds = append(o.failedRefunds, refundID)
		}
		o.State, o.Note, o.Checking, o.Unknown = paid, note, false, nil
	})
}
