package hostiletest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// TestTheSimulatorsScheduleThroughOutages is the schedule with the simulated
// gateway's own deliveries: real sign-ups, retries that overlap, a store that
// hangs until the kit gives up, answers that are lost.
func TestTheSimulatorsScheduleThroughOutages(t *testing.T) {
	t.Parallel()
	seed, users := seeded(t), rounds(8)
	for kind := range troubles {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			var sent, attempts, missing int
			started := time.Now()
			for i, point := range points() {
				seed := seed + uint64(i*10) + uint64(kind)
				random := rand.New(rand.NewPCG(seed, 0))
				length := lengths[random.IntN(len(lengths))]
				synctest.Test(t, func(t *testing.T) {
					for _, n := range simulate(t, seed, random, users, outage{kind, time.Now().Add(point + time.Hour), length}) {
						sent, attempts = sent+1, attempts+len(n.Attempts)
						if !n.Delivered {
							missing++
						}
					}
				})
			}
			spent := time.Since(started)
			t.Logf("%d notifications, %d attempts, %d never delivered; %.0f attempts/s", sent, attempts, missing, float64(attempts)/spent.Seconds())
		})
	}
}

// simulate lets users sign up before the outage, agree an hour after the
// bubble began, and half of them unbind in the wallet within six hours.
func simulate(t *testing.T, seed uint64, random *rand.Rand, users int, out outage) []gatewaytest.Notification {
	began := time.Now()
	var mu sync.Mutex
	losses := rand.New(rand.NewPCG(seed, 1))
	accepted, heard := map[string]fact{}, map[string][]codegrant.Status{}
	m := newMerchant(t, func(s *setup) {
		s.gateway.Seed, s.gateway.NotifyRefusals = seed, true
		s.gateway.Rates = map[gatewaytest.FaultKind]float64{gatewaytest.DropAttempt: lostRequests}
		s.kit.Now, s.kit.Logger = jumping(seed, time.Now), slog.New(slog.DiscardHandler)
		s.kit.OnToken = func(_ context.Context, c codegrant.Change) error {
			mu.Lock()
			defer mu.Unlock()
			heard[c.Token.ID] = append(heard[c.Token.ID], c.Token.Status)
			return nil
		}
	})
	m.store.before = func(ctx context.Context, _ string) error {
		if !out.at(time.Now()) {
			return nil
		}
		if out.trouble == hanging {
			<-ctx.Done()
			return ctx.Err()
		}
		return errBroken
	}
	m.gateway.DeliverTo(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if out.trouble == refusing && out.at(time.Now()) {
			panic(http.ErrAbortHandler)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		m.handler.ServeHTTP(answer, r)
		mu.Lock()
		defer mu.Unlock()
		if id, _, f := told(body); answer.Code == http.StatusOK {
			accepted[id] |= f
		}
		if losses.Float64() < lostAnswers {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(answer.Code)
	}))
	var records []codegrant.Token
	for user := range users {
		records = append(records, m.start(t, fmt.Sprint("user-", user)))
	}
	time.Sleep(time.Until(began.Add(time.Hour)))
	for i, record := range records {
		if i%4 == 3 {
			require.NoError(t, m.gateway.Refuse(record.AuthURL))
			continue
		}
		require.NoError(t, m.gateway.Approve(record.AuthURL))
		if i%2 == 0 {
			time.AfterFunc(time.Duration(random.Int64N(int64(6*time.Hour))), func() {
				if err := m.gateway.UnbindInWallet(fmt.Sprint("user-", i), string(codegrant.GCash)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	time.Sleep(24 * time.Hour) // the schedule is at its end, hanging included
	synctest.Wait()
	tokens := map[string]string{}
	for _, a := range m.gateway.Ledger().Agreements {
		tokens[a.RequestID] = a.Token
	}
	for _, record := range records {
		got := m.get(t, record.ID)
		want := believe(accepted[record.ID], tokens[record.ID])
		require.Equal(t, want, belief{got.Status, got.EndedBy, got.Value.Reveal()})
		require.Equal(t, got.Status, got.Handled)
		last := codegrant.StatusPending
		for _, status := range heard[record.ID] {
			require.Greater(t, status, last, "the hook heard %v", heard[record.ID])
			last = status
		}
		require.Equal(t, got.Status, last)
	}
	list := m.gateway.Notifications()
	for _, n := range list {
		require.Zero(t, n.NextAt)
		for i := 1; i < len(n.Attempts); i++ {
			gap := n.Attempts[i].At.Sub(n.Attempts[i-1].At)
			require.GreaterOrEqual(t, gap, gatewaytest.RetrySchedule()[i-1])
		}
		_, _, f := told(n.Body)
		if !n.Delivered {
			require.Len(t, n.Attempts, 1+len(gatewaytest.RetrySchedule()))
		} else {
			require.NotZero(t, accepted[n.Subject]&f)
		}
	}
	return list
}
