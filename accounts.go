package codegrant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// AccountsConfig configures [Accounts]. Kits or Find is required.
type AccountsConfig struct {
	// Kits are the accounts, where they are known from the start.
	Kits []*Kit
	// Find returns the Kit of an account, where they are not: an error that
	// matches [ErrNotFound] when there is none. Any other error, a panic, no Kit,
	// or another account's is [ErrAccounts], answered as 503, so that the gateway
	// delivers again.
	//
	// It may be called with any number of 1 to 64 letters, digits, '-' and '_'
	// that somebody sends. Calls for one account are never made at once, unless
	// an earlier one outlived Timeout.
	Find func(ctx context.Context, accountID string) (*Kit, error)
	// Keep is how long what Find returned is used: new salts are live after that
	// at the latest. Failures are not kept, and that an account is not found only
	// for 10 s. Zero means 1 min.
	Keep time.Duration

	// Store and Payments are those that all the Kits share. Only
	// [Accounts.Reconcile] and [Accounts.Run] need them, and Payments only where
	// the Kits have it.
	Store    TokenStore
	Payments PaymentStore
	// Reconcile tunes these two. That of each Kit does not count in them.
	Reconcile ReconcileConfig

	// MaxBody, ReadTimeout and ErrorPage are as in [Config], for what arrives
	// here. Timeout bounds one call of Find; the Kit's own begins after it. Zero
	// means 3 s.
	MaxBody              int64
	ReadTimeout, Timeout time.Duration
	ErrorPage            func(w http.ResponseWriter, r *http.Request, status int, code Code)
	// Logger gets one record for each rejection. Nil means [slog.Default].
	Logger *slog.Logger
	// Now is the clock of the records. Nil means [time.Now].
	Now func() time.Time
}

// Accounts finds the Kit of an account, and serves several under one URL. As an
// [http.Handler] the first path segment is the account, and the rest is its
// Kit's; each Kit's [Config.BaseURL] ends in "/" and its account:
//
//	POST /{account}/signup
//	POST /{account}/notify/{id}
//	POST /notify/{id}             the account is the message's accId
//
// Path and accId only choose the Kit: its own salts then judge the message, so
// that none is accepted by another account's. An Accounts is safe for
// concurrent use.
type Accounts struct {
	cfg    AccountsConfig
	base   *Kit // bodies, pages, the log and sweeps: what needs no account
	fixed  map[string]*Kit
	flight singleflight.Group

	mu   sync.Mutex
	kept map[string]keptKit
}

// keptKit is what Find said.
type keptKit struct {
	kit   *Kit // nil: there is no such account
	until time.Time
}

const (
	// maxKept bounds what is kept, for anybody can send any number.
	maxKept = 10_000
	// keepMissing is short, so that a new account is not refused for long.
	keepMissing = 10 * time.Second
)

// NewAccounts checks cfg; every problem is in one [*ConfigError].
func NewAccounts(cfg AccountsConfig) (*Accounts, error) {
	if p := cfg.problems(); len(p) > 0 {
		return nil, &ConfigError{Problems: p}
	}
	setDefault(&cfg.Keep, time.Minute)
	a := &Accounts{cfg: cfg, kept: make(map[string]keptKit), base: &Kit{store: cfg.Store, cfg: Config{
		MaxBody: cfg.MaxBody, ReadTimeout: cfg.ReadTimeout, Timeout: cfg.Timeout, ErrorPage: cfg.ErrorPage,
		Payments: cfg.Payments, Reconcile: cfg.Reconcile, Logger: cfg.Logger, Now: cfg.Now,
	}.withDefaults()}}
	a.base.log = a.base.cfg.Logger
	if cfg.Find == nil {
		a.fixed = make(map[string]*Kit, len(cfg.Kits))
		for _, k := range cfg.Kits {
			a.fixed[k.client.account.ID] = k
		}
	}
	return a, nil
}

func (cfg *AccountsConfig) problems() []string {
	var p []string
	if (cfg.Find == nil) == (len(cfg.Kits) == 0) {
		p = append(p, "Kits or Find is needed, and not both")
	}
	seen := make(map[string]bool)
	for i, k := range cfg.Kits {
		switch {
		case k == nil:
			p = append(p, fmt.Sprintf("Kits[%d] is nil", i))
		case seen[k.client.account.ID]:
			p = append(p, fmt.Sprintf("Kits[%d] is a second one of account %s", i, k.client.account.ID))
		default:
			seen[k.client.account.ID] = true
		}
	}
	if cfg.Keep < 0 || cfg.MaxBody < 0 || cfg.Timeout < 0 || cfg.ReadTimeout < 0 {
		p = append(p, "Keep, MaxBody, Timeout and ReadTimeout must not be negative")
	}
	return append(p, cfg.Reconcile.problems()...)
}

// Kit returns the Kit of an account: [ErrNotFound] when there is none,
// [ErrAccounts] when Find failed, [ErrDeadline] when ctx ended first.
//
// What Find said longer than Keep ago is not used while Find fails: the salt in
// it may have been removed because somebody else knows it.
func (a *Accounts) Kit(ctx context.Context, accountID string) (*Kit, error) {
	k, err := a.find(ctx, accountID)
	if err == nil && k == nil {
		err = &Error{Op: "accounts", Code: ErrNotFound}
	}
	return k, err
}

// find is Kit, with neither a Kit nor an error for no such account.
func (a *Accounts) find(ctx context.Context, accountID string) (*Kit, error) {
	if a.fixed != nil || !isID(accountID) {
		return a.fixed[accountID], nil
	}
	if kept, ok := a.fresh(accountID); ok {
		return kept.kit, nil
	}
	result := a.flight.DoChan(accountID, func() (any, error) {
		if kept, ok := a.fresh(accountID); ok {
			return kept.kit, nil // a flight that ended just now
		}
		return a.ask(ctx, accountID)
	})
	select {
	case r := <-result:
		k, _ := r.Val.(*Kit)
		return k, r.Err
	case <-ctx.Done():
		return nil, wrap("accounts", ErrDeadline, ctx.Err())
	}
}

