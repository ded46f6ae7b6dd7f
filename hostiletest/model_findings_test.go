package hostiletest

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// TestAnOwedHookRunsWithoutTheGateway: a hook that failed once, for news of
// which the gateway will send nothing more.
func TestAnOwedHookRunsWithoutTheGateway(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		fail func(t *testing.T, m *merchant) string // returns the record that owes
	}{
		{"a silent unbinding that a look-up found", func(t *testing.T, m *merchant) string {
			token := m.connect(t, "ann")
			require.NoError(t, m.gateway.UnbindInWallet("ann", string(codegrant.GCash)))
			_, err := m.Refresh(t.Context(), token.ID)
			require.ErrorIs(t, err, codegrant.ErrHook)
			return token.ID
		}},
		{"a silent unbinding that the merchant's own found", func(t *testing.T, m *merchant) string {
			token := m.connect(t, "ann")
			require.NoError(t, m.gateway.UnbindInWallet("ann", string(codegrant.GCash)))
			_, err := m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
			require.ErrorIs(t, err, codegrant.ErrHook)
			return token.ID
		}},
		{"a sign-up that the gateway refused at once", func(t *testing.T, m *merchant) string {
			m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "107003"})
			token, err := m.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
			require.ErrorIs(t, err, codegrant.ErrRefused)
			return token.ID
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var heard []codegrant.Status
			m := newMerchant(t, func(s *setup) {
				s.gateway.SilentWallets = []string{string(codegrant.GCash)}
				s.kit.OnToken = func(_ context.Context, c codegrant.Change) error {
					if c.Token.Status == codegrant.StatusActive {
						return nil
					}
					heard = append(heard, c.Token.Status)
					if len(heard) == 1 {
						return errBroken
					}
					return nil
				}
			})
			id := tc.fail(t, m)
			owed := m.get(t, id)
			require.Less(t, owed.Handled, owed.Status)
			_, _ = m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: id})
			_, _ = m.Refresh(t.Context(), id)
			require.Equal(t, owed.Status, m.get(t, id).Handled)
			require.Equal(t, []codegrant.Status{owed.Status, owed.Status}, heard)
		})
	}
}

// TestTheRecordBesideAnErrorIsTheNewestKnown: StartSignUp and UnbindToken say
// how far they came, also when the store breaks behind the hook.
func TestTheRecordBesideAnErrorIsTheNewestKnown(t *testing.T) {
	t.Parallel()
	broken := false
	fail := false
	m := newMerchant(t, func(s *setup) {
		s.kit.OnToken = func(context.Context, codegrant.Change) error { broken = fail; return nil }
	})
	m.store.before = func(_ context.Context, method string) error {
		if broken && (method == "Get" || method == "Save") {
			return errBroken
		}
		return nil
	}
	token := m.connect(t, "ann")
	m.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll, Times: -1}) // nothing comes in beside the calls below
	fail = true
	got, err := m.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
	require.ErrorIs(t, err, codegrant.ErrStore)
	require.Equal(t, codegrant.StatusUnbound, m.get(t, token.ID).Status)
	require.Equal(t, codegrant.StatusUnbound, got.Status)

	broken = false
	m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpSignUp, Kind: gatewaytest.Decline, Code: "107003"})
	got, err = m.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "bob", Wallet: codegrant.GCash})
	require.ErrorIs(t, err, codegrant.ErrRefused)
	require.Equal(t, codegrant.StatusFailed, got.Status)
}

// TestATakenUnbindingStaysTaken: an unbinding that came before anything by which
// its record could be known, and that OnUnknown took, is not undone by a
// success, in whatever order they come.
func TestATakenUnbindingStaysTaken(t *testing.T) {
	t.Parallel()
	p := &postman{gateway: gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})}
	t.Cleanup(p.gateway.Close)
	client := p.gateway.Client()
	about := func(id, kind string, token int) message {
		return p.write(fmt.Sprint(kind, token), id, id, kind, noFact,
			fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","token":%q`, id, fullToken(token)))
	}
	for _, tc := range []struct {
		name     string
		signUps  []string // records that exist before
		messages []message
		active   []int // tokens that must be active in the end
	}{
		{"no record at all", nil, []message{about("LOST", endedByUser, 1), about("LOST", created, 1), about("LOST", created, 1)}, nil},
		{
			"the sign-up has another token", []string{"RECORD-1"},
			[]message{about("RECORD-1", created, 2), about("RECORD-1", endedByUser, 1), about("RECORD-1", created, 1)},
			[]int{2},
		},
		{
			"an unbinding that names nothing but the token", []string{"RECORD-1", "RECORD-2"},
			[]message{p.unbindElsewhere(1), p.bind(1), p.bind(2), p.unbindElsewhere(1), p.bind(1)},
			[]int{2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			permute(tc.messages, func(messages []message) {
				o := permuted(t, client, tc.signUps, func(c *codegrant.Config) {
					c.OnUnknown = func(context.Context, codegrant.Notification) error { return nil }
				})
				again, err := o.deliver(messages)
				require.NoError(t, err, "%v", messages)
				require.Zero(t, again, "%v", messages)
				list, err := o.store.ByUser(t.Context(), gatewaytest.DefaultAccountID, "ann")
				require.NoError(t, err)
				var active []int
				for _, token := range list {
					require.Equal(t, token.Status, token.Handled, "%v", messages)
					if token.Status == codegrant.StatusActive {
						active = append(active, int(token.Value.Reveal()[0]-'0'))
					}
				}
				require.Equal(t, tc.active, active, "%v", messages)
			})
		})
	}
}

// TestANewSignUpMayBringATokenThatHadEnded: a wallet might issue the same token
// again. What was buried belongs to the past.
func TestANewSignUpMayBringATokenThatHadEnded(t *testing.T) {
	t.Parallel()
	p := &postman{gateway: gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})}
	t.Cleanup(p.gateway.Close)
	m := newMerchant(t)
	about := func(id, kind string) {
		message := p.write("", id, id, kind, noFact,
			fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","token":%q`, id, fullToken(1)))
		require.NoError(t, m.Apply(t.Context(), message.body, message.path))
	}
	about("LOST", endedByUser)
	again := m.start(t, "ann")
	about(again.ID, created)
	require.Equal(t, codegrant.StatusActive, m.get(t, again.ID).Status)
	about(again.ID, endedByUser)
	require.Equal(t, codegrant.StatusUnbound, m.get(t, again.ID).Status)
}
