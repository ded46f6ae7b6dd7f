package codegrant_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// What docs/operations.md says of a restored backup, tried.

// restored is the shop with the records of an older backup.
func restored(t *testing.T, s *shop, backup *memstore.Store, change ...func(*codegrant.Config)) *codegrant.Kit {
	t.Helper()
	cfg := codegrant.Config{
		Client: s.client, Store: backup, BaseURL: baseURL,
		User: func(*http.Request) (string, error) { return "ann", nil },
		// A sweep looks at once at what it finds.
		Reconcile: codegrant.ReconcileConfig{After: time.Millisecond},
		Now:       func() time.Time { return time.Now().Add(time.Second) },
		Logger:    slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&cfg)
	}
	kit, err := codegrant.New(cfg)
	require.NoError(t, err)
	s.gateway.DeliverTo(http.StripPrefix("/wallet", kit))
	return kit
}

func backupOf(t *testing.T, records ...codegrant.Token) *memstore.Store {
	t.Helper()
	backup := memstore.New()
	for _, r := range records {
		r.Revision = 1
		require.NoError(t, backup.Save(t.Context(), r))
	}
	return backup
}

func lastNotification(t *testing.T, g *gatewaytest.Gateway) int {
	t.Helper()
	all := g.Notifications()
	require.NotEmpty(t, all)
	return all[len(all)-1].ID
}

func TestARestoredBackupTakesUpWhatIsStillDelivered(t *testing.T) {
	t.Parallel()
	for _, rich := range []bool{true, false} {
		s := newShop(t, withGateway(func(g *gatewaytest.Config) { g.RichNotification = rich }))
		token := s.connect(t, "ann")
		kit := restored(t, s, backupOf(t)) // from before the sign-up
		attempt, err := s.gateway.Redeliver(lastNotification(t, s.gateway))
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, attempt.Status)
		active, err := kit.ActiveToken(t.Context(), "ann", "")
		require.NoError(t, err)
		require.Equal(t, token.ID, active.ID)
		receipt, err := kit.Charge(t.Context(), chargeParams("ann", "order-1"))
		if !rich { // nothing said which wallet it is
			require.ErrorIs(t, err, codegrant.ErrInvalidRequest)
			named := chargeParams("ann", "order-1")
			named.Wallet = codegrant.GCash
			receipt, err = kit.Charge(t.Context(), named)
		}
		require.NoError(t, err)
		require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	}
}

func TestARestoredBackupForgetsASignUpThatWasDelivered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.connect(t, "ann")
	kit := restored(t, s, backupOf(t))
	sweep, err := kit.Reconcile(t.Context())
	require.NoError(t, err)
	require.Zero(t, sweep)
	_, err = kit.ActiveToken(t.Context(), "ann", codegrant.GCash)
	require.ErrorIs(t, err, codegrant.ErrNoToken)
}

func TestARestoredPendingRecordIsAskedAbout(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	pending := s.start(t, "ann")
	require.NoError(t, s.gateway.Approve(pending.AuthURL))
	kit := restored(t, s, backupOf(t, pending))
	sweep, err := kit.Reconcile(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, sweep.Settled)
	_, err = kit.ActiveToken(t.Context(), "ann", codegrant.GCash)
	require.NoError(t, err)
}

func TestARestoredActiveRecordOfADeadTokenEndsAtTheNextCharge(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	active := s.connect(t, "ann")
	_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
	require.NoError(t, err)
	kit := restored(t, s, backupOf(t, active))
	receipt, err := kit.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Failed, receipt.Outcome)
	require.True(t, receipt.TokenGone)
	tokens, err := kit.Tokens(t.Context(), "ann")
	require.NoError(t, err)
	require.Equal(t, codegrant.StatusUnbound, tokens[0].Status)
}

