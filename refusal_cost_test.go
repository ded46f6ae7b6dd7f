package codegrant

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// judged is a body and the account that judges it.
type judged struct {
	name    string
	body    []byte
	account *Account
}

// accepted and refusals are bodies of one length, give or take what makes them
// refusable. The first result is judged by one salt, the second by two.
func accepted(tb testing.TB) (one, two judged) {
	body, account := benchBody(tb, benchAccount()), benchAccount()
	both := Account{ID: account.ID, Salts: Salts("0123456789ABCDEF01234567", "F78BC96A55548B2319EE68E0")}.withDefaults()
	return judged{"accepted", body, account}, judged{"accepted by the second of two salts", body, &both}
}

func refusals(tb testing.TB) (one, two []judged) {
	good, both := accepted(tb)
	text := string(good.body)
	replaced := func(from, to string) []byte {
		changed := strings.Replace(text, from, to, 1)
		require.NotEqual(tb, text, changed)
		return []byte(changed)
	}
	oneBit := []byte(text)
	oneBit[strings.Index(text, "2023092050004595")] ^= 1
	sign := text[strings.Index(text, `"sign":"`)+8:][:64]
	one = []judged{
		{"changed amount", replaced("100.000000", "900.000000"), good.account},
		{"one bit off", oneBit, good.account},
		{"zero digest", replaced(sign, strings.Repeat("0", 64)), good.account},
		{"digest of wrong length", replaced(sign, sign[1:]), good.account},
		{"unsigned", replaced(`"sign":"`+sign+`",`, ""), good.account},
		{"wrong account", replaced(good.account.ID, "2018092714313010016292"), good.account},
		{"wrong digest algorithm", replaced("SHA256", "MD5"), good.account},
		{"malformed at its last byte", []byte(strings.TrimSuffix(text, "}") + "]"), good.account},
		{"malformed in its last member", []byte(strings.TrimSuffix(text, "}") + `,"a&b":""}`), good.account},
		{"bizContent malformed at its end", replaced(`}"}`, `"}`), good.account},
		{"duplicate at its end", []byte(strings.TrimSuffix(text, "}") + `,"accId":"1"}`), good.account},
		{"length extended", []byte(strings.TrimSuffix(text, "}") + `,"zzz":"\u0080\u0000"}`), good.account},
	}
	two = []judged{
		{"changed amount, two salts", replaced("100.000000", "900.000000"), both.account},
		{"one bit off, two salts", oneBit, both.account},
	}
	return one, two
}

// blanks are a sign-up with a blank member, accepted by the first form of its
// text, and a forgery of it, which is tried in both forms by both salts.
func blanks() (good, forged judged) {
	account := fuzzAccount()
	body := fuzzSeal(map[string]string{
		"accId": fuzzStore, "clientId": account.ClientID, "code": "", "signType": "SHA256",
		"bizContent": `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"REQ-0001","merchantUserId":"1260489643332513151","token":"T-1"}`,
	})
	changed := []byte(strings.Replace(string(body), "T-1", "T-2", 1))
	return judged{"accepted with a blank member", body, &account}, judged{"changed token, two salts, a blank member", changed, &account}
}

// BenchmarkJudge has accepting and every way of refusing next to each other.
func BenchmarkJudge(b *testing.B) {
	one, two := accepted(b)
	refusedByOne, refusedByTwo := refusals(b)
	withBlank, forgedBlank := blanks()
	for _, j := range slices.Concat([]judged{one, two, withBlank, forgedBlank}, refusedByOne, refusedByTwo) {
		b.Run(j.name, func(b *testing.B) {
			b.SetBytes(int64(len(j.body)))
			b.ReportAllocs()
			for b.Loop() {
				_, err := ParseNotification(j.body, *j.account)
				if (err == nil) != strings.HasPrefix(j.name, "accepted") {
					b.Fatal(err)
				}
			}
		})
	}
}

// Refusing must cost no more than accepting, or forgeries are a cheap way to
// keep a shop busy. Memory is what can be compared to the byte; the benchmark
// has the times. The test runs alone, for what it measures is the process's.
func TestRefusingAllocatesNoMoreThanAccepting(t *testing.T) {
	cost := func(j judged) (allocs, size float64) {
		judge := func() { _, _ = ParseNotification(j.body, *j.account) }
		const runs = 200
		allocs = testing.AllocsPerRun(runs, judge)
		size = math.Inf(1)
		for range 3 { // the least, for the runtime allocates beside the test
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			for range runs {
				judge()
			}
			runtime.ReadMemStats(&after)
			size = min(size, float64(after.TotalAlloc-before.TotalAlloc)/runs)
		}
		return allocs, size
	}
	one, two := accepted(t)
	refusedByOne, refusedByTwo := refusals(t)
	withBlank, forgedBlank := blanks()
	for _, group := range []struct {
		accepted judged
		refused  []judged
	}{{one, refusedByOne}, {two, refusedByTwo}, {withBlank, []judged{forgedBlank}}} {
		_, err := ParseNotification(group.accepted.body, *group.accepted.account)
		require.NoError(t, err)
		allocs, size := cost(group.accepted)
		for _, j := range group.refused {
			_, err := ParseNotification(j.body, *j.account)
			require.Error(t, err, j.name)
			gotAllocs, gotSize := cost(j)
			require.LessOrEqual(t, gotAllocs, allocs, j.name)
			require.LessOrEqual(t, gotSize, size, j.name)
		}
	}
}
