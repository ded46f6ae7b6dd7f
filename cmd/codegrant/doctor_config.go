package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

var (
	documentedID   = regexp.MustCompile(`^[0-9]{22}$`)
	documentedSalt = regexp.MustCompile(`^[0-9A-F]{24}$`)
)

// publicSalts are those that PingPong prints in its documentation, and the
// simulator's: everybody can sign with them.
func publicSalts() []string {
	return []string{"F78BC96A55548B2319EE68E0", "BCE27A281029F5EAF3CC0E82", gatewaytest.DefaultSalt}
}

func (d *doctor) checkAccount(context.Context) {
	id, client := d.account.ID, d.account.ClientID
	switch {
	case id == "":
		d.fail("account", "Set CODEGRANT_ACCOUNT, or -account, to the accId of the portal", "the account is not set")
		return
	case strings.TrimSpace(id) != id:
		d.fail("account", "Take them away", "the account has blanks around it")
		return
	case !documentedID.MatchString(id):
		d.warn("account", "Compare it with the portal", "the account is not 22 digits, as all documented ones are")
	default:
		d.ok("account", "the account has the documented form")
	}
	switch {
	case strings.TrimSpace(client) != client:
		d.fail("client", "Take them away", "the clientId has blanks around it")
	case client != id[:max(0, len(id)-3)]:
		d.warn("client", "Unset CODEGRANT_CLIENT, unless the portal says so",
			"the clientId is not the account without its last three digits")
	default:
		d.ok("client", "the clientId is the account without its last three digits")
	}
	if d.account.Digest != codegrant.SHA256 && d.account.Digest != codegrant.MD5 {
		d.fail("digest", "Unset CODEGRANT_DIGEST", "the digest is neither SHA256 nor MD5")
	}
}

func (d *doctor) checkSalts(context.Context) {
	salts := revealed(d.account.Salts)
	if len(salts) == 0 {
		d.fail("salts", "Set CODEGRANT_SALTS, or -salt-file, to the salt of the portal, several with commas between them", "the salt is not set")
		return
	}
	_, err := codegrant.NewClient(codegrant.ClientConfig{Account: d.account, Endpoints: codegrant.Endpoints{Host: d.host}})
	if problems := problemsOf(err, "Account.Salts"); len(problems) > 0 {
		d.account.Salts = nil // nothing signs with them
		d.fail("salts", "Set each as the portal shows it, with no blanks between them", "%s", strings.Join(problems, "; "))
		return
	}
	production := d.host != codegrant.Sandbox().Host && !isLocalURL(d.host)
	for i, salt := range salts {
		switch {
		case slices.Contains(publicSalts(), salt) && production:
			d.fail("salts", "Use the account's own salt", "salt %d is published: anybody can sign with it", i+1)
		case !documentedSalt.MatchString(salt):
			d.warn("salts", "Compare it with the portal", "salt %d is not 24 upper-case hex digits, as the documented ones are", i+1)
		default:
			d.ok("salts", "salt %d has the documented form", i+1)
		}
	}
}

// problemsOf returns the problems of a *codegrant.ConfigError that begin with
// prefix.
func problemsOf(err error, prefix string) []string {
	var config *codegrant.ConfigError
	if !errors.As(err, &config) {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(config.Problems), func(p string) bool { return !strings.HasPrefix(p, prefix) })
}

// checkURLs lets the library judge the public URLs, as it will at start.
func (d *doctor) checkURLs(context.Context) {
	o := &d.options
	if o.baseURL == "" {
		d.warn("base-url", "Set CODEGRANT_BASE_URL or -base-url", "it is not given, so it and the notification URL are not checked")
		return
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account:   codegrant.Account{ID: "doctor", Salts: codegrant.Salts("0123456789ABCDEF01234567")},
		Endpoints: codegrant.Endpoints{Host: d.host}, // one on this machine reaches this machine
	})
	if err != nil {
		d.fail("base-url", "", "%v", err)
		return
	}
	_, err = codegrant.New(codegrant.Config{
		Client: client, Store: memstore.New(), BaseURL: o.baseURL, NotifyURL: o.notifyURL, ReturnURL: o.returnURL,
		User: func(*http.Request) (string, error) { return "", nil },
	})
	if err != nil {
		d.fail("base-url", "Correct CODEGRANT_BASE_URL, CODEGRANT_NOTIFY_URL or CODEGRANT_RETURN_URL", "%s", strings.Join(problemsOf(err, ""), "; "))
		o.baseURL = ""
		return
	}
	if o.notifyURL == "" {
		o.notifyURL = strings.TrimSuffix(o.baseURL, "/") + "/notify"
	}
	d.ok("base-url", "the public URLs have a form that PingPong takes")
}

