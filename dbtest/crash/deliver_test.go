//go:build linux

package crash

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many deliveries are under way at a time, unless the target
// says otherwise.
const connections = 16

// gateway delivers a load as the payment gateway does: each copy again until
// it is answered with 200.
type gateway struct {
	load     *load
	http     *http.Client
	inFlight int

	attempts atomic.Int64    // also the number of the last one
	refused  atomic.Int64    // answers other than 200
	tries    []atomic.Uint32 // attempts per event

	mu sync.Mutex
	// broken are the first attempts, of any copy of an event, after which the
	// sender could not know whether the event had taken effect.
	broken []int64
}

// newGateway delivers to whatever address the receiver has at the moment.
func newGateway(l *load, r *receiver) *gateway {
	return &gateway{load: l, tries: make([]atomic.Uint32, len(l.events)), http: r.client(), inFlight: r.target.inFlight()}
}

func (at target) inFlight() int { return cmp.Or(at.InFlight, connections) }

func (r *receiver) client() *http.Client {
	return &http.Client{
		Timeout: 20 * time.Second,
		Transport: &http.Transport{
			MaxIdleConnsPerHost: r.target.inFlight(),
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				address := r.address.Load()
				for ; address == nil; address = r.address.Load() {
					select {
					case <-time.After(time.Millisecond):
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}
				var d net.Dialer
				return d.DialContext(ctx, network, *address)
			},
		},
	}
}

// deliverAll returns when every copy was answered with 200, or with the first
// answer that no receiver of this harness may give.
func (g *gateway) deliverAll(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range g.inFlight {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(g.load.order)) && ctx.Err() == nil; i = next.Add(1) - 1 {
				if err := g.deliver(ctx, g.load.order[i]); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

func (g *gateway) deliver(ctx context.Context, index int) error {
	e := g.load.events[index]
	body := g.load.body(e)
	for {
		first := g.tries[index].Add(1) == 1
		number := g.attempts.Add(1)
		status, err := post(ctx, g.http, e, body, number)
		var network *net.OpError
		pause := time.Millisecond
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case status == http.StatusOK:
			return nil
		case errors.As(err, &network) && network.Op == "dial":
			g.tries[index].Add(^uint32(0)) // nothing was sent
		case err == nil && status != http.StatusServiceUnavailable:
			return fmt.Errorf("attempt %d was answered with %d", number, status)
		default:
			if err == nil {
				g.refused.Add(1)
				pause = 20 * time.Millisecond
			}
			if first {
				g.mu.Lock()
				g.broken = append(g.broken, number)
				g.mu.Unlock()
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// post makes one attempt.
func post(ctx context.Context, client *http.Client, e event, body []byte, number int64) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost,
		"http://receiver"+notifyPath+recordID(e.user), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set(deliveryHeader, strconv.FormatInt(number, 10))
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer func() { _ = response.Body.Close() }()
	// An answer that is cut short is none.
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0, err
	}
	return response.StatusCode, nil
}
