package diagnose_test

import (
	"bytes"
	"compress/gzip"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/diagnose"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
)

const (
	accountID = "2018092714313010016291"
	clientID  = "2018092714313010016"
	salt      = "C0FFEE78BC96A55548B23190"
	token     = "7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97"

	content = `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0001","merchantUserId":"1260489643332513151",` +
		`"token":"` + token + `","returnUrl":"https://shop.example/r?a=1&b=x%20y","remark":"用户 tea & milk","amount":12.50}`
)

// fields are a message by name; sign computes its sign as the test's own
// signer.
type fields map[string]string

func genuine() fields {
	return fields{
		"accId": accountID, "clientId": clientID, "code": "000000", "description": "Transaction succeeded",
		"signType": "SHA256", "bizContent": content,
	}
}

func (f fields) text() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		parts = append(parts, name+"="+f[name])
	}
	return strings.Join(parts, "&")
}

func (f fields) with(name, value string) fields {
	f = maps.Clone(f)
	f[name] = value
	return f
}

func (f fields) without(names ...string) fields {
	f = maps.Clone(f)
	for _, name := range names {
		delete(f, name)
	}
	return f
}

// body writes the members, with sign if there is one.
func (f fields) body(sign string) string {
	if sign != "" {
		f = f.with("sign", sign)
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	if err := e.Encode(f); err != nil {
		panic(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func sha(text string) string { return fmt.Sprintf("%X", sha256.Sum256([]byte(text))) }

func (f fields) sign() string { return sha(salt + f.text()) }

// sent is the genuine message as sent.
func sent() string { return genuine().body(genuine().sign()) }

// changed is the genuine message with another value, under the old sign.
func changed(name, value string) string { return genuine().with(name, value).body(genuine().sign()) }

func changedContent(old, now string) string {
	if !strings.Contains(content, old) {
		panic("nothing to change: " + old)
	}
	return changed("bizContent", strings.Replace(content, old, now, 1))
}

// signedOver is the genuine message with the sign of another text.
func signedOver(text string) string { return genuine().body(sha(text)) }

func reencoded(t *testing.T, change func(e *json.Encoder)) string {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(strings.NewReader(content))
	d.UseNumber()
	require.NoError(t, d.Decode(&v))
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	change(e)
	require.NoError(t, e.Encode(v))
	return strings.TrimSuffix(out.String(), "\n")
}

func options() diagnose.Options {
	return diagnose.Options{AccountID: accountID, ClientID: clientID, Digest: "SHA256", Salts: []string{salt}}
}

func explain(body string, change func(*diagnose.Options)) diagnose.Report {
	o := options()
	if change != nil {
		change(&o)
	}
	return diagnose.Explain([]byte(body), o)
}

func TestExplainAcceptsWhatVerifies(t *testing.T) {
	t.Parallel()
	g := gatewaytest.New(gatewaytest.Config{AccountID: accountID, Salt: salt})
	defer g.Close()
	for name, body := range map[string]string{
		"a genuine message":             sent(),
		"the simulator's own":           string(g.SignedBody(content, nil)),
		"a sign in lower case":          genuine().body(strings.ToLower(genuine().sign())),
		"white space around the object": " \n" + sent() + "\n",
	} {
		report := explain(body, nil)
		require.True(t, report.Verifies, name)
		require.Equal(t, "ok", report.Library)
		require.Zero(t, report.Salt)
		require.Equal(t, "signed_up", report.Kind)
		require.Empty(t, report.Causes)
	}
	second := explain(sent(), func(o *diagnose.Options) { o.Salts = []string{"0123456789ABCDEF01234567", salt} })
	require.True(t, second.Verifies)
	require.Equal(t, 1, second.Salt)
}

type mutation struct {
	name   string
	body   string
	change func(*diagnose.Options)
	id     string
	proven diagnose.Certainty
}

func salts(values ...string) func(*diagnose.Options) {
	return func(o *diagnose.Options) { o.Salts = values }
}

// quick cuts short the search in a case that only looks at the message: that a
// whole search proves nothing false is for the others to show.
func quick(o *diagnose.Options) { o.Tries = 20_000 }

func account(id, client string) func(*diagnose.Options) {
	return func(o *diagnose.Options) { o.AccountID, o.ClientID = id, client }
}

func md5sum(text string) string { return fmt.Sprintf("%X", md5.Sum([]byte(text))) }

func configurationMutations() []mutation {
	const p, o, l = diagnose.Proven, diagnose.Observed, diagnose.Likely
	other := "0123456789ABCDEF01234567"
	return []mutation{
		{"another salt is configured", sent(), salts(other), "wrong_salt", l},
		{"the salt of another account, which is known", sent(), func(o *diagnose.Options) { o.Salts, o.OtherSalts = []string{other}, []string{"X", salt} }, "salt_of_another_account", p},
		{"a line feed behind the configured salt", sent(), salts(salt + "\n"), "salt_blanks", p},
		{"blanks around the configured salt", sent(), salts(" " + salt + "  "), "salt_blanks", p},
		{"a line feed behind the sender's salt", signedOver(salt + "\n" + genuine().text()), nil, "salt_blanks", p},
		{"both salts with the line feed", signedOver(salt + "\n" + genuine().text()), salts(salt + "\n"), "salt_blanks", o},
		{"quotes around the configured salt", sent(), salts(`"` + salt + `"`), "salt_quoted", p},
		{"the configured salt in lower case", sent(), salts(strings.ToLower(salt)), "salt_case", p},
		{"two salts in one entry", sent(), salts(other + ";" + salt), "salts_not_split", p},
		{"the sandbox's public salt", signedOver("F78BC96A55548B2319EE68E0" + genuine().text()), nil, "salt_of_sandbox", p},
		{"the simulator's salt", signedOver(gatewaytest.DefaultSalt + genuine().text()), nil, "salt_of_simulator", p},
		{"no salt at all", signedOver(genuine().text()), nil, "salt_left_out", p},
		{"the salt as hexadecimal bytes", signedOver(string(unhex(salt)) + genuine().text()), nil, "salt_decoded", p},
		{"another account is configured", sent(), account("2018092714313010016292", clientID), "wrong_account", p},
		{"another account with its salt is configured", sent(), func(o *diagnose.Options) {
			o.AccountID, o.ClientID, o.Salts = "2022102018024210348883", "2022102018024210348", []string{other}
			quick(o)
		}, "wrong_account", o},
		{"another clientId is configured", sent(), account(accountID, "2018092714313010017"), "wrong_client", p},
		{"MD5 is configured", sent(), func(o *diagnose.Options) { o.Digest = "MD5" }, "digest_not_configured", p},
	}
}

func unhex(s string) []byte {
	raw, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return raw
}

func signerMutations() []mutation {
	const p, o = diagnose.Proven, diagnose.Observed
	g := genuine()
	mac := hmac.New(sha256.New, []byte(salt))
	mac.Write([]byte(g.text()))
	raw := sha256.Sum256([]byte(salt + g.text()))
	gbk, _ := simplifiedchinese.GBK.NewEncoder().String(g.text())
	inOrder := func(names ...string) string {
		var parts []string
		for _, n := range names {
			parts = append(parts, n+"="+g[n])
		}
		return strings.Join(parts, "&")
	}
	encodedContent, _ := json.Marshal(content)
	return []mutation{
		{"the salt behind the text", signedOver(g.text() + salt), nil, "salt_appended", p},
		{"the salt as a parameter", signedOver(g.text() + "&key=" + salt), nil, "salt_as_parameter", p},
		{"the salt at both ends", signedOver(salt + g.text() + salt), nil, "salt_both_ends", p},
		{"an HMAC", g.body(fmt.Sprintf("%X", mac.Sum(nil))), nil, "hmac", p},
		{"a digest of the digest", signedOver(strings.ToLower(g.sign())), nil, "digest_twice", p},
		{"MD5 under the name SHA256", g.body(md5sum(salt + g.text())), nil, "digest_disagrees", p},
		{"SHA256 under the name MD5", g.with("signType", "MD5").body(sha(salt + g.with("signType", "MD5").text())), nil, "digest_disagrees", p},
		{"signType spelt sha256", g.with("signType", "sha256").body(g.with("signType", "sha256").sign()), nil, "signtype_spelling", p},
		{"MD5 by a sender who says so", g.with("signType", "MD5").body(md5sum(salt + g.with("signType", "MD5").text())), nil, "digest_not_configured", p},
		{"the sign in base64", g.body(base64.StdEncoding.EncodeToString(raw[:])), nil, "sign_base64", p},
		{"the sign cut", g.body(g.sign()[:32]), nil, "sign_truncated", p},
		{"the sign cut to an odd length", g.body(g.sign()[:45]), nil, "sign_truncated", p},
		{"the sign twice", g.body(g.sign() + g.sign()), nil, "sign_with_more", p},
		{"two digits of the sign changed", g.body(swapDigits(g.sign())), nil, "sign_changed", p},
		{"a prefix before the sign", g.body("sha256=" + g.sign()), nil, "sign_prefixed", p},
		{"no sign", g.body(""), nil, "sign_missing", o},
		{"an empty sign", g.with("sign", "").body(""), nil, "sign_missing", o},
		{"the legacy flat notification", `{"token":"` + token + `","notifyType":"ACCESS_TOKEN_CREATION"}`, nil, "sign_missing", o},
		{"members in the order of a table", signedOver(salt + inOrder("accId", "clientId", "signType", "bizContent", "code", "description")), nil, "order_not_sorted", p},
		{"members joined by commas", signedOver(salt + strings.ReplaceAll(inOrder("accId", "bizContent", "clientId", "code", "description", "signType"), "&c", ",c")), quick, "wrong_salt", diagnose.Likely},
		{"values only", signedOver(salt + accountID + content + clientID + "000000Transaction succeededSHA256"), nil, "joined_differently", p},
		{"an empty member kept", g.with("description", "").body(sha(salt + g.with("description", "").text())), nil, "", ""},
		{"null signed as the text null", strings.Replace(g.without("description").body(sha(salt+g.with("description", "null").text())), `{"accId"`, `{"description":null,"accId"`, 1), nil, "null_as_text", p},
		{"the sign member signed too", signedOver(salt + g.with("sign", "").text()), nil, "sign_was_signed", p},
		{"values URL-encoded as PHP does", signedOver(salt + urlEncoded(g)), nil, "url_decoded", p},
		{"backslashes stripped as PHP does", signedEscaped(), nil, "signed_escaped", p},
		{"the digest over GBK", signedOver(salt + gbk), nil, "signed_in_other_charset", p},
		{"bizContent signed as [object Object]", signedOver(salt + g.with("bizContent", "[object Object]").text()), nil, "bizcontent_as_object_text", p},
		{"bizContent signed with quotes and escapes", signedOver(salt + g.with("bizContent", goEscapes(encodedContent)).text()), nil, "values_quoted", p},
		{"a number at the top level", strings.Replace(g.with("version", "1.0").body(g.with("version", "1.0").sign()), `"version":"1.0"`, `"version":1.0`, 1), nil, "not_strict", p},
		{"description and code not signed", signedOver(salt + g.without("code", "description").text()), nil, "member_added", p},
	}
}

func goEscapes(s []byte) string {
	return strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(s))
}

func swapDigits(sign string) string {
	b := []byte(sign)
	for _, i := range []int{7, 40} {
		if b[i] = '0'; sign[i] == '0' {
			b[i] = '1'
		}
	}
	return string(b)
}

func urlEncoded(f fields) string {
	f = maps.Clone(f)
	for name, value := range f {
		f[name] = url.QueryEscape(value)
	}
	return f.text()
}

func signedEscaped() string {
	f := genuine().with("bizContent", strings.ReplaceAll(content, "用户", `\u7528\u6237`))
	return f.body(sha(salt + strings.ReplaceAll(f.text(), `\`, "")))
}

func contentMutations(t *testing.T) []mutation {
	t.Helper()
	const p, o = diagnose.Proven, diagnose.Observed
	g := genuine()
	sorted := reencoded(t, func(e *json.Encoder) { e.SetEscapeHTML(false) })
	indented := reencoded(t, func(e *json.Encoder) { e.SetEscapeHTML(false); e.SetIndent("", "    ") })
	php := strings.NewReplacer("/", `\/`, "用户", `\u7528\u6237`).Replace(content)
	asObject := func(object string) string {
		quoted, err := json.Marshal(content)
		require.NoError(t, err)
		body := sent()
		require.Contains(t, body, goEscapes(quoted))
		return strings.Replace(body, goEscapes(quoted), object, 1)
	}
	spaced := strings.NewReplacer(`":`, `": `, `,"`, `, "`).Replace(content)
	phpSigned := g.with("bizContent", php)
	goSigned := g.with("bizContent", strings.ReplaceAll(content, "&", `\u0026`))
	pythonSigned := g.with("bizContent", spaced)
	documented := strings.NewReplacer("REQ-0001", "req-0001", "returnUrl", "merchantResultUrl").Replace(content)
	return []mutation{
		{"bizContent sorted by a proxy", changed("bizContent", sorted), nil, "bizcontent_reencoded", p},
		{"bizContent sorted and indented", changed("bizContent", indented), nil, "bizcontent_reencoded", p},
		{"blanks put in", changed("bizContent", spaced), nil, "bizcontent_reencoded", p},
		{"blanks taken out", pythonSigned.with("bizContent", content).body(pythonSigned.sign()), nil, "bizcontent_reencoded", p},
		{"PHP's escapes put in", changed("bizContent", php), nil, "bizcontent_reencoded", p},
		{"PHP's escapes undone", phpSigned.with("bizContent", content).body(phpSigned.sign()), nil, "bizcontent_reencoded", p},
		{"Go's escapes put in", changed("bizContent", strings.ReplaceAll(content, "&", `\u0026`)), nil, "bizcontent_reencoded", p},
		{"Go's escapes undone", goSigned.with("bizContent", content).body(goSigned.sign()), nil, "bizcontent_reencoded", p},
		{"a number without its last zero", changedContent("12.50", "12.5"), nil, "number_reformatted", p},
		{"a number in quotes", changedContent("12.50", `"12.50"`), nil, "number_reformatted", p},
		{"a number as JavaScript has it", changedContent(`"1260489643332513151"`, "1260489643332513000"), nil, "number_precision_lost", p},
		{"an object in bizContent's place, as signed", asObject(content), nil, "", ""},
		{"an object with blanks", asObject(spaced), nil, "bizcontent_object", p},
		{"an object, indented by Go", asObject(indented), nil, "bizcontent_object", p},
		{"encoded twice", changed("bizContent", `"`+strings.ReplaceAll(content, `"`, `\"`)+`"`), nil, "bizcontent_quoted", p},
		{"a line feed behind it", changed("bizContent", content+"\n"), nil, "newline_added", p},
		{"a line feed trimmed", g.body(g.with("bizContent", content+"\n").sign()), nil, "value_trimmed", p},
		{"one character of the token changed", changedContent("7dda0a", "7ddb0a"), nil, "one_character_changed", p},
		{"two characters exchanged", changedContent("REQ-0001", "ERQ-0001"), nil, "one_character_changed", p},
		{"a piece put in", changedContent(`"remark":"`, `"remark":"<injected by somebody>`), nil, "text_inserted", p},
		{"a member put in", changedContent(`"remark"`, `"traceId":"0af7651916cd43dd","remark"`), nil, "bizcontent_member_added", p},
		{"the token in capitals", changedContent(token, strings.ToUpper(token)), nil, "case_changed", p},
		{"a value trimmed inside", g.with("bizContent", strings.Replace(content, "milk", "milk ", 1)).with("bizContent", content).body(g.with("bizContent", strings.Replace(content, "milk", "milk ", 1)).sign()), nil, "value_trimmed", p},
		{"everything in lower case", changedTo(documented, strings.ToLower(documented)), nil, "case_changed", p},
		{"URL-encoded", changed("bizContent", url.QueryEscape(content)), nil, "url_encoded", p},
		{"blanks as plus signs", changed("bizContent", strings.ReplaceAll(content, " ", "+")), nil, "plus_for_blank", p},
		{"%20 in a URL decoded", changedContent("x%20y", "x y"), nil, "url_decoded", p},
		{"HTML entities", changed("bizContent", strings.NewReplacer("&", "&amp;", `"`, "&quot;").Replace(content)), nil, "html_entities", p},
		{"angle brackets stripped", g.body(g.with("bizContent", strings.Replace(content, "tea", "<b>", 1)).sign()), nil, "wrong_salt", diagnose.Likely},
		{"a pair of angle brackets stripped", changedTo(strings.Replace(content, "tea", "<tea>", 1), content), nil, "angle_brackets_stripped", p},
		{"backslashes added", changed("bizContent", strings.ReplaceAll(content, `"`, `\"`)), nil, "backslashes_added", p},
		{"cut short", changed("bizContent", content[:len(content)-40]), quick, "bizcontent_truncated", o},
		{"double-encoded UTF-8", changed("bizContent", mojibake(content)), nil, "mojibake", p},
		{"replacement characters", changed("bizContent", strings.ReplaceAll(content, "用户", "\ufffd\ufffd")), quick, "charset_lossy", diagnose.Likely},
	}
}

// changedTo is a message signed over one bizContent and sent with another.
func changedTo(signed, received string) string {
	return genuine().with("bizContent", received).body(genuine().with("bizContent", signed).sign())
}

func mojibake(s string) string {
	out, err := charmap.ISO8859_1.NewDecoder().String(s)
	if err != nil {
		panic(err)
	}
	return out
}

func envelopeMutations(t *testing.T) []mutation {
	t.Helper()
	const p, o = diagnose.Proven, diagnose.Observed
	g := genuine()
	body := sent()
	gbk, err := simplifiedchinese.GBK.NewEncoder().String(body)
	require.NoError(t, err)
	twice, err := json.Marshal(body)
	require.NoError(t, err)
	form := url.Values{}
	for name, value := range g.with("sign", g.sign()) {
		form.Set(name, value)
	}
	return []mutation{
		{"accId taken out", g.without("accId").body(g.sign()), nil, "member_missing", p},
		{"clientId taken out", g.without("clientId").body(g.sign()), nil, "member_missing", p},
		{"code taken out", g.without("code").body(g.sign()), nil, "member_missing", p},
		{"description taken out", g.without("description").body(g.sign()), nil, "member_missing", p},
		{"code and description taken out", g.without("code", "description").body(g.sign()), nil, "member_missing", p},
		{"version taken out", g.body(g.with("version", "1.0").sign()), nil, "member_missing", p},
		{"signType taken out", g.without("signType").body(g.sign()), nil, "member_missing", p},
		{"a member added by a proxy", g.with("receivedAt", "2026-11-27").body(g.sign()), nil, "member_added", p},
		{"two members added", g.with("receivedAt", "2026-11-27").with("host", "a").body(g.sign()), nil, "member_added", p},
		{"clientId replaced", changed("clientId", "2018092714313010"), nil, "member_changed", p},
		{"a value with blanks around it", changed("description", " Transaction succeeded "), nil, "whitespace_added", p},
		{"a value in capitals", changed("description", "TRANSACTION SUCCEEDED"), nil, "case_changed", p},
		{"plus signs in a value", changed("description", "Transaction+succeeded"), nil, "plus_for_blank", p},
		{"percent signs in a value", changed("description", "Transaction%20succeeded"), nil, "url_encoded", p},
		{"names in lower case", strings.NewReplacer("accId", "accid", "clientId", "clientid", "signType", "signtype", "bizContent", "bizcontent").Replace(body), nil, "case_changed", p},
		{"sign under another name", strings.Replace(body, `"sign"`, `"signature"`, 1), nil, "sign_renamed", p},
		{"a member twice, the false one last", strings.TrimSuffix(body, "}") + `,"code":"301002"}`, nil, "duplicate_member", p},
		{"a member twice, the false one first", `{"code":"301002",` + body[1:], nil, "duplicate_member", p},
		{"nothing", "", nil, "body_empty", o},
		{"blanks only", " \r\n", nil, "body_empty", o},
		{"an HTML page", "<!DOCTYPE html><html><body>502</body></html>", nil, "html_page", o},
		{"the end cut off, with signType", body[:len(body)-30], nil, "body_truncated", p},
		{"half of it cut off", body[:len(body)/2], nil, "body_truncated", o},
		{"the last brace cut off", body[:len(body)-1], nil, "body_truncated", p},
		{"a form", form.Encode(), nil, "form_encoded", p},
		{"JSON in a form's field", "payload=" + url.QueryEscape(body), nil, "form_encoded", p},
		{"the whole body URL-encoded", url.QueryEscape(body), nil, "body_url_encoded", p},
		{"an array around it", "[" + body + "]", nil, "array_wrapper", p},
		{"another object around it", `{"headers":{"a":"b"},"body":` + body + `}`, nil, "wrapped_in_object", p},
		{"encoded twice", string(twice), nil, "double_quoted", p},
		{"gzip", zipped(t, body), nil, "gzip", p},
		{"base64", base64.StdEncoding.EncodeToString([]byte(body)), nil, "base64_body", p},
		{"a byte order mark", "\ufeff" + body, nil, "bom", p},
		{"GBK bytes", gbk, nil, "charset_not_utf8", p},
		{"nginx's log", nginx(body), nil, "log_escaped", p},
		{"a line of a log", `2026-11-27 02:00:01 INFO notify body=` + body + ` status=401`, nil, "surrounded_by_text", p},
		{"a dump of HTTP", "POST /wallet/notify/1 HTTP/1.1\r\nHost: a\r\n\r\n" + body, nil, "surrounded_by_text", p},
		{"HTML entities in the whole body", strings.ReplaceAll(strings.ReplaceAll(body, "&", "&amp;"), `"`, "&quot;"), nil, "html_entities", p},
		{"text that is no JSON", "hello", nil, "not_json", o},
	}
}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.String()
}

func nginx(s string) string {
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '"' || c == '\\' || c < 32 || c > 126 {
			fmt.Fprintf(&out, `\x%02X`, c)
		} else {
			out.WriteByte(c)
		}
	}
	return out.String()
}

func TestExplainFindsTheTrueCauseFirst(t *testing.T) {
	t.Parallel()
	all := slices.Concat(configurationMutations(), signerMutations(), contentMutations(t), envelopeMutations(t))
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			report := explain(m.body, m.change)
			if m.id == "" {
				require.True(t, report.Verifies)
				return
			}
			require.False(t, report.Verifies)
			require.NotEmpty(t, report.Causes)
			first := report.Causes[0]
			require.Equal(t, m.id, first.ID, "%+v", report.Causes)
			require.Equal(t, m.proven, first.Certainty)
			require.NotEmpty(t, first.Text)
			require.NotEmpty(t, first.Remedy)
			noSecrets(t, report)
		})
	}
}

