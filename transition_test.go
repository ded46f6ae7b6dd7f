package codegrant_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

func TestTransition(t *testing.T) {
	t.Parallel()
	value, other := codegrant.NewSecret(tokenValue), codegrant.NewSecret("another")
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		from   codegrant.Status
		held   codegrant.Secret
		kind   codegrant.Kind
		token  codegrant.Secret
		status codegrant.Status
		value  codegrant.Secret
	}{
		{"success activates", codegrant.StatusPending, codegrant.Secret{}, codegrant.KindSignedUp, value, codegrant.StatusActive, value},
		{"success without a token does nothing", codegrant.StatusPending, codegrant.Secret{}, codegrant.KindSignedUp, codegrant.Secret{}, codegrant.StatusPending, codegrant.Secret{}},
		{"success after failure counts", codegrant.StatusFailed, codegrant.Secret{}, codegrant.KindSignedUp, value, codegrant.StatusActive, value},
		{"success never revives", codegrant.StatusUnbound, value, codegrant.KindSignedUp, value, codegrant.StatusUnbound, value},
		{"late success names a tombstone", codegrant.StatusUnbound, codegrant.Secret{}, codegrant.KindSignedUp, value, codegrant.StatusUnbound, value},
		{"success does not stop an unbinding", codegrant.StatusUnbinding, value, codegrant.KindSignedUp, value, codegrant.StatusUnbinding, value},
		{"a second token does not replace the first", codegrant.StatusActive, value, codegrant.KindSignedUp, other, codegrant.StatusActive, value},
		{"failure fails a pending one", codegrant.StatusPending, codegrant.Secret{}, codegrant.KindSignUpFailed, codegrant.Secret{}, codegrant.StatusFailed, codegrant.Secret{}},
		{"failure does not end an active one", codegrant.StatusActive, value, codegrant.KindSignUpFailed, codegrant.Secret{}, codegrant.StatusActive, value},
		{"unbinding leaves a tombstone", codegrant.StatusPending, codegrant.Secret{}, codegrant.KindUnboundByUser, value, codegrant.StatusUnbound, value},
		{"unbinding ends an active one", codegrant.StatusActive, value, codegrant.KindUnboundByMerchant, value, codegrant.StatusUnbound, value},
		{"unbinding without a token ends it too", codegrant.StatusActive, value, codegrant.KindUnboundByUser, codegrant.Secret{}, codegrant.StatusUnbound, value},
		{"unbinding of another token is not about this one", codegrant.StatusActive, value, codegrant.KindUnboundByUser, other, codegrant.StatusActive, value},
		{"a payment changes nothing", codegrant.StatusActive, value, codegrant.KindPayment, value, codegrant.StatusActive, value},
		{"an unknown kind changes nothing", codegrant.StatusPending, codegrant.Secret{}, codegrant.KindUnknown, value, codegrant.StatusPending, codegrant.Secret{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			record := codegrant.Token{ID: "1", Status: tc.from, Handled: tc.from, Value: tc.held, Fingerprint: codegrant.Fingerprint(tc.held)}
			if tc.from == codegrant.StatusPending || tc.from == codegrant.StatusUnbinding {
				record.UnsettledSince = now.Add(-time.Hour)
			}
			n := codegrant.Notification{Kind: tc.kind, Token: tc.token}
			next, changed := codegrant.Transition(record, n, now)
			require.Equal(t, tc.status, next.Status)
			require.True(t, tc.value.Equal(next.Value))
			require.Equal(t, codegrant.Fingerprint(tc.value), next.Fingerprint)
			require.Equal(t, next.Status != record.Status || next.Fingerprint != record.Fingerprint, changed)
			again, changedAgain := codegrant.Transition(next, n, now.Add(time.Minute))
			require.False(t, changedAgain, "a repetition changes nothing")
			require.Equal(t, next, again)
		})
	}
}

// A sign-up that brings a second token gives it a record of its own: the
// wallet account behind that one is not this record's.
func TestTransitionTakesNoLoginFromAnotherToken(t *testing.T) {
	t.Parallel()
	value, login := codegrant.NewSecret(tokenValue), codegrant.NewSecret("ann@wallet.example")
	record := codegrant.Token{
		ID: "1", Status: codegrant.StatusActive, Handled: codegrant.StatusActive,
		Value: value, Fingerprint: codegrant.Fingerprint(value),
	}
	n := codegrant.Notification{Kind: codegrant.KindSignedUp, Token: codegrant.NewSecret("another"), LoginID: login}
	next, changed := codegrant.Transition(record, n, time.Now())
	require.False(t, changed)
	require.True(t, next.LoginID.IsZero())

	n.Token = value
	next, changed = codegrant.Transition(record, n, time.Now())
	require.True(t, changed)
	require.True(t, login.Equal(next.LoginID))
}
