package storetest

import (
	"cmp"
	"context"
	"html"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
)

func TestBrokenPaymentStoresAreCaught(t *testing.T) {
	t.Parallel()
	for _, broken := range slices.Concat(brokenPaymentStores(), brokenUnsettledPayments(), brokenPaymentRaces(), brokenPaymentTxStores()) {
		t.Run(broken.name, func(t *testing.T) {
			t.Parallel()
			isCaught(t, allPaymentCases(), broken)
		})
	}
}

type brokenPayments = brokenStore[codegrant.PaymentStore]

// flawedLedger makes stores of which f broke something.
func flawedLedger(f func(*ledger)) func() codegrant.PaymentStore {
	return func() codegrant.PaymentStore {
		l := newLedger()
		f(l)
		return l
	}
}

// keepingPayment makes stores that change what they store.
func keepingPayment(f func(p *codegrant.Payment)) func() codegrant.PaymentStore {
	return flawedLedger(func(l *ledger) {
		l.keep = func(_, p codegrant.Payment) codegrant.Payment {
			p = copied(p)
			f(&p)
			return p
		}
	})
}

func eachTimeOfPayment(p *codegrant.Payment, f func(time.Time) time.Time) {
	for _, at := range []*time.Time{&p.SentAt, &p.UnsettledSince, &p.CreatedAt, &p.UpdatedAt, &p.Last.StartedAt, &p.Last.EndedAt} {
		*at = f(*at)
	}
}

