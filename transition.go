package codegrant

import "time"

// Transition is the whole of the domain's logic: what a record becomes when a
// verified notification, or an equally verified answer to a query, concerns
// it. It is pure, and its result does not depend on the order or the number of
// times in which a record's notifications arrive. The second result is false
// when nothing changes.
//
// Status only rises. A late success never revives an ended token: it only
// fills in which token it was that ended.
func Transition(t Token, n Notification, now time.Time) (Token, bool) {
	next := t
	switch n.Kind {
	case KindSignedUp:
		if n.Token.IsZero() {
			return t, false // nothing to pay with: not yet a success
		}
		if next.Fingerprint == "" {
			next.Value, next.Fingerprint = n.Token, Fingerprint(n.Token)
		}
		if next.LoginID.IsZero() && !n.LoginID.IsZero() && concerns(next, n) {
			next.LoginID = n.LoginID
		}
		next.Status = max(next.Status, StatusActive)
	case KindSignUpFailed:
		next.Status = max(next.Status, StatusFailed)
	case KindUnboundByUser, KindUnboundByMerchant, KindTokenGone:
		if !concerns(t, n) {
			return t, false
		}
		if next.Fingerprint == "" && !n.Token.IsZero() {
			next.Value, next.Fingerprint = n.Token, Fingerprint(n.Token)
		}
		next.Status, next.DoubtedAt = StatusUnbound, time.Time{}
		// Of two who ended it, the one who is named is the same in any order.
		if by := endedBy(n.Kind); endedRank(by) > endedRank(next.EndedBy) {
			next.EndedBy = by
		}
	default:
		return t, false
	}
	next = settle(next, now)
	return next, changed(t, next)
}

// concerns reports whether a notification means this record's token and not
// another one of the same user or of the same sign-up.
func concerns(t Token, n Notification) bool {
	return t.Fingerprint == "" || n.Token.IsZero() || hasFingerprint(n.Token, t.Fingerprint)
}

func endedBy(k Kind) EndedBy {
	switch k {
	case KindUnboundByUser:
		return EndedByUser
	case KindUnboundByMerchant:
		return EndedByMerchant
	}
	return EndedByGateway
}

// endingKind is the inverse of endedBy.
func endingKind(by EndedBy) Kind {
	switch by {
	case EndedByUser:
		return KindUnboundByUser
	case EndedByMerchant:
		return KindUnboundByMerchant
	}
	return KindTokenGone
}

func endedRank(by EndedBy) int {
	switch by {
	case EndedByUser:
		return 3
	case EndedByMerchant:
		return 2
	case EndedByGateway:
		return 1
	}
	return 0
}

// settle keeps UnsettledSince in step with the rest of the record: since now
// when it begins to wait, unchanged while it waits, zero when it is at rest.
func settle(t Token, now time.Time) Token {
	waits := t.Handled < t.Status || t.Status == StatusPending || t.Status == StatusUnbinding ||
		(t.Status == StatusActive && !t.DoubtedAt.IsZero())
	switch {
	case !waits:
		t.UnsettledSince = time.Time{}
	case t.UnsettledSince.IsZero():
		t.UnsettledSince = now
	}
	return t
}

// changed compares what a transition may change.
func changed(a, b Token) bool {
	return a.Status != b.Status || a.Handled != b.Handled || a.EndedBy != b.EndedBy ||
		a.Fingerprint != b.Fingerprint || !a.LoginID.Equal(b.LoginID) ||
		!a.UnsettledSince.Equal(b.UnsettledSince) || !a.DoubtedAt.Equal(b.DoubtedAt)
}
