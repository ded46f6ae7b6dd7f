package codegrant_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// keepPending puts sign-ups into the store that began now.
func (m *mall) keepPending(t testing.TB, accountID string, n int) []codegrant.Token {
	t.Helper()
	now := time.Now().UTC()
	tokens := make([]codegrant.Token, n)
	for i := range tokens {
		tokens[i] = codegrant.Token{
			ID: fmt.Sprint("of-", accountID, "-", i), AccountID: accountID, UserID: "ann", Wallet: codegrant.GCash,
			Status: codegrant.StatusPending, Revision: 1, UnsettledSince: now, CreatedAt: now, UpdatedAt: now,
		}
		require.NoError(t, m.store.Save(t.Context(), tokens[i]))
	}
	return tokens
}

func TestASweepOfOneAccountLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t)
		m.silence()
		others := m.keepPending(t, accountB, 2500) // fill the first pages, for they are older
		time.Sleep(time.Second)
		var own []codegrant.Token
		for i := range 5 {
			token := m.startIn(t, accountA, fmt.Sprint("user-", i))
			require.NoError(t, m.gateway.Approve(token.AuthURL))
			own = append(own, token)
		}
		time.Sleep(time.Minute)
		sweep, err := m.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 5, Settled: 5}, sweep)
		for _, token := range own {
			require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status)
		}
		for _, token := range others {
			require.Equal(t, token, m.get(t, token.ID), "another account's record was touched")
		}
		require.Equal(t, 5, total(m.asked.about(queryPath)))
	})
}

func TestOneSweepSettlesTheRecordsOfAllAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t, func(c *codegrant.AccountsConfig) { c.Reconcile.Limit = 10 })
		m.silence()
		gone := m.keepPending(t, nowhere, 50)
		time.Sleep(time.Second)
		records := map[string][]codegrant.Token{}
		for i := range 8 {
			account := []string{accountA, accountB}[i%2]
			token := m.startIn(t, account, fmt.Sprint("user-", i))
			require.NoError(t, m.gateway.Approve(token.AuthURL))
			records[account] = append(records[account], token)
		}
		time.Sleep(time.Minute)

		m.find = func(_ context.Context, accountID string) (*codegrant.Kit, error) {
			switch accountID {
			case accountA:
				return m.kits[accountA], nil
			case accountB:
				return nil, errStore
			}
			return nil, codegrant.ErrNotFound
		}
		sweep, err := m.accounts.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 8, Settled: 4, Failed: 4}, sweep)
		require.EqualValues(t, 3, m.finds.Load(), "once for each account")
		for _, token := range records[accountB] {
			require.Equal(t, token.Revision, m.get(t, token.ID).Revision)
		}
		m.find = nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, m.accounts.Run(ctx), context.DeadlineExceeded)
		for account, tokens := range records {
			for _, token := range tokens {
				require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status, account)
			}
		}
		require.Len(t, m.heard(), 8)
		for _, token := range gone {
			require.Equal(t, token, m.get(t, token.ID), "a record of no account was touched")
		}
	})
}

func TestAnAccountWithAWrongSaltHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t)
		m.silence()
		var tokens []codegrant.Token
		for i := range 20 {
			m.startIn(t, accountA, fmt.Sprint("user-", i))
			token := m.startIn(t, accountB, fmt.Sprint("user-", i))
			require.NoError(t, m.gateway.Approve(token.AuthURL))
			tokens = append(tokens, token)
		}
		m.kits[accountA] = m.kit(t, accountA, "not the salt of A")
		time.Sleep(time.Minute)
		sweep, err := m.accounts.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, 40, sweep.Looked)
		require.Equal(t, 20, sweep.Settled)
		require.False(t, sweep.BackOff)
		for _, token := range tokens {
			require.Equal(t, codegrant.StatusActive, m.get(t, token.ID).Status)
		}
		require.Less(t, total(m.asked.about(queryPath)), 20+10, "the account is asked about no more")
	})
}

func TestSweepsOverThePaymentsOfSeveralAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t, func(c *codegrant.AccountsConfig) { c.Payments = c.Store.(codegrant.PaymentStore) })
		m.orders = m.store.(codegrant.PaymentStore)
		for id := range m.kits {
			m.kits[id] = m.kit(t, id, saltOf(id))
			require.NoError(t, m.gateway.Approve(m.startIn(t, id, "ann").AuthURL))
		}
		m.silence()
		m.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter, Times: 2})
		for id, kit := range m.kits {
			_, err := kit.Charge(t.Context(), chargeParams("ann", "order-of-"+id))
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		}
		payment := func(id string) codegrant.Payment {
			p, err := m.kits[id].Payment(t.Context(), "order-of-"+id)
			require.NoError(t, err)
			return p
		}
		before := payment(accountB)
		time.Sleep(time.Minute)
		sweep, err := m.kits[accountA].Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 1, Settled: 1}, sweep)
		require.Equal(t, codegrant.Succeeded, payment(accountA).Outcome)
		require.Equal(t, before, payment(accountB), "another account's payment was touched")

		orders := m.orders
		m.orders = nil
		whole := m.kits[accountB]
		m.kits[accountB] = m.kit(t, accountB, saltOf(accountB))
		sweep, err = m.accounts.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 1, Failed: 1}, sweep)
		require.Contains(t, m.log.String(), "has no Config.Payments")

		m.orders, m.kits[accountB] = orders, whole
		time.Sleep(time.Minute) // until Find is asked again
		sweep, err = m.accounts.Reconcile(t.Context())
		require.NoError(t, err)
		require.Equal(t, codegrant.Sweep{Looked: 1, Settled: 1}, sweep)
		require.Equal(t, codegrant.Succeeded, payment(accountB).Outcome)
		require.Len(t, m.heardPayments(), 2)
	})
}
