package codegrant

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// ClientConfig configures a [Client].
type ClientConfig struct {
	// Account signs requests and judges answers. Required.
	Account Account
	// Endpoints says where the gateway is. Its Host is required.
	Endpoints Endpoints
	// HTTPClient sends the requests; it is copied, so the caller's own is left
	// as it is. Redirects are never followed, whatever it says. Nil means a
	// client of its own with Go's default transport settings.
	HTTPClient *http.Client
	// Timeout bounds one call. Zero means 30 s.
	Timeout time.Duration
	// MaxResponse caps an answer, in bytes. Zero means 1 MiB.
	MaxResponse int64
	// SuccessCodes are the codes that mean success for sign-up, its query,
	// unbinding and the older flow, where no document names one; an absent
	// code is success too. Empty means 000000 and 001000.
	SuccessCodes []string
	// Observer is told of each call, for metrics and traces. Nil means nobody is.
	Observer Observer
	// TokenGoneCodes are codes that mean that the token does not exist. The
	// code is UNKNOWN, so the default is none: the documented words "token
	// does not exist" in the description decide.
	TokenGoneCodes []string
}

// Client calls the gateway for one account. It never retries: whoever asked
// knows whether repeating is safe. An answer is believed only after its
// signature verified; every other end of a call that may have reached the
// gateway matches [ErrOutcomeUnknown]. A Client is safe for concurrent use.
type Client struct {
	account      Account
	endpoints    Endpoints
	http         *http.Client
	timeout      time.Duration
	maxResponse  int64
	successCodes []string
	goneCodes    []string
	requests     *requestValidator
	usage        []atomic.Pointer[saltUse] // as Account.Salts
	observe      observing
}

// NewClient checks cfg and returns a client. It sends nothing. Every problem
// is in one [*ConfigError].
func NewClient(cfg ClientConfig) (*Client, error) {
	c := &Client{
		account:      cfg.Account.withDefaults(),
		endpoints:    cfg.Endpoints.withDefaults(),
		timeout:      cfg.Timeout,
		maxResponse:  cfg.MaxResponse,
		successCodes: slices.Clone(cfg.SuccessCodes),
		goneCodes:    slices.Clone(cfg.TokenGoneCodes),
		observe:      newObserving(cfg.Observer, nil),
	}
	if len(c.successCodes) == 0 {
		c.successCodes = []string{"000000", "001000"}
	}
	if problems := c.problems(); len(problems) > 0 {
		return nil, &ConfigError{Problems: problems}
	}
	if c.timeout == 0 {
		c.timeout = 30 * time.Second
	}
	if c.maxResponse == 0 {
		c.maxResponse = 1 << 20
	}
	c.http = &http.Client{}
	if cfg.HTTPClient != nil {
		*c.http = *cfg.HTTPClient
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.usage = newSaltUsage(len(c.account.Salts))
	var err error
	c.requests, err = newRequestValidator()
	return c, err
}

// answer is a verified answer of the gateway. Whoever gets one releases it, once,
// after the last look at what is in its envelope.
type answer struct {
	code, description string
	httpStatus        int
	envelope          *envelope
}

func (a answer) biz() *document { return &a.envelope.biz }

func (a answer) release() { a.envelope.release() }

// Nothing is sent unchecked: call checks a request, unless whoever made it has
// and nobody changed it since.
const (
	unchecked = false
	checked   = true
)

// call checks, signs and sends request and returns the verified answer,
// whatever its code says.
func (c *Client) call(ctx context.Context, op, path string, request any, isChecked bool) (answer, error) {
	if path == Disabled {
		return answer{}, &Error{Op: op, Code: ErrDisabled}
	}
	if !isChecked {
		if err := c.requests.check(op, request); err != nil {
			return answer{}, err
		}
	}
	biz, err := encodeBiz(request)
	if err != nil {
		return answer{}, wrap(op, ErrInvalidRequest, err)
	}
	body, err := c.account.seal(biz)
	if err != nil {
		return answer{}, wrap(op, ErrInvalidRequest, err)
	}
	if err := ctx.Err(); err != nil {
		return answer{}, wrap(op, ErrUnreachable, err) // not even tried
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	status, received, err := c.post(ctx, path, body)
	if err != nil {
		return answer{}, unknownUnlessUnsent(op, err)
	}
	return c.judge(op, request, biz, status, received)
}

func (c *Client) post(ctx context.Context, path string, body []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoints.Host+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	// PingPong v4, Basic Rules for API Usage: both headers are required.
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	sawStatus(ctx, resp.StatusCode)
	limit := min(c.maxResponse, math.MaxInt64-1)
	received, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return 0, nil, err
	}
	if int64(len(received)) > limit {
		return 0, nil, ErrTooLarge
	}
	return resp.StatusCode, received, nil
}

// unknownUnlessUnsent tells a call that never had a connection, and so was
// not executed, from one whose end is not known.
func unknownUnlessUnsent(op string, err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return wrap(op, ErrUnreachable, err)
	}
	return wrap(op, ErrOutcomeUnknown, err)
}

