package main

import (
	"context"
	"errors"
	"time"

	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

// news is [cornershop.News] in the table shop_news.
type news struct{ db *database }

var _ cornershop.News = news{}

// Add implements [cornershop.News]. It is called by the hook Config.OnToken,
// and is the example of a write that happens exactly once.
//
// The kit calls the hook inside the transaction in which it saves the token,
// and sqlstore.Tx hands out that transaction: the news and the token's new
// status are committed together or not at all. When the hook fails, the process
// is killed or the commit is lost, both are undone, and the gateway's next
// delivery does both again. That is why the table needs no key to keep the same
// thing from being written twice, and why a counter or an outbox of mails would
// be as safe in its place.
func (n news) Add(ctx context.Context, userID string, item cornershop.NewsItem) error {
	_, err := n.db.change(ctx, "INSERT INTO shop_news (item, user_id, message, happened_at) VALUES (?, ?, ?, ?)",
		item.Key, userID, item.Text, item.At.UnixMicro())
	return err
}

// Latest implements [cornershop.News].
func (n news) Latest(ctx context.Context, userID string) (found []cornershop.NewsItem, err error) {
	rows, err := n.db.QueryContext(ctx, n.db.adapt("SELECT item, message, happened_at FROM shop_news "+
		"WHERE user_id = ? ORDER BY happened_at DESC LIMIT ?"), userID, cornershop.MaxNews)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var item cornershop.NewsItem
		var at int64
		if err := rows.Scan(&item.Key, &item.Text, &at); err != nil {
			return nil, err
		}
		item.At = time.UnixMicro(at)
		found = append(found, item)
	}
	return found, rows.Err()
}
