package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// The codes of log records, and of the [Event]s of an [Observer], that report no
// rejection. A rejection has the code of its error. Every record has "code" and,
// but for those of sqlstore, "op", the operation as in [Error]. A group "token"
// holds id, wallet, status and revision, and a group "payment" order, attempt,
// outcome and revision. No record holds a credential.
const (
	// EventTransition: the status of a sign-up's record rose. Info: token, from.
	EventTransition Code = "transition"
	// EventAdopted: a signed token that no record waited for got one. Info: token.
	EventAdopted Code = "adopted"
	// EventTokenDoubted: a charge was told that an active token does not exist, or
	// a newer sign-up may have replaced it. The gateway is asked. Info: token.
	EventTokenDoubted Code = "token_doubted"
	// EventNotification: a notification was verified; what comes of it follows.
	// Debug: kind, type.
	EventNotification Code = "notification"
	// EventUnknownNotification: the kit has no use for a verified notification, or
	// no record for it, and OnUnknown, if set, is asked. Info: kind, type.
	EventUnknownNotification Code = "unknown_notification"
	// EventPayment: a charge has another outcome than before, from wherever that
	// was learned. Info: payment. Without [Config.Payments] it is each payment
	// notification, with order and status.
	EventPayment Code = "payment"
	// EventRefund is the same for a refund. Info: order, number, outcome. Without
	// [Config.Payments]: refund, status.
	EventRefund Code = "refund"
	// EventAmountDiffers: a payment succeeded over another amount than was asked
	// for. Warn: payment; or order, asked and paid, where a charge was answered
	// with a payment that was made before.
	EventAmountDiffers Code = "amount_differs"
	// EventPaidTwice: the gateway says that two attempts of one order succeeded.
	// Somebody must pay one back. Error: payment, request.
	EventPaidTwice Code = "paid_twice"
	// EventHook: a hook returned nil. Debug: hook, duration.
	EventHook Code = "hook"
	// EventHookFailed: a hook returned an error, or was left behind at its
	// deadline. Warn, for who called it reports that as well: hook, duration,
	// error.
	EventHookFailed Code = "hook_error"
	// EventHookPanicked: a hook panicked. Error: hook, duration, error, stack. It is
	// the one record of that call, unless the call had been left behind.
	EventHookPanicked Code = "hook_panic"
	// EventSweep: a sweep ended. Info, Debug when it found nothing: looked,
	// settled, failed, backOff.
	EventSweep Code = "sweep"
	// EventSignUpsNotAsked: sign-ups whose notification is lost stay pending,
	// because nothing that could ask about them is switched on. Warn, once in a
	// process.
	EventSignUpsNotAsked Code = "signups_not_asked"
	// EventOtherSalt: a salt that does not sign verified something. Info, once for
	// each salt in a process: account, salt, its place in Account.Salts.
	EventOtherSalt Code = "other_salt"
	// EventObserverPanicked: the [Observer] panicked, which was survived. Error,
	// once in a process: error, stack. No Observer is told.
	EventObserverPanicked Code = "observer_panic"

	// EventMigrated: sqlstore applied a migration. Info: version, file.
	EventMigrated Code = "migrated"
	// EventWeakDurability: a database may lose what it confirmed. Warn: setting.
	EventWeakDurability Code = "weak_durability"
	// EventDurabilityUnknown: a database does not say whether it may. Warn: error.
	EventDurabilityUnknown Code = "durability_unknown"
)

// tell writes e to the log at level, and tells the observer of it. attrs may be
// nil, and is called only for a log that takes the record.
func (k *Kit) tell(ctx context.Context, level slog.Level, e Event, attrs func() []slog.Attr) {
	k.observe.event(ctx, k.accountID(), e)
	if !k.log.Enabled(ctx, level) {
		return
	}
	list := []slog.Attr{slog.String("code", string(e.Code)), slog.String("op", e.Op)}
	if e.Err != nil {
		list = append(list, slog.String("error", e.Err.Error()))
	}
	if attrs != nil {
		list = append(list, attrs()...)
	}
	k.log.LogAttrs(ctx, level, e.text(), list...)
}

// text is the message of e's record.
func (e Event) text() string {
	switch e.Code {
	case EventPaidTwice:
		return "codegrant: the gateway says that two attempts of one order succeeded"
	case EventAmountDiffers:
		return "codegrant: the gateway names another amount than was asked for"
	case EventSignUpsNotAsked:
		return "codegrant: a sign-up whose notification is lost stays pending, because " +
			"Endpoints.SignUpQuery is switched off and Config.QueryByList is not set; all else is reconciled"
	}
	if e.Err != nil && e.Hook == "" {
		return "codegrant: refused"
	}
	return e.Code.Error()
}

