package gatewaytest

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"
)

// ErrDecided is wrapped when a user decides on a sign-up for the second time.
var ErrDecided = errors.New("gatewaytest: sign-up is already decided")

// Approve is the user agreeing on the page at authURL. It returns after the
// first delivery attempt of the notification, whether or not the merchant
// accepted it; [Gateway.Notifications] has the outcome. The error wraps
// [ErrNotFound] or [ErrDecided].
func (g *Gateway) Approve(authURL string) error {
	return g.decide(authURL, true, 0)
}

// Refuse is the user refusing on the page at authURL. The merchant hears of it
// only with [Config.NotifyRefusals]. The error is as for [Gateway.Approve].
func (g *Gateway) Refuse(authURL string) error {
	return g.decide(authURL, false, 0)
}

// ReturnURL is where the page at authURL sends the browser as things stand:
// the merchant's result URL, and after consent in the legacy flow the same with
// authCode and authState. The error wraps [ErrNotFound].
func (g *Gateway) ReturnURL(authURL string) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	a, err := g.byAuthURL(authURL)
	if err != nil {
		return "", err
	}
	return g.returnURL(a), nil
}

// byAuthURL needs only the authState of the URL. The caller holds mu.
func (g *Gateway) byAuthURL(authURL string) (*agreement, error) {
	u, err := url.Parse(authURL)
	if err != nil {
		return nil, fmt.Errorf("authUrl: %w", err)
	}
	a := g.byState[u.Query().Get("authState")]
	if a == nil {
		return nil, fmt.Errorf("authUrl %s: %w", authURL, ErrNotFound)
	}
	return a, nil
}

func (g *Gateway) decide(authURL string, yes bool, wait time.Duration) error {
	g.mu.Lock()
	a, err := g.byAuthURL(authURL)
	if err == nil && a.Status != StatusPending {
		err = fmt.Errorf("sign-up %s: %w", a.RequestID, ErrDecided)
	}
	if err != nil {
		g.mu.Unlock()
		return err
	}
	var n *notice
	if yes {
		n = g.agree(a)
	} else {
		a.Status = StatusFailed
		if g.cfg.NotifyRefusals {
			n = g.signUpNotice(a, notifyCreation)
		}
	}
	g.mu.Unlock()

	if n != nil {
		g.first(n, wait)
	}
	return nil
}

// UnbindInWallet is the user ending, inside the wallet, every agreement of that
// merchantUserId with that wallet. It returns after the first delivery attempts
// of the notifications; a wallet in [Config.SilentWallets] sends none. The
// error wraps [ErrNotFound] if no agreement is live.
func (g *Gateway) UnbindInWallet(userID, wallet string) error {
	return g.unbindInWallet(func(a *agreement) bool { return a.UserID == userID && a.Wallet == wallet })
}

// UnbindTokenInWallet is [Gateway.UnbindInWallet] for one paying token.
func (g *Gateway) UnbindTokenInWallet(token string) error {
	return g.unbindInWallet(func(a *agreement) bool { return a.Token == token })
}

func (g *Gateway) unbindInWallet(fits func(*agreement) bool) error {
	g.mu.Lock()
	found := false
	var notices []*notice
	for _, a := range g.agreements {
		if !a.live(time.Now()) || !fits(a) {
			continue
		}
		found = true
		a.end(EndedByUser)
		if g.silent(a.Wallet) {
			a.last = nil
		} else {
			notices = append(notices, g.signUpNotice(a, notifyCancelByUser))
		}
	}
	g.mu.Unlock()

	if !found {
		return fmt.Errorf("live agreement: %w", ErrNotFound)
	}
	for _, n := range notices {
		g.first(n, 0)
	}
	return nil
}

func (g *Gateway) silent(wallet string) bool {
	return slices.Contains(g.cfg.SilentWallets, wallet)
}

// Settle turns every PROCESSING payment of an order into SUCCESS and returns
// after the first delivery attempt of the notification, if one is due. The
// error wraps [ErrNotFound] if no payment was PROCESSING.
func (g *Gateway) Settle(orderID string) error {
	return g.settleOrder(orderID, StatusSuccess, codeSuccess)
}

// SettleFailed is [Gateway.Settle] with the outcome FAILED and result code
// 301002.
func (g *Gateway) SettleFailed(orderID string) error {
	return g.settleOrder(orderID, StatusFailed, codeDoNotHonor)
}

func (g *Gateway) settleOrder(orderID, status, code string) error {
	g.mu.Lock()
	var open []*charge
	for _, c := range g.charges {
		if c.OrderID == orderID && c.Status == StatusProcessing {
			open = append(open, c)
		}
	}
	g.mu.Unlock()
	if len(open) == 0 {
		return fmt.Errorf("order %s in PROCESSING: %w", orderID, ErrNotFound)
	}
	for _, c := range open {
		g.settle(c, status, code)
	}
	return nil
}

func (g *Gateway) settle(c *charge, status, code string) {
	g.mu.Lock()
	if c.Status != StatusProcessing {
		g.mu.Unlock()
		return
	}
	c.settle(status, code)
	n := g.paymentNotice(c)
	g.mu.Unlock()
	if n != nil {
		g.first(n, 0)
	}
}
