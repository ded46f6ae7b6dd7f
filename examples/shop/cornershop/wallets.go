package cornershop

import (
	"net/http"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

// patience is how long a sign-up is shown as under way.
const patience = 10 * time.Minute

// walletRow is one wallet on the wallets page.
type walletRow struct {
	Wallet   codegrant.Wallet
	Currency string
	Status   string // a codegrant.Status, or "none"
	Text     string
	TokenID  string
	AuthURL  string // of a sign-up under way
}

// walletRows has a row for each wallet: what the user's most telling record
// says of it.
func walletRows(tokens []codegrant.Token, now time.Time) []walletRow {
	var rows []walletRow
	for _, info := range codegrant.Wallets() {
		row := walletRow{Wallet: info.Wallet, Currency: info.Currencies[0], Status: "none", Text: "Not connected"}
		var best codegrant.Token
		for _, t := range tokens { // oldest first
			if t.Wallet == info.Wallet && (best.Status != codegrant.StatusActive || t.Status == codegrant.StatusActive) {
				best = t
			}
		}
		abandoned := best.Status == codegrant.StatusPending && now.Sub(best.CreatedAt) > patience
		if best.ID != "" && !abandoned {
			row.Status, row.TokenID, row.AuthURL = best.Status.String(), best.ID, best.AuthURL
			row.Text = statusText(best)
		}
		rows = append(rows, row)
	}
	return rows
}

func statusText(t codegrant.Token) string {
	switch t.Status {
	case codegrant.StatusPending:
		return "Not finished: waiting for the wallet"
	case codegrant.StatusFailed:
		return "The wallet did not agree"
	case codegrant.StatusActive:
		return "Connected"
	case codegrant.StatusUnbinding:
		return "Disconnecting: it can no longer be charged"
	}
	switch t.EndedBy {
	case codegrant.EndedByUser:
		return "Disconnected in the wallet"
	case codegrant.EndedByMerchant:
		return "Disconnected"
	}
	return "No longer valid: the wallet does not know it any more"
}

func (s *Shop) wallets(w http.ResponseWriter, r *http.Request) {
	tokens, err := s.kit.Tokens(r.Context(), sessionOf(r).UserID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	news, err := s.news.Latest(r.Context(), sessionOf(r).UserID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	rows := walletRows(tokens, time.Now())
	s.show(w, r, http.StatusOK, "wallets", page{
		Title: "Wallets", Nav: "wallets",
		Live: slices.ContainsFunc(rows, func(row walletRow) bool {
			return row.Status == codegrant.StatusPending.String() || row.Status == codegrant.StatusUnbinding.String()
		}),
		Content: struct {
			Rows []walletRow
			News []NewsItem
		}{rows, news},
	})
}

// noWallet answers a purchase without a connected wallet.
func (s *Shop) noWallet(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/wallets?m=connect", http.StatusSeeOther)
}

// returnPage is Config.ReturnPage: where the wallet sends the browser back to.
func (s *Shop) returnPage(w http.ResponseWriter, r *http.Request, t codegrant.Token) {
	c := struct{ Wallet, Status, Title, Text, Link, Target string }{
		Wallet: string(t.Wallet), Status: t.Status.String(), Link: "Back to wallets", Target: "/wallets",
	}
	live := false
	switch {
	case t.Status == codegrant.StatusPending && time.Since(t.CreatedAt) < patience:
		live = true
		c.Title = "Connecting " + c.Wallet
		c.Text = "We are waiting for " + c.Wallet + " to confirm. This page updates by itself, usually within a few seconds."
		c.Link = "Back to wallets without waiting"
	case t.Status == codegrant.StatusPending:
		c.Title = c.Wallet + " has not confirmed"
		c.Text = "If you agreed in " + c.Wallet + ", it will still appear among your wallets. Otherwise connect it again."
	case t.Status == codegrant.StatusActive:
		c.Title, c.Text = c.Wallet+" is connected", "From now on you pay with one click. You can disconnect it at any time."
		c.Link, c.Target = "Continue to the shop", t.ReturnTo
	case t.Status == codegrant.StatusFailed:
		c.Title, c.Text = c.Wallet+" was not connected", "The wallet did not agree, and nothing was charged. You can try again or choose another wallet."
	default:
		c.Title, c.Text = c.Wallet+" is not connected", statusText(t)+". Connect it again to pay with it."
	}
	s.show(w, r, http.StatusOK, "return", page{Title: c.Title, Nav: "wallets", Live: live, Content: c})
}
