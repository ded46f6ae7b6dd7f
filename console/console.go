// Package console is an operations page for the merchant's own staff: what
// became of a user's sign-up or of an order, what waits and for what, and a
// button that sweeps now. It shows no credential and changes no record by
// itself.
//
//	ops, err := console.New(console.Config{
//		Kit: kit, Store: store, Payments: store, Sweep: kit.Reconcile,
//		Authorize: staffName, // your own login
//	})
//	mux.Handle("/ops/wallets/", http.StripPrefix("/ops/wallets", ops))
//
// The pages are plain HTML under a Content-Security-Policy without exceptions:
// no scripts, no request to anywhere else. All links are relative, so that it
// works under any prefix that ends in "/".
package console

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/codegrant/codegrant"
)

// Config configures a [Console]. Authorize, Store, and one of Kit and Accounts
// are required.
type Config struct {
	// Authorize says which member of staff sends the request: a name for the log
	// and the head of the page. Nobody gets in where it returns "" or an error.
	// It is called for every request and must be safe for concurrent use.
	Authorize func(*http.Request) (string, error)

	// Kit is the one account that is shown.
	Kit *codegrant.Kit
	// Accounts are several, and AccountIDs those of them that are shown.
	Accounts   *codegrant.Accounts
	AccountIDs []string

	// Store and Payments are those of the Kit or the Accounts. Without Payments
	// no order is shown.
	Store    codegrant.TokenStore
	Payments codegrant.PaymentStore

	// Sweep is [codegrant.Kit.Reconcile] or [codegrant.Accounts.Reconcile]. Nil
	// means that there is no button.
	Sweep func(context.Context) (codegrant.Sweep, error)
	// SweepTimeout is how long a sweep that was asked for goes on; the rest is left
	// to the next one. A call under way is not cut short, so keep the server's
	// WriteTimeout above the sum of this and the client's timeout. Zero means 10 s.
	SweepTimeout time.Duration
	// After is the sweeps' [codegrant.ReconcileConfig] After, which tells when the
	// next one looks at a record. Zero means 1 min.
	After time.Duration

	// Timeout bounds the look-ups of one page. Zero means 5 s.
	Timeout time.Duration
	// Logger gets one record for each request that is refused or fails, and for
	// each sweep with who asked for it. Nil means [slog.Default].
	Logger *slog.Logger
	// Now is the clock of the pages. Nil means [time.Now].
	Now func() time.Time
}

func (c Config) problems() []string {
	var p []string
	if c.Authorize == nil {
		p = append(p, "Authorize is missing: it says which member of staff is signed in")
	}
	if c.Store == nil {
		p = append(p, "Store is missing")
	}
	if (c.Kit == nil) == (c.Accounts == nil) {
		p = append(p, "one of Kit and Accounts is required")
	}
	if (c.Accounts == nil) != (len(c.AccountIDs) == 0) || slices.Contains(c.AccountIDs, "") {
		p = append(p, "AccountIDs names those of Accounts that are shown, and goes with no Kit")
	}
	if c.SweepTimeout < 0 || c.After < 0 || c.Timeout < 0 {
		p = append(p, "SweepTimeout, After and Timeout must not be negative")
	}
	return p
}

// Console is the operations page, an [http.Handler]. Mount it with
// [http.StripPrefix]. It is safe for concurrent use.
type Console struct {
	cfg   Config
	ids   []string // of the accounts
	pages pages
	guard *http.CrossOriginProtection
	sweep sweeper
}

// New checks cfg; every problem is in one [*codegrant.ConfigError].
func New(cfg Config) (*Console, error) {
	if p := cfg.problems(); len(p) > 0 {
		return nil, &codegrant.ConfigError{Problems: p}
	}
	cfg.SweepTimeout = cmp.Or(cfg.SweepTimeout, 10*time.Second)
	cfg.After = cmp.Or(cfg.After, time.Minute)
	cfg.Timeout = cmp.Or(cfg.Timeout, 5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Console{cfg: cfg, ids: slices.Clone(cfg.AccountIDs), guard: http.NewCrossOriginProtection()}
	if cfg.Kit != nil {
		c.ids = []string{cfg.Kit.AccountID()}
	}
	var err error
	c.pages, err = parsePages()
	return c, err
}

// visit is one request of a member of staff.
type visit struct {
	*Console
	w     http.ResponseWriter
	r     *http.Request
	staff string
	now   time.Time
}

const maxForm = 8 << 10 // bytes of a form

// ServeHTTP serves all pages.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secureHeaders(w)
	v := &visit{Console: c, w: w, r: r, now: c.cfg.Now().UTC()}
	staff, err := c.cfg.Authorize(r)
	if err != nil || staff == "" {
		v.refuse(&codegrant.Error{Op: "console", Code: codegrant.ErrUnauthenticated, Err: err})
		return
	}
	v.staff = staff
	if err := c.guard.Check(r); err != nil {
		v.refuse(&codegrant.Error{Op: "console", Code: codegrant.ErrCrossOrigin, Err: err})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := v.serve(); err != nil {
		v.refuse(err)
	}
}

// serve finds the page. There is no [http.ServeMux] because its redirects know
// nothing of the prefix.
func (v *visit) serve() error {
	method, page := http.MethodGet, (func(context.Context) error)(nil)
	switch v.r.URL.Path {
	case "/":
		page = v.overview
	case "/unsettled":
		page = v.unsettled
	case "/user":
		page = v.user
	case "/token":
		page = v.token
	case "/order":
		page = v.order
	case "/style.css":
		page = v.style
	case "/search":
		method, page = http.MethodPost, v.search
	case "/sweep":
		method, page = http.MethodPost, v.sweepNow
	default:
		return codegrant.ErrNotFound
	}
	if v.r.Method != method && (method != http.MethodGet || v.r.Method != http.MethodHead) {
		v.w.Header().Set("Allow", method)
		return codegrant.ErrMethod
	}
	ctx, cancel := context.WithTimeout(v.r.Context(), v.cfg.Timeout)
	defer cancel()
	return page(ctx)
}

// goTo answers with a relative redirect, which [http.Redirect] would resolve
// without the prefix.
func (v *visit) goTo(target string) error {
	v.w.Header().Set("Location", target)
	v.w.WriteHeader(http.StatusSeeOther)
	return nil
}

// kit returns the Kit of one of the accounts that are shown.
func (c *Console) kit(ctx context.Context, accountID string) (*codegrant.Kit, error) {
	if !slices.Contains(c.ids, accountID) {
		return nil, codegrant.ErrNotFound
	}
	if c.cfg.Kit != nil {
		return c.cfg.Kit, nil
	}
	return c.cfg.Accounts.Kit(ctx, accountID)
}

// named returns what a link names: an account that is shown, and a name in it.
func (v *visit) named() (account, id string, err error) {
	query := v.r.URL.Query()
	account, id = query.Get("account"), query.Get("id")
	switch {
	case !readable(account), !readable(id):
		return "", "", codegrant.ErrInvalidRequest
	case !slices.Contains(v.ids, account):
		return "", "", codegrant.ErrNotFound
	}
	return account, id, nil
}

const maxText = 512 // bytes of what is searched for: the longest token

// readable reports whether a store can look s up.
func readable(s string) bool {
	return s != "" && len(s) <= maxText && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// codeOf is the code under which err is logged and shown.
func codeOf(ctx context.Context, err error) codegrant.Code {
	var code codegrant.Code
	switch {
	case errors.As(err, &code):
		return code
	case ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded):
		return codegrant.ErrDeadline
	}
	return codegrant.ErrStore
}