func TestAnEndWithoutARecordIsUnmatched(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.connect(t, "ann")
	success := lastNotification(t, s.gateway)
	restored(t, s, backupOf(t))
	require.NoError(t, s.gateway.UnbindInWallet("ann", "GCash"))
	end := lastNotification(t, s.gateway)
	attempt, err := s.gateway.Redeliver(end)
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, attempt.Status)

	took := 0
	kit := restored(t, s, backupOf(t), func(c *codegrant.Config) {
		c.OnUnknown = func(context.Context, codegrant.Notification) error { took++; return nil }
	})
	for range 2 {
		attempt, err = s.gateway.Redeliver(end)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, attempt.Status)
	}
	require.Equal(t, 1, took, "the end is known from then on")
	_, err = s.gateway.Redeliver(success) // it comes after its end
	require.NoError(t, err)
	_, err = kit.ActiveToken(t.Context(), "ann", codegrant.GCash)
	require.ErrorIs(t, err, codegrant.ErrNoToken)
}

func TestALostPaymentRecordChargesNobodyTwice(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	active := s.connect(t, "ann")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	backup := backupOf(t, active)
	kit := restored(t, s, backup, func(c *codegrant.Config) { c.Payments = backup })
	receipt, err := kit.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome)
	require.Len(t, s.gateway.Ledger().Charges, 1)
}

// Why an order number must never be given out again.
func TestAnOrderNumberThatIsUsedAgainIsTheOldOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	ann := s.connect(t, "ann")
	bob := s.connect(t, "bob")
	_, err := s.Charge(t.Context(), chargeParams("ann", "order-1"))
	require.NoError(t, err)
	backup := backupOf(t, ann, bob)
	kit := restored(t, s, backup, func(c *codegrant.Config) { c.Payments = backup })
	receipt, err := kit.Charge(t.Context(), chargeParams("bob", "order-1"))
	require.NoError(t, err)
	require.Equal(t, codegrant.Succeeded, receipt.Outcome, "bob's order counts as paid")
	require.Len(t, s.gateway.Ledger().Charges, 1, "by ann alone")
}

func TestAWrongSaltIsToldByTheGatewaysUnsignedAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t, withClient(func(c *codegrant.ClientConfig) { c.Account.Salts = codegrant.Salts("another salt of this length") }))
	_, err := s.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	var answer *codegrant.GatewayError
	require.ErrorAs(t, err, &answer)
	require.Equal(t, "104000", answer.Code)
	require.True(t, answer.Unverified)
}

// The hook hears of an unbinding whose answer was lost, as docs/mount.md says.
func TestTheHookHearsThatATokenIsEnding(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.connect(t, "ann")
	s.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpUnbind, Kind: gatewaytest.ResetBefore})
	_, err := s.UnbindToken(t.Context(), codegrant.UnbindParams{UserID: "ann"})
	require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
	heard := s.heard()
	require.Equal(t, codegrant.StatusUnbinding, heard[len(heard)-1].Token.Status)
}

// What docs/going-live.md says can be checked.
func TestChecksOfTheGoingLivePage(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for body, status := range map[string]int{"": 400, "x": 400, `{"accId":"` + gatewaytest.DefaultAccountID + `"}`: 401} {
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/wallet/notify/x", strings.NewReader(body)))
		require.Equal(t, status, w.Code, body)
	}
	_, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: "2022102018024210348883", Salts: codegrant.Salts(gatewaytest.DefaultSalt)},
		Endpoints: codegrant.Endpoints{Host: "http://gateway.example"},
	})
	require.ErrorIs(t, err, codegrant.ErrInvalidConfig)
	require.Equal(t, "100 KRW", codegrant.Amount{Minor: 100, Currency: "KRW"}.String())
	var whole []codegrant.Wallet
	for _, w := range codegrant.Wallets() {
		if !w.PartialRefund {
			whole = append(whole, w.Wallet)
		}
	}
	require.ElementsMatch(t, []codegrant.Wallet{codegrant.TrueMoney, codegrant.RabbitLINEPay, codegrant.Kakaopay}, whole)
	ann, bob := s.connect(t, "ann"), chargeParams("bob", "order-1")
	bob.TokenID = ann.ID
	_, err = s.Charge(t.Context(), bob)
	require.ErrorIs(t, err, codegrant.ErrNotOwner)
	angle := chargeParams("ann", "order-2")
	angle.Remark = "<3"
	_, err = s.Charge(t.Context(), angle)
	require.ErrorIs(t, err, codegrant.ErrInvalidRequest)
	require.Empty(t, s.gateway.Ledger().Charges)
}
