package codegrant_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func TestTheMainJobForEveryWallet(t *testing.T) {
	t.Parallel()
	for _, info := range codegrant.Wallets() {
		t.Run(string(info.Wallet), func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			token, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "用户-007", Wallet: info.Wallet})
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusPending, token.Status)
			require.NotEmpty(t, token.AuthURL)
			require.False(t, token.Reference.IsZero(), "the reference is kept apart from the token")

			_, err = s.Charge(t.Context(), chargeParams("用户-007", "early"))
			require.ErrorIs(t, err, codegrant.ErrNoToken, "a pending sign-up cannot be charged")

			require.NoError(t, s.gateway.Approve(token.AuthURL))
			token = s.get(t, token.ID)
			require.Equal(t, codegrant.StatusActive, token.Status)
			require.Equal(t, codegrant.StatusActive, token.Handled)
			require.Len(t, token.Value.Reveal(), 64)

			params := chargeParams("用户-007", "order-1")
			params.Amount = codegrant.Amount{Minor: 12300, Currency: info.Currencies[0]}
			receipt, err := s.Charge(t.Context(), params)
			require.NoError(t, err)
			require.Equal(t, codegrant.Succeeded, receipt.Outcome)
			require.Equal(t, params.Amount, receipt.Amount)
			s.gateway.Wait()
			payments := s.heardPayments()
			require.Len(t, payments, 1)
			require.Equal(t, codegrant.PaymentSuccess, payments[0].Status)
			require.Equal(t, params.Amount, payments[0].Amount)
			require.Equal(t, receipt.RequestID, payments[0].RequestID)

			refund, err := s.Refund(t.Context(), codegrant.RefundParams{OrderID: "order-1", Amount: params.Amount})
			require.NoError(t, err)
			require.Equal(t, codegrant.Succeeded, refund.Outcome)

			token, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "用户-007"})
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusUnbound, token.Status)
			require.Equal(t, codegrant.EndedByMerchant, token.EndedBy)
			_, err = s.Charge(t.Context(), chargeParams("用户-007", "late"))
			require.ErrorIs(t, err, codegrant.ErrNoToken)

			s.gateway.Wait()
			var statuses []codegrant.Status
			for _, c := range s.heard() {
				statuses = append(statuses, c.Token.Status)
			}
			require.Equal(t, []codegrant.Status{codegrant.StatusActive, codegrant.StatusUnbound}, statuses)
			require.Empty(t, s.gateway.Ledger().ChargedTwice())
		})
	}
}

func TestTheUserEndsItInTheWallet(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.connect(t, "ann")
	require.NoError(t, s.gateway.UnbindInWallet("ann", string(codegrant.GCash)))
	token = s.get(t, token.ID)
	require.Equal(t, codegrant.StatusUnbound, token.Status)
	require.Equal(t, codegrant.EndedByUser, token.EndedBy)
	heard := s.heard()
	require.Len(t, heard, 2)
	require.Equal(t, codegrant.StatusActive, heard[1].From)
}

func TestASilentUnbindingIsFoundByTheNextCharge(t *testing.T) {
	t.Parallel()
	s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }))
	token := s.connect(t, "ann")
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	require.Equal(t, codegrant.StatusActive, s.get(t, token.ID).Status)

	receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, receipt.Outcome)
	require.True(t, receipt.TokenGone)

	token = s.get(t, token.ID)
	require.Equal(t, codegrant.StatusUnbound, token.Status, "the query confirmed it")
	require.Equal(t, codegrant.EndedByGateway, token.EndedBy)
}

