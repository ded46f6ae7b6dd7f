package codegrant

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Code is a stable, machine-readable reason. Every error of this package
// matches one with [errors.Is], every rejection is logged under one, and JSON
// answers carry one. A Code is itself an error and a constant, so it cannot be
// reassigned.
type Code string

// Error returns the code as words, for example "codegrant: bad signature".
func (c Code) Error() string {
	return "codegrant: " + strings.ReplaceAll(string(c), "_", " ")
}

const (
	// ErrMalformed: a message is not one strict JSON object of the protocol.
	ErrMalformed Code = "malformed"
	// ErrBodyConsumed: the body was empty, most often because middleware in
	// front of the handler had read it already.
	ErrBodyConsumed Code = "body_consumed"
	// ErrTooLarge: a body is over its cap.
	ErrTooLarge Code = "too_large"
	// ErrMethod: the HTTP method is not the endpoint's.
	ErrMethod Code = "method_not_allowed"
	// ErrBadSignature: no live salt of the account verifies the message.
	ErrBadSignature Code = "bad_signature"
	// ErrWrongAccount: the message names another accId or clientId.
	ErrWrongAccount Code = "wrong_account"
	// ErrUnauthenticated: [Config.User] found nobody signed in.
	ErrUnauthenticated Code = "unauthenticated"
	// ErrCrossOrigin: a browser sent a state-changing request from another
	// site.
	ErrCrossOrigin Code = "cross_origin"
	// ErrNotFound: no such record. Stores return it for an absent record.
	ErrNotFound Code = "not_found"
	// ErrConflict: the stored revision is not the expected one. Stores return
	// it and change nothing; the kit reloads and tries again.
	ErrConflict Code = "conflict"
	// ErrNoToken: the user has no active token that fits.
	ErrNoToken Code = "no_token"
	// ErrNotOwner: the token belongs to another user; nothing was sent.
	ErrNotOwner Code = "not_owner"
	// ErrTokenGone: the gateway says that the token does not exist.
	ErrTokenGone Code = "token_gone"
	// ErrOutcomeUnknown: the gateway may or may not have acted. See
	// [UnknownOutcomeError].
	ErrOutcomeUnknown Code = "outcome_unknown"
	// ErrUnreachable: no connection was made, so the gateway did not act.
	ErrUnreachable Code = "unreachable"
	// ErrRefused: the gateway gave a signed refusal. See [GatewayError].
	ErrRefused Code = "refused"
	// ErrInvalidRequest: a request was refused before it was sent. See
	// [RequestError].
	ErrInvalidRequest Code = "invalid_request"
	// ErrInvalidConfig: [New] or [NewClient] refused its configuration. See
	// [ConfigError].
	ErrInvalidConfig Code = "invalid_config"
	// ErrDisabled: the endpoint is switched off in [Endpoints].
	ErrDisabled Code = "disabled"
	// ErrStore: the TokenStore failed.
	ErrStore Code = "store_failed"
	// ErrHook: a hook returned an error, panicked or outlived its deadline.
	ErrHook Code = "hook_failed"
	// ErrAccounts: [AccountsConfig.Find] failed, panicked, took too long, or
	// returned no Kit or another account's.
	ErrAccounts Code = "accounts_failed"
	// ErrDeadline: the work did not end within [Config.Timeout].
	ErrDeadline Code = "deadline"
	// ErrUnmatched: a signed notification fits no record and no hook took it.
	ErrUnmatched Code = "unmatched"
	// ErrInternal: the code of an error that has none, such as one of the
	// standard library's, or of a panic.
	ErrInternal Code = "internal"
	// ErrRedacted: a redacted [Secret] was read back as if it were the value.
	ErrRedacted Code = "redacted"
)

// Error is a failure with the operation that met it and its [Code]. Its text
// never carries a token, a salt or a body.
type Error struct {
	Op   string // what was being done, for example "notify" or "unifiedPay"
	Code Code   // why it failed
	Err  error  // the cause; nil when the code says all
}

// Error returns operation, code and cause in one line.
func (e *Error) Error() string {
	s := "codegrant: " + e.Op + ": " + strings.ReplaceAll(string(e.Code), "_", " ")
	if e.Err != nil {
		s += ": " + strings.TrimPrefix(e.Err.Error(), "codegrant: ")
	}
	return s
}

// Unwrap makes both the code and the cause errors.Is targets.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// wrap gives err an operation and a code; nil stays nil.
func wrap(op string, code Code, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Code: code, Err: err}
}

