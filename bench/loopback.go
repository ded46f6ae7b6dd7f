package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const loadConns = 32

// handlers measures whole handlers over loopback: the server on one core, the
// load on another.
func (s *session) handlers(ctx context.Context) error {
	if runtime.NumCPU() < 2 {
		return leftOut("needs two cores")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		return leftOut("taskset is not installed")
	}
	perSecond, p99 := map[string][]float64{}, map[string][]float64{}
	servers := map[string]*server{}
	for _, name := range handlerNames {
		one, err := startServer(ctx, name, 0)
		if err != nil {
			return err
		}
		defer one.stop()
		servers[name] = one
	}
	generator := ""
	for round := -1; round < s.rounds; round++ { // the first warms up
		order := slices.Clone(handlerNames)
		if round%2 == 0 {
			slices.Reverse(order)
		}
		for _, name := range order {
			l, err := s.blow(ctx, servers[name])
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			generator = l.By
			if round < 0 {
				continue
			}
			fmt.Fprintf(s.raw, "BenchmarkHandler/%s 1 %.1f ns/op %.0f req/s %.3f p99-ms\n", name, 1e9/l.PerSecond, l.PerSecond, l.P99)
			perSecond[name], p99[name] = append(perSecond[name], l.PerSecond), append(p99[name], l.P99)
		}
	}
	kit, floor, stripe := perSecond["codegrant"], perSecond["read-only"], perSecond["stripe-go"]
	met := s.above("notify handler on one core (memstore), by the stripe handler", 2.5, ratio(kit, stripe), "")
	met = s.above("… by a handler that only reads the body", 0.75, ratio(kit, floor), "") && met
	if !met && s.profiles {
		if err := s.profileServer(ctx, servers["codegrant"]); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, name := range handlerNames {
		rows = append(rows, []string{
			handlerTitle(name), number(median(perSecond[name])), number(median(p99[name])),
			spread(ratios(perSecond[name], stripe)), spread(ratios(perSecond[name], floor)),
		})
	}
	s.chapter("One handler on one core", fmt.Sprintf(
		"net/http over loopback, %d kept connections, %d bytes a message, the server alone on one core and the load (%s) on\n"+
			"another. codegrant's is `Kit.Notify` over memstore with deliveries that repeat: it verifies, decodes, finds the record,\n"+
			"and answers 200. The others verify, decode, answer 200 and look nothing up.", loadConns, bodySize, generator),
		table([]string{"handler", "requests/s", "p99 ms", "by stripe-go", "by the floor"}, rows))
	return nil
}

func handlerTitle(name string) string {
	switch name {
	case "read-only":
		return "floor: reads the body, 200"
	case "codegrant":
		return "**codegrant `Notify`**"
	}
	return name
}

// profileServer profiles a server under load.
func (s *session) profileServer(ctx context.Context, one *server) error {
	file := filepath.Join(s.tmp, "server.prof")
	done := make(chan error, 1)
	go func() {
		response, err := http.Get("http://" + one.address + "/profile")
		if err != nil {
			done <- err
			return
		}
		defer func() { _ = response.Body.Close() }()
		text, err := io.ReadAll(response.Body)
		done <- errors.Join(err, os.WriteFile(file, text, 0o600))
	}()
	long := *s
	long.stretch = 3 * time.Second
	_, err := long.blow(ctx, one)
	if err = errors.Join(err, <-done); err != nil {
		return err
	}
	self, err := os.Executable()
	if err == nil {
		s.profile(ctx, "the time goes, the notify handler", self, file, "cpu")
	}
	return err
}

// loaded is what a load found out.
type loaded struct {
	PerSecond float64
	P99       float64 // ms
	By        string
}

// blow puts a load on a server for a stretch. wrk takes whole seconds, at least
// one; where it is not installed, or the stretch is a test's, this program makes
// the load.
func (s *session) blow(ctx context.Context, one *server) (loaded, error) {
	paths, bodies, header, err := messages(one.name)
	if err != nil {
		return loaded{}, err
	}
	var requests [][]byte
	for i, path := range paths {
		requests = append(requests, rawRequest(path, bodies[i], header))
	}
	if wrk, err := exec.LookPath("wrk"); err == nil && s.stretch >= 200*time.Millisecond {
		return s.wrk(ctx, wrk, one.address, requests)
	}
	order, err := json.Marshal(order{Address: one.address, For: s.stretch, Requests: requests})
	if err != nil {
		return loaded{}, err
	}
	file := filepath.Join(s.tmp, "load.json")
	if err := os.WriteFile(file, order, 0o600); err != nil {
		return loaded{}, err
	}
	c, in, out, err := child(ctx, "load:"+file, 1)
	if err != nil {
		return loaded{}, err
	}
	var l loaded
	err = json.NewDecoder(out).Decode(&l)
	_ = in.Close()
	return l, errors.Join(err, c.Wait())
}

func rawRequest(path string, body []byte, header http.Header) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST %s HTTP/1.1\r\nHost: shop.test\r\nContent-Length: %d\r\n", path, len(body))
	_ = header.Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

var (
	wrkRate  = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	wrkP99   = regexp.MustCompile(`99%\s+([\d.]+)(us|ms|s)`)
	wrkWrong = regexp.MustCompile(`(Non-2xx|Socket errors).*`)
)

func (s *session) wrk(ctx context.Context, wrk, address string, requests [][]byte) (loaded, error) {
	var script strings.Builder
	script.WriteString("local all = {\n")
	for _, r := range requests {
		script.WriteString(luaString(r) + ",\n")
	}
	script.WriteString("}\nlocal i = 0\nrequest = function() i = i % #all + 1; return all[i] end\n")
	file := filepath.Join(s.tmp, "requests.lua")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		return loaded{}, err
	}
	seconds := strconv.Itoa(int(max(1, s.stretch.Round(time.Second).Seconds())))
	out, err := exec.CommandContext(ctx, "taskset", "-c", "1", wrk, "-t1", "-c", strconv.Itoa(loadConns), "-d", seconds,
		"--latency", "-s", file, "http://"+address).CombinedOutput()
	if err != nil {
		return loaded{}, fmt.Errorf("wrk: %w: %s", err, out)
	}
	if wrong := wrkWrong.Find(out); wrong != nil {
		return loaded{}, fmt.Errorf("wrk: %s", wrong)
	}
	rate, p99 := wrkRate.FindSubmatch(out), wrkP99.FindSubmatch(out)
	if rate == nil || p99 == nil {
		return loaded{}, fmt.Errorf("wrk printed no figures: %s", out)
	}
	l := loaded{By: "wrk"}
	l.PerSecond, _ = strconv.ParseFloat(string(rate[1]), 64)
	l.P99, _ = strconv.ParseFloat(string(p99[1]), 64)
	l.P99 *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[string(p99[2])]
	return l, nil
}

