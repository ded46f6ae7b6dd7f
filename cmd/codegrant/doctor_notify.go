package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// slowNotify is what the kit's own limit is set to: the gateway's is unknown.
const slowNotify = 3 * time.Second

// notifyAnswer is what the notification URL said.
type notifyAnswer struct {
	status   int
	header   http.Header
	body     string
	took     time.Duration
	problem  string // why there is no answer
	location string
}

// isKits reports the constant answer that a kit gives with status.
func (a notifyAnswer) isKits(status int) bool {
	return a.problem == "" && a.status == status && a.body == http.StatusText(status) &&
		strings.HasPrefix(a.header.Get("Content-Type"), "text/plain")
}

// checkNotify knocks at the notification URL as the gateway would, with a
// message that no kit acts on: it is unsigned and has no type.
func (d *doctor) checkNotify(ctx context.Context) {
	if d.options.baseURL == "" {
		return // reported already
	}
	notifyURL := strings.TrimSuffix(d.options.notifyURL, "/")
	withID := notifyURL + "/" + probeID()
	message := string(compactJSON(map[string]string{"accId": d.account.ID, "codegrant": "doctor"}))
	a := d.knock(ctx, http.MethodPost, withID, message)
	if text, remedy := notifyTrouble(a); text != "" {
		d.fail("notify", remedy, "%s: %s", notifyURL, text)
		return
	}
	if a.took > slowNotify {
		d.warn("notify", "Look at what stands in front", "%s: a kit refuses the unsigned message, but only after %s", notifyURL, a.took.Round(100*time.Millisecond))
	} else {
		d.ok("notify", "%s: a kit is there and refuses an unsigned message", notifyURL)
	}
	if a := d.knock(ctx, http.MethodGet, withID, ""); a.isKits(http.StatusMethodNotAllowed) {
		d.ok("notify-get", "GET is refused with 405")
	} else {
		d.warn("notify-get", "Route the path to the kit alone, and cache nothing", "GET is answered with %s, not by the kit's 405", describeNotify(a))
	}
	if a := d.knock(ctx, http.MethodPost, notifyURL, message); a.isKits(http.StatusUnauthorized) {
		d.ok("notify-no-id", "the path works without a record's id too")
	} else {
		d.warn("notify-no-id", "Nothing needs it but notifications that were sent by hand: the kit always adds an id",
			"without a record's id the path is answered with %s", describeNotify(a))
	}
	large := string(compactJSON(map[string]string{"accId": d.account.ID, "codegrant": strings.Repeat("x", 32<<10)}))
	if a := d.knock(ctx, http.MethodPost, withID, large); a.isKits(http.StatusUnauthorized) {
		d.ok("notify-size", "a body of 32 KiB arrives whole")
	} else {
		d.warn("notify-size", "Raise the limit of the body's size in front of the kit, or Config.MaxBody", "a body of 32 KiB is answered with %s", describeNotify(a))
	}
}

// knock sends one request and reads the beginning of the answer.
func (d *doctor) knock(ctx context.Context, method, target, body string) notifyAnswer {
	ctx, cancel := d.limited(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		return notifyAnswer{problem: "it is no URL"}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	began := time.Now()
	resp, err := d.http.Do(req)
	if err != nil {
		return notifyAnswer{problem: networkCause(ctx, err), took: time.Since(began)}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	a := notifyAnswer{status: resp.StatusCode, header: resp.Header, body: string(text), took: time.Since(began)}
	if err != nil {
		a.problem = "its answer broke off"
	}
	if to, err := url.Parse(resp.Header.Get("Location")); err == nil {
		to.RawQuery, to.User = "", nil
		a.location = to.String()
	}
	return a
}

func describeNotify(a notifyAnswer) string {
	if a.problem != "" {
		return a.problem
	}
	kind := a.header.Get("Content-Type")
	if kind == "" {
		kind = "no content type"
	}
	return fmt.Sprintf("%d (%s)", a.status, kind)
}

// notifyTrouble says what is wrong with the answer to a POST, and what helps;
// nothing when a kit gave it.
func notifyTrouble(a notifyAnswer) (text, remedy string) {
	switch {
	case a.problem != "":
		return a.problem, "Make it reachable from the internet, over https with a trusted certificate"
	case a.isKits(http.StatusUnauthorized):
		return "", ""
	case a.isKits(http.StatusBadRequest):
		return "a kit answers, but the body did not reach it as it was sent", "Mount it outside middleware that reads or rewrites bodies, and let the proxy pass them on"
	case a.isKits(http.StatusServiceUnavailable):
		return "a kit answers 503: its store or AccountsConfig.Find fails", "Look into its log"
	case a.status >= 300 && a.status < 400:
		return fmt.Sprintf("it redirects with %d to %s, and the gateway follows nobody", a.status, a.location),
			"Give the URL as it is in the end (https, slashes), and keep the path free of logins"
	case a.status >= 200 && a.status < 300:
		return fmt.Sprintf("something else answers %s to an unsigned message: the gateway takes that for delivered, and the token is lost", describeNotify(a)),
			"Route the path to Kit.Notify"
	case a.status == http.StatusUnauthorized:
		return "401, and not from a kit: something in front wants a login", "Keep the path free of logins"
	case a.status == http.StatusForbidden:
		return "403: a firewall (WAF), an address list or CSRF protection is in front", "Let POST requests pass on this path; the signature protects it"
	case a.status == http.StatusNotFound:
		return "404: nothing is mounted at this path, or the record's id is not routed", `Mount Kit.Notify with one more path segment, for example "POST /wallet/notify/{id}"`
	case a.status == http.StatusMethodNotAllowed:
		return "405 to a POST: the route takes other methods", "Route POST to Kit.Notify"
	case a.status == http.StatusRequestEntityTooLarge, a.status == http.StatusLengthRequired, a.status == http.StatusUnsupportedMediaType:
		return fmt.Sprintf("%d: something in front refuses the body", a.status), "Let JSON bodies of up to 64 KiB pass"
	case a.status == http.StatusTooManyRequests:
		return "429: a rate limit is in front", "Let the path pass: the gateway delivers from a few addresses"
	case a.status == http.StatusBadGateway, a.status == http.StatusServiceUnavailable, a.status == http.StatusGatewayTimeout:
		return fmt.Sprintf("%d: the proxy does not reach the application", a.status), "Start it, and look at the proxy's upstream"
	}
	return fmt.Sprintf("%s, which no kit answers", describeNotify(a)), "Route the path to Kit.Notify"
}
