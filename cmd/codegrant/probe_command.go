package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base32"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// probeOptions are the command line.
type probeOptions struct {
	target
	who                                         accountFlags
	user, wallet, currency, terminal, email, ip string

	notifyListen, notifyURL string
	record, skip            string
	charge, chargeFailing   string
	tryQuery, tryUnbind     string
	approve, production     bool
	confirm                 string
	timeout, wait, linger   time.Duration
}

const probeAbout = `
codegrant probe [flags]

Asks an endpoint what the documentation leaves open, and prints codegrant's
settings for it. It makes a handful of sign-ups, of which you agree to one in the
wallet, and ends that one again. Nothing is charged without -charge.
` + accountHelp

func probeFlags(env environment, o *probeOptions) *flagSet {
	flags := newFlags(env, "probe", probeAbout)
	o.who.register(flags)
	o.register(flags)
	flags.StringVar(&o.user, "user", "", "merchantUserId to sign up; empty means a new one. A second sign-up of the same user may end the first")
	flags.StringVar(&o.wallet, "wallet", "AlipayHK", "wallet to sign up in")
	flags.StringVar(&o.currency, "currency", "", "currency of charges; empty means the wallet's usual one")
	flags.StringVar(&o.terminal, "terminal", "02", "device.orderTerminal of the sign-up that the user agrees to")
	flags.StringVar(&o.email, "email", "probe@example.com", "customer.email of charges")
	flags.StringVar(&o.ip, "ip", "203.0.113.7", "shopperIP of charges")
	flags.StringVar(&o.notifyListen, "notify-listen", "", "address to receive notifications at, for example :8080")
	flags.StringVar(&o.notifyURL, "notify-url", "", "public URL that leads to -notify-listen; without it the gateway must be on this machine")
	flags.StringVar(&o.record, "record", "", "new file for the exchanges as JSON lines, secrets masked")
	flags.StringVar(&o.skip, "skip", "", "ids of steps to leave out, separated by commas")
	flags.StringVar(&o.charge, "charge", "", "charge this amount, in major units, and pay it back; empty charges nothing.\nShould the gateway break its promise on requestId, twice as much is charged")
	flags.StringVar(&o.chargeFailing, "charge-failing", "", "also try this amount, which the wallet must decline")
	flags.StringVar(&o.tryQuery, "try-query", "", "more paths to try for the sign-up query, separated by commas")
	flags.StringVar(&o.tryUnbind, "try-unbind", "", "more paths to try for the unbinding, separated by commas")
	flags.BoolVar(&o.approve, "approve", false, "agree by itself; works with codegrant simulate only")
	flags.BoolVar(&o.production, "production", false, "allow a host that is neither the sandbox nor on this machine")
	flags.StringVar(&o.confirm, "confirm", "", "with -production: the host's name; empty asks for it")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Second, "limit of one call")
	flags.DurationVar(&o.wait, "wait", 10*time.Minute, "how long to wait for the user to agree")
	flags.DurationVar(&o.linger, "linger", 20*time.Second, "how long to wait for what may follow")
	return flags
}

func runProbe(ctx context.Context, env environment, args []string) (err error) {
	var o probeOptions
	if err := probeFlags(env, &o).parseNone(args); err != nil {
		return err
	}
	endpoints, err := o.endpoints()
	if err != nil {
		return err
	}
	account, err := o.who.account(env)
	if err != nil {
		return err
	}
	if _, err := codegrant.NewClient(codegrant.ClientConfig{Account: account, Endpoints: endpoints}); err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return err
	}
	input := bufio.NewReader(env.stdin)
	if err := o.allowHost(ctx, env, input, endpoints.Host); err != nil {
		return err
	}
	p := &probe{options: o, account: account, out: env.stdout, input: input, refused: map[string]string{}}
	p.found.endpoints = endpoints
	p.mask = mask.NewMemory(revealed(account.Salts))
	p.record = &probeRecord{mask: p.mask}
	if o.record != "" {
		file, err := os.OpenFile(o.record, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		p.record.out = file
	}
	p.http = plainClient(&probeTransport{next: http.DefaultTransport, record: p.record})
	if o.notifyListen != "" {
		listener, local, err := listenFor(ctx, o.notifyListen, p.record)
		if err != nil {
			return err
		}
		defer listener.close()
		p.listener = listener
		if p.options.notifyURL == "" {
			p.options.notifyURL = local
		}
	}
	return p.run(ctx)
}

