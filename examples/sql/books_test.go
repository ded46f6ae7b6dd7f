package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/shop/cornershop"
	"github.com/codegrant/codegrant/examples/shop/cornershop/bookstest"
	"github.com/codegrant/codegrant/sqlstore"
)

func TestBooksInADatabase(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn, file string) {
		db, err := openDatabase(t.Context(), dsn, file)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		bookstest.Orders(t, orders{db})
		bookstest.Sessions(t, sessions{db})
		bookstest.News(t, news{db})

		var hash string
		require.NoError(t, sessions{db}.Start(t.Context(), bookSession()))
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT id_hash FROM shop_sessions").Scan(&hash))
		require.NotContains(t, hash, bookSession().ID)
	})
}

func TestSQLiteIsFullyDurable(t *testing.T) {
	t.Parallel()
	db, err := openDatabase(t.Context(), "", filepath.Join(t.TempDir(), "a ?#%41 b.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	var mode string
	var synchronous int
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA journal_mode").Scan(&mode))
	require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&synchronous))
	require.Equal(t, "wal", mode)
	require.Equal(t, 2, synchronous, "FULL")
	store, err := sqlstore.New(db.DB, db.dialect, sqlstore.Options{})
	require.NoError(t, err)
	weak, err := store.CheckDurability(t.Context())
	require.NoError(t, err)
	require.Empty(t, weak)
}

func TestConnectionStrings(t *testing.T) {
	t.Parallel()
	for dsn, want := range map[string]sqlstore.Dialect{
		"":                                  sqlstore.SQLite,
		"postgres://a:b@localhost/db":       sqlstore.PostgreSQL,
		"postgresql://localhost/db":         sqlstore.PostgreSQL,
		"root@tcp(127.0.0.1)/db":            sqlstore.MySQL,
		"a:b@unix(/run/mysqld.sock)/db?x=1": sqlstore.MySQL,
	} {
		db, err := connect(dsn, "shop.db")
		require.NoError(t, err, dsn)
		require.Equal(t, want, db.dialect, dsn)
		require.NoError(t, db.Close())
	}
	for _, dsn := range []string{"sqlite.db", "mysql://a:secret@localhost/db", "a:secret@tcp(localhost", "postgres://a:secret@%zz/db"} {
		db, err := connect(dsn, "shop.db")
		if err == nil { // pgx reads it later
			err = db.PingContext(t.Context())
		}
		require.Error(t, err, dsn)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "shop.keys")
	var said bytes.Buffer
	_, err := findKeys("", file, &said)
	require.NoError(t, err)
	require.Contains(t, said.String(), "Warning: the key that seals the tokens lies in "+file)
	first, err := os.ReadFile(file)
	require.NoError(t, err)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, makeKey(file))
	_, err = findKeys("", file, &said)
	require.NoError(t, err)
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, first, again, "never over another key")
	left, err := filepath.Glob(file + ".*")
	require.NoError(t, err)
	require.Empty(t, left)

	said.Reset()
	_, err = findKeys(strings.TrimSpace(string(first)), "/nowhere/shop.keys", &said)
	require.NoError(t, err)
	require.Empty(t, said.String())
	_, err = findKeys("k1:short", file, &said)
	require.ErrorContains(t, err, "base64 of exactly 32 bytes")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = findKeys("", file, &said)
	require.ErrorContains(t, err, file)
}

func TestNewsAreKeptWithTheTokenOrNotAtAll(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, dsn, file string) {
		db, err := openDatabase(t.Context(), dsn, file)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		keys, err := findKeys("", file+".keys", io.Discard)
		require.NoError(t, err)
		store, _, err := db.stores(t.Context(), keys)
		require.NoError(t, err)
		token := codegrant.Token{ID: "T", Revision: 1, Status: codegrant.StatusActive, Value: codegrant.NewSecret("v")}
		crash := errors.New("the process ends here")
		for _, want := range []error{crash, crash, nil} {
			err := store.(codegrant.TxStore).InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error {
				require.NoError(t, news{db}.Add(ctx, "mia", cornershop.NewsItem{Key: "T", Text: "connected"}))
				require.NoError(t, tx.Save(ctx, token))
				return want
			})
			require.Equal(t, want, err)
			list, err := news{db}.Latest(t.Context(), "mia")
			require.NoError(t, err)
			_, err = store.Get(t.Context(), "T")
			if want != nil {
				require.Empty(t, list)
				require.ErrorIs(t, err, codegrant.ErrNotFound)
			} else {
				require.Len(t, list, 1)
				require.NoError(t, err)
			}
		}
	})
}
