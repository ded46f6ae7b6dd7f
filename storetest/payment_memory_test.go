package storetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

// ledger is memory for payments: a right PaymentStore, made to be broken.
type ledger struct {
	paymentFlaws
	lock    chan struct{}
	records map[string]codegrant.Payment
	touched map[string]bool // ids that were read or saved; nil where nobody asks
}

type paymentFlaws struct {
	accept  func(old, p codegrant.Payment) bool              // nil: the next revision only
	pause   func(p codegrant.Payment)                        // between the check and the write, outside the lock
	keep    func(old, p codegrant.Payment) codegrant.Payment // what is stored of p
	show    func(codegrant.Payment) codegrant.Payment        // what is returned of it
	id      func(string) string                              // what of an id is compared
	settle  func(a, b codegrant.Payment) int                 // order of UnsettledPayments
	waits   func(p codegrant.Payment, olderThan time.Time) bool
	atMost  func(found []codegrant.Payment, limit int) []codegrant.Payment
	missing error // in place of ErrNotFound
	rush    bool  // the context is not looked at
	blind   bool  // a transaction does not remember what it read
}

func copied(p codegrant.Payment) codegrant.Payment {
	p.Refunds = slices.Clone(p.Refunds)
	return p
}

func newLedger() *ledger {
	l := &ledger{lock: make(chan struct{}, 1), records: map[string]codegrant.Payment{}, paymentFlaws: paymentFlaws{
		accept: func(old, p codegrant.Payment) bool { return old.Revision == p.Revision-1 },
		keep:   func(_, p codegrant.Payment) codegrant.Payment { return copied(p) },
		show:   copied,
		id:     func(id string) string { return id },
		waits: func(p codegrant.Payment, at time.Time) bool {
			return !p.UnsettledSince.IsZero() && !p.UnsettledSince.After(at)
		},
		settle: func(a, b codegrant.Payment) int {
			return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(a.ID, b.ID))
		},
		missing: codegrant.ErrNotFound,
	}}
	l.atMost = func(found []codegrant.Payment, limit int) []codegrant.Payment {
		slices.SortFunc(found, l.settle)
		return found[:min(max(limit, 0), len(found))]
	}
	return l
}

// enter waits for its turn until ctx ends.
func (l *ledger) enter(ctx context.Context) (leave func(), err error) {
	if l.rush {
		ctx = context.WithoutCancel(ctx)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case l.lock <- struct{}{}:
		return func() { <-l.lock }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *ledger) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return codegrant.Payment{}, err
	}
	defer leave()
	if l.touched != nil && !l.blind {
		l.touched[l.id(id)] = true
	}
	p, ok := l.records[l.id(id)]
	if !ok {
		return codegrant.Payment{}, l.missing
	}
	return l.show(p), nil
}

func (l *ledger) SavePayment(ctx context.Context, p codegrant.Payment) error {
	leave, err := l.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { leave() }()
	id := l.id(p.ID)
	if l.touched != nil {
		l.touched[id] = true
	}
	old := l.records[id]
	if !l.accept(old, p) {
		return codegrant.ErrConflict
	}
	if l.pause != nil {
		leave()
		l.pause(p)
		leave, _ = l.enter(context.WithoutCancel(ctx))
	}
	l.records[id] = l.keep(old, p)
	return nil
}

func (l *ledger) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Payment, error) {
	leave, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	var found []codegrant.Payment
	for _, p := range l.records {
		if l.waits(p, olderThan) {
			found = append(found, l.show(p))
		}
	}
	return l.atMost(found, limit), nil
}

// bank keeps tokens and payments, and is a right TxStore of both that makes
// nobody wait. The ledger's lock and records hide those of the tokens.
type bank struct {
	optimist
	*ledger
}

func newBank() bank { return bank{newOptimist(), newLedger()} }

// teller is what a bank hands to a transaction.
type teller struct {
	codegrant.TokenStore
	*ledger
}

func (b bank) InTx(ctx context.Context, fn txFunc) error {
	leave, err := b.enter(ctx)
	if err != nil {
		return err
	}
	before := maps.Clone(b.records)
	leave()
	mine := &ledger{
		paymentFlaws: b.paymentFlaws, lock: make(chan struct{}, 1), records: maps.Clone(before), touched: map[string]bool{},
	}
	var leaveBank func()
	defer func() {
		if leaveBank != nil {
			leaveBank()
		}
	}()
	err = b.optimist.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
		if err := fn(ctx, teller{tx, mine}); err != nil {
			return err
		}
		if leaveBank, err = b.enter(ctx); err != nil {
			return err
		}
		for id := range mine.touched {
			if before[id].Revision != b.records[id].Revision {
				return codegrant.ErrConflict
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id := range mine.touched {
		if p, ok := mine.records[id]; ok {
			b.records[id] = p
		}
	}
	return nil
}

// vault is a right TxStore of tokens and payments that lets one transaction in
// at a time, and nobody else while it lasts.
type vault struct {
	pessimist
	*ledger
}

func newVault() *vault { return &vault{pessimist{newMemory()}, newLedger()} }

func (v *vault) InTx(ctx context.Context, fn txFunc) error {
	leave, err := v.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	mine := &ledger{paymentFlaws: v.paymentFlaws, lock: make(chan struct{}, 1), records: maps.Clone(v.records)}
	err = v.pessimist.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error { return fn(ctx, teller{tx, mine}) })
	if err == nil {
		v.records = mine.records
	}
	return err
}
