package hostiletest

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/gatewaytest"
	"github.com/codegrant/codegrant/memstore"
)

// crowd is many accounts of one merchant, each with two salts, on one store.
type crowd struct {
	*codegrant.Accounts
	store *watchedStore
	hooks atomic.Int64
	ids   []string
	salts map[string][]string
}

const crowdClientID = "2022102018024210348"

func newCrowd(t testing.TB, r *rand.Rand, n int) *crowd {
	t.Helper()
	c := &crowd{store: &watchedStore{TokenStore: memstore.New()}, salts: map[string][]string{}}
	config := codegrant.AccountsConfig{Logger: slog.New(slog.DiscardHandler)}
	for i := range n {
		id := fmt.Sprintf("%s%03d", crowdClientID, i)
		c.ids = append(c.ids, id)
		c.salts[id] = []string{fmt.Sprintf("%016X%08X", r.Uint64(), r.Uint32()), fmt.Sprintf("%016X%08X", r.Uint64(), r.Uint32())}
		client, err := codegrant.NewClient(codegrant.ClientConfig{
			Account:   codegrant.Account{ID: id, Salts: codegrant.Salts(c.salts[id]...)},
			Endpoints: codegrant.Endpoints{Host: "https://gateway.test"},
		})
		require.NoError(t, err)
		kit, err := codegrant.New(codegrant.Config{
			Client: client, Store: c.store, BaseURL: baseURL + "/" + id,
			User:      func(*http.Request) (string, error) { return "", nil },
			OnToken:   func(context.Context, codegrant.Change) error { c.hooks.Add(1); return nil },
			OnPayment: func(context.Context, codegrant.PaymentNotification) error { c.hooks.Add(1); return nil },
			OnUnknown: func(context.Context, codegrant.Notification) error { c.hooks.Add(1); return nil },
			Logger:    config.Logger,
		})
		require.NoError(t, err)
		config.Kits = append(config.Kits, kit)
	}
	var err error
	c.Accounts, err = codegrant.NewAccounts(config)
	require.NoError(t, err)
	return c
}

func (c *crowd) post(path string, body []byte) int {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(context.Background(), http.MethodPost, path, bytes.NewReader(body)))
	return w.Code
}

// crowdMessage is what account signs, after the members were changed.
func crowdMessage(salt, account, biz string, change map[string]string) map[string]string {
	m := map[string]string{"accId": account, "clientId": crowdClientID, "signType": gatewaytest.SHA256, "bizContent": biz}
	maps.Copy(m, change)
	maps.DeleteFunc(m, func(_, value string) bool { return value == "" })
	m["sign"] = gatewaytest.Sign(salt, gatewaytest.SHA256, m)
	return m
}

// crossing is a way to bring what one account signed to another one.
type crossing struct {
	name string
	make func(salt, mine, theirs, biz string) (path string, body []byte)
}

func crossings() []crossing {
	unnamed := map[string]string{"accId": "", "clientId": ""}
	return []crossing{
		{"mine, to their path", func(salt, mine, theirs, biz string) (string, []byte) {
			return "/" + theirs + "/notify", []byte(encoded(crowdMessage(salt, mine, biz, nil)))
		}},
		{"mine, naming nobody, to their path", func(salt, mine, theirs, biz string) (string, []byte) {
			return "/" + theirs + "/notify/some-record", []byte(encoded(crowdMessage(salt, mine, biz, unnamed)))
		}},
		{"mine, naming them, by accId", func(salt, _, theirs, biz string) (string, []byte) {
			return "/notify", []byte(encoded(crowdMessage(salt, theirs, biz, nil)))
		}},
		{"mine, naming them, to their path", func(salt, _, theirs, biz string) (string, []byte) {
			return "/" + theirs + "/notify", []byte(encoded(crowdMessage(salt, theirs, biz, nil)))
		}},
		{"mine, naming them, to my path", func(salt, mine, theirs, biz string) (string, []byte) {
			return "/" + mine + "/notify", []byte(encoded(crowdMessage(salt, theirs, biz, nil)))
		}},
		{"mine, accId changed afterwards, by accId", func(salt, mine, theirs, biz string) (string, []byte) {
			m := crowdMessage(salt, mine, biz, nil)
			m["accId"] = theirs
			return "/notify/some-record", []byte(encoded(m))
		}},
		{"mine, accId changed afterwards, to their path", func(salt, mine, theirs, biz string) (string, []byte) {
			m := crowdMessage(salt, mine, biz, nil)
			m["accId"] = theirs
			return "/" + theirs + "/notify", []byte(encoded(m))
		}},
		{"mine, accId taken out afterwards, to their path", func(salt, mine, theirs, biz string) (string, []byte) {
			m := crowdMessage(salt, mine, biz, nil)
			delete(m, "accId")
			return "/" + theirs + "/notify", []byte(encoded(m))
		}},
		{"mine, with their accId beside mine", func(salt, mine, theirs, biz string) (string, []byte) {
			return "/notify", append([]byte(`{"accId":"`+theirs+`",`), []byte(encoded(crowdMessage(salt, mine, biz, nil)))[1:]...)
		}},
	}
}

