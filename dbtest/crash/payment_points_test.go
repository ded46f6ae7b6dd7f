//go:build linux

package crash

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/sqlstore"
)

func TestATillKilledAtEveryPointOnSQLite(t *testing.T) { killTills(t, sqlite(t)) }

func TestATillKilledAtEveryPointOnPostgreSQL(t *testing.T) { killTills(t, startPostgreSQL(t).target) }

func TestATillKilledAtEveryPointOnMariaDB(t *testing.T) {
	at := startMariaDB(t).target
	at.DSN += "&interpolateParams=true" // one step for each statement, and not three
	killTills(t, at)
}

// counter is where the tills of a test work, and what comes after them.
type counter struct {
	target
	gateway *gatewaytest.Server
	db      *sql.DB
	kit     *codegrant.Kit // the process in the place of the dead one
	ahead   atomic.Int64   // of its clock
}

func newCounter(t *testing.T, at target, db *sql.DB, failFirst bool) *counter {
	t.Helper()
	c := &counter{target: at, db: db, gateway: gatewaytest.NewServer(gatewaytest.Config{FailFirst: failFirst})}
	t.Cleanup(c.gateway.Close)
	// From the first call on only a query can tell.
	c.gateway.LoseNotifications(true)
	var err error
	c.kit, err = c.till("", "").kit(db, http.DefaultTransport.(*http.Transport).Clone(), func() time.Time {
		return time.Now().Add(time.Duration(c.ahead.Load()))
	}, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	// Every counter has its own gateway, which does not know the tokens of
	// another's.
	for _, table := range []string{"codegrant_tokens", "codegrant_payments", "payment_rows"} {
		_, err := db.ExecContext(t.Context(), "DELETE FROM "+table)
		require.NoError(t, err)
	}
	token, err := c.kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.GCash})
	require.NoError(t, err)
	require.NoError(t, c.gateway.Approve(token.AuthURL))
	token, err = c.kit.Refresh(t.Context(), token.ID)
	require.NoError(t, err)
	require.Equal(t, codegrant.StatusActive, token.Status)
	return c
}

func (c *counter) till(do, order string) till {
	return till{target: c.target, Gateway: c.gateway.URL, Do: do, Order: order, Attempt: 1}
}

// run lets a process do l, and reports whether the killer ended it.
func (l till) run(t *testing.T) (killed bool) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	spec, err := json.Marshal(l)
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envTill+"="+string(spec))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	p, err := startProcess(cmd)
	require.NoError(t, err)
	hung := time.AfterFunc(patience, p.kill)
	<-p.done
	require.True(t, hung.Stop(), "the till hung: %s", &said)
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if status.Signaled() && status.Signal() == syscall.SIGKILL {
		return true
	}
	require.True(t, cmd.ProcessState.Success(), "%v: %s", cmd.ProcessState, &said)
	return false
}

// sweep lets enough time pass that nothing is on its way any more.
func (c *counter) sweep(t *testing.T) {
	t.Helper()
	for range 2 { // what the first could only ask about, the second hears
		c.ahead.Add(int64(4 * time.Hour))
		sweep, err := c.kit.Reconcile(t.Context())
		require.NoError(t, err)
		require.Zero(t, sweep.Failed)
	}
}

// books are what the gateway has done for one order.
func (c *counter) books(order string) (paid, repaid int) {
	ledger := c.gateway.Ledger()
	for _, charge := range ledger.Charges {
		if charge.OrderID == order && charge.Status == gatewaytest.StatusSuccess {
			paid++
		}
	}
	for _, refund := range ledger.Refunds {
		if refund.OrderID == order && refund.Status == gatewaytest.StatusSuccess {
			repaid++
		}
	}
	return paid, repaid
}

