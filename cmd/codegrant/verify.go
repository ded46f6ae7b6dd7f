package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/cmd/codegrant/internal/mask"
)

const verifyAbout = `
codegrant verify FILE [flags]

Says in one line whether the library accepts a message; exit status 0 or 1. FILE
holds the body as received; "-" is standard input. codegrant explain says why not.
` + accountHelp

func verify(_ context.Context, env environment, args []string) error {
	flags := newFlags(env, "verify", verifyAbout)
	var who accountFlags
	who.register(flags)
	_, account, body, err := flags.parseMessage(args, &who)
	if err != nil {
		return err
	}
	n, err := codegrant.ParseNotification(body, account)
	if err != nil {
		fmt.Fprintf(env.stdout, "refused: %s; codegrant explain says why\n", strings.TrimPrefix(err.Error(), "codegrant: "))
		return errFailed
	}
	fmt.Fprintln(env.stdout, summary(n))
	return nil
}

// summary is a verified message in one line, without a secret.
func summary(n codegrant.Notification) string {
	kind := string(n.Kind)
	if kind == "" {
		kind = "unknown"
	}
	line := fmt.Sprintf("verified: %s by salt %d", kind, n.Salt)
	add := func(name, value string) {
		if value != "" {
			line += " " + name + "=" + mask.Text(value, nil)
		}
	}
	add("type", n.Type)
	add("code", n.Code)
	add("request", n.RequestID)
	add("user", n.UserID)
	add("wallet", string(n.Wallet))
	if p := n.Payment; p != nil {
		add("order", p.OrderID)
		add("status", string(p.Status))
		add("amount", p.Amount.String())
	}
	if r := n.Refund; r != nil {
		add("order", r.OrderID)
		add("refund", r.RefundID)
		add("status", string(r.Status))
		add("amount", r.Amount.String())
	}
	if !n.Token.IsZero() {
		line += fmt.Sprintf(" token=[%d characters] fingerprint=%s", len(n.Token.Reveal()), codegrant.Fingerprint(n.Token))
	}
	return line
}
