package hostiletest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

func (w *world) do(e event) {
	switch e.do {
	case doSignUp, doSignUpQuick:
		w.quick = e.do == doSignUpQuick
		w.signUp(shopUsers[e.n%2], []codegrant.Wallet{codegrant.GCash, codegrant.TNGeWallet}[e.n/2%2])
		w.quick = false
	case doApprove, doRefuse:
		w.decide(e.n, e.do == doApprove)
	case doUnbindInWallet, doUnbindSilently:
		w.unbindInWallet(e.n, e.do == doUnbindSilently)
	case doUnbindByShop:
		w.unbindByShop(e.n)
	case doDeliver:
		w.deliver(w.waiting(e.n))
	case doDeliverAgain:
		if len(w.letters) > 0 {
			w.deliver(w.letters[e.n%len(w.letters)])
		}
	case doCharge:
		w.startCharge(e.n)
	case doChargeAgain:
		if len(w.payments) > 0 {
			w.charge(w.payments[e.n%len(w.payments)], e.later%2 == 0)
		}
	case doActAsStranger:
		w.actAsStranger(e.n)
	case doLookUp:
		if len(w.order) > 0 {
			w.lookUp(w.order[e.n%len(w.order)])
		}
	}
}

func (w *world) signUp(user string, wallet codegrant.Wallet) {
	inject := w.wire
	t, err := w.kit.StartSignUp(context.Background(), codegrant.SignUpParams{UserID: user, Wallet: wallet})
	if t.ID == "" {
		if w.whole() {
			w.fail("no record: %v", err)
		}
		w.findRefused(user, err)
		return
	}
	m := w.record(t.ID)
	switch {
	case errors.Is(err, codegrant.ErrRefused):
		// The answer is the gateway's, whether or not the shop could keep it.
		fired, _ := w.process.state()
		m.learned(refused, !fired)
		if inject != gatewaytest.Decline {
			w.fail("refused by nobody: %v", err)
		}
	case err == nil:
		if kept, err := w.store.Get(context.Background(), t.ID); err != nil || kept.AuthURL == "" || kept.AuthURL != t.AuthURL {
			w.fail("sign-up %s: the wallet's page was lost: %v", t.ID, err)
		}
	case w.whole():
		w.fail("sign-up: %v", err)
	}
}

// findRefused finds the record of a refused sign-up that broke while it was
// recorded.
func (w *world) findRefused(user string, err error) {
	if !errors.Is(err, codegrant.ErrRefused) {
		return
	}
	list, err := w.store.ByUser(context.Background(), gatewaytest.DefaultAccountID, user)
	if err != nil || len(list) == 0 {
		w.fail("a refused sign-up left no record: %v", err)
		return
	}
	w.record(list[len(list)-1].ID).learned(refused, false)
}

// decide lets the user answer on the wallet's page, also where the shop never
// learned of the page.
func (w *world) decide(n int, yes bool) {
	var open []gatewaytest.Agreement
	for _, a := range w.gateway.Ledger().Agreements {
		if a.Status == gatewaytest.StatusPending {
			open = append(open, a)
		}
	}
	if len(open) == 0 {
		return
	}
	slices.Reverse(open) // the newest first
	act := w.gateway.Refuse
	if yes {
		act = w.gateway.Approve
	}
	if err := act(open[n%len(open)].AuthURL); err != nil {
		w.fail("wallet: %v", err)
	}
	w.collect()
}

func (w *world) unbindInWallet(n int, silently bool) {
	var live []string
	for _, a := range w.gateway.Ledger().Agreements {
		if a.Status == gatewaytest.StatusSuccess {
			live = append(live, a.Token)
		}
	}
	if len(live) == 0 {
		return
	}
	if err := w.gateway.UnbindTokenInWallet(live[n%len(live)]); err != nil {
		w.fail("wallet: %v", err)
	}
	w.collect()
	w.letters[len(w.letters)-1].lost = silently
}

