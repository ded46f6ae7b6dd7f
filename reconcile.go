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
	// Limit is how many records one sweep looks at. Zero means 1,000.
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
	if c.Every < 0 || c.After < 0 || c.GiveUpAfter < 0 || c.Limit < 0 || c.Concurrency < 0 || c.Rate < 0 {
		return []string{"Reconcile: no field may be negative"}
	}
	return nil
}

// Sweep is what one [Kit.Reconcile] or [Accounts.Reconcile] did.
type Sweep struct {
	Looked  int // records that it looked at; other processes may have taken some
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
// owed, unbindings whose outcome is unknown, tokens that a charge found dead.
// Each is asked about by a signed query, and the answer goes the way of a
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

// reconcile sweeps over the records for which kitOf has a Kit; those for which
// it answers ErrNotFound are somebody else's. k's own settings count, and each
// record is settled by its Kit.
func (k *Kit) reconcile(ctx context.Context, kitOf kitFinder) (Sweep, error) {
	const op = "reconcile"
	cfg := k.cfg.Reconcile
	s := sweeper{
		Kit: k, pace: pace{interval: time.Second / time.Duration(cfg.Rate)},
		backOff: map[string]bool{}, unanswered: map[line]int{},
	}
	list, listErr := s.list(ctx, kitOf)
	// Several processes that list the same records meet at different ones.
	rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] }) //nolint:gosec // G404: guards nothing
	// Hooks first, then what the merchant asked for: a gateway whose query does
	// not work holds up neither.
	slices.SortStableFunc(list, func(a, b job) int { return int(workOn(a.Token)) - int(workOn(b.Token)) })
	var group errgroup.Group
	group.SetLimit(cfg.Concurrency)
	for _, j := range list {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error { s.look(ctx, j); return nil })
	}
	_ = group.Wait()
	if listErr == nil && ctx.Err() != nil {
		listErr = wrap(op, ErrDeadline, ctx.Err())
	}
	k.note(ctx, op, "sweep", slog.Int("looked", s.sweep.Looked), slog.Int("settled", s.sweep.Settled),
		slog.Int("failed", s.sweep.Failed), slog.Bool("backOff", s.sweep.BackOff))
	return s.sweep, listErr
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
	workHook   work = iota // the merchant's hook
	workUnbind             // an unbinding
	workQuery              // what became of a sign-up, or of a token in doubt
)

func workOn(t Token) work {
	switch {
	case t.Status == StatusUnbinding:
		return workUnbind
	case t.Status == StatusPending, t.Status == StatusActive && !t.DoubtedAt.IsZero():
		return workQuery
	}
	return workHook
}

// kitFinder returns the Kit of an account, or ErrNotFound.
type kitFinder func(ctx context.Context, accountID string) (*Kit, error)

// job is a record with the Kit that settles it.
type job struct {
	Token
	kit *Kit
}

// line is a kind of call to whom it goes: a gateway or, there, an account.
type line struct {
	to   string
	work work
}

// sweeper is one sweep under way. Its Kit lists the records and has the settings.
type sweeper struct {
	*Kit
	pace pace

	mu         sync.Mutex
	sweep      Sweep
	backOff    map[string]bool // by gateway
	unanswered map[line]int    // calls in a row
}

// list returns what the sweep looks at. It reads on past the records of other
// accounts, so that these do not hide its own however many they are.
func (s *sweeper) list(ctx context.Context, kitOf kitFinder) ([]job, error) {
	type found struct {
		kit *Kit
		err error
	}
	kits := map[string]found{}
	for limit := s.cfg.Reconcile.Limit; ; limit *= 4 {
		page, err := s.unsettled(ctx, limit)
		var jobs []job
		failed := 0
		for _, t := range page {
			f, known := kits[t.AccountID]
			if !known && ctx.Err() == nil {
				f.kit, f.err = kitOf(ctx, t.AccountID)
				kits[t.AccountID] = f
				if f.err != nil && !errors.Is(f.err, ErrNotFound) {
					s.reject(ctx, "reconcile", f.err, slog.String("account", clip(t.AccountID, 64)))
				}
			}
			switch {
			case f.kit != nil:
				jobs = append(jobs, job{t, f.kit})
			case f.err != nil && !errors.Is(f.err, ErrNotFound):
				failed++
			}
		}
		if err != nil || ctx.Err() != nil || len(page) < limit || len(jobs) >= s.cfg.Reconcile.Limit {
			s.sweep = Sweep{Looked: failed, Failed: failed, More: len(jobs) >= s.cfg.Reconcile.Limit}
			return jobs[:min(len(jobs), s.cfg.Reconcile.Limit)], err
		}
	}
}

