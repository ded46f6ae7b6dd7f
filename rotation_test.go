package codegrant_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

const (
	oldSalt = "the old salt of account A"
	newSalt = "the new salt of account A"
)

// retrySpan is how long the gateway repeats a notification.
const retrySpan = 12*time.Hour + 3*time.Minute + 10*time.Second

func TestSaltUsageCountsWhatVerified(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t)
		began := time.Now().UTC()
		kit := m.kit(t, accountA, saltOf(accountA), oldSalt) // the gateway's answers are signed by the first
		m.kits[accountA] = kit
		require.Equal(t, []codegrant.SaltUsage{{Salt: 0, Since: began}, {Salt: 1, Since: began}}, kit.SaltUsage())

		time.Sleep(time.Hour)
		token := m.startIn(t, accountA, "ann")
		require.Equal(t, []codegrant.SaltUsage{
			{Salt: 0, Verified: 1, Last: began.Add(time.Hour), Since: began}, {Salt: 1, Since: began},
		}, kit.SaltUsage(), "answers count")

		time.Sleep(time.Hour)
		biz := bizOf(created, token.ID, "ann", tokenValue)
		for range 3 {
			require.Equal(t, 200, m.post(t, "/notify", signedBy(oldSalt, accountA, biz, nil)).Code)
		}
		want := []codegrant.SaltUsage{
			{Salt: 0, Verified: 1, Last: began.Add(time.Hour), Since: began},
			{Salt: 1, Verified: 3, Last: began.Add(2 * time.Hour), Since: began},
		}
		require.Equal(t, want, kit.SaltUsage(), "notifications count")

		time.Sleep(time.Minute)
		require.Equal(t, 401, m.post(t, "/notify", signedBy("no salt of account A", accountA, biz, nil)).Code)
		require.Equal(t, 401, m.post(t, "/"+accountA+"/notify", signedBy(oldSalt, accountB, biz, nil)).Code)
		require.Equal(t, 400, m.post(t, "/"+accountA+"/notify", []byte("{")).Code)
		require.Equal(t, want, kit.SaltUsage(), "what does not verify does not count")
		require.Equal(t, 1, strings.Count(m.log.String(), `"other_salt"`), "said once")
	})
}

func TestSaltUsageGoesOnInANewKitWithTheSameSalts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMall(t)
		began := time.Now().UTC()
		salts := []string{oldSalt}
		m.find = func(context.Context, string) (*codegrant.Kit, error) { return m.kit(t, accountA, salts...), nil }
		usage := func() []codegrant.SaltUsage {
			kit, err := m.accounts.Kit(t.Context(), accountA)
			require.NoError(t, err)
			return kit.SaltUsage()
		}
		post := func(salt string) {
			require.Equal(t, 200, m.post(t, "/notify", signedBy(salt, accountA, `{"notifyType":"NEW_THING"}`, nil)).Code)
		}
		for range 5 {
			post(oldSalt)
			time.Sleep(time.Minute)
		}
		require.Equal(t, []codegrant.SaltUsage{{Salt: 0, Verified: 5, Last: began.Add(4 * time.Minute), Since: began}}, usage())
		salts = []string{newSalt, oldSalt}
		time.Sleep(time.Minute)
		post(newSalt)
		post(oldSalt)
		now := began.Add(6 * time.Minute)
		require.Equal(t, []codegrant.SaltUsage{
			{Salt: 0, Verified: 1, Last: now, Since: now}, {Salt: 1, Verified: 6, Last: now, Since: began},
		}, usage())
		for range 5 {
			time.Sleep(time.Minute)
			post(oldSalt)
		}
		require.Equal(t, 1, strings.Count(m.log.String(), `"other_salt"`), "said once, not by each Kit")

		m.find = func(ctx context.Context, _ string) (*codegrant.Kit, error) {
			kit := m.kit(t, accountA, salts...)
			return kit, kit.Apply(ctx, signedBy(oldSalt, accountA, `{"notifyType":"NEW_THING"}`, nil), "")
		}
		time.Sleep(time.Minute)
		require.EqualValues(t, 12, usage()[1].Verified, "what a Kit verified before it was found counts too")
	})
}