// agreement is the gateway's own view of a sign-up.
func (w *world) agreement(id string) gatewaytest.Agreement {
	for _, a := range w.gateway.Ledger().Agreements {
		if a.RequestID == id {
			return a
		}
	}
	return gatewaytest.Agreement{}
}

func (w *world) unbindByShop(n int) {
	if len(w.order) == 0 {
		return
	}
	m := w.records[w.order[n%len(w.order)]]
	was, before := m.last, w.agreement(m.last.ID)
	if was.ID == "" {
		return // known to nobody: its first save failed
	}
	t, err := w.kit.UnbindToken(context.Background(), codegrant.UnbindParams{UserID: was.UserID, TokenID: was.ID})
	switch was.Status {
	case codegrant.StatusActive, codegrant.StatusUnbinding:
		end := gone
		if before.Status == gatewaytest.StatusSuccess || before.EndedBy == gatewaytest.EndedByMerchant {
			end = endedAtMerchant
		}
		m.learned(end, err == nil)
		m.learned(asked, err == nil || errors.Is(err, codegrant.ErrOutcomeUnknown) || errors.Is(err, codegrant.ErrRefused))
	case codegrant.StatusPending, codegrant.StatusFailed:
		if errors.Is(err, codegrant.ErrNoToken) {
			return
		}
	}
	if (err == nil && t.Status != codegrant.StatusUnbound) || (err != nil && w.whole()) {
		w.fail("unbinding of %v: %v, %v", was, t, err)
	}
}

// waiting picks a letter that was not accepted and not lost; -1 is the newest.
func (w *world) waiting(n int) *letter {
	var open []*letter
	for _, l := range w.letters {
		if !l.accepted && !l.lost {
			open = append(open, l)
		}
	}
	switch {
	case len(open) == 0:
		return nil
	case n < 0:
		return open[len(open)-1]
	}
	return open[n%len(open)]
}

func (w *world) deliver(l *letter) {
	if l == nil || l.lost {
		return
	}
	var was codegrant.Token
	settled := false
	if m := w.records[l.id]; m != nil {
		was = m.last
		settled = l.accepted && was.Handled == was.Status
	}
	accepted := w.answer(l)
	l.accepted = l.accepted || accepted
	if l.fact == noFact {
		return
	}
	w.record(l.id).learned(l.fact, accepted)
	now, err := w.store.Get(context.Background(), l.id)
	switch {
	case err != nil:
		w.fail("store: %v", err)
	case accepted && now.Handled != now.Status:
		w.fail("a notification was accepted, and %v was handled only as %s", now, now.Handled)
	case settled && now.Revision != was.Revision:
		w.fail("a repeated notification changed %v", was)
	}
}

// lookUp asks the gateway, as the return page and reconciliation do.
func (w *world) lookUp(id string) {
	m, truth := w.records[id], w.agreement(id)
	if m.last.ID == "" {
		return
	}
	_, err := w.kit.Refresh(context.Background(), id)
	if m.last.Status == codegrant.StatusUnbound {
		return // what is over is not asked about
	}
	switch truth.Status {
	case gatewaytest.StatusSuccess:
		m.learned(agreed, err == nil)
	case gatewaytest.StatusFailed:
		m.learned(refused, err == nil)
	case gatewaytest.StatusUnbound:
		m.learned(gone, err == nil)
	case "":
		return // the sign-up never reached the gateway
	}
	if err != nil && w.whole() {
		w.fail("look-up of %v: %v", m.last, err)
	}
}

