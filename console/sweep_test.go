package console_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/console"
)

func TestSweepNowHealsAndTellsWhoAskedForIt(t *testing.T) {
	t.Parallel()
	m := newMerchant(t)
	m.gateway.LoseNotifications(true)
	signUp := m.connect("ann", codegrant.GCash)
	require.Equal(t, codegrant.StatusPending, signUp.Status)
	m.later.Store(int64(5 * time.Minute))

	require.NotContains(t, m.get("./").Body.String(), "Last asked for")
	answer := m.do(http.MethodPost, root+"sweep", nil, "X-Staff", "Ben <b>")
	require.Equal(t, http.StatusSeeOther, answer.Code)
	require.Equal(t, "./#sweep", answer.Header().Get("Location"))
	require.Equal(t, codegrant.StatusActive, m.record(signUp.ID).Status)
	page := m.get("./").Body.String()
	require.Contains(t, page, "Last asked for by <strong>Ben &lt;b&gt;</strong>")
	require.Contains(t, page, "<dt>Settled</dt><dd>1</dd>")
	require.Contains(t, m.log.String(), `"code":"console_sweep"`)
	require.Contains(t, m.log.String(), `"staff":"Ben <b>"`)
}

func TestWhatASweepEndsWith(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sweep func(context.Context) (codegrant.Sweep, error)
		want  string
	}{
		"the store failed":           {func(context.Context) (codegrant.Sweep, error) { return codegrant.Sweep{}, errors.New("down") }, "ended early (store_failed)"},
		"the gateway was away":       {func(context.Context) (codegrant.Sweep, error) { return codegrant.Sweep{Looked: 3, BackOff: true}, nil }, "asked to be left alone"},
		"there was more":             {func(context.Context) (codegrant.Sweep, error) { return codegrant.Sweep{Looked: 3, More: true}, nil }, "more than one sweep takes"},
		"some failed":                {func(context.Context) (codegrant.Sweep, error) { return codegrant.Sweep{Looked: 3, Failed: 1}, nil }, "What failed is looked at again"},
		"nothing had waited so long": {func(context.Context) (codegrant.Sweep, error) { return codegrant.Sweep{}, nil }, "Nothing had waited long enough"},
		"its time was over": {func(ctx context.Context) (codegrant.Sweep, error) {
			<-ctx.Done()
			return codegrant.Sweep{Looked: 7}, ctx.Err()
		}, "Its time was over"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMerchant(t, func(_ *merchant, cfg *console.Config) { cfg.Sweep, cfg.SweepTimeout = c.sweep, time.Millisecond })
			require.Equal(t, http.StatusSeeOther, m.do(http.MethodPost, root+"sweep", nil).Code)
			page := m.get("./")
			require.Contains(t, page.Body.String(), c.want)
			links(t, page.Body.String())
		})
	}
}

func TestASweepThatPanicsLetsTheNextOneRun(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	m := newMerchant(t, func(_ *merchant, c *console.Config) {
		c.Sweep = func(context.Context) (codegrant.Sweep, error) {
			if calls.Add(1) == 1 {
				panic("the merchant's own")
			}
			return codegrant.Sweep{Looked: 1, Settled: 1}, nil
		}
	})
	require.Panics(t, func() { m.do(http.MethodPost, root+"sweep", nil) }) // net/http's to catch
	require.Contains(t, m.get("./").Body.String(), "ended early (panicked)")
	m.do(http.MethodPost, root+"sweep", nil)
	require.Contains(t, m.get("./").Body.String(), "<dt>Settled</dt><dd>1</dd>")
}

// Two press the button: one sweep runs, the other is told so. Hanging up does
// not end it; its own time does.
func TestOneSweepAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		m := newMerchant(t, func(_ *merchant, c *console.Config) {
			c.Sweep = func(ctx context.Context) (codegrant.Sweep, error) {
				calls.Add(1)
				<-ctx.Done()
				return codegrant.Sweep{Looked: 7}, ctx.Err()
			}
		})
		began := time.Now()
		ctx, hangUp := context.WithCancel(t.Context())
		var first sync.WaitGroup
		first.Go(func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, root+"sweep", nil)
			r.Header.Set("X-Staff", "Mia")
			m.handler.ServeHTTP(httptest.NewRecorder(), r)
		})
		synctest.Wait()
		hangUp()
		require.Equal(t, http.StatusSeeOther, m.do(http.MethodPost, root+"sweep", nil, "X-Staff", "Ben").Code)
		require.Contains(t, m.get("./").Body.String(), "A sweep that Mia asked for is under way")
		first.Wait()
		require.Equal(t, 10*time.Second, time.Since(began))
		require.EqualValues(t, 1, calls.Load())
		page := m.get("./").Body.String()
		require.NotContains(t, page, "under way")
		require.Contains(t, page, "<dt>Looked at</dt><dd>7</dd>")
		m.gateway.Close()
	})
}
