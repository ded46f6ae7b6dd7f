package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// stepReach looks at the connection alone.
func (p *probe) stepReach(ctx context.Context) probeVerdict {
	a := p.send(ctx, http.MethodGet, "/", nil)
	if a.err != nil {
		p.blocked = "the endpoint cannot be reached: " + a.err.Error()
		return unsettled("%s", p.blocked)
	}
	if a.tls == "" {
		return confirmed("it answers over plain HTTP, on this machine")
	}
	return confirmed("it answers over %s with a certificate that this machine trusts", a.tls)
}

// stepSignature asks for an order that does not exist: that moves nothing.
func (p *probe) stepSignature(ctx context.Context) probeVerdict {
	query := map[string]any{"merchantTransactionId": probeID()}
	good := p.post(ctx, "/v4/payment/query", query)
	switch {
	case good.err != nil, good.message == nil:
		return unsettled("a signed query got %s", good)
	case !good.verified():
		p.blocked = "the gateway does not accept this account's signature: " + good.String()
		return unsettled("%s. Compare CODEGRANT_ACCOUNT and CODEGRANT_SALTS with the portal", p.blocked)
	}
	bad := p.send(ctx, http.MethodPost, "/v4/payment/query", signedProbeRequest(p.account, "0123456789ABCDEF01234567", query))
	text := fmt.Sprintf("accepted (%s); a wrong signature gets %s", good, bad)
	if bad.verified() && bad.code() == good.code() {
		return uncovered("the gateway answers a wrong signature like a right one: %s", bad)
	}
	if signType := codegrant.Digest(good.message.signed.signType); signType != p.account.Digest {
		p.found.digest, p.account.Digest = signType, signType
		return settled("answers are signed with %s: Account.Digest; %s", signType, text)
	}
	return confirmed("%s", text)
}

// stepNoSuchPath gives what candidates for a path are compared with.
func (p *probe) stepNoSuchPath(ctx context.Context) probeVerdict {
	a := p.post(ctx, "/v4/codegrant/probe", map[string]any{"requestId": probeID()})
	if a.err != nil {
		return unsettled("%s", a)
	}
	p.noPath = a
	if a.verified() {
		return confirmed("a signed answer: %s. A candidate counts only if it answers otherwise", a)
	}
	return confirmed("%s. A candidate counts if it answers signed", a)
}

// stepUnknownOrder tells whether the library recognises an order that the
// gateway does not know, which it re-sends a charge by.
func (p *probe) stepUnknownOrder(ctx context.Context) probeVerdict {
	a := p.post(ctx, "/v4/payment/query", map[string]any{"merchantTransactionId": probeID()})
	switch {
	case !a.verified():
		return unsettled("%s", a)
	case a.code() == "107001" || a.code() == "107002":
		return confirmed("%s", a)
	}
	return uncovered("%s: the library knows only 107001 and 107002 as not found, and will report others as a refusal", a)
}

// stepEmptyValues looks back at every answer.
func (p *probe) stepEmptyValues(context.Context) probeVerdict {
	kept, skipped, verified := 0, 0, 0
	for _, a := range p.answers {
		if !a.verified() {
			continue
		}
		verified++
		switch {
		case a.message.signed.keepEmpty:
			kept++
		case a.message.signed.hasEmpty:
			skipped++
		}
	}
	switch {
	case verified == 0:
		return unsettled("no signed answer came")
	case kept+skipped == 0:
		return unsettled("none of %d signed answers had an empty string; both readings are accepted", verified)
	}
	return confirmed("%d answers sign empty strings, %d leave them out; both readings are accepted", kept, skipped)
}

// stepXSS comes last: a firewall may lock out who sends such things.
func (p *probe) stepXSS(ctx context.Context) probeVerdict {
	a := p.post(ctx, "/v4/payment/query", map[string]any{"merchantTransactionId": "PROBE<b>"})
	switch {
	case !p.usable():
		return unsettled("%s", a)
	case a.verified():
		return confirmed("not stopped: %s. The library refuses '<' and '>' before sending all the same", a)
	}
	return confirmed("stopped with %s. The library refuses '<' and '>' before sending", a)
}

// exists reports whether a's path seems to be there: a signed answer, and not
// the one that a made-up path gets.
func (p *probe) exists(a *probeAnswer) bool {
	if !a.verified() {
		return false
	}
	return p.noPath == nil || !p.noPath.verified() || p.noPath.code() != a.code() ||
		p.noPath.message.text("description") != a.message.text("description")
}

// absent reports whether a's path is surely not there: this gateway, which
// answered signed before, treats it as the made-up path.
func (p *probe) absent(a *probeAnswer) bool {
	return p.usable() && p.noPath != nil && a.err == nil && !p.exists(a) && a.status == p.noPath.status &&
		(a.message == nil) == (p.noPath.message == nil)
}

// usable reports whether any answer so far was signed by the account's salt.
func (p *probe) usable() bool { return slices.ContainsFunc(p.answers, (*probeAnswer).verified) }

// isSuccess reports the codes that count as success so far. An absent one does
// too.
func (p *probe) isSuccess(code string) bool {
	switch code {
	case "", "000000", "001000":
		return true
	}
	return slices.Contains(p.found.successCodes, code)
}

// learnSuccess adds code to Config.SuccessCodes if the default lacks it.
func (p *probe) learnSuccess(code string) (news bool) {
	if p.isSuccess(code) {
		return false
	}
	p.found.successCodes = append(p.found.successCodes, code)
	return true
}

// candidates returns the paths to try, the default one first.
func candidates(more string, paths ...string) []string {
	for _, path := range splitList(more) {
		if path = strings.TrimSpace(path); strings.HasPrefix(path, "/") {
			paths = append(paths, path)
		}
	}
	return paths
}
