package codegrant

import (
	"net/netip"
	"net/url"
	"strings"
)

// secureURL reports whether u may carry secrets: https, or http that does not
// leave the machine.
func secureURL(u *url.URL) bool {
	return u.Scheme == "https" || (u.Scheme == "http" && isLoopback(u.Hostname()))
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	// Browsers do not take the IPv4-mapped form for this machine.
	return err == nil && !ip.Is4In6() && ip.IsLoopback()
}

// publicURLProblem says what is wrong with a URL that the gateway or the
// wallet is to call back, "" when nothing is.
// PingPong v4, Payment Notification Integration Guide: full URL, at most 255
// characters, no query string.
func publicURLProblem(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "is missing"
	case err != nil || u.Hostname() == "":
		return "is not an absolute URL"
	case u.User != nil:
		return "must not carry a user or password"
	case strings.ContainsAny(raw, "?#"):
		return "must have no query and no fragment"
	case strings.ContainsAny(raw, "<> \t\r\n"):
		return "must have no blanks and no '<' or '>'"
	case !secureURL(u):
		return "must be https (http only on a loopback address)"
	}
	return ""
}
