package codegrant

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Config configures a [Kit]. Client, Store, BaseURL and User are required.
type Config struct {
	// Client calls the gateway; its account judges notifications.
	Client *Client
	// Store keeps the records. There is no default: a store that forgets on
	// restart must be somebody's decision.
	Store TokenStore
	// Payments records every charge and refund before it is sent. Optional, and
	// sqlstore and memstore can be both. With it a charge that a crash cut in two
	// is found and resolved, a settled order is answered without a call, and
	// OnPayment and OnRefund hear each outcome once instead of once for each copy
	// of a notification. Without it that is the merchant's own to do.
	Payments PaymentStore
	// BaseURL is the public URL that the kit is mounted at, for example
	// "https://shop.example/wallet". It is https; http only on a loopback
	// address. It and what the kit adds to it stay below 255 characters.
	BaseURL string
	// User says who is signed in: the merchant's own user id, at most 256
	// characters. "" means nobody; an error is answered as 503.
	User func(*http.Request) (string, error)

	// OnToken is called when a record rose to a status: the token became
	// active, the sign-up failed, the agreement ended. See [Change]. It is
	// called at least once for the newest status, possibly again, possibly for
	// the same record from two processes at once. An error means: deliver
	// again. It must return within Timeout. Where Store is a [TxStore] it runs
	// inside the store's transaction, so that what it writes through it happens
	// exactly once.
	OnToken func(context.Context, Change) error
	// HooksAfterSave runs OnToken, OnPayment and OnRefund after the record is
	// saved and outside of the store's transaction, as with a store that has
	// none: at least once, and no longer with exactly one effect. For hooks that
	// write nothing through the transaction: a slow one then holds no lock of the
	// database, and saves that happen at the same time can share one commit.
	// Without any hook there is no transaction either way.
	HooksAfterSave bool
	// OnPayment is called for each payment notification, at least once and in
	// no certain order. An error means: deliver again. With Payments it is called
	// when an attempt failed and when the order is paid, from wherever that was
	// learned, at least once; inside the store's transaction, and so with exactly
	// one effect, where Payments is a [TxStore]. The notification has no Token
	// then.
	OnPayment func(context.Context, PaymentNotification) error
	// OnRefund is the same for refunds.
	OnRefund func(context.Context, RefundNotification) error
	// OnUnknown is called for validly signed notifications that the kit has no
	// use for: a type outside the table, or a sign-up or an unbinding that fits
	// no record. An error means: deliver again. An unbinding that it took stays
	// known, so that a success which comes later does not revive the token.
	// Without it the first are accepted and the others are delivered again, for
	// half a day.
	OnUnknown func(context.Context, Notification) error

	// NotifyTypes adds to [DefaultNotifyTypes], or overrides it.
	NotifyTypes map[string]Kind
	// SignUpStatuses maps the status of a sign-up query to what it means. The
	// interface is UNKNOWN. Nil means SUCCESS, FAILED, CLOSED, CANCEL and
	// UNBOUND by their words; a status outside the map changes nothing.
	SignUpStatuses map[string]Kind
	// QueryUnsigned lets an unsigned notification at a record's own URL trigger
	// a signed query of that record, for gateways that send the older flat
	// body. What the query answers counts; the unsigned body never does. Off,
	// such a body is refused like any other.
	QueryUnsigned bool
	// QueryByList asks by /v4/authorization/list how a sign-up stands where
	// [Endpoints.SignUpQuery] is switched off. Whether the list knows tokens of
	// /v4/paymethod/bind is UNKNOWN, so that only with OlderFlow a token that it
	// lacks counts as gone.
	QueryByList bool
	// OlderFlow signs users up by /v4/authorization/prepare instead of
	// /v4/paymethod/bind, and unbinds by /v4/authorization/cancelToken.
	OlderFlow bool

	// NotifyURL and ReturnURL are the public URLs of [Kit.Notify] and
	// [Kit.Return] where these are not mounted under BaseURL. The kit appends
	// "/" and the record's id. Empty means BaseURL + "/notify" and "/return".
	NotifyURL, ReturnURL string
	// ReturnTo lists where the browser may go after signing up or unbinding:
	// paths of this site or absolute https URLs, matched exactly. The first is
	// the default, also for records whose own target is no longer listed. Empty
	// means "/".
	ReturnTo []string
	// AuthHosts lists the hosts that the wallet's page may be on, without port;
	// the case of letters does not matter. Empty means any host, always over
	// https, since the gateway's answer is signed and no document lists the hosts.
	AuthHosts []string
	// ReturnPage and ErrorPage write the merchant's own pages instead of the
	// kit's plain ones. Security headers are set before they run; a page that
	// needs a different Content-Security-Policy sets its own.
	ReturnPage func(http.ResponseWriter, *http.Request, Token)
	ErrorPage  func(w http.ResponseWriter, r *http.Request, status int, code Code)

	// MaxBody caps a request body, in bytes. Zero means 64 KiB.
	MaxBody int64
	// ReadTimeout bounds the reading of a request body, even in a server that
	// has no time-outs of its own. Zero means 5 s.
	ReadTimeout time.Duration
	// Timeout bounds the work on one notification, hook included. The
	// gateway's own limit is UNKNOWN. Zero means 3 s.
	Timeout time.Duration
	// PendingFor is how long the return page waits before it tells the user to
	// try again; a success that comes later still counts. Zero means 30 min.
	PendingFor time.Duration
	// Reconcile tunes [Kit.Reconcile] and [Kit.Run].
	Reconcile ReconcileConfig
	// CrossOrigin guards sign-up and unbind. Nil means one that trusts only
	// this site.
	CrossOrigin *http.CrossOriginProtection
	// Logger gets one record for each rejection, transition, call of a hook and
	// sweep, under the codes of errors and those of [EventTransition] and its
	// like. Hooks that succeed, sweeps that find nothing and the arrival of
	// notifications are at Debug. Nil means [slog.Default].
	Logger *slog.Logger
	// Observer is told what the Kit does, for metrics and traces. Its calls of
	// the gateway are told to [ClientConfig].Observer. Nil means nobody is.
	Observer Observer
	// Now is the clock of the records. Nil means [time.Now].
	Now func() time.Time
}

