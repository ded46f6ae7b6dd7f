package seal_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
)

func TestOptionalInterfacesAreTheInnerStores(t *testing.T) {
	t.Parallel()
	ring := keyring(t, "k1")
	for _, tc := range []struct {
		name     string
		inner    codegrant.TokenStore
		tx, list bool
	}{
		{"neither", newMapStore(), false, false},
		{"TxStore", txMapStore{newMapStore()}, true, false},
		{"ListStore", listMapStore{newMapStore()}, false, true},
		{"both", newFullMapStore(), true, true},
		{"memstore lists", memstore.New(), false, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			store := sealing(t, tc.inner, ring)
			_, tx := store.(codegrant.TxStore)
			_, list := store.(codegrant.ListStore)
			require.Equal(t, tc.tx, tx)
			require.Equal(t, tc.list, list)
			save(t, store, record("r"))
			require.Equal(t, record("r"), get(t, store, "r"))
		})
	}
}

func TestTransactionsSeal(t *testing.T) {
	t.Parallel()
	inner := newFullMapStore()
	store := sealing(t, inner, keyring(t, "k1")).(codegrant.TxStore)
	save(t, store, record("a"))
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "kept")
	require.NoError(t, store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		require.Equal(t, "kept", ctx.Value(key{}))
		got, err := tx.Get(ctx, "a")
		require.NoError(t, err)
		require.Equal(t, record("a"), got)
		_, isTx := tx.(codegrant.TxStore)
		require.False(t, isTx, "the inner transaction is no TxStore")
		return tx.Save(ctx, record("b"))
	}))
	require.True(t, seal.Sealed(get(t, inner, "b").Value))
	require.Equal(t, record("b"), get(t, store, "b"))
	failure := errors.New("hook failed")
	require.Equal(t, failure, store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		require.NoError(t, tx.Save(ctx, record("c")))
		return failure
	}), "as it is")
	_, err := store.Get(ctx, "c")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
	require.ErrorIs(t, store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		next := get(t, tx, "a")
		next.Revision++
		save(t, store, next)
		return tx.Save(ctx, next)
	}), codegrant.ErrConflict)
}

// TestNothingAtRestIsPlaintext goes through every string of the inner store,
// so that a secret that codegrant.Token gains is missed by nobody.
func TestNothingAtRestIsPlaintext(t *testing.T) {
	t.Parallel()
	inner := newMapStore()
	store := sealing(t, inner, keyring(t, "k1"))
	var secrets int
	token := codegrant.Token{ID: "r", AccountID: account, UserID: user, Revision: 1}
	for v, i := reflect.ValueOf(&token).Elem(), 0; i < v.NumField(); i++ {
		if v.Field(i).Type() == reflect.TypeFor[codegrant.Secret]() {
			v.Field(i).Set(reflect.ValueOf(codegrant.NewSecret("SENTINEL-" + v.Type().Field(i).Name)))
			secrets++
		}
	}
	require.Positive(t, secrets)
	save(t, store, token)
	var seen int
	stored := reflect.ValueOf(inner.tokens["r"])
	for i := range stored.NumField() {
		text := fmt.Sprint(stored.Field(i).Interface())
		if s, ok := stored.Field(i).Interface().(codegrant.Secret); ok {
			text = s.Reveal()
			require.True(t, seal.Sealed(s), stored.Type().Field(i).Name)
			seen++
		}
		require.NotContains(t, text, "SENTINEL")
	}
	require.Equal(t, secrets, seen)
	data, err := inner.tokens["r"].MarshalBinary()
	require.NoError(t, err)
	require.NotContains(t, string(data), "SENTINEL")
	require.Equal(t, token, get(t, store, "r"))
}

func TestEachSaveHasItsOwnNonce(t *testing.T) {
	t.Parallel()
	inner := newMapStore()
	store := sealing(t, inner, keyring(t, "k1"))
	seen := map[string]bool{}
	token := record("r")
	token.LoginID, token.Reference = token.Value, token.Value
	for token.Revision = 1; token.Revision <= 100; token.Revision++ {
		save(t, store, token)
		stored := get(t, inner, "r")
		seen[stored.Value.Reveal()], seen[stored.Reference.Reveal()], seen[stored.LoginID.Reveal()] = true, true, true
	}
	require.Len(t, seen, 300)
}

