package codegrant

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// retrySpan is how long the gateway goes on delivering one notification.
// PingPong v4, Asynchronous Notification: twelve retries, from 5 s to 3 h.
const retrySpan = 12*time.Hour + 3*time.Minute + 10*time.Second

// longestWait is the longest that Reconcile leaves an unsettled record alone:
// the longest interval of the gateway's own schedule.
const longestWait = 3 * time.Hour

// unansweredInARow is after how many calls without a valid answer a sweep makes
// no more of the same kind.
const unansweredInARow = 3

// ReconcileConfig tunes [Kit.Reconcile] and [Kit.Run], or those of [Accounts]. The zero value has the
// defaults.
type ReconcileConfig struct {
	// Every is the pause between two sweeps of Run, a quarter more or less by
	// chance. Zero means 1 min.
	Every time.Duration
	// After is how long a record waits by itself, for its notification or for
	// the gateway to deliver again, before a sweep looks at it. It is looked at
	// again after as long as it has waited, at most 3 h. Zero means 1 min.
	After time.Duration
	// GiveUpAfter is when a sign-up of which the gateway knows no success is
	// failed, so that nobody asks for ever about users who turned back. A success
	// that comes later still counts. Zero means 24 h 06 min 20 s, twice the
	// gateway's retry span.
	GiveUpAfter time.Duration
	// Limit is how many sign-ups, and how many orders, one sweep looks at. Zero
	// means 1,000.
	Limit int
	// Concurrency is how many it looks at at once. Zero means 4.
	Concurrency int
	// Rate is how many calls a second it makes of the gateway, whose own limit
	// is UNKNOWN. Zero means 10.
	Rate int
}

func (c ReconcileConfig) withDefaults() ReconcileConfig {
	setDefault(&c.Every, time.Minute)
	setDefault(&c.After, time.Minute)
	setDefault(&c.GiveUpAfter, 2*retrySpan)
	setDefault(&c.Limit, 1000)
	setDefault(&c.Concurrency, 4)
	setDefault(&c.Rate, 10)
	return c
}

func (c ReconcileConfig) problems() []string {
	var p []string
	for _, d := range []struct {
		name string
		d    time.Duration
	}{{"Every", c.Every}, {"After", c.After}, {"GiveUpAfter", c.GiveUpAfter}} {
		if text := durationProblem(d.d); text != "" {
			p = append(p, "Reconcile."+d.name+" "+text)
		}
	}
	if c.Limit < 0 || c.Concurrency < 0 || c.Rate < 0 {
		p = append(p, "Reconcile must not have a negative Limit, Concurrency or Rate")
	}
	return p
}

// Sweep is what one [Kit.Reconcile] or [Accounts.Reconcile] did.
type Sweep struct {
	Looked  int // sign-ups and orders that it looked at; other processes may have taken some
	Settled int // of those, how many wait for nothing any more
	Failed  int // of those, how many failed: logged, and looked at again later

	// More: there were more records than the limit. Sweep again at once.
	More bool
	// BackOff: the gateway answered 429 or 5xx, or not at all. What needs it was
	// put off; leave it alone for a while.
	BackOff bool
}

// Reconcile heals what notifications alone do not. It is one bounded sweep over
// the records that wait: sign-ups whose notification was lost, hooks that are
// owed, unbindings whose outcome is unknown, tokens that a charge found dead and,
// with [Config.Payments], charges and refunds that are pending or that a crash
// cut in two. Each is asked about by a signed query, and the answer goes the way of a
// notification.
//
// Any number of processes may sweep at once: a record is claimed in the store
// before it is looked at, so that one of them asks about it. Cancelling ctx ends
// the sweep between two records, and the next one goes on with the rest. The
// error is that of listing the records, or of ctx; those of single records are
// logged and counted.
//
// Where [Endpoints.SignUpQuery] is switched off, sign-ups are asked about by the
// older list if [Config.QueryByList] allows it. Otherwise they are not, which
// is logged once, and all the rest is settled.
//
// The records of other accounts are left alone. Where several accounts share
// one store, use [Accounts.Reconcile] instead: this one reads past the others'
// records each time.
func (k *Kit) Reconcile(ctx context.Context) (Sweep, error) {
	return k.reconcile(ctx, func(_ context.Context, accountID string) (*Kit, error) {
		if accountID != k.client.account.ID {
			return nil, ErrNotFound
		}
		return k, nil
	})
}

