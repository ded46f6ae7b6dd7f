package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

func paymentFieldCases() []testCase {
	return []testCase{
		{"GetPayment of an absent id is ErrNotFound", paymentFinds, func(c *trial) {
			c.savePayments(c.payment("other"))
			for _, id := range []string{c.own + "-absent", ""} {
				if got, err := c.payments.GetPayment(c.ctx, id); !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("GetPayment of the absent id %q returned %v and the error %v, want ErrNotFound", id, got, err)
				}
			}
		}},
		{"every field of a payment is kept", paymentStores, func(c *trial) {
			for variant := range 4 {
				p := c.filledPayment(variant, int64(variant)+1)
				c.savePayments(p)
				c.holdsPayments(p)
			}
		}},
		{"empty fields of a payment stay empty", paymentStores, func(c *trial) {
			empty := codegrant.Payment{ID: c.own + "-empty", Revision: 1}
			c.savePayments(empty)
			c.holdsPayments(empty)
			begun := codegrant.Payment{ID: c.own + "-begun", Revision: 1, CreatedAt: c.epoch, Refunds: []codegrant.RefundRecord{{}, {}}}
			c.savePayments(begun)
			c.holdsPayments(begun)
		}},
		{"300 refunds of a payment are kept in their order", paymentStores, func(c *trial) {
			p := c.payment("often")
			for i := range 300 {
				r := fillPayment(c.own, c.epoch, i%3).Refunds[0]
				r.Number, r.RefundID = i, fmt.Sprint(c.own, "-", (i*7)%300)
				p.Refunds = append(p.Refunds, r)
			}
			c.savePayments(p)
			c.holdsPayments(p)
			p = nextPayment(p, func(p *codegrant.Payment) { slices.Reverse(p.Refunds) })
			c.savePayments(p)
			c.holdsPayments(p)
		}},
		{"outcomes and statuses of payments are kept, unknown ones too", paymentStores, func(c *trial) {
			for i, word := range []string{"", "succeeded", "failed", "pending", "Outcome of Tomorrow", strings.Repeat("o", 64)} {
				p := c.payment(fmt.Sprint("word-", i))
				p.Outcome, p.Handled, p.Last.Status = codegrant.Outcome(word), codegrant.Outcome(word), codegrant.PaymentStatus(word)
				p.Refunds = []codegrant.RefundRecord{{Outcome: p.Outcome, Handled: p.Outcome}}
				p.Wallet, p.Last.Wallet = codegrant.Wallet(word), codegrant.Wallet(word)
				c.savePayments(p)
				c.holdsPayments(p)
			}
		}},
		{"amounts are kept to the last minor unit", paymentStores, func(c *trial) {
			for i, minor := range []int64{0, 1, -1, math.MaxInt32 + 1, 1<<53 + 1, math.MaxInt64, math.MinInt64} {
				p := c.payment(fmt.Sprint("amount-", i))
				amount := codegrant.Amount{Minor: minor, Currency: "KRW"}
				p.Amount, p.Last.Amount, p.Refunds = amount, amount, []codegrant.RefundRecord{{Amount: amount}}
				c.savePayments(p)
				c.holdsPayments(p)
			}
		}},
		{"text of any script is kept in payments", paymentStores, func(c *trial) {
			c.keepsPaymentTexts("用户-007", "Zoë Ångström", "नमस्ते", "👩‍👩‍👧‍👦🇭🇰💳", "𠮷野家 𝒳", "é composed, e\u0301 decomposed",
				"\u202eright to left", "\ufeffmark", "\u2028line", "\ufffd")
		}},
		{"hostile text is kept in payments", paymentStores, func(c *trial) {
			c.keepsPaymentTexts(`'; DROP TABLE payments; --`, `" OR ""="`, `\' OR 1=1 #`, `\`, `\\n\x00\u0000`, "`id`", `%_%`,
				`$1 ? :id @p`, `<script>&amp;`, "a\tb\r\nc", "\x01\x1f\x7f", `null`, `{"ID":1}`, `"}],"Refunds":[`)
		}},
		{"blanks at the ends are kept in payments", paymentStores, func(c *trial) {
			for _, blank := range []string{" ", "   ", "\t", "\n", "\u00a0"} {
				p := spellPayment(c.payment(""), blank+c.own+blank)
				c.savePayments(p)
				c.holdsPayments(p)
			}
		}},
		{"ids of 200 bytes are kept and told apart", paymentStores, func(c *trial) {
			long := c.own + strings.Repeat("x", 199-len(c.own))
			a, b := c.payment("a"), c.payment("b")
			for end, p := range map[string]*codegrant.Payment{"1": &a, "2": &b} {
				p.ID, p.AccountID, p.OrderID, p.TokenID = long+end, long+end, long+end, long+end
				p.UserID = c.own + strings.Repeat("💳", 255-len(c.own)) + end
			}
			c.savePayments(a, b)
			c.holdsPayments(a, b)
		}},
		{"3,000 characters that the gateway said are kept", paymentStores, func(c *trial) {
			p := c.payment("long")
			p.Last.IssuerMessage = strings.Repeat("declined 💳", 300)
			p.Last.Remark = p.Last.IssuerMessage
			p.Refunds = []codegrant.RefundRecord{{Remark: p.Last.Remark}}
			c.savePayments(p)
			c.holdsPayments(p)
		}},
		{"ids of payments are compared exactly", paymentFinds, func(c *trial) {
			var saved []codegrant.Payment
			for _, id := range lookalikes(c.own) {
				p := c.payment("")
				p.ID, p.OrderID = id, id
				if err := c.payments.SavePayment(c.ctx, p); err != nil {
					c.fatalf("SavePayment of %q beside lookalikes of it returned the error %v", id, err)
				}
				saved = append(saved, p)
			}
			c.holdsPayments(saved...)
			c.savePayments(c.payment("plain"))
			for _, id := range others(c.own + "-plain") {
				if got, err := c.payments.GetPayment(c.ctx, id); !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("GetPayment of %q returned the record %q and the error %v, want ErrNotFound", id, got.ID, err)
				}
			}
		}},
		{"a token and a payment of one id do not meet", paymentsLike, func(c *trial) {
			if c.store == nil {
				c.skip("not a TokenStore")
			}
			t, p := c.token("same"), c.payment("same")
			c.save(t)
			c.savePayments(p)
			c.finds(t)
			c.holdsPayments(p)
			c.lacksPayment(codegrant.Payment{ID: c.own + "-none"})
		}},
	}
}