func brokenPaymentStores() []brokenPayments {
	accepting := func(accept func(old, p codegrant.Payment) bool) func() codegrant.PaymentStore {
		return flawedLedger(func(l *ledger) { l.accept = accept })
	}
	mixing := func(f func(old codegrant.Payment, p *codegrant.Payment)) func() codegrant.PaymentStore {
		return flawedLedger(func(l *ledger) {
			l.keep = func(old, p codegrant.Payment) codegrant.Payment {
				p = copied(p)
				f(old, &p)
				return p
			}
		})
	}
	return []brokenPayments{
		{name: "the last write wins", among: []string{
			"a second insert of a payment conflicts and keeps the first",
			"a stale revision of a payment conflicts and changes nothing",
			"a skipped revision of a payment conflicts and changes nothing",
			"one of 32 concurrent updates of a payment wins and is what is stored",
		}, store: accepting(func(_, _ codegrant.Payment) bool { return true })},
		{name: "an insert overwrites", breaks: []string{
			"a second insert of a payment conflicts and keeps the first",
			"the same payment saved again conflicts",
			"a stale revision of a payment conflicts and changes nothing",
			"one of 32 concurrent inserts of a payment wins and is what is stored",
			"payments saved at the same time are judged one by one",
		}, store: accepting(func(old, p codegrant.Payment) bool { return p.Revision == 1 || old.Revision == p.Revision-1 })},
		{name: "any newer revision is taken", breaks: []string{
			"an absent payment is inserted by revision 1 only",
			"a skipped revision of a payment conflicts and changes nothing",
			"payments saved at the same time are judged one by one",
		}, store: accepting(func(old, p codegrant.Payment) bool { return p.Revision > old.Revision })},
		{name: "revisions are kept in a byte", breaks: []string{"revisions of a payment count on beyond 255"},
			store: accepting(func(old, p codegrant.Payment) bool { return byte(old.Revision) == byte(p.Revision-1) })},
		{name: "absent is no error", among: []string{"GetPayment of an absent id is ErrNotFound"},
			store: flawedLedger(func(l *ledger) { l.missing = nil })},
		{name: "microseconds are rounded to milliseconds", among: []string{
			"times of payments are kept to the microsecond",
			"UnsettledPayments includes olderThan itself",
		}, store: keepingPayment(func(p *codegrant.Payment) {
			eachTimeOfPayment(p, func(at time.Time) time.Time { return at.Round(time.Millisecond) })
		})},
		{name: "times come back in the local zone", breaks: []string{"times of payments come back in UTC"},
			store: flawedLedger(func(l *ledger) {
				l.show = func(p codegrant.Payment) codegrant.Payment {
					p.Last.EndedAt = p.Last.EndedAt.In(time.FixedZone("CET", 3600))
					return copied(p)
				}
			})},
		{name: "zero times become 1970", breaks: []string{
			"empty fields of a payment stay empty",
			"zero times of payments stay zero",
			"an update can clear every field of a payment",
		}, store: keepingPayment(func(p *codegrant.Payment) { p.SentAt = orEpoch(p.SentAt) })},
		{name: "times are 32 bits", breaks: []string{
			"empty fields of a payment stay empty",
			"times of payments between now and 2100 are kept",
			"zero times of payments stay zero",
			"an update can clear every field of a payment",
		}, store: keepingPayment(func(p *codegrant.Payment) {
			p.CreatedAt = time.Unix(int64(int32(p.CreatedAt.Unix())), int64(p.CreatedAt.Nanosecond())).UTC()
		})},
		{name: "the time of the last change is the store's", among: []string{"times of payments are the caller's"},
			store: mixing(func(old codegrant.Payment, p *codegrant.Payment) {
				if p.UpdatedAt.Equal(old.UpdatedAt) {
					p.UpdatedAt = time.Now().UTC()
				}
			})},
		{name: "refunds are forgotten", among: []string{
			"every field of a payment is kept",
			"300 refunds of a payment are kept in their order",
			"concurrent read, change and save of a payment with retry loses no refund",
		}, store: keepingPayment(func(p *codegrant.Payment) { p.Refunds = nil })},
		{name: "refunds are kept by their numbers", among: []string{"300 refunds of a payment are kept in their order"},
			store: keepingPayment(func(p *codegrant.Payment) {
				slices.SortFunc(p.Refunds, func(a, b codegrant.RefundRecord) int { return cmp.Compare(a.Number, b.Number) })
			})},
		{name: "there are at most 255 refunds", breaks: []string{"300 refunds of a payment are kept in their order"},
			store: keepingPayment(func(p *codegrant.Payment) { p.Refunds = p.Refunds[:min(len(p.Refunds), 255)] })},
		{name: "what the gateway said of a refund is forgotten", among: []string{
			"every field of a payment is kept",
			"an update replaces every field of a payment",
		}, store: keepingPayment(func(p *codegrant.Payment) {
			for i := range p.Refunds {
				p.Refunds[i].Last.EndedAt = time.Time{}
			}
		})},
		{name: "what the gateway said of the payment is forgotten", among: []string{"every field of a payment is kept"},
			store: keepingPayment(func(p *codegrant.Payment) { p.Last.IssuerCode = "" })},
		{name: "amounts are floating", breaks: []string{"amounts are kept to the last minor unit"},
			store: keepingPayment(func(p *codegrant.Payment) { p.Amount.Minor = int64(float32(p.Amount.Minor)) })},
		{name: "amounts of refunds are 32 bits", breaks: []string{"amounts are kept to the last minor unit"},
			store: keepingPayment(func(p *codegrant.Payment) {
				for i, r := range p.Refunds {
					p.Refunds[i].Amount.Minor = int64(int32(r.Amount.Minor))
				}
			})},
		{name: "text is three-byte", among: []string{
			"text of any script is kept in payments",
			"3,000 characters that the gateway said are kept",
		}, store: keepingPayment(func(p *codegrant.Payment) {
			p.Last.Remark = strings.Map(func(r rune) rune { return min(r, 0xffff) }, p.Last.Remark)
		})},
		{name: "text is escaped for HTML", breaks: []string{"hostile text is kept in payments"},
			store: keepingPayment(func(p *codegrant.Payment) { p.Last.IssuerMessage = html.EscapeString(p.Last.IssuerMessage) })},
		{name: "blanks are trimmed", breaks: []string{"blanks at the ends are kept in payments"},
			store: keepingPayment(func(p *codegrant.Payment) { p.RequestID = strings.TrimSpace(p.RequestID) })},
		{name: "users end at 255", breaks: []string{"ids of 200 bytes are kept and told apart"},
			store: keepingPayment(func(p *codegrant.Payment) {
				p.UserID = string([]rune(p.UserID)[:min(len([]rune(p.UserID)), 255)])
			})},
		{name: "ids end at 190", among: []string{"ids of 200 bytes are kept and told apart"}, store: flawedLedger(func(l *ledger) {
			l.id = func(id string) string { return id[:min(len(id), 190)] }
		})},
		{name: "what an issuer says ends at 255", breaks: []string{"3,000 characters that the gateway said are kept"},
			store: keepingPayment(func(p *codegrant.Payment) {
				p.Last.IssuerMessage = p.Last.IssuerMessage[:min(len(p.Last.IssuerMessage), 255)]
			})},
		{name: "outcomes are an enumeration", breaks: []string{"outcomes and statuses of payments are kept, unknown ones too"},
			store: keepingPayment(func(p *codegrant.Payment) {
				if strings.HasPrefix(string(p.Handled), "Outcome of") {
					p.Handled = ""
				}
			})},
		{name: "ids ignore case", breaks: []string{"ids of payments are compared exactly"},
			store: flawedLedger(func(l *ledger) { l.id = strings.ToLower })},
		{name: "ids ignore blanks at the end", breaks: []string{"ids of payments are compared exactly"}, store: flawedLedger(func(l *ledger) {
			l.id = func(id string) string { return strings.TrimRight(id, " ") }
		})},
		{name: "a cleared field keeps its value", breaks: []string{"an update can clear every field of a payment"},
			store: mixing(func(old codegrant.Payment, p *codegrant.Payment) { p.RequestID = cmp.Or(p.RequestID, old.RequestID) })},
		{name: "a success is final", among: []string{"an outcome may fall, an attempt too, and refunds may go"},
			store: mixing(func(old codegrant.Payment, p *codegrant.Payment) {
				if old.Outcome == codegrant.Succeeded {
					p.Outcome = old.Outcome
				}
			})},
		{name: "refunds are only added", among: []string{
			"an outcome may fall, an attempt too, and refunds may go",
			"an update can clear every field of a payment",
			"an update replaces every field of a payment",
		}, store: mixing(func(old codegrant.Payment, p *codegrant.Payment) {
			if len(p.Refunds) < len(old.Refunds) {
				p.Refunds = append(p.Refunds, old.Refunds[len(p.Refunds):]...)
			}
		})},
		{name: "what is saved shares the caller's refunds", breaks: []string{"what SavePayment was given stays the caller's"},
			store: flawedLedger(func(l *ledger) { l.keep = func(_, p codegrant.Payment) codegrant.Payment { return p } })},
		{name: "what is returned shares the store's refunds", breaks: []string{
			"what GetPayment returned belongs to the caller",
			"what UnsettledPayments returned belongs to the caller",
		}, store: flawedLedger(func(l *ledger) { l.show = func(p codegrant.Payment) codegrant.Payment { return p } })},
		{name: "tokens and payments share their keys", breaks: []string{"a token and a payment of one id do not meet"},
			store: func() codegrant.PaymentStore { return oneKeyspace{newMemory(), newLedger()} }},
		{name: "an ended context is ignored", breaks: []string{
			"an ended context inserts no payment",
			"an ended context updates no payment",
			"an ended context reads no payment",
		}, store: flawedLedger(func(l *ledger) { l.rush = true })},
		{name: "an ended context is ErrNotFound", breaks: []string{"an ended context reads no payment"},
			store: func() codegrant.PaymentStore { return endedIsNoPayment{newLedger()} }},
	}
}

