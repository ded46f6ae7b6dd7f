package natsstore_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/examples/customstore/nats"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/storetest"
)

func TestStoreKeepsTheContract(t *testing.T) {
	js, bucket := connect(t)
	open(t, js, bucket) // in a cluster, two that make a new bucket at once may get an error
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return open(t, js, bucket) })
}

func TestSealedStoreKeepsTheContract(t *testing.T) {
	js, bucket := connect(t)
	open(t, js, bucket) // in a cluster, two that make a new bucket at once may get an error
	storetest.Run(t, func(t *testing.T) codegrant.TokenStore { return sealed(t, open(t, js, bucket)) })
}

func TestSealedRecordsShowNoToken(t *testing.T) {
	js, bucket := connect(t)
	save(t, sealed(t, open(t, js, bucket)), token("a"))
	kv, err := js.KeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(t, js, bucket, "") {
		if entry, err := kv.Get(t.Context(), key); err != nil || bytes.Contains(entry.Value(), []byte("value-of-")) {
			t.Errorf("%s holds a token in the clear (error %v)", key, err)
		}
	}
}

func TestMarkerOfASettledRecordIsRemovedByTheNextLookUp(t *testing.T) {
	js, bucket := connect(t)
	store, waiting := open(t, js, bucket), token("a")
	waiting.UnsettledSince = waiting.CreatedAt
	save(t, store, waiting)
	settled := waiting
	settled.Revision, settled.UnsettledSince = 2, time.Time{}
	save(t, store, settled)

	if left := keysOf(t, js, bucket, "s."); len(left) != 1 {
		t.Fatalf("before the look-up there are the markers %q, want one that is left over", left)
	}
	if found, err := store.Unsettled(t.Context(), time.Now(), 10); err != nil || len(found) > 0 {
		t.Fatalf("Unsettled: %v, %v", found, err)
	}
	if left := keysOf(t, js, bucket, "s."); len(left) != 0 {
		t.Fatalf("after the look-up there are the markers %q", left)
	}
}

// A look-up must not take the marker of a Save that has not written its record
// yet: that Save would leave a record that nobody finds.
func TestLookUpLeavesTheMarkerOfASaveThatIsUnderWay(t *testing.T) {
	js, bucket := connect(t)
	store, settled := open(t, js, bucket), token("a")
	save(t, store, settled)
	waiting := settled
	waiting.Revision, waiting.UnsettledSince = 2, settled.CreatedAt
	look := func() {
		if found, err := store.Unsettled(t.Context(), time.Now(), 10); err != nil || len(found) > 0 {
			t.Errorf("Unsettled in the middle of a Save: %v, %v", found, err)
		}
		if found, err := store.ByUser(t.Context(), "account", "ann"); err != nil || len(found) != 1 {
			t.Errorf("ByUser in the middle of a Save: %v, %v", found, err)
		}
	}
	save(t, natsstore.BeforeRecord(store, look), waiting)
	if found, err := store.Unsettled(t.Context(), time.Now(), 10); err != nil || len(found) != 1 {
		t.Fatalf("Unsettled after the Save: %v, %v", found, err)
	}
}

func TestMarkerWithoutARecordFindsNothing(t *testing.T) {
	js, bucket := connect(t)
	store := open(t, js, bucket)
	ctx, cancel := context.WithCancel(t.Context())
	if err := natsstore.BeforeRecord(store, cancel).Save(ctx, token("a")); err == nil {
		t.Fatal("Save returned nil")
	}
	if found, err := store.ByUser(t.Context(), "account", "ann"); err != nil || len(found) > 0 {
		t.Fatalf("ByUser: %v, %v", found, err)
	}
	save(t, store, token("a")) // the same again
	if found, err := store.ByUser(t.Context(), "account", "ann"); err != nil || len(found) != 1 {
		t.Fatalf("ByUser after another Save: %v, %v", found, err)
	}
}

func TestBucketThatForgetsIsRefused(t *testing.T) {
	js, bucket := connect(t)
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if _, err := natsstore.Open(t.Context(), js, bucket, 1); err == nil {
		t.Fatal("Open took a bucket with a TTL")
	}
}

// connect returns a name for a bucket that is deleted at the end. Without a
// server it skips the test, but fails it in CI.
func connect(t *testing.T) (js jetstream.JetStream, bucket string) {
	t.Helper()
	conn, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL))
	if err == nil {
		t.Cleanup(conn.Close)
		js, err = jetstream.New(conn)
	}
	if err == nil {
		_, err = js.AccountInfo(t.Context())
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no NATS with JetStream: %v", err)
		}
		t.Skipf("no NATS with JetStream, set NATS_URL: %v", err)
	}
	bucket = "test-" + rand.Text()
	t.Cleanup(func() { // t.Context has ended by now
		if err := js.DeleteKeyValue(context.Background(), bucket); err != nil {
			t.Errorf("the bucket is left: %v", err)
		}
	})
	return js, bucket
}

func open(t *testing.T, js jetstream.JetStream, bucket string) *natsstore.Store {
	t.Helper()
	store, err := natsstore.Open(t.Context(), js, bucket, 1)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// keysOf returns the keys that begin with prefix.
func keysOf(t *testing.T, js jetstream.JetStream, bucket, prefix string) (keys []string) {
	t.Helper()
	kv, err := js.KeyValue(t.Context(), bucket)
	if err != nil {
		t.Fatal(err)
	}
	lister, err := kv.ListKeysFiltered(t.Context(), prefix+">")
	if err != nil {
		t.Fatal(err)
	}
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	return keys
}

func sealed(t *testing.T, store codegrant.TokenStore) codegrant.TokenStore {
	t.Helper()
	secret := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("test-only-", 4)[:32]))
	keys, err := seal.NewKeyring(seal.Key{ID: "k1", Secret: codegrant.NewSecret(secret)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(store, keys)
	if err != nil {
		t.Fatal(err)
	}
	return s
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
