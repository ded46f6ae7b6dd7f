package storetest

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/codegrant/codegrant"
)

func paymentConcurrencyCases() []testCase {
	return []testCase{
		{"one of 32 concurrent inserts of a payment wins and is what is stored", saveIsAtomic, func(c *trial) {
			c.onePaymentWins(1)
		}},
		{"one of 32 concurrent updates of a payment wins and is what is stored", saveIsAtomic, func(c *trial) {
			c.savePayments(c.filledPayment(racers, 1))
			c.onePaymentWins(2)
		}},
		{"concurrent read, change and save of a payment with retry loses no refund", saveIsAtomic, func(c *trial) {
			p := c.payment("counter")
			c.savePayments(p)
			c.succeeds("refunds", together(racers, func(i int) error { return reserve(c, p.ID, i) }))
			c.refunded(p.ID, racers)
		}},
		{"payments of different ids do not conflict", paymentStores, func(c *trial) {
			last := make([]codegrant.Payment, racers)
			for i := range last {
				last[i] = c.payment(fmt.Sprintf("racer-%02d", i))
				last[i].UserID, last[i].OrderID = c.own, c.own
			}
			c.succeeds("saves of different ids", together(racers, func(i int) error {
				for range 4 {
					if err := c.payments.SavePayment(c.ctx, last[i]); err != nil {
						return fmt.Errorf("SavePayment of revision %d: %w", last[i].Revision, err)
					}
					last[i] = nextPayment(last[i], func(p *codegrant.Payment) { p.RequestID = fmt.Sprint("after ", p.Revision) })
				}
				return c.payments.SavePayment(c.ctx, last[i])
			}))
			c.holdsPayments(last...)
		}},
		{"a payment that was saved is found at once, while others save", seesSaved, func(c *trial) {
			payments := make([]codegrant.Payment, racers)
			for i := range payments {
				payments[i] = c.waiting(fmt.Sprintf("racer-%02d", i), c.epoch)
			}
			c.succeeds("saves and look-ups", together(racers, func(i int) error {
				own := &trial{ctx: c.ctx, payments: c.payments, own: c.own}
				own.guard(func() {
					own.holdsPayments(own.storedPayment(payments[i]))
					changed := nextPayment(payments[i], func(p *codegrant.Payment) { p.UserID += "-changed" })
					own.holdsPayments(own.storedPayment(changed))
				})
				if len(own.seen) > 0 {
					return errors.New(own.seen[0])
				}
				return nil
			}))
		}},
		{"readers never see half a payment", saveIsAtomic, neverHalfAPayment},
	}
}

// onePaymentWins saves this revision of one record many times at once.
func (c *trial) onePaymentWins(revision int64) {
	payments := make([]codegrant.Payment, racers)
	for i := range payments {
		payments[i] = c.filledPayment(i, revision)
	}
	errs := together(racers, func(i int) error { return c.payments.SavePayment(c.ctx, payments[i]) })
	var winners []codegrant.Payment
	for i, err := range errs {
		switch {
		case err == nil:
			winners = append(winners, payments[i])
		case !errors.Is(err, codegrant.ErrConflict):
			c.errorf("SavePayment returned the error %v, want ErrConflict from all but one", err)
		}
	}
	if len(winners) != 1 {
		c.fatalf("%d of %d concurrent saves of revision %d returned nil", len(winners), racers, revision)
	}
	c.holdsPayments(winners[0])
	for i, p := range payments {
		if errs[i] != nil {
			c.hidesPayment(p)
		}
	}
}

// reserve adds a refund to a record, as the kit changes records: it loads again
// after a conflict. Every conflict of a right store is another one's success.
func reserve(c *trial, id string, number int) error {
	for range racers {
		p, err := c.payments.GetPayment(c.ctx, id)
		if err != nil {
			return fmt.Errorf("GetPayment: %w", err)
		}
		if err = c.payments.SavePayment(c.ctx, withRefund(p, number)); !errors.Is(err, codegrant.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("SavePayment conflicted %d times in a row, more often than others can have saved", racers)
}

func withRefund(p codegrant.Payment, number int) codegrant.Payment {
	return nextPayment(p, func(p *codegrant.Payment) {
		p.Refunds = append(p.Refunds, codegrant.RefundRecord{Number: number, RefundID: strconv.Itoa(number)})
	})
}

// refunded expects n refunds of different numbers, each made by one save.
func (c *trial) refunded(id string, n int) {
	p := c.getPayment(id)
	numbers := map[int]bool{}
	for _, r := range p.Refunds {
		numbers[r.Number] = true
	}
	if len(p.Refunds) != n || len(numbers) != n || p.Revision != int64(n)+1 {
		c.errorf("%d refunds were added, but the record holds %d of %d numbers at revision %d",
			n, len(p.Refunds), len(numbers), p.Revision)
	}
}

// neverHalfAPayment lets readers look at a record, in both ways, while it is
// saved with the revision in several fields.
func neverHalfAPayment(c *trial) {
	stamp := func(p *codegrant.Payment) {
		mark := strconv.FormatInt(p.Revision, 10)
		p.RequestID, p.TokenID, p.Last.Remark = mark, mark, mark
		p.Refunds = []codegrant.RefundRecord{{Remark: mark}, {Remark: mark}}
	}
	first := c.waiting("stamped", c.epoch)
	stamp(&first)
	c.savePayments(first)

	var (
		saved    = make(chan struct{})
		readers  sync.WaitGroup
		problems = make(chan string, 2)
	)
	for name, read := range map[string]func() (codegrant.Payment, error){
		"GetPayment": func() (codegrant.Payment, error) { return c.payments.GetPayment(c.ctx, first.ID) },
		"UnsettledPayments": func() (codegrant.Payment, error) {
			found, err := c.payments.UnsettledPayments(c.ctx, c.epoch, 10_000)
			for _, p := range found {
				if p.ID == first.ID {
					return p, err
				}
			}
			return codegrant.Payment{}, errors.Join(err, errors.New("it does not find the record"))
		},
	} {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-saved:
					running = false // one last look
				default:
				}
				got, err := read()
				want := got
				stamp(&want)
				if half := differences(want, got); err != nil || len(half) > 0 {
					problems <- fmt.Sprintf("while others save, %s returned the error %v and at revision %d: %q", name, err, got.Revision, half)
					return
				}
			}
		})
	}
	var err error
	for p, i := nextPayment(first, stamp), 0; err == nil && i < 60; p, i = nextPayment(p, stamp), i+1 {
		err = c.payments.SavePayment(c.ctx, p)
	}
	close(saved)
	readers.Wait()
	close(problems)
	for problem := range problems {
		c.errorf("%s", problem)
	}
	if err != nil {
		c.errorf("SavePayment returned the error %v", err)
	}
}
