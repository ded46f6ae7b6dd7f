package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

// stepConsent sends the user to the wallet and looks at what the gateway then
// sends.
func (p *probe) stepConsent(ctx context.Context) probeVerdict {
	if p.signUp.id == "" {
		return unsettled("no sign-up succeeded")
	}
	if v, ok := p.agree(ctx); !ok {
		return v
	}
	p.signUp.agreedAt = time.Now()
	if p.listener == nil {
		return unsettled("nobody listened for the notification: use -notify-listen and -notify-url")
	}
	notices := func(all []arrival) []arrival {
		return slices.DeleteFunc(slices.Clone(all), func(a arrival) bool { return a.kind != "notification" })
	}
	limit := p.options.wait
	if p.options.approve {
		limit = p.options.linger
	}
	all := p.listener.wait(ctx, p.signUp.id, limit, func(all []arrival) bool { return len(notices(all)) > 0 })
	arrived := notices(all)
	if len(arrived) == 0 {
		return unsettled("no notification came to %s within %s", p.signUp.request["notificationUrl"], limit)
	}
	first := arrived[0]
	p.signUp.notice = &first
	return p.judgeNotice(first, codegrant.KindSignedUp)
}

// agree returns once the user has agreed, as far as that can be known.
func (p *probe) agree(ctx context.Context) (probeVerdict, bool) {
	if p.options.approve {
		if err := p.approve(ctx); err != nil {
			return unsettled("-approve: %v", err), false
		}
		return probeVerdict{}, true
	}
	// The link is shown in full: without it nobody can agree.
	fmt.Fprintf(p.out, "  Open this page, and agree in the wallet:\n\n  %s\n\n", mask.Printable(p.signUp.authURL))
	if p.listener != nil {
		return probeVerdict{}, true
	}
	fmt.Fprint(p.out, "  Press Enter when you have agreed: ")
	timer := time.NewTimer(p.options.wait)
	defer timer.Stop()
	select {
	case <-enterPressed(p.input):
		return probeVerdict{}, true
	case <-timer.C:
		return unsettled("nobody said within %s that the user agreed", p.options.wait), false
	case <-ctx.Done():
		return unsettled("interrupted"), false
	}
}

// approve is the browser of a user who agrees on the simulator's page. It goes
// back to the return URL, as a browser would.
func (p *probe) approve(ctx context.Context) error {
	u, err := url.Parse(p.signUp.authURL)
	if err != nil || !isLocal(u.Hostname()) {
		return fmt.Errorf("the wallet's page is not on this machine, so it is no simulator")
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.timeout)
	defer cancel()
	form := strings.NewReader(url.Values{"decision": {"agree"}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), form)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := p.http.Do(req)
	if err != nil {
		return shortNetworkError(ctx, err)
	}
	if err := resp.Body.Close(); err != nil {
		return err
	}
	back, err := resp.Location()
	if err != nil {
		return fmt.Errorf("the wallet's page answered %d and sends nobody back", resp.StatusCode)
	}
	if !isLocal(back.Hostname()) {
		return nil
	}
	req, err = http.NewRequestWithContext(ctx, http.MethodGet, back.String(), nil)
	if err != nil {
		return err
	}
	resp, err = p.http.Do(req)
	if err != nil {
		return shortNetworkError(ctx, err)
	}
	return resp.Body.Close()
}

