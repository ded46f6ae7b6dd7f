package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"github.com/codegrant/codegrant"
)

// price is what the one thing on sale costs.
var price = codegrant.Amount{Minor: 9900, Currency: "PHP"}

// validOrder is an order's number, as nginx.conf has it too.
var validOrder = regexp.MustCompile(`^[A-Z0-9]{26}$`)

// shop is one instance's part of the shop. All that must be the same in every
// instance is in the database, in the cookie or in the environment.
type shop struct {
	kit      *codegrant.Kit
	db       *sql.DB
	sessions sessions
	log      *slog.Logger
	ready    atomic.Bool
}

func (s *shop) routes() http.Handler {
	guard := http.NewCrossOriginProtection()
	post := func(h http.HandlerFunc) http.Handler { return guard.Handler(http.MaxBytesHandler(h, 16<<10)) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.home)
	mux.Handle("POST /login", post(s.login))
	mux.Handle("POST /orders/{order}/pay", post(s.pay))
	mux.Handle("/wallet/", http.StripPrefix("/wallet", s.kit)) // guards its own forms
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readyz says whether new requests should be sent here. It does not ask the
// database: when that is down, it is down for all, and a proxy without any
// instance answers worse than the shop.
func (s *shop) readyz(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		http.Error(w, "stopping", http.StatusServiceUnavailable)
	}
}

// user is Config.User.
func (s *shop) user(r *http.Request) (string, error) { return s.sessions.user(r, time.Now()), nil }

func (s *shop) login(w http.ResponseWriter, r *http.Request) {
	name := strings.ToLower(r.PostFormValue("name"))
	if !validUser.MatchString(name) {
		http.Error(w, "A name is 1 to 32 letters, digits and dashes.", http.StatusBadRequest)
		return
	}
	s.sessions.start(w, name, time.Now())
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// pay charges an order, and may be called for it any number of times, on any
// instance: nginx.conf relies on it.
func (s *shop) pay(w http.ResponseWriter, r *http.Request) {
	user, id := s.sessions.user(r, time.Now()), r.PathValue("order")
	if user == "" {
		s.answer(w, r, http.StatusUnauthorized, "signed-out")
		return
	}
	if !validOrder.MatchString(id) {
		s.answer(w, r, http.StatusNotFound, "no-such-order")
		return
	}
	// A browser that hangs up must not make the outcome unknown. The server's
	// shutdown waits for this handler, and so for the charge.
	ctx := context.WithoutCancel(r.Context())
	own, err := s.place(ctx, id, user)
	if err != nil {
		s.failed(w, r, "place", err)
		return
	}
	if !own {
		s.answer(w, r, http.StatusNotFound, "no-such-order")
		return
	}
	receipt, err := s.kit.Charge(ctx, codegrant.ChargeParams{
		UserID: user, OrderID: id, Amount: price,
		ShopperIP: r.Header.Get("X-Real-IP"), // set by nginx, whatever the client said
		Email:     user + "@example.com",
	})
	var unknown *codegrant.UnknownOutcomeError
	if errors.As(err, &unknown) {
		receipt, err = unknown.Resolve(ctx)
	}
	switch {
	case errors.Is(err, codegrant.ErrNoToken):
		s.answer(w, r, http.StatusConflict, "no-wallet")
	case errors.Is(err, codegrant.ErrOutcomeUnknown):
		s.log.Warn("shop: outcome unknown", "order", id, "error", err)
		s.answer(w, r, http.StatusAccepted, "waiting") // the sweeps go on asking
	case err != nil:
		s.failed(w, r, "charge", err)
	case receipt.Outcome == codegrant.Succeeded:
		s.answer(w, r, http.StatusOK, "paid")
	case receipt.Outcome == codegrant.Failed:
		s.answer(w, r, http.StatusPaymentRequired, "declined")
	default:
		s.answer(w, r, http.StatusAccepted, "waiting")
	}
}

// place makes sure of the order, and that it is the user's own.
func (s *shop) place(ctx context.Context, id, user string) (own bool, err error) {
	_, err = s.db.ExecContext(ctx, "INSERT INTO shop_orders (id, user_id, minor, currency, state) "+
		"VALUES ($1, $2, $3, $4, 'waiting') ON CONFLICT DO NOTHING", id, user, price.Minor, price.Currency)
	if err != nil {
		return false, err
	}
	err = s.db.QueryRowContext(ctx, "SELECT user_id = $2 FROM shop_orders WHERE id = $1", id, user).Scan(&own)
	return own, err
}

func (s *shop) failed(w http.ResponseWriter, r *http.Request, what string, err error) {
	s.log.Error("shop: "+what, "error", err)
	s.answer(w, r, http.StatusServiceUnavailable, "try-again")
}

// answer tells how an order stands: programs as JSON, people on the page.
func (s *shop) answer(w http.ResponseWriter, r *http.Request, status int, state string) {
	if !strings.Contains(r.Header.Get("Accept"), "application/json") {
		http.Redirect(w, r, "/?m="+state, http.StatusSeeOther)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"state": state})
}

// home shows the shop to people.
func (s *shop) home(w http.ResponseWriter, r *http.Request) {
	user := s.sessions.user(r, time.Now())
	view := struct {
		User, Message, Order, Price string
		Wallets                     []codegrant.WalletInfo
		Connected                   codegrant.Wallet
		Orders                      []string
	}{User: user, Message: r.FormValue("m"), Order: rand.Text(), Price: price.String(), Wallets: codegrant.Wallets()}
	if user != "" {
		token, err := s.kit.ActiveToken(r.Context(), user, "")
		if err == nil {
			view.Connected = token.Wallet
		}
		if err == nil || errors.Is(err, codegrant.ErrNoToken) {
			view.Orders, err = s.orders(r.Context(), user)
		}
		if err != nil {
			s.log.Error("shop: home", "error", err)
			http.Error(w, "Try again in a minute.", http.StatusServiceUnavailable)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if err := page.Execute(w, view); err != nil {
		s.log.Error("shop: page", "error", err)
	}
}

func (s *shop) orders(ctx context.Context, user string) (list []string, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id || ' ' || state FROM shop_orders WHERE user_id = $1 ORDER BY id LIMIT 50", user)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return nil, err
		}
		list = append(list, line)
	}
	return list, rows.Err()
}

var page = template.Must(template.New("home").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Cluster shop</title>
<h1>Cluster shop</h1>
{{with .Message}}<p role="status">{{.}}</p>{{end}}
{{if not .User}}
<form method="post" action="/login"><label>Name <input name="name" required></label> <button>Sign in</button></form>
{{else}}
<p>Hello {{.User}}.</p>
{{if .Connected}}
<p>{{.Connected}} is connected.</p>
<form method="post" action="/orders/{{.Order}}/pay"><button>Buy tea for {{.Price}}</button></form>
<form method="post" action="/wallet/unbind"><button>Disconnect</button></form>
{{else}}
<form method="post" action="/wallet/signup"><select name="wallet">{{range .Wallets}}<option>{{.Wallet}}</option>{{end}}</select>
<button>Connect</button></form>
{{end}}
<ul>{{range .Orders}}<li>{{.}}</li>{{end}}</ul>
{{end}}
</html>
`))
