package hostiletest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// slowSender is a request that never ends. Its headers are complete: headers
// that are not are for http.Server.ReadHeaderTimeout, since no handler of the
// kit runs before their end.
type slowSender struct {
	name   string
	method string
	length string                      // header that says how long the body is
	begin  func(genuine string) string // of the body
	drip   string                      // sent again and again after that; "" is silence
	status string                      // of the answer
}

func slowSenders() []slowSender {
	const unreadable, tooLarge, wrongMethod = "400 Bad Request", "413 Request Entity Too Large", "405 Method Not Allowed"
	nothing := func(string) string { return "" }
	return []slowSender{
		{"no byte of the body", http.MethodPost, "Content-Length: 600", nothing, "", unreadable},
		{"half of a body", http.MethodPost, "Content-Length: 600", func(genuine string) string { return genuine[:300] }, "", unreadable},
		{"a byte of the body at a time", http.MethodPost, "Content-Length: 600", nothing, " ", unreadable},
		{"a whole body in chunks without the last one", http.MethodPost, "Transfer-Encoding: chunked", func(genuine string) string {
			return fmt.Sprintf("%x\r\n%s\r\n", len(genuine), genuine)
		}, "", unreadable},
		{"a chunk of one byte at a time", http.MethodPost, "Transfer-Encoding: chunked", nothing, "1\r\n \r\n", unreadable},
		// net/http waits for these two bodies after the handler has refused them.
		{"no byte of a body over the cap", http.MethodPost, "Content-Length: 70000", nothing, "", tooLarge},
		{"no byte of the body of a GET", http.MethodGet, "Content-Length: 600", nothing, "", wrongMethod},
	}
}

func (s slowSender) head(path, genuine string) string {
	return s.method + " " + path + " HTTP/1.1\r\nHost: shop.test\r\n" + s.length + "\r\n\r\n" + s.begin(genuine)
}

// TestASlowSenderIsCutOffAtTheReadDeadline is exact, in virtual time.
func TestASlowSenderIsCutOffAtTheReadDeadline(t *testing.T) {
	t.Parallel()
	for _, s := range slowSenders() {
		for i, entry := range []string{"Notify", "VerifyNotification"} {
			t.Run(s.name+", "+entry, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBesieged(t)
					before := b.moved()
					mine, stop := dial(t, b.entries[i].handler)
					began := time.Now()
					require.NoError(t, mine.SetReadDeadline(began.Add(time.Minute)))
					var sender sync.WaitGroup
					defer stop()
					defer sender.Wait()
					defer func() { _ = mine.Close() }()
					sender.Go(func() { s.trickle(mine, s.head("/wallet/notify/"+b.open.ID, b.sign(nil)), time.Second) })
					answer, err := io.ReadAll(mine)
					require.NoError(t, err)
					// net/http keeps a connection half a second after its last word.
					require.LessOrEqual(t, time.Since(began), defaultReadTimeout+time.Second)
					require.GreaterOrEqual(t, time.Since(began), defaultReadTimeout)
					require.True(t, strings.HasPrefix(string(answer), "HTTP/1.1 "+s.status), "the status")
					require.Equal(t, before, b.moved())
					require.Equal(t, 1, strings.Count(b.log.reset(), "\n"), "records in the log")
				})
			})
		}
	}
}

// TestEveryEndpointCutsASlowSenderOff: net/http waits for the rest of a body that
// the handler did not want.
func TestEveryEndpointCutsASlowSenderOff(t *testing.T) {
	t.Parallel()
	for _, request := range []string{
		"POST /wallet/signup", "GET /wallet/signup", "POST /wallet/unbind", "GET /wallet/status", "POST /wallet/status/ID",
		"GET /wallet/return/ID", "POST /wallet/return/ID", "POST /wallet/no/such/page", "POST /wallet//", "DELETE /wallet/notify",
	} {
		for _, origin := range []string{"https://shop.test", "https://evil.test"} {
			t.Run(request+" from "+origin, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					b := newBesieged(t)
					conn, stop := dial(t, b.handler)
					defer stop()
					defer func() { _ = conn.Close() }()
					began := time.Now()
					require.NoError(t, conn.SetReadDeadline(began.Add(time.Minute)))
					go func() {
						_, _ = io.WriteString(conn, request+" HTTP/1.1\r\nHost: shop.test\r\nX-User: ann\r\nOrigin: "+origin+
							"\r\nContent-Length: 600\r\n\r\nwallet=")
					}()
					_, err := io.ReadAll(conn)
					require.NoError(t, err)
					require.LessOrEqual(t, time.Since(began), defaultReadTimeout+time.Second)
				})
			})
		}
	}
}

