package sqlstore_test

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
	"github.com/codegrant/codegrant/storetest"
)

// file returns the connection string of a new database.
func file(t *testing.T) string {
	t.Helper()
	return "file:" + filepath.Join(t.TempDir(), "tokens.db") + "?_pragma=journal_mode(wal)"
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// quiet are the options of a store that takes secrets in the clear.
func quiet() sqlstore.Options {
	return sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)}
}

// newStore returns a migrated store on db.
func newStore(t *testing.T, db *sql.DB) *sqlstore.Store {
	t.Helper()
	store, err := sqlstore.New(db, sqlstore.SQLite, quiet())
	require.NoError(t, err)
	require.NoError(t, store.Migrate(context.Background()))
	return store
}

// connections are ways to open a database of SQLite.
func connections() map[string]func(t *testing.T) *sql.DB {
	return map[string]func(t *testing.T) *sql.DB{
		"write-ahead log, many connections, no busy timeout": func(t *testing.T) *sql.DB { return open(t, file(t)) },
		"rollback journal, busy timeout": func(t *testing.T) *sql.DB {
			return open(t, "file:"+filepath.Join(t.TempDir(), "tokens.db")+
				"?_pragma=busy_timeout(5000)&_pragma=synchronous(off)") // its locks are what matters here
		},
		"in memory, one connection": func(t *testing.T) *sql.DB {
			db := open(t, ":memory:")
			db.SetMaxOpenConns(1)
			return db
		},
	}
}

func TestStoreKeepsTheContract(t *testing.T) {
	t.Parallel()
	for name, setup := range connections() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return newStore(t, setup(t)) })
		})
	}
}

func TestStoreKeepsTheContractOfPayments(t *testing.T) {
	t.Parallel()
	for name, setup := range connections() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.RunPayments(t, func(t *testing.T) codegrant.PaymentStore { return newStore(t, setup(t)) })
		})
	}
}

var created = time.Date(2026, 11, 23, 1, 2, 3, 456_789_000, time.UTC)

// token returns a first record with secrets in the clear.
func token(id string) codegrant.Token {
	value := codegrant.NewSecret("SECRET-VALUE-" + id)
	return codegrant.Token{
		ID: id, AccountID: "A1", UserID: "ann", Wallet: codegrant.Boost, Revision: 1,
		Status: codegrant.StatusActive, Handled: codegrant.StatusActive,
		Value: value, Fingerprint: codegrant.Fingerprint(value),
		Reference: codegrant.NewSecret("SECRET-REFERENCE"), LoginID: codegrant.NewSecret("SECRET-LOGIN"),
		CreatedAt: created, UpdatedAt: created,
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	db := open(t, ":memory:")
	for name, prefix := range map[string]string{
		"upper case": "Shop_", "blank": "a b", "quote": `a"`, "statement": "a; drop table b --", "digit first": "1_",
		"too long": strings.Repeat("a", 33), "not ASCII": "käse_", "line break": "a\n",
	} {
		_, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{TablePrefix: prefix})
		require.ErrorIs(t, err, codegrant.ErrInvalidConfig, name)
	}
	_, err := sqlstore.New(nil, "oracle", sqlstore.Options{TablePrefix: "-"})
	require.ErrorContains(t, err, "db is missing")
	require.ErrorContains(t, err, "dialect")
	require.ErrorContains(t, err, "TablePrefix")
	_, err = sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{TablePrefix: strings.Repeat("a", 32)})
	require.NoError(t, err)
}

func TestNewDoesNotTouchTheDatabase(t *testing.T) {
	t.Parallel()
	db, _ := openFaulty(t, file(t), func(query string) error { t.Error(query); return nil })
	_, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	require.NoError(t, err)
}

func TestASecretInTheClearIsRefused(t *testing.T) {
	t.Parallel()
	db := open(t, file(t))
	newStore(t, db)
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	bare := token("a")
	bare.Value, bare.Reference, bare.LoginID = codegrant.Secret{}, codegrant.Secret{}, codegrant.Secret{}
	for field, set := range map[string]func(*codegrant.Token){
		"Value":     func(c *codegrant.Token) { c.Value = codegrant.NewSecret("SECRET") },
		"Reference": func(c *codegrant.Token) { c.Reference = codegrant.NewSecret("SECRET") },
		"LoginID":   func(c *codegrant.Token) { c.LoginID = codegrant.NewSecret("SECRET") },
	} {
		refused := bare
		set(&refused)
		err := store.Save(t.Context(), refused)
		require.ErrorIs(t, err, sqlstore.ErrPlaintext)
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), "SECRET")
		err = store.InTx(t.Context(), func(ctx context.Context, tx codegrant.TokenStore) error { return tx.Save(ctx, refused) })
		require.ErrorIs(t, err, sqlstore.ErrPlaintext)
		_, err = store.Get(t.Context(), "a")
		require.ErrorIs(t, err, codegrant.ErrNotFound)
	}
	require.NoError(t, store.Save(t.Context(), bare), "there is nothing to seal")
}

func TestATextThatSomeDatabaseWouldChangeIsRefused(t *testing.T) {
	t.Parallel()
	store := newStore(t, open(t, file(t)))
	for name, set := range map[string]func(*codegrant.Token){
		"ID is longer":          func(c *codegrant.Token) { c.ID = strings.Repeat("i", 257) },
		"UserID is longer":      func(c *codegrant.Token) { c.UserID = strings.Repeat("i", 1025) },
		"AuthURL is longer":     func(c *codegrant.Token) { c.AuthURL = strings.Repeat("i", 1<<16) },
		"Value is longer":       func(c *codegrant.Token) { c.Value = codegrant.NewSecret(strings.Repeat("i", 1<<16)) },
		"UserID is not valid":   func(c *codegrant.Token) { c.UserID = "\xff" },
		"ReturnTo is not valid": func(c *codegrant.Token) { c.ReturnTo = "/\x00" },
	} {
		refused := token("a")
		set(&refused)
		require.ErrorContains(t, store.Save(t.Context(), refused), name)
	}
	_, err := store.Get(t.Context(), "a")
	require.ErrorIs(t, err, codegrant.ErrNotFound)
}

func TestZeroAndNegativeLimitsFindNothing(t *testing.T) {
	t.Parallel()
	store := newStore(t, open(t, file(t)))
	waiting := token("a")
	waiting.UnsettledSince = created
	require.NoError(t, store.Save(t.Context(), waiting))
	for _, limit := range []int{0, -1} {
		found, err := store.Unsettled(t.Context(), created, limit)
		require.NoError(t, err)
		require.Empty(t, found)
		found, err = store.List(t.Context(), "", limit)
		require.NoError(t, err)
		require.Empty(t, found)
	}
}

func TestListWalksOverAllRecordsInTheOrderOfBytes(t *testing.T) {
	t.Parallel()
	store := newStore(t, open(t, file(t)))
	ids := []string{"", " ", "10", "2", "B", "a", "a ", "b", "ä", "ｚ", "𠮷"}
	for _, id := range ids[1:] {
		require.NoError(t, store.Save(t.Context(), token(id)))
	}
	var walked []string
	for after := ""; ; {
		page, err := store.List(t.Context(), after, 3)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, found := range page {
			walked = append(walked, found.ID)
		}
		after = walked[len(walked)-1]
	}
	require.Equal(t, ids[1:], walked)
}
