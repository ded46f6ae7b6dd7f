package codegrant

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// idRoom is what the kit appends to NotifyURL and ReturnURL: a slash and the
// number of a record or, longer, of a refund.
const idRoom = 1 + 40

// minMaxBody refuses a cap that no notification fits under: the longest fields
// of one add up to more than this.
const minMaxBody = 4 << 10

func (cfg *Config) problems() []string {
	var p []string
	add := func(name, text string) {
		if text != "" {
			p = append(p, name+" "+text)
		}
	}
	switch {
	case cfg.Client == nil:
		add("Client", "is missing; make one with NewClient")
	case cfg.Client.requests == nil:
		add("Client", "was not made by NewClient")
	}
	switch v := reflect.ValueOf(cfg.Store); {
	case cfg.Store == nil:
		add("Store", "is missing; memstore forgets on restart, sqlstore does not")
	case v.Kind() == reflect.Pointer && v.IsNil():
		add("Store", "is a nil pointer")
	}
	if v := reflect.ValueOf(cfg.Payments); v.Kind() == reflect.Pointer && v.IsNil() {
		add("Payments", "is a nil pointer")
	}
	add("Observer", observerProblem(cfg.Observer))
	if cfg.User == nil {
		add("User", "is missing: it tells the kit who is signed in")
	}
	p = append(p, cfg.urlProblems()...)
	for i, target := range cfg.ReturnTo {
		if !validTarget(target) {
			add(fmt.Sprintf("ReturnTo[%d]", i), `must be a path that begins with one "/" or an absolute https URL`)
		}
	}
	for i, host := range cfg.AuthHosts {
		if !hostName(host) {
			add(fmt.Sprintf("AuthHosts[%d]", i), "must be a host name alone, in ASCII, without wildcard or port")
		}
	}
	switch {
	case cfg.MaxBody < 0:
		add("MaxBody", "must not be negative")
	case cfg.MaxBody > 0 && cfg.MaxBody < minMaxBody:
		add("MaxBody", fmt.Sprintf("is below %d bytes, too small for a notification", minMaxBody))
	}
	add("ReadTimeout", durationProblem(cfg.ReadTimeout))
	add("Timeout", durationProblem(cfg.Timeout))
	add("PendingFor", durationProblem(cfg.PendingFor))
	p = append(p, cfg.Reconcile.problems()...)
	if badKinds(cfg.NotifyTypes, knownKind) {
		add("NotifyTypes", "must map each type to one of the Kind constants")
	}
	if badKinds(cfg.SignUpStatuses, signUpKind) {
		add("SignUpStatuses", "must map each status to one of the Kind constants that concern a token")
	}
	if cfg.Logger != nil && cfg.Logger.Handler() == nil {
		add("Logger", "has no handler; make one with slog.New")
	}
	return p
}

// problems lists what is wrong with a client before it has its limits.
func (c *Client) problems() []string {
	p := append(c.account.problems(), c.endpoints.problems()...)
	if text := durationProblem(c.timeout); text != "" {
		p = append(p, "ClientConfig.Timeout "+text)
	}
	if text := observerProblem(c.observe.observer); text != "" {
		p = append(p, "ClientConfig.Observer "+text)
	}
	if c.maxResponse < 0 {
		p = append(p, "ClientConfig.MaxResponse must not be negative")
	}
	blank := func(code string) bool { return strings.TrimSpace(code) == "" }
	if slices.ContainsFunc(c.successCodes, blank) {
		p = append(p, "ClientConfig.SuccessCodes must not hold a blank code")
	}
	if slices.ContainsFunc(c.goneCodes, blank) {
		p = append(p, "ClientConfig.TokenGoneCodes must not hold a blank code")
	}
	succeeds := func(code string) bool { return !blank(code) && slices.Contains(c.successCodes, code) }
	if slices.ContainsFunc(c.goneCodes, succeeds) {
		p = append(p, "ClientConfig.TokenGoneCodes must not hold a code of SuccessCodes")
	}
	return p
}