// TestADeadlineForReadingEndsNoWork: a page without a body may take longer.
func TestADeadlineForReadingEndsNoWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMerchant(t, func(s *setup) {
			s.kit.ReturnPage = func(w http.ResponseWriter, r *http.Request, _ codegrant.Token) {
				select {
				case <-time.After(2 * defaultReadTimeout):
					w.WriteHeader(http.StatusTeapot)
				case <-r.Context().Done():
				}
			}
		})
		token := m.connect(t, "ann")
		conn, stop := dial(t, m.handler)
		defer stop()
		defer func() { _ = conn.Close() }()
		go func() {
			_, _ = io.WriteString(conn, "GET /wallet/return/"+token.ID+" HTTP/1.1\r\nHost: shop.test\r\nX-User: ann\r\n\r\n")
		}()
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusTeapot, answer.StatusCode)
		require.NoError(t, answer.Body.Close())
	})
}

// defaultReadTimeout is the documented default of Config.ReadTimeout.
const defaultReadTimeout = 5 * time.Second

// TestTheReadDeadlineEndsWithTheBody: what comes after the body, a handler that
// works for long or a connection that rests, has other time-outs.
func TestTheReadDeadlineEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBesieged(t)
		conn, stop := dial(t, b.VerifyNotification(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(2 * defaultReadTimeout):
			case <-r.Context().Done():
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})))
		defer stop()
		defer func() { _ = conn.Close() }()
		answers := bufio.NewReader(conn)
		genuine := b.request(t, b.sign(nil))
		refused := b.request(t, "{}")
		for _, tc := range []struct {
			request *http.Request
			status  int
		}{{refused, http.StatusUnauthorized}, {genuine, http.StatusOK}} {
			go func() { _ = tc.request.Write(conn) }()
			answer, err := http.ReadResponse(answers, tc.request)
			require.NoError(t, err)
			_, err = io.Copy(io.Discard, answer.Body)
			require.NoError(t, err)
			require.Equal(t, tc.status, answer.StatusCode)
			time.Sleep(2 * defaultReadTimeout)
		}
	})
}

// dial returns a connection, in memory, to a server of h that has no time-outs
// of its own.
func dial(t *testing.T, h http.Handler) (conn net.Conn, stop func()) {
	conns := make(pipes)
	server := &http.Server{Handler: h}
	go func() { _ = server.Serve(conns) }()
	conn, theirs := net.Pipe()
	conns <- theirs
	return conn, func() { require.NoError(t, server.Close()) }
}

// trickle sends head, and then drips until the connection is closed.
func (s slowSender) trickle(conn net.Conn, head string, every time.Duration) {
	if _, err := io.WriteString(conn, head); err != nil || s.drip == "" {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(conn, s.drip); err != nil {
			return
		}
	}
}