func brokenUnsettledPayments() []brokenPayments {
	waiting := func(waits func(p codegrant.Payment, at time.Time) bool) func() codegrant.PaymentStore {
		return flawedLedger(func(l *ledger) { l.waits = waits })
	}
	right := newLedger().waits
	return []brokenPayments{
		{name: "UnsettledPayments lists the settled", among: []string{
			"UnsettledPayments leaves out what is settled",
			"UnsettledPayments forgets what was settled and follows what changed",
		}, store: waiting(func(p codegrant.Payment, at time.Time) bool { return !p.UnsettledSince.After(at) })},
		{name: "UnsettledPayments leaves out the moment itself", among: []string{"UnsettledPayments includes olderThan itself"},
			store: waiting(func(p codegrant.Payment, at time.Time) bool { return right(p, at.Add(-time.Microsecond)) })},
		{name: "UnsettledPayments includes the later", breaks: []string{"UnsettledPayments leaves out what is later than olderThan"},
			store: waiting(func(p codegrant.Payment, at time.Time) bool {
				return !p.UnsettledSince.IsZero() && !p.UnsettledSince.After(at.Add(time.Microsecond))
			})},
		{name: "UnsettledPayments goes by the outcome", among: []string{"UnsettledPayments looks at no other field"},
			store: waiting(func(p codegrant.Payment, at time.Time) bool { return right(p, at) && p.Outcome != codegrant.Succeeded })},
		{name: "UnsettledPayments leaves out payments of nobody", breaks: []string{"UnsettledPayments looks at no other field"},
			store: waiting(func(p codegrant.Payment, at time.Time) bool { return right(p, at) && p.UserID != "" })},
		{name: "UnsettledPayments is newest first", breaks: []string{
			"UnsettledPayments orders by UnsettledSince",
			"UnsettledPayments returns no more than limit, the oldest first",
			"UnsettledPayments is right among 500 payments",
		}, store: flawedLedger(func(l *ledger) {
			l.settle = func(a, b codegrant.Payment) int {
				return cmp.Or(b.UnsettledSince.Compare(a.UnsettledSince), cmp.Compare(a.ID, b.ID))
			}
		})},
		{name: "UnsettledPayments ignores the order of IDs", breaks: []string{
			"UnsettledPayments orders by ID what is unsettled since the same time",
			"UnsettledPayments looks at no other field",
		},
			store: flawedLedger(func(l *ledger) {
				l.settle = func(a, b codegrant.Payment) int {
					return cmp.Or(a.UnsettledSince.Compare(b.UnsettledSince), cmp.Compare(b.ID, a.ID))
				}
			})},
		{name: "UnsettledPayments ignores the limit", breaks: []string{
			"UnsettledPayments returns no more than limit, the oldest first",
			"UnsettledPayments with a limit of zero or less returns nothing",
		}, store: flawedLedger(func(l *ledger) {
			right := l.atMost
			l.atMost = func(found []codegrant.Payment, _ int) []codegrant.Payment { return right(found, len(found)) }
		})},
		{name: "UnsettledPayments takes no limit for no end", breaks: []string{
			"UnsettledPayments returns no more than limit, the oldest first",
			"UnsettledPayments with a limit of zero or less returns nothing",
		}, store: flawedLedger(func(l *ledger) {
			right := l.atMost
			l.atMost = func(found []codegrant.Payment, limit int) []codegrant.Payment {
				if limit <= 0 {
					limit = len(found)
				}
				return right(found, limit)
			}
		})},
		{name: "UnsettledPayments limits before it sorts", breaks: []string{"UnsettledPayments returns no more than limit, the oldest first"},
			store: flawedLedger(func(l *ledger) {
				right := l.atMost
				l.atMost = func(found []codegrant.Payment, limit int) []codegrant.Payment {
					slices.SortFunc(found, func(a, b codegrant.Payment) int { return cmp.Compare(b.ID, a.ID) })
					return right(found[:min(max(limit, 0), len(found))], limit)
				}
			})},
	}
}

