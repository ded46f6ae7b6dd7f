package gatewaytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// snapshotVersion changes whenever older snapshots can no longer be read.
const snapshotVersion = 1

// snapshot is everything that has happened to a gateway. Links between records
// are positions in the lists, and notification IDs; 0 and -1 are none.
type snapshot struct {
	Version    int
	Random     []byte // where the seeded source of numbers has come to
	Agreements []savedAgreement
	Charges    []savedCharge
	Refunds    []savedRefund
	Notices    []savedNotice
	Unbinds    []savedUnbind
	Holding    bool
	Losing     bool
	Held       []int // notification IDs in the order in which they became due
}

type savedAgreement struct {
	Agreement
	State, AuthCode, Applied string
	Last                     int // notification ID
}

type savedCharge struct {
	Charge
	Micros, Refunded             micros
	Remark, ResultURL, NotifyURL string
	EndedAt                      time.Time
	Told                         bool
}

type savedRefund struct {
	Refund
	Micros                           micros
	TransactionID, Remark, NotifyURL string
}

type savedNotice struct {
	Notification // without Body, which follows from the next two
	Message      message
	Plain        []byte
	Retries      int
	Charge       int // position in Charges
}

type savedUnbind struct {
	AccountID, RequestID string
	Agreement            int // position in Agreements
}

