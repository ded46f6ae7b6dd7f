package hostiletest

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/sqlstore"
)

// action is one thing that happens in the life of a shop.
type action int

const (
	doSignUp      action = iota
	doSignUpQuick        // the notification overtakes the answer
	doApprove
	doRefuse
	doUnbindInWallet
	doUnbindSilently
	doUnbindByShop
	doDeliver // any of what was not accepted yet, so in any order
	doDeliverAgain
	doCharge
	doChargeAgain
	doActAsStranger
	doLookUp
	actions
)

func (a action) String() string {
	return [...]string{
		"signUp", "signUpQuick", "approve", "refuse", "unbindInWallet", "unbindSilently", "unbindByShop",
		"deliver", "deliverAgain", "charge", "chargeAgain", "actAsStranger", "lookUp",
	}[a]
}

// event is one step of a sequence. It names what it is about by a number,
// modulo what there is, so that it still means something when events before it
// are left out.
type event struct {
	do    action
	n     int
	wire  gatewaytest.Fault // at the gateway; no kind means none
	shop  breakage          // in the shop's process
	later int               // minutes on the shop's clock before it
}

func (e event) String() string {
	return fmt.Sprintf("{do: %s, n: %d, wire: {Kind: %d, Code: %q}, shop: {mode: %s, at: %d}, later: %d}",
		e.do, e.n, e.wire.Kind, e.wire.Code, e.shop.mode, e.shop.at, e.later)
}

// weights make the usual things usual.
var weights = [actions]int{
	doSignUp: 2, doSignUpQuick: 1, doApprove: 3, doRefuse: 1, doUnbindInWallet: 2, doUnbindSilently: 1, doUnbindByShop: 3,
	doDeliver: 7, doDeliverAgain: 2, doCharge: 5, doChargeAgain: 2, doActAsStranger: 1, doLookUp: 1,
}

// wireFaults leave out those that hang: time-outs cost real time here.
var wireFaults = []gatewaytest.FaultKind{
	gatewaytest.Status500Before, gatewaytest.Status500After, gatewaytest.ResetBefore, gatewaytest.ResetAfter,
	gatewaytest.Truncated, gatewaytest.Tampered, gatewaytest.Unsigned, gatewaytest.WrongSalt, gatewaytest.HTMLAnswer,
	gatewaytest.Decline,
}

// sequence draws 5 to 15 events that begin with a sign-up, most often one that
// gets somewhere.
func sequence(random *rand.Rand) []event {
	total := 0
	for _, w := range weights {
		total += w
	}
	events := make([]event, 5+random.IntN(11))
	usual := []action{doSignUp, doApprove, doDeliver}[:min(3, 1+random.IntN(6))]
	for i := range events {
		e := event{n: random.IntN(6), later: random.IntN(90)}
		if i < len(usual) {
			e.do = usual[i]
		} else {
			for r := random.IntN(total); r >= weights[e.do]; e.do++ {
				r -= weights[e.do]
			}
		}
		if random.IntN(8) == 0 {
			e.wire.Kind = wireFaults[random.IntN(len(wireFaults))]
			if e.wire.Kind == gatewaytest.Decline && random.IntN(2) == 0 {
				e.wire.Code = "107003" // a refusal, where the default is an inner error
			}
		}
		if random.IntN(3) == 0 {
			e.shop = breakage{mode: 1 + mode(random.IntN(int(modes)-1)), at: random.IntN(9)}
		}
		events[i] = e
	}
	return events
}

// target is a store and the way in which the kit uses it.
type target struct {
	name string
	size int // sequences of the default run
	inTx bool
	open func() (codegrant.TokenStore, *sql.DB, error)
}

