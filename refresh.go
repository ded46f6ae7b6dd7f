package codegrant

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// Refresh asks the gateway, by a signed query, how the record stands and
// applies the answer as if it had been notified. It returns the record as it
// is afterwards. Concurrent calls for one record share one query. It matches
// [ErrDisabled] where [Endpoints.SignUpQuery] is switched off, and [ErrDeadline]
// when ctx ends first: the query goes on then, and its answer still counts.
func (k *Kit) Refresh(ctx context.Context, id string) (Token, error) {
	return observed(ctx, k, OperationTask, "refresh", func(ctx context.Context) (Token, error) { return k.sharedRefresh(ctx, id) })
}

func (k *Kit) sharedRefresh(ctx context.Context, id string) (Token, error) {
	result := k.queries.DoChan(id, func() (_ any, err error) {
		defer survive("refresh", &err)
		return k.refresh(ctx, id)
	})
	select {
	case r := <-result:
		t, _ := r.Val.(Token)
		return t, r.Err
	case <-ctx.Done():
		return Token{}, wrap("refresh", ErrDeadline, ctx.Err())
	}
}

func (k *Kit) refresh(ctx context.Context, id string) (Token, error) {
	const op = "refresh"
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+k.cfg.Timeout)
	defer cancel()
	t, err := k.store.Get(ctx, id)
	if err != nil {
		return Token{}, k.storeError(ctx, op, err)
	}
	if t.Status == StatusUnbound {
		return k.tokens.hearOwed(ctx, op, t)
	}
	n, err := k.ask(ctx, t)
	if err != nil {
		// Without news the hook can still hear what it has not heard yet.
		heard, hookErr := k.tokens.hearOwed(ctx, op, t)
		if hookErr != nil {
			k.reject(ctx, op, hookErr, slog.Any("token", heard))
		}
		return heard, err
	}
	return k.tokens.advance(ctx, op, t, func(t Token) (Token, bool) {
		next, ok := Transition(t, n, k.now())
		if n.Kind == KindSignedUp && !t.DoubtedAt.IsZero() && n.Token.Equal(t.Value) {
			next.DoubtedAt, ok = time.Time{}, true // the gateway still knows it
		}
		return next, ok
	})
}

// ask returns what the gateway knows of a record, as if it had been notified.
func (k *Kit) ask(ctx context.Context, t Token) (Notification, error) {
	state, err := k.client.QuerySignUp(ctx, SignUpQuery{RequestID: t.ID, UserID: t.UserID, Token: t.Value})
	switch {
	case errors.Is(err, ErrDisabled) && k.cfg.QueryByList:
		return k.askByList(ctx, t)
	case errors.Is(err, ErrTokenGone) && t.Status >= StatusActive:
		return Notification{Kind: KindTokenGone, AccountID: t.AccountID, Token: t.Value}, nil
	case err != nil:
		return Notification{}, err
	}
	return k.read(t, state), nil
}

// askByList looks for t's token among those of its user. A sign-up that has no
// token yet gets the only one of its wallet that no other record has: of
// several nobody knows whose they are.
func (k *Kit) askByList(ctx context.Context, t Token) (Notification, error) {
	n := Notification{AccountID: t.AccountID}
	listed, err := k.client.ListTokens(ctx, ListTokensRequest{
		RequestID: derivedID("list", t.AccountID, t.ID, strconv.FormatInt(t.Revision, 10)), UserID: t.UserID, Token: t.Value,
	})
	switch {
	case errors.Is(err, ErrTokenGone) && !t.Value.IsZero():
		listed = nil
	case err != nil:
		return n, err
	}
	for _, l := range listed {
		if mismatch(l.UserID, t.UserID) || mismatch(l.AccountID, t.AccountID) || mismatch(string(l.Wallet), string(t.Wallet)) {
			continue
		}
		if !t.Value.IsZero() {
			if l.Token.Equal(t.Value) {
				n.Kind, n.Token, n.LoginID = KindSignedUp, l.Token, l.LoginID
				return n, nil
			}
			continue
		}
		switch _, err := k.store.ByFingerprint(ctx, Fingerprint(l.Token)); {
		case err == nil:
			continue
		case !errors.Is(err, ErrNotFound):
			return n, k.storeError(ctx, "refresh", err)
		case n.Kind == KindSignedUp:
			return Notification{AccountID: t.AccountID}, nil
		}
		n.Kind, n.Token, n.LoginID = KindSignedUp, l.Token, l.LoginID
	}
	if n.Kind == KindUnknown && !t.Value.IsZero() && k.cfg.OlderFlow {
		n.Kind, n.Token = KindTokenGone, t.Value
	}
	return n, nil
}

// read says what the answer to a query means for t; an answer that fits
// nothing means nothing.
func (k *Kit) read(t Token, s SignUpState) Notification {
	n := Notification{AccountID: t.AccountID, Token: s.Token, LoginID: s.LoginID}
	if mismatch(s.RequestID, t.ID) || mismatch(s.UserID, t.UserID) {
		return n
	}
	n.Kind = k.cfg.SignUpStatuses[s.Status]
	if s.Status == "" && !s.Token.IsZero() {
		n.Kind = KindSignedUp
	}
	switch n.Kind {
	case KindSignedUp:
		// The reference is all that a pending sign-up is known to have, and it
		// is not known to pay.
		if s.Token.Equal(t.Reference) {
			n.Kind = KindUnknown
		}
	case KindTokenGone:
		if n.Token.IsZero() {
			n.Token = t.Value
		}
	}
	return n
}

// applyAuthCode trades the code that the browser brought back, by the older
// flow, for the token. The state must be the one that the gateway put into
// this record's wallet page.
func (k *Kit) applyAuthCode(ctx context.Context, t Token, code, state string) (Token, error) {
	const op = "return"
	if t.AuthState == "" || !NewSecret(state).Equal(NewSecret(t.AuthState)) {
		return t, &Error{Op: op, Code: ErrInvalidRequest, Err: errors.New("authState is not this sign-up's")}
	}
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+k.cfg.Timeout)
	defer cancel()
	// Derived from the record and the code, so that a reload is the same
	// request.
	got, err := k.client.ApplyToken(ctx, ApplyTokenRequest{
		RequestID: derivedID("apply", t.AccountID, t.ID, code), UserID: t.UserID,
		AuthCode: NewSecret(code), AuthState: state,
	})
	if err != nil {
		return t, err
	}
	n := Notification{Kind: KindSignedUp, AccountID: t.AccountID, Token: got.Token, LoginID: got.LoginID}
	return k.tokens.advance(ctx, op, t, func(t Token) (Token, bool) { return Transition(t, n, k.now()) })
}

// derivedID returns the request number that belongs to the parts: the same for
// the same parts, another for any others.
func derivedID(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		// The length goes first, so that no two lists of parts look alike.
		h.Write([]byte{byte(len(p) >> 8), byte(len(p))}) //nolint:gosec // G115: parts are short
		h.Write([]byte(p))
	}
	return strings.ToUpper(hex.EncodeToString(h.Sum(nil)[:20]))
}
