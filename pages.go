package codegrant

import (
	"crypto/rand"
	"html/template"
	"net/http"
)

// secureHeaders guards the kit's own pages and answers: never framed, never
// cached, no address told to the next site.
func secureHeaders(w http.ResponseWriter) {
	setHeaders(w.Header(),
		"Cache-Control", "no-store",
		"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
		"Referrer-Policy", "no-referrer",
		"X-Content-Type-Options", "nosniff",
		"X-Frame-Options", "DENY")
}

// setHeaders sets names, which are canonical, to the value behind each. All
// share one piece of memory, which is this answer's alone.
func setHeaders(h http.Header, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		h[pairs[i]] = pairs[i+1 : i+2 : i+2]
	}
}

// page is what the kit's plain pages show.
type page struct {
	Nonce   string
	Title   string
	Text    string
	State   string // pending, active or failed: colours and, if pending, polls
	Target  string // where the link leads
	Link    string
	Seconds int // reload interval of a pending page without scripts
}

func (k *Kit) writeReturnPage(w http.ResponseWriter, t Token) {
	wallet := string(t.Wallet)
	p := page{Target: t.ReturnTo, Link: "Continue", State: t.Status.String()}
	switch t.Status {
	case StatusPending:
		p.Title, p.Text, p.Seconds = "Connecting "+wallet, "We are waiting for "+wallet+
			" to confirm. This page updates by itself, usually within a few seconds.", 3
		p.Link = "Continue without waiting"
		if k.now().Sub(t.CreatedAt) > k.cfg.PendingFor {
			p.Title, p.Text = wallet+" has not confirmed", "If you agreed in "+wallet+
				", it will still appear in your account. Otherwise go back and connect it again."
			p.Link, p.Seconds, p.State = "Go back", 0, "failed"
		}
	case StatusActive:
		p.Title, p.Text = wallet+" is connected", "You can now pay with one click."
	case StatusFailed:
		p.Title, p.Text, p.Link = wallet+" was not connected",
			"The wallet did not agree. Nothing was charged. You can go back and try again.", "Go back"
	default:
		p.Title, p.Text, p.State = wallet+" is disconnected", "It can no longer be charged.", "failed"
	}
	writePage(w, http.StatusOK, p)
}

// answerError answers a browser or a JSON client with what a person can do
// about it, and nothing of the cause.
func (k *Kit) answerError(w http.ResponseWriter, r *http.Request, err error) {
	secureHeaders(w)
	status, code := HTTPStatus(err), shownCode(err)
	if wantsJSON(r) {
		writeJSONError(w, err)
		return
	}
	if k.cfg.ErrorPage != nil {
		k.cfg.ErrorPage(w, r, status, code)
		return
	}
	p := page{State: "failed", Target: k.cfg.ReturnTo[0], Link: "Go back"}
	switch code {
	case ErrUnauthenticated:
		p.Title, p.Text = "Please sign in", "Sign in to your account in this browser, then open this page again."
	case ErrNotFound:
		p.Title, p.Text = "Nothing here", "This page belongs to another account or does not exist. Go back and start again."
	case ErrCrossOrigin:
		p.Title, p.Text = "Not from this site", "For your safety this can only be started from our own pages. Go back and press the button there."
	case ErrNoToken, ErrTokenGone:
		p.Title, p.Text = "No wallet is connected", "Go back and connect a wallet first."
	case ErrOutcomeUnknown, ErrUnreachable, ErrDeadline:
		p.Title, p.Text = "The wallet service did not answer", "Nothing was charged. Wait a moment, go back and try again."
	case ErrRefused:
		p.Title, p.Text = "The wallet service refused", "Nothing was charged. Try another wallet, or try again later."
	case ErrInvalidRequest, ErrMalformed, ErrTooLarge, ErrMethod, ErrBodyConsumed:
		p.Title, p.Text = "That did not work", "The page sent something we do not understand. Go back and try again."
	default:
		p.Title, p.Text = "Something went wrong", "It is our fault, not yours. Nothing was charged. Please try again in a minute."
	}
	writePage(w, status, p)
}

func writePage(w http.ResponseWriter, status int, p page) {
	p.Nonce = rand.Text()
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"+p.Nonce+"'; script-src 'nonce-"+p.Nonce+
		"'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	w.WriteHeader(status)
	_ = pageTemplate.Execute(w, p)
}

// pageTemplate is every page of the kit. A pending one asks for its own state
// as JSON until it changes; without scripts it reloads.
var pageTemplate = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{{if eq .State "pending"}}<noscript><meta http-equiv="refresh" content="{{.Seconds}}"></noscript>
{{end}}<title>{{.Title}}</title>
<style nonce="{{.Nonce}}">
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#f4f5f7;color:#1c2330;font:17px/1.5 system-ui,sans-serif}
main{box-sizing:border-box;width:min(27rem,100% - 2rem);padding:2rem;background:#fff;border-radius:14px;box-shadow:0 1px 3px #0002;border-top:6px solid #8a94a6}
main.active{border-color:#15803d}main.failed{border-color:#b42318}main.pending{border-color:#b7791f}
h1{margin:0 0 .5rem;font-size:1.4rem;line-height:1.25;overflow-wrap:anywhere}
p{margin:0 0 1.25rem;overflow-wrap:anywhere}
a{display:inline-block;padding:.6rem 1.1rem;border-radius:9px;background:#1c2330;color:#fff;text-decoration:none}
main.pending a{background:none;color:inherit;padding:0;text-decoration:underline}
a:focus-visible{outline:3px solid #4c8dff;outline-offset:3px}
</style>
</head>
<body>
<main class="{{.State}}" data-status="{{.State}}" aria-live="polite">
<h1>{{.Title}}</h1>
<p>{{.Text}}</p>
<a href="{{.Target}}">{{.Link}}</a>
</main>
{{if eq .State "pending"}}<script nonce="{{.Nonce}}">
setInterval(async () => {
  try {
    const answer = await fetch(location.pathname, {headers: {Accept: "application/json"}});
    if (answer.ok && (await answer.json()).status !== "pending") location.reload();
  } catch {}
}, 1500);
</script>
{{end}}</body>
</html>
`))
