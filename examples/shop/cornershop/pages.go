package cornershop

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed assets
var assets embed.FS

// pages are the templates by file name, without the extension.
type pages map[string]*template.Template

func parsePages() (pages, error) {
	functions := template.FuncMap{
		"at": func(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04:05") },
	}
	parsed := make(pages)
	for _, name := range []string{"login", "home", "wallets", "orders", "return", "message"} {
		t, err := template.New(name).Funcs(functions).ParseFS(templates, "templates/layout.html", "templates/"+name+".html")
		if err != nil {
			return nil, err
		}
		parsed[name] = t
	}
	return parsed, nil
}

// page is what every page has. The fields below the line are filled by show.
type page struct {
	Title   string
	Nav     string // which link of the navigation is current
	Live    bool   // something is under way: the page keeps itself up to date
	Error   string
	Content any

	Notice    string
	Name      string // who is signed in
	UserID    string // what the kit, the wallet and the staff know them by
	WalletApp string // the simulated wallet; a real shop cannot link to it
}

// notices are what a redirect may say on the next page: ?m= names one of them.
func notices(name string) string {
	return map[string]string{
		"sign-in":    "Sign in first.",
		"signed-out": "You are signed out.",
		"connect":    "Connect a wallet first: then you can buy with one click. Nothing was charged.",
		"stale":      "That page was out of date, so nothing was bought. Please press the button again.",
		"twice":      "This order was already placed. It was not charged a second time.",
		"try-later":  "Something went wrong on our side and nothing was charged. Please try again in a minute.",
	}[name]
}

// show writes a page.
func (s *Shop) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Notice = notices(r.URL.Query().Get("m"))
	if user := s.visitor(r); user.ID != "" {
		p.Name, p.UserID = user.Name, user.UserID
		p.WalletApp = s.gatewayURL + "/wallet?user=" + user.UserID
	}
	var out bytes.Buffer
	if err := s.pages[name].ExecuteTemplate(&out, "layout", p); err != nil {
		s.log.Error("shop: page", "name", name, "error", err)
		http.Error(w, "This page is broken. Please go back.", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	// Browsers apply form-action to redirects too, and the form that connects a
	// wallet is redirected to the wallet. Real wallets are on hosts that no
	// document lists: allow "https:" there.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
		"img-src 'self'; form-action 'self' "+s.gatewayURL+"; frame-ancestors 'none'; base-uri 'none'")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

// homeItem is a product with the number of the order that its button places.
type homeItem struct {
	Product
	Price   codegrant.Amount
	OrderID string
}

func (s *Shop) home(w http.ResponseWriter, r *http.Request) {
	user := sessionOf(r)
	tokens, err := s.kit.Tokens(r.Context(), user.UserID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	c := struct {
		Wallet  codegrant.Wallet // that pays; empty when none is connected
		Wallets []codegrant.Wallet
		Items   []homeItem
		Ended   string // why there is none
	}{}
	for _, t := range slices.Backward(tokens) { // newest first
		if t.Status == codegrant.StatusActive && !slices.Contains(c.Wallets, t.Wallet) {
			c.Wallets = append(c.Wallets, t.Wallet)
		}
	}
	if len(c.Wallets) > 0 {
		c.Wallet = c.Wallets[0]
		if asked := codegrant.Wallet(r.URL.Query().Get("wallet")); slices.Contains(c.Wallets, asked) {
			c.Wallet = asked
		}
	} else if n := len(tokens); n > 0 && tokens[n-1].EndedBy == codegrant.EndedByUser {
		c.Ended = "You disconnected " + string(tokens[n-1].Wallet) + " in the wallet."
	}
	slices.Sort(c.Wallets)
	for _, p := range catalog() {
		c.Items = append(c.Items, homeItem{p, p.price(c.Wallet), newOrderID(user, p.SKU, c.Wallet)})
	}
	s.show(w, r, http.StatusOK, "home", page{Title: "Shop", Nav: "home", Content: c})
}

func (s *Shop) orderHistory(w http.ResponseWriter, r *http.Request) {
	orders, err := s.orders.ByUser(r.Context(), sessionOf(r).UserID)
	if err != nil {
		s.broken(w, r, err)
		return
	}
	s.show(w, r, http.StatusOK, "orders", page{
		Title: "Orders", Nav: "orders", Content: orders,
		Live: slices.ContainsFunc(orders, func(o Order) bool {
			return (o.State == Waiting || o.State == Refunding) && !o.Unknown
		}),
	})
}

// problem is what the error page says: what happened, and what to do.
type problem struct{ Title, Text, Target, Link string }

func (s *Shop) fail(w http.ResponseWriter, r *http.Request, status int, p problem) {
	s.show(w, r, status, "message", page{Title: p.Title, Content: p})
}

func (s *Shop) notFound(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, http.StatusNotFound, problem{
		"There is nothing here", "The address is wrong, or it belongs to another account.", "/", "Go to the shop"})
}

func (s *Shop) crossOrigin(w http.ResponseWriter, r *http.Request) {
	s.fail(w, r, http.StatusForbidden, problem{
		"Not from this shop", "For your safety this can only be started from the shop’s own pages. Nothing was changed.",
		"/", "Go to the shop"})
}

func (s *Shop) broken(w http.ResponseWriter, r *http.Request, err error) {
	s.log.Error("shop: page", "error", err)
	s.fail(w, r, http.StatusServiceUnavailable, problem{
		"Something went wrong", "It is our fault, not yours, and nothing was charged. Please try again in a minute.",
		"/", "Try again"})
}

// kitErrorPage is Config.ErrorPage: the kit's errors in the shop's look.
func (s *Shop) kitErrorPage(w http.ResponseWriter, r *http.Request, status int, code codegrant.Code) {
	p := problem{Target: "/wallets", Link: "Back to wallets"}
	switch code {
	case codegrant.ErrUnauthenticated:
		p = problem{"Please sign in", "You were signed out in the meantime. Sign in, then look at your wallets.", "/login", "Sign in"}
	case codegrant.ErrCrossOrigin:
		s.crossOrigin(w, r)
		return
	case codegrant.ErrNotFound, codegrant.ErrNotOwner:
		s.notFound(w, r)
		return
	case codegrant.ErrNoToken, codegrant.ErrTokenGone:
		p.Title, p.Text = "It is not connected any more", "There is nothing left to disconnect. The wallets page shows how things stand."
	case codegrant.ErrOutcomeUnknown, codegrant.ErrUnreachable, codegrant.ErrDeadline:
		p.Title, p.Text = "The wallet service did not answer", "Nothing was charged. Wait a moment and try again."
	case codegrant.ErrRefused:
		p.Title, p.Text = "The wallet service refused", "Nothing was charged. Try another wallet, or try again later."
	case codegrant.ErrInvalidRequest, codegrant.ErrMalformed, codegrant.ErrMethod, codegrant.ErrTooLarge, codegrant.ErrBodyConsumed:
		p.Title, p.Text = "That did not work", "The page sent something that we do not understand. Go back and press the button again."
	default:
		p.Title, p.Text = "Something went wrong", "It is our fault, not yours, and nothing was charged. Please try again in a minute."
	}
	s.fail(w, r, status, p)
}
