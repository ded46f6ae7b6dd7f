package gatewaytest

import (
	"bytes"
	"encoding/json"

	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const maxRequestBody = 1 << 20

// call is an API call whose envelope has been verified.
type call struct {
	op      Op
	account Account
	baseURL string
	biz     []byte
	// decline is the code of a Decline fault, or empty.
	decline string
	// after is what the call sets off, to be sent once it has been answered.
	after []*notice
	// reported are payments whose result this answer tells the merchant.
	reported []*charge
}

// answer is what an operation has to say, before it becomes an envelope.
type answer struct {
	code        string
	description string
	biz         any
	// terse answers may come in the minimal envelope.
	terse bool
}

func refuse(code, description string) answer {
	return answer{code: code, description: or(description, describe(code))}
}

// reply is an HTTP answer, or the way in which there is none.
type reply struct {
	status int
	kind   string
	body   []byte
	// cut sends half of body and breaks the connection; reset sends nothing.
	cut, reset bool
	done       func()
}

func (r reply) write(w http.ResponseWriter) {
	if r.done != nil {
		defer r.done()
	}
	if r.reset {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", r.kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(r.body)))
	w.WriteHeader(r.status)
	body := r.body
	if r.cut {
		body = body[:len(body)/2]
	}
	// A client that has gone away has no use for the answer.
	_, _ = w.Write(body)
	_ = http.NewResponseController(w).Flush()
	if r.cut {
		panic(http.ErrAbortHandler)
	}
}

func page(status int, text string) reply {
	body := "<!doctype html><title>" + text + "</title><h1>" + text + "</h1>\n"
	return reply{status: status, kind: "text/html; charset=utf-8", body: []byte(body)}
}

func envelope(m message) reply {
	return reply{status: http.StatusOK, kind: "application/json;charset=UTF-8", body: m.body()}
}

// exchange handles one API call from its first byte to the finished answer.
func (g *Gateway) exchange(op Op, r *http.Request) reply {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBody))
	if err != nil {
		return page(http.StatusBadRequest, "Bad Request")
	}
	if r.Method != http.MethodPost {
		return page(http.StatusMethodNotAllowed, "Method Not Allowed")
	}

	g.mu.Lock()
	fault := g.takeFault(op, apiKinds())
	g.mu.Unlock()
	switch fault.Kind {
	case TimeoutBefore:
		return g.hang(r)
	case Status500Before:
		return page(http.StatusInternalServerError, "Internal Server Error")
	case ResetBefore:
		return reply{reset: true}
	}

	if hasAngle(body) {
		return page(http.StatusForbidden, "Request blocked")
	}
	c := call{op: op, baseURL: g.baseURL(r)}
	if fault.Kind == Decline {
		c.decline = or(fault.Code, defaultDecline(op))
	}
	out := g.answerTo(&c, body, r.Header, fault)
	done := g.prepareToSend(c.after)
	if g.cfg.Latency > 0 {
		g.sleep(r, g.cfg.Latency)
	}

	switch fault.Kind {
	case TimeoutAfter:
		done()
		return g.hang(r)
	case Status500After:
		out = page(http.StatusInternalServerError, "Internal Server Error")
	case ResetAfter:
		out = reply{reset: true}
	case Truncated:
		out.cut = true
	case HTMLAnswer:
		out = page(http.StatusOK, "Please try again later")
	case Decline, 0:
		if r.Context().Err() == nil {
			g.report(&c)
		}
	}
	out.done = done
	return out
}