// judge verifies an answer before anything in it is believed.
func (c *Client) judge(op string, request any, sent []byte, status int, body []byte) (answer, error) {
	env, err := readEnvelope(body, false)
	salt := 0
	if err == nil {
		salt, err = env.verify(&c.account)
	}
	if err == nil && bytes.Equal(env.bizContent, sent) {
		// The scheme signs no direction: our own request, sent back, verifies.
		err = errors.New("answer is an echo of the request")
	}
	if err != nil {
		env.release()
		// PingPong v4, Signature Convention: answers to a wrongly signed
		// request may be unsigned. Their text helps a person, no more.
		hint := &GatewayError{Operation: op, RequestID: requestID(request), HTTPStatus: status, Unverified: true}
		if doc, parseErr := parseDocument(body); parseErr == nil {
			hint.Code = clip(c.mask(request, doc.text("code")), 6)
			hint.Description = clip(c.mask(request, doc.text("description")), 500)
		}
		return answer{}, wrap(op, ErrOutcomeUnknown, fmt.Errorf("%w; %w", err, hint))
	}
	c.usage[salt].Load().count()
	// PingPong v4, Basic Rules for API Usage: a description has at most 500
	// characters, and may echo what anybody sent.
	a := answer{code: string(env.code), description: clip(c.mask(request, string(env.description)), 2000), httpStatus: status, envelope: env}
	if status == http.StatusTooManyRequests || status >= 500 {
		a.release()
		return answer{}, c.undecided(op, request, a)
	}
	return a, nil
}

// refusal turns an answer into the error that describes it.
func (c *Client) refusal(op string, request any, a answer) *GatewayError {
	// PingPong v4, CodeGrant: a token that is dead, or another user's, is
	// answered as "token does not exist"; its code is not documented.
	gone := slices.Contains(c.goneCodes, a.code) ||
		strings.Contains(strings.ToLower(a.description), "token does not exist")
	return &GatewayError{
		Operation: op, Code: a.code, Description: a.description,
		RequestID: requestID(request), HTTPStatus: a.httpStatus, tokenGone: gone,
	}
}

// undecided is the error for an answer by which the gateway may have acted.
func (c *Client) undecided(op string, request any, a answer) error {
	reason := c.refusal(op, request, a)
	reason.undecided = true
	return wrap(op, ErrOutcomeUnknown, reason)
}

// callBusiness is call for the operations whose code says only whether the
// request was served: anything but a success code is an error.
func (c *Client) callBusiness(ctx context.Context, op, path string, request, response any, isChecked bool) error {
	a, err := c.call(ctx, op, path, request, isChecked)
	if err != nil {
		return err
	}
	defer a.release()
	if !c.success(a.code) {
		if internalCode(a.code) {
			return c.undecided(op, request, a)
		}
		return c.refusal(op, request, a)
	}
	if err := decodeBiz(a.biz(), response); err != nil {
		return wrap(op, ErrOutcomeUnknown, err)
	}
	return nil
}

func (c *Client) success(code string) bool {
	return code == "" || slices.Contains(c.successCodes, code)
}

// internalCode reports the codes by which the gateway says that it, or a
// system behind it, broke: the work may have been done all the same.
// PingPong v4, Status Code: 5xxxxx internal, 6xxxxx external system.
func internalCode(code string) bool {
	return strings.HasPrefix(code, "5") || strings.HasPrefix(code, "6")
}

// requestID finds the request's own number for error texts.
func requestID(request any) string {
	for _, name := range []string{"RequestID", "RefundID", "OrderID"} {
		if f := reflect.ValueOf(request).FieldByName(name); f.IsValid() && f.String() != "" {
			return f.String()
		}
	}
	return ""
}

// tokenShape is what a payment token looks like, whosever it is.
// PingPong v4, CodeGrant: 64 hexadecimal digits.
var tokenShape = regexp.MustCompile(`[0-9A-Fa-f]{64,}`)

// tokenLength is the least that tokenShape matches.
const tokenLength = 64

// mask takes secrets that a text of the gateway may echo out of it, the
// request's own, the account's and anything like a token, and control
// characters.
func (c *Client) mask(request any, text string) string {
	for _, salt := range c.account.Salts {
		text = strings.ReplaceAll(text, salt.Reveal(), redacted)
	}
	if len(text) >= tokenLength {
		text = tokenShape.ReplaceAllString(text, redacted)
	}
	v := reflect.ValueOf(request)
	for i := range v.NumField() {
		if v.Type().Field(i).IsExported() && v.Field(i).Type() == secretType {
			if s := v.Field(i).Interface().(Secret).Reveal(); s != "" {
				text = strings.ReplaceAll(text, s, redacted)
			}
		}
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "")
	}
	return s
}