func TestPlaintextAtRest(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	ring := keyring(t, "k1")
	newInner := func(t *testing.T) *mapStore {
		inner := newMapStore()
		save(t, inner, record("plain"))
		return inner
	}
	requirePlaintext := func(t *testing.T, err error, field string) {
		t.Helper()
		require.ErrorIs(t, err, seal.ErrPlaintext)
		var e *seal.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, &seal.Error{Code: seal.ErrPlaintext, RecordID: "plain", Field: field}, e)
		require.EqualError(t, e, `codegrant: seal: `+field+` of record "plain" is stored in the clear`)
	}

	t.Run("is refused by every read", func(t *testing.T) {
		t.Parallel()
		store := sealing(t, newInner(t), ring)
		got, err := store.Get(ctx, "plain")
		require.Zero(t, got)
		requirePlaintext(t, err, "Value")
		_, err = store.ByFingerprint(ctx, record("plain").Fingerprint)
		requirePlaintext(t, err, "Value")
		_, err = store.ByUser(ctx, account, user)
		requirePlaintext(t, err, "Value")
		_, err = store.Unsettled(ctx, time.Now(), 10)
		requirePlaintext(t, err, "Value")
	})
	t.Run("is refused in each field", func(t *testing.T) {
		t.Parallel()
		for _, field := range []string{"Value", "Reference", "LoginID"} {
			inner := newMapStore()
			store := sealing(t, inner, ring)
			save(t, store, record("plain"))
			inner.patch("plain", func(token *codegrant.Token) {
				reflect.ValueOf(token).Elem().FieldByName(field).Set(reflect.ValueOf(codegrant.NewSecret("clear")))
			})
			_, err := store.Get(ctx, "plain")
			requirePlaintext(t, err, field)
		}
	})
	t.Run("is accepted by name, and sealed when saved", func(t *testing.T) {
		t.Parallel()
		inner := newInner(t)
		store := sealing(t, inner, ring, seal.AcceptPlaintext())
		got := get(t, store, "plain")
		require.Equal(t, record("plain"), got)
		got.Revision++
		save(t, store, got)
		require.True(t, seal.Sealed(get(t, inner, "plain").Value))
		require.Equal(t, got, get(t, sealing(t, inner, ring), "plain"))
	})
	t.Run("is accepted inside a transaction too", func(t *testing.T) {
		t.Parallel()
		store := sealing(t, txMapStore{newInner(t)}, ring, seal.AcceptPlaintext()).(codegrant.TxStore)
		require.NoError(t, store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
			_, err := tx.Get(ctx, "plain")
			return err
		}))
	})
	t.Run("is no excuse for a value that is not its fingerprint's", func(t *testing.T) {
		t.Parallel()
		inner := newInner(t)
		inner.patch("plain", func(token *codegrant.Token) { token.Value = codegrant.NewSecret("planted") })
		_, err := sealing(t, inner, ring, seal.AcceptPlaintext()).Get(ctx, "plain")
		require.ErrorIs(t, err, seal.ErrCorrupt)
	})
}

func TestOneDamagedRecordDoesNotHideTheOthers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	inner := newFullMapStore()
	store := sealing(t, inner, keyring(t, "k1"))
	save(t, store, record("a"), record("b"), record("c"), record("d"))
	damage := func(token *codegrant.Token) { token.Value = codegrant.NewSecret("cgs1.k1.damaged") }
	inner.patch("b", damage)
	look := map[string]func() ([]codegrant.Token, error){
		"ByUser":    func() ([]codegrant.Token, error) { return store.ByUser(ctx, account, user) },
		"Unsettled": func() ([]codegrant.Token, error) { return store.Unsettled(ctx, time.Now(), 10) },
		"List":      func() ([]codegrant.Token, error) { return store.(codegrant.ListStore).List(ctx, "", 10) },
	}
	for name, f := range look {
		found, err := f()
		require.ErrorIs(t, err, seal.ErrCorrupt, name)
		require.Equal(t, []codegrant.Token{record("a"), record("c"), record("d")}, found, name)
	}
	inner.patch("c", damage)
	for name, f := range look {
		found, err := f()
		require.EqualError(t, err, `codegrant: seal: Value of record "b" is damaged or belongs elsewhere, nor do 1 more records open`, name)
		require.Len(t, found, 2, name)
	}
}

func TestErrorsOfTheInnerStorePassAsTheyAre(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	store := sealing(t, newFullMapStore(), keyring(t, "k1"))
	_, err := store.Get(ctx, "absent")
	require.Equal(t, codegrant.ErrNotFound, err)
	_, err = store.ByFingerprint(ctx, "")
	require.Equal(t, codegrant.ErrNotFound, err)
	save(t, store, record("r"))
	require.Equal(t, codegrant.ErrConflict, store.Save(ctx, record("r")))
	cancel()
	_, err = store.ByUser(ctx, account, user)
	require.Equal(t, context.Canceled, err)
	_, err = store.Unsettled(ctx, time.Now(), 1)
	require.Equal(t, context.Canceled, err)
	_, err = store.(codegrant.ListStore).List(ctx, "", 1)
	require.Equal(t, context.Canceled, err)
	require.Equal(t, context.Canceled, store.Save(ctx, record("other")))
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	store := sealing(t, memstore.New(), keyring(t, "k2", "k1"))
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 50 {
				token := record(fmt.Sprintf("%d-%d", g, i))
				token.UserID = fmt.Sprint("user-", g)
				if err := store.Save(t.Context(), token); err != nil {
					t.Error(err)
				}
				found, err := store.ByUser(t.Context(), account, token.UserID)
				if err != nil || len(found) != i+1 {
					t.Error(len(found), err)
				}
				back, err := store.ByFingerprint(t.Context(), token.Fingerprint)
				if err != nil || !reflect.DeepEqual(back, token) {
					t.Error(back, err)
				}
			}
		})
	}
	all.Wait()
}

func TestErrorTextsCarryNoValue(t *testing.T) {
	t.Parallel()
	for _, code := range []codegrant.Code{seal.ErrCorrupt, seal.ErrPlaintext, seal.ErrUnknownKey, seal.ErrWrongKey} {
		err := error(&seal.Error{Code: code, RecordID: "r\n1", Field: "Value", KeyID: "k9"})
		require.ErrorIs(t, err, code)
		require.True(t, strings.HasPrefix(err.Error(), `codegrant: seal: Value of record "r\n1" is `), err.Error())
	}
}