// reconcile sweeps over the records of the accounts that kitOf finds; those for
// which it answers ErrNotFound are left alone. k's own settings count, and each
// record is settled by its own Kit.
func (k *Kit) reconcile(ctx context.Context, kitOf kitFinder) (Sweep, error) {
	return observed(ctx, k, OperationSweep, "reconcile", func(ctx context.Context) (Sweep, error) {
		sweep, err := k.sweepOnce(ctx, kitOf)
		k.noteSweep(ctx, "reconcile", sweep)
		return sweep, err
	})
}

func (k *Kit) sweepOnce(ctx context.Context, kitOf kitFinder) (Sweep, error) {
	const op = "reconcile"
	cfg := k.cfg.Reconcile
	s := sweeper{
		kit: k, kitOf: kitOf, kits: map[string]foundKit{}, pace: pace{interval: time.Second / time.Duration(cfg.Rate)},
		backOff: map[string]bool{}, unanswered: map[line]int{},
	}
	tasks, err := listTasks(ctx, &s, k.unsettled,
		func(t Token) string { return t.AccountID },
		func(k *Kit, t Token) task { return k.tokenTask(cfg, t) })
	payments, paymentsErr := listTasks(ctx, &s, k.unsettledPayments,
		func(p Payment) string { return p.AccountID },
		func(k *Kit, p Payment) task { return k.paymentTask(cfg, p) })
	tasks, err = append(tasks, payments...), errors.Join(err, paymentsErr)
	// Several processes that list the same records meet at different ones.
	rand.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] }) //nolint:gosec // G404: guards nothing
	// Hooks first, then what the merchant asked for: a gateway whose query does
	// not work holds up neither.
	slices.SortStableFunc(tasks, func(a, b task) int { return int(a.work) - int(b.work) })
	var group errgroup.Group
	group.SetLimit(cfg.Concurrency)
	for _, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { s.look(ctx, t); return nil })
	}
	_ = group.Wait()
	if err == nil && ctx.Err() != nil {
		err = wrap(op, ErrDeadline, ctx.Err())
	}
	return s.sweep, err
}

// Run calls [Kit.Reconcile] again and again until ctx ends, and returns its
// error. One goroutine of every process may run it.
func (k *Kit) Run(ctx context.Context) error { return k.run(ctx, k.Reconcile) }

func (k *Kit) run(ctx context.Context, reconcile func(context.Context) (Sweep, error)) error {
	every := k.cfg.Reconcile.Every
	pause := every
	for {
		sweep, err := reconcile(ctx)
		if err != nil && ctx.Err() == nil {
			k.reject(ctx, "reconcile", err)
		}
		switch {
		case err != nil || sweep.BackOff:
			pause = min(2*max(pause, every), 16*every)
		case sweep.More:
			pause = every / 16
		default:
			pause = every
		}
		jittered := pause*3/4 + rand.N(pause/2+1) //nolint:gosec // G404: spreads processes, guards nothing
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(jittered):
		}
	}
}

// work is what an unsettled record waits for, in the order of a sweep.
type work int

const (
	workHook    work = iota // the merchant's hook
	workUnbind              // an unbinding
	workPayment             // a charge or a refund
	workQuery               // what became of a sign-up, or of a token in doubt
)

// task is one record to look at. takeUp claims and settles it, leaving the
// gateway alone unless ask; errTaken says that another process has it.
type task struct {
	kit    *Kit
	work   work
	about  slog.Attr
	takeUp func(ctx context.Context, ask bool) (settled bool, err error)
}

// errTaken: another process, or news, was faster.
var errTaken = errors.New("codegrant: taken up by another")

// kitFinder returns the Kit of an account, or an error that matches ErrNotFound.
type kitFinder func(ctx context.Context, accountID string) (*Kit, error)

// foundKit is what a kitFinder said.
type foundKit struct {
	kit *Kit
	err error
}

// line is a kind of call to whom it goes: a gateway or, there, an account.
type line struct {
	to   string
	work work
}

// sweeper is one sweep under way. Its kit lists the records.
type sweeper struct {
	kit   *Kit
	kitOf kitFinder
	kits  map[string]foundKit // by account
	pace  pace

	mu         sync.Mutex
	sweep      Sweep
	backOff    map[string]bool // by gateway
	unanswered map[line]int    // calls in a row
}

