package codegrant

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// newRecordID returns 26 characters of base32, 130 random bits: an id in a URL
// cannot be guessed.
func newRecordID() string { return rand.Text() }

// isRecordID reports whether s can be a record's id; adopted ones may be
// longer than the kit's own.
func isRecordID(s string) bool { return isID(s) }

// SignUpParams says who signs up and in which wallet.
type SignUpParams struct {
	UserID   string         // the merchant's own user id; required
	Wallet   Wallet         // required
	Terminal SignUpTerminal // where the user is; empty means SignUpOnPC
	ReturnTo string         // one of [Config.ReturnTo]; empty means the first
}

// StartSignUp creates a pending record, asks the gateway for the wallet's page
// and returns the record; send the browser to its AuthURL. It is what
// [Kit.SignUp] does, without HTTP.
//
// Every call is a new sign-up with a new id. When the gateway refuses, the
// record is failed and the error is a [*GatewayError]; when its answer is
// lost, the record stays pending, the error matches [ErrOutcomeUnknown], and
// calling again is safe. It does not stop when ctx is cancelled, only after
// the client's time-out.
func (k *Kit) StartSignUp(ctx context.Context, p SignUpParams) (Token, error) {
	return observed(ctx, k, OperationTask, "sign-up", func(ctx context.Context) (Token, error) { return k.startSignUp(ctx, p) })
}

func (k *Kit) startSignUp(ctx context.Context, p SignUpParams) (Token, error) {
	const op = "sign-up"
	setDefault(&p.Terminal, SignUpOnPC)
	target, ok := k.returnTarget(p.ReturnTo)
	if !ok {
		return Token{}, &RequestError{Operation: op, Problems: []Problem{
			{Field: "SignUpParams.ReturnTo", Wire: "returnTo", Rule: "is not one of Config.ReturnTo"},
		}}
	}
	now := k.now()
	t := Token{
		ID: newRecordID(), AccountID: k.client.account.ID, UserID: p.UserID, Wallet: p.Wallet,
		Status: StatusPending, Handled: StatusPending, Revision: 1, ReturnTo: target,
		CreatedAt: now, UpdatedAt: now, UnsettledSince: now,
	}
	request := k.signUpRequest(t, p)
	if err := k.client.requests.check(op, request); err != nil {
		return Token{}, err // nothing was stored for what cannot be sent
	}
	ctx, cancel := k.detachedFor(ctx, k.client.timeout+2*k.cfg.Timeout)
	defer cancel()
	if err := k.store.Save(ctx, t); err != nil {
		return Token{}, k.storeError(ctx, op, err)
	}
	response, err := k.sendSignUp(ctx, request)
	if err == nil {
		err = k.checkAuthURL(response.AuthURL)
	}
	if errors.Is(err, ErrRefused) {
		failed, hookErr := k.tokens.advance(ctx, op, t, func(t Token) (Token, bool) {
			return Transition(t, Notification{Kind: KindSignUpFailed}, k.now())
		})
		if hookErr != nil {
			k.reject(ctx, op, hookErr, slog.Any("token", failed))
		}
		return failed, err
	}
	if err != nil {
		return t, err
	}
	// The notification may have come before this answer: the record is changed,
	// not overwritten.
	return k.tokens.advance(ctx, op, t, func(t Token) (Token, bool) {
		t.Reference, t.AuthURL, t.AuthState = response.Reference, response.AuthURL, authState(response.AuthURL)
		return t, true
	})
}

// signUpRequest is a [SignUpRequest] or, by the older flow, a
// [PrepareRequest].
func (k *Kit) signUpRequest(t Token, p SignUpParams) any {
	result, notification := k.cfg.ReturnURL+"/"+t.ID, k.cfg.NotifyURL+"/"+t.ID
	if k.cfg.OlderFlow {
		return PrepareRequest{
			RequestID: t.ID, UserID: p.UserID, Wallet: p.Wallet, Terminal: p.Terminal,
			RedirectURL: result, NotificationURL: notification,
		}
	}
	return SignUpRequest{
		RequestID: t.ID, UserID: p.UserID, Wallet: p.Wallet, Terminal: p.Terminal,
		ResultURL: result, NotificationURL: notification,
	}
}

// sendSignUp sends a request that was checked.
func (k *Kit) sendSignUp(ctx context.Context, request any) (SignUpResponse, error) {
	if r, ok := request.(PrepareRequest); ok {
		return k.client.prepare(ctx, r, checked)
	}
	return k.client.signUp(ctx, request.(SignUpRequest), checked)
}

// checkAuthURL judges where the browser is about to be sent.
func (k *Kit) checkAuthURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.User != nil:
		err = errors.New("authUrl is not an absolute URL")
	case strings.IndexFunc(raw, unicode.IsControl) >= 0:
		// url.Parse lets them stand behind '#'; in a Location header of a
		// framework that writes what it is given they begin a header.
		err = errors.New("authUrl has control characters")
	case u.Scheme == "https":
	case u.Scheme == "http" && isLoopback(u.Hostname()) && strings.HasPrefix(k.client.endpoints.Host, "http://"):
		// The simulator, on this machine.
	default:
		err = errors.New("authUrl is not https")
	}
	if err == nil && len(k.cfg.AuthHosts) > 0 && !slices.Contains(k.cfg.AuthHosts, strings.ToLower(u.Hostname())) {
		err = errors.New("authUrl is on a host outside Config.AuthHosts")
	}
	return wrap("sign-up", ErrOutcomeUnknown, err)
}

