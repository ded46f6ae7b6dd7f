package main

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

const signUpPath = "/v4/paymethod/bind"

// signUpRequest is what PingPong v4 documents for the sign-up interface.
func (p *probe) signUpRequest(terminal string) map[string]any {
	id := probeID()
	return map[string]any{
		"requestId": id, "merchantUserId": p.options.user, "bizType": "CodeGrant",
		"paymentMethod":     map[string]any{"type": p.options.wallet},
		"merchantResultUrl": p.options.notifyURL + "/return/" + id,
		"notificationUrl":   p.options.notifyURL + "/notify/" + id,
		"device":            map[string]any{"orderTerminal": terminal},
	}
}

func (p *probe) stepBind(ctx context.Context) probeVerdict {
	request := p.signUpRequest(p.options.terminal)
	a := p.post(ctx, signUpPath, request)
	authURL := a.field("authUrl")
	switch {
	case !a.verified():
		return unsettled("%s", a)
	case authURL == "":
		p.refused[a.code()] = "a sign-up"
		return unsettled("refused or without authUrl: %s", a)
	}
	p.signUp = probeSignUp{
		id: request["requestId"].(string), user: p.options.user, request: request,
		authURL: authURL, reference: a.field("token"), at: time.Now(),
	}
	if u, err := url.Parse(authURL); err == nil && u.Hostname() != "" {
		p.found.authHosts = []string{u.Hostname()}
	}
	reference := "no token"
	if p.signUp.reference != "" {
		reference = "a token of " + mask.Shape(p.signUp.reference)
	}
	text := fmt.Sprintf("%s; members: %s; bizContent: %s, with %s and an authUrl of %d characters",
		a, a.message.names(), strings.Join(a.message.bizNames(), " "), reference, len(authURL))
	if p.learnSuccess(a.code()) {
		return settled("success is code %s: ClientConfig.SuccessCodes; %s", a.code(), text)
	}
	return confirmed("%s", text)
}

func (p *probe) stepBindRepeat(ctx context.Context) probeVerdict {
	if p.signUp.id == "" {
		return unsettled("no sign-up succeeded")
	}
	same := p.post(ctx, signUpPath, p.signUp.request)
	changed := make(map[string]any)
	for name, value := range p.signUp.request {
		changed[name] = value
	}
	changed["merchantResultUrl"] = p.options.notifyURL + "/return/" + p.signUp.id + "x"
	other := p.post(ctx, signUpPath, changed)
	if !same.verified() || !other.verified() {
		return unsettled("the same again gets %s; with other content %s", same, other)
	}
	link := "another authUrl"
	switch same.field("authUrl") {
	case "":
		link = "no authUrl"
	case p.signUp.authURL:
		link = "the same authUrl"
	}
	return confirmed("the same again gets %s and %s; with other content %s. The kit never repeats a sign-up's number", same, link, other)
}

func (p *probe) stepTerminal(ctx context.Context) probeVerdict {
	var accepted, refused []string
	for _, terminal := range []string{"01", "02", "04", "05", "03"} {
		a := p.post(ctx, signUpPath, p.signUpRequest(terminal))
		switch {
		case !a.verified():
			return unsettled("with %s: %s", terminal, a)
		case a.field("authUrl") != "":
			accepted = append(accepted, terminal)
		default:
			refused = append(refused, fmt.Sprintf("%s (code %s)", terminal, a.code()))
			p.refused[a.code()] = "a wrong orderTerminal"
		}
	}
	text := fmt.Sprintf("accepted: %s; refused: %s", listed(accepted), listed(refused))
	for _, terminal := range []string{"01", "02", "04", "05"} {
		if !slices.Contains(accepted, terminal) {
			return settled("%s. Pass only accepted ones as SignUpParams.Terminal", text)
		}
	}
	return confirmed("%s", text)
}

func listed(items []string) string {
	if len(items) == 0 {
		return "none"
	}
	return strings.Join(items, " ")
}

// queryPaths are guesses by analogy with the interfaces that are documented.
func (p *probe) queryPaths() []string {
	return candidates(p.options.tryQuery, "/v4/paymethod/query", "/v4/paymethod/bindQuery", "/v4/paymethod/bind/query",
		"/v4/paymethod/queryBind", "/v4/paymethod/list", "/v4/tokenization/query")
}

func (p *probe) askSignUp(ctx context.Context, path string) *probeAnswer {
	biz := map[string]any{
		"requestId": p.signUp.id, "merchantUserId": p.signUp.user, "bizType": "CodeGrant",
		"paymentMethod": map[string]any{"type": p.options.wallet},
	}
	if p.signUp.token != "" {
		biz["token"] = p.signUp.token
	}
	return p.post(ctx, path, biz)
}

// describesSignUp reports an answer that a sign-up query would give.
func (p *probe) describesSignUp(a *probeAnswer) bool {
	if !p.exists(a) || !p.isSuccess(a.code()) {
		return false
	}
	for _, path := range a.message.bizNames() {
		name := path[strings.LastIndexByte(path, '.')+1:]
		switch name {
		case "status", "token", "merchantUserId", "requestId", "userLoginId":
			return true
		}
	}
	return false
}

func statusWord(a *probeAnswer) string {
	if word := a.field("status"); word != "" {
		return word
	}
	return a.field("queryData.status")
}

// stepSignUpQuery settles the path, as far as that is possible before anybody
// agreed: a gateway may refuse to describe a sign-up that is open.
func (p *probe) stepSignUpQuery(ctx context.Context) probeVerdict {
	if p.signUp.id == "" {
		return unsettled("no sign-up succeeded")
	}
	paths := p.queryPaths()
	var refusing, others, unclear []string
	for _, path := range paths {
		a := p.askSignUp(ctx, path)
		switch {
		case a.err != nil:
			return unsettled("%s: %s", path, a)
		case p.describesSignUp(a):
			return p.queryFound(path, a)
		case p.exists(a):
			refusing = append(refusing, path+": "+a.String())
			p.found.endpoints.SignUpQuery = path
		case p.absent(a):
			others = append(others, path+": "+a.String())
		default:
			unclear = append(unclear, path+": "+a.String())
		}
	}
	if len(unclear) > 0 {
		p.found.endpoints.SignUpQuery = ""
		return unsettled("%s", strings.Join(unclear, "; "))
	}
	switch len(refusing) {
	case 0:
		p.found.endpoints.SignUpQuery = codegrant.Disabled
		return settled("none of %s is there (%s), so it is switched off: Endpoints.SignUpQuery", strings.Join(paths, " "), others[0])
	case 1:
		return settled("only this one answers signed: %s", refusing[0])
	}
	p.found.endpoints.SignUpQuery = ""
	return unsettled("several answer signed, and none describes the sign-up: %s", strings.Join(refusing, "; "))
}

func (p *probe) queryFound(path string, a *probeAnswer) probeVerdict {
	p.querySettled = true
	p.found.endpoints.SignUpQuery = ""
	word := statusWord(a)
	if p.signUp.token == "" {
		p.signUp.statusBefore = word
		// A word that an open sign-up has must not fail or end it.
		switch defaultSignUpStatuses()[word] {
		case codegrant.KindSignUpFailed, codegrant.KindTokenGone:
			p.found.setStatus(word, codegrant.KindUnknown)
		}
	}
	text := fmt.Sprintf("%s answers with %s; bizContent: %s; status %q", path, a, strings.Join(a.message.bizNames(), " "), word)
	if path == p.queryPaths()[0] {
		return confirmed("%s", text)
	}
	p.found.endpoints.SignUpQuery = path
	return settled("%s: Endpoints.SignUpQuery", text)
}