// noSecrets looks for the secrets in everything that a report can show.
func noSecrets(t *testing.T, report diagnose.Report) {
	t.Helper()
	shown, err := json.Marshal(report)
	require.NoError(t, err)
	all := strings.ToLower(string(shown))
	for _, secret := range []string{salt, token, token[6:30], token[40:], genuine().sign()} {
		require.NotContains(t, all, strings.ToLower(secret))
	}
}

func TestExplainFindsTwoCausesTogether(t *testing.T) {
	t.Parallel()
	g := genuine()
	for name, test := range map[string]struct {
		body   string
		change func(*diagnose.Options)
		ids    []string
	}{
		"a blank behind the salt and bizContent written again": {changed("bizContent", strings.ReplaceAll(content, "/", `\/`)), salts(salt + " "), []string{"bizcontent_reencoded", "salt_blanks"}},
		"a member dropped and another added":                   {g.without("clientId").with("time", "1").body(g.sign()), nil, []string{"member_added", "member_missing"}},
		"a member dropped and bizContent written again":        {g.without("code").with("bizContent", strings.ReplaceAll(content, "/", `\/`)).body(g.sign()), nil, []string{"member_missing", "bizcontent_reencoded"}},
		"an HMAC with MD5's name":                              {"[" + sent() + "]", salts(salt + "\n"), []string{"array_wrapper", "salt_blanks"}},
		"the salt behind the text of a logged body":            {nginx(signedOver(g.text() + salt)), nil, []string{"log_escaped", "salt_appended"}},
		"base64 of a compressed body":                          {base64.StdEncoding.EncodeToString([]byte(zipped(t, sent()))), nil, []string{"base64_body", "gzip"}},
		"three: an array, a line feed, a cut sign":             {"[" + g.with("description", "Transaction succeeded\n").body(g.sign()[:40]) + "]", nil, []string{"array_wrapper", "newline_added", "sign_truncated"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := explain(test.body, test.change)
			var ids []string
			for _, c := range report.Causes {
				if c.Certainty == diagnose.Proven {
					ids = append(ids, c.ID)
				}
			}
			require.Equal(t, test.ids, ids, "%+v", report.Causes)
			noSecrets(t, report)
		})
	}
}
