package codegrant

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// filled overwrites s to its capacity.
func filled(s []byte) { copy(s[:cap(s)], bytes.Repeat([]byte("!"), cap(s))) }

// What is read of a message is the reader's own: neither the body nor the
// envelope's buffers show through when they are used for something else.
func TestANotificationSharesNoMemory(t *testing.T) {
	account := fuzzAccount()
	for _, seed := range referenceSeeds(t)[:12] {
		body := bytes.Clone(seed)
		want, err := refParseNotification(body, account)
		require.NoError(t, err)

		e := new(envelope)
		_, err = e.readBody(body, true)
		require.NoError(t, err)
		salt, err := e.verify(&account)
		require.NoError(t, err)
		n, err := e.notification(body, account.ID, salt, DefaultNotifyTypes())
		require.NoError(t, err)
		require.Equal(t, revealed(want), revealed(n))

		filled(body)
		filled(e.text)
		filled(e.doc.scratch)
		filled(e.biz.scratch)
		require.Equal(t, revealed(want), revealed(n), "a buffer shows through")
		e.release()
		require.Equal(t, revealed(want), revealed(n), "the envelope shows through")

		n, err = ParseNotification(seed, account)
		require.NoError(t, err)
		for _, other := range referenceSeeds(t)[:12] {
			_, err := ParseNotification(other, account)
			require.NoError(t, err)
		}
		require.Equal(t, revealed(want), revealed(n), "the next message shows through")
	}
}

// Tokens and salts stand in an envelope. None of them waits in the pool for
// whoever reads the memory. The test runs alone, for it looks into envelopes
// that are no longer its own.
func TestAReleasedEnvelopeIsEmptyToItsCapacity(t *testing.T) {
	account := fuzzAccount()
	long := fuzzSeal(map[string]string{
		"accId": fuzzStore, "signType": "SHA256", "code": "",
		"bizContent": `{"notifyType":"RECHARGE","remark":"` + strings.Repeat(`\n\u00e9secret`, 50) + `"}`,
	})
	tooMany := []byte(numbered(129, ``))
	for name, body := range map[string][]byte{
		"accepted":            referenceSeeds(t)[2],
		"with a blank member": referenceSeeds(t)[3],
		"long, with escapes":  long,
		"forged":              bytes.Replace(long, []byte("RECHARGE"), []byte("RECHARGF"), 1),
		"malformed":           long[:len(long)-1],
		"malformed further in": bytes.Replace(long, []byte(`RECHARGE\"`), []byte(`RECHARGE\\\"`),
			1),
		"too many members": tooMany,
		"objects in arrays": fuzzSeal(map[string]string{
			"accId": fuzzStore, "signType": "SHA256",
			"bizContent": `{"list":[{"secret":{"a":"secret","b":[{"c":"secret","d":"secret"}]},"e":"secret","f":1,"g":2}],"remark":"\n"}`,
		}),
		"malformed in an array": fuzzSeal(map[string]string{
			"accId": fuzzStore, "signType": "SHA256", "bizContent": `{"list":[{"a":"secret","b":[{"c":"secret\n","c":1}]}]}`,
		}),
	} {
		e := new(envelope)
		if _, err := e.readBody(body, true); err == nil {
			if salt, err := e.verify(&account); err == nil {
				_, err = e.notification(body, account.ID, salt, DefaultNotifyTypes())
				require.NoError(t, err, name)
			}
			require.NotEmpty(t, e.text, name)
		}
		if name != "too many members" {
			require.NotEmpty(t, e.doc.scratch[:cap(e.doc.scratch)], name)
		}
		text, signed, docs := e.text, e.signed, []document{e.doc, e.biz}
		e.release()
		requireCleared(t, text, name)
		requireCleared(t, signed, name)
		for _, d := range docs {
			requireCleared(t, d.scratch, name)
			requireCleared(t, d.members, name)
		}
		rest := *e
		rest.text, rest.signed, rest.doc, rest.biz = nil, nil, document{}, document{}
		require.Equal(t, envelope{}, rest, name)
	}
}

func requireCleared[T any](t *testing.T, s []T, name string) {
	t.Helper()
	var zero T
	for _, v := range s[:cap(s)] {
		require.Equal(t, zero, v, name)
	}
}

