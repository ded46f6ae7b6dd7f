// Package demo is what the examples for web frameworks share and no real shop
// would copy: a page with one thing on sale, and guests without a login.
package demo

import (
	"crypto/rand"
	"errors"
	"html/template"
	"io"

	"github.com/codegrant/codegrant"
)

// Price is what the one thing on sale costs.
func Price() codegrant.Amount { return codegrant.Amount{Minor: 350_00, Currency: "PHP"} }

// Page is what the shop's only page shows.
type Page struct {
	Token codegrant.Token // the guest's wallet; the zero Token is none
	Order string          // number of the next order; empty means a new one
	Said  string          // what happened to the last one
}

// Bought is the page after a purchase. It keeps the order's number while the
// outcome is open, so that pressing the button again repeats the same charge.
func Bought(token codegrant.Token, order string, receipt codegrant.Receipt, err error) Page {
	p := Page{Token: token, Order: order}
	switch {
	case errors.Is(err, codegrant.ErrOutcomeUnknown):
		p.Said = "The wallet service did not answer. Press the button again: you pay once at most."
	case err != nil:
		p.Said = "That did not work. Please try again."
	case receipt.Outcome == codegrant.Succeeded:
		p.Said, p.Order = "Paid "+receipt.Amount.String()+". Order "+order+".", ""
	case receipt.Outcome == codegrant.Failed:
		p.Said, p.Order = "The wallet declined. Nothing was charged.", ""
	default:
		p.Said = "The wallet is still working on it."
	}
	return p
}

// Write writes the page as HTML.
func (p Page) Write(w io.Writer) error {
	if p.Order == "" {
		p.Order = rand.Text()
	}
	return page.Execute(w, p)
}

var page = template.Must(template.New("page").Funcs(template.FuncMap{"price": Price}).Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tea</title>
<link rel="icon" href="data:,">
<style>
body { margin: 2rem auto; width: min(30rem, 100% - 2rem); font: 17px/1.5 system-ui, sans-serif; color: #1d2733; background: #f5f3ef }
main { padding: 1.5rem; background: #fff; border: 1px solid #d9dfe6; border-radius: 14px }
h1 { margin: 0 0 .5rem; font-size: 1.4rem }
p { overflow-wrap: anywhere }
form { display: inline-block; margin: .5rem .5rem 0 0 }
button { font: inherit; min-height: 46px; padding: .4rem 1.1rem; border: 1px solid #8b96a1; border-radius: 10px; background: #fff; color: inherit; cursor: pointer }
button.main { border-color: #1f5f4a; background: #1f5f4a; color: #fff }
:focus-visible { outline: 3px solid #1a56c4; outline-offset: 2px }
</style>
<main>
<h1>Jasmine tea, {{price}}</h1>
{{with .Said}}<p role="status">{{.}}</p>
{{end}}{{if .Token.ID}}<p>{{.Token.Wallet}} is connected.</p>
<form method="post" action="/buy"><input type="hidden" name="order" value="{{.Order}}"><button class="main">One-click buy</button></form>
<form method="post" action="/wallet/unbind"><input type="hidden" name="id" value="{{.Token.ID}}"><button>Disconnect {{.Token.Wallet}}</button></form>
{{else}}<p>No wallet is connected.</p>
<form method="post" action="/wallet/signup"><input type="hidden" name="wallet" value="GCash"><button class="main">Connect GCash</button></form>
{{end}}</main>
</html>
`))
