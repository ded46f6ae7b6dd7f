//go:build linux

package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/codegrant/codegrant/gatewaytest"
)

// userHeader is how the shop knows its users. Only the gateway's own requests
// are without it.
const userHeader = "X-User"

// forge sends what is no notification of the gateway, or an old one.
func (w *world) forge(ctx context.Context) {
	kinds := []struct {
		name string
		body []byte
		good []int // nothing else may be answered
	}{
		{"garbage", []byte("\x00{]not json"), []int{http.StatusBadRequest}},
		{"cut off", cutOff(w.balancer.genuine()), []int{http.StatusBadRequest}},
		{"changed", changed(w.balancer.genuine()), []int{http.StatusBadRequest, http.StatusUnauthorized}},
		{"too large", bytes.Repeat([]byte("x"), 100<<10), []int{http.StatusRequestEntityTooLarge}},
		{"signed with another salt", wrongSalt(), []int{http.StatusUnauthorized}},
		{"the old flat body", []byte(`{"token":"` + strings.Repeat("ab", 16) + `","notifyType":"ACCESS_TOKEN_CREATION"}`), []int{http.StatusBadRequest, http.StatusUnauthorized}},
		// The rest is genuine, and may be refused only by a hook.
		{"of an unknown type", w.gateway.SignedBody(`{"notifyType":"SOMETHING_NEW"}`, nil), []int{http.StatusOK, http.StatusServiceUnavailable}},
		{"replayed", w.balancer.genuine(), []int{http.StatusOK, http.StatusServiceUnavailable, http.StatusBadRequest, http.StatusUnauthorized}},
	}
	kind := kinds[rand.IntN(len(kinds))]
	if len(kind.body) == 0 {
		return
	}
	status, _ := w.post(ctx, "nobody", fmt.Sprintf("/wallet/notify/FORGED%d", rand.IntN(1000)), string(kind.body))
	w.count(fmt.Sprintf("forgery, %s: %d", kind.name, status))
	// A server that refuses a body may close the connection before it is read.
	if status != 0 && !slices.Contains(kind.good, status) {
		w.complain("a notification that is %s was answered with %d", kind.name, status)
	}
}

func cutOff(body []byte) []byte { return body[:len(body)/2] }

func changed(body []byte) []byte {
	if len(body) > 0 {
		body[rand.IntN(len(body))] = '~'
	}
	return body
}

func wrongSalt() []byte {
	members := map[string]string{
		"accId": gatewaytest.DefaultAccountID, "clientId": gatewaytest.DefaultClientID, "code": "000000", "signType": gatewaytest.SHA256,
		"bizContent": `{"notifyType":"RECHARGE","merchantTransactionId":"ORDER-1","requestId":"R","status":"SUCCESS"}`,
	}
	members["sign"] = gatewaytest.Sign("ANOTHER-SALT", gatewaytest.SHA256, members)
	body, _ := json.Marshal(members)
	return body
}

// stall is a sender who never comes to an end: in the header, in the body, or
// byte by byte. The shop has to end it.
func (w *world) stall(ctx context.Context) {
	const patience = 10 * time.Second
	dialer := net.Dialer{Timeout: patience}
	c, err := dialer.DialContext(ctx, "tcp", w.balancer.pick())
	if err != nil {
		w.complain("the shop takes no connection: %v", err)
		return
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	text := "POST /wallet/notify/STALLED HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 500\r\n\r\n{"
	drips := rand.IntN(2) == 0
	if rand.IntN(2) == 0 {
		text = text[:40]
	}
	if _, err := io.WriteString(c, text); err != nil {
		return
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		ended <- err
	}()
	drip := time.NewTicker(100 * time.Millisecond)
	defer drip.Stop()
	for {
		select {
		case <-drip.C:
			if drips {
				_, _ = io.WriteString(c, "x")
			}
		case err := <-ended:
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() { //nolint:errorlint // of the connection itself
				w.complain("a stalled sender was not cut off in %v", patience)
			}
			return
		}
	}
}