// A customer who leaves is nobody's fault: it is not logged as the shop's.
func TestACallerWhoLeavesWhileATokenIsDoubtedIsNoError(t *testing.T) {
	t.Parallel()
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan struct{})
	s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }))
	token := s.connect(t, "ann")
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	slow := newShop(t, withConfig(func(c *codegrant.Config) { c.Store = s.store }), withClient(func(c *codegrant.ClientConfig) {
		c.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == gatewaytest.DefaultSignUpQueryPath {
				leave()
				<-left
			}
			return s.gateway.Transport().RoundTrip(r)
		})}
	}))
	_, err := slow.Charge(ctx, chargeParams("ann", "order-1"))
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	require.NotContains(t, slow.log.String(), `"ERROR"`)
	close(left)
	require.Eventually(t, func() bool { return s.get(t, token.ID).Status == codegrant.StatusUnbound }, 10*time.Second, time.Millisecond,
		"the query goes on without the caller")
}

func TestTokenGoneWithoutAQueryIsOnlyDoubted(t *testing.T) {
	t.Parallel()
	s := newShop(t,
		withGateway(func(g *gatewaytest.Config) { g.SilentWallets = []string{"GCash"} }),
		withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled }))
	token := s.connect(t, "ann")
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.True(t, receipt.TokenGone)
	token = s.get(t, token.ID)
	require.Equal(t, codegrant.StatusActive, token.Status, "one refusal is not a confirmation")
	require.False(t, token.DoubtedAt.IsZero())
	require.False(t, token.UnsettledSince.IsZero())
}

func TestASignUpByTheOlderFlowEndsWithTheReturnedCode(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) { c.OlderFlow = true }))
	token := s.start(t, "ann")
	require.NotEmpty(t, token.AuthState)
	s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll})
	require.NoError(t, s.gateway.Approve(token.AuthURL))
	require.Equal(t, codegrant.StatusPending, s.get(t, token.ID).Status)

	back, err := s.gateway.ReturnURL(token.AuthURL)
	require.NoError(t, err)
	require.Contains(t, back, "authCode=")
	s.browse(t, "ann", back).redirectsTo(t, baseURL+"/return/"+token.ID)
	token = s.get(t, token.ID)
	require.Equal(t, codegrant.StatusActive, token.Status)

	receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	_, err = s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann", TokenID: token.ID})
	require.NoError(t, err)
}

func TestTheOlderFlowAnswersJSONWithTheNewStatus(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) { c.OlderFlow = true }))
	token := s.start(t, "ann")
	s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll})
	require.NoError(t, s.gateway.Approve(token.AuthURL))
	back, err := s.gateway.ReturnURL(token.AuthURL)
	require.NoError(t, err)
	require.Equal(t, "active", s.browse(t, "ann", back, acceptJSON...).json(t)["status"])
}

func TestAReturnedCodeWithAnotherStateAttachesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) { c.OlderFlow = true }))
	victim, attacker := s.start(t, "victim"), s.start(t, "attacker")
	s.gateway.Hold()
	require.NoError(t, s.gateway.Approve(attacker.AuthURL))
	back, err := s.gateway.ReturnURL(attacker.AuthURL)
	require.NoError(t, err)

	// The attacker's code on the victim's page: the victim must not end up
	// paying into, or from, the attacker's wallet.
	forged := baseURL + "/return/" + victim.ID + back[len(baseURL+"/return/"+attacker.ID):]
	s.browse(t, "victim", forged).redirectsTo(t, baseURL+"/return/"+victim.ID)
	require.Equal(t, codegrant.StatusPending, s.get(t, victim.ID).Status)

	// The attacker's own page, opened by the victim.
	require.Equal(t, 404, s.browse(t, "victim", back).Code)
	require.Equal(t, codegrant.StatusPending, s.get(t, attacker.ID).Status)
}

func TestByTheOlderFlowATokenThatTheListLacksIsGone(t *testing.T) {
	t.Parallel()
	s := newShop(t, withConfig(func(c *codegrant.Config) { c.OlderFlow, c.QueryByList = true, true }),
		withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled }))
	token := s.connect(t, "ann")
	got, err := s.Refresh(t.Context(), token.ID)
	require.NoError(t, err)
	require.Equal(t, codegrant.StatusActive, got.Status)

	s.gateway.Inject(gatewaytest.Fault{Kind: gatewaytest.DropAll})
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	receipt, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.True(t, receipt.TokenGone)
	require.Equal(t, codegrant.StatusUnbound, s.get(t, token.ID).Status)
}

