package browsertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// othersReturnPage is login-CSRF: an attacker lets a victim finish a sign-up
// that the attacker has begun.
func (s *street) othersReturnPage(t *testing.T) {
	attacker := s.arrive(t, "attacker", desktop)
	attacker.enters("Attacking Anna")
	attacker.goes("/wallets")
	attacker.startsConnecting("True Money")
	attacker.press("#agree")
	attacker.arrives(s.shop.url + "/wallet/return/")
	link := attacker.at()

	victim := s.arrive(t, "victim", desktop)
	victim.watch.expect("404")
	victim.enters("Victim Vera")
	for _, address := range []string{link, link + "?authCode=AAAA&authState=BBBB"} {
		victim.visit(address)
		victim.reads("#problem", "There is nothing here")
		require.NotContains(t, victim.text("body"), "True Money")
	}
	victim.look("return-page-of-somebody-else")
	attacker.sees(result("True Money", "active"))
	victim.visit(link)
	victim.reads("#problem", "There is nothing here")
	victim.goes("/wallets")
	victim.reads("#user", "Victim Vera")
	require.Zero(t, victim.count(`li[data-wallet]:not([data-status="none"])`), "nothing was attached")
	require.Zero(t, victim.count("#news"))

	stranger := s.arrive(t, "stranger", desktop)
	stranger.watch.expect("401")
	stranger.visit(link)
	stranger.reads("#problem", "Please sign in")
	require.NotContains(t, stranger.text("body"), "True Money")
	stranger.look("return-page-signed-out")
}

// othersConsent is login-CSRF on the wallet's side: the victim follows the
// attacker's link to the wallet and agrees there. Who agreed only the wallet
// knows, and it says that the attacker's sign-up succeeded; nothing of it may
// reach the account of the person whose browser comes back.
func (s *street) othersConsent(t *testing.T) {
	attacker := s.arrive(t, "linker", desktop)
	attacker.enters("Linking Lou")
	attacker.goes("/wallets")
	attacker.startsConnecting("Boost")
	link := attacker.at()

	victim := s.arrive(t, "linked", desktop)
	victim.watch.expect("404")
	victim.enters("Linked Lea")
	victim.visit(link)
	victim.press("#agree")
	victim.arrives(s.shop.url + "/wallet/return/")
	victim.reads("#problem", "There is nothing here")
	require.NotContains(t, victim.text("body"), "Boost")
	victim.look("came-back-to-somebody-elses-page")
	victim.goes("/wallets")
	victim.reads("#user", "Linked Lea")
	require.Zero(t, victim.count(`li[data-wallet]:not([data-status="none"])`), "nothing was attached")
	require.Zero(t, victim.count("#news"))
	victim.look("nothing-attached")

	attacker.visit(s.shop.url + "/wallets")
	attacker.sees(row("Boost", "active"))
	attacker.calm()
}

// elsewhere serves an attacker's page from another origin. That it is the same
// site to a browser makes it the harder case: cookies are sent along.
func elsewhere(t *testing.T, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		shown := body
		if r.URL.Path != "/" {
			shown = "<p>harmless</p>"
		}
		_, _ = fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Elsewhere</title><link rel="icon" href="data:,"><h1>Elsewhere</h1>%s`, shown)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// framing is click-jacking: nothing of the shop or the wallet shows in a frame.
func (s *street) framing(t *testing.T) {
	p := s.arrive(t, "frames", desktop)
	p.enters("Framed Fred")
	p.goes("/wallets")
	p.startsConnecting("Rabbit LINE Pay")
	consent := p.at()
	p.press("#agree")
	p.sees(result("Rabbit LINE Pay", "pending"))
	kit, gateway, base := plainKit(t)
	pending, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.TrueMoney})
	require.NoError(t, err)
	active, err := kit.StartSignUp(t.Context(), codegrant.SignUpParams{UserID: "ann", Wallet: codegrant.DANA})
	require.NoError(t, err)
	require.NoError(t, gateway.Approve(active.AuthURL))
	framed := []string{
		p.at(), consent, s.shop.url + "/", s.shop.url + "/wallets", s.shop.wallet,
		base + "/return/" + pending.ID, base + "/return/" + active.ID, base + "/return/NOSUCH", base + "/signup", base + "/status", base + "/nowhere",
	}

	var frames strings.Builder
	for _, address := range framed {
		fmt.Fprintf(&frames, `<iframe src=%q></iframe>`, address)
	}
	frames.WriteString(`<iframe src="/harmless"></iframe>`)
	p.watch.expect("frame-ancestors")
	p.watch.expect("X-Frame-Options")
	for _, status := range []string{"404", "405"} {
		p.watch.expect(status)
	}
	p.visit(elsewhere(t, frames.String()))
	p.sees("iframe")

	tree, err := chromedp.Call(p.ctx, page.GetFrameTree, struct{}{})
	require.NoError(t, err)
	blocked := map[string]bool{}
	for _, child := range tree.FrameTree.ChildFrames {
		blocked[child.Frame.URL] = false
		if child.Frame.UnreachableURL != "" {
			blocked[child.Frame.UnreachableURL] = true
		}
	}
	for _, address := range framed {
		require.True(t, blocked[address], "%s: %v", address, blocked)
	}
	require.Len(t, tree.FrameTree.ChildFrames, len(framed)+1)
	require.Contains(t, blocked, p.at()+"harmless", "frames do not work at all")
	// What a frame holds is seen only where the attacker may look: the harmless
	// one. The others hold the browser's own page about what it blocked.
	p.wait(`frames[` + js(len(framed)) + `].document.body?.innerText.includes("harmless") ? "" : "the control frame is empty"`)
	for i := range framed {
		require.True(t, ask[bool](p, `document.querySelectorAll("iframe")[`+js(i)+`].contentDocument === null`), framed[i])
	}
	_, met, _ := p.watch.found()
	require.GreaterOrEqual(t, len(met), len(framed))
	p.photograph("blocked")
	p.calm()
}

// forgery is CSRF: a button elsewhere does nothing here.
func (s *street) forgery(t *testing.T) {
	p := s.arrive(t, "forgery", desktop)
	p.watch.expect("403")
	p.enters("Forged Fay")
	p.goes("/wallets")
	p.connects("GCash")
	p.goes("/wallets")
	id := p.attribute(row("GCash", "active")+" [name=id]", "value")
	require.NotEmpty(t, id)
	for path, fields := range map[string]string{
		"/wallet/unbind": fmt.Sprintf(`<input type="hidden" name="id" value=%q>`, id),
		"/wallet/signup": `<input type="hidden" name="wallet" value="DANA">`,
		"/logout":        "",
	} {
		p.visit(elsewhere(t, fmt.Sprintf(`<form method="post" action=%q>%s<button>Win a prize</button></form>`, s.shop.url+path, fields)))
		p.press("button")
		p.reads("#problem", "Not from this shop")
	}
	p.look("refused")
	p.goes("/wallets")
	p.sees(row("GCash", "active"))
	p.sees(row("DANA", "none"))
}
