package hostiletest

import (
	"encoding/json"
	"fmt"
	"reflect"

	"github.com/codegrant/codegrant"
)

// fact is something that became true of one sign-up. What the kit must believe
// of it follows from the set of facts that reached it, and from nothing else:
// not from their order and not from their number.
type fact uint8

const (
	refused         fact = 1 << iota // by the wallet or by the gateway
	agreed                           // the success, which brings the token
	asked                            // the merchant began to end an active token
	endedInWallet                    // by the user
	endedAtMerchant                  // by the merchant, and the gateway did it
	gone                             // the gateway no longer knows the token
	noFact          fact = 0

	ended = endedInWallet | endedAtMerchant | gone
)

// belief is what a record says of its sign-up.
type belief struct {
	status  codegrant.Status
	endedBy codegrant.EndedBy
	token   string
}

func (b belief) String() string { return fmt.Sprintf("%s %q %.6q", b.status, b.endedBy, b.token) }

// believe is the reference: status only rises, an ended token stays ended, and
// whatever names a token fills it in.
func believe(f fact, token string) belief {
	var b belief
	switch {
	case f&ended != 0:
		b.status = codegrant.StatusUnbound
	case f&agreed != 0 && f&asked != 0:
		b.status = codegrant.StatusUnbinding
	case f&agreed != 0:
		b.status = codegrant.StatusActive
	case f&refused != 0:
		b.status = codegrant.StatusFailed
	default:
		b.status = codegrant.StatusPending
	}
	switch { // of several who ended it, the most definite is named
	case f&endedInWallet != 0:
		b.endedBy = codegrant.EndedByUser
	case f&endedAtMerchant != 0:
		b.endedBy = codegrant.EndedByMerchant
	case f&gone != 0:
		b.endedBy = codegrant.EndedByGateway
	}
	if f&(agreed|ended) != 0 {
		b.token = token
	}
	return b
}

// modelled is what may be known of one sign-up.
type modelled struct {
	token string // the gateway's; empty until a message or an answer carried it
	sure  fact   // was accepted
	maybe fact   // was sent, and an error came back: may have been accepted
	last  codegrant.Token
}

// learned notes that a fact reached the kit; accepted says that the kit took
// responsibility for it.
func (m *modelled) learned(f fact, accepted bool) {
	if accepted {
		m.sure |= f
	} else {
		m.maybe |= f
	}
}

// judge compares a record with what it may say, and with what it said before.
func (m *modelled) judge(t codegrant.Token) error {
	got := belief{t.Status, t.EndedBy, t.Value.Reveal()}
	if t.Fingerprint != codegrant.Fingerprint(t.Value) {
		return fmt.Errorf("record %s: fingerprint of another token", t.ID)
	}
	explained, kept := false, noFact
	open := m.maybe &^ m.sure
	for some := open; ; some = (some - 1) & open { // every subset of open
		if believe(m.sure|some, m.token) == got {
			explained, kept = true, kept|some
		}
		if some == noFact {
			break
		}
	}
	if !explained {
		return fmt.Errorf("record %s is %v, want %v (sure %06b, maybe %06b)", t.ID, got, believe(m.sure, m.token), m.sure, m.maybe)
	}
	m.maybe = kept // what is in no explanation was not accepted
	switch was := m.last; {
	case was.ID == "":
	case t.Status < was.Status, t.Handled < was.Handled, t.Revision < was.Revision,
		was.Fingerprint != "" && was.Fingerprint != t.Fingerprint,
		was.EndedBy != "" && t.EndedBy == "":
		return fmt.Errorf("record %s fell back from %v revision %d to %v revision %d", t.ID, was, was.Revision, t, t.Revision)
	case t.Revision == was.Revision && !reflect.DeepEqual(t, was):
		return fmt.Errorf("record %s changed without a new revision", t.ID)
	case t.ID != was.ID, t.UserID != was.UserID, t.AccountID != was.AccountID, t.Wallet != was.Wallet, !t.CreatedAt.Equal(was.CreatedAt):
		return fmt.Errorf("record %s became somebody else's", t.ID)
	}
	if t.Handled > t.Status {
		return fmt.Errorf("record %s: hook accepted %s, which never was", t.ID, t.Handled)
	}
	// What nobody but the gateway or a hook can settle must be found again.
	waits := t.Handled < t.Status || t.Status == codegrant.StatusPending || t.Status == codegrant.StatusUnbinding ||
		(t.Status == codegrant.StatusActive && !t.DoubtedAt.IsZero())
	if waits == t.UnsettledSince.IsZero() {
		return fmt.Errorf("record %s: %s, handled %s, but unsettled since %v", t.ID, t.Status, t.Handled, t.UnsettledSince)
	}
	m.last = t
	return nil
}

// told reads a notification as anybody may, and returns whom it is about.
func told(body []byte) (id, token string, f fact) {
	var envelope struct{ BizContent string }
	var biz struct{ NotifyType, RequestID, Token, Status string }
	if json.Unmarshal(body, &envelope) != nil || json.Unmarshal([]byte(envelope.BizContent), &biz) != nil {
		return "", "", noFact
	}
	switch {
	case biz.NotifyType == created && biz.Status == "FAILED":
		f = refused
	case biz.NotifyType == created:
		f = agreed
	case biz.NotifyType == endedByUser:
		f = endedInWallet
	case biz.NotifyType == endedByUs:
		f = endedAtMerchant
	}
	return biz.RequestID, biz.Token, f
}
