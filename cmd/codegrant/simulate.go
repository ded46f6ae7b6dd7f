package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/codegrant/codegrant/gatewaytest"
)

const simulateAbout = `
codegrant simulate [flags]

Runs the simulated gateway, for clients in any language: the API, the wallet's
consent page, signed notifications with their retries, and a ledger of who was
charged. It uses an account and a salt of its own, which it prints; CODEGRANT_SALTS
is not looked at, and a salt from -salt-file is not printed.
`

// simulation is what the flags of simulate say.
type simulation struct {
	addr, state, base string
	public, secret    bool
	config            gatewaytest.Config
}

func simulate(ctx context.Context, env environment, args []string) error {
	flags := newFlags(env, "simulate", simulateAbout)
	s := simulation{config: gatewaytest.Config{Rates: make(map[gatewaytest.FaultKind]float64)}}
	c := &s.config
	flags.StringVar(&s.addr, "addr", "127.0.0.1:8490", "listen here")
	flags.BoolVar(&s.public, "public", false, "allow an address that other machines reach")
	flags.StringVar(&s.base, "base", "", "the `URL` at which browsers reach it; default its own address")
	flags.StringVar(&s.state, "state", "", "keep the state in this `file` over restarts; it holds tokens in the clear")
	flags.StringVar(&c.AccountID, "account", gatewaytest.DefaultAccountID, "accId")
	flags.StringVar(&c.ClientID, "client", "", "clientId; default the account without its last three digits")
	saltFile := flags.String("salt-file", "", "read the salt from this `file`")
	flags.StringVar(&c.SignType, "digest", gatewaytest.SHA256, "SHA256 or MD5, of answers and notifications")
	flags.Float64Var(&c.Scale, "scale", 1, "run the retry schedule this many times faster; 720 makes 12 hours a minute")
	flags.DurationVar(&c.Latency, "latency", 0, "answer every call after this time")
	flags.Uint64Var(&c.Seed, "seed", 0, "make tokens and faults repeatable; 0 is random")
	flags.DurationVar(&c.NotifyDelay, "notify-delay", 0, "wait between consent and the first notification")
	notify := flags.String("notify", "enveloped", "sign-up notifications: enveloped, flat (the legacy form) or unsigned")
	notifyTo := flags.String("notify-to", "", "send notifications to this `URL`'s host instead of the one in the request")
	flags.BoolVar(&c.RichNotification, "rich", false, "more members in sign-up notifications")
	flags.BoolVar(&c.NotifyRefusals, "notify-refusals", false, "notify refused sign-ups too")
	flags.BoolVar(&c.MinimalEnvelope, "minimal", false, "leave accId, clientId, code and description out of answers, as the legacy samples do")
	flags.BoolVar(&c.ProcessingFirst, "processing-first", false, "answer payments PROCESSING")
	flags.DurationVar(&c.SettleAfter, "settle-after", 0, "complete such payments after this time; 0 never")
	flags.BoolVar(&c.FailFirst, "fail-first", false, "decline the first attempt for every order")
	flags.Func("fault", "a fault and how probable it is, `name=0.1`; may be repeated. The names:"+faultNames(),
		func(text string) error { return addFault(c.Rates, text) })
	if err := flags.parseNone(args); err != nil {
		return err
	}
	if err := s.finish(*saltFile, *notify, *notifyTo); err != nil {
		return err
	}
	return s.serve(ctx, env)
}

// finish checks what flags cannot.
func (s *simulation) finish(saltFile, notify, notifyTo string) error {
	host, _, err := net.SplitHostPort(s.addr)
	if err != nil {
		return fmt.Errorf("%w: -addr is host:port", errUsage)
	}
	if !isLocal(host) && !s.public {
		return fmt.Errorf("%w: other machines reach %s, and anybody could end agreements there: -public allows it", errUsage, s.addr)
	}
	shapes := map[string]gatewaytest.NotificationShape{
		"enveloped": gatewaytest.Enveloped, "flat": gatewaytest.Flat, "unsigned": gatewaytest.UnsignedEnvelope,
	}
	shape, known := shapes[notify]
	if !known {
		return fmt.Errorf("%w: -notify is enveloped, flat or unsigned", errUsage)
	}
	s.config.NotificationShape = shape
	if s.config.SignType != gatewaytest.SHA256 && s.config.SignType != gatewaytest.MD5 {
		return fmt.Errorf("%w: -digest is SHA256 or MD5", errUsage)
	}
	if notifyTo != "" {
		to, err := url.Parse(notifyTo)
		if err != nil || to.Host == "" || (to.Scheme != "http" && to.Scheme != "https") {
			return fmt.Errorf("%w: -notify-to must be an absolute http or https URL", errUsage)
		}
		s.config.HTTPClient = redirected(to)
	}
	s.config.Salt = gatewaytest.DefaultSalt
	if saltFile != "" {
		salts, err := saltValues(saltFile, "")
		if err != nil {
			return err
		}
		if len(salts) != 1 {
			return fmt.Errorf("%w: %s must hold one salt", errUsage, saltFile)
		}
		s.config.Salt, s.secret = salts[0], true
	}
	return nil
}

