package hostiletest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// message is a notification that can be delivered in any place of an order.
type message struct {
	name string
	path string // record at whose URL it arrives; may be empty
	body []byte
	id   string // record that it is about
	fact fact
}

// postman writes messages. Copies of one message have different bytes, so that
// every permutation is another.
type postman struct {
	gateway *gatewaytest.Gateway
	written int
}

func (p *postman) write(name, path, id, kind string, f fact, fields string) message {
	p.written++
	biz := fmt.Sprintf(`{"notifyType":%q,"serial":%d%s}`, kind, p.written, fields)
	return message{name, path, p.gateway.SignedBody(biz, nil), id, f}
}

// fullToken is a paying token of the documented form.
func fullToken(n int) string { return strings.Repeat(fmt.Sprint(n), 64) }

func (p *postman) bind(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("bind", n), id, id, created, agreed,
		fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","token":%q`, id, fullToken(n)))
}

func (p *postman) failed(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("failed", n), id, id, created, refused,
		fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","status":"FAILED"`, id))
}

func (p *postman) unbind(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("unbind", n), id, id, endedByUser, endedInWallet,
		fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","token":%q`, id, fullToken(n)))
}

func (p *postman) unbindByUs(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("unbindByUs", n), id, id, endedByUs, endedAtMerchant,
		fmt.Sprintf(`,"requestId":%q,"merchantUserId":"ann","token":%q`, id, fullToken(n)))
}

// unbindElsewhere names the token, the unbinding's own number and no user: only
// the token tells whose it is until the bind has come.
func (p *postman) unbindElsewhere(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("unbindElsewhere", n), "", id, endedByUser, endedInWallet,
		fmt.Sprintf(`,"requestId":"UNBINDING-%d","token":%q`, n, fullToken(n)))
}

// unbindAtURL names the token alone and arrives at the record's URL.
func (p *postman) unbindAtURL(n int) message {
	id := fmt.Sprint("RECORD-", n)
	return p.write(fmt.Sprint("unbindAtURL", n), id, id, endedByUser, endedInWallet,
		fmt.Sprintf(`,"token":%q`, fullToken(n)))
}

// bindMisdirected is a success that arrives at the URL of another record.
func (p *postman) bindMisdirected(n, at int) message {
	m := p.bind(n)
	m.name, m.path = fmt.Sprintf("bind%d at %d", n, at), fmt.Sprint("RECORD-", at)
	return m
}

// order is one user's shop in which messages arrive in some order.
type order struct {
	store *memstore.Store
	kit   *codegrant.Kit
	now   time.Time
	heard map[string][]codegrant.Status
}

// permuted returns a shop with a pending sign-up for each id.
func permuted(t testing.TB, client *codegrant.Client, ids []string, change ...func(*codegrant.Config)) *order {
	o := &order{store: memstore.New(), now: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC), heard: map[string][]codegrant.Status{}}
	for _, id := range ids {
		o.now = o.now.Add(time.Minute)
		require.NoError(t, o.store.Save(t.Context(), codegrant.Token{
			ID: id, AccountID: gatewaytest.DefaultAccountID, UserID: "ann", Wallet: codegrant.GCash,
			Status: codegrant.StatusPending, Handled: codegrant.StatusPending, Revision: 1,
			CreatedAt: o.now, UpdatedAt: o.now, UnsettledSince: o.now,
		}))
	}
	config := codegrant.Config{
		Client: client, Store: o.store, BaseURL: baseURL,
		User: func(*http.Request) (string, error) { return "ann", nil },
		OnToken: func(_ context.Context, c codegrant.Change) error {
			o.heard[c.Token.ID] = append(o.heard[c.Token.ID], c.Token.Status)
			return nil
		},
		Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return o.now },
	}
	for _, c := range change {
		c(&config)
	}
	var err error
	o.kit, err = codegrant.New(config)
	require.NoError(t, err)
	return o
}

// deliver sends the messages in this order, and again, as the gateway does,
// those that were not accepted. It returns how many had to come again.
func (o *order) deliver(messages []message) (again int, err error) {
	for round := 0; len(messages) > 0; round++ {
		var refused []message
		for _, m := range messages {
			o.now = o.now.Add(time.Second)
			if failed := o.kit.Apply(context.Background(), m.body, m.path); failed != nil {
				if !errors.Is(failed, codegrant.ErrUnmatched) || round == len(gatewaytest.RetrySchedule()) {
					return again, fmt.Errorf("%s: %w", m.name, failed)
				}
				refused = append(refused, m)
			}
		}
		again += len(refused)
		messages = refused
	}
	return again, nil
}