func isLocalURL(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && isLocal(u.Hostname())
}

// maxClockSkew is far below what users notice, and above what a network adds.
const maxClockSkew = 30 * time.Second

// checkGateway looks at connection and clock.
func (d *doctor) checkGateway(ctx context.Context) {
	ctx, cancel := d.limited(ctx)
	defer cancel()
	began := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.host+"/", nil)
	if err != nil {
		d.fail("gateway", "", "%v", err)
		return
	}
	resp, err := d.http.Do(req)
	if err != nil {
		d.fail("gateway", "Look at DNS, firewall, proxy and the machine's certificates", "%s: %s", d.host, networkCause(ctx, err))
		return
	}
	defer resp.Body.Close()
	if resp.TLS == nil {
		d.ok("gateway", "%s answers, over plain HTTP on this machine", d.host)
	} else {
		left := time.Until(resp.TLS.PeerCertificates[0].NotAfter)
		d.ok("gateway", "%s answers over %s; its certificate lasts %d days", d.host, tls.VersionName(resp.TLS.Version), int(left.Hours()/24))
	}
	remote, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil {
		d.warn("clock-gateway", "", "the gateway told no time, so the clock was not compared")
		return
	}
	d.compareClock("clock-gateway", "the gateway", began, remote)
}

// compareClock compares a remote time with this machine's; the question was
// asked at began and has just been answered.
func (d *doctor) compareClock(name, whose string, began, remote time.Time) {
	middle := began.Add(time.Since(began) / 2)
	skew := remote.Sub(middle).Round(time.Second)
	if skew.Abs() > maxClockSkew {
		d.warn(name, "Run a time service (NTP) on both", "this machine's clock and that of %s differ by %s", whose, skew.Abs())
		return
	}
	d.ok(name, "this machine's clock agrees with that of %s", whose)
}

// checkAccepted asks for an order that does not exist, which changes nothing.
func (d *doctor) checkAccepted(ctx context.Context) {
	if len(d.account.Salts) == 0 || d.account.ID == "" {
		return // reported already
	}
	client, err := codegrant.NewClient(codegrant.ClientConfig{
		Account: d.account, Endpoints: codegrant.Endpoints{Host: d.host}, Timeout: d.options.timeout, HTTPClient: d.http,
	})
	if err != nil {
		d.fail("signature", "Correct the account", "%s", strings.Join(problemsOf(err, ""), "; "))
		return
	}
	_, err = client.QueryPayment(ctx, codegrant.PaymentQuery{OrderID: probeID()})
	var refusal *codegrant.GatewayError
	isRefusal := errors.As(err, &refusal)
	switch {
	case errors.Is(err, codegrant.ErrNotFound):
		d.ok("signature", "the gateway accepts the account's signature")
	case isRefusal && !refusal.Unverified:
		d.ok("signature", "the gateway accepts the account's signature; it says code %q to an order that does not exist", refusal.Code)
	case isRefusal && refusal.Code != "":
		d.fail("signature", "Compare CODEGRANT_ACCOUNT and CODEGRANT_SALTS with the portal, and the site with the account's",
			"the gateway does not accept it: code %q (%s)", refusal.Code, refusal.Description)
	case errors.Is(err, codegrant.ErrUnreachable):
		// The gateway check has said why.
	default:
		d.fail("signature", "Look at what stands between this machine and the gateway", "no signed answer came: %v", err)
	}
}

// networkCause names the usual causes of a connection that fails.
func networkCause(ctx context.Context, err error) string {
	var dns *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &dns):
		return "its name does not resolve: " + dns.Err
	case errors.As(err, &certificate):
		return "its certificate is not trusted: " + certificate.Err.Error()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "no answer came in time"
	}
	return shortNetworkError(ctx, err).Error()
}
