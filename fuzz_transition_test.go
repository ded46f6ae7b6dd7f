package codegrant

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// drawn gives choices out of bytes, zeros when they are used up.
type drawn struct{ from []byte }

func (d *drawn) below(n int) int {
	if len(d.from) == 0 {
		return 0
	}
	b := int(d.from[0]) % n
	d.from = d.from[1:]
	return b
}

func (d *drawn) secret(values ...string) Secret { return NewSecret(values[d.below(len(values))]) }

// record draws a record such as the kit writes: settled, its hooks not ahead of
// it, nobody named as having ended what has not ended.
func (d *drawn) record(then time.Time) Token {
	t := Token{
		ID: "R", AccountID: "A", UserID: "U", Wallet: GCash, Revision: 7, AuthURL: "https://wallet.example/", AuthState: "S",
		ReturnTo: "/account", Reference: NewSecret("reference"), CreatedAt: then, UpdatedAt: then,
		Status: Status(1 + d.below(5)),
	}
	t.Handled = Status(1 + d.below(int(t.Status)))
	if t.Status >= StatusActive {
		t.Value, t.LoginID = d.secret("token", "other", ""), d.secret("", "login")
		t.Fingerprint = Fingerprint(t.Value)
	}
	if t.Status == StatusActive && d.below(2) == 1 {
		t.DoubtedAt = then
	}
	if t.Status == StatusUnbound {
		t.EndedBy = []EndedBy{"", EndedByGateway, EndedByMerchant, EndedByUser}[d.below(4)]
	}
	return settle(t, then)
}

// notification draws one that concerns token, if it names any.
func (d *drawn) notification(token string) Notification {
	return Notification{
		Kind: []Kind{
			KindSignedUp, KindSignUpFailed, KindUnboundByUser, KindUnboundByMerchant, KindTokenGone,
			KindPayment, KindRefund, KindUnknown, "a kind of tomorrow",
		}[d.below(9)],
		Token: d.secret(token, ""), LoginID: d.secret("login", ""),
		AccountID: "B", UserID: "V", Wallet: DANA, RequestID: "Q", Status: "FAILED", Code: "1",
	}
}

// plain is a record that can be compared: secrets in the clear, and of the
// fingerprint as much as may be printed.
func plain(t Token) [2]any {
	t.Fingerprint = fmt.Sprintf("%.8s", t.Fingerprint)
	secrets := [3]string{t.Value.Reveal(), t.LoginID.Reveal(), t.Reference.Reveal()}
	t.Value, t.LoginID, t.Reference = Secret{}, Secret{}, Secret{}
	return [2]any{t, secrets}
}

// sum is what a record becomes by a set of notifications about its own token,
// which knows no order: the highest status, the highest-ranked name, the one
// token, the one login.
func sum(t Token, now time.Time, all ...Notification) Token {
	ranks := map[EndedBy]int{"": 0, EndedByGateway: 1, EndedByMerchant: 2, EndedByUser: 3}
	heard := false
	rise := func(to Status) {
		heard = true
		if to > t.Status {
			t.Status = to
		}
	}
	for _, n := range all {
		by, token := EndedBy(""), n.Token
		switch n.Kind {
		case KindSignedUp:
			if token.IsZero() {
				continue
			}
			rise(StatusActive)
			if t.LoginID.IsZero() {
				t.LoginID = n.LoginID
			}
		case KindSignUpFailed:
			rise(StatusFailed)
			token = Secret{}
		case KindUnboundByUser:
			by = EndedByUser
		case KindUnboundByMerchant:
			by = EndedByMerchant
		case KindTokenGone:
			by = EndedByGateway
		default:
			continue
		}
		if by != "" {
			rise(StatusUnbound)
			t.DoubtedAt = time.Time{} // nothing is in doubt any more
			if ranks[by] > ranks[t.EndedBy] {
				t.EndedBy = by
			}
		}
		if !token.IsZero() {
			t.Value, t.Fingerprint = token, Fingerprint(token)
		}
	}
	switch waits := t.Status == StatusPending || t.Status == StatusUnbinding || t.Handled < t.Status || (t.Status == StatusActive && !t.DoubtedAt.IsZero()); {
	case heard && !waits:
		t.UnsettledSince = time.Time{}
	case heard && t.UnsettledSince.IsZero():
		t.UnsettledSince = now
	}
	return t
}