// judgeNotice says what a sign-up or unbinding notification looks like, and
// which settings make the kit understand it.
func (p *probe) judgeNotice(a arrival, want codegrant.Kind) probeVerdict {
	m := readProbeMessage(a.body, p.account.Salts)
	if m == nil {
		return uncovered("a body of %d bytes that is no JSON object; the kit answers 400 and learns of it by Kit.Run", len(a.body))
	}
	shape := p.noticeShape(a, m)
	n, err := codegrant.ParseNotification(a.body, p.found.account(p.account))
	if err != nil {
		return p.judgeUnreadable(m, shape, err)
	}
	if want == codegrant.KindSignedUp && !n.Token.IsZero() {
		p.signUp.token = n.Token.Reveal()
	}
	switch {
	case n.Token.IsZero() && want == codegrant.KindSignedUp:
		return uncovered("it carries no token that the library finds; %s", shape)
	case n.Kind == want:
		return confirmed("%s", shape)
	case n.Kind == codegrant.KindUnknown && n.Type == "":
		return uncovered("it has no notifyType, so the kit hands it to OnUnknown, and finds out by the sign-up query; %s", shape)
	case n.Kind == codegrant.KindUnknown:
		if p.found.notifyTypes == nil {
			p.found.notifyTypes = make(map[string]codegrant.Kind)
		}
		p.found.notifyTypes[n.Type] = want
		return settled("notifyType %q means %s: Config.NotifyTypes; %s", n.Type, want, shape)
	case want == codegrant.KindUnboundByMerchant && n.Kind == codegrant.KindUnboundByUser:
		return confirmed("it says that the user ended it; %s", shape)
	}
	return uncovered("the library reads it as %s; %s", n.Kind, shape)
}

// judgeUnreadable is for what the kit refuses.
func (p *probe) judgeUnreadable(m *probeMessage, shape string, err error) probeVerdict {
	if m.signed.present {
		return uncovered("the library refuses it (%v); %s", err, shape)
	}
	if m.text("notifyType") != "" {
		p.found.queryUnsigned = true
		return settled("unsigned, so a signed query must confirm it: Config.QueryUnsigned; %s", shape)
	}
	return uncovered("unsigned, with notifyType inside bizContent: the kit answers 401, and Kit.Return and Kit.Run find out by the sign-up query; %s", shape)
}

// noticeShape describes a notification in one line.
func (p *probe) noticeShape(a arrival, m *probeMessage) string {
	form := "flat"
	if _, found := m.members["bizContent"]; found {
		form = "envelope, bizContent a string"
		if m.object {
			form = "envelope, bizContent an object"
		}
	}
	notifyType := m.text("notifyType")
	if m.biz != nil {
		notifyType = m.field("notifyType")
	}
	token := "no token"
	if value := m.field("token") + m.text("token"); value != "" {
		token = "token of " + mask.Shape(value)
	}
	return fmt.Sprintf("%s, %s; notifyType %q; members: %s; bizContent: %s; %s; %s after the sign-up began",
		form, m.signed, notifyType, m.names(), listed(m.bizNames()), token, a.at.Sub(p.signUp.at).Round(time.Millisecond))
}

func (p *probe) stepReturn(ctx context.Context) probeVerdict {
	if p.listener == nil || p.signUp.id == "" {
		return unsettled("nobody listened for the browser")
	}
	if p.signUp.agreedAt.IsZero() {
		return unsettled("nobody agreed")
	}
	returns := func(all []arrival) int {
		return slices.IndexFunc(all, func(a arrival) bool { return a.kind == "return" })
	}
	all := p.listener.wait(ctx, p.signUp.id, p.options.linger, func(all []arrival) bool { return returns(all) >= 0 })
	i := returns(all)
	if i < 0 {
		return unsettled("the browser did not come back within %s", p.options.linger)
	}
	order := "before any notification"
	if n := slices.IndexFunc(all, func(a arrival) bool { return a.kind == "notification" }); n >= 0 && n < i {
		order = "after the notification"
	}
	names := slices.Sorted(maps.Keys(all[i].query))
	return confirmed("parameters added: %s; it came %s. The kit reads no outcome from the URL", listed(names), order)
}

