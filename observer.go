package codegrant

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
)

// Observer is told what a [Kit], an [Accounts] or a [Client] does, for metrics
// and traces. What it is told has no credential, no user and no order in it, and
// every text but AccountID and that of an error comes from a short list, so that
// it can be a label. The example examples/telemetry counts with one for
// Prometheus; the module otelcodegrant is one for OpenTelemetry.
//
// Its methods are called by many goroutines at once, in the middle of the work:
// they must not block. A panic is survived, and logged once.
type Observer interface {
	// Start is called when an operation begins. The context that it returns is
	// used for the operation, and for all that happens in it: it must come from
	// ctx. Nil stands for ctx itself. end, unless it is nil, is called once, when
	// the operation has ended, by the goroutine that called Start or by another.
	Start(ctx context.Context, op Operation) (_ context.Context, end func(Result))
	// Event is told of each record of the log at the time of writing, whether or
	// not the log takes it.
	Event(ctx context.Context, e Event)
}

// OperationKind says what sort of thing an [Operation] is.
type OperationKind string

const (
	// OperationEndpoint is a request that one of the handlers serves: sign-up,
	// return, notify, unbind, status, or verify for [Kit.VerifyNotification]
	// without what it lets through.
	OperationEndpoint OperationKind = "endpoint"
	// OperationTask is a call of one of the functions beneath, by the merchant or
	// by the kit itself: sign-up, notify, unbind, refresh, charge, refund.
	OperationTask OperationKind = "task"
	// OperationHook is a call of a hook: OnToken, OnPayment, OnRefund, OnUnknown,
	// or Find of [AccountsConfig].
	OperationHook OperationKind = "hook"
	// OperationCall is a call of the gateway, of which the name is that of its
	// [Error], for example unifiedPay.
	OperationCall OperationKind = "call"
	// OperationSweep is one [Kit.Reconcile] or [Accounts.Reconcile]: reconcile.
	OperationSweep OperationKind = "sweep"
)

// Operation is something that takes time.
type Operation struct {
	Kind OperationKind
	Name string
	// AccountID is the accId. Empty where it is not known yet: in [Accounts].
	AccountID string
	// Wallet is the one that a call names, "other" for a name that is not in
	// [Wallets]. Else it is empty.
	Wallet Wallet
	// Host and Path are where a call goes to, as in [Endpoints]. Its method is
	// POST.
	Host, Path string
}

// Result is how an [Operation] ended.
type Result struct {
	// Err is what the operation returned or answered. Its text must not become a
	// label: use [CodeOf].
	Err error
	// Status is the HTTP status that an endpoint answered, or that the gateway did.
	// Zero when there was none.
	Status int
	// Outcome is that of a charge, a refund, or a query of one. Empty where it is
	// not known.
	Outcome Outcome
}

// Event is one record of the log.
type Event struct {
	// Code is that of an error for a rejection, else one of the Event constants.
	Code Code
	Op   string // as in the record, for example "notify"
	// Err is set for a rejection, and for a hook that failed. Its text must not
	// become a label.
	Err       error
	AccountID string // empty where it is not known: in [Accounts]

	// Wallet, From, To and EndedBy are of a record of a sign-up, whose From and To
	// are words of [Status], or of a payment or refund, where they are of [Outcome],
	// and From is empty before the first. A wallet that is not in [Wallets] is
	// "other".
	Wallet   Wallet
	From, To string
	EndedBy  EndedBy
	// Currency is that of a payment or refund, "other" for one that [Amount] does
	// not know.
	Currency string
	Kind     Kind   // of a notification
	Hook     string // as Operation.Name, of a hook
	Sweep    Sweep  // of a sweep
}

// otherLabel stands for a name that anybody may have made up.
const otherLabel = "other"

// observing is an Observer that is safe to call. The zero value observes
// nothing.
type observing struct {
	observer Observer
	log      *slog.Logger
	said     *sync.Once // that the observer panicked
}

func newObserving(o Observer, log *slog.Logger) observing {
	return observing{observer: o, log: log, said: new(sync.Once)}
}

// start begins an operation. end is never nil, and acts once.
func (o observing) start(ctx context.Context, op Operation) (context.Context, func(Result)) {
	if o.observer == nil {
		return ctx, func(Result) {}
	}
	return o.startObserved(ctx, op)
}

func (o observing) startObserved(ctx context.Context, op Operation) (inside context.Context, end func(Result)) {
	op.Wallet = op.Wallet.label()
	var observed func(Result)
	inside = ctx
	func() {
		defer o.survive(ctx)
		var c context.Context
		if c, observed = o.observer.Start(ctx, op); c != nil {
			inside = c
		}
	}()
	var once sync.Once
	return inside, func(r Result) {
		once.Do(func() {
			defer o.survive(inside)
			if observed != nil {
				observed(r)
			}
		})
	}
}