// urlProblems judges the public URLs as they will be used.
func (cfg *Config) urlProblems() []string {
	var p []string
	for _, each := range []struct {
		name, value string
		used        bool
		room        int
	}{
		{"BaseURL", cfg.BaseURL, cfg.NotifyURL == "" || cfg.ReturnURL == "", len("/notify") + idRoom},
		{"NotifyURL", cfg.NotifyURL, cfg.NotifyURL != "", idRoom},
		{"ReturnURL", cfg.ReturnURL, cfg.ReturnURL != "", idRoom},
	} {
		if !each.used && each.value == "" {
			continue
		}
		text := mountProblem(each.value)
		if text == "" && each.used && len(strings.TrimSuffix(each.value, "/"))+each.room > 255 {
			text = "is too long: with what is appended it must fit in 255 characters"
		}
		if text != "" {
			p = append(p, each.name+" "+text)
		}
	}
	if len(p) > 0 {
		return p
	}
	d := cfg.withDefaults()
	if d.NotifyURL == d.ReturnURL {
		p = append(p, "NotifyURL and ReturnURL must not be the same")
	}
	if cfg.Client != nil && pingpongHost(cfg.Client.endpoints.Host) && !publicHost(d.NotifyURL) {
		name := "NotifyURL"
		if cfg.NotifyURL == "" {
			name = "BaseURL"
		}
		p = append(p, name+" is on this machine or in a private network, where PingPong cannot notify it")
	}
	return p
}

// mountProblem is publicURLProblem for a URL at which handlers are mounted.
func mountProblem(raw string) string {
	if text := publicURLProblem(raw); text != "" {
		return text
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || !saneHost(u):
		return "must have an ASCII host name and a port that exists"
	case strings.IndexFunc(raw, outsideURL) >= 0:
		return "has characters that a URL must escape"
	case u.Path != "" && u.Path != path.Clean(u.Path) && u.Path != path.Clean(u.Path)+"/":
		// A ServeMux answers such a path with a redirect, which no POST survives.
		return "must have no empty, '.' or '..' segments in its path"
	}
	return ""
}

// outsideURL reports characters that RFC 3986 allows nowhere.
func outsideURL(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("\"<>\\^`{|}", r)
}

// saneHost reports whether every browser and dialler reads u's host and port
// the same way.
func saneHost(u *url.URL) bool {
	if u.Port() != "" {
		if port, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || port == 0 {
			return false
		}
	}
	if net.ParseIP(u.Hostname()) != nil {
		return !strings.HasSuffix(u.Host, ":")
	}
	return hostName(u.Hostname()) && !strings.HasSuffix(u.Host, ":")
}

// hostName reports a name, or an IPv4 address, as DNS has them.
func hostName(host string) bool {
	if len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return false
		}
	}
	return true
}

// pingpongHost reports a gateway that is PingPong's own.
func pingpongHost(host string) bool {
	u, err := url.Parse(host)
	return err == nil && strings.HasSuffix(strings.ToLower(u.Hostname()), ".pingpongx.com")
}

// publicHost reports whether raw may be reached from outside.
// PingPong v4, Payment Notification Integration Guide: no localhost, no
// 127.0.0.1, no private address.
func publicHost(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil {
		return false
	}
	host := strings.ToLower(u.Hostname())
	if ip, err := netip.ParseAddr(host); err == nil {
		ip = ip.Unmap()
		return ip.IsGlobalUnicast() && !ip.IsPrivate()
	}
	return host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// observerProblem refuses what would panic at the first call.
func observerProblem(o Observer) string {
	switch v := reflect.ValueOf(o); v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Chan, reflect.Slice:
		if v.IsNil() {
			return "is a nil " + strings.Replace(v.Kind().String(), "ptr", "pointer", 1)
		}
	}
	return ""
}

// durationProblem refuses what is most often a number of seconds without its
// unit.
func durationProblem(d time.Duration) string {
	switch {
	case d < 0:
		return "must not be negative"
	case d > 0 && d < time.Millisecond:
		return "is below 1 ms; a duration needs a unit, as in 3*time.Second"
	}
	return ""
}

func badKinds(kinds map[string]Kind, allowed func(Kind) bool) bool {
	for name, kind := range kinds {
		if strings.TrimSpace(name) == "" || !allowed(kind) {
			return true
		}
	}
	return false
}

func knownKind(k Kind) bool { return signUpKind(k) || k == KindPayment || k == KindRefund }

// signUpKind reports what the status of a sign-up can mean.
func signUpKind(k Kind) bool {
	switch k {
	case KindUnknown, KindSignedUp, KindSignUpFailed, KindUnboundByUser, KindUnboundByMerchant, KindTokenGone:
		return true
	}
	return false
}

// validTarget reports whether a configured return target is safe to send a
// browser to: an absolute https URL, or a path that no browser takes for a
// host.
func validTarget(target string) bool {
	if strings.ContainsAny(target, "\\ <>\"") || strings.IndexFunc(target, unicode.IsControl) >= 0 {
		return false
	}
	u, err := url.Parse(target)
	if err != nil || u.User != nil {
		return false
	}
	if u.Host != "" {
		return saneHost(u) && secureURL(u)
	}
	return u.Scheme == "" && strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//")
}
