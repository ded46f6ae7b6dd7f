package diagnose_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/codegrant/codegrant/cmd/codegrant/internal/diagnose"
	"github.com/stretchr/testify/require"
)

// goods is a bizContent of at least size bytes, with many members.
func goods(size int) string {
	var out strings.Builder
	out.WriteString(`{"notifyType":"RECHARGE"`)
	for i := 0; out.Len() < size; i++ {
		fmt.Fprintf(&out, `,"item%d":{"name":"Tea & <milk> %d","price":%d.50,"url":"https://shop.example/%d?a=b%%20c"}`, i, i, i, i)
	}
	return out.String() + "}"
}

func TestExplainBoundsItsWorkOnLargeMessages(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		size     int
		digests  int
		notTried []string
	}{
		"a notification as they are":               {200, 600_000, nil},
		"too long for pieces":                      {1600, 600_000, []string{"pieces put in"}},
		"too long for characters and combinations": {9 << 10, 100_000, []string{"changes to single values", "changes of single characters", "changes combined"}},
		"too long for every JSON style":            {70 << 10, 50_000, []string{"changes to single values", "other ways to write bizContent", "changes of single characters", "changes combined"}},
		"a megabyte":                               {1 << 20, 2_000, []string{"changes to single values", "other ways to write bizContent", "changes of single characters", "changes combined"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := genuine().with("bizContent", goods(test.size)).body(strings.Repeat("AB", 32))
			report := explain(body, nil)
			require.Equal(t, "wrong_salt", report.Causes[len(report.Causes)-1].ID)
			require.LessOrEqual(t, report.Tried, test.digests)
			require.Greater(t, report.Tried, 100)
			require.LessOrEqual(t, report.Tried*len(goods(test.size)), 1<<30+2*len(body), "digests of 1 GiB at most")
			require.Len(t, report.NotTried, len(test.notTried), "%q", report.NotTried)
			evidence := report.Causes[len(report.Causes)-1].Evidence
			for _, words := range test.notTried {
				require.Contains(t, strings.Join(report.NotTried, "; "), words)
				require.Contains(t, evidence, words)
			}
			require.Equal(t, len(test.notTried) > 0, strings.Contains(evidence, "Not tried"))
			require.Contains(t, evidence, fmt.Sprintf("%d digests", report.Tried))
		})
	}
}

func TestExplainEndsAtTheNumberOfDigestsGiven(t *testing.T) {
	t.Parallel()
	report := explain(genuine().body(strings.Repeat("AB", 32)), func(o *diagnose.Options) { o.Tries = 700 })
	require.Equal(t, 700, report.Tried)
	require.Contains(t, report.NotTried[len(report.NotTried)-1], "what comes behind 700 digests")
}

func TestExplainEndsAtTheNumberOfBytesGiven(t *testing.T) {
	t.Parallel()
	const limit = 4 << 20
	large := genuine().with("bizContent", goods(20<<10))
	report := explain(large.body(strings.Repeat("AB", 32)), func(o *diagnose.Options) { o.Bytes = limit })
	require.InDelta(t, limit/len(large.text()), report.Tried, 60, "what is undone makes texts longer and shorter")
	require.Contains(t, report.NotTried[len(report.NotTried)-1], fmt.Sprintf("what comes behind %d digests", report.Tried))
}

func TestExplainFindsCausesInLargeMessages(t *testing.T) {
	t.Parallel()
	large := goods(20 << 10)
	signed := genuine().with("bizContent", large)
	for name, test := range map[string]struct {
		body   string
		change func(*diagnose.Options)
		id     string
	}{
		"a blank behind the salt":  {signed.body(signed.sign()), salts(salt + " "), "salt_blanks"},
		"a member dropped":         {signed.without("code").body(signed.sign()), nil, "member_missing"},
		"slashes escaped":          {signed.with("bizContent", strings.ReplaceAll(large, "/", `\/`)).body(signed.sign()), nil, "bizcontent_reencoded"},
		"HTML entities":            {signed.with("bizContent", strings.ReplaceAll(large, "&", "&amp;")).body(signed.sign()), nil, "html_entities"},
		"one number in other form": {signed.with("bizContent", strings.Replace(large, "3.50", "3.5", 1)).body(signed.sign()), nil, "number_reformatted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report := explain(test.body, test.change)
			require.Equal(t, test.id, report.Causes[0].ID, "%+v", report.Causes[0])
			require.Equal(t, diagnose.Proven, report.Causes[0].Certainty)
			require.Empty(t, report.NotTried)
		})
	}
}
