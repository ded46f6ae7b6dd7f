package hostiletest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// oddStore answers as its functions say where they are set.
type oddStore struct {
	codegrant.TokenStore
	get           func(ctx context.Context, id string) (codegrant.Token, error)
	save          func(ctx context.Context, t codegrant.Token) error
	byUser        func(ctx context.Context, accountID, userID string) ([]codegrant.Token, error)
	byFingerprint func(ctx context.Context, fingerprint string) (codegrant.Token, error)
}

func (s *oddStore) Get(ctx context.Context, id string) (codegrant.Token, error) {
	if s.get != nil {
		return s.get(ctx, id)
	}
	return s.TokenStore.Get(ctx, id)
}

func (s *oddStore) Save(ctx context.Context, t codegrant.Token) error {
	if s.save != nil {
		return s.save(ctx, t)
	}
	return s.TokenStore.Save(ctx, t)
}

func (s *oddStore) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	if s.byUser != nil {
		return s.byUser(ctx, accountID, userID)
	}
	return s.TokenStore.ByUser(ctx, accountID, userID)
}

func (s *oddStore) ByFingerprint(ctx context.Context, fingerprint string) (codegrant.Token, error) {
	if s.byFingerprint != nil {
		return s.byFingerprint(ctx, fingerprint)
	}
	return s.TokenStore.ByFingerprint(ctx, fingerprint)
}

// heal makes it an honest store again.
func (s *oddStore) heal() { *s = oddStore{TokenStore: s.TokenStore} }

// withOddStore is a merchant on a store that will misbehave, and the honest one
// beneath.
func withOddStore(t testing.TB, change ...func(*setup)) (*merchant, *oddStore, *memstore.Store) {
	honest := memstore.New()
	odd := &oddStore{TokenStore: honest}
	m := newMerchant(t, append([]func(*setup){func(s *setup) { s.kit.Store = odd }}, change...)...)
	return m, odd, honest
}

