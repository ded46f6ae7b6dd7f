// Package bookstest is the test of what a cornershop keeps: run it against your
// own [cornershop.Orders], [cornershop.Sessions] and [cornershop.News].
package bookstest

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/shop/cornershop"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func equal[T comparable](t *testing.T, want, got T, about string) {
	t.Helper()
	if want != got {
		t.Fatalf("%s: want %v, got %v", about, want, got)
	}
}

// Orders tests an empty order book.
func Orders(t *testing.T, b cornershop.Orders) {
	ctx := t.Context()
	first := cornershop.Order{
		ID: "1", UserID: "mia", SKU: "tea", Wallet: codegrant.GCash, TokenID: "T",
		Amount: codegrant.Amount{Minor: 35000, Currency: "PHP"}, At: time.UnixMicro(1_700_000_000_000_001),
	}
	later := first
	later.ID, later.At = "2", first.At.Add(time.Second)
	other := first
	other.ID, other.UserID = "3", "ben"
	for _, o := range []cornershop.Order{first, later, other} {
		placed, err := b.Place(ctx, o)
		must(t, err)
		equal(t, true, placed, "a new order")
	}
	placed, err := b.Place(ctx, cornershop.Order{ID: "1", UserID: "ben", At: first.At})
	must(t, err)
	equal(t, false, placed, "an order that exists")

	get := func(id string) cornershop.Order {
		t.Helper()
		o, ok, err := b.Find(ctx, id)
		must(t, err)
		equal(t, true, ok, "found")
		return o
	}
	is := func(want cornershop.OrderState, about string) {
		t.Helper()
		equal(t, want, get("1").State, about)
	}
	found := get("1")
	found.At = found.At.UTC()
	first.At, first.State = first.At.UTC(), cornershop.Waiting
	equal(t, first, found, "what was placed")
	_, ok, err := b.Find(ctx, "unknown")
	must(t, err)
	equal(t, false, ok, "an unknown order")
	list, err := b.ByUser(ctx, "mia")
	must(t, err)
	equal(t, 2, len(list), "the user's orders")
	equal(t, "2", list[0].ID, "the newest first")

	must(t, b.Check(ctx, "1", true, false))
	equal(t, true, get("1").Checking, "being checked")
	must(t, b.Check(ctx, "1", false, true))
	equal(t, true, get("1").Unknown && !get("1").Checking, "given up")
	must(t, b.Keep(ctx, "1", "R0", "no"))
	_, ok, err = b.AskRefund(ctx, "1")
	must(t, err)
	equal(t, false, ok, "a refund before the payment")
	must(t, b.Decline(ctx, "1", "at first", false))
	must(t, b.Decline(ctx, "1", "no", true))
	must(t, b.Decline(ctx, "1", "again", false))
	is(cornershop.Declined, "declined")
	equal(t, true, get("1").Reconnect && get("1").Note == "no" && !get("1").Unknown, "how it was declined")
	must(t, b.Check(ctx, "1", true, false))
	equal(t, false, get("1").Checking, "nothing is left to check")
	must(t, b.Pay(ctx, "1"))
	is(cornershop.Paid, "a decline is not final")
	equal(t, false, get("1").Reconnect || get("1").Note != "", "the decline is forgotten")
	must(t, b.Decline(ctx, "1", "no", false))
	is(cornershop.Paid, "a payment is final")

	open, err := b.Unfinished(ctx)
	must(t, err)
	equal(t, false, slices.ContainsFunc(open, func(o cornershop.Order) bool { return o.ID == "1" }), "a paid order is finished")
	equal(t, 2, len(open), "unfinished orders of all users")

	one := askRefund(t, b)
	equal(t, 1, one, "the first refund")
	open, err = b.Unfinished(ctx)
	must(t, err)
	equal(t, 3, len(open), "a refunding order is unfinished")
	must(t, b.Keep(ctx, "1", "", "not reached"))
	is(cornershop.Paid, "the gateway never heard of it")
	equal(t, 1, askRefund(t, b), "the same refund again")
	must(t, b.Keep(ctx, "1", "R1", "refused"))
	equal(t, "refused", get("1").Note, "why the refund failed")
	equal(t, 2, askRefund(t, b), "a new refund")
	must(t, b.Keep(ctx, "1", "R1", "refused"))
	is(cornershop.Refunding, "old news of the first refund")
	must(t, b.Keep(ctx, "1", "R2", "refused"))
	equal(t, 3, askRefund(t, b), "a third refund")
	must(t, b.Keep(ctx, "1", "R1", "refused"))
	must(t, b.Keep(ctx, "1", "R2", "refused"))
	must(t, b.Pay(ctx, "1"))
	is(cornershop.Refunding, "old news of all kinds")
	must(t, b.Refund(ctx, "1"))
	must(t, b.Pay(ctx, "1"))
	must(t, b.Decline(ctx, "1", "late", false))
	must(t, b.Keep(ctx, "1", "R3", "late"))
	is(cornershop.Refunded, "a refund is final")
	must(t, b.Pay(ctx, "unknown"))
}

