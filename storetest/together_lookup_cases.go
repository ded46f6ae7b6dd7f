package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
)

// lookUp is one question to a store.
type lookUp struct {
	name string
	ask  func(ctx context.Context) (ids []string, err error)
}

func togetherLookUpCases() []testCase {
	return []testCase{{"look-ups at the same time find what each finds alone", concurrentOrEnded, func(c *trial) {
		c.findTheSame(c.tokenLookUps())
	}}}
}

func paymentTogetherLookUpCases() []testCase {
	return []testCase{{"payments looked up at the same time are what each is alone", concurrentOrEnded, func(c *trial) {
		c.findTheSame(c.paymentLookUps())
	}}}
}

// findTheSame asks one by one and then at the same time. That the answers are
// right is for other cases.
func (c *trial) findTheSame(questions []lookUp) {
	alone, found := make([][]string, len(questions)), make([][]string, len(questions))
	ask := func(answers [][]string) func(i int) error {
		return func(i int) (err error) {
			answers[i], err = questions[i].ask(c.ctx)
			if errors.Is(err, codegrant.ErrNotFound) {
				answers[i], err = []string{"not found"}, nil
			}
			return err
		}
	}
	for i := range questions {
		c.succeeds(questions[i].name, []error{ask(alone)(i)})
	}
	c.succeeds("look-ups", together(len(questions), ask(found)))
	for i, q := range questions {
		if !slices.Equal(alone[i], found[i]) {
			c.errorf("%s, among others at the same time, found %q, and %q alone", q.name, found[i], alone[i])
		}
	}
}

// tokenLookUps are about users who have two records of one token, a record each
// in another account, and about nobody.
func (c *trial) tokenLookUps() []lookUp {
	var all []lookUp
	add := func(name string, ask func(ctx context.Context) ([]codegrant.Token, error)) {
		all = append(all, lookUp{name, func(ctx context.Context) ([]string, error) {
			found, err := ask(ctx)
			return ids(found), err
		}})
	}
	one := func(t codegrant.Token, err error) ([]codegrant.Token, error) { return []codegrant.Token{t}, err }
	for i := range eachKind {
		first := c.token(fmt.Sprintf("asked-%02d", i))
		second, elsewhere, nobody := first, first, c.token(fmt.Sprintf("nobody-%02d", i))
		second.ID, second.CreatedAt = first.ID+"-later", first.CreatedAt.Add(time.Second)
		elsewhere.ID, elsewhere.AccountID = first.ID+"-elsewhere", first.AccountID+"-elsewhere"
		elsewhere.Fingerprint = codegrant.Fingerprint(codegrant.NewSecret(elsewhere.ID))
		c.save(second, first, elsewhere)
		for _, t := range []codegrant.Token{first, second, elsewhere, nobody} {
			add("Get", func(ctx context.Context) ([]codegrant.Token, error) { return one(c.store.Get(ctx, t.ID)) })
			add("ByUser", func(ctx context.Context) ([]codegrant.Token, error) {
				return c.store.ByUser(ctx, t.AccountID, t.UserID)
			})
			add("ByFingerprint", func(ctx context.Context) ([]codegrant.Token, error) {
				return one(c.store.ByFingerprint(ctx, t.Fingerprint))
			})
		}
	}
	return all
}

func (c *trial) paymentLookUps() []lookUp {
	var all []lookUp
	for i := range eachKind {
		stored, absent := c.payment(fmt.Sprintf("asked-%02d", i)), c.payment(fmt.Sprintf("absent-%02d", i))
		c.savePayments(stored)
		for _, p := range []codegrant.Payment{stored, absent, stored} {
			all = append(all, lookUp{"GetPayment", func(ctx context.Context) ([]string, error) {
				found, err := c.payments.GetPayment(ctx, p.ID)
				return []string{found.ID}, err
			}})
		}
	}
	return all
}
