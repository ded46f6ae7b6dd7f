package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
)

// runCommand runs the whole program.
func runCommand(t *testing.T, stdin io.Reader, args ...string) (status int, out, errs string) {
	t.Helper()
	getenv := func(name string) string {
		return map[string]string{"CODEGRANT_ACCOUNT": gatewaytest.DefaultAccountID, "CODEGRANT_SALTS": gatewaytest.DefaultSalt}[name]
	}
	var stdout, stderr bytes.Buffer
	status = run(t.Context(), environment{stdin: stdin, stdout: &stdout, stderr: &stderr, getenv: getenv}, args)
	return status, stdout.String(), stderr.String()
}

func TestProbeRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args []string
		says string
	}{
		"an argument":                    {[]string{"sandbox"}, "no arguments"},
		"an unknown flag":                {[]string{"-x"}, "not defined"},
		"an unknown site":                {[]string{"-site", "moon"}, "sandbox, fra, sg or us"},
		"an endpoint without TLS":        {[]string{"-endpoint", "http://gateway.example"}, "https"},
		"an endpoint with a path":        {[]string{"-endpoint", "https://gateway.example/v4"}, "scheme and host"},
		"an unknown step":                {[]string{"-skip", "bind,nothing"}, "-skip nothing"},
		"an amount that is none":         {[]string{"-charge", "12,50"}, "no amount of HKD"},
		"an amount with too many digits": {[]string{"-charge", "1.5", "-currency", "KRW"}, "no amount of KRW"},
		"no amount":                      {[]string{"-charge", "0"}, "no amount"},
		"a decline alone":                {[]string{"-charge-failing", "5"}, "needs -charge"},
		"a wallet nobody knows":          {[]string{"-wallet", "Gold"}, "-currency is needed"},
		"no time":                        {[]string{"-timeout", "0s"}, "must be positive"},
		"production":                     {[]string{"-site", "sg"}, "-production allows it"},
		"a host of one's own":            {[]string{"-endpoint", "https://gateway.example"}, "-production allows it"},
		"production, not confirmed":      {[]string{"-site", "sg", "-production"}, "was not confirmed"},
		"production, wrongly confirmed":  {[]string{"-site", "sg", "-production", "-confirm", "yes"}, "was not confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			status, out, errs := runCommand(t, strings.NewReader("y\n"), append([]string{"probe"}, tc.args...)...)
			require.Equal(t, 2, status)
			require.Empty(t, out)
			require.Contains(t, errs, tc.says)
		})
	}
}

func TestProductionIsAllowedByItsName(t *testing.T) {
	t.Parallel()
	name := strings.TrimPrefix(codegrant.ProductionSG().Host, "https://")
	for how, tc := range map[string]struct{ confirm, typed string }{
		"on the command line": {name, ""}, "by hand": {"", name + "\n"},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			o := probeOptions{production: true, confirm: tc.confirm}
			var asked bytes.Buffer
			require.NoError(t, o.allowHost(t.Context(), environment{stderr: &asked}, newInput(tc.typed), codegrant.ProductionSG().Host))
			require.Equal(t, tc.confirm == "", strings.Contains(asked.String(), "live account"))
		})
	}
	o := probeOptions{}
	require.NoError(t, o.allowHost(t.Context(), environment{}, newInput(""), codegrant.Sandbox().Host))
}

func TestProbeWithoutAnAccount(t *testing.T) {
	t.Parallel()
	var errs bytes.Buffer
	status := run(t.Context(), environment{stdin: strings.NewReader(""), stdout: io.Discard, stderr: &errs, getenv: func(string) string { return "" }},
		[]string{"probe"})
	require.Equal(t, 2, status)
	require.Contains(t, errs.String(), "CODEGRANT_ACCOUNT")
}

func TestProbeAsACommand(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	file := filepath.Join(t.TempDir(), "probe.jsonl")
	args := []string{"probe", "-endpoint", g.URL, "-notify-listen", "127.0.0.1:0", "-approve", "-linger", "1s", "-record", file}
	status, out, errs := runCommand(t, strings.NewReader(""), args...)
	require.Zero(t, status, errs)
	require.Contains(t, out, "unbind: what does an unbinding answer?\n  default confirmed: ")
	require.Contains(t, out, "nothing is charged without -charge")
	require.Empty(t, g.Ledger().Charges, "nothing is charged without -charge")
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	status, _, errs = runCommand(t, strings.NewReader(""), args...)
	require.Equal(t, 1, status)
	require.Contains(t, errs, "file exists", "a record is never written over")
}

// TestAPersonPressesEnter is for those who receive no notifications.
func TestAPersonPressesEnter(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	person, keyboard := io.Pipe()
	agree := whenSaid{"Press Enter", func() {
		for _, a := range g.Ledger().Agreements {
			if a.Status == gatewaytest.StatusPending {
				_ = g.Approve(a.AuthURL) // the next call tells whether it worked
			}
		}
		go func() { _, _ = keyboard.Write([]byte("\n")) }()
	}}
	r := runTheProbe(t.Context(), t, g.URL, func(o *probeOptions) { o.approve, o.notifyListen = false, "" }, agree, personAt{person})
	require.NoError(t, r.err, r.out)
	require.Contains(t, r.verdict(t, "consent").Text, "use -notify-listen")
	require.Equal(t, probeConfirmed, r.verdict(t, "signup-query-after").Verdict, "the token came by the query")
	require.Equal(t, probeConfirmed, r.verdict(t, "charge").Verdict)
	require.Equal(t, probeConfirmed, r.verdict(t, "unbind").Verdict)
}

func TestSkippingSteps(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(g.Close)
	r := runTheProbe(t.Context(), t, g.URL, func(o *probeOptions) { o.skip = "xss,refund,unbind" })
	require.NoError(t, r.err)
	for _, l := range r.lines {
		require.NotContains(t, []string{"xss", "refund", "unbind"}, l.Step)
	}
	require.Contains(t, r.out, "was not paid back: look in the portal")
	require.Contains(t, r.out, "is still live: end it in the wallet")
}

func TestADeclinedCharge(t *testing.T) {
	t.Parallel()
	g := gatewaytest.NewServer(gatewaytest.Config{FailFirst: true})
	t.Cleanup(g.Close)
	r := runTheProbe(t.Context(), t, g.URL, func(o *probeOptions) { o.chargeFailing = "99999" })
	require.Contains(t, r.verdict(t, "charge").Text, `status "FAILED", HTTP 200, code 301002`)
	require.Contains(t, r.verdict(t, "charge-failed").Text, `status "FAILED"`)
	require.Equal(t, probeConfirmed, r.verdict(t, "charge-failed").Verdict)

	generous := gatewaytest.NewServer(gatewaytest.Config{})
	t.Cleanup(generous.Close)
	r = runTheProbe(t.Context(), t, generous.URL, func(o *probeOptions) { o.chargeFailing = "99999" })
	require.Contains(t, r.verdict(t, "charge-failed").Text, "it was not declined")
	require.Len(t, generous.Ledger().Refunds, 2, "it is paid back all the same")
}
