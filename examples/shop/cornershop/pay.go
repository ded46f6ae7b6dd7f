package cornershop

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

// buy charges the chosen wallet. It runs behind Kit.RequireToken.
func (s *Shop) buy(w http.ResponseWriter, r *http.Request) {
	user := sessionOf(r)
	id, wallet := r.PostFormValue("order"), codegrant.Wallet(r.PostFormValue("wallet"))
	item, ok := findProduct(r.PostFormValue("sku"))
	if !ok || !validOrderID(user, id, item.SKU, wallet) {
		http.Redirect(w, r, "/?m=stale", http.StatusSeeOther)
		return
	}
	tryLater := func(err error) {
		s.log.Error("shop: buy", "order", id, "error", err)
		http.Redirect(w, r, "/?m=try-later", http.StatusSeeOther)
	}
	// The wallet whose price was shown is charged, and never another one.
	token, err := s.kit.ActiveToken(r.Context(), user.UserID, wallet)
	if errors.Is(err, codegrant.ErrNoToken) {
		http.Redirect(w, r, "/wallets?m=connect", http.StatusSeeOther)
		return
	} else if err != nil {
		tryLater(err)
		return
	}
	// A browser that hangs up must not make the outcome unknown.
	ctx := context.WithoutCancel(r.Context())
	o := Order{
		ID: id, UserID: user.UserID, SKU: item.SKU, Amount: item.price(token.Wallet),
		Wallet: token.Wallet, TokenID: token.ID, At: time.Now(),
	}
	placed, err := s.orders.Place(ctx, o)
	switch {
	case err != nil:
		tryLater(err)
	case !placed:
		http.Redirect(w, r, "/orders?m=twice#"+id, http.StatusSeeOther)
	default:
		s.charge(ctx, r, o)
		http.Redirect(w, r, "/orders#"+id, http.StatusSeeOther)
	}
}

func (s *Shop) charge(ctx context.Context, r *http.Request, o Order) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // behind a proxy: the address that it vouches for
	terminal := codegrant.PayOnPC
	if strings.Contains(r.UserAgent(), "Mobi") {
		terminal = codegrant.PayOnH5
	}
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: o.UserID, OrderID: o.ID, Amount: o.Amount, TokenID: o.TokenID,
		ShopperIP: host, Email: o.UserID + "@example.com", Terminal: terminal,
	})
	var unknown *codegrant.UnknownOutcomeError
	switch {
	case errors.As(err, &unknown):
		s.resolve(o, opCharge, unknown.Resolve)
	case errors.Is(err, codegrant.ErrNoToken):
		s.check("decline", s.orders.Decline(ctx, o.ID, noLongerConnected(o.Wallet), true))
	case err != nil: // the gateway has not heard of the charge
		s.log.Error("shop: charge", "order", o.ID, "error", err)
		s.check("decline", s.orders.Decline(ctx, o.ID, unreached(o.Wallet), false))
	case receipt.Outcome == codegrant.Failed:
		s.check("decline", s.decline(ctx, o, receipt))
	}
	// Succeeded: onPayment has heard it. Pending: it will.
}

func (s *Shop) decline(ctx context.Context, o Order, receipt codegrant.Receipt) error {
	if receipt.TokenGone {
		return s.orders.Decline(ctx, o.ID, noLongerConnected(o.Wallet), true)
	}
	return s.orders.Decline(ctx, o.ID, declineText(receipt.Code), false)
}

// refund pays an order back.
func (s *Shop) refund(w http.ResponseWriter, r *http.Request) {
	o, ok := s.ownOrder(w, r)
	if !ok {
		return
	}
	ctx := context.WithoutCancel(r.Context())
	number, asked, err := s.orders.AskRefund(ctx, o.ID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	if asked {
		receipt, err := s.kit.Refund(ctx, codegrant.RefundParams{OrderID: o.ID, Number: number, Amount: o.Amount})
		var unknown *codegrant.UnknownOutcomeError
		switch {
		case errors.As(err, &unknown):
			s.resolve(o, opRefund, unknown.Resolve)
		case err != nil:
			s.log.Error("shop: refund", "order", o.ID, "error", err)
			s.check("refund", s.orders.Keep(ctx, o.ID, "", refundUnreached))
		case receipt.Outcome == codegrant.Failed:
			s.check("refund", s.orders.Keep(ctx, o.ID, receipt.RequestID, refundRefused))
		}
	}
	http.Redirect(w, r, "/orders#"+o.ID, http.StatusSeeOther)
}

// ownOrder returns the order that a form names, or answers the request.
func (s *Shop) ownOrder(w http.ResponseWriter, r *http.Request) (Order, bool) {
	o, ok, err := s.orders.Find(r.Context(), r.PostFormValue("order"))
	switch {
	case err != nil:
		s.broken(w, r, err)
	case !ok || o.UserID != sessionOf(r).UserID:
		s.notFound(w, r)
	default:
		return o, true
	}
	return Order{}, false
}

// onPayment is Config.OnPayment: where an order becomes paid.
func (s *Shop) onPayment(ctx context.Context, n codegrant.PaymentNotification) error {
	switch n.Status {
	case codegrant.PaymentSuccess:
		return s.record(ctx, n.OrderID, n.Amount, s.orders.Pay)
	case codegrant.PaymentFailed, codegrant.PaymentClosed, codegrant.PaymentCancelled:
		return s.orders.Decline(ctx, n.OrderID, declineText(n.Code), false)
	}
	return nil
}

// onRefund is Config.OnRefund.
func (s *Shop) onRefund(ctx context.Context, n codegrant.RefundNotification) error {
	switch n.Status {
	case codegrant.PaymentSuccess:
		return s.record(ctx, n.OrderID, n.Amount, s.orders.Refund)
	case codegrant.PaymentFailed, codegrant.PaymentClosed, codegrant.PaymentCancelled:
		return s.orders.Keep(ctx, n.OrderID, n.RefundID, refundRefused)
	}
	return nil
}

// record notes that money moved, unless it is not what the order costs.
func (s *Shop) record(ctx context.Context, id string, moved codegrant.Amount, note func(context.Context, string) error) error {
	o, ok, err := s.orders.Find(ctx, id)
	switch {
	case err != nil:
		return err
	case !ok:
		s.log.Warn("shop: no such order", "order", id)
		return nil
	case moved != o.Amount:
		s.log.Error("shop: the money is not what the order costs; a person must look at it",
			"order", id, "moved", moved.String(), "price", o.Amount.String())
		return nil
	}
	return note(ctx, id)
}

const (
	refundRefused   = "The wallet refused the refund. You can ask for it again, or write to us."
	refundUnreached = "We could not reach the wallet service, so nothing was refunded yet. Please try again in a minute."
)

func unreached(w codegrant.Wallet) string {
	return "We could not reach " + string(w) + ". Nothing was charged. Please try again in a minute."
}

func noLongerConnected(w codegrant.Wallet) string {
	return string(w) + " is no longer connected, so nothing was charged. Connect it again to pay with it."
}

// declineText says in a buyer's words why no money moved.
// PingPong v4, result codes.
func declineText(code string) string {
	switch code {
	case "301003", "301005", "301006":
		return "This is over the wallet’s limit. Nothing was charged. Raise the limit in the wallet, or pay with another one."
	case "302000":
		return "The wallet stopped this payment for safety. Nothing was charged. Pay with another wallet."
	}
	return "The wallet declined the payment. Nothing was charged. Check its balance, or pay with another wallet."
}