// Kit is the set of endpoints and functions for one merchant account. As an
// [http.Handler] it serves all endpoints below the path that it is mounted at:
//
//	POST /signup        start a sign-up           [Kit.SignUp]
//	GET  /return/{id}   the browser comes back    [Kit.Return]
//	POST /notify/{id}   the gateway's messages    [Kit.Notify]
//	POST /unbind        end an agreement          [Kit.Unbind]
//	GET  /status        the user's tokens         [Kit.Status]
//	GET  /status/{id}   one of them               [Kit.Status]
//
// A Kit is immutable after [New] and safe for concurrent use.
type Kit struct {
	cfg      Config
	client   *Client
	store    TokenStore
	tokens   *keeper[Token]
	payments *keeper[Payment] // nil without Config.Payments
	types    map[string]Kind
	log      *slog.Logger
	observe  observing
	locks    keyedLocks
	queries  singleflight.Group
	asked    lastAsked
	blind    sync.Once // logged that sign-ups cannot be asked about
	mux      *http.ServeMux
}

// AccountID is accId of the account that the Kit serves.
func (k *Kit) AccountID() string { return k.client.account.ID }

// New checks cfg and returns a Kit; every problem is in one [*ConfigError].
func New(cfg Config) (*Kit, error) {
	if p := cfg.problems(); len(p) > 0 {
		return nil, &ConfigError{Problems: p}
	}
	cfg = cfg.withDefaults()
	k := &Kit{
		cfg:     cfg,
		client:  cfg.Client,
		store:   checkedStore{cfg.Store},
		types:   notifyTypes(cfg.NotifyTypes),
		log:     cfg.Logger,
		observe: newObserving(cfg.Observer, cfg.Logger),
		mux:     http.NewServeMux(),
	}
	k.tokens, k.payments = k.tokenKeeper(), k.paymentKeeper()
	k.mux.Handle("/signup", k.SignUp())
	k.mux.Handle("/return/{id}", k.Return())
	k.mux.Handle("/notify", k.Notify())
	k.mux.Handle("/notify/{id}", k.Notify())
	k.mux.Handle("/unbind", k.Unbind())
	k.mux.Handle("/status", k.Status())
	k.mux.Handle("/status/{id}", k.Status())
	k.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_ = k.refuse(w, r, "route", &Error{Op: "route", Code: ErrNotFound, Err: fmt.Errorf(
			"no endpoint at %q; under %s the kit is mounted with http.StripPrefix", clip(r.URL.Path, 64), k.cfg.BaseURL)})
	})
	return k, nil
}

