package storetest

import (
	"cmp"
	"context"
	"errors"

	"github.com/codegrant/codegrant"
)

// oddBank is a TxStore whose InTx does something else with a right one.
type oddBank struct {
	bank
	inTx func(b bank, ctx context.Context, fn txFunc) error
}

func (s oddBank) InTx(ctx context.Context, fn txFunc) error { return s.inTx(s.bank, ctx, fn) }

func oddPayments(inTx func(b bank, ctx context.Context, fn txFunc) error) func() codegrant.PaymentStore {
	return func() codegrant.PaymentStore { return oddBank{newBank(), inTx} }
}

func brokenPaymentTxStores() []brokenPayments {
	flawed := func(f func(*bank)) func() codegrant.PaymentStore {
		return func() codegrant.PaymentStore {
			b := newBank()
			f(&b)
			return b
		}
	}
	const (
		readTwice = "of two transactions that read the same payment, one wins or both count"
		saveFirst = "a transaction that saved a payment first loses nothing to one that comes later"
		stable    = "what GetPayment returned inside does not change before the commit"
		insideSee = "reads inside see what payments were saved inside"
	)
	return []brokenPayments{
		{name: "the store inside keeps tokens alone", among: []string{"the store inside is a PaymentStore"},
			store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error { return b.optimist.InTx(ctx, fn) })},
		{name: "payments pass the transaction by", among: []string{
			"an error rolls back a payment",
			"an error rolls back a token and a payment together",
			"a panic rolls back a payment",
			"nobody outside sees a payment that is not committed",
			"a context that ends in fn commits no payment",
		}, store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
			return b.optimist.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error { return fn(ctx, teller{tx, b.ledger}) })
		}), only: withoutPaymentRaces()},
		{name: "tokens pass the transaction by", breaks: []string{
			"an error rolls back a token and a payment together",
			"a conflict of a payment takes the token with it",
		}, store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
			return b.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				return fn(ctx, teller{b.memory, tx.(teller).ledger})
			})
		}), only: []string{
			"a token and a payment are committed together",
			"an error rolls back a token and a payment together",
			"a conflict of a payment takes the token with it",
			"an error rolls back a payment",
		}},
		{name: "only tokens are committed", among: []string{
			"what was committed of payments is visible",
			"a token and a payment are committed together",
		}, store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
			return b.optimist.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				mine := newLedger()
				for id, p := range b.records {
					mine.records[id] = p
				}
				return fn(ctx, teller{tx, mine})
			})
		}), only: withoutPaymentRaces()},
		{name: "InTx commits payments on an error", among: []string{
			"an error rolls back a payment",
			"an error rolls back a token and a payment together",
		}, store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
			var hook error
			err := b.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
				hook = fn(ctx, tx)
				return nil
			})
			return cmp.Or(hook, err)
		}), only: withoutPaymentRaces()},
		{name: "a transaction forgets which payments it read", breaks: []string{stable}, store: flawed(func(b *bank) { b.blind = true })},
		{name: "reads of payments inside pass the transaction by", breaks: []string{insideSee, stable},
			store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
				return b.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
					return fn(ctx, outsideReader{tx.(teller), b.ledger})
				})
			}), only: withoutPaymentRaces()},
		{name: "a transaction that lost gets another error", breaks: []string{readTwice, saveFirst, stable},
			store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
				var hook error
				err := b.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error {
					hook = fn(ctx, tx)
					return hook
				})
				if err != nil && hook == nil && ctx.Err() == nil {
					return errors.New("could not serialize access")
				}
				return err
			}), only: withoutPaymentRaces()},
		{name: "SavePayment inside does not say that it conflicted", breaks: []string{
			"a conflict of a payment inside is ErrConflict and changes nothing",
			"a conflict of a payment takes the token with it",
		}, store: oddPayments(func(b bank, ctx context.Context, fn txFunc) error {
			return b.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error { return fn(ctx, quietTeller{tx.(teller)}) })
		})},
	}
}

// withoutPaymentRaces are the cases whose outcome is the same in every run also
// for a store without isolation.
func withoutPaymentRaces() []string {
	var names []string
	for _, tc := range paymentTxCases() {
		if tc.name != "32 concurrent transactions on one payment lose no refund" {
			names = append(names, tc.name)
		}
	}
	return names
}

// outsideReader reads from the store what a transaction should read.
type outsideReader struct {
	teller
	outside *ledger
}

func (s outsideReader) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	return s.outside.GetPayment(ctx, id)
}

type quietTeller struct{ teller }

func (s quietTeller) SavePayment(ctx context.Context, p codegrant.Payment) error {
	if err := s.teller.SavePayment(ctx, p); !errors.Is(err, codegrant.ErrConflict) {
		return err
	}
	return nil
}