// askRefund asks eight times at once; exactly one is the refund.
func askRefund(t *testing.T, b cornershop.Orders) int {
	t.Helper()
	var asked sync.WaitGroup
	var granted, number atomic.Int64
	for range 8 {
		asked.Go(func() {
			n, ok, err := b.AskRefund(t.Context(), "1")
			if err != nil {
				t.Error(err)
			}
			if ok {
				granted.Add(1)
				number.Store(int64(n))
			}
		})
	}
	asked.Wait()
	equal(t, int64(1), granted.Load(), "refunds granted")
	return int(number.Load())
}

// Sessions tests an empty session book.
func Sessions(t *testing.T, b cornershop.Sessions) {
	ctx := t.Context()
	mia, err := b.UserID(ctx, "Mia Ünal")
	must(t, err)
	again, err := b.UserID(ctx, "mia ünal")
	must(t, err)
	equal(t, mia, again, "the same name in another case")
	ben, err := b.UserID(ctx, "Mia Unal")
	must(t, err)
	equal(t, false, mia == ben || mia == "" || ben == "", "another name")

	now := time.Now().Truncate(time.Microsecond)
	s := cornershop.Session{ID: "S1", UserID: mia, Name: "Mia Ünal", FormKey: "F1", Ends: now.Add(time.Hour)}
	must(t, b.Start(ctx, s))
	must(t, b.Start(ctx, cornershop.Session{ID: "S2", UserID: mia, Name: "Mia", FormKey: "F2", Ends: now.Add(-time.Second)}))
	found, ok, err := b.Find(ctx, "S1")
	must(t, err)
	equal(t, true, ok && found.Ends.Equal(s.Ends), "a session")
	found.Ends = s.Ends
	equal(t, s, found, "a session")
	_, ok, err = b.Find(ctx, "S2")
	must(t, err)
	equal(t, false, ok, "a session that is over")
	must(t, b.End(ctx, "S1"))
	must(t, b.End(ctx, "S1"))
	_, ok, err = b.Find(ctx, "S1")
	must(t, err)
	equal(t, false, ok, "a session that was ended")
}

// News tests an empty news book.
func News(t *testing.T, b cornershop.News) {
	ctx := t.Context()
	began := time.Now()
	for i := range cornershop.MaxNews + 2 {
		key := string(rune('a' + i))
		must(t, b.Add(ctx, "mia", cornershop.NewsItem{Key: key, Text: "text " + key, At: began.Add(time.Duration(i) * time.Second)}))
	}
	list, err := b.Latest(ctx, "mia")
	must(t, err)
	equal(t, cornershop.MaxNews, len(list), "items shown")
	equal(t, "text g", list[0].Text, "the newest first")
	none, err := b.Latest(ctx, "ben")
	must(t, err)
	equal(t, 0, len(none), "another user's news")
}