// ServeHTTP serves all endpoints; mount the Kit with [http.StripPrefix].
func (k *Kit) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.boundReading(w, r)
	// A ServeMux redirects a path with empty or dot segments to a cleaned one,
	// without the prefix that was stripped: out of the kit, where nobody meant
	// to go.
	if clean := path.Clean("/" + r.URL.Path); r.URL.Path != clean && (clean == "/" || r.URL.Path != clean+"/") {
		r = r.Clone(r.Context())
		r.URL.Path, r.URL.RawPath = "/", ""
	}
	k.mux.ServeHTTP(w, r)
}

// withDefaults returns a copy that shares no slice or map with the caller.
func (cfg Config) withDefaults() Config {
	cfg.BaseURL = strings.TrimSuffix(cfg.BaseURL, "/")
	setDefault(&cfg.NotifyURL, cfg.BaseURL+"/notify")
	setDefault(&cfg.ReturnURL, cfg.BaseURL+"/return")
	cfg.NotifyURL = strings.TrimSuffix(cfg.NotifyURL, "/")
	cfg.ReturnURL = strings.TrimSuffix(cfg.ReturnURL, "/")
	setDefault(&cfg.MaxBody, 64<<10)
	setDefault(&cfg.ReadTimeout, 5*time.Second)
	setDefault(&cfg.Timeout, 3*time.Second)
	setDefault(&cfg.PendingFor, 30*time.Minute)
	cfg.ReturnTo = slices.Clone(cfg.ReturnTo)
	if len(cfg.ReturnTo) == 0 {
		cfg.ReturnTo = []string{"/"}
	}
	cfg.AuthHosts = slices.Clone(cfg.AuthHosts)
	for i, host := range cfg.AuthHosts {
		cfg.AuthHosts[i] = strings.ToLower(host)
	}
	if cfg.SignUpStatuses == nil {
		cfg.SignUpStatuses = map[string]Kind{
			"SUCCESS": KindSignedUp,
			"FAILED":  KindSignUpFailed,
			"CLOSED":  KindSignUpFailed,
			"CANCEL":  KindSignUpFailed,
			"UNBOUND": KindTokenGone,
		}
	}
	cfg.Reconcile = cfg.Reconcile.withDefaults()
	if cfg.CrossOrigin == nil {
		cfg.CrossOrigin = http.NewCrossOriginProtection()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// now is the clock in the form that stores keep.
func (k *Kit) now() time.Time { return k.cfg.Now().UTC().Truncate(time.Microsecond) }

// returnTarget returns the allow-listed target that was asked for, or the
// default one when none was.
func (k *Kit) returnTarget(asked string) (string, bool) {
	if asked == "" {
		return k.cfg.ReturnTo[0], true
	}
	if slices.Contains(k.cfg.ReturnTo, asked) {
		return asked, true
	}
	return "", false
}
