package cornershop

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// OrderBook is [Orders] in memory.
type OrderBook struct {
	mu   sync.Mutex
	byID map[string]*bookedOrder
}

type bookedOrder struct {
	Order
	failedRefunds []string // refundID of those that were refused
}

// NewOrderBook returns an empty OrderBook.
func NewOrderBook() *OrderBook { return &OrderBook{byID: make(map[string]*bookedOrder)} }

// Place implements [Orders].
func (b *OrderBook) Place(_ context.Context, o Order) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byID[o.ID] != nil {
		return false, nil
	}
	o.State = Waiting
	b.byID[o.ID] = &bookedOrder{Order: o}
	return true, nil
}

// Find implements [Orders].
func (b *OrderBook) Find(_ context.Context, id string) (Order, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.byID[id]; o != nil {
		return o.Order, true, nil
	}
	return Order{}, false, nil
}

// ByUser implements [Orders].
func (b *OrderBook) ByUser(_ context.Context, userID string) ([]Order, error) {
	return b.all(func(o Order) bool { return o.UserID == userID }), nil
}

// Unfinished implements [Orders].
func (b *OrderBook) Unfinished(context.Context) ([]Order, error) {
	return b.all(func(o Order) bool { return o.State == Waiting || o.State == Refunding }), nil
}

func (b *OrderBook) all(wanted func(Order) bool) []Order {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []Order
	for _, o := range b.byID {
		if wanted(o.Order) {
			found = append(found, o.Order)
		}
	}
	slices.SortFunc(found, func(x, y Order) int { return y.At.Compare(x.At) })
	return found
}

// change changes an order that is in one of the states.
func (b *OrderBook) change(id string, change func(*bookedOrder), from ...OrderState) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o := b.byID[id]; o != nil && slices.Contains(from, o.State) {
		change(o)
	}
	return nil
}

// move puts an order into a state in which nothing is open.
func (o *bookedOrder) move(to OrderState, note string) {
	o.State, o.Note, o.Reconnect, o.Checking, o.Unknown = to, note, false, false, false
}

// Pay implements [Orders].
func (b *OrderBook) Pay(_ context.Context, id string) error {
	return b.change(id, func(o *bookedOrder) { o.move(Paid, "") }, Waiting, Declined)
}

// Decline implements [Orders].
func (b *OrderBook) Decline(_ context.Context, id, note string, reconnect bool) error {
	from := []OrderState{Waiting}
	if reconnect {
		from = append(from, Declined)
	}
	return b.change(id, func(o *bookedOrder) {
		o.move(Declined, note)
		o.Reconnect = reconnect
	}, from...)
}

// Check implements [Orders].
func (b *OrderBook) Check(_ context.Context, id string, checking, unknown bool) error {
	return b.change(id, func(o *bookedOrder) { o.Checking, o.Unknown = checking, unknown }, Waiting, Refunding)
}

// AskRefund implements [Orders].
func (b *OrderBook) AskRefund(_ context.Context, id string) (number int, ok bool, err error) {
	err = b.change(id, func(o *bookedOrder) {
		o.move(Refunding, "")
		o.Refunds++
		number, ok = o.Refunds, true
	}, Paid)
	return number, ok, err
}

// Refund implements [Orders].
func (b *OrderBook) Refund(_ context.Context, id string) error {
	return b.change(id, func(o *bookedOrder) { o.move(Refunded, "") }, Waiting, Declined, Paid, Refunding)
}

// Keep implements [Orders].
func (b *OrderBook) Keep(_ context.Context, id, refundID, note string) error {
	return b.change(id, func(o *bookedOrder) {
		if refundID == "" {
			o.Refunds--
		} else if slices.Contains(o.failedRefunds, refundID) {
			return // old news
		} else {
			o.failedRefunds = append(o.failedRefunds, refundID)
		}
		o.move(Paid, note)
	}, Refunding)
}

// SessionBook is [Sessions] in memory.
type SessionBook struct {
	mu      sync.Mutex
	byID    map[string]Session
	userIDs map[string]string // by name
}

// NewSessionBook returns an empty SessionBook.
func NewSessionBook() *SessionBook {
	return &SessionBook{byID: make(map[string]Session), userIDs: make(map[string]string)}
}

// UserID implements [Sessions].
func (b *SessionBook) UserID(_ context.Context, name string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	account := strings.ToLower(name)
	if b.userIDs[account] == "" {
		b.userIDs[account] = fmt.Sprintf("user-%d", len(b.userIDs)+1)
	}
	return b.userIDs[account], nil
}

// Start implements [Sessions].
func (b *SessionBook) Start(_ context.Context, s Session) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(b.byID, func(_ string, each Session) bool { return now.After(each.Ends) })
	b.byID[s.ID] = s
	return nil
}

// Find implements [Sessions].
func (b *SessionBook) Find(_ context.Context, id string) (Session, bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.byID[id]
	return found, ok && time.Now().Before(found.Ends), nil
}

// End implements [Sessions].
func (b *SessionBook) End(_ context.Context, id string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.byID, id)
	return nil
}

// NewsBook is [News] in memory.
type NewsBook struct {
	mu     sync.Mutex
	byUser map[string][]NewsItem
}

// NewNewsBook returns an empty NewsBook.
func NewNewsBook() *NewsBook { return &NewsBook{byUser: make(map[string][]NewsItem)} }

// Add implements [News].
func (b *NewsBook) Add(_ context.Context, userID string, n NewsItem) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := b.byUser[userID]
	if slices.ContainsFunc(list, func(known NewsItem) bool { return known.Key == n.Key }) {
		return nil
	}
	list = slices.Insert(list, 0, n)
	b.byUser[userID] = list[:min(len(list), MaxNews)]
	return nil
}

// Latest implements [News].
func (b *NewsBook) Latest(_ context.Context, userID string) ([]NewsItem, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.byUser[userID]), nil
}