// FuzzTransition: the pure function is the sum of what it hears, whatever the
// order and the number of copies, and what it hears of another token changes
// neither which token the record has nor whether that one is over.
func FuzzTransition(f *testing.F) {
	for status := range byte(5) {
		for kind := range byte(9) {
			f.Add([]byte{status, kind, 0, 0, kind, 0, 0, kind / 2, 1, 0, 2, 0, 1})
			f.Add([]byte{status, 0, 1, 1, 1, kind, 0, 0, 0, 1, 1, 8 - kind, 0, 0})
			f.Add([]byte{status, status, 0, 1, 0, 8, 0, 0, 8, 0, 0, 8, 0, 0, kind, 0, 0})
			f.Add([]byte{status, 0, 2, 0, kind, 0, 0, 8 - kind, 1, 0, 0, 0, 1, 1})
		}
	}
	then := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	now := then.Add(time.Hour)
	f.Fuzz(func(t *testing.T, choices []byte) {
		d := &drawn{from: choices}
		record := d.record(then)
		own := record.Value.Reveal()
		if own == "" {
			own = "token"
		}
		all := [3]Notification{d.notification(own), d.notification(own), d.notification(own)}
		stranger := d.notification("a stranger's")

		for _, n := range append(all[:], stranger) {
			requireStep(t, record, n, now)
		}
		for _, order := range [][]int{
			{0}, {0, 1}, {1, 0}, {0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0},
			{0, 0, 1, 0, 1, 2, 0, 1, 2, 2}, {2, 1, 0, 1, 2, 0},
		} {
			got, heard := record, []Notification{}
			for _, i := range order {
				got, _ = Transition(got, all[i], now)
				heard = append(heard, all[i])
			}
			require.Equal(t, plain(sum(record, now, heard...)), plain(got))
		}
	})
}

// requireStep holds one call to what is true of every one.
func requireStep(t *testing.T, record Token, n Notification, now time.Time) {
	before := plain(record)
	next, changed := Transition(record, n, now)
	require.Equal(t, before, plain(record))
	require.Equal(t, plain(next) != before, changed, "says so exactly when something changed")
	require.GreaterOrEqual(t, next.Status, record.Status)
	ofValue := Fingerprint(next.Value) == next.Fingerprint
	require.True(t, ofValue, "the fingerprint is the value's")
	require.Equal(t, next.Status == StatusPending || next.Status == StatusUnbinding || next.Handled < next.Status ||
		(next.Status == StatusActive && !next.DoubtedAt.IsZero()), !next.UnsettledSince.IsZero(), "waits exactly while something is owed")
	if !record.UnsettledSince.IsZero() && !next.UnsettledSince.IsZero() {
		require.Equal(t, record.UnsettledSince, next.UnsettledSince, "the wait goes on, it does not begin again")
	}

	again, changedAgain := Transition(next, n, now.Add(time.Minute))
	require.False(t, changedAgain, "a repetition changes nothing")
	require.Equal(t, plain(next), plain(again))

	if !record.Value.IsZero() {
		require.True(t, record.Value.Equal(next.Value), "a token is never replaced")
		if !n.Token.IsZero() && !n.Token.Equal(record.Value) && n.Kind != KindSignUpFailed {
			require.Equal(t, before, plain(next), "what is said of another token changed this one")
		}
	}
	if next.Status == StatusUnbound && next.Status > record.Status {
		require.Zero(t, next.DoubtedAt, "what is over is not in doubt")
		next.DoubtedAt = record.DoubtedAt
	}
	only := next
	only.Status, only.Value, only.Fingerprint = record.Status, record.Value, record.Fingerprint
	only.LoginID, only.EndedBy, only.UnsettledSince = record.LoginID, record.EndedBy, record.UnsettledSince
	require.Equal(t, before, plain(only), "a field that no notification may change")
}
