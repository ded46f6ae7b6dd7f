package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// probe is one run: what it may use, and what its steps learned so far.
type probe struct {
	options  probeOptions
	account  codegrant.Account // with its defaults
	out      io.Writer
	input    *bufio.Reader // where a person presses Enter
	http     *http.Client
	mask     *mask.Memory
	record   *probeRecord
	listener *probeListener // nil: notifications are not received here

	found   probeSettings
	blocked string // why no further call makes sense
	silent  int    // calls in a row that no answer came to
	answers []*probeAnswer

	noPath       *probeAnswer // what a path that does not exist gets
	signUp       probeSignUp
	refused      map[string]string // code and the fault that was refused with it
	charged      map[string]any    // the charge that was made
	paidBack     bool
	refundPath   string
	unbound      map[string]any // the unbinding that was made
	unbindPath   string
	deadCode     string
	querySettled bool
}

// probeSignUp is the sign-up that the user is asked to agree to.
type probeSignUp struct {
	id, user           string
	request            map[string]any
	authURL, reference string
	token              string // only from a verified message
	statusBefore       string
	at, agreedAt       time.Time
	notice             *arrival
}

// probeVerdict is what a step found.
type probeVerdict struct {
	kind string
	text string
}

// The kinds of verdict.
const (
	probeSettled   = "settled"           // the snippet sets it
	probeConfirmed = "default confirmed" // codegrant's default is right, or tolerates what was seen
	probeOpen      = "not settled"
	probeUncovered = "needs attention" // settled, but no setting covers it
)

func settled(format string, args ...any) probeVerdict {
	return probeVerdict{probeSettled, fmt.Sprintf(format, args...)}
}

func confirmed(format string, args ...any) probeVerdict {
	return probeVerdict{probeConfirmed, fmt.Sprintf(format, args...)}
}

func unsettled(format string, args ...any) probeVerdict {
	return probeVerdict{probeOpen, fmt.Sprintf(format, args...)}
}

func uncovered(format string, args ...any) probeVerdict {
	return probeVerdict{probeUncovered, fmt.Sprintf(format, args...)}
}

// probeStep is one question. Its id stands in docs/unknowns.md.
type probeStep struct {
	id, asks string
	run      func(p *probe, ctx context.Context) probeVerdict
}

// probeSteps are in the order in which they run: what only reads comes first,
// what ends the agreement late, and what a firewall may punish last.
func probeSteps() []probeStep {
	return []probeStep{
		{"reach", "does the endpoint answer, and over which TLS?", (*probe).stepReach},
		{"signature", "is the account's signature accepted, and what does a wrong one get?", (*probe).stepSignature},
		{"no-such-path", "what does a path get that does not exist?", (*probe).stepNoSuchPath},
		{"bind", "which code and which members has the answer to a sign-up?", (*probe).stepBind},
		{"bind-repeat", "what does a repeated requestId get at sign-up?", (*probe).stepBindRepeat},
		{"terminal", "which device.orderTerminal values does sign-up take?", (*probe).stepTerminal},
		{"signup-query", "where is the sign-up query, and what does it say before the user agreed?", (*probe).stepSignUpQuery},
		{"unknown-order", "which code does the payment query give for an order that does not exist?", (*probe).stepUnknownOrder},
		{"dead-token", "which code says that a token does not exist? (a made-up token: no money moves)", (*probe).stepDeadToken},
		{"refund-query", "where is the refund query?", (*probe).stepRefundQuery},
		{"unbind-path", "where is the unbinding? (a made-up token: nothing ends)", (*probe).stepUnbindPath},
		{"consent", "what does the sign-up notification look like?", (*probe).stepConsent},
		{"return", "what is added to the return URL?", (*probe).stepReturn},
		{"signup-query-after", "what does the sign-up query say after the user agreed?", (*probe).stepSignUpQueryAfter},
		{"list", "does the older list see the token?", (*probe).stepList},
		{"charge", "which code and status has a charge?", (*probe).stepCharge},
		{"charge-repeat", "what does the same requestId with other content get?", (*probe).stepChargeRepeat},
		{"charge-failed", "what does a declined charge look like?", (*probe).stepChargeFailed},
		{"payment-notice", "what does the payment notification look like?", (*probe).stepPaymentNotice},
		{"refund", "which code and status has a refund? (it pays the charge back)", (*probe).stepRefund},
		{"unbind", "what does an unbinding answer?", (*probe).stepUnbind},
		{"unbind-repeat", "what does a second unbinding answer?", (*probe).stepUnbindRepeat},
		{"unbind-notice", "what does the unbinding notification look like?", (*probe).stepUnbindNotice},
		{"signup-query-ended", "what does the sign-up query say after the unbinding?", (*probe).stepSignUpQueryEnded},
		{"empty-values", "do answers carry empty strings, and are these signed?", (*probe).stepEmptyValues},
		{"xss", "what does a '<' get? (one request)", (*probe).stepXSS},
	}
}