// check completes o, or says what is wrong with it.
func (o *probeOptions) check() error {
	if o.currency == "" {
		info, known := codegrant.Wallet(o.wallet).Info()
		if !known {
			return fmt.Errorf("%w: -wallet %s is not documented, so -currency is needed", errUsage, o.wallet)
		}
		o.currency = info.Currencies[0]
	}
	for _, amount := range []string{o.charge, o.chargeFailing} {
		if amount == "" {
			continue
		}
		if parsed, err := codegrant.ParseAmount(amount, o.currency); err != nil || parsed.Minor <= 0 {
			return fmt.Errorf("%w: %q is no amount of %s", errUsage, amount, o.currency)
		}
	}
	if o.chargeFailing != "" && o.charge == "" {
		return fmt.Errorf("%w: -charge-failing needs -charge", errUsage)
	}
	for id := range strings.SplitSeq(o.skip, ",") {
		known := slices.ContainsFunc(probeSteps(), func(s probeStep) bool { return s.id == id })
		if id != "" && !known {
			return fmt.Errorf("%w: -skip %s is no step", errUsage, id)
		}
	}
	if o.timeout <= 0 || o.wait <= 0 || o.linger < 0 {
		return fmt.Errorf("%w: -timeout and -wait must be positive", errUsage)
	}
	if o.user == "" {
		o.user = probeID()
	}
	o.notifyURL = strings.TrimSuffix(o.notifyURL, "/")
	if o.notifyURL == "" && o.notifyListen == "" {
		o.notifyURL = "https://example.com/codegrant-probe" // nobody listens: said at the consent step
	}
	return nil
}

func (o *probeOptions) skips(id string) bool { return slices.Contains(strings.Split(o.skip, ","), id) }

// stepLimit is above what any step needs.
func (o *probeOptions) stepLimit() time.Duration { return o.wait + o.linger + 12*o.timeout }

// allowHost refuses production unless it was asked for and confirmed. Every
// host that is neither the sandbox nor this machine counts as production.
func (o *probeOptions) allowHost(ctx context.Context, env environment, input *bufio.Reader, host string) error {
	u, err := url.Parse(host)
	if err != nil {
		return fmt.Errorf("%w: -endpoint is no URL", errUsage)
	}
	name := u.Hostname()
	if host == codegrant.Sandbox().Host || isLocal(name) {
		return nil
	}
	if !o.production {
		return fmt.Errorf("%w: %s is not the sandbox; -production allows it", errUsage, name)
	}
	given := o.confirm
	if given == "" {
		fmt.Fprintf(env.stderr, "This talks to a production host with a live account. Type its name, %s, to go on: ", name)
		line := make(chan string, 1)
		go func() {
			text, _ := input.ReadString('\n') // what could not be read does not confirm
			line <- text
		}()
		select {
		case given = <-line:
		case <-ctx.Done():
			return errFailed
		}
	}
	if strings.TrimSpace(given) != name {
		return fmt.Errorf("%w: %s was not confirmed", errUsage, name)
	}
	return nil
}

// enterPressed is closed at the next line that input gives, or at its end.
func enterPressed(input *bufio.Reader) <-chan struct{} {
	pressed := make(chan struct{})
	go func() {
		defer close(pressed)
		_, _ = input.ReadString('\n') // the end of the input counts too
	}()
	return pressed
}

// probeID is a number that no other run uses. It has no long hexadecimal part,
// which would be masked.
func probeID() string {
	random := make([]byte, 10)
	_, _ = rand.Read(random) // never fails
	return "PROBE-" + base32.StdEncoding.EncodeToString(random)
}

func tlsName(state *tls.ConnectionState) string {
	if state == nil {
		return ""
	}
	return tls.VersionName(state.Version)
}

// shortNetworkError drops the URL that net/http repeats.
func shortNetworkError(ctx context.Context, err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		err = inURL.Err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return errors.New("it did not come in time")
	}
	return err
}