// pipes is a listener whose connections are in memory.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, open := <-p
	if !open {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { close(p); return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// TestStalledSendersAreClosedWhileGoodOnesAreServed opens 500 stalled
// connections, 5,000 with -times 10, to a server without time-outs of its own.
// Each is closed a second after the read deadline at the latest, by as much later
// as a plain server is on this machine, and every good request meanwhile is
// answered. Both ends live in this process: 10,000 open
// files, to which Go raises its soft limit by itself where the hard one allows.
func TestStalledSendersAreClosedWhileGoodOnesAreServed(t *testing.T) {
	t.Parallel()
	stalled, readTimeout, opening := rounds(500), 2*time.Second, 500*time.Millisecond
	large := *timesFlag >= 10
	if large {
		readTimeout, opening = 20*time.Second, 4*time.Second // on a busy machine opening takes longer
	}
	b := newBesieged(t, func(s *setup) { s.kit.ReadTimeout = readTimeout })
	var open, peak atomic.Int64
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			for now := open.Add(1); ; {
				if was := peak.Load(); now <= was || peak.CompareAndSwap(was, now) {
					break
				}
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
		}
	}
	server.Start()
	defer server.Close()
	control := plainServer(t, readTimeout)
	path := "/wallet/notify/" + b.open.ID
	genuine := b.sign(nil)

	good := newGoodTraffic(server.URL+path, genuine)
	alone := good.during(t, func() { wait(opening) })
	before := inUse()

	kinds := slowSenders()
	late := make([]time.Duration, stalled)
	const controlled = 10 // of so many senders, one beside it stalls at the plain server
	plain := make([]time.Duration, stalled/controlled)
	var each int64
	var first, last time.Time // when the connections were opened
	meanwhile := good.during(t, func() {
		var senders sync.WaitGroup
		tick := time.NewTicker(opening / time.Duration(stalled))
		defer tick.Stop()
		first = time.Now()
		for i := range stalled {
			<-tick.C
			if i%controlled == 0 {
				senders.Go(func() {
					silent := kinds[0]
					var err error
					if plain[i/controlled], err = stall(control, silent, silent.head("/", genuine), readTimeout); err != nil {
						t.Errorf("the plain server: %v", err)
					}
				})
			}
			senders.Go(func() {
				kind := kinds[i%len(kinds)]
				elapsed, err := stall(server.Listener.Addr().String(), kind, kind.head(path, genuine), readTimeout)
				if late[i] = elapsed; err != nil {
					t.Errorf("%s: %v", kind.name, err)
				}
			})
		}
		last = time.Now()
		each = (inUse() - before) / int64(stalled)
		senders.Wait()
	})
	after := good.during(t, func() { wait(opening) })
	// All connections are open from the last opening to the first closing.
	stall := slices.DeleteFunc(slices.Clone(meanwhile), func(s sample) bool {
		return s.began.Before(last) || s.began.After(first.Add(readTimeout))
	})

	slices.Sort(late)
	t.Logf("%d stalled connections, at most %d open at once, closed after %v to %v (median %v; the deadline is %v)",
		stalled, peak.Load(), round(late[0]), round(late[stalled-1]), round(late[stalled/2]), readTimeout)
	t.Logf("good traffic: p99 %v and %v alone, before and after; %v of %d requests while all were stalled, %v of %d with opening and closing",
		p99(alone), p99(after), p99(stall), len(stall), p99(meanwhile), len(meanwhile))
	// What net/http itself is late by, now and then, is the machine's.
	jitter := slices.Max(plain) - slices.Min(plain)
	t.Logf("the plain server closes after %v to %v", round(slices.Min(plain)), round(slices.Max(plain)))
	require.LessOrEqual(t, late[stalled-1], readTimeout+time.Second+jitter, "the last stalled connection was closed too late")
	if large {
		// Below the floor, and between two times without any stalled connection,
		// a difference is the machine's, not the kit's.
		const floor = 5 * time.Millisecond
		require.GreaterOrEqual(t, peak.Load(), int64(stalled), "the machine is too slow to have all open at once")
		require.LessOrEqual(t, p99(stall), max(2*p99(alone), 2*p99(after), floor))
		t.Logf("%d KiB for each stalled connection, both ends together", each>>10)
		require.LessOrEqual(t, each, int64(64<<10))
	}
}

// plainServer returns the address of a net/http server with a time-out for
// reading, without the kit.
func plainServer(t *testing.T, readTimeout time.Duration) string {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	server.Config.ReadTimeout = readTimeout
	server.Start()
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// stall sends a request that never ends and returns how long the connection
// lived. The server's answer may be lost to a reset, as a sender that still
// sends meets one.
func stall(address string, kind slowSender, head string, readTimeout time.Duration) (time.Duration, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close() }()
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(readTimeout + 10*time.Second)); err != nil {
		return 0, err
	}
	var sender sync.WaitGroup
	sender.Go(func() { kind.trickle(conn, head, readTimeout/10) })
	answer, err := io.ReadAll(conn)
	elapsed := time.Since(began)
	_ = conn.Close()
	sender.Wait()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return elapsed, fmt.Errorf("still open after %v", round(elapsed))
	}
	if len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 "+kind.status) {
		return elapsed, fmt.Errorf("answered with another status")
	}
	return elapsed, nil
}

// goodTraffic sends the same genuine notification again and again, at a steady
// pace that leaves the machine idle most of the time.
type goodTraffic struct {
	url, body string
	client    *http.Client
}

const (
	goodSenders = 4
	goodPace    = 4 * time.Millisecond // between the requests of one sender
)

func newGoodTraffic(url, body string) *goodTraffic {
	return &goodTraffic{url, body, &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: goodSenders}, Timeout: 30 * time.Second,
	}}
}

// sample is one good request.
type sample struct {
	began time.Time
	took  time.Duration
}

// during sends while do runs, and returns how long each answer took.
func (g *goodTraffic) during(t *testing.T, do func()) []sample {
	done := make(chan struct{})
	var samples []sample
	var mu sync.Mutex
	var senders sync.WaitGroup
	for range goodSenders {
		senders.Go(func() {
			tick := time.NewTicker(goodPace)
			defer tick.Stop()
			for {
				began := time.Now()
				if status, err := g.send(); err != nil || status != http.StatusOK {
					t.Errorf("a good request: status %d, error %v", status, err)
				}
				mu.Lock()
				samples = append(samples, sample{began, time.Since(began)})
				mu.Unlock()
				select {
				case <-done:
					return
				case <-tick.C:
				}
			}
		})
	}
	do()
	close(done)
	senders.Wait()
	g.client.CloseIdleConnections()
	return samples
}

func (g *goodTraffic) send() (int, error) {
	resp, err := g.client.Post(g.url, "application/json", bytes.NewReader([]byte(g.body)))
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func p99(samples []sample) time.Duration {
	if len(samples) == 0 {
		return 0
	}
	slices.SortFunc(samples, func(a, b sample) int { return cmp.Compare(a.took, b.took) })
	return round(samples[len(samples)*99/100].took)
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// wait waits for a time in which something else happens.
func wait(d time.Duration) { <-time.After(d) }

// inUse is how much memory is in use, stacks included.
func inUse() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