// run asks every question, or those before ctx ended, and prints the findings.
// It returns errFailed when it was cut short or the gateway could not be used.
func (p *probe) run(ctx context.Context) error {
	for _, s := range probeSteps() {
		if p.options.skips(s.id) {
			continue
		}
		p.record.begin(s.id)
		fmt.Fprintf(p.out, "%s: %s\n", s.id, s.asks)
		if ctx.Err() != nil {
			p.conclude(s, unsettled("interrupted"))
			continue
		}
		if p.blocked != "" && s.id != "empty-values" {
			p.conclude(s, unsettled("%s", p.blocked))
			continue
		}
		stepCtx, cancel := context.WithTimeout(ctx, p.options.stepLimit())
		v := s.run(p, stepCtx)
		cancel()
		if ctx.Err() != nil && v.kind == probeOpen {
			v = unsettled("interrupted")
		}
		p.conclude(s, v)
	}
	fmt.Fprintf(p.out, "\nThe settings to use:\n\n%s", p.mask.Text(p.found.source(p.account)))
	if p.signUp.token != "" && p.unbound == nil {
		fmt.Fprintf(p.out, "\nThe agreement of user %s is still live: end it in the wallet.\n", p.signUp.user)
	}
	if p.charged != nil && !p.paidBack {
		fmt.Fprintf(p.out, "\nOrder %s may have been charged and was not paid back: look in the portal.\n", p.charged["merchantTransactionId"])
	}
	if p.record.err != nil {
		return fmt.Errorf("writing the record: %w", p.record.err)
	}
	if ctx.Err() != nil || p.blocked != "" || !p.usable() {
		return errFailed
	}
	return nil
}

// conclude prints and records the verdict on a step.
func (p *probe) conclude(s probeStep, v probeVerdict) {
	v.text = mask.Printable(p.mask.Text(v.text))
	fmt.Fprintf(p.out, "  %s: %s\n", v.kind, v.text)
	p.record.write(probeLine{Step: s.id, Kind: "verdict", Verdict: v.kind, Text: v.text})
	line := s.id + ": " + v.text
	switch v.kind {
	case probeConfirmed:
		p.found.confirmed = append(p.found.confirmed, s.id)
	case probeSettled:
		p.found.settled = append(p.found.settled, line)
	case probeUncovered:
		p.found.needsAttention = append(p.found.needsAttention, line)
	default:
		p.found.notSettled = append(p.found.notSettled, line)
	}
}

// probeAnswer is what came back of one call.
type probeAnswer struct {
	path        string
	status      int
	contentType string
	tls         string
	message     *probeMessage // nil when the body is no JSON object
	err         error         // why there is no answer
}

// verified reports an answer that one of the account's salts signed.
func (a *probeAnswer) verified() bool {
	return a.err == nil && a.message != nil && a.message.signed.valid
}

func (a *probeAnswer) code() string {
	if a.message == nil {
		return ""
	}
	return a.message.text("code")
}

func (a *probeAnswer) field(path string) string {
	if a.message == nil {
		return ""
	}
	return a.message.field(path)
}

// String says what kind of answer it was, without its content.
func (a *probeAnswer) String() string {
	switch {
	case a.err != nil:
		return "no answer: " + a.err.Error()
	case a.message == nil:
		kind := a.contentType
		if kind == "" {
			kind = "no content type"
		}
		return fmt.Sprintf("HTTP %d, no JSON object (%s)", a.status, kind)
	}
	code := "no code"
	if c := a.code(); c != "" {
		code = fmt.Sprintf("code %s (%s)", c, strings.Join(strings.Fields(a.message.text("description")), " "))
	}
	return fmt.Sprintf("HTTP %d, %s, %s", a.status, code, a.message.signed)
}

var errSilent = errors.New("the endpoint left three calls in a row without an answer, so no more are made")

// maxSilent bounds how long a dead endpoint keeps the probe.
const maxSilent = 3

// post sends biz, signed by the account, to path.
func (p *probe) post(ctx context.Context, path string, biz map[string]any) *probeAnswer {
	return p.send(ctx, http.MethodPost, path, signedProbeRequest(p.account, p.account.Salts[0].Reveal(), biz))
}

func (p *probe) send(ctx context.Context, method, path string, body []byte) *probeAnswer {
	a := &probeAnswer{path: path}
	if p.silent >= maxSilent {
		p.blocked = errSilent.Error()
		a.err = errSilent
		return a
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.found.endpoints.Host+path, strings.NewReader(string(body)))
	if err != nil {
		a.err = err
		return a
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := p.http.Do(req)
	if err != nil {
		p.silent++
		a.err = shortNetworkError(ctx, err)
		return a
	}
	defer resp.Body.Close()
	received, err := io.ReadAll(io.LimitReader(resp.Body, maxProbeBody))
	if err != nil {
		p.silent++
		a.err = fmt.Errorf("HTTP %d, and then: %w", resp.StatusCode, shortNetworkError(ctx, err))
		return a
	}
	p.silent = 0
	a.status, a.contentType, a.tls = resp.StatusCode, resp.Header.Get("Content-Type"), tlsName(resp.TLS)
	a.message = readProbeMessage(received, p.account.Salts)
	p.answers = append(p.answers, a)
	return a
}

// client is the library's client with what was found so far.
func (p *probe) client() (*codegrant.Client, error) {
	cfg := p.found.client(p.account)
	cfg.HTTPClient, cfg.Timeout = p.http, p.options.timeout
	return codegrant.NewClient(cfg)
}

// fields lists what bizContent holds.
func (a *probeAnswer) fields() []string {
	if a.message == nil {
		return nil
	}
	return a.message.bizNames()
}