// redirected is a client that keeps the path and sends to another host.
func redirected(to *url.URL) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	client := plainClient(roundTrip(func(r *http.Request) (*http.Response, error) {
		r = r.Clone(r.Context())
		r.URL.Scheme, r.URL.Host, r.Host = to.Scheme, to.Host, ""
		return transport.RoundTrip(r)
	}))
	client.Timeout = 10 * time.Second
	return client
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// faults are the simulator's, by the names of the flag.
func faults() map[string]gatewaytest.FaultKind {
	return map[string]gatewaytest.FaultKind{
		"timeout-before": gatewaytest.TimeoutBefore, "timeout-after": gatewaytest.TimeoutAfter,
		"status500-before": gatewaytest.Status500Before, "status500-after": gatewaytest.Status500After,
		"reset-before": gatewaytest.ResetBefore, "reset-after": gatewaytest.ResetAfter,
		"truncated": gatewaytest.Truncated, "tampered": gatewaytest.Tampered, "unsigned": gatewaytest.Unsigned,
		"wrong-salt": gatewaytest.WrongSalt, "html": gatewaytest.HTMLAnswer, "decline": gatewaytest.Decline,
		"notify-drop": gatewaytest.DropAttempt, "notify-lose": gatewaytest.DropAll, "notify-duplicate": gatewaytest.Duplicate,
		"notify-delay": gatewaytest.Delay, "notify-tamper": gatewaytest.TamperNotification, "notify-unsigned": gatewaytest.UnsignedNotification,
	}
}

// faultNames lists them in lines of six.
func faultNames() string {
	var lines strings.Builder
	for names := range slices.Chunk(slices.Sorted(maps.Keys(faults())), 6) {
		lines.WriteString("\n" + strings.Join(names, ", "))
	}
	return lines.String()
}

func addFault(rates map[gatewaytest.FaultKind]float64, text string) error {
	name, value, _ := strings.Cut(text, "=")
	kind, known := faults()[name]
	rate, err := strconv.ParseFloat(or(value, "1"), 64)
	if !known || err != nil || rate < 0 || rate > 1 {
		return errors.New("a name from the list and a number from 0 to 1 are wanted")
	}
	rates[kind] = rate
	return nil
}

// serve runs until ctx ends.
func (s *simulation) serve(ctx context.Context, env environment) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	address := "http://" + listener.Addr().String()
	s.config.BaseURL = s.base
	if host, _, _ := net.SplitHostPort(s.addr); s.base == "" && isLocal(host) {
		s.config.BaseURL = address
	}
	gateway := gatewaytest.New(s.config)
	defer gateway.Close()
	if err := s.restore(env.stdout, gateway); err != nil {
		return err
	}
	server := &http.Server{Handler: gateway, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	s.greet(env.stdout, or(s.base, address))
	save := time.NewTicker(2 * time.Second)
	defer save.Stop()
	var saved []byte
	for {
		select {
		case err := <-done:
			return err
		case <-save.C:
			if saved, err = s.save(gateway, saved); err != nil {
				fmt.Fprintf(env.stderr, "codegrant simulate: state not saved: %v\n", err)
			}
		case <-ctx.Done():
			fmt.Fprintln(env.stdout, "stopping")
			return s.stop(server, gateway, saved)
		}
	}
}

// stop ends calls and deliveries, then keeps what is left.
func (s *simulation) stop(server *http.Server, gateway *gatewaytest.Gateway, saved []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		_ = server.Close() // calls that hang on purpose
	}
	gateway.Close()
	_, err := s.save(gateway, saved)
	return err
}

func (s *simulation) restore(w io.Writer, gateway *gatewaytest.Gateway) error {
	if s.state == "" {
		return nil
	}
	content, err := os.ReadFile(s.state)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = gateway.Restore(bytes.NewReader(content))
	}
	if err == nil {
		fmt.Fprintf(w, "going on from %s\n", s.state)
	}
	return err
}

// save writes the state if it changed, whole or not at all. The file is its
// owner's alone.
func (s *simulation) save(gateway *gatewaytest.Gateway, saved []byte) ([]byte, error) {
	if s.state == "" {
		return nil, nil
	}
	var state bytes.Buffer
	if err := gateway.Snapshot(&state); err != nil {
		return saved, err
	}
	if bytes.Equal(state.Bytes(), saved) {
		return saved, nil
	}
	file, err := os.CreateTemp(filepath.Dir(s.state), ".codegrant-") // mode 0600
	if err != nil {
		return saved, err
	}
	_, err = file.Write(state.Bytes())
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), s.state)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return saved, err
	}
	return state.Bytes(), nil
}
