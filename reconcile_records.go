package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// unsettled lists the sign-ups that wait. A sealed store returns what it could
// open beside its error.
func (k *Kit) unsettled(ctx context.Context, limit int) (list []Token, err error) {
	const op = "reconcile"
	defer survive(op, &err)
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	list, err = k.store.Unsettled(ctx, k.now().Add(-k.cfg.Reconcile.After), limit)
	if err != nil {
		err = k.storeError(ctx, op, err)
	}
	return list, err
}

// unsettledPayments lists the orders that wait.
func (k *Kit) unsettledPayments(ctx context.Context, limit int) (list []Payment, err error) {
	const op = "reconcile"
	if k.cfg.Payments == nil {
		return nil, nil
	}
	defer survive(op, &err)
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	list, err = k.cfg.Payments.UnsettledPayments(ctx, k.now().Add(-k.cfg.Reconcile.After), limit)
	if err != nil {
		err = k.storeError(ctx, op, err)
	}
	return list, err
}

func (k *Kit) tokenTask(cfg ReconcileConfig, t Token) task {
	w := workHook
	switch {
	case t.Status == StatusUnbinding:
		w = workUnbind
	case t.Status == StatusPending, t.Status == StatusActive && !t.DoubtedAt.IsZero():
		w = workQuery
	}
	return task{kit: k, work: w, about: slog.Any("token", t), takeUp: func(ctx context.Context, ask bool) (bool, error) {
		next := t
		next.Revision, next.UnsettledSince = t.Revision+1, k.postponed(t.UpdatedAt, cfg.After)
		if err := claim(ctx, k, k.tokens, next); err != nil {
			return false, err
		}
		after, err := k.settleToken(ctx, next, w, ask, cfg.GiveUpAfter)
		return after.UnsettledSince.IsZero(), err
	}}
}

func (k *Kit) paymentTask(cfg ReconcileConfig, p Payment) task {
	w := workHook
	if p.open() || slices.ContainsFunc(p.Refunds, RefundRecord.open) {
		w = workPayment
	}
	return task{kit: k, work: w, about: slog.Any("payment", p), takeUp: func(ctx context.Context, ask bool) (bool, error) {
		if k.payments == nil {
			return false, &Error{Op: "reconcile", Code: ErrDisabled, Err: errors.New("the account's Kit has no Config.Payments")}
		}
		next := p
		next.Revision, next.UnsettledSince = p.Revision+1, k.postponed(p.UpdatedAt, cfg.After)
		if err := claim(ctx, k, k.payments, next); err != nil {
			return false, err
		}
		after, err := k.settleOrder(ctx, next, ask)
		return after.UnsettledSince.IsZero(), err
	}}
}

// postponed is the UnsettledSince of a record that is taken up now: it comes up
// again, if it is not settled, after as long as it has waited.
func (k *Kit) postponed(changed time.Time, after time.Duration) time.Time {
	now := k.now()
	return now.Add(min(max(now.Sub(changed), after), longestWait) - after)
}

// claim saves next, by which a record becomes this process's own for a while:
// whoever lists the unsettled ones meanwhile does not see it.
func claim[R any](ctx context.Context, k *Kit, keeper *keeper[R], next R) error {
	ctx, cancel := k.detached(ctx)
	defer cancel()
	err := keeper.save(ctx, next)
	switch {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return errTaken
	case err != nil:
		return k.storeError(ctx, "reconcile", err)
	}
	return nil
}

// settleToken does what t waits for.
func (k *Kit) settleToken(ctx context.Context, t Token, w work, ask bool, giveUpAfter time.Duration) (after Token, err error) {
	const op = "reconcile"
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+2*k.cfg.Timeout)
	defer cancel()
	switch {
	case w == workHook:
		return k.tokens.hearOwed(ctx, op, t)
	case w == workUnbind && ask:
		return k.endUnbinding(ctx, op, t)
	case w == workUnbind:
		return t, nil
	}
	after = t
	if ask {
		if after, err = k.Refresh(ctx, t.ID); after.ID == "" {
			after = t
		}
	}
	if errors.Is(err, ErrDisabled) {
		k.sayBlind(ctx)
		err = nil
	}
	if after.Status != StatusPending || k.now().Sub(t.CreatedAt) < giveUpAfter {
		return after, err
	}
	return k.tokens.advance(ctx, op, after, func(t Token) (Token, bool) {
		return Transition(t, Notification{Kind: KindSignUpFailed}, k.now())
	})
}

// sayBlind logs once that sign-ups cannot be asked about.
func (k *Kit) sayBlind(ctx context.Context) {
	k.blind.Do(func() {
		k.tell(ctx, slog.LevelWarn, Event{Code: EventSignUpsNotAsked, Op: "reconcile"}, nil)
	})
}

// settleOrder asks about the charge and each refund whose end is not known, and
// runs the hooks that are owed.
func (k *Kit) settleOrder(ctx context.Context, p Payment, ask bool) (Payment, error) {
	const op = "reconcile"
	var failed []error
	if ask && p.open() {
		calling, cancel := k.detachedFor(ctx, k.client.timeout+k.cfg.Timeout)
		after, err := k.askPayment(calling, op, p)
		cancel()
		p, failed = after, append(failed, err)
	}
	for _, r := range p.Refunds {
		if !ask || !r.open() {
			continue
		}
		calling, cancel := k.detachedFor(ctx, 2*k.client.timeout+k.cfg.Timeout)
		_, err := k.resumeRefund(calling, op, p, r)
		cancel()
		failed = append(failed, err)
	}
	saving, cancel := k.detached(ctx)
	defer cancel()
	after, err := k.payments.get(saving, p.ID)
	if err != nil {
		return p, errors.Join(append(failed, k.storeError(saving, op, err))...)
	}
	after, err = k.payments.hearOwed(saving, op, after)
	return after, errors.Join(append(failed, err)...)
}
