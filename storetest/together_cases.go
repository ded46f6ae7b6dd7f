package storetest

import (
	"errors"
	"fmt"

	"github.com/codegrant/codegrant"
)

// eachKind is how many records of each kind are saved at the same time: enough
// for a store that gathers saves to gather several of each.
const eachKind = 16

// savedTogether are the kinds: the revision that is stored, 0 for an absent
// record, and the one that is saved.
var savedTogether = []struct {
	name          string
	stored, saved int64
	refused       bool
}{
	{"next", 1, 2, false},
	{"present", 1, 1, true},
	{"new", 0, 1, false},
	{"skipped", 1, 3, true},
	{"absent", 0, 2, true},
}

func togetherCases() []testCase {
	return []testCase{{"saves at the same time are judged one by one", saveConflicts, judgedOneByOne}}
}

func paymentTogetherCases() []testCase {
	return []testCase{{"payments saved at the same time are judged one by one", saveConflicts, paymentsJudgedOneByOne}}
}

// judgedOneByOne saves records at the same time of which some are refused: what
// becomes of one says nothing about another, whatever they share.
func judgedOneByOne(c *trial) {
	var before, saved []codegrant.Token
	for i := range eachKind {
		for _, kind := range savedTogether {
			old := c.token(fmt.Sprintf("together-%s-%02d", kind.name, i))
			if kind.stored > 0 {
				c.save(old)
			}
			t := c.token(fmt.Sprintf("together-%s-%02d-changed", kind.name, i))
			t.ID, t.Revision = old.ID, kind.saved
			before, saved = append(before, old), append(saved, t)
		}
	}
	errs := together(len(saved), func(i int) error { return c.store.Save(c.ctx, saved[i]) })
	for i, t := range saved {
		kind := savedTogether[i%len(savedTogether)]
		c.judged("Save", kind.name, kind.refused, errs[i])
		switch {
		case !kind.refused:
			c.finds(t)
		case kind.stored > 0:
			c.finds(before[i])
			c.hides(t)
		default:
			c.lacks(t)
		}
	}
}

// paymentsJudgedOneByOne is judgedOneByOne for payments.
func paymentsJudgedOneByOne(c *trial) {
	var before, saved []codegrant.Payment
	for i := range eachKind {
		for _, kind := range savedTogether {
			old := c.payment(fmt.Sprintf("together-%s-%02d", kind.name, i))
			if kind.stored > 0 {
				c.savePayments(old)
			}
			p := c.payment(fmt.Sprintf("together-%s-%02d-changed", kind.name, i))
			p.ID, p.Revision = old.ID, kind.saved
			before, saved = append(before, old), append(saved, p)
		}
	}
	errs := together(len(saved), func(i int) error { return c.payments.SavePayment(c.ctx, saved[i]) })
	for i, p := range saved {
		kind := savedTogether[i%len(savedTogether)]
		c.judged("SavePayment", kind.name, kind.refused, errs[i])
		switch {
		case !kind.refused:
			c.holdsPayments(p)
		case kind.stored > 0:
			c.holdsPayments(before[i])
		default:
			c.lacksPayment(p)
		}
	}
}

func (c *trial) judged(method, kind string, refused bool, err error) {
	switch {
	case refused && !errors.Is(err, codegrant.ErrConflict):
		c.errorf("%s of a record of the kind %q, among others at the same time, returned %v, want ErrConflict", method, kind, err)
	case !refused && err != nil:
		c.errorf("%s of a record of the kind %q, among others at the same time, returned the error %v", method, kind, err)
	}
}
