package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

const replayAbout = `
codegrant replay FILE --to URL [--id RECORD] [flags]

Delivers a recorded notification once more: signs it with the configured account
and salt, posts it and prints the answer. FILE holds the body; "-" is standard
input. bizContent, code and description stay as recorded unless flags say
otherwise. --id is added to the URL's path: the record's number, which the kit
puts behind /notify/.

FILE may also be what codegrant probe -record wrote: every notification in it is
delivered, or the one that -n picks. Such a recording holds no tokens and no
userLoginId: a notification with masked members is delivered only with a
-set NAME=VALUE for each (a.b for member b of a), which then replaces what is there
and adds nothing, or with -bizcontent, which keeps a token out of the shell's
history. What is missing is said for each.

Only this machine is posted to; -yes allows others, for the message holds a
payment token. Redirects are never followed. Exit status 0 if every answer was
2xx and not FAIL, which is when the gateway would stop sending.
` + accountHelp

// replaying is what the flags of replay say.
type replaying struct {
	to            string
	times         int
	parallel      bool
	timeout       time.Duration
	content, code string // replace the recorded ones
	changes       settings
	salts         []string
}

func replay(ctx context.Context, env environment, args []string) error {
	flags := newFlags(env, "replay", replayAbout)
	var who accountFlags
	who.register(flags)
	r := replaying{}
	flags.StringVar(&r.to, "to", "", "post to this `URL`; required")
	id := flags.String("id", "", "the `record`, added to the URL's path")
	number := flags.Int("n", 0, "deliver only this notification of a recording of probe, counted from 1; 0 is all")
	yes := flags.Bool("yes", false, "allow a host that is not this machine")
	asIs := flags.Bool("as-is", false, "send the bytes as they are, without signing; needs no account")
	flags.IntVar(&r.times, "times", 1, "send it this often")
	flags.BoolVar(&r.parallel, "parallel", false, "send all at once")
	flags.DurationVar(&r.timeout, "timeout", 15*time.Second, "give up on an answer after this time")
	flags.StringVar(&r.content, "bizcontent", "", "take bizContent from this `file`")
	flags.StringVar(&r.code, "code", "", "replace the top-level code")
	flags.Var(&r.changes, "set", "replace a text member of bizContent: `name=value`; may be repeated")
	name, err := flags.parseFile(args)
	if err != nil {
		return err
	}
	if r.to, err = destination(r.to, *id, *yes); err != nil {
		return err
	}
	if r.times < 1 || r.times > 1000 {
		return fmt.Errorf("%w: -times is 1 to 1000", errUsage)
	}
	data, err := readMessage(env, name)
	if err != nil {
		return err
	}
	notifications, err := readRecorded(data, *number)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var account codegrant.Account
	if !*asIs {
		if account, err = who.account(env); err != nil {
			return err
		}
		r.salts = revealed(account.Salts)
	} else if notifications[0].title != "" {
		return fmt.Errorf("%w: -as-is makes no sense for a recording of probe: its signs are masked", errUsage)
	}
	failed := false
	for _, n := range notifications {
		if n.title != "" {
			fmt.Fprintln(env.stdout, n.title)
		}
		if !*asIs {
			n.body, err = r.resigned(env, account, n)
		}
		switch {
		case err != nil && len(notifications) == 1:
			return fmt.Errorf("%s: %w", name, err)
		case err != nil:
			fmt.Fprintf(env.stdout, "   not delivered: %v\n", err)
			failed = true
		default:
			failed = r.send(ctx, env, n.body) != nil || failed
		}
	}
	if failed {
		return errFailed
	}
	return nil
}

// settings are the values of a repeated flag name=value.
type settings []member

func (s *settings) String() string { return "" }

func (s *settings) Set(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || name == "" {
		return errors.New("name=value is wanted")
	}
	*s = append(*s, member{name, []byte(value)})
	return nil
}