// GatewayError is an answer of the gateway that is not a success. Its
// signature was verified unless Unverified is set. It matches [ErrRefused], or
// [ErrTokenGone] too when the answer says that the token does not exist.
type GatewayError struct {
	Operation   string // for example "unifiedPay"
	Code        string // the gateway's code, for example "102000"; may be empty
	Description string // the gateway's text; escape it before display
	RequestID   string // requestId of the refused request
	HTTPStatus  int    // status of the HTTP answer

	// Unverified marks an answer without a valid signature. It is evidence for
	// a person who looks for a mistake and nothing is decided by it.
	Unverified bool

	tokenGone bool
	undecided bool // only the reason why an outcome is unknown
}

// Error names the operation, the code and the gateway's description.
func (e *GatewayError) Error() string {
	s := fmt.Sprintf("codegrant: %s: gateway answered code %q (%s), HTTP %d, request %s",
		e.Operation, e.Code, e.Description, e.HTTPStatus, e.RequestID)
	if e.Unverified {
		s += ", without a valid signature"
	}
	return s
}

// Is matches [ErrRefused], and [ErrTokenGone] where the answer says so. It
// matches neither when the answer is unverified or leaves the outcome unknown.
func (e *GatewayError) Is(target error) bool {
	if e.Unverified || e.undecided {
		return false
	}
	return target == ErrRefused || (target == ErrTokenGone && e.tokenGone)
}

// Problem is one thing wrong with a request.
type Problem struct {
	Field string // Go field, for example "PayRequest.UserID"
	Wire  string // name on the wire, for example "merchantUserId"
	Rule  string // the rule broken, in words
}

// RequestError lists everything wrong with a request that was not sent. It
// matches [ErrInvalidRequest] and never repeats the offending value.
type RequestError struct {
	Operation string
	Problems  []Problem
}

// Error lists every problem.
func (e *RequestError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "codegrant: %s: request not sent:", e.Operation)
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte(';')
		}
		fmt.Fprintf(&b, " %s (%s) %s", p.Field, p.Wire, p.Rule)
	}
	return b.String()
}

// Is matches [ErrInvalidRequest].
func (e *RequestError) Is(target error) bool { return target == ErrInvalidRequest }

// ConfigError lists everything wrong with a configuration, at once. It matches
// [ErrInvalidConfig].
type ConfigError struct {
	Problems []string
}

// Error lists every problem.
func (e *ConfigError) Error() string {
	return "codegrant: invalid configuration: " + strings.Join(e.Problems, "; ")
}

// Is matches [ErrInvalidConfig].
func (e *ConfigError) Is(target error) bool { return target == ErrInvalidConfig }

// HTTPStatus returns the status that the kit's handlers answer for err, for
// those who call the functions beneath them from another framework: 200 for
// nil, 503 for anything the kit does not know.
func HTTPStatus(err error) int {
	if err == nil {
		return http.StatusOK
	}
	// ErrOutcomeUnknown comes first: it may wrap the reason why it is unknown,
	// and a bad signature on the gateway's answer is not the caller's fault.
	for _, c := range []struct {
		code   Code
		status int
	}{
		{ErrOutcomeUnknown, http.StatusBadGateway},
		{ErrAccounts, http.StatusServiceUnavailable},
		{ErrStore, http.StatusServiceUnavailable},
		{ErrHook, http.StatusServiceUnavailable},
		{ErrDeadline, http.StatusServiceUnavailable},
		{ErrMethod, http.StatusMethodNotAllowed},
		{ErrTooLarge, http.StatusRequestEntityTooLarge},
		{ErrMalformed, http.StatusBadRequest},
		{ErrBodyConsumed, http.StatusBadRequest},
		{ErrInvalidRequest, http.StatusBadRequest},
		{ErrBadSignature, http.StatusUnauthorized},
		{ErrWrongAccount, http.StatusUnauthorized},
		{ErrUnauthenticated, http.StatusUnauthorized},
		{ErrCrossOrigin, http.StatusForbidden},
		{ErrNotOwner, http.StatusNotFound}, // as if it did not exist
		{ErrNotFound, http.StatusNotFound},
		{ErrNoToken, http.StatusConflict},
		{ErrTokenGone, http.StatusConflict},
		{ErrRefused, http.StatusBadGateway},
		{ErrUnreachable, http.StatusBadGateway},
		{ErrDisabled, http.StatusNotImplemented},
	} {
		if errors.Is(err, c.code) {
			return c.status
		}
	}
	return http.StatusServiceUnavailable
}

// CodeOf returns the [Code] under which err is logged and answered: "" for nil,
// [ErrInternal] for an error that has none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	return codeOf(err)
}

func codeOf(err error) Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	for _, c := range []Code{
		ErrOutcomeUnknown, ErrTokenGone, ErrRefused, ErrInvalidRequest,
		ErrNoToken, ErrNotOwner, ErrNotFound,
	} {
		if errors.Is(err, c) {
			return c
		}
	}
	var c Code
	if errors.As(err, &c) {
		return c
	}
	return ErrInternal
}