// answerTo verifies, executes and signs.
func (g *Gateway) answerTo(c *call, body []byte, header http.Header, fault Fault) reply {
	req, err := readRequest(body)
	if err != nil {
		return envelope(message{Code: codeInvalidParameter, Description: "request is not a JSON object"})
	}
	account, ok := g.accounts[req.members["accId"]]
	if !ok {
		return envelope(message{Code: codeNotAuthentic, Description: describe(codeNotAuthentic)})
	}
	m := message{AccountID: account.AccountID, ClientID: account.ClientID}
	if !signatureFits(account.Salt, req.members) {
		// An answer is signed only if the request was (PingPong v4, section 2.2).
		m.Code, m.Description = codeBadSignature, describe(codeBadSignature)
		return envelope(m)
	}
	c.account = account
	c.biz = []byte(req.members["bizContent"])

	a := checkEnvelope(req, account, header)
	if a.code == "" {
		a = g.execute(c)
	}
	m.Code, m.Description = a.code, a.description
	if a.code == OmitCode {
		m.Code, m.Description = "", ""
	}
	if a.terse && g.cfg.MinimalEnvelope {
		m = message{}
	}
	if a.biz != nil {
		m.BizContent = string(encode(a.biz))
	}
	salt := account.Salt
	if fault.Kind == WrongSalt {
		salt = "not" + salt
	}
	m = m.signed(salt, g.cfg.SignType)
	switch fault.Kind {
	case Tampered:
		m = m.tampered()
	case Unsigned:
		m = m.unsigned()
	}
	return envelope(m)
}

func checkEnvelope(req request, account Account, header http.Header) answer {
	switch {
	case req.members["clientId"] != account.ClientID:
		return refuse(codeNotAuthentic, "")
	case req.members["version"] != "1.0":
		return refuse(codeInvalidParameter, "version must be 1.0")
	case !req.bizIsString:
		return refuse(codeInvalidParameter, "bizContent must be a string")
	case !strings.HasPrefix(header.Get("Content-Type"), "application/json"):
		return refuse(codeInvalidParameter, "Content-Type must be application/json")
	case !strings.Contains(header.Get("Accept"), "application/json"):
		return refuse(codeInvalidParameter, "Accept must be application/json")
	}
	return answer{}
}

// execute runs the operation in one step, so that each call sees the whole
// effect of the ones before it.
func (g *Gateway) execute(c *call) answer {
	if !json.Valid(c.biz) || bytes.TrimSpace(c.biz)[0] != '{' {
		return refuse(codeInvalidParameter, "bizContent is not a JSON object")
	}
	if c.decline != "" && c.op != OpPay && c.op != OpRefund {
		return refuse(c.decline, "")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch c.op {
	case OpSignUp:
		return g.signUp(c)
	case OpSignUpQuery:
		return g.signUpQuery(c)
	case OpUnbind:
		return g.unbind(c)
	case OpPay:
		return g.pay(c)
	case OpPayQuery:
		return g.payQuery(c)
	case OpRefund:
		return g.refund(c)
	case OpRefundQuery:
		return g.refundQuery(c)
	case OpPrepare:
		return g.prepare(c)
	case OpApplyToken:
		return g.applyToken(c)
	case OpCancelToken:
		return g.cancelToken(c)
	default:
		return g.list(c)
	}
}

func defaultDecline(op Op) string {
	switch op {
	case OpPay:
		return codeDoNotHonor
	case OpRefund:
		return codeRefundFailed
	}
	return codeInternal
}

// report notes that the merchant is about to learn the results in the answer.
func (g *Gateway) report(c *call) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, charge := range c.reported {
		charge.told = charge.Status == StatusSuccess
	}
}

// prepareToSend returns a function that starts the deliveries and must be
// called. They count as work from now on, so that Wait does not miss them
// between the answer and their start.
func (g *Gateway) prepareToSend(notices []*notice) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	var ready []*notice
	for _, n := range notices {
		if g.begin() {
			ready = append(ready, n)
		}
	}
	return func() {
		for _, n := range ready {
			go func() {
				defer g.end()
				g.first(n, 0)
			}()
		}
	}
}

func (g *Gateway) hang(r *http.Request) reply {
	select {
	case <-r.Context().Done():
	case <-g.ctx.Done():
	}
	return reply{reset: true}
}

func (g *Gateway) sleep(r *http.Request, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-g.ctx.Done():
	}
}

func (g *Gateway) baseURL(r *http.Request) string {
	if g.cfg.BaseURL != "" {
		return strings.TrimSuffix(g.cfg.BaseURL, "/")
	}
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}