func TestANewSignUpSupersedesTheOlderToken(t *testing.T) {
	t.Parallel()
	for _, dies := range []bool{true, false} {
		t.Run(fmt.Sprintf("the gateway ends the older one: %t", dies), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s, asked := newAskedShop(t, withConfig(quick), withGateway(func(g *gatewaytest.Config) { g.SupersedeOlder = dies }))
				older := s.connect(t, "ann")
				other, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.AlipayHK})
				require.NoError(t, err)
				require.NoError(t, s.gateway.Approve(other.AuthURL))
				time.Sleep(time.Second)
				newer := s.connect(t, "ann")
				require.Equal(t, codegrant.StatusActive, s.get(t, older.ID).Status, "nobody has confirmed anything yet")
				require.True(t, s.get(t, other.ID).DoubtedAt.IsZero(), "another wallet's token is not concerned")
				got, err := s.ActiveToken(t.Context(), "ann", codegrant.GCash)
				require.NoError(t, err)
				require.Equal(t, newer.ID, got.ID)

				time.Sleep(time.Minute)
				sweep, err := s.Reconcile(t.Context())
				require.NoError(t, err)
				require.Equal(t, codegrant.Sweep{Looked: 1, Settled: 1}, sweep)
				require.Equal(t, 1, total(asked.about(queryPath)))
				want := codegrant.StatusActive
				if dies {
					want = codegrant.StatusUnbound
				}
				require.Equal(t, want, s.get(t, older.ID).Status)
				require.True(t, s.get(t, older.ID).UnsettledSince.IsZero())
				require.Equal(t, codegrant.StatusActive, s.get(t, newer.ID).Status)
				require.Equal(t, dies, s.heard()[len(s.heard())-1].Token.Status == codegrant.StatusUnbound)
			})
		})
	}
}

func TestADoubtThatNobodyCanEndIsNotBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _ := newAskedShop(t, withGateway(func(g *gatewaytest.Config) { g.SupersedeOlder = true }),
			withClient(func(c *codegrant.ClientConfig) { c.Endpoints.SignUpQuery = codegrant.Disabled }))
		older := s.connect(t, "ann")
		time.Sleep(time.Second)
		s.connect(t, "ann")
		require.True(t, s.get(t, older.ID).DoubtedAt.IsZero())
		require.True(t, s.get(t, older.ID).UnsettledSince.IsZero())
	})
}

// A success that names no token is not a second one.
func TestASuccessWithoutATokenLeavesAnActiveRecordAlone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	token := s.connect(t, "ann")
	require.Equal(t, 200, s.deliver(t, token.ID, s.gateway.SignedBody(bizOf(created, token.ID, "ann", ""), nil)).Code)
	tokens, err := s.Tokens(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, []codegrant.Token{token}, tokens)
}

// Accounts may share a store: a token is ended in the account whose salt said so.
func TestATokenOfAnotherAccountIsNotEnded(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	value := codegrant.NewSecret(tokenValue)
	other := codegrant.Token{
		ID: "OTHER-1", AccountID: "2018092714313010016999", UserID: "ann", Status: codegrant.StatusActive, Handled: codegrant.StatusActive,
		Revision: 1, Value: value, Fingerprint: codegrant.Fingerprint(value),
	}
	require.NoError(t, s.store.Save(t.Context(), other))
	require.Equal(t, 200, s.deliver(t, "", s.gateway.SignedBody(bizOf(endedByUser, "", "ann", tokenValue), nil)).Code)
	require.Equal(t, other, s.get(t, other.ID))
	require.Len(t, s.unknown, 1)
}
