package codegrant

import (
	"net/url"
	"slices"
	"strings"
)

// Disabled, as a path in [Endpoints], switches an operation off: it returns
// [ErrDisabled] and sends nothing.
const Disabled = "-"

// Endpoints says where the gateway is. An empty path means the default named
// beside it; paths marked UNKNOWN are in no document that could be read, and
// their defaults are guesses by analogy.
type Endpoints struct {
	// Host is scheme and host, for example the one that [Sandbox] returns.
	// Required; https, or http on a loopback address.
	Host string

	SignUp       string // /v4/paymethod/bind
	SignUpQuery  string // UNKNOWN; /v4/paymethod/query
	Unbind       string // UNKNOWN; /v4/paymethod/unbind
	Pay          string // /v4/payment/unifiedPay
	PaymentQuery string // /v4/payment/query
	Refund       string // /v4/payment/refund
	RefundQuery  string // /v4/refund/query; another edition says /v4/payment/getRefund

	Prepare     string // older flow; /v4/authorization/prepare
	ApplyToken  string // older flow; /v4/authorization/applyToken
	CancelToken string // older flow; /v4/authorization/cancelToken
	ListTokens  string // older flow; /v4/authorization/list
}

// Sandbox returns the sandbox, which all sites share.
// PingPong v4, API Endpoint Addresses (2025-10-31), as the other hosts.
func Sandbox() Endpoints {
	return Endpoints{Host: "https://sandbox-acquirer-payment.pingpongx.com"}
}

// ProductionFRA returns the site for Europe and all regions not named below.
func ProductionFRA() Endpoints {
	return Endpoints{Host: "https://acquirer-payment.pingpongx.com"}
}

// ProductionSG returns the site for merchants registered in Asia-Pacific.
func ProductionSG() Endpoints {
	return Endpoints{Host: "https://acquirer-payment-checkout-sg.pingpongx.com"}
}

// ProductionUS returns the site for merchants registered in North America.
func ProductionUS() Endpoints {
	return Endpoints{Host: "https://acquirer-payment-checkout-us.pingpongx.com"}
}

func (e *Endpoints) paths() []*string {
	return []*string{
		&e.SignUp, &e.SignUpQuery, &e.Unbind, &e.Pay, &e.PaymentQuery, &e.Refund, &e.RefundQuery,
		&e.Prepare, &e.ApplyToken, &e.CancelToken, &e.ListTokens,
	}
}

func (e Endpoints) withDefaults() Endpoints {
	e.Host = strings.TrimSuffix(e.Host, "/")
	defaults := Endpoints{
		SignUp: "/v4/paymethod/bind", SignUpQuery: "/v4/paymethod/query", Unbind: "/v4/paymethod/unbind",
		Pay: "/v4/payment/unifiedPay", PaymentQuery: "/v4/payment/query",
		Refund: "/v4/payment/refund", RefundQuery: "/v4/refund/query",
		Prepare: "/v4/authorization/prepare", ApplyToken: "/v4/authorization/applyToken",
		CancelToken: "/v4/authorization/cancelToken", ListTokens: "/v4/authorization/list",
	}
	for i, path := range e.paths() {
		if *path == "" {
			*path = *defaults.paths()[i]
		}
	}
	return e
}

func (e Endpoints) problems() []string {
	var p []string
	if e.Host == "" {
		p = append(p, "Endpoints.Host is missing; use Sandbox(), ProductionSG() or another")
	} else if u, err := url.Parse(e.Host); err != nil || u.Hostname() == "" || u.Path != "" || u.User != nil ||
		strings.ContainsAny(e.Host, "?#") {
		p = append(p, "Endpoints.Host must be scheme and host only")
	} else if !saneHost(u) {
		p = append(p, "Endpoints.Host must have an ASCII host name and a port that exists")
	} else if !secureURL(u) {
		p = append(p, "Endpoints.Host must be https (http only on a loopback address)")
	}
	bad := func(path *string) bool {
		_, err := url.Parse(*path)
		return *path != Disabled && (err != nil || !strings.HasPrefix(*path, "/") || strings.ContainsAny(*path, "?# "))
	}
	if slices.ContainsFunc(e.paths(), bad) {
		p = append(p, `Endpoints: a path must begin with "/" and have no query, or be Disabled`)
	}
	return p
}