// stepSignUpQueryAfter asks with the library's client, as a kit would, and
// looks at the raw answer beside it.
func (p *probe) stepSignUpQueryAfter(ctx context.Context) probeVerdict {
	switch {
	case p.signUp.id == "" || p.signUp.agreedAt.IsZero():
		return unsettled("nobody agreed")
	case p.found.endpoints.SignUpQuery == codegrant.Disabled:
		return unsettled("there is no sign-up query")
	case !p.querySettled:
		if v := p.stepSignUpQuery(ctx); !p.querySettled {
			return v
		}
	}
	path := p.found.endpoints.SignUpQuery
	if path == "" {
		path = p.queryPaths()[0]
	}
	a := p.askSignUp(ctx, path)
	client, err := p.client()
	if err != nil {
		return unsettled("%v", err)
	}
	state, err := client.QuerySignUp(ctx, codegrant.SignUpQuery{
		RequestID: p.signUp.id, UserID: p.signUp.user, Token: codegrant.NewSecret(p.signUp.token),
	})
	text := fmt.Sprintf("%s; bizContent: %s; status %q", a, listed(a.fields()), state.Status)
	switch {
	case err != nil:
		return unsettled("the library's query failed (%v); raw: %s", err, text)
	case state.Token.IsZero():
		return uncovered("the library finds no token in it; %s", text)
	case p.signUp.reference != "" && state.Token.Reveal() == p.signUp.reference:
		return uncovered("it shows the sign-up's reference and not the token that pays; %s", text)
	case p.signUp.token != "" && state.Token.Reveal() != p.signUp.token:
		return uncovered("it shows another token than the notification; %s", text)
	}
	p.signUp.token = state.Token.Reveal()
	kind := p.found.statusKind(state.Status)
	switch {
	case state.Status == "" || kind == codegrant.KindSignedUp:
		return confirmed("%s", text)
	case state.Status == p.signUp.statusBefore:
		return uncovered("it has the same status before and after; %s", text)
	}
	p.found.setStatus(state.Status, codegrant.KindSignedUp)
	return settled("status %q means agreed: Config.SignUpStatuses; %s", state.Status, text)
}

func (p *probe) stepList(ctx context.Context) probeVerdict {
	if p.signUp.token == "" {
		return unsettled("no token is known")
	}
	client, err := p.client()
	if err != nil {
		return unsettled("%v", err)
	}
	listed, err := client.ListTokens(ctx, codegrant.ListTokensRequest{RequestID: probeID(), UserID: p.signUp.user})
	if err != nil {
		return unsettled("%v", err)
	}
	sees := slices.ContainsFunc(listed, func(l codegrant.ListedToken) bool { return l.Token.Reveal() == p.signUp.token })
	switch {
	case !sees:
		return confirmed("it shows %d tokens and not this one: the default is not to ask it", len(listed))
	case p.found.endpoints.SignUpQuery == codegrant.Disabled:
		p.found.queryByList = true
		return settled("it shows the token and there is no sign-up query: Config.QueryByList")
	}
	return confirmed("it shows the token; Config.QueryByList would work should the sign-up query go away")
}

func (p *probe) stepSignUpQueryEnded(ctx context.Context) probeVerdict {
	if p.unbound == nil {
		return unsettled("nothing was unbound")
	}
	if !p.querySettled {
		return unsettled("there is no sign-up query that works")
	}
	path := p.found.endpoints.SignUpQuery
	if path == "" {
		path = p.queryPaths()[0]
	}
	a := p.askSignUp(ctx, path)
	word := statusWord(a)
	switch {
	case !a.verified():
		return unsettled("%s", a)
	case !p.isSuccess(a.code()):
		if p.meansGone(a) {
			return confirmed("it says that the token does not exist: %s", a)
		}
		return unsettled("refused: %s. Kit.Run will ask again", a)
	case p.found.statusKind(word) == codegrant.KindTokenGone:
		return confirmed("%s; status %q", a, word)
	case word == "" || p.found.statusKind(word) == codegrant.KindSignedUp || word == p.signUp.statusBefore:
		return uncovered("status %q does not tell an ended agreement from a live one; %s", word, a)
	}
	p.found.setStatus(word, codegrant.KindTokenGone)
	return settled("status %q means ended: Config.SignUpStatuses; %s", word, a)
}