// find asks kitOf once in a sweep, and logs its failure.
func (s *sweeper) find(ctx context.Context, accountID string) foundKit {
	f, known := s.kits[accountID]
	if known {
		return f
	}
	f.kit, f.err = s.kitOf(ctx, accountID)
	s.kits[accountID] = f
	if f.err != nil && !errors.Is(f.err, ErrNotFound) {
		s.kit.reject(ctx, "reconcile", f.err, slog.String("account", clip(accountID, 64)))
	}
	return f
}

// listTasks returns what the sweep has to do for records of one kind. It reads
// on past those of other accounts, so that these do not hide its own however
// many they are.
func listTasks[R any](ctx context.Context, s *sweeper, list func(context.Context, int) ([]R, error),
	account func(R) string, makeTask func(*Kit, R) task,
) ([]task, error) {
	most := s.kit.cfg.Reconcile.Limit
	for limit := most; ; limit *= 4 {
		page, err := list(ctx, limit)
		tasks := make([]task, 0, min(len(page), most))
		failed := 0
		for _, r := range page {
			if ctx.Err() != nil || len(tasks) == most {
				break
			}
			switch f := s.find(ctx, account(r)); {
			case f.err == nil:
				tasks = append(tasks, makeTask(f.kit, r))
			case !errors.Is(f.err, ErrNotFound):
				failed++
			}
		}
		if err != nil || ctx.Err() != nil || len(page) < limit || len(tasks) == most {
			s.sweep.Looked += failed
			s.sweep.Failed += failed
			s.sweep.More = s.sweep.More || len(tasks) == most
			return tasks, err
		}
	}
}

// look settles one record if no other process does.
func (s *sweeper) look(ctx context.Context, t task) {
	asks := t.work != workHook && s.mayAsk(t)
	if asks && s.pace.wait(ctx) != nil {
		return // not claimed: the next sweep takes it
	}
	settled, err := takeUp(ctx, t, asks)
	if errors.Is(err, errTaken) {
		return
	}
	if err != nil {
		s.kit.reject(ctx, "reconcile", err, t.about)
	}
	s.count(t, asks, settled, err)
}

func takeUp(ctx context.Context, t task, ask bool) (settled bool, err error) {
	defer survive("reconcile", &err)
	return t.takeUp(ctx, ask)
}

func (s *sweeper) mayAsk(t task) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.backOff[t.kit.client.endpoints.Host] && s.unanswered[line{t.kit.client.account.ID, t.work}] < unansweredInARow
}

func (s *sweeper) count(t task, asked, settled bool, err error) {
	gateway := t.kit.client.endpoints.Host
	ofGateway, ofAccount := line{gateway, t.work}, line{t.kit.client.account.ID, t.work}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep.Looked++
	switch {
	case err != nil:
		s.sweep.Failed++
	case settled:
		s.sweep.Settled++
	}
	if !asked {
		return
	}
	var answer *GatewayError
	switch {
	case errors.As(err, &answer) && (answer.HTTPStatus == http.StatusTooManyRequests || answer.HTTPStatus >= 500):
		s.backOff[gateway] = true
	case errors.Is(err, ErrOutcomeUnknown), errors.Is(err, ErrUnreachable), errors.Is(err, ErrDeadline):
		s.unanswered[ofAccount]++
		// Where something answers, if only with a page, the guessed path of one
		// interface or one account's salt may be wrong while the others work.
		if answer == nil {
			s.unanswered[ofGateway]++
		}
		if s.unanswered[ofGateway] >= unansweredInARow {
			s.backOff[gateway] = true
		}
	default:
		s.unanswered[ofAccount], s.unanswered[ofGateway] = 0, 0
	}
	s.sweep.BackOff = len(s.backOff) > 0
}

// pace spreads calls evenly. It is safe for concurrent use.
type pace struct {
	interval time.Duration

	mu   sync.Mutex
	next time.Time
}

// wait returns when the caller's turn has come, or ctx's error.
func (p *pace) wait(ctx context.Context) error {
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	turn := p.next
	p.next = p.next.Add(p.interval)
	p.mu.Unlock()
	timer := time.NewTimer(turn.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
