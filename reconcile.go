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

// ReconcileConfig tunes [Kit.Reconcile] and [Kit.Run]. The zero value has the
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

// Sweep is what one [Kit.Reconcile] did.
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
func (k *Kit) Reconcile(ctx context.Context) (Sweep, error) {
	const op = "reconcile"
	cfg := k.cfg.Reconcile
	tokens, err := k.unsettled(ctx)
	payments, paymentsErr := k.unsettledPayments(ctx)
	err = errors.Join(err, paymentsErr)
	tasks := make([]task, 0, len(tokens)+len(payments))
	for _, t := range tokens {
		tasks = append(tasks, k.tokenTask(t))
	}
	for _, p := range payments {
		tasks = append(tasks, k.paymentTask(p))
	}
	s := sweeper{
		kit: k, pace: pace{interval: time.Second / time.Duration(cfg.Rate)},
		sweep: Sweep{More: max(len(tokens), len(payments)) >= cfg.Limit},
	}
	// Several processes that list the same records meet at different ones.
	rand.Shuffle(len(tasks), func(i, j int) { tasks[i], tasks[j] = tasks[j], tasks[i] })
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
	k.note(ctx, op, "sweep", slog.Int("looked", s.sweep.Looked), slog.Int("settled", s.sweep.Settled),
		slog.Int("failed", s.sweep.Failed), slog.Bool("backOff", s.sweep.BackOff))
	return s.sweep, err
}

// Run calls [Kit.Reconcile] again and again until ctx ends, and returns its
// error. One goroutine of every process may run it.
func (k *Kit) Run(ctx context.Context) error {
	every := k.cfg.Reconcile.Every
	pause := every
	for {
		sweep, err := k.Reconcile(ctx)
		if err != nil && ctx.Err() == nil {
			k.reject(ctx, "reconcile", err)
		}
		switch {
		case err != nil || sweep.BackOff:
			pause = min(2*pause, 16*every)
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
	works
)

// task is one record to look at. takeUp claims and settles it, leaving the
// gateway alone unless ask; errTaken says that another process has it.
type task struct {
	work   work
	about  slog.Attr
	takeUp func(ctx context.Context, ask bool) (settled bool, err error)
}

// errTaken: another process, or news, was faster.
var errTaken = errors.New("codegrant: taken up by another")

// sweeper is one sweep under way.
type sweeper struct {
	kit  *Kit
	pace pace

	mu         sync.Mutex
	sweep      Sweep
	unanswered [works]int // calls in a row
}

// look settles one record if no other process does.
func (s *sweeper) look(ctx context.Context, t task) {
	asks := t.work != workHook && s.mayAsk(t.work)
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
	s.count(t.work, asks, settled, err)
}

func takeUp(ctx context.Context, t task, ask bool) (settled bool, err error) {
	defer survive("reconcile", &err)
	return t.takeUp(ctx, ask)
}

func (s *sweeper) mayAsk(w work) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.sweep.BackOff && s.unanswered[w] < unansweredInARow
}

func (s *sweeper) count(w work, asked, settled bool, err error) {
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
		s.sweep.BackOff = true
	case errors.Is(err, ErrOutcomeUnknown), errors.Is(err, ErrUnreachable), errors.Is(err, ErrDeadline):
		s.unanswered[w]++
		// Something answers, if only with a page: the guessed path of one
		// interface may be wrong while the others work.
		if answer == nil && s.unanswered[w] >= unansweredInARow {
			s.sweep.BackOff = true
		}
	default:
		s.unanswered[w] = 0
	}
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