func brokenPaymentRaces() []brokenPayments {
	const (
		inserts  = "one of 32 concurrent inserts of a payment wins and is what is stored"
		updates  = "one of 32 concurrent updates of a payment wins and is what is stored"
		counting = "concurrent read, change and save of a payment with retry loses no refund"
		ids      = "payments of different ids do not conflict"
		halves   = "readers never see half a payment"
		atOnce   = "a payment that was saved is found at once, while others save"
	)
	meetingAt := func(revision int64) func() codegrant.PaymentStore {
		return flawedLedger(func(l *ledger) {
			meet := meeting(revision)
			l.pause = func(p codegrant.Payment) { meet(p.Revision) }
		})
	}
	return []brokenPayments{
		{name: "concurrent inserts are not one step", breaks: []string{inserts}, store: meetingAt(1), only: []string{inserts}},
		{name: "concurrent updates are not one step", breaks: []string{updates, counting}, store: meetingAt(2), only: []string{updates, counting}},
		{name: "one lock refuses whoever has to wait", breaks: []string{ids}, only: []string{ids}, store: func() codegrant.PaymentStore {
			return &impatientLedger{ledger: newLedger(), refused: make(chan struct{})}
		}},
		{name: "a save is written in two halves", breaks: []string{halves}, only: []string{halves}, store: func() codegrant.PaymentStore {
			return &halfLedger{ledger: newLedger(), read: make(chan struct{})}
		}},
		{name: "UnsettledPayments lags behind by one save", among: []string{atOnce}, store: func() codegrant.PaymentStore {
			return &laggingLedger{ledger: newLedger()}
		}},
	}
}