func (o observing) event(ctx context.Context, accountID string, e Event) {
	if o.observer == nil {
		return
	}
	defer o.survive(ctx)
	e.AccountID, e.Wallet = accountID, e.Wallet.label()
	if _, known := decimals(e.Currency); !known && e.Currency != "" {
		e.Currency = otherLabel
	}
	o.observer.Event(ctx, e)
}

// survive, deferred, keeps a mistake in somebody's metrics away from payments.
func (o observing) survive(ctx context.Context) {
	p := recover()
	if p == nil {
		return
	}
	o.said.Do(func() {
		log := o.log
		if log == nil {
			log = slog.Default() // of a Client, which has no other
		}
		log.LogAttrs(ctx, slog.LevelError, EventObserverPanicked.Error(),
			slog.String("code", string(EventObserverPanicked)), slog.String("op", "observe"),
			slog.String("error", fmt.Sprintf("observer panicked with a %T", p)), slog.String("stack", string(debug.Stack())))
	})
}

// label is w if it is documented: anybody can send another name.
func (w Wallet) label() Wallet {
	switch w {
	case "", AlipayHK, GCash, DANA, Boost, TNGeWallet, Kakaopay, TrueMoney, Alipay, RabbitLINEPay:
		return w
	}
	return otherLabel
}

func (k *Kit) accountID() string {
	if k.client == nil {
		return "" // of an Accounts
	}
	return k.client.account.ID
}

func (k *Kit) start(ctx context.Context, kind OperationKind, name string) (context.Context, func(Result)) {
	return k.observe.start(ctx, Operation{Kind: kind, Name: name, AccountID: k.accountID()})
}

// observed runs f as an operation.
func observed[R any](ctx context.Context, k *Kit, kind OperationKind, name string, f func(context.Context) (R, error)) (result R, err error) {
	if k.observe.observer == nil {
		return f(ctx)
	}
	ctx, end := k.start(ctx, kind, name)
	returned := false
	defer func() {
		if !returned {
			err = errPanicked(name)
		}
		end(Result{Err: err, Outcome: outcomeIn(result)})
	}()
	result, err = f(ctx)
	returned = true
	return result, err
}

func errPanicked(op string) error {
	return &Error{Op: op, Code: ErrInternal, Err: errors.New("panicked")}
}

// outcomeIn returns what a result says of money.
func outcomeIn(result any) Outcome {
	switch r := result.(type) {
	case Receipt:
		return r.Outcome
	case PayResponse:
		return knownOutcome(r.Status)
	case RefundResponse:
		return knownOutcome(r.Status)
	}
	return ""
}

func knownOutcome(s PaymentStatus) Outcome {
	if s == "" {
		return ""
	}
	return outcomeOf(s)
}

// endpoint makes a handler whose requests are observed. serve returns why it
// refused, nil when it did not.
func (k *Kit) endpoint(name string, serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.observe.observer == nil {
			_ = serve(w, r)
			return
		}
		ctx, end := k.start(r.Context(), OperationEndpoint, name)
		answered := &statusWriter{ResponseWriter: w}
		err := errPanicked(name)
		defer func() { end(Result{Err: err, Status: answered.status}) }()
		err = serve(answered, r.WithContext(ctx))
	})
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap serves [http.ResponseController].
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// unobserved returns the server's own writer, which [http.MaxBytesReader] tells to
// close the connection of who sends too much.
func unobserved(w http.ResponseWriter) http.ResponseWriter {
	if answered, ok := w.(*statusWriter); ok {
		return answered.ResponseWriter
	}
	return w
}

// seenKey is where a call's context keeps a place for the status of its answer.
type seenKey struct{}

// observedCall runs f as a call of the gateway. One that is switched off is not
// observed: nothing is sent.
func observedCall[R any](ctx context.Context, c *Client, op, path string, wallet Wallet, f func(context.Context) (R, error)) (R, error) {
	if c.observe.observer == nil || path == Disabled {
		return f(ctx)
	}
	status := 0
	ctx, end := c.observe.start(context.WithValue(ctx, seenKey{}, &status), Operation{
		Kind: OperationCall, Name: op, AccountID: c.account.ID, Wallet: wallet, Host: c.endpoints.Host, Path: path,
	})
	result, err := f(ctx)
	end(Result{Err: err, Status: status, Outcome: outcomeIn(result)})
	return result, err
}

// sawStatus keeps the status of a call's answer for its Result.
func sawStatus(ctx context.Context, status int) {
	if seen, ok := ctx.Value(seenKey{}).(*int); ok {
		*seen = status
	}
}
