package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/diagnose"
)

const explainAbout = `
codegrant explain FILE [flags]

Says why a message does not verify. FILE holds the body as it was received; "-"
is standard input. It undoes what programs, proxies and people do to messages and
salts and computes the signature again: what makes it fit is proven, everything
else is called likely. Nothing is sent anywhere, and no salt, token or whole sign
is printed. A message that nothing explains takes a few seconds.

CODEGRANT_OTHER_SALTS, or -other-salt-file, holds salts of other accounts, or old
ones: the message is never accepted by them, only explained.
` + accountHelp

func explain(_ context.Context, env environment, args []string) error {
	flags := newFlags(env, "explain", explainAbout)
	var who accountFlags
	who.register(flags)
	asJSON := flags.Bool("json", false, "print the report as JSON, for scripts")
	good := flags.String("good", "", "a `file` with a message that is as it was sent: show the first difference")
	others := flags.String("other-salt-file", "", "read other accounts' salts, one a line, from this `file`; default $CODEGRANT_OTHER_SALTS")
	_, account, body, err := flags.parseMessage(args, &who)
	if err != nil {
		return err
	}
	options := diagnose.Options{
		AccountID: account.ID, ClientID: account.ClientID, Digest: string(account.Digest), Salts: revealed(account.Salts),
	}
	if options.OtherSalts, err = saltValues(*others, env.getenv("CODEGRANT_OTHER_SALTS")); err != nil {
		return err
	}
	if *good != "" {
		if options.Good, err = readMessage(env, *good); err != nil {
			return err
		}
	}
	report := diagnose.Explain(body, options)
	if *asJSON {
		encoder := json.NewEncoder(env.stdout)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		printReport(env.stdout, report)
	}
	if err == nil && !report.Verifies {
		err = errFailed
	}
	return err
}

func printReport(w io.Writer, r diagnose.Report) {
	if r.Verifies {
		fmt.Fprintf(w, "verifies: salt %d, kind %s\n", r.Salt, or(r.Kind, "unknown"))
	} else {
		fmt.Fprintf(w, "does not verify: %s\n", strings.TrimPrefix(r.Library, "codegrant: "))
	}
	for i, c := range r.Causes {
		label := "cause"
		if i > 0 {
			label = "also"
		}
		fmt.Fprintf(w, "\n%-6s %s, %s\n", label, c.ID, certaintyText(c.Certainty))
		fmt.Fprintf(w, "       %s\n", c.Text)
		if c.Evidence != "" {
			fmt.Fprintf(w, "       %s\n", c.Evidence)
		}
		fmt.Fprintf(w, "       → %s\n", c.Remedy)
	}
	if d := r.Diff; d != nil {
		printDifference(w, d)
	}
	fmt.Fprint(w, "\ntext under the digest, secrets replaced by their length:\n")
	for i, n := range r.SaltSize {
		fmt.Fprintf(w, "  %4d bytes  [salt %d]\n", n, i)
	}
	for _, m := range r.Members {
		fmt.Fprintf(w, "  %4d bytes  %s=%s\n", m.Length, m.Name, m.Text)
	}
	fmt.Fprintf(w, "received sign  %s…\n", r.Received)
	for i, sum := range r.Computed {
		fmt.Fprintf(w, "computed sign  %s…  by salt %d\n", sum, i)
	}
}

func certaintyText(c diagnose.Certainty) string {
	switch c {
	case diagnose.Proven:
		return "proven: with it undone the signature fits"
	case diagnose.Observed:
		return "observed: enough for a refusal by itself"
	case diagnose.Alternative:
		return "would look the same: the message cannot tell which it was"
	}
	return "likely: by evidence only, not proven"
}

func printDifference(w io.Writer, d *diagnose.Diff) {
	verdict := "verifies"
	if !d.GoodVerifies {
		verdict = "does not verify either"
	}
	where := "the body"
	if d.Member != "" {
		where = d.Member
	}
	fmt.Fprintf(w, "\nthe good message %s; first difference at byte %d of %s:\n  good  %s\n  this  %s\n",
		verdict, d.Offset, where, d.Good, d.Bad)
}