// oneKeyspace refuses the payment whose id a token has.
type oneKeyspace struct {
	*memory
	*ledger
}

func (s oneKeyspace) SavePayment(ctx context.Context, p codegrant.Payment) error {
	if _, err := s.Get(ctx, p.ID); err == nil {
		return codegrant.ErrConflict
	}
	return s.ledger.SavePayment(ctx, p)
}

type endedIsNoPayment struct{ *ledger }

func (s endedIsNoPayment) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	p, err := s.ledger.GetPayment(ctx, id)
	if ctx.Err() != nil {
		err = codegrant.ErrNotFound
	}
	return p, err
}

// impatientLedger is impatient for payments.
type impatientLedger struct {
	*ledger
	saves   atomic.Int32
	refused chan struct{}
}

func (s *impatientLedger) SavePayment(ctx context.Context, p codegrant.Payment) error {
	switch s.saves.Add(1) {
	case 1:
		<-s.refused
	case 2:
		close(s.refused)
		return codegrant.ErrConflict
	}
	return s.ledger.SavePayment(ctx, p)
}

// halfLedger is halves for payments.
type halfLedger struct {
	*ledger
	read chan struct{}
	once sync.Once
}

func (s *halfLedger) SavePayment(ctx context.Context, p codegrant.Payment) error {
	if p.Revision != 2 {
		return s.ledger.SavePayment(ctx, p)
	}
	write := func(p codegrant.Payment) {
		s.lock <- struct{}{}
		s.records[p.ID] = copied(p)
		<-s.lock
	}
	half := copied(p)
	half.Refunds[1].Remark = "half"
	write(half)
	<-s.read
	write(p)
	return nil
}

func (s *halfLedger) GetPayment(ctx context.Context, id string) (codegrant.Payment, error) {
	p, err := s.ledger.GetPayment(ctx, id)
	if err == nil && p.Refunds[1].Remark == "half" {
		s.once.Do(func() { close(s.read) })
	}
	return p, err
}

// laggingLedger is lagging for payments.
type laggingLedger struct {
	*ledger
	last atomic.Value // id
}

func (s *laggingLedger) SavePayment(ctx context.Context, p codegrant.Payment) error {
	err := s.ledger.SavePayment(ctx, p)
	if err == nil {
		s.last.Store(p.ID)
	}
	return err
}

func (s *laggingLedger) UnsettledPayments(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Payment, error) {
	found, err := s.ledger.UnsettledPayments(ctx, olderThan, limit)
	return slices.DeleteFunc(found, func(p codegrant.Payment) bool { return p.ID == s.last.Load() }), err
}
