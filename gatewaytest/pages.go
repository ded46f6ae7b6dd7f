package gatewaytest

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed pages/*.html
var pageFiles embed.FS

// screens are the pages' templates by file name, without the extension.
type screens map[string]*template.Template

func parseScreens() screens {
	parsed := make(screens)
	for _, name := range []string{"consent", "wallet", "ledger", "message"} {
		parsed[name] = template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name+".html"))
	}
	return parsed
}

func (s screens) show(w http.ResponseWriter, status int, name string, data any) {
	var out bytes.Buffer
	if err := s[name].ExecuteTemplate(&out, "layout", data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(out.Bytes())
}

func (g *Gateway) pageRoutes() http.Handler {
	s := parseScreens()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /consent", func(w http.ResponseWriter, r *http.Request) { g.showConsent(s, w, r) })
	mux.HandleFunc("POST /consent", func(w http.ResponseWriter, r *http.Request) { g.takeDecision(s, w, r) })
	mux.HandleFunc("GET /wallet", func(w http.ResponseWriter, r *http.Request) {
		s.show(w, http.StatusOK, "wallet", g.walletView(r.URL.Query().Get("user")))
	})
	mux.HandleFunc("POST /wallet/unbind", func(w http.ResponseWriter, r *http.Request) { g.takeUnbinding(s, w, r) })
	mux.HandleFunc("GET /ledger", func(w http.ResponseWriter, r *http.Request) {
		s.show(w, http.StatusOK, "ledger", g.ledgerView())
	})
	mux.HandleFunc("POST /ledger/notifications", func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		g.LoseNotifications(r.PostFormValue("lose") == "yes")
		seeOther(w, "../ledger#switch")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { seeOther(w, "ledger") })
	return mux
}

// seeOther is http.Redirect for addresses that are relative to the page, which
// keep working when the gateway is mounted below a prefix.
func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// frame is what the layout needs.
type frame struct {
	Title  string
	Accent string
	// Nav is which link of the navigation is current; empty hides it, because
	// a user on the consent page has no use for it.
	Nav string
}

type messageView struct {
	frame
	Text string
}

func (s screens) message(w http.ResponseWriter, status int, title, text string) {
	s.show(w, status, "message", messageView{frame{Title: title, Accent: "#374151", Nav: "none"}, text})
}

func (s screens) noSignUp(w http.ResponseWriter) {
	s.message(w, http.StatusNotFound, "This link is not valid",
		"No sign-up belongs to it. Go back to the shop and start again.")
}

type consentView struct {
	frame
	Wallet, Place, Initial       string
	Merchant, ClientID           string
	UserID, AccountID, Reference string
	LoginID                      string
	Years                        int
	Status                       string
	ReturnURL                    string
	LeaveURL                     string
}

func (g *Gateway) showConsent(s screens, w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	a, err := g.byAuthURL(r.URL.String())
	if err != nil {
		g.mu.Unlock()
		s.noSignUp(w)
		return
	}
	about, _ := findWallet(a.Wallet)
	view := consentView{
		frame:     frame{Title: "Allow payments with " + a.Wallet, Accent: about.Accent},
		Wallet:    a.Wallet,
		Place:     about.Place,
		Initial:   initial(a.Wallet),
		Merchant:  g.cfg.MerchantName,
		ClientID:  g.accounts[a.AccountID].ClientID,
		UserID:    a.UserID,
		AccountID: a.AccountID,
		Reference: a.RequestID,
		LoginID:   a.LoginID,
		Years:     about.years,
		Status:    a.Status,
		ReturnURL: g.returnURL(a),
		LeaveURL:  a.ReturnURL,
	}
	g.mu.Unlock()
	s.show(w, http.StatusOK, "consent", view)
}

func (g *Gateway) takeDecision(s screens, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	choice := r.PostFormValue("decision")
	if choice != "agree" && choice != "refuse" {
		s.message(w, http.StatusBadRequest, "Nothing was decided", "Use the buttons on the page.")
		return
	}
	link := r.URL.String()
	err := g.decide(link, choice == "agree", g.cfg.NotifyDelay)
	if err != nil && !errors.Is(err, ErrDecided) {
		s.noSignUp(w)
		return
	}
	back, err := g.ReturnURL(link)
	if err != nil {
		s.noSignUp(w)
		return
	}
	seeOther(w, back)
}

func (g *Gateway) takeUnbinding(s screens, w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	state := r.PostFormValue("agreement")
	if state == "" || g.unbindInWallet(func(a *agreement) bool { return a.state == state }) != nil {
		s.message(w, http.StatusNotFound, "Nothing to unbind", "The agreement has already ended.")
		return
	}
	back := "../wallet"
	if user := r.PostFormValue("user"); user != "" { // stay with the user whose wallet it is
		back += "?user=" + url.QueryEscape(user)
	}
	seeOther(w, back+"#a"+state)
}

type walletView struct {
	frame
	User        string
	Live, Ended []agreementView
}

type agreementView struct {
	ID, State                  string
	Wallet, Place, Accent      string
	Initial                    string
	Merchant, ClientID, UserID string
	LoginID, Status, Token     string
	Since, Until               string
	AuthURL                    string
	Silent                     bool
	Ended, After               string
}

func (g *Gateway) walletView(user string) walletView {
	g.mu.Lock()
	defer g.mu.Unlock()
	view := walletView{frame: frame{Title: "Your wallet", Accent: "#1f4e79", Nav: "wallet"}, User: user}
	for _, a := range slices.Backward(g.agreements) {
		if (user != "" && a.UserID != user) || a.Token == "" {
			continue
		}
		if a.live(time.Now()) {
			view.Live = append(view.Live, g.agreementView(a))
		} else {
			view.Ended = append(view.Ended, g.agreementView(a))
		}
	}
	return view
}

func (g *Gateway) agreementView(a *agreement) agreementView {
	about, _ := findWallet(a.Wallet)
	view := agreementView{
		ID: a.RequestID, State: a.state,
		Wallet: a.Wallet, Place: about.Place, Accent: about.Accent, Initial: initial(a.Wallet),
		Merchant: g.cfg.MerchantName, ClientID: g.accounts[a.AccountID].ClientID, UserID: a.UserID,
		LoginID: a.LoginID, Status: a.Status, Token: short(a.Token),
		Since: stamp(a.CreatedAt), Until: stamp(a.ExpiresAt),
		AuthURL: a.AuthURL, Silent: g.silent(a.Wallet),
	}
	switch a.EndedBy {
	case EndedByMerchant:
		view.Ended = "Ended by the merchant"
	case EndedByUser:
		view.Ended = "Ended by the user in the wallet"
	case EndedBySuperseded:
		view.Ended = "Replaced by a newer agreement"
	default:
		view.Ended = "Expired"
	}
	switch {
	case a.EndedBy == EndedByUser && a.last == nil, a.EndedBy == EndedBySuperseded:
		view.After = "The merchant was not told. It finds out when it next asks or charges."
	case a.EndedBy != "" && a.last != nil && a.last.Delivered:
		view.After = "The merchant was told and confirmed it."
	case a.EndedBy != "" && a.last != nil && a.last.NextAt.IsZero():
		view.After = "The merchant has not confirmed the message, and no attempt is planned."
	case a.EndedBy != "" && a.last != nil:
		view.After = "The merchant has not confirmed the message yet. Next attempt " + stamp(a.last.NextAt) + "."
	}
	return view
}

// short shows enough of a token to tell it from others and no more.
func short(token string) string {
	if len(token) <= 8 {
		return token
	}
	return token[:8] + "…"
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05")
}

func initial(name string) string { return strings.ToUpper(name[:1]) }