// reject tells of a failure under its code: the gateway's and the browser's
// mistakes quietly, ours loudly. Probes with bad signatures are routine, and
// strangers who try addresses more so.
func (k *Kit) reject(ctx context.Context, op string, err error, attrs ...slog.Attr) {
	if k.observe.observer == nil && !k.log.Enabled(ctx, slog.LevelError) {
		return // nobody is told, so the error need not be looked into
	}
	level := slog.LevelWarn
	switch {
	case errors.Is(err, ErrStore), errors.Is(err, ErrHook), errors.Is(err, ErrAccounts),
		errors.Is(err, ErrDeadline), errors.Is(err, ErrConflict):
		level = slog.LevelError
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrMethod), errors.Is(err, ErrUnauthenticated):
		level = slog.LevelInfo
	}
	k.tell(ctx, level, Event{Code: codeOf(err), Op: op, Err: err}, func() []slog.Attr { return attrs })
}

// note tells at Info of something that is no failure.
func (k *Kit) note(ctx context.Context, e Event, attrs func() []slog.Attr) {
	k.tell(ctx, slog.LevelInfo, e, attrs)
}

// noteToken is note with the record as it is now.
func (k *Kit) noteToken(ctx context.Context, op string, code Code, from Status, t Token) {
	e := Event{Code: code, Op: op, Wallet: t.Wallet, To: t.Status.String(), EndedBy: t.EndedBy}
	if from != 0 {
		e.From = from.String()
	}
	k.note(ctx, e, func() []slog.Attr {
		list := []slog.Attr{slog.Any("token", t)}
		if e.From != "" {
			list = append(list, slog.String("from", e.From))
		}
		return list
	})
}

// noteSweep tells of a sweep, and of one that found nothing quietly: that is
// once a minute.
func (k *Kit) noteSweep(ctx context.Context, op string, s Sweep) {
	level := slog.LevelInfo
	if s == (Sweep{}) {
		level = slog.LevelDebug
	}
	k.tell(ctx, level, Event{Code: EventSweep, Op: op, Sweep: s}, func() []slog.Attr {
		return []slog.Attr{
			slog.Int("looked", s.Looked), slog.Int("settled", s.Settled),
			slog.Int("failed", s.Failed), slog.Bool("backOff", s.BackOff),
		}
	})
}

// noteHook tells of one call of a hook: stack is that of its panic.
func (k *Kit) noteHook(ctx context.Context, op, hook string, took time.Duration, err error, stack []byte) {
	e, level := Event{Code: EventHook, Op: op, Hook: hook, Err: err}, slog.LevelDebug
	switch {
	case stack != nil:
		e.Code, level = EventHookPanicked, slog.LevelError
	case err != nil:
		e.Code, level = EventHookFailed, slog.LevelWarn
	}
	k.tell(ctx, level, e, func() []slog.Attr {
		list := []slog.Attr{slog.String("hook", hook), slog.Duration("duration", took)}
		if stack != nil {
			list = append(list, slog.String("stack", string(stack)))
		}
		return list
	})
}

// noteNotification tells of a verified notification.
func (k *Kit) noteNotification(ctx context.Context, level slog.Level, code Code, n Notification) {
	k.tell(ctx, level, Event{Code: code, Op: "notify", Kind: n.Kind}, func() []slog.Attr {
		return []slog.Attr{slog.String("kind", string(n.Kind)), slog.String("type", clip(n.Type, 64))}
	})
}

// noteAmount tells of a charge that was answered with a payment over another
// amount: most often an order number that was used before.
func (k *Kit) noteAmount(ctx context.Context, op string, r Receipt, p ChargeParams) {
	if r.Outcome != Succeeded || r.Amount == p.Amount {
		return
	}
	e := Event{Code: EventAmountDiffers, Op: op, Wallet: p.Wallet, To: string(r.Outcome), Currency: r.Amount.Currency}
	k.tell(ctx, slog.LevelWarn, e, func() []slog.Attr {
		return []slog.Attr{
			slog.String("order", clip(r.OrderID, 64)),
			slog.String("asked", p.Amount.String()), slog.String("paid", r.Amount.String()),
		}
	})
}

// noteUnrecorded tells of a payment or a refund that has no record.
func (k *Kit) noteUnrecorded(ctx context.Context, n Notification) {
	e := Event{Op: "notify", Kind: n.Kind}
	if n.Kind == KindPayment {
		p := n.Payment
		e.Code, e.Wallet, e.To, e.Currency = EventPayment, p.Wallet, string(outcomeOf(p.Status)), p.Amount.Currency
		k.note(ctx, e, func() []slog.Attr {
			return []slog.Attr{slog.String("order", clip(p.OrderID, 64)), slog.String("status", clip(string(p.Status), 32))}
		})
		return
	}
	r := n.Refund
	e.Code, e.To, e.Currency = EventRefund, string(outcomeOf(r.Status)), r.Amount.Currency
	k.note(ctx, e, func() []slog.Attr {
		return []slog.Attr{slog.String("refund", clip(r.RefundID, 64)), slog.String("status", clip(string(r.Status), 32))}
	})
}