// ask calls Find and keeps what it says.
func (a *Accounts) ask(ctx context.Context, accountID string) (*Kit, error) {
	ctx, cancel := a.base.detached(ctx)
	defer cancel()
	var k *Kit
	err := a.base.runHook(ctx, "accounts", func(ctx context.Context) (err error) {
		k, err = a.cfg.Find(ctx, accountID)
		return err
	})
	switch {
	case errors.Is(err, ErrNotFound):
		a.keep(accountID, keptKit{until: time.Now().Add(min(keepMissing, a.cfg.Keep))})
		return nil, nil
	case err != nil:
		var failed *Error // runHook's own
		if errors.As(err, &failed) {
			err = failed.Err
		}
	case k == nil:
		err = errors.New("neither a Kit nor an error was returned")
	case k.client.account.ID != accountID:
		err = errors.New("the Kit returned is another account's")
	default:
		a.keep(accountID, keptKit{kit: k, until: time.Now().Add(a.cfg.Keep)})
		return k, nil
	}
	return nil, wrap("accounts", ErrAccounts, err)
}

func (a *Accounts) fresh(accountID string) (keptKit, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept, ok := a.kept[accountID]
	return kept, ok && time.Now().Before(kept.until)
}

func (a *Accounts) keep(accountID string, news keptKit) {
	a.mu.Lock()
	defer a.mu.Unlock()
	old, ok := a.kept[accountID]
	if !ok && len(a.kept) >= maxKept {
		a.makeRoom()
	}
	if old.kit != nil && news.kit != nil {
		news.kit.client.continueUsage(old.kit.client)
	}
	a.kept[accountID] = news
}

// makeRoom forgets what is old or says only that there is no such account, and
// then anything, so that the next one to make room comes much later.
func (a *Accounts) makeRoom() {
	now := time.Now()
	for id, kept := range a.kept {
		if kept.kit == nil || !now.Before(kept.until) {
			delete(a.kept, id)
		}
	}
	for id := range a.kept {
		if len(a.kept) < maxKept-maxKept/8 {
			return
		}
		delete(a.kept, id)
	}
}

// ServeHTTP serves all accounts; mount it with [http.StripPrefix].
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	account, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if account == "notify" {
		a.notify(w, r, "", rest)
		return
	}
	if endpoint, id, _ := strings.Cut(rest, "/"); endpoint == "notify" {
		a.notify(w, r, account, id)
		return
	}
	k, err := a.Kit(r.Context(), account)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			a.base.reject(r.Context(), "accounts", err, slog.String("account", clip(account, 64)))
		}
		a.base.answerError(w, r, err)
		return
	}
	http.StripPrefix("/"+account, k).ServeHTTP(w, r)
}

// Notify is [Kit.Notify] for all accounts: by the wildcard {account} of the
// pattern that it is mounted with, else by the message's accId.
func (a *Accounts) Notify() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.notify(w, r, r.PathValue("account"), pathID(r))
	})
}

func (a *Accounts) notify(w http.ResponseWriter, r *http.Request, accountID, id string) {
	body, err := a.base.readBody(w, r)
	if err == nil {
		err = a.Apply(r.Context(), body, accountID, id)
	} else {
		a.base.reject(r.Context(), "notify", err)
	}
	answerNotification(w, err)
}

// Apply is [Kit.Apply] for the account of accountID or, where that is empty, of
// the message's accId. An account that does not exist is [ErrWrongAccount]:
// whoever probes cannot tell it from a bad signature.
func (a *Accounts) Apply(ctx context.Context, body []byte, accountID, id string) error {
	if !isRecordID(id) {
		id = ""
	}
	m := readMessage(body, a.base.cfg.MaxBody)
	k, err := a.judge(context.WithoutCancel(ctx), m, accountID)
	if err != nil {
		m.env.release()
		a.base.reject(ctx, "notify", err)
		return err
	}
	return k.applyMessage(ctx, m, id)
}

// judge returns the Kit that is to judge m. The form of m is looked at first, so
// that the answer to what nobody could accept says nothing of the account.
func (a *Accounts) judge(ctx context.Context, m message, accountID string) (*Kit, error) {
	switch {
	case m.err == nil && accountID == "":
		accountID = string(m.env.accountID)
	case m.err != nil && (accountID == "" || !looksUnsigned(m.body)):
		return nil, m.err // an unsigned one may make the Kit ask: Config.QueryUnsigned
	}
	k, err := a.Kit(ctx, accountID)
	if errors.Is(err, ErrNotFound) {
		err = &Error{Op: "notify", Code: ErrWrongAccount, Err: errors.New("no such account")}
	}
	return k, err
}

// Reconcile is [Kit.Reconcile] for the records of every account in
// [AccountsConfig.Store] and [AccountsConfig.Payments]. Those of an account that does not exist are left
// alone; those of one whose Kit could not be found count as failed.
func (a *Accounts) Reconcile(ctx context.Context) (Sweep, error) {
	if a.cfg.Store == nil {
		return Sweep{}, &ConfigError{Problems: []string{"AccountsConfig.Store is missing: Reconcile lists its records"}}
	}
	return a.base.reconcile(ctx, a.Kit)
}

// Run is [Kit.Run] with [Accounts.Reconcile].
func (a *Accounts) Run(ctx context.Context) error {
	if a.cfg.Store == nil {
		_, err := a.Reconcile(ctx)
		return err
	}
	return a.base.run(ctx, a.Reconcile)
}
