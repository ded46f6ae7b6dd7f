package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/sqlstore"
)

// errOutsideTransaction cannot happen with sqlstore, sealed or not.
var errOutsideTransaction = errors.New("the hook is not in the store's transaction")

// onToken is Config.OnToken. Whichever instance gets the notification, and
// however often it comes, the row is committed together with the kit's record
// or not at all.
func onToken(ctx context.Context, c codegrant.Change) error {
	tx, ok := sqlstore.Tx(ctx)
	if !ok {
		return errOutsideTransaction
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO shop_wallet_journal (token_id, user_id, status) VALUES ($1, $2, $3)",
		c.Token.ID, c.Token.UserID, c.Token.Status.String())
	return err
}

// onPayment is Config.OnPayment, in the transaction of the payment's record.
func onPayment(ctx context.Context, n codegrant.PaymentNotification) error {
	tx, ok := sqlstore.Tx(ctx)
	if !ok {
		return errOutsideTransaction
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO shop_payment_journal (order_id, status) VALUES ($1, $2)", n.OrderID, string(n.Status))
	if err != nil || n.Status != codegrant.PaymentSuccess {
		return err
	}
	result, err := tx.ExecContext(ctx, "UPDATE shop_orders SET state = 'paid' WHERE id = $1 AND minor = $2 AND currency = $3",
		n.OrderID, n.Amount.Minor, n.Amount.Currency)
	if err != nil {
		return err
	}
	if changed, err := result.RowsAffected(); err != nil || changed != 1 {
		return errors.Join(err, fmt.Errorf("%s of order %s is not what it costs: a person must look at it", n.Amount, n.OrderID))
	}
	return nil
}
