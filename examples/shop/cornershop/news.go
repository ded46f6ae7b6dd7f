package cornershop

import (
	"context"
	"time"

	"github.com/codegrant/codegrant"
)

// News keeps what happened to each user's wallets.
type News interface {
	// Add adds an item. Hooks may be called again: what has a known Key is
	// already there.
	Add(ctx context.Context, userID string, n NewsItem) error
	// Latest returns the last [MaxNews] items, newest first.
	Latest(ctx context.Context, userID string) ([]NewsItem, error)
}

// MaxNews is how many items a page shows.
const MaxNews = 5

// NewsItem is one thing that happened to a user's wallets.
type NewsItem struct {
	Key  string // the same thing has the same key
	Text string
	At   time.Time
}

// onToken is Config.OnToken. A real shop would write a mail here.
func (s *Shop) onToken(ctx context.Context, c codegrant.Change) error {
	t := c.Token
	text := ""
	switch t.Status {
	case codegrant.StatusFailed:
		text = string(t.Wallet) + " was not connected"
	case codegrant.StatusActive:
		text = string(t.Wallet) + " was connected"
	case codegrant.StatusUnbound:
		text = string(t.Wallet) + " was disconnected"
		if t.EndedBy == codegrant.EndedByUser {
			text += " in the wallet"
		}
	default:
		return nil
	}
	return s.news.Add(ctx, t.UserID, NewsItem{Key: t.ID + t.Status.String(), Text: text, At: time.Now()})
}
