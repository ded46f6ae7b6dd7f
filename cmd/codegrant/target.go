package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/codegrant/codegrant"
)

// target says which gateway a command talks to.
type target struct{ endpoint, site string }

func (t *target) register(flags *flagSet) {
	flags.StringVar(&t.endpoint, "endpoint", "", "scheme and host of the gateway, instead of -site")
	flags.StringVar(&t.site, "site", "sandbox", "sandbox, fra, sg or us")
}

// endpoints returns the gateway's host, without paths.
func (t *target) endpoints() (codegrant.Endpoints, error) {
	if t.endpoint != "" {
		u, err := url.Parse(t.endpoint)
		if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return codegrant.Endpoints{}, fmt.Errorf("%w: -endpoint must be scheme and host", errUsage)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())) {
			return codegrant.Endpoints{}, fmt.Errorf("%w: -endpoint must be https, or http on this machine", errUsage)
		}
		return codegrant.Endpoints{Host: u.Scheme + "://" + u.Host}, nil
	}
	switch t.site {
	case "sandbox":
		return codegrant.Sandbox(), nil
	case "fra":
		return codegrant.ProductionFRA(), nil
	case "sg":
		return codegrant.ProductionSG(), nil
	case "us":
		return codegrant.ProductionUS(), nil
	}
	return codegrant.Endpoints{}, fmt.Errorf("%w: -site must be sandbox, fra, sg or us", errUsage)
}

// plainClient follows no redirect.
func plainClient(transport http.RoundTripper) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// isLocal reports the names of this machine.
func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
