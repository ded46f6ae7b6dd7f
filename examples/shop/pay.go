package main

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
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	user := sessionOf(r)
	id, wallet := r.PostFormValue("order"), codegrant.Wallet(r.PostFormValue("wallet"))
	item, ok := findProduct(r.PostFormValue("sku"))
	if !ok || !validOrderID(s.orderKey, id, user.ID, item.SKU, wallet) {
		http.Redirect(w, r, "/?m=stale", http.StatusSeeOther)
		return
	}
	// The wallet whose price was shown is charged, and never another one.
	token, err := s.kit.ActiveToken(r.Context(), user.UserID, wallet)
	if errors.Is(err, codegrant.ErrNoToken) {
		http.Redirect(w, r, "/wallets?m=connect", http.StatusSeeOther)
		return
	} else if err != nil {
		s.log.Error("shop: no token", "error", err)
		http.Redirect(w, r, "/?m=try-later", http.StatusSeeOther)
		return
	}
	o := order{
		ID: id, UserID: user.UserID, Product: item, Amount: item.price(token.Wallet),
		Wallet: token.Wallet, TokenID: token.ID, At: time.Now(),
	}
	if !s.orders.place(o) {
		http.Redirect(w, r, "/orders?m=twice#"+id, http.StatusSeeOther)
		return
	}
	s.charge(r, o)
	http.Redirect(w, r, "/orders#"+id, http.StatusSeeOther)
}

func (s *shop) charge(r *http.Request, o order) {
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // behind a proxy: the address that it vouches for
	terminal := codegrant.PayOnPC
	if strings.Contains(r.UserAgent(), "Mobi") {
		terminal = codegrant.PayOnH5
	}
	// A browser that hangs up must not make the outcome unknown.
	receipt, err := s.kit.Charge(context.WithoutCancel(r.Context()), codegrant.ChargeParams{
		UserID: o.UserID, OrderID: o.ID, Amount: o.Amount, TokenID: o.TokenID,
		ShopperIP: host, Email: o.UserID + "@example.com", Terminal: terminal,
	})
	var unknown *codegrant.UnknownOutcomeError
	switch {
	case errors.As(err, &unknown):
		s.resolve(o, unknown)
	case errors.Is(err, codegrant.ErrNoToken):
		s.orders.decline(o.ID, noLongerConnected(o.Wallet), true)
	case err != nil: // the gateway has not heard of the charge
		s.log.Error("shop: charge", "order", o.ID, "error", err)
		s.orders.decline(o.ID, "We could not reach "+string(o.Wallet)+". Nothing was charged. Please try again in a minute.", false)
	case receipt.Outcome == codegrant.Failed:
		s.decline(o, receipt)
	}
	// Succeeded and Pending: the order waits for the payment notification.
}

func (s *shop) decline(o order, receipt codegrant.Receipt) {
	if receipt.TokenGone {
		s.orders.decline(o.ID, noLongerConnected(o.Wallet), true)
		return
	}
	s.orders.decline(o.ID, declineText(receipt.Code), false)
}

// resolve finds out in the background what became of a charge or a refund. It
// gives up after a while; the notification may still come then, and the buyer
// can ask again.
func (s *shop) resolve(o order, unknown *codegrant.UnknownOutcomeError) {
	s.orders.checking(o.ID, nil)
	s.background.Go(func() {
		for _, wait := range s.retryAfter {
			select {
			case <-time.After(wait):
			case <-s.ctx.Done():
				return
			}
			receipt, err := unknown.Resolve(s.ctx)
			if err == nil {
				s.settle(o, unknown.Op, receipt)
				return
			}
			s.log.Warn("shop: outcome still unknown", "order", o.ID, "error", err)
			errors.As(err, &unknown)
		}
		s.orders.checking(o.ID, unknown)
	})
}

// settle records a resolved receipt.
func (s *shop) settle(o order, op string, receipt codegrant.Receipt) {
	switch {
	case op == "refund" && receipt.Outcome == codegrant.Succeeded:
		s.orders.refund(o.ID, receipt.Amount)
	case op == "refund" && receipt.Outcome == codegrant.Failed:
		s.orders.keep(o.ID, receipt.RequestID, refundRefused)
	case op == "refund":
	case receipt.Outcome == codegrant.Succeeded:
		s.orders.pay(o.ID, receipt.Amount)
	case receipt.Outcome == codegrant.Failed:
		s.decline(o, receipt)
	}
}

// checkAgain is for an order whose outcome could not be found out.
func (s *shop) checkAgain(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("order")
	o, ok := s.orders.find(sessionOf(r).UserID, id)
	if !ok {
		s.notFound(w, r)
		return
	}
	if o.Unknown != nil {
		s.resolve(o, o.Unknown)
	}
	http.Redirect(w, r, "/orders#"+id, http.StatusSeeOther)
}

// refund pays an order back.
func (s *shop) refund(w http.ResponseWriter, r *http.Request) {
	id := r.PostFormValue("order")
	o, ok := s.orders.find(sessionOf(r).UserID, id)
	if !ok {
		s.notFound(w, r)
		return
	}
	if number, ok := s.orders.askRefund(id); ok {
		receipt, err := s.kit.Refund(context.WithoutCancel(r.Context()), codegrant.RefundParams{
			OrderID: id, Number: number, Amount: o.Amount,
		})
		var unknown *codegrant.UnknownOutcomeError
		switch {
		case errors.As(err, &unknown):
			s.resolve(o, unknown)
		case err != nil:
			s.log.Error("shop: refund", "order", id, "error", err)
			s.orders.keep(id, "", "We could not reach the wallet service, so nothing was refunded yet. Please try again in a minute.")
		case receipt.Outcome == codegrant.Failed:
			s.orders.keep(id, receipt.RequestID, refundRefused)
		}
	}
	http.Redirect(w, r, "/orders#"+id, http.StatusSeeOther)
}

// onPayment is Config.OnPayment: where an order becomes paid.
func (s *shop) onPayment(_ context.Context, n codegrant.PaymentNotification) error {
	switch n.Status {
	case codegrant.PaymentSuccess:
		s.orders.pay(n.OrderID, n.Amount)
	case codegrant.PaymentFailed, codegrant.PaymentClosed, codegrant.PaymentCancelled:
		s.orders.decline(n.OrderID, declineText(n.Code), false)
	}
	return nil
}

// onRefund is Config.OnRefund.
func (s *shop) onRefund(_ context.Context, n codegrant.RefundNotification) error {
	switch n.Status {
	case codegrant.PaymentSuccess:
		s.orders.refund(n.OrderID, n.Amount)
	case codegrant.PaymentFailed, codegrant.PaymentClosed, codegrant.PaymentCancelled:
		s.orders.keep(n.OrderID, n.RefundID, refundRefused)
	}
	return nil
}

const refundRefused = "The wallet refused the refund. You can ask for it again, or write to us."

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
