package codegrant

import (
	"context"
	"errors"
)

// applyToken moves the record that n concerns.
func (k *Kit) applyToken(ctx context.Context, n Notification, id string) error {
	fingerprint := Fingerprint(n.Token)
	named, known, err := k.byToken(ctx, n.AccountID, fingerprint)
	if err != nil {
		return err
	}
	var byToken *Token
	if known {
		byToken = &named
	}
	t, err := k.find(ctx, n, id, byToken)
	if errors.Is(err, ErrNotFound) {
		return k.unmatched(ctx, n)
	}
	if err != nil {
		return err
	}
	if n.Kind == KindSignedUp && byToken != nil && isTombstone(*byToken) && !t.CreatedAt.After(byToken.CreatedAt) {
		// The end of this token came first. A sign-up that is younger than that
		// end is another agreement, even if the gateway gave it the same token.
		n.Kind = endingKind(byToken.EndedBy)
	}
	after := t
	// Three of four deliveries may be repetitions. As status only rises, what
	// the record shows already needs no lock, no transaction and no save.
	if _, changes := Transition(t, n, k.now()); changes || t.Handled < t.Status {
		news := n // of its own, so that a repetition costs no copy of n
		after, err = k.tokens.advance(ctx, "notify", t, func(t Token) (Token, bool) { return Transition(t, news, k.now()) })
	}
	if err == nil && n.Kind == KindSignedUp && after.Fingerprint != "" && fingerprint != "" && after.Fingerprint != fingerprint {
		// A second token of one sign-up gets a record of its own: neither is
		// lost, and each ends by its own unbinding.
		n.RequestID, n.UserID, n.Wallet = derivedID("second", t.ID, fingerprint), t.UserID, t.Wallet
		return k.adopt(ctx, n)
	}
	return err
}

// byToken returns the account's newest record of the token with that
// fingerprint, false when there is none.
func (k *Kit) byToken(ctx context.Context, accountID, fingerprint string) (Token, bool, error) {
	t, err := k.store.ByFingerprint(ctx, fingerprint)
	switch {
	case err == nil:
		return t, t.AccountID == accountID, nil
	case errors.Is(err, ErrNotFound):
		return Token{}, false, nil
	}
	return Token{}, false, k.storeError(ctx, "notify", err)
}

// find returns the record that n concerns. What is signed goes before the
// path, which is not: an unbinding is found by its token first, for its
// requestId may be that of the unbinding; a success by its requestId. The path
// helps only where the signed part names no record, and never moves a token to
// another user.
func (k *Kit) find(ctx context.Context, n Notification, id string, byToken *Token) (Token, error) {
	if byToken != nil && n.Kind != KindSignedUp && sameUser(*byToken, n) && !isTombstone(*byToken) {
		return *byToken, nil
	}
	for _, candidate := range []string{n.RequestID, id} {
		if candidate == "" {
			continue
		}
		t, err := Token{}, error(ErrNotFound)
		if isRecordID(candidate) { // no other text is asked of a store
			t, err = k.store.Get(ctx, candidate)
		}
		if errors.Is(err, ErrNotFound) {
			if candidate == n.RequestID && n.Kind == KindSignedUp {
				break // it names a record, and not the one in the path
			}
			continue
		}
		if err != nil {
			return Token{}, k.storeError(ctx, "notify", err)
		}
		if t.AccountID != n.AccountID || !sameUser(t, n) {
			continue
		}
		if byToken != nil && byToken.UserID != "" && byToken.UserID != t.UserID {
			continue
		}
		if n.Kind == KindSignedUp || concerns(t, n) {
			return t, nil
		}
	}
	if byToken != nil && sameUser(*byToken, n) {
		return *byToken, nil
	}
	return Token{}, &Error{Op: "notify", Code: ErrNotFound}
}

// sameUser reports whether n may be about t. A tombstone whose unbinding named
// no user has none.
func sameUser(t Token, n Notification) bool {
	return n.UserID == "" || t.UserID == "" || n.UserID == t.UserID
}

// unmatched handles a signed notification that fits no record. A success that
// says whose it is, as after the restore of an older backup, is adopted:
// a token is never lost.
func (k *Kit) unmatched(ctx context.Context, n Notification) error {
	if n.Kind == KindSignedUp && isRecordID(n.RequestID) && n.UserID != "" && !n.Token.IsZero() {
		return k.adopt(ctx, n)
	}
	if k.cfg.OnUnknown == nil {
		// Somebody's token or its end, whose record may be on its way to this
		// replica of the database: the gateway delivers again for half a day.
		return &Error{Op: "notify", Code: ErrUnmatched, Err: errors.New("kind " + string(n.Kind))}
	}
	if err := k.unknown(ctx, n); err != nil {
		return err
	}
	return k.bury(ctx, n)
}

// bury leaves a tombstone for a token whose end came before any record of it
// and was taken by OnUnknown: it will not be sent again, and a success that
// comes later must not revive the token.
func (k *Kit) bury(ctx context.Context, n Notification) error {
	switch n.Kind {
	case KindUnboundByUser, KindUnboundByMerchant, KindTokenGone:
	default:
		return nil
	}
	if n.Token.IsZero() {
		return nil
	}
	now := k.now()
	err := k.store.Save(ctx, Token{
		ID: tombstoneID(n.AccountID, Fingerprint(n.Token)), AccountID: n.AccountID, UserID: n.UserID, Wallet: n.Wallet,
		Status: StatusUnbound, Handled: StatusUnbound, Revision: 1, EndedBy: endedBy(n.Kind),
		Value: n.Token, Fingerprint: Fingerprint(n.Token), CreatedAt: now, UpdatedAt: now,
	})
	if err != nil && !errors.Is(err, ErrConflict) {
		return k.storeError(ctx, "notify", err)
	}
	return nil
}

func tombstoneID(accountID, fingerprint string) string {
	return derivedID("tombstone", accountID, fingerprint)
}

func isTombstone(t Token) bool {
	return t.Status == StatusUnbound && t.ID == tombstoneID(t.AccountID, t.Fingerprint)
}

// adopt makes a record for a token that has none.
func (k *Kit) adopt(ctx context.Context, n Notification) error {
	now := k.now()
	t := Token{
		ID: n.RequestID, AccountID: n.AccountID, UserID: n.UserID, Wallet: n.Wallet,
		Status: StatusPending, Handled: StatusPending, Revision: 1,
		CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
	}
	switch err := k.store.Save(ctx, t); {
	case err == nil:
		k.noteToken(ctx, "notify", EventAdopted, 0, t)
	case !errors.Is(err, ErrConflict):
		return k.storeError(ctx, "notify", err)
	}
	after, err := k.tokens.advance(ctx, "notify", t, func(t Token) (Token, bool) {
		if t.UserID != n.UserID || t.AccountID != n.AccountID {
			return t, false
		}
		return Transition(t, n, k.now())
	})
	if err == nil && (after.UserID != n.UserID || after.AccountID != n.AccountID) {
		return &Error{Op: "notify", Code: ErrUnmatched} // the number is another user's
	}
	return err
}
