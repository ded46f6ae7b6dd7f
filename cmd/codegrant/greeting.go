package main

import (
	"fmt"
	"io"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// greet prints all that a client needs to know, with a call that works.
func (s *simulation) greet(w io.Writer, base string) {
	c := s.config
	client := c.ClientID
	if client == "" && len(c.AccountID) > 3 {
		client = c.AccountID[:len(c.AccountID)-3]
	}
	shownSalt := c.Salt
	if s.secret {
		shownSalt = fmt.Sprintf("[%d characters, from the file]", len(c.Salt))
	}
	fmt.Fprintf(w, `simulated gateway at %s

  accId     %s
  clientId  %s
  salt      %s
  signType  %s

Point your client at %[1]s instead of https://sandbox-acquirer-payment.pingpongx.com
and keep the paths:

  /v4/paymethod/bind   /v4/payment/unifiedPay  /v4/payment/query
  /v4/payment/refund   /v4/refund/query        /v4/payment/getRefund
  %[6]s  %[7]s  (guessed: no document names these two)
  /v4/authorization/prepare  applyToken  cancelToken  list  (the older flow)

In a browser: %[1]s/ledger (who was charged, what was notified) and
%[1]s/wallet (the users' agreements).
`, base, c.AccountID, client, shownSalt, c.SignType, gatewaytest.DefaultSignUpQueryPath, gatewaytest.DefaultUnbindPath)
	body, err := s.example(client)
	if err != nil {
		fmt.Fprintf(w, "\nno example: %v\n\n", err)
		return
	}
	fmt.Fprintf(w, `
Try it; the answer's authUrl is the consent page, and consent sends a signed
notification to notificationUrl:

  curl -s %s/v4/paymethod/bind -H 'Content-Type: application/json' -H 'Accept: application/json' -d '%s'

Ctrl-C stops it.
`, base, body)
}

// example is a sign-up that was not made yet, signed.
func (s *simulation) example(client string) ([]byte, error) {
	e := envelope{values: make(map[string]string)}
	for _, name := range []string{"accId", "clientId", "signType", "sign"} {
		e.set(name, "")
	}
	e.set("version", "1.0")
	e.set("bizContent", fmt.Sprintf(`{"requestId":"TRY-%d","merchantUserId":"user-1","bizType":"CodeGrant",`+
		`"paymentMethod":{"type":"GCash"},"merchantResultUrl":"http://127.0.0.1:8080/wallet/return",`+
		`"notificationUrl":"http://127.0.0.1:8080/wallet/notify","device":{"orderTerminal":"01"}}`, time.Now().UnixMilli()))
	return e.signed(codegrant.Account{
		ID: s.config.AccountID, ClientID: client, Salts: codegrant.Salts(s.config.Salt), Digest: codegrant.Digest(s.config.SignType),
	})
}
