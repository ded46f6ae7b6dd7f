package diagnose_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/diagnose"
	"github.com/stretchr/testify/require"
)

func TestExplainNamesOtherExplanationsOfTheSame(t *testing.T) {
	t.Parallel()
	report := explain(changed("bizContent", strings.ReplaceAll(content, "/", `\/`)), nil)
	require.Equal(t, "bizcontent_reencoded", report.Causes[0].ID)
	require.Equal(t, "signed_escaped", report.Causes[1].ID, "PHP's stripslashes in the signer looks the same")
	require.Equal(t, diagnose.Alternative, report.Causes[1].Certainty)

	// Two orders that the search knows are the same for these members.
	g := genuine().without("code", "description").with("version", "1.0")
	var parts []string
	for _, name := range []string{"accId", "clientId", "signType", "version", "bizContent"} {
		parts = append(parts, name+"="+g[name])
	}
	report = explain(g.body(sha(salt+strings.Join(parts, "&"))), nil)
	require.Len(t, report.Causes, 1, "a cause is named once: %+v", report.Causes)
	require.Equal(t, "order_not_sorted", report.Causes[0].ID)
}

func TestExplainPrefersTheSmallerChange(t *testing.T) {
	t.Parallel()
	report := explain(changedTo(`{"notifyType":"RECHARGE","amount":12.50}`, `{"notifyType":"RECHARGE","amount":"12.50"}`), nil)
	require.Equal(t, "number_reformatted", report.Causes[0].ID, "and not bizContent written again with all numbers bare")
}

func TestExplainDoesNotGuessBesideAProof(t *testing.T) {
	t.Parallel()
	f := genuine().with("bizContent", strings.Replace(content, "tea", "t\ufffd", 1))
	report := explain(f.without("code").body(f.sign()), nil)
	require.Len(t, report.Causes, 1, "%+v", report.Causes)
	require.Equal(t, "member_missing", report.Causes[0].ID)
}

func TestExplainSeesACutSignWhateverTheSalt(t *testing.T) {
	t.Parallel()
	report := explain(genuine().body(genuine().sign()[:40]), func(o *diagnose.Options) {
		quick(o)
		o.Salts = []string{"0123456789ABCDEF01234567"}
	})
	require.Equal(t, "sign_truncated", report.Causes[0].ID)
	require.Equal(t, diagnose.Observed, report.Causes[0].Certainty)
	require.Equal(t, "40 of 64 characters are there.", report.Causes[0].Evidence)
}

func TestExplainSaysWhere(t *testing.T) {
	t.Parallel()
	report := explain(changedContent("milk", "mild"), nil)
	require.Equal(t, "one_character_changed", report.Causes[0].ID)
	at := strings.Index(content, "milk") + 3
	require.Contains(t, report.Causes[0].Evidence, "at byte "+itoa(at)+" of bizContent")
	require.Contains(t, report.Causes[0].Evidence, "mild")
	require.Contains(t, report.Causes[0].Evidence, "milk")

	inToken := explain(changedContent("7dda0a", "7ddb0a"), nil)
	require.Contains(t, inToken.Causes[0].Evidence, "at byte "+itoa(strings.Index(content, "7dda0a")+3)+" of bizContent")
	require.NotContains(t, inToken.Causes[0].Evidence, "7dd")
}

func itoa(n int) string {
	b, _ := json.Marshal(n)
	return string(b)
}

