package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/stretchr/testify/require"
)

// recording is what the probe writes about a sign-up, a charge with its refund
// and an unbinding, and the kinds of the notifications in it.
func recording(t *testing.T) (file string, kinds []string) {
	t.Helper()
	g := gatewaytest.NewServer(gatewaytest.Config{AccountID: testAccount, Salt: testSalt, RichNotification: true})
	t.Cleanup(g.Close)
	file = filepath.Join(t.TempDir(), "probe.jsonl")
	c := configured()
	require.Zero(t, c.run(t, "probe", "-endpoint", g.URL, "-notify-listen", "127.0.0.1:0", "-approve", "-linger", "1s",
		"-wallet", "GCash", "-charge", "12.50", "-record", file), c.err.String())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(content)) {
		var l probeLine
		require.NoError(t, json.Unmarshal([]byte(line), &l))
		if l.Kind == "notification" {
			m := readProbeMessage([]byte(l.Request), nil)
			kinds = append(kinds, m.field("notifyType"))
		}
	}
	require.Contains(t, kinds, "ACCESS_TOKEN_CREATION")
	require.Contains(t, kinds, "RECHARGE")
	return file, kinds
}

func TestReplayOfARecording(t *testing.T) {
	t.Parallel()
	file, kinds := recording(t)
	account := codegrant.Account{ID: testAccount, Salts: codegrant.Salts(testSalt)}
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	c := configured()

	require.Equal(t, 1, c.run(t, "replay", file, "-to", s.URL), "tokens are not in it")
	require.Equal(t, len(kinds), strings.Count(c.out.String(), "notification "))
	require.Equal(t, len(kinds), strings.Count(c.out.String(), "not delivered: masked in the recording"), "each has a token")
	require.Contains(t, c.out.String(), "-set token=VALUE -set userLoginId=VALUE\n")
	require.Empty(t, s.bodies)

	given := []string{"-set", "token=" + testToken, "-set", "userLoginId=u@example.com"}
	require.Zero(t, c.run(t, append([]string{"replay", file, "-to", s.URL}, given...)...), c.out.String())
	for _, kind := range kinds {
		body := receive(t, s.bodies)
		require.NotContains(t, body, "[masked")
		n, err := codegrant.ParseNotification([]byte(body), account)
		require.NoError(t, err)
		require.Equal(t, kind, n.Type)
		require.Contains(t, body, testToken)
		require.Equal(t, kind != "RECHARGE", strings.Contains(body, "u@example.com"), "nothing is added")
	}

	require.Zero(t, c.run(t, append([]string{"replay", file, "-to", s.URL, "-n", "1", "-times", "2"}, given...)...))
	require.Contains(t, c.out.String(), "2 of 2 accepted")
	first := receive(t, s.bodies)
	require.Equal(t, first, receive(t, s.bodies))
	require.Empty(t, s.bodies)

	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"a number too many": {[]string{file, "-n", "99"}, 2, "-n is 1 to"},
		"below one":         {[]string{file, "-n", "-1"}, 2, "-n is 1 to"},
		"as they are":       {[]string{file, "-as-is"}, 2, "signs are masked"},
		"a body alone":      {[]string{write(t, recorded(t)), "-n", "1"}, 2, "this is none"},
		"one of masked":     {[]string{file, "-n", "1"}, 1, "to be given: -set token=VALUE"},
		"only verdicts":     {[]string{write(t, `{"time":"2026-11-27T02:00:00Z","kind":"verdict","step":"reach"}`)}, 1, "holds no notification"},
	} {
		require.Equal(t, test.status, c.run(t, append([]string{"replay", "-to", s.URL}, test.args...)...), name)
		require.Contains(t, c.err.String(), test.says, name)
	}
	require.Empty(t, s.bodies)
}

func TestReplayOfARecordingWithoutSecrets(t *testing.T) {
	t.Parallel()
	const content = `{"notifyType":"RECHARGE","merchantTransactionId":"ORDER-1","status":"SUCCESS","amount":"12.50","currency":"USD","a":{"b":"[masked x, 3 digits]","c":1.50}}`
	line := probeLine{Time: time.Now(), Kind: "notification", Step: "charge", Request: string(compactJSON(map[string]string{
		"accId": "1", "code": "000000", "sign": "[masked sign, 64 upper-case hex digits]", "bizContent": content,
	}))}
	var file strings.Builder
	require.NoError(t, json.NewEncoder(&file).Encode(line))
	line.Request = strings.Replace(line.Request, `[masked x, 3 digits]`, "123", 1)
	require.NoError(t, json.NewEncoder(&file).Encode(line))
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	c := configured()
	c.stdin = file.String() + `{"time":"2026-11-27T02:00:00Z","kind":"notif`
	require.Equal(t, 1, c.run(t, "replay", "-", "-to", s.URL), "one of two is delivered")
	require.Contains(t, c.out.String(), "-set a.b=VALUE\n")
	require.Contains(t, receive(t, s.bodies), `{\"b\":\"123\",\"c\":1.50}`)
	require.Zero(t, c.run(t, "replay", "-", "-to", s.URL, "-n", "1", "-set", "a.b=<7>"))
	require.Contains(t, receive(t, s.bodies), `{\"b\":\"<7>\",\"c\":1.50}`)
	require.Empty(t, s.bodies)
}
