package main

import (
	"context"
	"errors"
	"time"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

// orders is [cornershop.Orders] in the table shop_orders. Every change is one
// UPDATE that names the states it starts from: whoever comes second, late or
// twice changes nothing, and nothing has to be locked.
type orders struct{ db *database }

var _ cornershop.Orders = orders{}

const orderColumns = "id, user_id, sku, minor, currency, wallet, token_id, placed_at, " +
	"state, note, reconnect, checking, gave_up, refunds"

// Place implements [cornershop.Orders].
func (o orders) Place(ctx context.Context, order cornershop.Order) (bool, error) {
	return o.db.change(ctx, "INSERT INTO shop_orders ("+orderColumns+", failed_refunds) "+
		"VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting', '', FALSE, FALSE, FALSE, 0, '') ON CONFLICT DO NOTHING",
		order.ID, order.UserID, order.SKU, order.Amount.Minor, order.Amount.Currency,
		string(order.Wallet), order.TokenID, order.At.UnixMicro())
}

// Find implements [cornershop.Orders].
func (o orders) Find(ctx context.Context, id string) (cornershop.Order, bool, error) {
	found, err := o.query(ctx, "WHERE id = ?", id)
	if err != nil || len(found) == 0 {
		return cornershop.Order{}, false, err
	}
	return found[0], true, nil
}

// ByUser implements [cornershop.Orders].
func (o orders) ByUser(ctx context.Context, userID string) ([]cornershop.Order, error) {
	return o.query(ctx, "WHERE user_id = ? ORDER BY placed_at DESC, id", userID)
}

// Unfinished implements [cornershop.Orders].
func (o orders) Unfinished(ctx context.Context) ([]cornershop.Order, error) {
	return o.query(ctx, "WHERE state IN ('waiting', 'refunding') ORDER BY placed_at DESC, id")
}

func (o orders) query(ctx context.Context, where string, args ...any) (found []cornershop.Order, err error) {
	rows, err := o.db.in(ctx).QueryContext(ctx, o.db.adapt("SELECT "+orderColumns+" FROM shop_orders "+where), args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var order cornershop.Order
		var placed int64
		if err := rows.Scan(&order.ID, &order.UserID, &order.SKU, &order.Amount.Minor, &order.Amount.Currency,
			&order.Wallet, &order.TokenID, &placed, &order.State, &order.Note,
			&order.Reconnect, &order.Checking, &order.Unknown, &order.Refunds); err != nil {
			return nil, err
		}
		order.At = time.UnixMicro(placed)
		found = append(found, order)
	}
	return found, rows.Err()
}

// settled is what every change to a state in which nothing is open sets.
const settled = "reconnect = FALSE, checking = FALSE, gave_up = FALSE"

// Pay implements [cornershop.Orders].
func (o orders) Pay(ctx context.Context, id string) error {
	_, err := o.db.change(ctx, "UPDATE shop_orders SET state = 'paid', note = '', "+settled+
		" WHERE id = ? AND state IN ('waiting', 'declined')", id)
	return err
}

// Decline implements [cornershop.Orders].
func (o orders) Decline(ctx context.Context, id, note string, reconnect bool) error {
	_, err := o.db.change(ctx, "UPDATE shop_orders SET state = 'declined', note = ?, "+
		"reconnect = ?, checking = FALSE, gave_up = FALSE "+
		"WHERE id = ? AND (state = 'waiting' OR (state = 'declined' AND ?))", note, reconnect, id, reconnect)
	return err
}

// Check implements [cornershop.Orders].
func (o orders) Check(ctx context.Context, id string, checking, unknown bool) error {
	_, err := o.db.change(ctx, "UPDATE shop_orders SET checking = ?, gave_up = ? "+
		"WHERE id = ? AND state IN ('waiting', 'refunding')", checking, unknown, id)
	return err
}

// AskRefund implements [cornershop.Orders]. Of several that ask at once, the
// UPDATE lets one through. The transaction only keeps the number from changing
// before it is read; not every database has RETURNING.
func (o orders) AskRefund(ctx context.Context, id string) (number int, ok bool, err error) {
	tx, err := o.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after a commit
	result, err := tx.ExecContext(ctx, o.db.adapt("UPDATE shop_orders SET state = 'refunding', note = '', "+
		"refunds = refunds + 1, "+settled+" WHERE id = ? AND state = 'paid'"), id)
	if err != nil {
		return 0, false, err
	}
	if n, err := result.RowsAffected(); n == 0 || err != nil {
		return 0, false, err
	}
	err = tx.QueryRowContext(ctx, o.db.adapt("SELECT refunds FROM shop_orders WHERE id = ?"), id).Scan(&number)
	if err != nil {
		return 0, false, err
	}
	return number, true, tx.Commit()
}

// Refund implements [cornershop.Orders].
func (o orders) Refund(ctx context.Context, id string) error {
	_, err := o.db.change(ctx, "UPDATE shop_orders SET state = 'refunded', note = '', "+settled+
		" WHERE id = ? AND state <> 'refunded'", id)
	return err
}

// Keep implements [cornershop.Orders].
func (o orders) Keep(ctx context.Context, id, refundID, note string) (err error) {
	if refundID == "" {
		_, err = o.db.change(ctx, "UPDATE shop_orders SET state = 'paid', note = ?, refunds = refunds - 1, "+settled+
			" WHERE id = ? AND state = 'refunding'", note, id)
		return err
	}
	_, err = o.db.change(ctx, "UPDATE shop_orders SET state = 'paid', note = ?, "+settled+", "+
		"failed_refunds = failed_refunds || ? WHERE id = ? AND state = 'refunding' AND failed_refunds NOT LIKE ?",
		note, refundID+" ", id, "%"+refundID+" %")
	return err
}
