package sqlstore_test

import (
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

func ExampleNew() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:shop?mode=memory&cache=shared&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()

	// AllowPlaintext only because this is an example: wrap the store with
	// package seal instead.
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{AllowPlaintext: true})
	if err != nil {
		panic(err)
	}
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}

	signUp := codegrant.Token{ID: "REQ-1", UserID: "ann", Status: codegrant.StatusPending, Revision: 1}
	fmt.Println(store.Save(ctx, signUp))
	fmt.Println(store.Save(ctx, signUp))
	// Output:
	// <nil>
	// codegrant: conflict
}

// The tokens are sealed. A payment's record holds no credential, so it goes to
// the store beneath the seal, and can be queried. Both may be saved in one
// transaction.
func ExampleStore_payments() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:paid?mode=memory&cache=shared&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	plain, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{})
	if err != nil {
		panic(err)
	}
	if err := plain.Migrate(ctx); err != nil {
		panic(err)
	}
	keys, err := seal.ParseKeyring("k1:" + base64.StdEncoding.EncodeToString([]byte("a key for tests, and for nothing")))
	if err != nil {
		panic(err)
	}
	sealed, err := seal.New(plain, keys)
	if err != nil {
		panic(err)
	}
	config := codegrant.Config{Store: sealed, Payments: plain} // and the rest

	// This is what the kit does before it sends a charge.
	attempt := codegrant.Payment{
		ID: "9f86d081", OrderID: "order-1", UserID: "ann", TokenID: "REQ-1", Attempt: 1,
		Amount: codegrant.Amount{Minor: 9900, Currency: "PHP"}, Revision: 1,
	}
	fmt.Println(config.Payments.SavePayment(ctx, attempt))

	var minor int64
	const asked = "SELECT SUM(amount_minor) FROM codegrant_payments WHERE user_id = 'ann' AND currency = 'PHP'"
	if err := db.QueryRowContext(ctx, asked).Scan(&minor); err != nil {
		panic(err)
	}
	fmt.Println(codegrant.Amount{Minor: minor, Currency: "PHP"})
	// Output:
	// <nil>
	// 99.00 PHP
}

// A shop gives a voucher for signing up, and exactly one, however often the
// notification is delivered: the voucher is in the same transaction as the
// token.
func ExampleTx() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // each connection to :memory: is a database of its own
	if _, err := db.ExecContext(ctx, "CREATE TABLE orders (user_id TEXT, item TEXT)"); err != nil {
		panic(err)
	}
	store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{AllowPlaintext: true})
	if err != nil {
		panic(err)
	}
	if err := store.Migrate(ctx); err != nil {
		panic(err)
	}

	// This is what the kit does with Config.OnToken and a notification.
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	deliver := func(hook func(context.Context, codegrant.Token) error) error {
		return store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
			t, err := tx.Get(ctx, "REQ-1")
			if errors.Is(err, codegrant.ErrNotFound) {
				t, err = codegrant.Token{ID: "REQ-1", UserID: "ann", CreatedAt: now}, nil
			}
			if err != nil || t.Handled == codegrant.StatusActive {
				return err
			}
			t.Status, t.Handled, t.Revision = codegrant.StatusActive, codegrant.StatusActive, t.Revision+1
			if err := hook(ctx, t); err != nil {
				return err
			}
			return tx.Save(ctx, t)
		})
	}

	// This is the merchant's hook.
	voucher := func(ctx context.Context, t codegrant.Token) error {
		tx, ok := sqlstore.Tx(ctx)
		if !ok {
			return errors.New("the hook was called outside of a transaction")
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO orders (user_id, item) VALUES (?, 'voucher')", t.UserID)
		return err
	}
	tooEarly := func(ctx context.Context, t codegrant.Token) error {
		return errors.Join(voucher(ctx, t), errors.New("the printer is jammed"))
	}

	for _, hook := range []func(context.Context, codegrant.Token) error{tooEarly, voucher, voucher} {
		err := deliver(hook)
		var vouchers int
		if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM orders").Scan(&vouchers); err != nil {
			panic(err)
		}
		fmt.Println(vouchers, err)
	}
	// Output:
	// 0 the printer is jammed
	// 1 <nil>
	// 1 <nil>
}