func luaString(text []byte) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			fmt.Fprintf(&b, `\%03d`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String() + `"`
}

// order is what a load generator is to do.
type order struct {
	Address  string
	For      time.Duration
	Requests [][]byte
}

// load sends requests over kept connections and prints what it found out.
func load(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	var wg sync.WaitGroup
	took, errs := make([][]float64, loadConns), make([]error, loadConns)
	began := time.Now()
	for i := range loadConns {
		wg.Go(func() { took[i], errs[i] = o.one(i, began.Add(o.For)) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	all := slices.Concat(took...)
	return json.NewEncoder(os.Stdout).Encode(loaded{
		PerSecond: float64(len(all)) / time.Since(began).Seconds(), P99: quantile(all, 0.99), By: "a generator in Go",
	})
}

// one makes requests until the end, and one in any case: a loaded machine may
// get here late.
func (o order) one(i int, end time.Time) ([]float64, error) {
	conn, err := net.Dial("tcp", o.Address)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	var took []float64
	for began := time.Now(); len(took) == 0 || began.Before(end); i++ {
		if _, err := conn.Write(o.Requests[i%len(o.Requests)]); err != nil {
			return nil, err
		}
		if err := readAnswer(answers); err != nil {
			return nil, err
		}
		now := time.Now()
		took = append(took, now.Sub(began).Seconds()*1000)
		began = now
	}
	return took, nil
}

// readAnswer reads one answer, which must be 200 and have a length.
func readAnswer(from *bufio.Reader) error {
	length := int64(-1)
	for first := true; ; first = false {
		line, err := from.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200")):
			return fmt.Errorf("answered with %s", line)
		case bytes.HasPrefix(line, []byte("Content-Length: ")):
			length, err = strconv.ParseInt(string(bytes.TrimSpace(line[16:])), 10, 64)
			if err != nil {
				return err
			}
		case len(line) == 2:
			if length < 0 {
				return errors.New("an answer without a length")
			}
			_, err := io.CopyN(io.Discard, from, length)
			return err
		}
	}
}
