//go:build linux

package soak

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// judge compares the shop's records, and what its hooks did, with the books of
// the gateway, when everything has settled.
type judge struct {
	effects  map[string]int // by kind, id and outcome
	agreed   map[string]gatewaytest.Agreement
	told     map[string]bool // operation and subject of the notifications that were accepted
	paid     map[string]int  // successful charges by order
	known    map[string]bool // orders of the gateway
	refunded map[string]bool
	faults   []string
	healed   map[string]int // what is in no book but by its own rules
}

func (j *judge) fault(format string, args ...any) {
	j.faults = append(j.faults, fmt.Sprintf(format, args...))
}

// once faults an outcome that the merchant's hook did not do exactly once.
func (j *judge) once(kind, id, outcome string) {
	if n := j.effects[kind+" "+id+" "+outcome]; n != 1 {
		j.fault("%s %s is %s, and the hook did so %d times", kind, id, outcome, n)
	}
}

func (w *world) judge(t *testing.T) {
	t.Helper()
	j := &judge{
		effects: map[string]int{}, agreed: map[string]gatewaytest.Agreement{}, told: map[string]bool{},
		paid: map[string]int{}, known: map[string]bool{}, refunded: map[string]bool{}, healed: map[string]int{},
	}
	ledger := w.gateway.Ledger()
	require.Empty(t, ledger.ChargedTwice(), "charged twice")
	for _, a := range ledger.Agreements {
		j.agreed[a.RequestID] = a
	}
	for _, c := range ledger.Charges {
		j.known[c.OrderID] = true
		if c.Status == gatewaytest.StatusSuccess {
			j.paid[c.OrderID]++
		}
	}
	for _, r := range ledger.Refunds {
		j.refunded[r.RefundID] = j.refunded[r.RefundID] || r.Status == gatewaytest.StatusSuccess
	}
	for _, n := range w.gateway.Notifications() {
		if n.Delivered {
			j.told[string(n.Op)+" "+n.Subject] = true
		} else if !n.Lost {
			j.fault("the shop never accepted notification %d, %s, in %d attempts", n.ID, n.Type, len(n.Attempts))
		}
	}
	w.readEffects(t, j)
	w.judgePayments(t, j)
	w.judgeTokens(t, j)
	t.Logf("gateway: %d sign-ups, %d charges, %d refunds; beside them: %v", len(ledger.Agreements), len(ledger.Charges), len(ledger.Refunds), j.healed)
	require.Empty(t, head(j.faults), "%d faults", len(j.faults))
	require.Empty(t, head(w.complaints), "%d complaints", len(w.complaints))
	// Only sign-ups that were agreed to when the shop had given up, and whose
	// notification was lost, may be unknown to it.
	require.LessOrEqual(t, j.healed["late and lost"], w.tally["sign-up: late"])
}

func head(list []string) []string { return list[:min(len(list), 10)] }

func (w *world) readEffects(t *testing.T, j *judge) {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "SELECT kind, id, outcome, count(*) FROM effects GROUP BY kind, id, outcome")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var kind, id, outcome string
		var n int
		require.NoError(t, rows.Scan(&kind, &id, &outcome, &n))
		j.effects[kind+" "+id+" "+outcome] = n
		if n != 1 {
			j.fault("the hook did %s %s %s %d times", kind, id, outcome, n)
		}
		if kind == "payment" && outcome == string(codegrant.Succeeded) && j.paid[id] == 0 {
			j.fault("the hook heard that order %s is paid, and it is not", id)
		}
	}
	require.NoError(t, rows.Err())
}

