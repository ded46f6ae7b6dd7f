// Package natsstore keeps tokens in a NATS JetStream key-value bucket (server
// 2.9 or later): an example of a [codegrant.TokenStore], to be copied and
// changed.
//
// A token that NATS forgets is lost: its user has to sign up again, and nobody
// can end it. The bucket is on disk, but a server confirms a write before it
// syncs the file, by default every two minutes: set "sync_interval: always" in
// the jetstream block (2.10 or later), or have 3 replicas that do not lose
// power together; best both.
package natsstore

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codegrant/codegrant"
)

// Store is a [codegrant.TokenStore].
//
// A bucket changes one key at a time, so it cannot write a record together
// with its indexes. An index is therefore a set of empty marker keys, which
// are written before the record that wants them: a marker may be left over but
// is never missing. Every look-up reads the record behind a marker and
// believes the record.
//
// Give every call a deadline, as the kit does: while a cluster changes leaders,
// a request may get lost, and then nothing answers it before ctx ends.
type Store struct {
	kv     jetstream.KeyValue
	stream jetstream.Stream // the same bucket
}

// Open returns the store in this bucket, which it makes if there is none: on a
// cluster, before the first start of several processes. It refuses a bucket
// that was made in another way, for example one that forgets (TTL).
func Open(ctx context.Context, js jetstream.JetStream, bucket string, replicas int) (*Store, error) {
	// What js.CreateKeyValue makes, but for AllowDirect: that lets any replica
	// answer a read, also one that has not heard of the last Save yet.
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "KV_" + bucket, Subjects: []string{"$KV." + bucket + ".>"},
		Storage: jetstream.FileStorage, Replicas: replicas, MaxMsgsPerSubject: 1,
		Discard: jetstream.DiscardNew, AllowRollup: true, DenyDelete: true,
	})
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, bucket)
	return &Store{kv: kv, stream: stream}, err
}

// encode makes a part of a key of any text, for keys have few characters. It
// keeps the order of texts, and makes a part of "" too.
func encode(text string) string { return "x" + encoding.EncodeToString([]byte(text)) }

var encoding = base32.HexEncoding.WithPadding(base32.NoPadding)

func recordKey(id string) string { return "t." + encode(id) }

// markers returns the keys by which t wants to be found: index, time and id.
func markers(t codegrant.Token) []string {
	m := []string{byUser(t.AccountID, t.UserID) + micros(t.CreatedAt) + "." + encode(t.ID)}
	if t.Fingerprint != "" {
		m = append(m, byFingerprint(t.Fingerprint)+micros(t.CreatedAt)+"."+encode(t.ID))
	}
	if !t.UnsettledSince.IsZero() {
		m = append(m, unsettled+micros(t.UnsettledSince)+"."+encode(t.ID))
	}
	return m
}

// The indexes. Hashes keep the keys far below 4 KiB, where NATS stops.
const unsettled = "s."

func byUser(accountID, userID string) string {
	return fmt.Sprintf("u.%x.", sha256.Sum256(fmt.Appendf(nil, "%q %q", accountID, userID)))
}

func byFingerprint(fingerprint string) string {
	return fmt.Sprintf("f.%x.", sha256.Sum256([]byte(fingerprint)))
}

// micros is a time as hex digits that sort as the times do, before 1970 too.
func micros(at time.Time) string { return fmt.Sprintf("%016x", uint64(at.UnixMicro())^1<<63) }

const (
	anyTime = "~"         // comes after every key
	all     = math.MaxInt // no limit
)

// Get implements [codegrant.TokenStore].
func (s *Store) Get(ctx context.Context, id string) (codegrant.Token, error) {
	t, _, err := s.load(ctx, recordKey(id))
	return t, err
}

// load returns a record, and the bucket's own revision of its key.
func (s *Store) load(ctx context.Context, key string) (t codegrant.Token, revision uint64, err error) {
	if err := ctx.Err(); err != nil {
		return t, 0, err
	}
	entry, err := s.kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return t, 0, codegrant.ErrNotFound
	}
	if err != nil {
		return t, 0, err
	}
	return t, entry.Revision(), t.UnmarshalBinary(entry.Value())
}

// Save implements [codegrant.TokenStore]. The bucket's revisions count writes
// to all keys, so they are not the record's: the record's is compared here,
// and the bucket's sees to it that nobody writes in between.
func (s *Store) Save(ctx context.Context, t codegrant.Token) error {
	old, revision, err := s.load(ctx, recordKey(t.ID))
	if err != nil && !errors.Is(err, codegrant.ErrNotFound) {
		return err
	}
	if old.Revision != t.Revision-1 {
		return codegrant.ErrConflict
	}
	record, err := t.MarshalBinary()
	if err != nil {
		return err
	}
	for _, marker := range markers(t) {
		if revision > 0 && slices.Contains(markers(old), marker) {
			continue // old wants it, so it is there
		}
		if _, err := s.kv.Put(ctx, marker, nil); err != nil {
			return err
		}
	}
	if revision == 0 {
		_, err = s.kv.Create(ctx, recordKey(t.ID), record)
	} else {
		_, err = s.kv.Update(ctx, recordKey(t.ID), record, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return codegrant.ErrConflict
	}
	return err
}

// ByFingerprint implements [codegrant.TokenStore].
func (s *Store) ByFingerprint(ctx context.Context, fingerprint string) (t codegrant.Token, err error) {
	found, err := s.find(ctx, byFingerprint(fingerprint), anyTime, all)
	if err != nil {
		return t, err
	}
	if len(found) == 0 {
		return t, codegrant.ErrNotFound
	}
	return found[len(found)-1], nil
}

// ByUser implements [codegrant.TokenStore].
func (s *Store) ByUser(ctx context.Context, accountID, userID string) ([]codegrant.Token, error) {
	return s.find(ctx, byUser(accountID, userID), anyTime, all)
}

// Unsettled implements [codegrant.TokenStore]. A record whose UnsettledSince
// moves while this runs may be left out until the next time.
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	return s.find(ctx, unsettled, micros(olderThan.Add(time.Microsecond)), limit)
}

// find returns the records whose markers are in this index and before this
// time, in the order of the markers.
//
// It asks the leader of the bucket for the keys, in one request. kv.ListKeys
// makes a consumer each time, which may live on a replica that is behind.
func (s *Store) find(ctx context.Context, index, before string, limit int) (found []codegrant.Token, err error) {
	if err := ctx.Err(); err != nil || limit <= 0 {
		return nil, err
	}
	bucket := "$KV." + s.kv.Bucket() + "."
	info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(bucket+index+">"))
	if err != nil {
		return nil, err
	}
	for _, subject := range slices.Sorted(maps.Keys(info.State.Subjects)) {
		marker := strings.TrimPrefix(subject, bucket)
		if marker >= index+before || len(found) == limit {
			break
		}
		t, revision, err := s.load(ctx, "t."+marker[strings.LastIndex(marker, ".")+1:])
		switch {
		case errors.Is(err, codegrant.ErrNotFound): // a first Save has come as far as the marker
		case err != nil:
			return nil, err
		case slices.Contains(markers(t), marker):
			found = append(found, t)
		default:
			// Left over, or of a Save that is under way. The revisions of all
			// keys are one count: a marker older than a record that does not
			// want it is of no more use, for the Save that wrote it came
			// before, or loses to, the one that wrote the record. A newer one
			// stays. An error can wait for the next look-up.
			_ = s.stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(revision))
		}
	}
	return found, nil
}