// authState finds the state that the wallet will send back with the browser:
// a parameter of its own, or inside the JSON in bizContent.
// PingPong v4, /v4/authorization/prepare, sample authUrl.
func authState(authURL string) string {
	u, err := url.Parse(authURL)
	if err != nil {
		return ""
	}
	query := u.Query()
	if state := query.Get("authState"); state != "" {
		return state
	}
	doc, err := parseDocument([]byte(query.Get("bizContent")))
	if err != nil {
		return ""
	}
	return doc.text("authState")
}

// SignUp returns the handler that starts a sign-up for the signed-in user. It
// takes a POST with the fields wallet, and optionally terminal and returnTo,
// as a form or as JSON, and sends the browser to the wallet with 303; a
// client that accepts JSON gets {"id","wallet","status","authUrl"} instead.
func (k *Kit) SignUp() http.Handler {
	return k.browserPost("sign-up", func(w http.ResponseWriter, r *http.Request, userID string, in formInput) error {
		terminal := SignUpTerminal(in.Terminal)
		if terminal == "" && strings.Contains(r.UserAgent(), "Mobi") {
			terminal = SignUpOnH5
		}
		t, err := k.startSignUp(r.Context(), SignUpParams{
			UserID: userID, Wallet: Wallet(in.Wallet), Terminal: terminal, ReturnTo: in.ReturnTo,
		})
		if t.AuthURL == "" {
			err = errOr(err, ErrOutcomeUnknown)
			k.reject(r.Context(), "sign-up", err, slog.Any("token", t))
			k.answerError(w, r, err)
			return err
		}
		if err != nil { // the hook of a fast notification; redelivery runs it again
			k.reject(r.Context(), "sign-up", err, slog.Any("token", t))
		}
		if wantsJSON(r) {
			writeJSON(w, http.StatusOK, tokenView{ID: t.ID, Wallet: t.Wallet, Status: t.Status, AuthURL: t.AuthURL})
			return err
		}
		http.Redirect(w, r, t.AuthURL, http.StatusSeeOther)
		return err
	})
}

func errOr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// formInput is what a browser or a JSON client sends to the POST endpoints.
type formInput struct {
	Wallet   string `json:"wallet"`
	Terminal string `json:"terminal"`
	ID       string `json:"id"`
	ReturnTo string `json:"returnTo"`
}

// browserPost guards a state-changing endpoint: the method, the page that the
// request comes from, who is signed in, and the size of what was sent.
func (k *Kit) browserPost(op string, next func(http.ResponseWriter, *http.Request, string, formInput) error) http.Handler {
	return k.endpoint(op, func(w http.ResponseWriter, r *http.Request) error {
		k.boundReading(w, r)
		secureHeaders(w)
		if r.Method != http.MethodPost {
			w.Header().Set("Allow", http.MethodPost)
			return k.refuse(w, r, op, &Error{Op: op, Code: ErrMethod})
		}
		if err := k.cfg.CrossOrigin.Check(r); err != nil {
			return k.refuse(w, r, op, &Error{Op: op, Code: ErrCrossOrigin})
		}
		userID, err := k.user(r)
		if err != nil {
			return k.refuse(w, r, op, err)
		}
		in, err := k.readInput(w, r)
		if err != nil {
			return k.refuse(w, r, op, err)
		}
		return next(w, r, userID, in)
	})
}

// user returns who is signed in, or [ErrUnauthenticated].
func (k *Kit) user(r *http.Request) (string, error) {
	id, err := k.cfg.User(r)
	if err != nil {
		return "", &Error{Op: "user", Code: ErrStore, Err: err}
	}
	if id == "" {
		return "", &Error{Op: "user", Code: ErrUnauthenticated}
	}
	return id, nil
}

// readInput reads the form or the JSON that was sent. A form that middleware
// has parsed already, as CSRF protection with a token in the form does, is
// taken from there; a body that is gone without a trace is refused, for an
// unbinding without an id would end another agreement than the one asked for.
func (k *Kit) readInput(w http.ResponseWriter, r *http.Request) (formInput, error) {
	body, err := k.readBody(w, r)
	if err != nil {
		return formInput{}, err
	}
	if len(body) == 0 && r.ContentLength != 0 { // -1 in chunks
		if len(r.PostForm) == 0 {
			return formInput{}, &Error{Op: "form", Code: ErrBodyConsumed}
		}
		return inputOf(r.PostForm), nil
	}
	var in formInput
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(body, &in); err != nil {
			return formInput{}, &Error{Op: "form", Code: ErrMalformed}
		}
		return in, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return formInput{}, &Error{Op: "form", Code: ErrMalformed}
	}
	return inputOf(form), nil
}

func inputOf(form url.Values) formInput {
	return formInput{
		Wallet: form.Get("wallet"), Terminal: form.Get("terminal"), ID: form.Get("id"), ReturnTo: form.Get("returnTo"),
	}
}