// Messages that are judged at the same time do not meet in the pool.
func TestPoolInParallel(t *testing.T) {
	t.Parallel()
	account := fuzzAccount()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := range 300 {
				token := fmt.Sprintf("T-%d-%d", worker, i)
				// Sizes differ, so that buffers are short, right and long for what comes.
				remark := strings.Repeat(`\né`, i%40)
				body := fuzzSeal(map[string]string{
					"accId": fuzzStore, "signType": "SHA256", "description": token,
					"bizContent": `{"notifyType":"RECHARGE","token":"` + token + `","remark":"` + remark + `"}`,
				})
				n, err := ParseNotification(body, account)
				if err != nil || n.Token.Reveal() != token || n.Description != token || n.Payment == nil ||
					n.Payment.Token.Reveal() != token || n.Payment.Remark != strings.ReplaceAll(remark, `\n`, "\n") ||
					n.Raw.Reveal() != string(body) {
					t.Errorf("%s: %v: another message was read", token, err)
					return
				}
				forged := bytes.Replace(body, []byte(token), []byte("T-0-X"), 1)
				if _, err := ParseNotification(forged, account); err == nil {
					t.Errorf("%s: a forgery was believed", token)
					return
				}
			}
		})
	}
	wg.Wait()
}

// A huge message leaves nothing huge behind.
func TestThePoolKeepsNoHugeBuffers(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"a":"\n` + strings.Repeat("x", 64<<10) + `"}`,
		`{"l":` + manyObjects(40) + `}`,
	} {
		e := new(envelope)
		_, err := e.readBody([]byte(body), true)
		require.Error(t, err)
		require.False(t, e.reusable(), "%d", cap(e.doc.members))
	}
	e := new(envelope)
	_, err := e.readBody(referenceSeeds(t)[2], true)
	require.NoError(t, err)
	require.True(t, e.reusable())
}

// manyObjects is an object of n objects of 100 members.
func manyObjects(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`"%d":%s`, i, numbered(100, "")))
	}
	return "{" + strings.Join(list, ",") + "}"
}

// Verifying costs no memory, whatever the verdict. These tests run alone, for
// what they count is the process's.
func TestJudgingDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	one, two := accepted(t)
	refusedByOne, refusedByTwo := refusals(t)
	withBlank, forgedBlank := blanks()
	for _, j := range slices.Concat([]judged{one, two, withBlank, forgedBlank}, refusedByOne, refusedByTwo) {
		e, err := readEnvelope(j.body, true)
		allowed := 0.0
		if err != nil {
			allowed = 3 // the reason, for whoever looks for it
		} else {
			e.release()
		}
		require.LessOrEqual(t, testing.AllocsPerRun(200, func() { _ = judge(j.body, j.account) }), allowed, j.name)
	}
}

func TestDecodingAllocatesOnlyWhatItReturns(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	account := benchAccount()
	payment := benchBody(t, account)
	signUp := fuzzAccount()
	for _, tt := range []struct {
		name    string
		body    []byte
		account *Account
		want    float64
	}{
		// The body and the token, each with what hides it; the texts; the payment.
		{"payment", payment, account, 6},
		{"sign-up with a login", referenceSeeds(t)[0], &signUp, 7},
		// The texts, the refund, the body; and the amount, which lacks a decimal.
		{"refund", referenceSeeds(t)[4], &signUp, 5},
		{"unknown type", referenceSeeds(t)[8], &signUp, 3},
	} {
		got := testing.AllocsPerRun(200, func() {
			if _, err := ParseNotification(tt.body, *tt.account); err != nil {
				t.Error(err)
			}
		})
		require.LessOrEqual(t, got, tt.want, tt.name)
	}
}

// TestARepeatedDeliveryCosts counts the handler's own: a header map and the rest
// of a request are there already.
func TestARepeatedDeliveryCosts(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	first, again := benchDeliveries(t)
	first()
	// The body, and what is read of it: a copy and a token, each with what hides
	// it, and the texts; the fingerprint; five of the context that ends; the
	// values of the headers, two.
	require.LessOrEqual(t, testing.AllocsPerRun(200, again), 14.0)
}