// outcome is what must not depend on the order: the records but for their
// times, and how often they were saved.
func (o *order) outcome() ([]codegrant.Token, error) {
	list, err := o.store.ByUser(context.Background(), gatewaytest.DefaultAccountID, "ann")
	for i := range list {
		t := &list[i]
		superseded := slices.ContainsFunc(list[i+1:], func(newer codegrant.Token) bool {
			return newer.Wallet == t.Wallet && t.Wallet != "" && newer.Status >= codegrant.StatusActive
		})
		if doubted := t.Status == codegrant.StatusActive && superseded; doubted == t.DoubtedAt.IsZero() {
			return nil, fmt.Errorf("%v: superseded by a newer sign-up: %t, doubted at %v", t, superseded, t.DoubtedAt)
		}
		if waits := t.Status == codegrant.StatusPending || !t.DoubtedAt.IsZero(); t.Handled != t.Status || waits == t.UnsettledSince.IsZero() {
			return nil, fmt.Errorf("%v is not settled: handled %s", t, t.Handled)
		}
		heard := o.heard[t.ID]
		last := codegrant.StatusPending
		for _, s := range heard {
			if s <= last {
				return nil, fmt.Errorf("%v: the hook heard %v", t, heard)
			}
			last = s
		}
		if last != t.Status {
			return nil, fmt.Errorf("%v: the hook heard %v", t, heard)
		}
		t.Revision, t.CreatedAt, t.UpdatedAt, t.UnsettledSince, t.DoubtedAt = 0, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	}
	return list, err
}

// permute calls visit with every order of items, by Heap's algorithm.
func permute[T any](items []T, visit func([]T)) {
	var rest func(n int)
	rest = func(n int) {
		if n <= 1 {
			visit(items)
			return
		}
		for i := range n - 1 {
			rest(n - 1)
			if n%2 == 0 {
				items[i], items[n-1] = items[n-1], items[i]
			} else {
				items[0], items[n-1] = items[n-1], items[0]
			}
		}
		rest(n - 1)
	}
	rest(len(items))
}