// TestStoresThatMisbehaveOnce: the notification that meets a misbehaving store
// ends in time, and the redelivery to a healthy one leaves the right record.
func TestStoresThatMisbehaveOnce(t *testing.T) {
	t.Parallel()
	secret := errors.New("dial tokens:" + gatewaytest.DefaultSalt + "@db: " + tokenValue)
	for _, tc := range []struct {
		name   string
		status int
		took   time.Duration
		harm   func(ctx context.Context, odd *oddStore, honest *memstore.Store)
	}{
		{"each call takes a second", 503, 3 * time.Second, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			wait := func(ctx context.Context) error {
				select {
				case <-time.After(time.Second):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			odd.get = func(ctx context.Context, id string) (codegrant.Token, error) {
				if err := wait(ctx); err != nil {
					return codegrant.Token{}, err
				}
				return honest.Get(ctx, id)
			}
			odd.save = func(ctx context.Context, t codegrant.Token) error { return errors.Join(wait(ctx), honest.Save(ctx, t)) }
			odd.byFingerprint = func(ctx context.Context, f string) (codegrant.Token, error) {
				if err := wait(ctx); err != nil {
					return codegrant.Token{}, err
				}
				return honest.ByFingerprint(ctx, f)
			}
		}},
		{"a read hangs until its context ends", 503, 3 * time.Second, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.get = func(ctx context.Context, _ string) (codegrant.Token, error) {
				<-ctx.Done()
				return codegrant.Token{}, ctx.Err()
			}
		}},
		{"a save hangs until its context ends, and was stored", 503, 3 * time.Second, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.save = func(ctx context.Context, t codegrant.Token) error {
				err := honest.Save(ctx, t)
				<-ctx.Done()
				return errors.Join(err, ctx.Err())
			}
		}},
		{"a save does not listen to its context and comes a second late", 503, 4 * time.Second, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.save = func(ctx context.Context, t codegrant.Token) error {
				time.Sleep(4 * time.Second)
				return honest.Save(context.WithoutCancel(ctx), t)
			}
		}},
		{"a read returns an older revision for ever", 503, 0, func(ctx context.Context, odd *oddStore, honest *memstore.Store) {
			stale := map[string]codegrant.Token{}
			odd.get = func(ctx context.Context, id string) (codegrant.Token, error) {
				t, err := honest.Get(ctx, id)
				if old, ok := stale[id]; ok {
					return old, err
				}
				t.Revision--
				stale[id] = t
				return t, err
			}
		}},
		{"a read returns an older revision twice", 200, 0, func(ctx context.Context, odd *oddStore, honest *memstore.Store) {
			var calls atomic.Int64
			odd.get = func(ctx context.Context, id string) (codegrant.Token, error) {
				t, err := honest.Get(ctx, id)
				if n := calls.Add(1); n == 2 || n == 3 {
					t.Revision--
				}
				return t, err
			}
		}},
		{"a save conflicts for ever", 503, 0, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.save = func(context.Context, codegrant.Token) error { return codegrant.ErrConflict }
		}},
		{"a save reports a conflict although it stores", 200, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.save = func(ctx context.Context, t codegrant.Token) error {
				return errors.Join(codegrant.ErrConflict, honest.Save(ctx, t))
			}
		}},
		{"a save stores and reports an error", 503, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.save = func(ctx context.Context, t codegrant.Token) error { return errors.Join(secret, honest.Save(ctx, t)) }
		}},
		{"a read returns an error that holds secrets", 503, 0, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.get = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, secret }
		}},
		{"a look-up returns an error that holds secrets", 503, 0, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.byFingerprint = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, secret }
		}},
		{"a read returns nothing and no error", 503, 0, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.get = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, nil }
		}},
		{"a look-up returns nothing and no error", 503, 0, func(_ context.Context, odd *oddStore, _ *memstore.Store) {
			odd.byFingerprint = func(context.Context, string) (codegrant.Token, error) { return codegrant.Token{}, nil }
		}},
		{"a read returns another user's record", 503, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.get = func(ctx context.Context, _ string) (codegrant.Token, error) { return honest.Get(ctx, "BOBS") }
		}},
		{"a read returns another record of the user", 503, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.get = func(ctx context.Context, _ string) (codegrant.Token, error) { return honest.Get(ctx, "OTHER") }
		}},
		{"a look-up returns another user's record", 503, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.byFingerprint = func(ctx context.Context, _ string) (codegrant.Token, error) { return honest.Get(ctx, "BOBS") }
		}},
		{"a read returns the record of another account", 503, 0, func(_ context.Context, odd *oddStore, honest *memstore.Store) {
			odd.get = func(ctx context.Context, id string) (codegrant.Token, error) {
				t, err := honest.Get(ctx, id)
				t.AccountID = "9999999999999999999001"
				return t, err
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, odd, honest := withOddStore(t, func(s *setup) { s.kit.OnUnknown = nil })
				id := m.start(t, "ann").ID
				for _, other := range []codegrant.Token{
					{ID: "BOBS", UserID: "bob", Value: codegrant.NewSecret(userToken(1)), Fingerprint: codegrant.Fingerprint(codegrant.NewSecret(userToken(1)))},
					{ID: "OTHER", UserID: "ann", Value: codegrant.NewSecret(userToken(2)), Fingerprint: codegrant.Fingerprint(codegrant.NewSecret(userToken(2)))},
				} {
					// Of a wallet that the new sign-up does not concern.
					other.AccountID, other.Wallet, other.Revision = gatewaytest.DefaultAccountID, codegrant.DANA, 1
					other.Status, other.Handled = codegrant.StatusActive, codegrant.StatusActive
					require.NoError(t, honest.Save(t.Context(), other))
				}
				body := m.gateway.SignedBody(success(id), nil)
				tc.harm(t.Context(), odd, honest)
				began := time.Now()
				w := m.post(t, id, body)
				require.Equal(t, tc.took, time.Since(began))
				if tc.status == 200 {
					require.Equal(t, 200, w.Code)
				} else if tc.status != 0 || w.Code != 200 {
					requireUnavailable(t, w)
				}
				if w.Code == 200 {
					odd.heal()
					require.Equal(t, codegrant.StatusActive, m.get(t, id).Status, "what was accepted was kept")
				}
				odd.heal()
				for range 2 {
					require.Equal(t, 200, m.post(t, id, body).Code)
				}
				got := m.get(t, id)
				require.Equal(t, codegrant.StatusActive, got.Status)
				require.Equal(t, codegrant.StatusActive, got.Handled)
				require.True(t, got.Value.Equal(codegrant.NewSecret(tokenValue)))
				require.Equal(t, "ann", got.UserID)
				require.NotZero(t, m.hooks.Load())
				for other, value := range map[string]string{"BOBS": userToken(1), "OTHER": userToken(2)} {
					got := m.get(t, other)
					require.EqualValues(t, 1, got.Revision, "%s was acted on", other)
					require.True(t, got.Value.Equal(codegrant.NewSecret(value)))
				}
				_, err := honest.Get(t.Context(), "")
				require.ErrorIs(t, err, codegrant.ErrNotFound, "a record of no number was made")
			})
		})
	}
}

