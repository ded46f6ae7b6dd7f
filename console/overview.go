package console

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/codegrant/codegrant"
)

// waiting is a record that waits, as lists show it.
type waiting struct {
	Name, Link, About string
	Reasons           []reason
	Next              moment
}

// queue is what waits, oldest first.
type queue struct {
	Items []waiting
	More  bool   // there may be others
	Error string // code, when some could not be read
}

// horizon is beyond the 3 h by which a sweep moves what it took up.
const horizon = 24 * time.Hour

func (v *visit) waitingTokens(ctx context.Context, limit int) (queue, error) {
	list, err := v.cfg.Store.Unsettled(ctx, v.now.Add(horizon), limit)
	q, err := v.newQueue(ctx, len(list), limit, err)
	for _, t := range list {
		if slices.Contains(v.ids, t.AccountID) {
			q.Items = append(q.Items, waiting{
				t.ID, link("token", t.AccountID, t.ID), v.about(t.Wallet, t.UserID, t.AccountID),
				v.tokenReasons(t), v.nextLook(t.UnsettledSince),
			})
		}
	}
	return q, err
}

func (v *visit) waitingPayments(ctx context.Context, limit int) (queue, error) {
	if v.cfg.Payments == nil {
		return queue{}, nil
	}
	list, err := v.cfg.Payments.UnsettledPayments(ctx, v.now.Add(horizon), limit)
	q, err := v.newQueue(ctx, len(list), limit, err)
	for _, p := range list {
		if slices.Contains(v.ids, p.AccountID) {
			q.Items = append(q.Items, waiting{
				p.OrderID, link("order", p.AccountID, p.OrderID),
				p.Amount.String() + " · " + v.about(p.Wallet, p.UserID, p.AccountID), v.paymentReasons(p), v.nextLook(p.UnsettledSince),
			})
		}
	}
	return q, err
}

// newQueue is for a list of n records. A sealed store returns what it could
// open beside its error; an error alone is one.
func (v *visit) newQueue(ctx context.Context, n, limit int, err error) (queue, error) {
	q := queue{More: n == limit}
	if n == 0 {
		return q, err
	}
	if err != nil {
		code := codeOf(ctx, err)
		q.Error = string(code)
		v.logFailure(code, err)
	}
	return q, nil
}

func (v *visit) queues(ctx context.Context, limit int) (tokens, payments queue, err error) {
	if tokens, err = v.waitingTokens(ctx, limit); err == nil {
		payments, err = v.waitingPayments(ctx, limit)
	}
	return tokens, payments, err
}

func (v *visit) about(wallet codegrant.Wallet, user, account string) string {
	text := cmp.Or(string(wallet), "unknown wallet") + " · user " + cmp.Or(user, "not known")
	if len(v.ids) > 1 {
		text += " · account " + account
	}
	return text
}

const (
	fewest = 50   // of a list, at first
	most   = 1600 // of a list, however often one asks for more
)

// unsettled lists what waits; limit in the query is how much of it.
func (v *visit) unsettled(ctx context.Context) error {
	limit := fewest
	if asked, err := strconv.Atoi(v.r.URL.Query().Get("limit")); err == nil {
		limit = min(max(asked, 1), most)
	}
	tokens, payments, err := v.queues(ctx, limit)
	if err != nil {
		return err
	}
	c := struct {
		Tokens, Payments queue
		Orders           bool
		Next             int // limit of the link for more; 0 for none
	}{tokens, payments, v.cfg.Payments != nil, 0}
	if (c.Tokens.More || c.Payments.More) && limit < most {
		c.Next = min(limit*4, most)
	}
	return v.show("unsettled", page{Title: "What waits", Nav: "unsettled", Content: c})
}

// tally is how many records wait for the same thing.
type tally struct {
	Label string
	Count int
}

func tallies(queues ...queue) (list []tally) {
	for _, q := range queues {
		for _, item := range q.Items {
			for _, r := range item.Reasons {
				i := slices.IndexFunc(list, func(t tally) bool { return t.Label == r.Label })
				if i < 0 {
					i, list = len(list), append(list, tally{Label: r.Label})
				}
				list[i].Count++
			}
		}
	}
	slices.SortStableFunc(list, func(a, b tally) int { return b.Count - a.Count })
	return list
}

// saltTable is how much the salts of an account are in use, in this process.
type saltTable struct {
	Account string
	Error   string // code
	Rows    []codegrant.SaltUsage
}

const maxAccounts = 20 // whose salts are shown

func (v *visit) salts(ctx context.Context) (list []saltTable) {
	for _, id := range v.ids[:min(len(v.ids), maxAccounts)] {
		table := saltTable{Account: id}
		if kit, err := v.kit(ctx, id); err == nil {
			table.Rows = kit.SaltUsage()
		} else {
			code := codeOf(ctx, err)
			table.Error = string(code)
			v.logFailure(code, err)
		}
		list = append(list, table)
	}
	return list
}

const counted = 500 // records of each kind

func (v *visit) overview(ctx context.Context) error {
	tokens, payments, err := v.queues(ctx, counted)
	if err != nil {
		return err
	}
	running, last := v.sweep.state()
	return v.show("overview", page{Title: "Overview", Nav: "overview", Content: struct {
		Waiting       int
		More          bool
		Error         string
		Tallies       []tally
		CanSweep      bool
		Running, Last sweepResult
		After         string
		Salts         []saltTable
		Left          int // accounts whose salts are not shown
	}{
		len(tokens.Items) + len(payments.Items), tokens.More || payments.More, cmp.Or(tokens.Error, payments.Error),
		tallies(tokens, payments), v.cfg.Sweep != nil, running, last, span(v.cfg.After),
		v.salts(ctx), max(0, len(v.ids)-maxAccounts),
	}})
}