// actAsStranger tries what another user's session must not do.
func (w *world) actAsStranger(n int) {
	if len(w.order) == 0 {
		return
	}
	t := w.records[w.order[n%len(w.order)]].last
	for _, user := range append(slices.Clone(shopUsers), "nobody") {
		if t.ID == "" || user == t.UserID {
			continue
		}
		before := w.calls
		_, err := w.kit.Charge(context.Background(), codegrant.ChargeParams{
			UserID: user, OrderID: "STOLEN", TokenID: t.ID, Amount: orderPrice, ShopperIP: "192.0.2.7", Email: "x@shop.test",
		})
		_, unbindErr := w.kit.UnbindToken(context.Background(), codegrant.UnbindParams{UserID: user, TokenID: t.ID})
		fired, _ := w.process.state()
		if !fired && (!errors.Is(err, codegrant.ErrNotOwner) || !errors.Is(unbindErr, codegrant.ErrNotOwner)) {
			w.fail("%s acted on %v: %v, %v", user, t, err, unbindErr)
		}
		if w.calls != before {
			w.fail("%s's act on %v reached the gateway", user, t)
		}
	}
}

// settle delivers everything that was not lost, finds out every unknown
// outcome, looks up what waits, and then wants every promise kept.
func (w *world) settle() {
	w.deliverAll()
	w.now = w.now.Add(10 * time.Minute) // no request is on its way any more
	w.settleCharges()
	for range 2 { // a look-up heals what only it can; an unbinding that got lost is repeated
		waiting, err := w.store.Unsettled(context.Background(), w.now, 100)
		if err != nil {
			w.fail("store: %v", err)
		}
		for _, t := range waiting {
			w.lookUp(t.ID)
			if t.Status == codegrant.StatusUnbinding {
				w.unbindByShop(slices.Index(w.order, t.ID))
			}
			w.collect()
			w.observe()
		}
		w.deliverAll()
	}
	for _, id := range w.order {
		w.judgeEnd(id)
	}
	for order, want := range w.orderNotices() {
		if w.paid[order] < want {
			w.fail("order %s: the hook took %d of %d payment notifications", order, w.paid[order], want)
		}
	}
}

// deliverAll delivers what is left, in no order that means anything.
func (w *world) deliverAll() {
	for l := w.waiting(len(w.letters)); l != nil && w.err == nil; l = w.waiting(len(w.letters)) {
		w.deliver(l)
		if !l.accepted {
			w.fail("a notification is refused for ever: %s", l.body)
		}
	}
	w.observe()
}

func (w *world) judgeEnd(id string) {
	t, truth := w.records[id].last, w.agreement(id)
	if t.ID == "" {
		return
	}
	if t.Handled != t.Status {
		w.fail("record %s ends as %s, and the hook accepted %s", id, t.Status, t.Handled)
	}
	if truth.Status == gatewaytest.StatusSuccess && t.Status != codegrant.StatusActive {
		w.fail("record %s ends as %s and lives at the gateway", id, t.Status)
	}
	if w.target.inTx {
		w.judgeEffects(t)
	}
}

// judgeEffects: what the hook wrote inside the transactions is there once for
// each status that it accepted, in rising order.
func (w *world) judgeEffects(t codegrant.Token) {
	rows, err := w.db.Query("SELECT status FROM effects WHERE id = ? ORDER BY rowid", t.ID)
	if err != nil {
		w.fail("effects: %v", err)
		return
	}
	defer func() { _ = rows.Close() }()
	last := codegrant.StatusPending
	for rows.Next() {
		var status codegrant.Status
		if err := rows.Scan(&status); err != nil || status <= last {
			w.fail("record %s: the effect of %s was kept after that of %s: %v", t.ID, status, last, err)
		}
		last = status
	}
	if rows.Err() != nil || last != t.Handled {
		w.fail("record %s: handled %s, and the last effect is that of %s: %v", t.ID, t.Handled, last, rows.Err())
	}
}

// orderNotices counts the accepted payment notifications of each order.
func (w *world) orderNotices() map[string]int {
	want := map[string]int{}
	for _, n := range w.gateway.Notifications() {
		if n.Op == gatewaytest.OpNotifyPayment {
			want[n.Subject]++
		}
	}
	return want
}