// TestALyingSave is out of what any receiver can bear, and yet the next
// delivery mends what one lie did.
func TestALyingSave(t *testing.T) {
	t.Parallel()
	for lie := range 3 { // the last is: every save
		t.Run(fmt.Sprint("save ", lie), func(t *testing.T) {
			t.Parallel()
			m, odd, honest := withOddStore(t)
			id := m.start(t, "ann").ID
			body := m.gateway.SignedBody(success(id), nil)
			var saves atomic.Int64
			odd.save = func(ctx context.Context, t codegrant.Token) error {
				if n := saves.Add(1); n == int64(lie)+1 || lie == 2 {
					return nil
				}
				return honest.Save(ctx, t)
			}
			m.post(t, id, body)
			odd.heal()
			require.Equal(t, 200, m.post(t, id, body).Code)
			got := m.get(t, id)
			require.Equal(t, codegrant.StatusActive, got.Status)
			require.Equal(t, codegrant.StatusActive, got.Handled)
			require.NotZero(t, m.hooks.Load())
		})
	}
}

// TestAStoreThatPanics: net/http ends the connection, the gateway delivers
// again, and nothing was left locked.
func TestAStoreThatPanics(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Get", "Save", "ByFingerprint"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMerchant(t)
				pending := m.start(t, "ann")
				var broken atomic.Bool
				m.store.before = func(_ context.Context, called string) error {
					if broken.Load() && called == method {
						panic(shopSecret)
					}
					return nil
				}
				broken.Store(true)
				require.NoError(t, m.gateway.Approve(pending.AuthURL))
				require.NotEqual(t, codegrant.StatusActive, m.get(t, pending.ID).Handled)
				broken.Store(false)
				began := time.Now()
				attempt, err := m.gateway.Redeliver(1)
				require.NoError(t, err)
				require.True(t, attempt.Accepted())
				require.Equal(t, began, time.Now())
				require.Equal(t, codegrant.StatusActive, m.get(t, pending.ID).Handled)
				requireNoSecret(t, m.log.String())
			})
		})
	}
}

// TestAStoreThatHangsDeafToItsContext holds up its own caller, and nobody else
// for longer than their time.
func TestAStoreThatHangsDeafToItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMerchant(t)
		a, b := m.start(t, "ann").ID, m.start(t, "bob").ID
		release := make(chan struct{})
		var saves atomic.Int64
		m.store.before = func(_ context.Context, method string) error {
			if method == "Save" && saves.Add(1) == 1 {
				<-release
			}
			return nil
		}
		body := m.gateway.SignedBody(success(a), nil)
		first := make(chan int, 1)
		go func() { first <- m.post(t, a, body).Code }()
		synctest.Wait()

		began := time.Now()
		requireUnavailable(t, m.post(t, a, body))
		require.Equal(t, 3*time.Second, time.Since(began), "a copy waits for the record no longer than its own time")
		other := m.gateway.SignedBody(fmt.Sprintf(`{"notifyType":%q,"requestId":%q,"token":%q}`, created, b, userToken(1)), nil)
		require.Equal(t, 200, m.post(t, b, other).Code, "another record is not held up")

		time.Sleep(time.Second)
		close(release)
		require.Equal(t, 503, <-first, "its time was over")
		require.Equal(t, 200, m.post(t, a, body).Code)
		require.Equal(t, codegrant.StatusActive, m.get(t, a).Handled)
	})
}
