package hostiletest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/sqlstore"
)

const senders = 50

// copiesOfEach is how many copies a sender delivers: as many as the schedule
// has attempts, fewer under the race detector.
func copiesOfEach() int { return min(13, max(2, rounds(13))) }

func allCopies() int64 { return int64(senders * copiesOfEach()) }

// shops are processes of one merchant on one store.
type shops struct {
	kits      []*codegrant.Kit
	processes []*process
	store     codegrant.TokenStore
	db        *sql.DB
	hook      func(ctx context.Context, c codegrant.Change) error
	calls     atomic.Int64 // of the hook
	completed atomic.Int64 // calls that returned nil
}

// openShops opens one store, and as many stores on one database as there are
// processes.
func openShops(t *testing.T, client *codegrant.Client, kind string, n int) *shops {
	s := &shops{store: memstore.New()}
	if kind != "memstore" {
		var err error
		s.db, err = sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "tokens.db")+
			"?_pragma=journal_mode(wal)&_pragma=synchronous(off)&_pragma=busy_timeout(20000)")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, s.db.Close()) })
		_, err = s.db.Exec("CREATE TABLE effects (id TEXT, status INTEGER)")
		require.NoError(t, err)
	}
	for range n {
		if s.db != nil {
			store, err := sqlstore.New(s.db, sqlstore.SQLite, sqlstore.Options{AllowPlaintext: true, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			require.NoError(t, store.Migrate(t.Context()))
			s.store = store
		}
		s.processes = append(s.processes, &process{})
		s.kits = append(s.kits, nil)
		s.start(t, client, len(s.kits)-1)
	}
	return s
}

// start starts a process, or starts it again.
func (s *shops) start(t *testing.T, client *codegrant.Client, i int) {
	p := s.processes[i]
	p.revive()
	var err error
	s.kits[i], err = codegrant.New(codegrant.Config{
		Client: client, Store: frail(p, s.store, s.db != nil), BaseURL: baseURL,
		User: func(*http.Request) (string, error) { return "ann", nil },
		OnToken: func(ctx context.Context, c codegrant.Change) error {
			err := p.call("hook", func() error {
				s.calls.Add(1)
				if tx, ok := sqlstore.Tx(ctx); ok {
					if _, err := tx.ExecContext(ctx, "INSERT INTO effects VALUES (?, ?)", c.Token.ID, int(c.Token.Status)); err != nil {
						return err
					}
				}
				if s.hook != nil {
					return s.hook(ctx, c)
				}
				return nil
			})
			if err == nil {
				s.completed.Add(1)
			}
			return err
		},
		Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute,
	})
	require.NoError(t, err)
}

// pour delivers every copy, the senders all at once, and returns how many were
// accepted. An error other than those that were provoked fails the test.
func (s *shops) pour(t *testing.T, m message, expected ...error) int64 {
	var accepted atomic.Int64
	var running sync.WaitGroup
	begin := make(chan struct{})
	for i := range senders {
		running.Go(func() {
			<-begin
			for range copiesOfEach() {
				err := s.kits[i%len(s.kits)].Apply(context.Background(), m.body, m.path)
				if err == nil {
					accepted.Add(1)
				} else if !anyOf(err, expected) {
					t.Errorf("%s: %v", m.name, err)
				}
			}
		})
	}
	close(begin)
	running.Wait()
	return accepted.Load()
}

func anyOf(err error, targets []error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// effects is how many rows the hook's writes left.
func (s *shops) effects(t *testing.T) int {
	var n int
	require.NoError(t, s.db.QueryRow("SELECT COUNT(*) FROM effects").Scan(&n))
	return n
}

// TestCopiesThatArriveAtOnce delivers thirteen copies by each of fifty senders,
// on memstore and on SQLite with the hook inside the transaction. By default it
// leaves out half of the cases on SQLite; -times 2 takes all.
func TestCopiesThatArriveAtOnce(t *testing.T) {
	t.Parallel()
	seed := seeded(t)
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	t.Cleanup(gateway.Close)
	client := gateway.Client()
	for _, store := range []string{"memstore", "SQLite"} {
		for _, processes := range []int{1, 2} {
			for i, kind := range []struct {
				name  string
				write func(*postman) message
				after codegrant.Status // what the record says before
				want  codegrant.Status
			}{
				{"success", func(p *postman) message { return p.bind(1) }, codegrant.StatusPending, codegrant.StatusActive},
				{"failure", func(p *postman) message { return p.failed(1) }, codegrant.StatusPending, codegrant.StatusFailed},
				{"unbinding by the user", func(p *postman) message { return p.unbind(1) }, codegrant.StatusActive, codegrant.StatusUnbound},
				{"unbinding by the merchant", func(p *postman) message { return p.unbindByUs(1) }, codegrant.StatusUnbinding, codegrant.StatusUnbound},
			} {
				if store == "SQLite" && i%2 == processes-1 && *timesFlag == 1 {
					continue // it is slow
				}
				t.Run(fmt.Sprintf("%s, %d processes, %s", store, processes, kind.name), func(t *testing.T) {
					t.Parallel()
					p := &postman{gateway: gateway}
					trial := copiesTrial{client, store, processes, kind.write(p), kind.after, kind.want}
					random := rand.New(rand.NewPCG(seed, uint64(i)))
					for range rounds(1) {
						trial.hookSucceeds(t)
						trial.crashes(t, random)
						trial.hookFails(t, random)
					}
				})
			}
		}
	}
}

type copiesTrial struct {
	client      *codegrant.Client
	store       string
	processes   int
	message     message
	after, want codegrant.Status
}

// open returns shops with a record that is what it is before the message.
func (c copiesTrial) open(t *testing.T) *shops {
	s := openShops(t, c.client, c.store, c.processes)
	now := time.Now().UTC().Truncate(time.Microsecond)
	record := codegrant.Token{
		ID: "RECORD-1", AccountID: gatewaytest.DefaultAccountID, UserID: "ann", Wallet: codegrant.GCash,
		Status: c.after, Handled: c.after, Revision: 1, CreatedAt: now, UpdatedAt: now,
	}
	if c.after >= codegrant.StatusActive {
		record.Value = codegrant.NewSecret(fullToken(1))
		record.Fingerprint = codegrant.Fingerprint(record.Value)
	}
	if c.after != codegrant.StatusActive {
		record.UnsettledSince = now
	}
	require.NoError(t, s.store.Save(t.Context(), record))
	return s
}

// judge wants one transition, and a hook that heard it.
func (c copiesTrial) judge(t *testing.T, s *shops) {
	t.Helper()
	got, err := s.store.Get(t.Context(), "RECORD-1")
	require.NoError(t, err)
	require.Equal(t, c.want, got.Status)
	require.Equal(t, c.want, got.Handled)
	require.True(t, got.UnsettledSince.IsZero())
	if s.db != nil {
		require.EqualValues(t, 2, got.Revision, "status and hook in one save")
		require.Equal(t, 1, s.effects(t))
	} else {
		require.EqualValues(t, 3, got.Revision, "one save for the status, one for the hook")
	}
}

func (c copiesTrial) hookSucceeds(t *testing.T) {
	s := c.open(t)
	require.Equal(t, allCopies(), s.pour(t, c.message))
	c.judge(t, s)
	if c.processes == 1 || s.db != nil {
		require.EqualValues(t, 1, s.calls.Load(), "one process never runs the hook twice")
	}
	require.Positive(t, s.completed.Load())
}

// moment is where a process ends, and how often the hook is called in all if no
// other process helps.
type moment struct {
	breakage breakage
	calls    int64
}

// crashes ends the first process within the transition, starts it again, and
// lets every copy come once more. By default it takes one moment; -times takes
// more.
func (c copiesTrial) crashes(t *testing.T, random *rand.Rand) {
	moments := []moment{
		{breakage{dieAfter, "Save", 0}, 1},  // between save and hook
		{breakage{dieBefore, "hook", 0}, 1}, // the same
		{breakage{dieAfter, "hook", 0}, 2},  // the hook has run, and nobody knows
		{breakage{dieBefore, "Save", 1}, 2}, // the same
		{breakage{dieAfter, "Save", 1}, 1},  // all is done, and the answer is lost
	}
	if c.store != "memstore" {
		moments = []moment{
			{breakage{dieBefore, "hook", 0}, 1},
			{breakage{dieAfter, "hook", 0}, 2}, // what it wrote is rolled back
			{breakage{dieAfter, "Save", 0}, 2},
			{breakage{dieBefore, "commit", 0}, 2},
			{breakage{dieAfter, "InTx", 0}, 1}, // all is done, and the answer is lost
		}
	}
	random.Shuffle(len(moments), func(i, j int) { moments[i], moments[j] = moments[j], moments[i] })
	for _, moment := range moments[:min(len(moments), max(1, *timesFlag))] {
		s := c.open(t)
		s.processes[0].begin(moment.breakage)
		s.pour(t, c.message, errBroken, errDead)
		_, died := s.processes[0].state()
		s.start(t, c.client, 0)
		s.processes[0].begin(breakage{})
		require.Equal(t, allCopies(), s.pour(t, c.message))
		c.judge(t, s)
		require.Positive(t, s.calls.Load(), "%v", moment)
		if c.processes == 1 {
			require.True(t, died, "%v", moment)
			require.Equal(t, moment.calls, s.calls.Load(), "%v", moment)
		}
	}
}

// hookFails lets three of ten calls fail.
func (c copiesTrial) hookFails(t *testing.T, random *rand.Rand) {
	s := c.open(t)
	var mu sync.Mutex
	var failed int64
	s.hook = func(context.Context, codegrant.Change) error {
		mu.Lock()
		defer mu.Unlock()
		if random.Float64() < 0.3 {
			failed++
			return errBroken
		}
		return nil
	}
	accepted := s.pour(t, c.message, errBroken)
	c.judge(t, s)
	require.Equal(t, allCopies()-accepted, failed, "a copy is refused if and only if its own call of the hook failed")
	require.Equal(t, s.calls.Load(), failed+s.completed.Load())
	if c.processes == 1 || s.db != nil {
		require.EqualValues(t, 1, s.completed.Load())
	}
}

// TestAnotherProcessOvertakesTheHook: while the hook hears of a success, another
// process ends the record, and its own hook fails. What the first one accepted
// is the success and no more.
func TestAnotherProcessOvertakesTheHook(t *testing.T) {
	t.Parallel()
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	t.Cleanup(gateway.Close)
	p := &postman{gateway: gateway}
	bind, unbind := p.bind(1), p.unbind(1)
	trial := copiesTrial{gateway.Client(), "memstore", 2, bind, codegrant.StatusPending, codegrant.StatusUnbound}
	s := trial.open(t)
	var heard []codegrant.Status
	failing := true
	s.hook = func(ctx context.Context, c codegrant.Change) error {
		heard = append(heard, c.Token.Status)
		if c.Token.Status == codegrant.StatusActive {
			if err := s.kits[1].Apply(ctx, unbind.body, unbind.path); !errors.Is(err, codegrant.ErrHook) {
				t.Errorf("the other process answered %v", err)
			}
			return nil
		}
		if failing {
			return errBroken
		}
		return nil
	}
	err := s.kits[0].Apply(t.Context(), bind.body, bind.path)
	got, getErr := s.store.Get(t.Context(), "RECORD-1")
	require.NoError(t, getErr)
	require.Equal(t, codegrant.StatusUnbound, got.Status)
	require.Equal(t, codegrant.StatusActive, got.Handled)
	require.ErrorIs(t, err, codegrant.ErrHook, "the newest status is owed to this one too")

	failing = false
	require.NoError(t, s.kits[1].Apply(t.Context(), unbind.body, unbind.path))
	got, getErr = s.store.Get(t.Context(), "RECORD-1")
	require.NoError(t, getErr)
	require.Equal(t, codegrant.StatusUnbound, got.Handled)
	require.Equal(t, codegrant.StatusUnbound, heard[len(heard)-1])
}