func targets() []target {
	sqlite := func() (codegrant.TokenStore, *sql.DB, error) {
		db, err := sql.Open("sqlite", ":memory:")
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(1) // each connection would be a database of its own
		store, err := sqlstore.New(db, sqlstore.SQLite, sqlstore.Options{
			AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler),
		})
		if err == nil {
			err = store.Migrate(context.Background())
		}
		if err == nil {
			_, err = db.Exec("CREATE TABLE effects (id TEXT, status INTEGER)")
		}
		return store, db, err
	}
	return []target{
		{"memstore", 500, false, func() (codegrant.TokenStore, *sql.DB, error) { return memstore.New(), nil, nil }},
		{"SQLite", 100, false, sqlite},
		{"SQLite, hooks inside the transaction", 100, true, sqlite},
	}
}

// tally counts what the sequences of a target met.
type tally struct {
	actions            [actions]atomic.Int64
	modes              [modes]atomic.Int64
	sequences, records atomic.Int64
	charges, hooks     atomic.Int64
}

func (c *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d sequences, %d sign-ups, %d hook calls, %d charges;", c.sequences.Load(), c.records.Load(), c.hooks.Load(), c.charges.Load())
	for a := range actions {
		fmt.Fprintf(&b, " %s %d", a, c.actions[a].Load())
	}
	b.WriteString("; broken:")
	for m := failBefore; m < modes; m++ {
		fmt.Fprintf(&b, " %s %d", m, c.modes[m].Load())
	}
	return b.String()
}

// TestAnySequenceEndsAsTheModelSays drives the whole kit against the simulated
// gateway. After every event, and in the end when everything was delivered,
// each record says what the model says, and nobody was charged who must not be.
func TestAnySequenceEndsAsTheModelSays(t *testing.T) {
	t.Parallel()
	const shards = 2 // fixed, so that a seed means the same on any machine
	seed := seeded(t)
	for _, target := range targets() {
		t.Run(target.name, func(t *testing.T) {
			t.Parallel()
			var met tally
			n := rounds(target.size)
			t.Run("sequences", func(t *testing.T) {
				for shard := range shards {
					t.Run(fmt.Sprint(shard), func(t *testing.T) {
						t.Parallel()
						for i := shard; i < n; i += shards {
							gatewaySeed := seed + uint64(i)*2 + 1
							events := sequence(rand.New(rand.NewPCG(seed, uint64(i))))
							if err := play(target, gatewaySeed, events, &met); err != nil {
								report(t, target, i, gatewaySeed, events, err)
							}
						}
					})
				}
			})
			t.Log(&met)
			if n >= 500 {
				for m := failBefore; m < modes; m++ {
					require.NotZero(t, met.modes[m].Load(), "%s never happened", m)
				}
			}
		})
	}
}

// report leaves out events for as long as the rest still fails, and prints it.
func report(t *testing.T, target target, i int, gatewaySeed uint64, events []event, err error) {
	t.Helper()
	events, err = shrink(target, gatewaySeed, events, err)
	var b strings.Builder
	for _, e := range events {
		fmt.Fprintf(&b, "\n\t%s,", e)
	}
	t.Fatalf("sequence %d, gateway's seed %d: %v%s", i, gatewaySeed, err, &b)
}

func shrink(target target, gatewaySeed uint64, events []event, err error) ([]event, error) {
	simpler := func(candidate []event) bool {
		failed := play(target, gatewaySeed, candidate, &tally{})
		if failed != nil {
			events, err = candidate, failed
		}
		return failed != nil
	}
	for again := true; again; {
		again = false
		for i := len(events) - 1; i >= 0; i-- {
			again = simpler(slices.Delete(slices.Clone(events), i, i+1)) || again
		}
	}
	for i := range events {
		for _, plain := range []func(*event){
			func(e *event) { e.wire = gatewaytest.Fault{} },
			func(e *event) { e.shop = breakage{} },
			func(e *event) { e.n, e.later = 0, 0 },
		} {
			candidate := slices.Clone(events)
			plain(&candidate[i])
			if candidate[i] != events[i] {
				simpler(candidate)
			}
		}
	}
	return events, err
}