// judge compares the record and the hooks' rows with the gateway's books.
func (c *counter) judge(t *testing.T, order string) codegrant.Payment {
	t.Helper()
	require.Empty(t, c.gateway.Ledger().ChargedTwice())
	paid, repaid := c.books(order)
	rows := c.rows(t, order)
	p, err := c.kit.Payment(t.Context(), order)
	if errors.Is(err, codegrant.ErrNotFound) {
		require.Zero(t, paid, "the gateway heard of an order that was never recorded")
		require.Empty(t, rows)
		return p
	}
	require.NoError(t, err)
	require.True(t, p.UnsettledSince.IsZero(), "%v", p)
	want := codegrant.Failed
	if paid > 0 {
		want = codegrant.Succeeded
	}
	require.Equal(t, want, p.Outcome)
	require.Equal(t, want, p.Handled)
	require.Len(t, p.Refunds, repaid)
	for _, r := range p.Refunds {
		require.Equal(t, codegrant.Succeeded, r.Outcome)
		require.Equal(t, codegrant.Succeeded, r.Handled)
	}
	// Each attempt ended once, and so did each refund.
	count := map[string]int{}
	for said, times := range rows {
		require.Equal(t, 1, times, "%s", said)
		count[strings.Join(strings.Fields(said)[:2], " ")]++
	}
	require.Equal(t, paid, count["payment SUCCESS"], "%v", rows)
	require.Equal(t, p.Attempt-paid, count["payment FAILED"], "%v", rows)
	require.Equal(t, repaid, count["refund SUCCESS"], "%v", rows)
	require.Len(t, rows, p.Attempt+repaid)
	return p
}

// rows returns how often the hooks have written what of an order.
func (c *counter) rows(t *testing.T, order string) map[string]int {
	t.Helper()
	mark := "?"
	if c.Dialect == sqlstore.PostgreSQL {
		mark = "$1"
	}
	found, err := c.db.QueryContext(t.Context(), "SELECT said FROM payment_rows WHERE order_id = "+mark, order)
	require.NoError(t, err)
	defer func() { require.NoError(t, found.Close()) }()
	rows := map[string]int{}
	for found.Next() {
		var said string
		require.NoError(t, found.Scan(&said))
		rows[said]++
	}
	require.NoError(t, found.Err())
	return rows
}