// TestASaltIsChangedInMidStreamAndNothingIsLost: one merchant changes the salt
// as the README says, with a Find that makes a Kit of what is configured now,
// while 10,000 notifications arrive, a fifth of which fail at first and are
// repeated, as they were signed, for up to twelve hours.
func TestASaltIsChangedInMidStreamAndNothingIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const n, senders = 10_000, 20
		began := time.Now()
		after := func(d time.Duration) bool { return time.Since(began) >= d }
		store := &faultyStore{}
		var failing atomic.Int64
		store.before = func(context.Context, string) error {
			if rand.IntN(20) == 0 && !after(2*time.Hour) { // several calls for each
				failing.Add(1)
				return errStore
			}
			return nil
		}
		m := newMall(t)
		store.TokenStore, m.store = m.store, store

		var mu sync.Mutex
		salts := []string{oldSalt}
		configure := func(s ...string) {
			mu.Lock()
			defer mu.Unlock()
			salts = s
		}
		m.find = func(context.Context, string) (*codegrant.Kit, error) {
			mu.Lock()
			defer mu.Unlock()
			if rand.IntN(10) == 0 && !after(2*time.Hour) {
				return nil, errStore
			}
			return m.kit(t, accountA, salts...), nil
		}
		go func() {
			time.Sleep(10 * time.Minute)
			configure(oldSalt, newSalt)
			time.Sleep(20 * time.Minute) // the gateway changes meanwhile, from 20 min to 25 min
			configure(newSalt, oldSalt)
		}()
		sign := func(biz string) []byte {
			salt := oldSalt
			if after(25*time.Minute) || after(20*time.Minute) && rand.IntN(2) == 0 {
				salt = newSalt
			}
			return signedBy(salt, accountA, biz, nil)
		}
		schedule := []time.Duration{
			5 * time.Second, 5 * time.Second, 30 * time.Second, 30 * time.Second, time.Minute, time.Minute,
			30 * time.Minute, 30 * time.Minute, 2 * time.Hour, 3 * time.Hour, 3 * time.Hour, 3 * time.Hour,
		}
		var lost, repeated atomic.Int64
		var senderGroup sync.WaitGroup
		for sender := range senders {
			senderGroup.Go(func() {
				var deliveries sync.WaitGroup
				for i := sender; i < n; i += senders {
					body := sign(bizOf(created, fmt.Sprint("record-", i), fmt.Sprint("user-", i), fmt.Sprintf("%064d", i)))
					if i%2 == 0 {
						body = sign(fmt.Sprintf(`{"notifyType":"RECHARGE","merchantTransactionId":"order-%d","status":"SUCCESS"}`, i))
					}
					path := []string{"/notify", "/" + accountA + "/notify"}[rand.IntN(2)]
					deliveries.Go(func() {
						for try := 0; ; try++ {
							// Some meet an outage in front of the kit for three hours.
							if (i%101 != 0 || try >= 9) && m.post(t, path, body).Code == 200 {
								return
							}
							if try == len(schedule) {
								lost.Add(1)
								return
							}
							repeated.Add(1)
							time.Sleep(schedule[try])
						}
					})
					time.Sleep(time.Hour * senders / n)
				}
				deliveries.Wait()
			})
		}

		// The merchant takes the old salt out when it has been idle for long enough.
		var removed time.Time
		var idleSince time.Time
		for removed.IsZero() {
			time.Sleep(10 * time.Minute)
			kit, err := m.accounts.Kit(t.Context(), accountA)
			if err != nil || len(kit.SaltUsage()) < 2 || !after(30*time.Minute) {
				continue
			}
			old := kit.SaltUsage()[1]
			idleSince = old.Last
			if old.Since.After(idleSince) {
				idleSince = old.Since
			}
			if time.Since(idleSince) > retrySpan {
				configure(newSalt)
				removed = time.Now()
			}
		}
		senderGroup.Wait()
		time.Sleep(time.Hour)

		require.Zero(t, lost.Load(), "lost")
		require.Greater(t, repeated.Load(), int64(n/10), "hardly anything failed: what does this test show?")
		require.Greater(t, idleSince.Sub(began), 3*time.Hour, "no repetition signed with the old salt came late")
		orders, users := map[string]bool{}, map[string]bool{}
		for _, p := range m.heardPayments() {
			orders[p.OrderID] = true
		}
		for _, c := range m.heard() {
			users[c.Token.UserID] = true
		}
		require.Len(t, orders, n/2)
		require.Len(t, users, n/2)
		for i := 1; i < n; i += 2 {
			token, err := store.TokenStore.ByFingerprint(t.Context(), codegrant.Fingerprint(codegrant.NewSecret(fmt.Sprintf("%064d", i))))
			require.NoError(t, err)
			require.Equal(t, codegrant.StatusActive, token.Status)
		}
		m.find = func(context.Context, string) (*codegrant.Kit, error) { return m.kit(t, accountA, newSalt), nil }
		require.Equal(t, 401, m.post(t, "/notify", signedBy(oldSalt, accountA, `{"notifyType":"NEW_THING"}`, nil)).Code)
		t.Logf("%d repetitions, %d failures of the store; old salt idle from %v, removed after %v",
			repeated.Load(), failing.Load(), idleSince.Sub(began), removed.Sub(began))
	})
}