// keepsPaymentTexts saves each text in every field that holds text.
func (c *trial) keepsPaymentTexts(texts ...string) {
	for _, text := range texts {
		p := spellPayment(c.filledPayment(2, 1), c.own+text)
		c.createdPayments = append(c.createdPayments, p.ID)
		c.savePayments(p)
		c.holdsPayments(p)
	}
}

func paymentTimeCases() []testCase {
	return []testCase{
		{"times of payments are kept to the microsecond", keepsTimes, func(c *trial) {
			for i, fraction := range []time.Duration{1, 999_999, 500_000, 123_456, 999_499} {
				c.keepsPaymentTime(fmt.Sprint("fraction-", i), c.epoch.Add(fraction*time.Microsecond))
			}
		}},
		{"times of payments come back in UTC", keepsTimes, func(c *trial) {
			p := c.filledPayment(0, 1)
			c.savePayments(p)
			for method, got := range map[string]codegrant.Payment{
				"GetPayment":        c.getPayment(p.ID),
				"UnsettledPayments": append(c.allUnsettledPayments(p.UnsettledSince), p)[0],
			} {
				eachTime(got, func(name string, at time.Time) {
					if at.Location() != time.UTC {
						c.errorf("%s is in the zone %v in what %s returned", name, at.Location(), method)
					}
				})
			}
		}},
		{"times of payments between now and 2100 are kept", keepsTimes, func(c *trial) {
			for i, at := range []time.Time{
				time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC), // skipped by clocks in Berlin
				time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC), // shown twice in New York
				time.Date(2028, 2, 29, 23, 59, 59, 999_999_000, time.UTC),
				time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), // one second beyond 32 bits
				time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
			} {
				c.keepsPaymentTime(fmt.Sprint("at-", i), at)
			}
		}},
		{"zero times of payments stay zero", keepsTimes, func(c *trial) {
			timeless := codegrant.Payment{ID: c.own + "-timeless", Revision: 1, Refunds: []codegrant.RefundRecord{{}}}
			c.savePayments(timeless)
			eachTime(c.getPayment(timeless.ID), func(name string, at time.Time) {
				if !at.IsZero() {
					c.errorf("%s was saved as zero and came back as %v", name, at)
				}
			})
		}},
		{"times of payments are the caller's", paymentStores, func(c *trial) {
			p := c.payment("clockwork")
			c.savePayments(p)
			p = nextPayment(p, func(p *codegrant.Payment) { p.Outcome = codegrant.Failed })
			c.savePayments(p)
			c.holdsPayments(p)
			p = nextPayment(p, func(p *codegrant.Payment) {
				p.UpdatedAt, p.CreatedAt = p.UpdatedAt.Add(-time.Hour), p.CreatedAt.Add(-2*time.Hour)
			})
			c.savePayments(p)
			c.holdsPayments(p)
		}},
	}
}

// keepsPaymentTime saves at as every time.
func (c *trial) keepsPaymentTime(name string, at time.Time) {
	p := c.waiting(name, at)
	p.SentAt, p.CreatedAt, p.UpdatedAt, p.Last.StartedAt, p.Last.EndedAt = at, at, at, at, at
	r := codegrant.RefundRecord{SentAt: at}
	r.Last.StartedAt, r.Last.EndedAt = at, at
	p.Refunds = []codegrant.RefundRecord{r}
	c.savePayments(p)
	c.holdsPayments(p)
}