func (w *world) judgePayments(t *testing.T, j *judge) {
	t.Helper()
	rows, err := w.db.QueryContext(t.Context(), "SELECT record FROM codegrant_payments")
	require.NoError(t, err)
	defer func() { require.NoError(t, rows.Close()) }()
	for rows.Next() {
		var text []byte
		var p codegrant.Payment
		require.NoError(t, rows.Scan(&text))
		require.NoError(t, p.UnmarshalBinary(text))
		delete(j.known, p.OrderID)
		switch p.Outcome {
		case codegrant.Succeeded:
			j.once("payment", p.OrderID, string(codegrant.Succeeded))
		case codegrant.Failed:
			j.once("payment", p.OrderID, string(codegrant.Failed)+" "+p.Last.RequestID)
		default:
			j.fault("order %s stays %q", p.OrderID, p.Outcome)
		}
		if (p.Outcome == codegrant.Succeeded) != (j.paid[p.OrderID] == 1) {
			j.fault("order %s is %s, and was charged %d times", p.OrderID, p.Outcome, j.paid[p.OrderID])
		}
		for _, r := range p.Refunds {
			j.once("refund", r.RefundID, string(r.Outcome))
			if (r.Outcome == codegrant.Succeeded) != j.refunded[r.RefundID] {
				j.fault("refund %d of order %s is %s, and the gateway paid it back: %v", r.Number, p.OrderID, r.Outcome, j.refunded[r.RefundID])
			}
			delete(j.refunded, r.RefundID)
		}
	}
	require.NoError(t, rows.Err())
	require.Empty(t, j.known, "orders of the gateway that the shop does not know")
	require.Empty(t, j.refunded, "refunds of the gateway that the shop does not know")
}

func (w *world) judgeTokens(t *testing.T, j *judge) {
	t.Helper()
	for after := ""; ; {
		tokens, err := w.sealed.(codegrant.ListStore).List(t.Context(), after, 1000)
		require.NoError(t, err)
		if len(tokens) == 0 {
			return
		}
		after = tokens[len(tokens)-1].ID
		for _, token := range tokens {
			j.judgeToken(token)
		}
	}
}

func (j *judge) judgeToken(token codegrant.Token) {
	j.once("token", token.ID, token.Status.String())
	a, found := j.agreed[token.ID]
	created := j.told[string(gatewaytest.OpNotifySignUp)+" "+token.ID]
	ended := j.told[string(gatewaytest.OpNotifyUnbind)+" "+token.ID]
	want := codegrant.StatusFailed // nobody agreed
	switch {
	case !found:
	case a.Status == gatewaytest.StatusUnbound && (ended || a.EndedBy == gatewaytest.EndedByMerchant):
		want = codegrant.StatusUnbound
	case a.Status == gatewaytest.StatusUnbound && token.Status == codegrant.StatusActive:
		j.healed["unbound in silence, not charged since"]++
		want = codegrant.StatusActive
	case a.Status == gatewaytest.StatusUnbound && token.Status == codegrant.StatusUnbound:
		j.healed["unbound in silence, found out"]++
		want = codegrant.StatusUnbound
	case a.Status == gatewaytest.StatusSuccess, a.Status == gatewaytest.StatusUnbound:
		want = codegrant.StatusActive
		if !created && token.Status == codegrant.StatusFailed {
			j.healed["late and lost"]++
			return
		}
	}
	switch {
	case token.Status != want:
		j.fault("%v, and at the gateway it is %q, ended by %q; told of it: %v, of its end: %v", token, a.Status, a.EndedBy, created, ended)
	case want >= codegrant.StatusActive && token.Value.Reveal() != a.Token:
		j.fault("%v has not the gateway's token", token)
	}
}

// tokenLike is what a token, or a signature, looks like.
var tokenLike = regexp.MustCompile(`[0-9A-Fa-f]{64}`)

// numbers are ports and ids, which would make every error another one.
var numbers = regexp.MustCompile(`[0-9]+`)

// checkLogs looks for what no node may say, and counts the rest by its codes.
func (w *world) checkLogs(t *testing.T) {
	t.Helper()
	codes := map[string]int{}
	for _, name := range w.logs {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		require.False(t, tokenLike.Match(text), "a node's log has a secret")
		require.NotContains(t, string(text), gatewaytest.DefaultSalt)
		for line := range strings.Lines(string(text)) {
			var entry struct{ Level, Code, Op, Error string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				require.Fail(t, "a node said something beside its log", line)
			}
			require.NotContains(t, []string{"hook_panic", "paid_twice", "amount_differs", "weak_durability"}, entry.Code)
			what := entry.Level + " " + entry.Op + " " + entry.Code
			if entry.Level == "ERROR" && entry.Code != string(codegrant.ErrHook) {
				what += ": " + numbers.ReplaceAllString(entry.Error, "#")
			}
			codes[what]++
		}
	}
	show(t, "logged", codes)
}

// show logs counts in the order of their names.
func show(t *testing.T, what string, counts map[string]int) {
	t.Helper()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "\n%8d  %s", counts[name], name)
	}
	t.Log(what + ":" + b.String())
}