// TestNoAccountAcceptsWhatAnotherSigned: 1,000 accounts of one clientId with two
// salts each. One genuine message in ten shows that the others could get in.
func TestNoAccountAcceptsWhatAnotherSigned(t *testing.T) {
	t.Parallel()
	seed := seeded(t)
	c := newCrowd(t, rand.New(rand.NewPCG(seed, 0)), 1000)
	ways := crossings()
	const workers = 4
	attempts := rounds(100_000) / workers
	var accepted, refused [16]atomic.Int64
	var genuine, missed atomic.Int64
	var wg sync.WaitGroup
	for worker := range uint64(workers) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(seed, worker+1))
			for i := range attempts {
				mine := r.IntN(len(c.ids))
				theirs := (mine + 1 + r.IntN(len(c.ids)-1)) % len(c.ids)
				salt := c.salts[c.ids[mine]][r.IntN(2)]
				biz := fmt.Sprintf(`{"notifyType":"RECHARGE","merchantTransactionId":"%d-%d","status":"SUCCESS"}`, worker, i)
				if r.IntN(2) == 0 {
					biz = fmt.Sprintf(`{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"%d-%d","merchantUserId":"ann","token":"%032d%032d"}`,
						worker, i, worker, i)
				}
				if r.IntN(10) == 0 {
					path := []string{"/notify", "/" + c.ids[mine] + "/notify"}[r.IntN(2)]
					genuine.Add(1)
					if c.post(path, []byte(encoded(crowdMessage(salt, c.ids[mine], biz, nil)))) != http.StatusOK {
						missed.Add(1)
					}
				}
				way := r.IntN(len(ways))
				path, body := ways[way].make(salt, c.ids[mine], c.ids[theirs], biz)
				switch c.post(path, body) {
				case http.StatusUnauthorized, http.StatusBadRequest:
					refused[way].Add(1)
				default:
					accepted[way].Add(1)
				}
			}
		})
	}
	wg.Wait()
	total := int64(0)
	for i, way := range ways {
		require.Zero(t, accepted[i].Load(), way.name)
		require.Positive(t, refused[i].Load(), way.name)
		total += refused[i].Load()
	}
	require.EqualValues(t, attempts*workers, total)
	require.Zero(t, missed.Load(), "genuine messages were refused")
	require.Equal(t, genuine.Load(), c.hooks.Load(), "a hook heard of something else")
	t.Logf("%d accounts with 2 salts: 0 of %d crossings accepted, %d genuine ones", len(c.ids), total, genuine.Load())

	calls := c.store.calls.Load()
	for _, way := range ways {
		path, body := way.make(c.salts[c.ids[0]][1], c.ids[0], c.ids[1], `{"notifyType":"ACCESS_TOKEN_CREATION","requestId":"X","token":"Y"}`)
		require.GreaterOrEqual(t, c.post(path, body), 400)
	}
	require.Equal(t, calls, c.store.calls.Load(), "the store was called before the verdict")
}
