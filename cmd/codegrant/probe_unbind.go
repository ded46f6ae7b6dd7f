package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// unbindPaths are guesses by analogy with the interfaces that are documented.
func (p *probe) unbindPaths() []string {
	return candidates(p.options.tryUnbind, "/v4/paymethod/unbind", "/v4/paymethod/unBind", "/v4/paymethod/unbinding",
		"/v4/paymethod/cancel", "/v4/paymethod/bind/cancel")
}

// siblingUnbindPaths are documented for other kinds of token. That they are
// there says nothing; only that they end this one would.
func siblingUnbindPaths() []string {
	return []string{"/v4/authorization/cancelToken", "/v4/tokenization/unbind"}
}

func (p *probe) unbindRequest(user, token string) map[string]any {
	return map[string]any{
		"requestId": probeID(), "merchantUserId": user, "token": token, "bizType": "CodeGrant",
		"paymentMethod": map[string]any{"type": p.options.wallet},
	}
}

func (p *probe) stepUnbindPath(ctx context.Context) probeVerdict {
	var there, absent, unclear []string
	for i, path := range p.unbindPaths() {
		a := p.post(ctx, path, p.unbindRequest(p.options.user, madeUpToken()))
		switch {
		case a.err != nil:
			return unsettled("%s: %s", path, a)
		case p.absent(a):
			absent = append(absent, path+": "+a.String())
		case !p.exists(a):
			unclear = append(unclear, path+": "+a.String())
		case i == 0:
			p.unbindPath = path
			return confirmed("%s answers a made-up token with %s", path, a)
		default:
			p.unbindPath = path
			there = append(there, path+": "+a.String())
		}
	}
	if len(there) == 0 && len(unclear) > 0 {
		return unsettled("%s", strings.Join(unclear, "; "))
	}
	switch len(there) {
	case 0:
		p.found.endpoints.Unbind = codegrant.Disabled
		return settled("none of %s is there (%s), so it is switched off, unless the step unbind finds another: Endpoints.Unbind", strings.Join(p.unbindPaths(), " "), absent[0])
	case 1:
		p.found.endpoints.Unbind = p.unbindPath
		return settled("only this one answers signed: %s: Endpoints.Unbind", there[0])
	}
	p.unbindPath = ""
	return unsettled("several answer signed: %s. The step unbind tries them", strings.Join(there, "; "))
}

// stepUnbind ends the agreement that stepConsent made.
func (p *probe) stepUnbind(ctx context.Context) probeVerdict {
	if p.signUp.token == "" {
		return unsettled("no token is known")
	}
	paths := append(p.unbindPaths(), siblingUnbindPaths()...)
	if p.unbindPath != "" {
		paths = append([]string{p.unbindPath}, slices.DeleteFunc(paths, func(path string) bool { return path == p.unbindPath })...)
	}
	var seen []string
	for _, path := range paths {
		request := p.unbindRequest(p.signUp.user, p.signUp.token)
		a := p.post(ctx, path, request)
		if a.err != nil {
			return unsettled("%s: %s; the agreement may have ended", path, a)
		}
		text := fmt.Sprintf("%s: %s; bizContent: %s", path, a, listed(a.fields()))
		if a.field("status") == "SUCCESS" || a.field("cancelSuccess") == "true" {
			if a.verified() {
				return p.unbindFound(path, request, a, text)
			}
		}
		if p.exists(a) && p.isSuccess(a.code()) && len(a.fields()) > 0 && a.field("status")+a.field("cancelSuccess") == "" {
			p.unbound, p.unbindPath = request, path
			return uncovered("a success in words that the library does not know; %s", text)
		}
		seen = append(seen, text)
	}
	return unsettled("nothing ended it: %s", strings.Join(seen, "; "))
}

func (p *probe) unbindFound(path string, request map[string]any, a *probeAnswer, text string) probeVerdict {
	p.unbound, p.unbindPath = request, path
	p.found.endpoints.Unbind = path
	isDefault := path == p.unbindPaths()[0]
	if isDefault {
		p.found.endpoints.Unbind = ""
	}
	if p.learnSuccess(a.code()) {
		return settled("success is code %s: ClientConfig.SuccessCodes; %s", a.code(), text)
	}
	if isDefault {
		return confirmed("%s", text)
	}
	return settled("%s: Endpoints.Unbind", text)
}

func (p *probe) stepUnbindRepeat(ctx context.Context) probeVerdict {
	if p.unbound == nil {
		return unsettled("nothing was unbound")
	}
	same := p.post(ctx, p.unbindPath, p.unbound)
	again := maps.Clone(p.unbound)
	again["requestId"] = probeID()
	fresh := p.post(ctx, p.unbindPath, again)
	text := fmt.Sprintf("the same again gets %s; with a new requestId %s", same, fresh)
	switch {
	case !same.verified() || !fresh.verified():
		return unsettled("%s", text)
	case p.isSuccess(fresh.code()) || p.meansGone(fresh):
		return confirmed("%s", text)
	}
	return uncovered("a second unbinding looks like a refusal, so a token whose unbinding was answered into the void stays unbinding; %s", text)
}

func (p *probe) stepUnbindNotice(ctx context.Context) probeVerdict {
	if p.unbound == nil || p.listener == nil {
		return unsettled("nothing was unbound, or nobody listened")
	}
	var last *arrival
	p.listener.wait(ctx, p.signUp.id, p.options.linger, func(all []arrival) bool {
		last = nil
		for _, a := range all {
			if a.kind == "notification" && (p.signUp.notice == nil || a.at.After(p.signUp.notice.at)) && !sameBody(p.signUp.notice, a) {
				last = &a
			}
		}
		return last != nil
	})
	if last == nil {
		return unsettled("none came within %s; the kit does not need one after its own unbinding", p.options.linger)
	}
	return p.judgeNotice(*last, codegrant.KindUnboundByMerchant)
}

// sameBody reports a repetition of the first notification.
func sameBody(first *arrival, a arrival) bool {
	return first != nil && string(first.body) == string(a.body)
}