// look settles one record if no other process does.
func (s *sweeper) look(ctx context.Context, j job) {
	asks := workOn(j.Token) != workHook && s.mayAsk(j)
	if asks && s.pace.wait(ctx) != nil {
		return // not claimed: the next sweep takes it
	}
	after, err := j.kit.takeUp(ctx, s.cfg.Reconcile, j.Token, asks)
	if errors.Is(err, errTaken) {
		return
	}
	if err != nil {
		s.reject(ctx, "reconcile", err, slog.Any("token", after))
	}
	s.count(j, asks, after, err)
}

func (s *sweeper) mayAsk(j job) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.backOff[j.kit.client.endpoints.Host] && s.unanswered[line{j.AccountID, workOn(j.Token)}] < unansweredInARow
}

func (s *sweeper) count(j job, asked bool, after Token, err error) {
	gateway := j.kit.client.endpoints.Host
	ofGateway, ofAccount := line{gateway, workOn(j.Token)}, line{j.AccountID, workOn(j.Token)}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweep.Looked++
	switch {
	case err != nil:
		s.sweep.Failed++
	case after.UnsettledSince.IsZero():
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

// unsettled lists the records that wait. A sealed store returns what it could
// open beside its error.
func (k *Kit) unsettled(ctx context.Context, limit int) (list []Token, err error) {
	const op = "reconcile"
	defer survive(op, &err)
	ctx, cancel := context.WithTimeout(ctx, k.cfg.Timeout)
	defer cancel()
	list, err = k.store.Unsettled(ctx, k.now().Add(-k.cfg.Reconcile.After), limit)
	if err != nil {
		err = k.storeError(ctx, op, err)
	}
	return list, err
}

// errTaken: another process, or news, was faster.
var errTaken = errors.New("codegrant: taken up by another")

// takeUp claims t and settles it.
func (k *Kit) takeUp(ctx context.Context, cfg ReconcileConfig, t Token, ask bool) (after Token, err error) {
	after = t
	defer survive("reconcile", &err)
	claimed, err := k.claim(ctx, t, cfg.After)
	switch {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrNotFound):
		return t, errTaken
	case err != nil:
		return t, err
	}
	after = claimed
	return k.settleRecord(ctx, claimed, ask, cfg.GiveUpAfter)
}

// claim makes t this process's own for as long as t has waited: whoever lists
// the unsettled records meanwhile does not see it. What is claimed and not
// settled comes up again by itself.
func (k *Kit) claim(ctx context.Context, t Token, least time.Duration) (Token, error) {
	now := k.now()
	wait := min(max(now.Sub(t.UpdatedAt), least), longestWait)
	next := t
	next.Revision, next.UnsettledSince = t.Revision+1, now.Add(wait-least)
	ctx, cancel := k.detached(ctx)
	defer cancel()
	if err := k.store.Save(ctx, next); err != nil {
		return t, k.storeError(ctx, "reconcile", err)
	}
	return next, nil
}

// settleRecord does what t waits for. ask is false when the gateway is to be
// left alone.
func (k *Kit) settleRecord(ctx context.Context, t Token, ask bool, giveUpAfter time.Duration) (after Token, err error) {
	const op = "reconcile"
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+2*k.cfg.Timeout)
	defer cancel()
	switch workOn(t) {
	case workUnbind:
		if !ask {
			return t, nil
		}
		return k.endUnbinding(ctx, op, t)
	case workQuery:
		after = t
		if ask {
			if after, err = k.Refresh(ctx, t.ID); after.ID == "" {
				after = t
			}
		}
		if errors.Is(err, ErrDisabled) {
			k.sayBlind(ctx)
			err = nil
		}
		if after.Status != StatusPending || k.now().Sub(t.CreatedAt) < giveUpAfter {
			return after, err
		}
		return k.advance(ctx, op, after, func(t Token) (Token, bool) {
			return Transition(t, Notification{Kind: KindSignUpFailed}, k.now())
		})
	}
	return k.hearOwed(ctx, op, t)
}

// sayBlind logs once that sign-ups cannot be asked about.
func (k *Kit) sayBlind(ctx context.Context) {
	k.blind.Do(func() {
		k.log.LogAttrs(ctx, slog.LevelWarn, "codegrant: a sign-up whose notification is lost stays pending, because "+
			"Endpoints.SignUpQuery is switched off and Config.QueryByList is not set; all else is reconciled",
			slog.String("code", string(ErrDisabled)), slog.String("op", "reconcile"))
	})
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