// TestEveryOrderEndsInTheSameState delivers up to seven notifications of one
// user in each of their orders. The model knows only which there were. By
// default the later cases take one order in four; -times 4 takes all, and under
// the race detector -times 40.
func TestEveryOrderEndsInTheSameState(t *testing.T) {
	t.Parallel()
	p := &postman{gateway: gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})}
	t.Cleanup(p.gateway.Close)
	both := []string{"RECORD-1", "RECORD-2"}
	for i, tc := range []struct {
		name     string
		signUps  []string // records that exist before the first message
		messages []message
		active   []string // records that must end as active
	}{
		{
			"a new sign-up after an unbinding, and copies of the old ones", both,
			[]message{p.bind(1), p.unbind(1), p.bind(2), p.unbind(1), p.bind(1), p.bind(2), p.unbind(1)},
			both[1:],
		},
		{
			"failures, successes and a tombstone", both,
			[]message{p.failed(1), p.bind(1), p.failed(1), p.unbind(2), p.bind(2), p.failed(2), p.bind(1)},
			both[:1],
		},
		{
			"two sign-ups whose unbindings cross", both,
			[]message{p.bind(1), p.bind(2), p.unbind(1), p.unbindByUs(2), p.unbindByUs(1), p.bind(1), p.bind(2)},
			nil,
		},
		{
			"both ended it, and only one of two sign-ups", both,
			[]message{p.bind(1), p.unbindByUs(1), p.unbind(1), p.unbindByUs(1), p.bind(2), p.failed(1), p.failed(2)},
			both[1:],
		},
		{
			"unbindings that name only the token", both,
			[]message{p.bind(1), p.unbindAtURL(1), p.bind(2), p.unbindElsewhere(1), p.bind(1), p.bind(2), p.unbindElsewhere(1)},
			both[1:],
		},
		{
			"messages at the other record's URL", both,
			[]message{p.bindMisdirected(1, 2), p.bindMisdirected(2, 1), p.unbind(1), p.bindMisdirected(1, 2), p.unbindElsewhere(1), p.failed(2)},
			both[1:],
		},
		{
			"records that were lost are adopted", nil,
			[]message{p.bind(1), p.unbind(1), p.bind(2), p.bind(1), p.unbind(1), p.bind(2), p.unbindElsewhere(1)},
			both[1:],
		},
		{
			"three sign-ups, the middle one ended", []string{"RECORD-1", "RECORD-2", "RECORD-3"},
			[]message{p.bind(1), p.bind(2), p.bind(3), p.unbind(2), p.failed(2), p.unbindByUs(2), p.bind(2)},
			[]string{"RECORD-1", "RECORD-3"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			client := p.gateway.Client()
			facts := map[string]fact{}
			for _, id := range tc.signUps {
				facts[id] = noFact
			}
			for _, m := range tc.messages {
				facts[m.id] |= m.fact
			}
			every := slowdown
			if i > 0 {
				every *= 4
			}
			every = max(1, every / *timesFlag)
			seen, orders, again := 0, 0, 0
			permute(tc.messages, func(messages []message) {
				if seen++; seen%every != 0 {
					return
				}
				orders++
				o := permuted(t, client, tc.signUps)
				n, err := o.deliver(messages)
				again += n
				got, outcomeErr := o.outcome()
				if err = errors.Join(err, outcomeErr); err != nil || len(got) != len(facts) {
					require.NoError(t, err, "%v", messages)
					require.Len(t, got, len(facts), "%v", messages)
				}
				var active []string
				for _, token := range got {
					want := believe(facts[token.ID], fullToken(int(token.ID[len(token.ID)-1]-'0')))
					wallet := codegrant.GCash
					if tc.signUps == nil {
						wallet = ""
					}
					require.Equal(t, codegrant.Token{ // every field that is not named is empty
						ID: token.ID, AccountID: gatewaytest.DefaultAccountID, UserID: "ann", Wallet: wallet,
						Status: want.status, Handled: want.status, EndedBy: want.endedBy,
						Value: codegrant.NewSecret(want.token), Fingerprint: codegrant.Fingerprint(codegrant.NewSecret(want.token)),
					}, token, "after %v", messages)
					if token.Status == codegrant.StatusActive {
						active = append(active, token.ID)
					}
				}
				require.Equal(t, tc.active, active, "after %v", messages)
			})
			t.Logf("%d orders of %d messages; %d deliveries came again", orders, len(tc.messages), again)
		})
	}
}

// TestASecondTokenOfOneSignUp: which of two tokens a sign-up's own record gets
// may depend on the order; what became of each token may not.
func TestASecondTokenOfOneSignUp(t *testing.T) {
	t.Parallel()
	p := &postman{gateway: gatewaytest.New(gatewaytest.Config{BaseURL: "https://gateway.test"})}
	t.Cleanup(p.gateway.Close)
	client := p.gateway.Client()
	about := func(name, kind string, token int) message {
		return p.write(fmt.Sprint(name, token), "RECORD-1", "RECORD-1", kind, noFact,
			fmt.Sprintf(`,"requestId":"RECORD-1","merchantUserId":"ann","token":%q`, fullToken(token)))
	}
	messages := []message{
		about("bind", created, 1), about("bind", created, 2), about("unbind", endedByUser, 1),
		about("bind", created, 1), about("bind", created, 2), about("unbind", endedByUser, 1),
	}
	seen, again := 0, 0
	permute(messages, func(messages []message) {
		if seen++; seen%slowdown != 0 {
			return
		}
		o := permuted(t, client, []string{"RECORD-1"})
		n, err := o.deliver(messages)
		again += n
		require.NoError(t, err, "%v", messages)
		list, err := o.outcome()
		require.NoError(t, err, "%v", messages)
		got := map[string]belief{}
		for _, record := range list {
			got[record.Value.Reveal()] = belief{record.Status, record.EndedBy, record.Value.Reveal()}
		}
		require.Len(t, list, 2, "%v", messages)
		require.Equal(t, map[string]belief{
			fullToken(1): believe(agreed|endedInWallet, fullToken(1)),
			fullToken(2): believe(agreed, fullToken(2)),
		}, got, "%v", messages)
	})
	t.Logf("%d orders; %d deliveries came again", seen/slowdown, again)
}

func (m message) String() string { return m.name }
