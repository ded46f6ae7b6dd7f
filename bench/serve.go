package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

// role, in the environment, makes this program a child of itself: a server
// with one handler, a load generator, or a part that needs its own process. A
// child ends with its standard input, and so with its parent.
const role = "CODEGRANT_BENCH_ROLE"

// served does the work of a child and reports whether this process is one.
func served() bool {
	name := os.Getenv(role)
	if name == "" {
		return false
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		pprof.StopCPUProfile()
		os.Exit(0)
	}()
	var err error
	switch kind, arg, _ := strings.Cut(name, ":"); kind {
	case "serve":
		err = serve(arg)
	case "load":
		err = load(arg)
	case "sqlite":
		err = slowSQLite(arg)
	default:
		err = fmt.Errorf("no role %q", kind)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench child:", err)
		os.Exit(1)
	}
	return true
}

// child starts this program in a role, on one core where core is not negative.
// Closing the returned pipe ends it.
func child(ctx context.Context, name string, core int, wrapper ...string) (*exec.Cmd, io.WriteCloser, *bufio.Reader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	args := append(wrapper, self)
	if core >= 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(core)}, args...)
	}
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Env = append(os.Environ(), role+"="+name)
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, err := c.StdoutPipe()
	if err != nil {
		return nil, nil, nil, err
	}
	return c, in, bufio.NewReader(out), c.Start()
}

// server is a child that serves one handler.
type server struct {
	name    string
	command *exec.Cmd
	stdin   io.Closer
	address string
}

func startServer(ctx context.Context, name string, core int) (*server, error) {
	c, in, out, err := child(ctx, "serve:"+name, core)
	if err != nil {
		return nil, err
	}
	line, err := out.ReadString('\n')
	s := &server{name: name, command: c, stdin: in, address: strings.TrimSpace(line)}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("server %s: %w", name, err)
	}
	return s, nil
}

func (s *server) stop() {
	_ = s.stdin.Close()
	_ = s.command.Wait()
}

// usage is a server's memory after collecting garbage.
type usage struct{ RSS, Heap, Stack float64 } // bytes

func (s *server) usage() (usage, error) {
	var u usage
	response, err := http.Get("http://" + s.address + "/memory")
	if err != nil {
		return u, err
	}
	defer func() { _ = response.Body.Close() }()
	return u, json.NewDecoder(response.Body).Decode(&u)
}

// live is the number of records in the store behind the kit's handler.
const live = 64

// handlerNames are the handlers in the order of the page; the first is the
// floor.
var handlerNames = []string{"read-only", "codegrant", "go-github", "svix", "standard-webhooks", "stripe-go"}

// handlerOf returns a handler.
func handlerOf(name string) (http.Handler, error) {
	switch name {
	case "read-only":
		return receiver{take: func([]byte, http.Header) error { return nil }}.handler(), nil
	case "codegrant":
		return kitHandler()
	}
	all, err := peers()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		if p.name == name {
			return p.handler(), nil
		}
	}
	return nil, fmt.Errorf("no handler %q", name)
}

// kitHandler is Kit.Notify over records whose users have signed up already, so
// that each delivery is a repetition.
func kitHandler() (http.Handler, error) {
	store := memstore.New()
	for i := range live {
		if err := store.Save(context.Background(), pending(i)); err != nil {
			return nil, err
		}
	}
	cfg, err := config(store, instant{})
	if err != nil {
		return nil, err
	}
	cfg.ReadTimeout = time.Minute // memory is measured of senders that stall
	kit, err := codegrant.New(cfg)
	if err != nil {
		return nil, err
	}
	return kit.Notify(), nil
}

// messages are the path and message of every request to a handler.
func messages(name string) (paths []string, bodies [][]byte, header http.Header, err error) {
	if name == "codegrant" || name == "read-only" {
		s := newSigner()
		defer s.close()
		for i := range live {
			t := pending(i)
			paths, bodies = append(paths, "/wallet/notify/"+t.ID), append(bodies, s.signUpBody(t))
		}
		return paths, bodies, http.Header{"Content-Type": {"application/json"}}, nil
	}
	all, err := peers()
	for _, p := range all {
		if p.name == name {
			return []string{"/wallet/notify/hook"}, [][]byte{p.body}, p.header, nil
		}
	}
	return nil, nil, nil, errors.Join(err, fmt.Errorf("no handler %q", name))
}

// serve prints its address and serves until the process ends.
func serve(name string) error {
	h, err := handlerOf(name)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/wallet/notify/{id}", h)
	mux.HandleFunc("/memory", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(usage{RSS: rss(), Heap: float64(m.HeapAlloc), Stack: float64(m.StackInuse)})
	})
	mux.HandleFunc("/profile", func(w http.ResponseWriter, _ *http.Request) {
		if pprof.StartCPUProfile(w) == nil {
			time.Sleep(2 * time.Second)
			pprof.StopCPUProfile()
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// rss is this process's resident memory in bytes; 0 where it cannot be told.
func rss() float64 {
	text, _ := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize())
}
