package hostiletest

import (
	"bytes"
	"container/heap"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// What the network loses besides any outage.
const (
	lostRequests = 0.2
	lostAnswers  = 0.1
)

// trouble is how the merchant is out of order.
type trouble int

const (
	storeDown trouble = iota // the kit answers 503
	refusing                 // nobody listens
	hanging                  // no answer, until the sender or the kit gives up
	troubles
)

func (k trouble) String() string { return [...]string{"store down", "refusing", "hanging"}[k] }

// outage is a time in which nothing can be accepted.
type outage struct {
	trouble trouble
	from    time.Time
	length  time.Duration
}

func (o outage) at(now time.Time) bool {
	return !now.Before(o.from) && now.Before(o.from.Add(o.length))
}

// lengths of outages; the schedule lasts 12 h 3 min 10 s.
var lengths = []time.Duration{
	time.Second, 30 * time.Second, 5 * time.Minute, time.Hour, 3 * time.Hour, 6 * time.Hour, 9 * time.Hour, 12 * time.Hour,
}

// points are when the attempts are due if each fails at once.
func points() []time.Duration {
	due := []time.Duration{0}
	for _, wait := range gatewaytest.RetrySchedule() {
		due = append(due, due[len(due)-1]+wait)
	}
	return due
}

// jumping returns a clock that stands up to 36 hours wrong, and every ten
// minutes in another way.
func jumping(seed uint64, now func() time.Time) func() time.Time {
	return func() time.Time {
		t := now()
		wrong := rand.NewPCG(seed, uint64(t.Unix()/600)).Uint64() % uint64(72*time.Hour)
		return t.Add(time.Duration(wrong) - 36*time.Hour)
	}
}

// parcel is a notification and what became of it.
type parcel struct {
	id, path string
	body     []byte
	fact     fact
	start    time.Duration // of the first attempt
	attempts int
	reached  int // attempts that came to the kit
	accepted int // attempts that it took
}

// write makes the notifications of n users: a success or, for some, a failure
// before it, and for half of them an unbinding within six hours.
func parcels(gateway *gatewaytest.Gateway, random *rand.Rand, n int) []*parcel {
	var list []*parcel
	add := func(user int, kind string, f fact, start time.Duration, status string) {
		id := fmt.Sprint("RECORD-", user)
		body := gateway.SignedBody(fmt.Sprintf(
			`{"notifyType":%q,"requestId":%q,"merchantUserId":"user-%d"%s}`, kind, id, user, status), nil)
		list = append(list, &parcel{id: id, path: "/notify/" + id, body: body, fact: f, start: start})
	}
	for user := range n {
		token := fmt.Sprintf(`,"token":%q`, userToken(user))
		if random.IntN(4) == 0 {
			add(user, created, refused, 0, `,"status":"FAILED"`)
		}
		add(user, created, agreed, 0, token)
		later := time.Duration(random.Int64N(int64(6 * time.Hour)))
		switch random.IntN(4) {
		case 0:
			add(user, endedByUser, endedInWallet, later, token)
		case 1:
			add(user, endedByUs, endedAtMerchant, later, token)
		}
	}
	return list
}

func userToken(user int) string { return strings.Repeat(fmt.Sprintf("%016x", user), 4) }

// storm is one outage, a kit, and the notifications that meet it.
type storm struct {
	outage  outage
	parcels []*parcel
	users   int
	random  *rand.Rand
	store   *memstore.Store
	handler http.Handler
	now     func() time.Time
	until   func(time.Time) // waits until then
	heard   [][]codegrant.Status
}

func newStorm(t testing.TB, client *codegrant.Client, list []*parcel, users int, seed uint64, now func() time.Time, until func(time.Time)) *storm {
	s := &storm{
		parcels: list, users: users, random: rand.New(rand.NewPCG(seed, 1)),
		store: memstore.New(), now: now, until: until, heard: make([][]codegrant.Status, users),
	}
	kit, err := codegrant.New(codegrant.Config{
		Client: client, BaseURL: baseURL, Logger: slog.New(slog.DiscardHandler), Now: jumping(seed, now),
		Store: &watchedStore{TokenStore: s.store, before: func(context.Context, string) error {
			if s.outage.at(s.now()) {
				return errBroken
			}
			return nil
		}},
		User: func(*http.Request) (string, error) { return "", nil },
		OnToken: func(_ context.Context, c codegrant.Change) error {
			var user int
			if _, err := fmt.Sscanf(c.Token.ID, "RECORD-%d", &user); err != nil {
				return err
			}
			s.heard[user] = append(s.heard[user], c.Token.Status)
			return nil
		},
	})
	require.NoError(t, err)
	s.handler = kit.Notify()
	for user := range users {
		began := now().UTC()
		require.NoError(t, s.store.Save(t.Context(), codegrant.Token{
			ID: fmt.Sprint("RECORD-", user), AccountID: gatewaytest.DefaultAccountID, UserID: fmt.Sprint("user-", user),
			Status: codegrant.StatusPending, Handled: codegrant.StatusPending, Revision: 1,
			CreatedAt: began, UpdatedAt: began, UnsettledSince: began,
		}))
	}
	return s
}

// plainAnswer is a ResponseWriter that keeps what matters to a sender.
type plainAnswer struct {
	header http.Header
	code   int
}

func (a *plainAnswer) Header() http.Header         { return a.header }
func (a *plainAnswer) WriteHeader(code int)        { a.code = code }
func (a *plainAnswer) Write(p []byte) (int, error) { return len(p), nil }

// SetReadDeadline is there as on any real connection.
func (a *plainAnswer) SetReadDeadline(time.Time) error { return nil }

// knock makes one attempt. It reports whether the sender is content, and how
// long the attempt took.
func (s *storm) knock(p *parcel) (content bool, took time.Duration) {
	p.attempts++
	if s.random.Float64() < lostRequests {
		return false, 0
	}
	if s.outage.trouble != storeDown && s.outage.at(s.now()) {
		if s.outage.trouble == hanging {
			return false, 10 * time.Second // the sender's patience
		}
		return false, 0
	}
	p.reached++
	a := plainAnswer{header: http.Header{}}
	s.handler.ServeHTTP(&a, &http.Request{
		Method: http.MethodPost, URL: &url.URL{Path: p.path},
		Body: io.NopCloser(bytes.NewReader(p.body)), ContentLength: int64(len(p.body)),
	})
	if a.code != http.StatusOK {
		return false, 0
	}
	p.accepted++
	return s.random.Float64() >= lostAnswers, 0
}

// run delivers everything on the documented schedule.
func (s *storm) run() {
	began := s.now()
	schedule := gatewaytest.RetrySchedule()
	due := make(timeline, len(s.parcels))
	for i, p := range s.parcels {
		due[i] = appointment{began.Add(p.start), i}
	}
	heap.Init(&due)
	for len(due) > 0 {
		next := due[0]
		s.until(next.at)
		p := s.parcels[next.parcel]
		content, took := s.knock(p)
		if content || p.attempts > len(schedule) {
			heap.Pop(&due)
			continue
		}
		due[0].at = next.at.Add(took + schedule[p.attempts-1])
		heap.Fix(&due, 0)
	}
}

// judge compares the records with the model, which knows only what was
// accepted, and returns how many notifications never were.
func (s *storm) judge() (missing int, err error) {
	facts := make(map[string]fact, s.users)
	for _, p := range s.parcels {
		switch {
		case p.accepted > 0:
			facts[p.id] |= p.fact
		case p.attempts != 1+len(gatewaytest.RetrySchedule()):
			return 0, fmt.Errorf("%s was given up after %d attempts", p.id, p.attempts)
		default:
			missing++
		}
	}
	for user := range s.users {
		t, err := s.store.Get(context.Background(), fmt.Sprint("RECORD-", user))
		if err != nil {
			return 0, err
		}
		want := believe(facts[t.ID], userToken(user))
		if got := (belief{t.Status, t.EndedBy, t.Value.Reveal()}); got != want {
			return 0, fmt.Errorf("%s is %v, want %v", t.ID, got, want)
		}
		last, heard := codegrant.StatusPending, s.heard[user]
		for _, status := range heard {
			if status <= last {
				return 0, fmt.Errorf("%s: the hook heard %v", t.ID, heard)
			}
			last = status
		}
		// One save makes the record; each transition takes one, and its hook one.
		if last != t.Status || t.Handled != t.Status || t.Revision != int64(1+2*len(heard)) {
			return 0, fmt.Errorf("%s is %s, handled %s, saved %d times, and the hook heard %v", t.ID, t.Status, t.Handled, t.Revision, heard)
		}
	}
	return missing, nil
}

// appointment is when a parcel's next attempt is due.
type appointment struct {
	at     time.Time
	parcel int
}

// timeline is a heap of appointments.
type timeline []appointment

func (l timeline) Len() int { return len(l) }
func (l timeline) Less(i, j int) bool {
	return l[i].at.Before(l[j].at) || (l[i].at.Equal(l[j].at) && l[i].parcel < l[j].parcel)
}
func (l timeline) Swap(i, j int) { l[i], l[j] = l[j], l[i] }
func (l *timeline) Push(x any)   { *l = append(*l, x.(appointment)) }
func (l *timeline) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// TestEveryOutageOnTheSchedule lets outages of one second to twelve hours begin
// at every point of the schedule. What was accepted once is applied, and
// once; what never was is counted.
func TestEveryOutageOnTheSchedule(t *testing.T) {
	t.Parallel()
	seed, users := seeded(t), rounds(10)
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	t.Cleanup(gateway.Close)
	client := gateway.Client()
	for i, length := range lengths {
		t.Run(length.String(), func(t *testing.T) {
			t.Parallel()
			var sent, attempts, reached, missing int
			var sentFirst, missingFirst int // where the outage begins with the first attempt
			var busy time.Duration
			for j, point := range points() {
				for kind := range troubles {
					seed := seed + uint64(i*1000+j*10+int(kind))
					list := parcels(gateway, rand.New(rand.NewPCG(seed, 0)), users)
					started := time.Now()
					synctest.Test(t, func(t *testing.T) {
						s := newStorm(t, client, list, users, seed, time.Now, func(at time.Time) { time.Sleep(time.Until(at)) })
						s.outage = outage{kind, time.Now().Add(point - length.Round(time.Second)/1000), length}
						s.run()
						n, err := s.judge()
						require.NoError(t, err, "%s from %s", kind, point)
						missing += n
					})
					busy += time.Since(started)
					for _, p := range list {
						sent, attempts, reached = sent+1, attempts+p.attempts, reached+p.reached
						if j == 0 && p.start == 0 {
							sentFirst++
							missingFirst += 1 - min(1, p.accepted)
						}
					}
				}
			}
			t.Logf("%d notifications, %d attempts, %d reached the kit, %d (%.2f %%) never accepted, %.2f %% of those sent when the outage began; "+
				"%.0f attempts/s, %.0f deliveries/s in each bubble",
				sent, attempts, reached, missing, percent(missing, sent), percent(missingFirst, sentFirst),
				float64(attempts)/busy.Seconds(), float64(reached)/busy.Seconds())
		})
	}
}

func percent(part, whole int) float64 { return 100 * float64(part) / float64(max(1, whole)) }

// BenchmarkSchedule is the same without a bubble, on a clock of its own: the
// real handler on memstore while the store is down for an hour, one kit for each
// processor. It reports what was simulated, and what of it came to the kit.
func BenchmarkSchedule(b *testing.B) {
	const users = 2000
	gateway := gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})
	b.Cleanup(gateway.Close)
	var attempts, reached atomic.Int64
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var storms []*storm
		for i := range runtime.GOMAXPROCS(0) {
			list := parcels(gateway, rand.New(rand.NewPCG(1, uint64(i))), users)
			clock := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
			s := newStorm(b, gateway.Client(), list, users, 1, func() time.Time { return clock }, func(at time.Time) { clock = at })
			s.outage = outage{storeDown, clock.Add(-time.Second), time.Hour}
			storms = append(storms, s)
		}
		b.StartTimer()
		var running sync.WaitGroup
		for _, s := range storms {
			running.Go(s.run)
		}
		running.Wait()
		b.StopTimer()
		for _, s := range storms {
			_, err := s.judge()
			require.NoError(b, err)
			for _, p := range s.parcels {
				attempts.Add(int64(p.attempts))
				reached.Add(int64(p.reached))
			}
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(attempts.Load())/b.Elapsed().Seconds(), "attempts/s")
	b.ReportMetric(float64(reached.Load())/b.Elapsed().Seconds(), "deliveries/s")
}
