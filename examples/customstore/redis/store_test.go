package redisstore_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/customstore/redis"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	client, name := connect(t)
	storetest.Run(t, func(*testing.T) codegrant.TokenStore { return redisstore.New(client, name) })
}

func TestSealedStoreKeepsTheContract(t *testing.T) {
	client, name := connect(t)
	keys := keyring(t, "k1")
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return sealed(t, redisstore.New(client, name), keys) })
}

func TestSealedRecordsShowNoTokenAndCanBeSealedAnew(t *testing.T) {
	client, name := connect(t)
	store, ctx := redisstore.New(client, name), t.Context()
	older := sealed(t, store, keyring(t, "k1"))
	for _, id := range []string{"a", "b", "c"} {
		save(t, older, token(id))
	}
	for _, key := range keysOf(t, client, name) {
		if dump, err := client.Dump(ctx, key).Result(); err != nil || strings.Contains(dump, "value-of-") {
			t.Errorf("%s holds a token in the clear (error %v)", key, err)
		}
	}

	newer := sealed(t, store, keyring(t, "k2", "k1"))
	if done, err := seal.Reseal(ctx, newer, seal.ResealOptions{Batch: 2}); err != nil || done.Resealed != 3 {
		t.Fatalf("Reseal: %+v, %v", done, err)
	}
	got, err := sealed(t, store, keyring(t, "k2")).Get(ctx, "c")
	if err != nil || !got.Value.Equal(token("c").Value) {
		t.Fatalf("after Reseal: %v, %v", got, err)
	}
}

func TestSaveThatIsSentAgainAfterALostAnswerIsNoConflict(t *testing.T) {
	client, name := connect(t)
	var lose atomic.Bool
	options := *client.Options()
	options.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return &losingConn{conn, &lose}, err
	}
	losing := redis.NewClient(&options)
	t.Cleanup(func() { _ = losing.Close() })
	store := redisstore.New(losing, name)
	save(t, store, token("first")) // loads the script

	lose.Store(true)
	save(t, store, token("lost"))
	if lose.Load() {
		t.Fatal("no answer was lost")
	}
	again := token("lost")
	again.AuthState = "other"
	if err := store.Save(t.Context(), again); !errors.Is(err, codegrant.ErrConflict) {
		t.Fatalf("another Save of the same revision: %v, want ErrConflict", err)
	}
}

// losingConn loses the answer to one script and breaks the connection.
type losingConn struct {
	net.Conn
	lose *atomic.Bool
}

func (c *losingConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if strings.Contains(strings.ToLower(string(p)), "evalsha") && c.lose.CompareAndSwap(true, false) {
		_, _ = c.Read(make([]byte, 64)) // wait for the answer: the script has run
		_ = c.Close()
	}
	return n, err
}

// connect returns a client and a name for keys that are deleted at the end.
// Without a server it skips the test, but fails it in CI.
func connect(t *testing.T) (client *redis.Client, name string) {
	t.Helper()
	client = redis.NewClient(&redis.Options{Addr: cmp.Or(os.Getenv("REDIS_ADDR"), "127.0.0.1:6379"), ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	if err := client.Ping(t.Context()).Err(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no Redis: %v", err)
		}
		t.Skipf("no Redis, set REDIS_ADDR: %v", err)
	}
	name = "test-" + rand.Text()
	t.Cleanup(func() { // t.Context has ended by now
		for _, key := range keysOf(t, client, name) {
			client.Del(context.Background(), key)
		}
	})
	return client, name
}

func keysOf(t *testing.T, client *redis.Client, name string) (keys []string) {
	t.Helper()
	walk := client.Scan(context.Background(), 0, "{"+name+"}:*", 1000).Iterator()
	for walk.Next(context.Background()) {
		keys = append(keys, walk.Val())
	}
	if err := walk.Err(); err != nil || len(keys) == 0 {
		t.Errorf("the store left %d keys (error %v)", len(keys), err)
	}
	return keys
}

func sealed(t *testing.T, store codegrant.TokenStore, keys *seal.Keyring) codegrant.TokenStore {
	t.Helper()
	s, err := seal.New(store, keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// keyring returns one whose keys follow from their ids.
func keyring(t *testing.T, ids ...string) *seal.Keyring {
	t.Helper()
	var keys []seal.Key
	for _, id := range ids {
		secret := base64.StdEncoding.EncodeToString([]byte((id + strings.Repeat("test-only-", 4))[:32]))
		keys = append(keys, seal.Key{ID: id, Secret: codegrant.NewSecret(secret)})
	}
	ring, err := seal.NewKeyring(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func token(id string) codegrant.Token {
	value, now := codegrant.NewSecret("value-of-"+id), time.Now().UTC().Truncate(time.Microsecond)
	return codegrant.Token{
		ID: id, AccountID: "account", UserID: "ann", Wallet: codegrant.GCash,
		Status: codegrant.StatusActive, Handled: codegrant.StatusActive, Revision: 1,
		Value: value, Fingerprint: codegrant.Fingerprint(value), CreatedAt: now, UpdatedAt: now,
	}
}

func save(t *testing.T, store codegrant.TokenStore, token codegrant.Token) {
	t.Helper()
	if err := store.Save(t.Context(), token); err != nil {
		t.Fatalf("Save of %v: %v", token, err)
	}
}