// destination checks where to post.
func destination(to, id string, yes bool) (string, error) {
	u, err := url.Parse(to)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("%w: -to must be an absolute http or https URL", errUsage)
	}
	if !isLocal(u.Hostname()) && !yes {
		return "", fmt.Errorf("%w: %s is not this machine, and the message holds a payment token: -yes allows it", errUsage, u.Hostname())
	}
	if id != "" {
		u = u.JoinPath(url.PathEscape(id))
	}
	return u.String(), nil
}

// resigned is the notification as the account signs it.
func (r *replaying) resigned(env environment, account codegrant.Account, n delivery) ([]byte, error) {
	fromProbe := n.title != ""
	message, err := readEnvelope(n.body)
	if err != nil {
		return nil, err
	}
	if !message.whole {
		return nil, errors.New("there is no bizContent to sign; -as-is sends it unsigned")
	}
	if r.content != "" {
		data, err := readMessage(env, r.content)
		if err != nil {
			return nil, err
		}
		message.set("bizContent", string(bytes.TrimSpace(data)))
	}
	if len(r.changes) > 0 {
		changed, err := changeContent(message.values["bizContent"], r.changes, !fromProbe)
		if err != nil {
			return nil, fmt.Errorf("bizContent: %w", err)
		}
		message.set("bizContent", changed)
	}
	if masked := maskedMembers(message.values["bizContent"]); fromProbe && len(masked) > 0 {
		return nil, fmt.Errorf("masked in the recording, so to be given: -set %s=VALUE", strings.Join(masked, "=VALUE -set "))
	}
	message.set("code", or(r.code, message.values["code"]))
	body, err := message.signed(account)
	if _, was := codegrant.ParseNotification(n.body, account); err == nil && was != nil && !fromProbe {
		fmt.Fprintf(env.stderr, "note: as recorded it would be refused (%s); it is signed anew\n", strings.TrimPrefix(was.Error(), "codegrant: "))
	}
	return body, err
}

// send posts the body and prints what came back, in the order of sending.
func (r *replaying) send(ctx context.Context, env environment, body []byte) error {
	client := plainClient(http.DefaultTransport.(*http.Transport).Clone())
	client.Timeout = r.timeout
	defer client.CloseIdleConnections()
	results := make([]result, r.times)
	var sending sync.WaitGroup
	for i := range results {
		post := func() { results[i] = r.post(ctx, client, body) }
		if r.parallel {
			sending.Go(post)
		} else {
			post()
			results[i].print(env.stdout, i+1)
		}
	}
	sending.Wait()
	accepted := 0
	for i, result := range results {
		if r.parallel {
			result.print(env.stdout, i+1)
		}
		if result.accepted {
			accepted++
		}
	}
	if r.times > 1 {
		fmt.Fprintf(env.stdout, "%d of %d accepted\n", accepted, r.times)
	}
	if accepted < r.times {
		return errFailed
	}
	return nil
}

// result is one answer.
type result struct {
	line     string
	took     time.Duration
	accepted bool
}

func (r result) print(w io.Writer, n int) {
	fmt.Fprintf(w, "%d  %s  %s\n", n, r.took.Round(100*time.Microsecond), r.line)
}

// shownAnswer is how much of an answer is printed, in bytes.
const shownAnswer = 200

func (r *replaying) post(ctx context.Context, client *http.Client, body []byte) result {
	start := time.Now()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, r.to, bytes.NewReader(body))
	if err != nil {
		return result{line: err.Error()}
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return result{line: "no answer: " + err.Error(), took: time.Since(start)}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	took := time.Since(start)
	line := response.Status
	if location := response.Header.Get("Location"); location != "" {
		line += ", not followed: " + mask.Text(location, r.salts)
	}
	// Mask first: a cut token would not be found.
	shown := mask.Text(string(answer), r.salts)
	if len(shown) > shownAnswer {
		shown = strings.ToValidUTF8(shown[:shownAnswer], "") + "…"
	}
	line += "  " + shown
	if err != nil {
		line += "  (broken off: " + err.Error() + ")"
	}
	ok := err == nil && response.StatusCode/100 == 2 && strings.TrimSpace(string(answer)) != "FAIL"
	return result{line, took, ok}
}