// Snapshot writes the gateway's state as JSON: agreements, charges, refunds,
// and notifications with those that are still to be delivered. It is for
// examples and demonstrations that outlive a restart; tests have no need of
// it. Not in it are the [Config] with its salts, and injected faults.
//
// It holds every token in the clear, so it belongs into a file that only its
// owner can read. The form is this package's own and has a version: only
// [Gateway.Restore] of the same version is meant to read it.
func (g *Gateway) Snapshot(w io.Writer) error {
	g.mu.Lock()
	s, err := g.snapshot()
	g.mu.Unlock()
	if err != nil {
		return fmt.Errorf("gatewaytest: snapshot: %w", err)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(s)
}

// snapshot copies the state. The caller holds mu.
func (g *Gateway) snapshot() (snapshot, error) {
	random, err := g.source.MarshalBinary()
	s := snapshot{Version: snapshotVersion, Random: random, Holding: g.holding, Losing: g.losing}
	agreements := make(map[*agreement]int)
	for i, a := range g.agreements {
		agreements[a] = i
		saved := savedAgreement{Agreement: a.Agreement, State: a.state, AuthCode: a.authCode, Applied: a.applied}
		if a.last != nil {
			saved.Last = a.last.ID
		}
		s.Agreements = append(s.Agreements, saved)
	}
	charges := map[*charge]int{nil: -1}
	for i, c := range g.charges {
		charges[c] = i
		s.Charges = append(s.Charges, savedCharge{
			c.Charge, c.amount, c.refunded, c.remark, c.resultURL, c.notifyURL, c.endedAt, c.told,
		})
	}
	for _, r := range g.refunds {
		s.Refunds = append(s.Refunds, savedRefund{r.Refund, r.amount, r.transactionID, r.remark, r.notifyURL})
	}
	for _, n := range g.notices {
		saved := savedNotice{n.copy(), n.message, n.plain, n.retries, charges[n.charge]}
		saved.Body = nil
		s.Notices = append(s.Notices, saved)
	}
	for id, a := range g.unbinds {
		s.Unbinds = append(s.Unbinds, savedUnbind{id.accountID, id.id, agreements[a]})
	}
	slices.SortFunc(s.Unbinds, func(x, y savedUnbind) int {
		return slices.Compare([]string{x.AccountID, x.RequestID}, []string{y.AccountID, y.RequestID})
	})
	for _, n := range g.held {
		s.Held = append(s.Held, n.ID)
	}
	return s, err
}

// Restore brings a gateway to which nothing has happened yet to the state that
// [Gateway.Snapshot] wrote. Its Config should be that of the gateway that was
// written; at least it serves the same accounts. Deliveries go on where they
// stood: what became due meanwhile, or was under way, is sent at once, so the
// merchant should be listening. After an error the gateway is as it was.
func (g *Gateway) Restore(r io.Reader) error {
	var s snapshot
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return fmt.Errorf("gatewaytest: restore: %w", err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if err := g.restorable(s); err != nil {
		return fmt.Errorf("gatewaytest: restore: %w", err)
	}
	if err := g.source.UnmarshalBinary(s.Random); err != nil {
		return fmt.Errorf("gatewaytest: restore: %w", err)
	}
	g.restore(s)
	return nil
}

// restorable finds what could not be restored. The caller holds mu.
func (g *Gateway) restorable(s snapshot) error {
	switch {
	case s.Version != snapshotVersion:
		return fmt.Errorf("the snapshot has version %d, this package reads %d", s.Version, snapshotVersion)
	case g.closed:
		return errors.New("the gateway is closed")
	case len(g.agreements)+len(g.charges)+len(g.notices) > 0:
		return errors.New("the gateway is in use already")
	}
	broken := errors.New("the snapshot is damaged")
	accounts := make(map[string]bool)
	for _, a := range s.Agreements {
		accounts[a.AccountID] = true
		if a.Last < 0 || a.Last > len(s.Notices) {
			return broken
		}
	}
	for i, n := range s.Notices {
		accounts[n.AccountID] = true
		if n.ID != i+1 || n.Charge < -1 || n.Charge >= len(s.Charges) {
			return broken
		}
	}
	for _, u := range s.Unbinds {
		if u.Agreement < 0 || u.Agreement >= len(s.Agreements) {
			return broken
		}
	}
	for _, id := range s.Held {
		if id < 1 || id > len(s.Notices) {
			return broken
		}
	}
	for id := range maps.Keys(accounts) {
		if _, ok := g.accounts[id]; !ok {
			return fmt.Errorf("account %s is not in the Config", id)
		}
	}
	return nil
}

// restore fills the empty books. The caller holds mu.
func (g *Gateway) restore(s snapshot) {
	for _, saved := range s.Charges {
		c := &charge{
			Charge: saved.Charge, amount: saved.Micros, refunded: saved.Refunded, remark: saved.Remark,
			resultURL: saved.ResultURL, notifyURL: saved.NotifyURL, endedAt: saved.EndedAt, told: saved.Told,
		}
		g.charges = append(g.charges, c)
		g.attempts[key{c.AccountID, c.RequestID}] = c
		order := key{c.AccountID, c.OrderID}
		g.orders[order] = append(g.orders[order], c)
		if c.Status == StatusProcessing && g.cfg.SettleAfter > 0 {
			left := time.Until(c.At.Add(g.cfg.SettleAfter))
			g.after(max(0, left), func() { g.settle(c, StatusSuccess, codeSuccess) })
		}
	}
	for _, saved := range s.Refunds {
		r := &refund{
			Refund: saved.Refund, amount: saved.Micros, transactionID: saved.TransactionID,
			remark: saved.Remark, notifyURL: saved.NotifyURL,
		}
		g.refunds = append(g.refunds, r)
		g.refundOf[key{r.AccountID, r.RefundID}] = r
	}
	for _, saved := range s.Notices {
		n := &notice{
			Notification: saved.Notification, message: saved.Message, plain: saved.Plain, retries: saved.Retries,
		}
		n.Body = n.plain
		if n.plain == nil {
			n.Body = n.message.body()
		}
		if saved.Charge >= 0 {
			n.charge = g.charges[saved.Charge]
		}
		g.notices = append(g.notices, n)
		g.resume(n)
	}
	for _, saved := range s.Agreements {
		a := &agreement{Agreement: saved.Agreement, state: saved.State, authCode: saved.AuthCode, applied: saved.Applied}
		if saved.Last > 0 {
			a.last = g.notices[saved.Last-1]
		}
		g.agreements = append(g.agreements, a)
		g.byState[a.state] = a
		g.byRequest[key{a.AccountID, a.RequestID}] = a
		for _, token := range []string{a.Reference, a.Token} {
			if token != "" {
				g.byToken[key{a.AccountID, token}] = a
			}
		}
	}
	for _, u := range s.Unbinds {
		g.unbinds[key{u.AccountID, u.RequestID}] = g.agreements[u.Agreement]
	}
	for _, id := range s.Held {
		g.held = append(g.held, g.notices[id-1])
	}
	g.holding, g.losing = s.Holding, s.Losing
}

// resume goes on delivering. The caller holds mu.
func (g *Gateway) resume(n *notice) {
	switch {
	case n.Delivered || n.Lost || n.Held:
	case !n.NextAt.IsZero():
		g.later(n, max(0, time.Until(n.NextAt)))
	case len(n.Attempts) == 0:
		g.after(0, func() { g.first(n, 0) })
	case n.retries < len(RetrySchedule()):
		g.later(n, 0)
	}
}