// killTills kills a till in front of and behind every statement, every begin and
// end of a transaction and every call of the gateway that an errand makes. Then
// another process sweeps, or does the errand again; nobody is charged or paid
// back twice, every order is settled, and the hooks' rows are there once.
func killTills(t *testing.T, at target) {
	s := at.open(t)
	require.NoError(t, s.plain.Migrate(t.Context()))
	_, err := s.db.ExecContext(t.Context(), createPaymentRows)
	require.NoError(t, err)
	charged := func(t *testing.T, c *counter, order string) {
		_, err := c.till("", order).charge(t.Context(), c.kit)
		require.NoError(t, err)
	}
	// unknown makes a charge of which nobody knows whether it was executed.
	unknown := func(kind gatewaytest.FaultKind) func(t *testing.T, c *counter, order string) {
		return func(t *testing.T, c *counter, order string) {
			c.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: kind})
			_, err := c.till("", order).charge(t.Context(), c.kit)
			require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
		}
	}
	for _, tc := range []struct {
		name, do  string
		attempt   int
		failFirst bool
		unheard   bool          // also without a kill the record is not settled
		ahead     time.Duration // of the till's clock
		before    func(t *testing.T, c *counter, order string)
		repeat    func(t *testing.T, c *counter, l till) (codegrant.Receipt, error) // instead of a sweep
	}{
		{name: "a charge", do: "charge", attempt: 1},
		{
			name: "a charge that is repeated", do: "charge", attempt: 1,
			repeat: func(t *testing.T, c *counter, l till) (codegrant.Receipt, error) { return l.charge(t.Context(), c.kit) },
		},
		{name: "a second attempt", do: "charge", attempt: 2, failFirst: true, before: charged},
		{name: "a refund", do: "refund", attempt: 1, before: charged},
		{
			name: "a refund that is repeated", do: "refund", attempt: 1, before: charged,
			repeat: func(t *testing.T, c *counter, l till) (codegrant.Receipt, error) { return l.refund(t.Context(), c.kit) },
		},
		{name: "a charge that goes on with a lost one", do: "charge", attempt: 1, before: unknown(gatewaytest.ResetBefore)},
		{name: "a sweep over a charge", do: "sweep", attempt: 1, ahead: 4 * time.Hour, before: unknown(gatewaytest.ResetAfter)},
		{
			name: "a sweep that sends a lost refund", do: "sweep", attempt: 1, ahead: 4 * time.Hour,
			before: func(t *testing.T, c *counter, order string) {
				charged(t, c, order)
				c.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpRefund, Kind: gatewaytest.ResetBefore})
				_, err := c.till("", order).refund(t.Context(), c.kit)
				require.ErrorIs(t, err, codegrant.ErrOutcomeUnknown)
			},
		},
		{
			// Such a charge the gateway would make once more under a new number:
			// for all that it knows, the merchant never heard of it.
			name: "a charge whose answer is lost and that is repeated", do: "charge", attempt: 1, unheard: true,
			before: func(_ *testing.T, c *counter, _ string) {
				c.gateway.Inject(gatewaytest.Fault{Op: gatewaytest.OpPay, Kind: gatewaytest.ResetAfter})
			},
			repeat: func(t *testing.T, c *counter, l till) (codegrant.Receipt, error) { return l.charge(t.Context(), c.kit) },
		},
		{
			name: "a charge that goes on with one whose answer was lost", do: "charge", attempt: 1,
			before: unknown(gatewaytest.ResetAfter),
			repeat: func(t *testing.T, c *counter, l till) (codegrant.Receipt, error) { return l.charge(t.Context(), c.kit) },
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newCounter(t, at, s.db, tc.failFirst)
			began, points, cut := time.Now(), 0, 0
			for _, behind := range []bool{false, true} {
				for step := 0; ; step++ {
					c.ahead.Store(0)
					l := c.till(tc.do, fmt.Sprintf("ORDER-%v-%d", behind, step))
					l.Attempt, l.Ahead, l.At, l.Behind = tc.attempt, tc.ahead, step, behind
					if tc.before != nil {
						tc.before(t, c, l.Order)
					}
					killed := l.run(t)
					c.gateway.ClearFaults()
					if c.isCut(t, l.Order) {
						require.True(t, killed || tc.unheard)
						cut++
					}
					if tc.repeat != nil {
						receipt, err := tc.repeat(t, c, l)
						require.NoError(t, err)
						require.Equal(t, codegrant.Succeeded, receipt.Outcome)
					} else {
						c.sweep(t)
					}
					if p := c.judge(t, l.Order); p.Outcome != codegrant.Succeeded {
						l.Attempt = p.Attempt + 1
						receipt, err := l.charge(t.Context(), c.kit)
						require.NoError(t, err)
						if receipt.Outcome == codegrant.Failed && tc.failFirst {
							l.Attempt++
							receipt, err = l.charge(t.Context(), c.kit)
							require.NoError(t, err)
						}
						require.Equal(t, codegrant.Succeeded, receipt.Outcome)
						c.judge(t, l.Order)
					}
					if !killed {
						break
					}
					points++
				}
			}
			t.Logf("%d points in %v, %d of them between the gateway's deed and its record", points, time.Since(began).Round(time.Millisecond), cut)
			if tc.unheard { // it ends at the gateway
				require.GreaterOrEqual(t, points, 8)
				require.Positive(t, cut)
				return
			}
			require.Greater(t, points, 12)
			require.Greater(t, cut, 4, "no kill fell between the gateway's deed and its record")
		})
	}
}

// isCut reports that the gateway has done what the record does not say.
func (c *counter) isCut(t *testing.T, order string) bool {
	t.Helper()
	paid, repaid := c.books(order)
	p, err := c.kit.Payment(t.Context(), order)
	if errors.Is(err, codegrant.ErrNotFound) {
		require.Zero(t, paid)
		return false
	}
	require.NoError(t, err)
	for _, r := range p.Refunds {
		if r.Outcome == codegrant.Succeeded {
			repaid--
		}
	}
	return paid > 0 && p.Outcome != codegrant.Succeeded || repaid > 0
}
