package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/stretchr/testify/require"
)

const (
	testAccount = "2022102018024210348883"
	testClient  = "2022102018024210348"
	testSalt    = "C0FFEE78BC96A55548B23190"
	testToken   = "7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"
	testContent = `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0001","merchantUserId":"user-7","token":"` + testToken + `","url":"https://shop.example/a?b=<1>&c=2"}`
)

// terminal is what a command was given and what it printed.
type terminal struct {
	stdin    string
	settings map[string]string
	out, err bytes.Buffer
}

func configured() *terminal {
	return &terminal{settings: map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": testSalt}}
}

func (c *terminal) run(t *testing.T, args ...string) int {
	t.Helper()
	c.out.Reset()
	c.err.Reset()
	status := run(t.Context(), environment{
		stdin: strings.NewReader(c.stdin), stdout: &c.out, stderr: &c.err,
		getenv: func(name string) string { return c.settings[name] },
	}, args)
	for _, secret := range []string{testSalt, c.settings["CODEGRANT_SALTS"]} {
		if secret != "" {
			require.NotContains(t, c.out.String()+c.err.String(), secret)
		}
	}
	return status
}

func write(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "message.json")
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

// recorded is a notification as the simulator signs it.
func recorded(t *testing.T) string {
	t.Helper()
	g := gatewaytest.New(gatewaytest.Config{AccountID: testAccount, Salt: testSalt})
	defer g.Close()
	return string(g.SignedBody(testContent, nil))
}

func TestUsage(t *testing.T) {
	t.Parallel()
	c := configured()
	require.Zero(t, c.run(t))
	for _, command := range commands() {
		require.Contains(t, c.out.String(), "  "+command.name)
	}
	require.Equal(t, 2, c.run(t, "nonsense"))
	shared := make(map[string]string)
	for _, command := range commands() {
		word := command.name
		require.Zero(t, c.run(t, word, "-h"), word)
		require.Empty(t, c.err.String(), word)
		require.True(t, strings.HasPrefix(c.out.String(), "codegrant "+word+" "), c.out.String())
		for line := range strings.Lines(c.out.String()) {
			require.LessOrEqual(t, len(line), 140, "%s: %s", word, line)
		}
		// What the simulator takes is an account of its own.
		if word != "simulate" {
			require.Contains(t, c.out.String(), strings.TrimSpace(accountHelp), word)
			for _, flag := range []string{"account", "client", "digest", "salt-file"} {
				_, text, found := strings.Cut(c.out.String(), "  -"+flag+" ")
				require.True(t, found, "%s has no -%s", word, flag)
				text, _, _ = strings.Cut(strings.TrimSpace(text), "\n  -")
				shared[flag] = or(shared[flag], text)
				require.Equal(t, shared[flag], text, word)
			}
		}
		require.Equal(t, 2, c.run(t, word, "-nonsense"))
		require.Contains(t, c.err.String(), "not defined")
		require.Equal(t, 2, c.run(t, word, "-salt", testAccount), "there is no flag for salts")
	}
	for _, word := range []string{"explain", "verify", "sign", "replay"} {
		require.Equal(t, 2, c.run(t, word), word)
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	file := write(t, recorded(t))
	for name, test := range map[string]struct {
		settings map[string]string
		args     []string
		status   int
		says     string
	}{
		"no account":                 {map[string]string{"CODEGRANT_SALTS": testSalt}, nil, 2, "CODEGRANT_ACCOUNT"},
		"no salt":                    {map[string]string{"CODEGRANT_ACCOUNT": testAccount}, nil, 2, "CODEGRANT_SALTS"},
		"all by the environment":     {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_CLIENT": testClient, "CODEGRANT_SALTS": "0123456789ABCDEF01234567," + testSalt}, nil, 0, "by salt 1"},
		"account and salt by flags":  {nil, []string{"-account", testAccount, "-salt-file", write(t, "0123456789ABCDEF01234567\r\n\n"+testSalt+"\n")}, 0, "by salt 1"},
		"another client":             {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": testSalt}, []string{"-client", "1"}, 1, "wrong account"},
		"another digest":             {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": testSalt, "CODEGRANT_DIGEST": "MD5"}, nil, 1, "bad signature"},
		"no such digest":             {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": testSalt}, []string{"-digest", "SHA1"}, 2, "SHA256 or MD5"},
		"no such file of salts":      {map[string]string{"CODEGRANT_ACCOUNT": testAccount}, []string{"-salt-file", "/nonexistent"}, 1, "no such file"},
		"blanks stay with the salt":  {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": testSalt + " "}, nil, 1, "blanks"},
		"an empty salt is no salt":   {map[string]string{"CODEGRANT_ACCOUNT": testAccount, "CODEGRANT_SALTS": ","}, nil, 1, "blank"},
		"there is no flag for salts": {map[string]string{"CODEGRANT_ACCOUNT": testAccount}, []string{"-salt", "x"}, 2, "not defined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &terminal{settings: test.settings}
			require.Equal(t, test.status, c.run(t, append([]string{"verify", file}, test.args...)...))
			require.Contains(t, c.out.String()+c.err.String(), test.says)
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	c := configured()
	require.Zero(t, c.run(t, "verify", write(t, recorded(t))))
	require.Equal(t, "verified: signed_up by salt 0 type=ACCESS_TOKEN_CREATION code=000000 request=REQ-0001 user=user-7 token=[64 characters] fingerprint="+
		codegrant.Fingerprint(codegrant.NewSecret(testToken))+"\n", c.out.String())

	c.stdin = strings.Replace(recorded(t), "user-7", "user-8", 1)
	require.Equal(t, 1, c.run(t, "verify", "-"))
	require.Equal(t, "refused: verify: bad signature; codegrant explain says why\n", c.out.String())

	g := gatewaytest.New(gatewaytest.Config{AccountID: testAccount, Salt: testSalt})
	defer g.Close()
	c.stdin = string(g.SignedBody(`{"notifyType":"RECHARGE","merchantTransactionId":"ORDER-1\u001b[31m","status":"SUCCESS","amount":"12.50","currency":"USD"}`, nil))
	require.Zero(t, c.run(t, "verify", "-"))
	require.Contains(t, c.out.String(), `payment by salt 0 type=RECHARGE code=000000 order=ORDER-1\x1b[31m status=SUCCESS`)
	require.NotContains(t, c.out.String(), "\x1b", "a message must not steer the terminal")
}

func TestSign(t *testing.T) {
	t.Parallel()
	spread := "{\n  \"requestId\": \"REQ-1\",\n  \"n\": 1.50,\n  \"z\": \"<&\\u00e9\\/\",\n  \"a\": 12345678901234567890\n}"
	compact := `{"requestId":"REQ-1","n":1.50,"z":"<&\u00e9\/","a":12345678901234567890}`
	quoted, err := json.Marshal(spread)
	require.NoError(t, err)
	for name, test := range map[string]struct {
		in      string
		args    []string
		content string
		members []string
	}{
		"an object becomes bizContent":    {spread, nil, compact, []string{"accId", "bizContent", "clientId", "sign", "signType", "version"}},
		"bizContent as an object":         {`{"accId":"other","sign":"old","bizContent":` + spread + `}`, nil, compact, []string{"accId", "bizContent", "clientId", "sign", "signType", "version"}},
		"bizContent as a string stays":    {`{"bizContent":` + string(quoted) + `}`, nil, spread, []string{"accId", "bizContent", "clientId", "sign", "signType", "version"}},
		"as the gateway notifies":         {spread, []string{"-notification"}, compact, []string{"accId", "bizContent", "clientId", "code", "description", "sign", "signType"}},
		"with a code of its own":          {spread, []string{"--notification", "--code", "301002"}, compact, []string{"accId", "bizContent", "clientId", "code", "sign", "signType"}},
		"members of its own are signed":   {`{"extra":"1","bizContent":"{}"}`, nil, "{}", []string{"accId", "bizContent", "clientId", "extra", "sign", "signType", "version"}},
		"null and empty ones are left":    {`{"code":null,"extra":"","bizContent":"{}"}`, nil, "{}", []string{"accId", "bizContent", "clientId", "sign", "signType", "version"}},
		"MD5":                             {spread, []string{"-digest", "MD5"}, compact, []string{"accId", "bizContent", "clientId", "sign", "signType", "version"}},
		"a file, and flags on both sides": {spread, []string{"-code", "000000"}, compact, []string{"accId", "bizContent", "clientId", "code", "sign", "signType"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := configured()
			require.Zero(t, c.run(t, append([]string{"sign", write(t, test.in)}, test.args...)...), c.err.String())
			var message map[string]string
			require.NoError(t, json.Unmarshal(c.out.Bytes(), &message))
			require.Equal(t, test.content, message["bizContent"])
			var names []string
			for name := range message {
				names = append(names, name)
			}
			require.ElementsMatch(t, test.members, names)
			require.Equal(t, testAccount, message["accId"])
			digest := "SHA256"
			if name == "MD5" {
				digest = "MD5"
			}
			require.Equal(t, gatewaytest.Sign(testSalt, digest, message), message["sign"])
			c.stdin = c.out.String()
			require.Zero(t, c.run(t, "verify", "-", "-digest", digest), c.out.String())
		})
	}
}

func TestSignMatchesThePublishedVector(t *testing.T) {
	t.Parallel()
	// PingPong v4, "Create a Payment Intent": the sample's own sign.
	content := `{"captureDelayHours":"0","amount":"1000","currency":"USD","merchantTransactionId":"PMT-PR5GFUNZQP1695182276082","payResultUrl":"https://test-acquirerpay.pingpongx.com/qa/result.html","payCancelUrl":"https://test-acquirerpay.pingpongx.com/qa/result.html","shopperIP":"222.126.52.23","customer":{"identificationId":"211","lastName":"LeBronbb","email":"test@pingpongx.com","phone":"9157030054"}}`
	c := &terminal{stdin: content, settings: map[string]string{"CODEGRANT_ACCOUNT": "2018092714313010016291", "CODEGRANT_SALTS": "F78BC96A55548B2319EE68E0"}}
	require.Zero(t, c.run(t, "sign", "-"))
	require.Contains(t, c.out.String(), `"sign":"28178F3C0B0AF10343F715211B9C7791AB4CF091EB4580505E053318E8F37B85"`)
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":              "",
		"an array":             "[]",
		"text":                 "hello",
		"half an object":       `{"a":`,
		"two objects":          `{"a":1}{"b":2}`,
		"a member twice":       `{"a":1,"a":2}`,
		"bizContent a number":  `{"bizContent":1}`,
		"bizContent not JSON":  `{"bizContent":"hello"}`,
		"a member twice below": `{"bizContent":"{\"a\":1,\"a\":2}"}`,
		"& in a member":        `{"extra":"a&b=c","bizContent":"{}"}`,
	} {
		c := configured()
		c.stdin = in
		require.Equal(t, 1, c.run(t, "sign", "-"), name)
		require.Empty(t, c.out.String(), name)
		require.NotEmpty(t, c.err.String(), name)
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	c := configured()
	require.Zero(t, c.run(t, "explain", write(t, recorded(t))))
	require.Contains(t, c.out.String(), "verifies: salt 0, kind signed_up")

	escaped := strings.ReplaceAll(recorded(t), `/`, `\\/`)
	require.Equal(t, 1, c.run(t, "explain", write(t, escaped)))
	require.Contains(t, c.out.String(), "does not verify: verify: bad signature\n\ncause  bizcontent_reencoded, proven")
	require.Contains(t, c.out.String(), "[64 characters]")
	require.Contains(t, c.out.String(), "  22 bytes  accId="+testAccount)
	require.NotContains(t, c.out.String(), testToken)

	c.stdin = escaped
	require.Equal(t, 1, c.run(t, "explain", "-", "--json", "--good", write(t, recorded(t))))
	var report struct {
		Verifies   bool
		Causes     []struct{ ID, Certainty string }
		Difference struct {
			Member string
			Good   bool `json:"good_verifies"`
		}
	}
	require.NoError(t, json.Unmarshal(c.out.Bytes(), &report))
	require.False(t, report.Verifies)
	require.Equal(t, "bizcontent_reencoded", report.Causes[0].ID)
	require.Equal(t, "proven", report.Causes[0].Certainty)
	require.Equal(t, "bizContent", report.Difference.Member)
	require.True(t, report.Difference.Good)

	c.settings["CODEGRANT_SALTS"] = " " + testSalt + "\n"
	c.stdin = recorded(t)
	require.Equal(t, 1, c.run(t, "explain", "-"))
	require.Contains(t, c.out.String(), "cause  salt_blanks, proven")

	c.settings["CODEGRANT_SALTS"], c.settings["CODEGRANT_OTHER_SALTS"] = "0123456789ABCDEF01234567", testSalt
	require.Equal(t, 1, c.run(t, "explain", "-"))
	require.Contains(t, c.out.String(), "cause  salt_of_another_account, proven")
	require.Equal(t, 1, c.run(t, "explain", "/nonexistent"))
}

// shop is a merchant's server that keeps what it was sent.
type shop struct {
	*httptest.Server
	bodies chan string
	paths  chan string
}

func newShop(t *testing.T, answer http.HandlerFunc) *shop {
	t.Helper()
	s := &shop{bodies: make(chan string, 100), paths: make(chan string, 100)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		_, _ = body.ReadFrom(r.Body)
		s.bodies <- body.String()
		s.paths <- r.Method + " " + r.URL.EscapedPath() + " " + r.Header.Get("Content-Type")
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func receive(t *testing.T, from chan string) string {
	t.Helper()
	select {
	case text := <-from:
		return text
	case <-time.After(20 * time.Second):
		require.Fail(t, "nothing came")
		return ""
	}
}

func TestReplay(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK\x1b[0m " + testToken)) })
	c := &terminal{settings: map[string]string{"CODEGRANT_ACCOUNT": "2018092714313010016291", "CODEGRANT_SALTS": "0123456789ABCDEF01234567"}}
	file := write(t, recorded(t))
	require.Zero(t, c.run(t, "replay", file, "--to", s.URL+"/wallet/notify", "--id", "REQ/1"), c.err.String())
	require.Contains(t, c.out.String(), `200 OK  OK\x1b[0m [64 characters]`)
	require.Contains(t, c.err.String(), "as recorded it would be refused (verify: wrong account)")
	require.Equal(t, "POST /wallet/notify/REQ%2F1 application/json", receive(t, s.paths))
	var sent map[string]string
	require.NoError(t, json.Unmarshal([]byte(receive(t, s.bodies)), &sent))
	require.Equal(t, testContent, sent["bizContent"], "unchanged")
	require.Equal(t, "2018092714313010016291", sent["accId"], "the configured account's")
	require.Equal(t, "2018092714313010016", sent["clientId"])
	require.Equal(t, gatewaytest.Sign("0123456789ABCDEF01234567", "SHA256", sent), sent["sign"])

	require.Zero(t, c.run(t, "replay", "-to", s.URL, "-as-is", file))
	require.Equal(t, recorded(t), receive(t, s.bodies))

	require.Zero(t, c.run(t, "replay", file, "-to", s.URL, "-code", "001000", "-set", "requestId=NEW<1>", "-set", "more=a=b"))
	require.NoError(t, json.Unmarshal([]byte(receive(t, s.bodies)), &sent))
	require.Equal(t, "001000", sent["code"])
	require.Equal(t, strings.NewReplacer("REQ-0001", "NEW<1>", `c=2"}`, `c=2","more":"a=b"}`).Replace(testContent), sent["bizContent"])

	require.Zero(t, c.run(t, "replay", file, "-to", s.URL, "-bizcontent", write(t, "{\"a\": 1}\n")))
	require.NoError(t, json.Unmarshal([]byte(receive(t, s.bodies)), &sent))
	require.Equal(t, `{"a": 1}`, sent["bizContent"])

	for _, order := range []string{"-parallel", "-parallel=false"} {
		require.Zero(t, c.run(t, "replay", file, "-to", s.URL, "-times", "5", order))
		require.Contains(t, c.out.String(), "5 of 5 accepted")
		first := receive(t, s.bodies)
		for range 4 {
			require.Equal(t, first, receive(t, s.bodies))
		}
	}
}

func TestReplayIsWhatTheKitAccepts(t *testing.T) {
	t.Parallel()
	account := codegrant.Account{ID: testAccount, Salts: codegrant.Salts(testSalt)}
	s := newShop(t, func(http.ResponseWriter, *http.Request) {})
	c := configured()
	require.Zero(t, c.run(t, "replay", write(t, recorded(t)), "--to", s.URL))
	require.Empty(t, c.err.String())
	n, err := codegrant.ParseNotification([]byte(receive(t, s.bodies)), account)
	require.NoError(t, err)
	require.Equal(t, codegrant.KindSignedUp, n.Kind)
}

func TestReplayRefuses(t *testing.T) {
	t.Parallel()
	s := newShop(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		case "/fail":
			_, _ = w.Write([]byte("FAIL"))
		case "/hang":
			<-r.Context().Done()
		default:
			http.Error(w, strings.Repeat("x", 500), http.StatusUnauthorized)
		}
	})
	file, c := write(t, recorded(t)), configured()
	for name, test := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"another machine":            {[]string{file, "-to", "https://shop.example/notify"}, 2, "-yes"},
		"a name that looks local":    {[]string{file, "-to", "http://127.0.0.1.shop.example/"}, 2, "-yes"},
		"no URL":                     {[]string{file}, 2, "-to"},
		"a file as the URL":          {[]string{file, "-to", "file:///etc/passwd"}, 2, "-to"},
		"no file":                    {[]string{"-to", s.URL}, 2, "FILE"},
		"too often":                  {[]string{file, "-to", s.URL, "-times", "100000"}, 2, "-times"},
		"a bad setting":              {[]string{file, "-to", s.URL, "-set", "x"}, 2, "name=value"},
		"a redirect":                 {[]string{file, "-to", s.URL + "/moved"}, 1, "307 Temporary Redirect, not followed: /"},
		"an answer of FAIL":          {[]string{file, "-to", s.URL + "/fail"}, 1, "FAIL"},
		"a refusal, shown in part":   {[]string{file, "-to", s.URL + "/no"}, 1, "401 Unauthorized  " + strings.Repeat("x", 200) + "…\n"},
		"an answer that never comes": {[]string{file, "-to", s.URL + "/hang", "-timeout", "50ms"}, 1, "no answer"},
		"nobody there":               {[]string{file, "-to", "http://127.0.0.1:1/"}, 1, "no answer"},
		"an unsigned flat body":      {[]string{write(t, `{"token":"x","notifyType":"y"}`), "-to", s.URL}, 1, "-as-is"},
		"no JSON":                    {[]string{write(t, "hello"), "-to", s.URL}, 1, "not a JSON object"},
	} {
		require.Equal(t, test.status, c.run(t, append([]string{"replay"}, test.args...)...), name)
		require.Contains(t, c.out.String()+c.err.String(), test.says, name)
	}
}
