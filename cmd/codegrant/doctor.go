package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// doctorOptions are the command line.
type doctorOptions struct {
	target
	who                           accountFlags
	baseURL, notifyURL, returnURL string
	tablePrefix                   string
	sample                        int
	json                          bool
	timeout                       time.Duration
}

// doctor looks at one configuration. It writes nothing, neither to the
// database nor at the gateway.
type doctor struct {
	options doctorOptions
	getenv  func(string) string
	http    *http.Client // follows no redirect
	account codegrant.Account
	host    string // of the gateway
	results []doctorResult
}

// doctorResult is one line of the answer.
type doctorResult struct {
	Status string `json:"status"` // ok, warn or FAIL
	Name   string `json:"name"`
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

const doctorAbout = `
codegrant doctor [flags]

Checks what is set, and writes nothing. CODEGRANT_KEYS is the keyring, DATABASE_URL
the database: postgres://…, mysql://… or user:password@tcp(host)/db for MySQL and
MariaDB, or the file of an SQLite database. Exit status 1 when anything FAILs.
` + accountHelp

func doctorFlags(env environment, o *doctorOptions) *flagSet {
	flags := newFlags(env, "doctor", doctorAbout)
	o.who.register(flags)
	o.register(flags)
	flags.StringVar(&o.baseURL, "base-url", env.getenv("CODEGRANT_BASE_URL"), "Config.BaseURL; default from CODEGRANT_BASE_URL")
	flags.StringVar(&o.notifyURL, "notify-url", env.getenv("CODEGRANT_NOTIFY_URL"), "Config.NotifyURL; default from CODEGRANT_NOTIFY_URL, else as the kit's")
	flags.StringVar(&o.returnURL, "return-url", env.getenv("CODEGRANT_RETURN_URL"), "Config.ReturnURL; default from CODEGRANT_RETURN_URL, else as the kit's")
	flags.StringVar(&o.tablePrefix, "table-prefix", "", "Options.TablePrefix of the store")
	flags.IntVar(&o.sample, "sample", 1000, "how many records to open at most")
	flags.BoolVar(&o.json, "json", false, "answer as JSON")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "limit of one check")
	return flags
}

func runDoctor(ctx context.Context, env environment, args []string) error {
	var o doctorOptions
	if err := doctorFlags(env, &o).parseNone(args); err != nil {
		return err
	}
	endpoints, err := o.endpoints()
	if err != nil {
		return err
	}
	if o.timeout <= 0 || o.sample <= 0 {
		return fmt.Errorf("%w: -timeout and -sample must be positive", errUsage)
	}
	account, err := o.who.read(env)
	if err != nil {
		return err
	}
	d := &doctor{options: o, getenv: env.getenv, host: endpoints.Host, account: account, http: plainClient(nil)}
	d.examine(ctx)
	if err := d.print(env.stdout); err != nil {
		return err
	}
	if d.failed() {
		return errFailed
	}
	return ctx.Err()
}

// examine runs every check, each under the time limit.
func (d *doctor) examine(ctx context.Context) {
	for _, check := range []func(context.Context){
		d.checkAccount, d.checkSalts, d.checkURLs, d.checkGateway, d.checkAccepted,
		d.checkDatabase, d.checkNotify,
	} {
		if ctx.Err() == nil {
			check(ctx)
		}
	}
}

func (d *doctor) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d.options.timeout)
}

func (d *doctor) ok(name, format string, args ...any) {
	d.results = append(d.results, doctorResult{Status: "ok", Name: name, Text: fmt.Sprintf(format, args...)})
}

func (d *doctor) warn(name, remedy, format string, args ...any) {
	d.results = append(d.results, doctorResult{Status: "warn", Name: name, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (d *doctor) fail(name, remedy, format string, args ...any) {
	d.results = append(d.results, doctorResult{Status: "FAIL", Name: name, Text: fmt.Sprintf(format, args...), Remedy: remedy})
}

func (d *doctor) failed() bool {
	for _, r := range d.results {
		if r.Status == "FAIL" {
			return true
		}
	}
	return false
}

func (d *doctor) print(w io.Writer) error {
	if d.options.json {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		return encoder.Encode(struct {
			OK     bool           `json:"ok"`
			Checks []doctorResult `json:"checks"`
		}{!d.failed(), d.results})
	}
	for _, r := range d.results {
		line := fmt.Sprintf("%-4s %s: %s", r.Status, r.Name, r.Text)
		if r.Remedy != "" {
			line += ". " + r.Remedy
		}
		if _, err := fmt.Fprintln(w, mask.Printable(strings.Join(strings.Fields(line), " "))); err != nil {
			return err
		}
	}
	return nil
}
