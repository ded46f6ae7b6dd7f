package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// UnbindParams says which agreement to end.
type UnbindParams struct {
	UserID  string // the merchant's own user id; required
	TokenID string // id of the record; empty means the user's only live token
}

// UnbindToken ends an agreement for the merchant. It marks the token as
// unbinding first, so that no new charge starts, and asks the gateway then. It
// is what [Kit.Unbind] does, without HTTP.
//
// nil means that the token is unbound, also when it was already; beside an
// error of the hook or the store the returned status tells how far it came. A
// signed refusal is a [*GatewayError]; when the gateway's answer is lost the error
// matches [ErrOutcomeUnknown]. In both cases the token stays unbinding, and
// calling again repeats the same request. Another user's token matches
// [ErrNotOwner], a sign-up that never had a token [ErrNoToken]. It does not
// stop when ctx is cancelled, only after the client's time-out.
func (k *Kit) UnbindToken(ctx context.Context, p UnbindParams) (Token, error) {
	return observed(ctx, k, OperationTask, "unbind", func(ctx context.Context) (Token, error) { return k.unbindToken(ctx, p) })
}

func (k *Kit) unbindToken(ctx context.Context, p UnbindParams) (Token, error) {
	const op = "unbind"
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+2*k.cfg.Timeout)
	defer cancel()
	t, err := k.ownToken(ctx, op, p.UserID, p.TokenID)
	if err != nil {
		return t, err
	}
	t, err = k.markUnbinding(ctx, op, t)
	if err != nil {
		return t, err
	}
	if t.Status == StatusUnbound {
		return k.tokens.hearOwed(ctx, op, t)
	}
	if t.Status != StatusUnbinding {
		return t, &Error{Op: op, Code: ErrNoToken}
	}
	return k.endUnbinding(ctx, op, t)
}

// endUnbinding asks the gateway to end a token that is marked as unbinding.
// Doing it again is the same request.
func (k *Kit) endUnbinding(ctx context.Context, op string, t Token) (Token, error) {
	sendErr := k.sendUnbind(ctx, t)
	kind := KindUnboundByMerchant
	switch {
	case errors.Is(sendErr, ErrTokenGone):
		kind, sendErr = KindTokenGone, nil // it was over already
	case sendErr != nil:
		// Not over, as far as is known. The hook hears that it is ending.
		kind = KindUnknown
	}
	t, err := k.tokens.advance(ctx, op, t, func(t Token) (Token, bool) {
		return Transition(t, Notification{Kind: kind, Token: t.Value}, k.now())
	})
	if sendErr != nil {
		if err != nil {
			k.reject(ctx, op, err, slog.Any("token", t))
		}
		return t, sendErr
	}
	return t, err
}

// markUnbinding stops new charges before the gateway hears of it.
func (k *Kit) markUnbinding(ctx context.Context, op string, known Token) (Token, error) {
	unlock, _, err := k.locks.lock(ctx, known.ID)
	if err != nil {
		return known, wrap(op, ErrDeadline, err)
	}
	defer unlock()
	return k.tokens.update(ctx, op, known, true, func(t Token) (Token, bool) {
		if t.Status != StatusActive {
			return t, false
		}
		t.Status = StatusUnbinding
		return t, true
	})
}

func (k *Kit) sendUnbind(ctx context.Context, t Token) error {
	// Derived from the record, so that a repetition is the same request.
	requestID := derivedID("unbind", t.AccountID, t.ID)
	if k.cfg.OlderFlow {
		return k.client.CancelToken(ctx, CancelTokenRequest{RequestID: requestID, UserID: t.UserID, Token: t.Value})
	}
	return k.client.Unbind(ctx, UnbindRequest{RequestID: requestID, UserID: t.UserID, Token: t.Value})
}

// ownToken returns the user's record with this id or, without an id, the only
// one that is active or unbinding.
func (k *Kit) ownToken(ctx context.Context, op, userID, id string) (Token, error) {
	if userID == "" {
		return Token{}, &Error{Op: op, Code: ErrUnauthenticated}
	}
	if id != "" {
		t, err := k.store.Get(ctx, id)
		if err != nil {
			return Token{}, k.storeError(ctx, op, err)
		}
		if t.UserID != userID || t.AccountID != k.client.account.ID {
			return Token{}, &Error{Op: op, Code: ErrNotOwner}
		}
		return t, nil
	}
	tokens, err := k.store.ByUser(ctx, k.client.account.ID, userID)
	if err != nil {
		return Token{}, k.storeError(ctx, op, err)
	}
	var live []Token
	for _, t := range tokens {
		if t.Status == StatusActive || t.Status == StatusUnbinding {
			live = append(live, t)
		}
	}
	if len(live) != 1 {
		return Token{}, &Error{Op: op, Code: ErrNoToken}
	}
	return live[0], nil
}

// Unbind returns the handler that ends one of the signed-in user's agreements.
// It takes a POST with the fields id (of the record, needed when the user has
// several live tokens) and optionally returnTo, as a form or as JSON. A browser
// is sent to the return target with 303, also while the outcome is not known
// yet; a client that accepts JSON gets {"id","wallet","status"} with 200, or with
// 202 while it is not known.
func (k *Kit) Unbind() http.Handler {
	return k.browserPost("unbind", func(w http.ResponseWriter, r *http.Request, userID string, in formInput) error {
		target, ok := k.returnTarget(in.ReturnTo)
		if !ok {
			return k.refuse(w, r, "unbind", ErrInvalidRequest)
		}
		t, err := k.unbindToken(r.Context(), UnbindParams{UserID: userID, TokenID: in.ID})
		status := http.StatusOK
		if err != nil {
			k.reject(r.Context(), "unbind", err, slog.Any("token", t))
		}
		switch {
		case err == nil || t.Status == StatusUnbound: // a hook may still be owed
		case t.Status == StatusUnbinding && !errors.Is(err, ErrRefused):
			status = http.StatusAccepted
		default:
			k.answerError(w, r, err)
			return err
		}
		if wantsJSON(r) {
			writeJSON(w, status, tokenView{ID: t.ID, Wallet: t.Wallet, Status: t.Status})
			return err
		}
		http.Redirect(w, r, target, http.StatusSeeOther)
		return err
	})
}