func TestExplainComparesWithAGoodMessage(t *testing.T) {
	t.Parallel()
	twoChanges := changed("bizContent", strings.NewReplacer("tea", "tee", "milk", "malk").Replace(content))
	with := func(good string) func(*diagnose.Options) {
		return func(o *diagnose.Options) { o.Good = []byte(good); quick(o) }
	}

	alone := explain(twoChanges, quick)
	require.Equal(t, "wrong_salt", alone.Causes[0].ID)
	require.Nil(t, alone.Diff)

	report := explain(twoChanges, with(sent()))
	require.Equal(t, "content_changed", report.Causes[0].ID)
	require.True(t, report.Diff.GoodVerifies)
	require.Equal(t, "bizContent", report.Diff.Member)
	require.Equal(t, strings.Index(content, "tea")+2, report.Diff.Offset)
	require.Contains(t, report.Diff.Good, "tea")
	require.Contains(t, report.Diff.Bad, "tee")
	noSecrets(t, report)

	other := "0123456789ABCDEF01234567"
	report = explain(twoChanges, func(o *diagnose.Options) { o.Good, o.Salts, o.Tries = []byte(sent()), []string{other}, 20_000 })
	require.Equal(t, "wrong_salt", report.Causes[0].ID, "the good message does not verify either")
	require.False(t, report.Diff.GoodVerifies)

	report = explain(genuine().without("code").body(genuine().sign()), with(sent()))
	require.Equal(t, "member_missing", report.Causes[0].ID)
	require.Equal(t, "code", report.Diff.Member)

	report = explain("hello", with(sent()))
	require.Equal(t, "not_json", report.Causes[0].ID)
	require.Empty(t, report.Diff.Member)
	require.Zero(t, report.Diff.Offset)
	noSecrets(t, report)
}

func TestExplainMasksWhateverTheFormIs(t *testing.T) {
	t.Parallel()
	// Shapes that no pattern of hexadecimal digits can find.
	const secret = "s3cret-Value/with.marks"
	biz := `{"token":"` + secret + `","userLoginId":"` + secret + `","authCode" : "` + secret + `"}`
	f := genuine().with("bizContent", biz)
	quoted := strings.ReplaceAll(biz, `"`, `\"`)
	for name, body := range map[string]string{
		"as sent":                     f.body(strings.Repeat("AB", 32)),
		"escaped once more":           f.with("bizContent", quoted).body(strings.Repeat("AB", 32)),
		"as HTML":                     f.with("bizContent", strings.ReplaceAll(biz, `"`, "&quot;")).body(strings.Repeat("AB", 32)),
		"cut in the token":            `{"accId":"1","bizContent":"{\"token\":\"` + secret,
		"a log's escapes":             nginx(f.body(strings.Repeat("AB", 32))),
		"at the top level":            `{"token":"` + secret + `","salt":"` + secret + `","notifyType":"ACCESS_TOKEN_CREATION"}`,
		"a form":                      "token=" + secret + "&sign=" + strings.Repeat("AB", 32),
		"the salt in a message":       f.with("bizContent", `{"a":"`+strings.ToLower(salt)+`"}`).body("AB"),
		"the token cut in bizContent": f.with("bizContent", `{"token":"`+secret).body(strings.Repeat("AB", 32)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := explain(body, func(o *diagnose.Options) { o.Good, o.Tries = []byte(sent()), 1000 })
			require.False(t, report.Verifies)
			shown, err := json.Marshal(report)
			require.NoError(t, err)
			require.NotContains(t, string(shown), secret)
			require.NotContains(t, string(shown), "s3cret")
			noSecrets(t, report)
		})
	}
}

func TestExplainSurvivesAnything(t *testing.T) {
	t.Parallel()
	body := sent()
	for i := range 6 {
		at := i * len(body) / 6
		for _, broken := range []string{body[at:], body[:at] + "\x00\xff" + body[at:], body[:at] + "}" + body[at:], body[:at] + `"` + body[at:]} {
			report := explain(broken, func(o *diagnose.Options) {
				o.Salts, o.Tries = []string{"0123456789ABCDEF01234567"}, 1000
			})
			if at > 0 {
				require.False(t, report.Verifies)
				require.NotEmpty(t, report.Causes)
			}
			noSecrets(t, report)
		}
	}
	for _, odd := range []string{"{}", "[]", "null", `""`, "{", `{"sign":1}`, `{"sign":"A"}`, strings.Repeat("[", 100000), `{"":""}`, `{"sign":null,"bizContent":[]}`, "%", "=", "\x1f\x8b"} {
		require.NotEmpty(t, explain(odd, nil).Causes, odd)
	}
	require.NotEmpty(t, explain(sent(), func(o *diagnose.Options) { o.Salts = nil }).Causes)
	require.NotEmpty(t, explain(sent(), func(o *diagnose.Options) { o.Salts = []string{""} }).Causes)
}
