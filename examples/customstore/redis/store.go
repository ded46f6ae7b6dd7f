// Package redisstore keeps tokens in Redis 6.2 or later: an example of a
// [codegrant.TokenStore], to be copied and changed.
//
// A token that Redis forgets is lost: its user has to sign up again, and
// nobody can end it. So Redis needs "appendonly yes" and "appendfsync always"
// (the default keeps nothing across a crash, "everysec" loses a second) and
// "maxmemory-policy noeviction". A replica follows late: a failover may forget
// what Save has confirmed, whatever these settings are.
package redisstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/codegrant/codegrant"
)

// Store is a [codegrant.TokenStore] and a [codegrant.ListStore].
//
// A record is a hash, with its binary form in one field and its revision in
// another. Each index is a sorted set in which every score is 0, so that Redis
// sorts by the bytes of the members: scope, time, id. One look-up is one range.
type Store struct {
	client redis.UniversalClient
	prefix string
}

// New returns a store whose keys all begin with "{name}:"; name is not empty
// and has no braces. The braces are a hash tag: on Redis Cluster all these keys
// share one slot, without which no script may touch them together. So one node
// holds the whole store, and more nodes do not make it larger. Set the client's
// ContextTimeoutEnabled, or it does not keep to deadlines.
func New(client redis.UniversalClient, name string) *Store {
	return &Store{client: client, prefix: "{" + name + "}:"}
}

// The indexes, in the order of [members].
var indexes = [...]string{"by-user", "by-fingerprint", "unsettled", "by-id"}

const (
	byUser = iota
	byFingerprint
	unsettled
	byID
)

// members returns what t has in each index; "" is nothing.
func members(t codegrant.Token) [len(indexes)]string {
	m := [len(indexes)]string{byUser: scope(t.AccountID, t.UserID) + micros(t.CreatedAt) + t.ID, byID: noTime + t.ID}
	if t.Fingerprint != "" {
		m[byFingerprint] = scope(t.Fingerprint) + micros(t.CreatedAt) + t.ID
	}
	if !t.UnsettledSince.IsZero() {
		m[unsettled] = micros(t.UnsettledSince) + t.ID
	}
	return m
}

// scope is a text that no other parts give, and that begins no other scope.
func scope(parts ...string) string { return fmt.Sprintf("%q", parts) }

// micros is a time as hex digits that sort as the times do, before 1970 too.
func micros(at time.Time) string { return fmt.Sprintf("%016x", uint64(at.UnixMicro())^1<<63) }

const (
	noTime  = "0000000000000000"
	anyTime = "g"           // comes after all hex digits
	all     = math.MaxInt32 // no limit
)

// save checks and writes in one step, for Redis runs nothing else meanwhile.
// KEYS: the record, the indexes. ARGV: the revision before, the revision, the
// record, the name of this call, the members.
var save = redis.NewScript(`
local old = redis.call('HMGET', KEYS[1], 'revision', 'call', 'index2', 'index3', 'index4', 'index5')
if old[2] == ARGV[4] then return 1 end -- the client repeats a call whose answer it lost
if (old[1] or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'record', ARGV[3], 'call', ARGV[4])
for i = 2, #KEYS do
	local before, now = old[i + 1], ARGV[i + 3]
	if before and before ~= '' then redis.call('ZREM', KEYS[i], before) end
	if now ~= '' then redis.call('ZADD', KEYS[i], 0, now) end
	redis.call('HSET', KEYS[1], 'index' .. i, now)
end
return 1`)

// Save implements [codegrant.TokenStore]. go-redis sends a script again when
// the connection breaks; without a name for the call, a save that was stored
// the first time would be reported as a conflict.
func (s *Store) Save(ctx context.Context, t codegrant.Token) error {
	if err := ctx.Err(); err != nil { // go-redis itself looks only while it waits for a connection
		return err
	}
	record, err := t.MarshalBinary()
	if err != nil {
		return err
	}
	keys, args := []string{s.record(t.ID)}, []any{t.Revision - 1, t.Revision, record, rand.Text()}
	for i, member := range members(t) {
		keys, args = append(keys, s.prefix+indexes[i]), append(args, member)
	}
	stored, err := save.Run(ctx, s.client, keys, args...).Bool()
	if err == nil && !stored {
		return codegrant.ErrConflict
	}
	return err
}

func (s *Store) record(id string) string { return s.prefix + "record:" + id }

// Get implements [codegrant.TokenStore].
func (s *Store) Get(ctx context.Context, id string) (t codegrant.Token, err error) {
	if err := ctx.Err(); err != nil {
		return t, err
	}
	return read(s.client.HGet(ctx, s.record(id), "record"))
}

func read(reply *redis.StringCmd) (t codegrant.Token, err error) {
	data, err := reply.Bytes()
	if errors.Is(err, redis.Nil) {
		return t, codegrant.ErrNotFound
	}
	if err == nil {
		err = t.UnmarshalBinary(data)
	}
	return t, err
}

// ByFingerprint implements [codegrant.TokenStore].
func (s *Store) ByFingerprint(ctx context.Context, fingerprint string) (t codegrant.Token, err error) {
	found, err := s.find(ctx, byFingerprint, scope(fingerprint), "", anyTime, all)
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
	return s.find(ctx, byUser, scope(accountID, userID), "", anyTime, all)
}

// Unsettled implements [codegrant.TokenStore].
func (s *Store) Unsettled(ctx context.Context, olderThan time.Time, limit int) ([]codegrant.Token, error) {
	return s.find(ctx, unsettled, "", "", micros(olderThan.Add(time.Microsecond)), limit)
}

// List implements [codegrant.ListStore].
func (s *Store) List(ctx context.Context, afterID string, limit int) ([]codegrant.Token, error) {
	return s.find(ctx, byID, "", noTime+afterID, anyTime, limit)
}

// find returns, in the order of an index, the records whose members begin with
// scope and go on with something between after and before.
func (s *Store) find(ctx context.Context, index int, scope, after, before string, limit int) ([]codegrant.Token, error) {
	if err := ctx.Err(); err != nil || limit <= 0 { // go-redis takes 0 for no limit
		return nil, err
	}
	after, before = scope+after, scope+before
	found, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{
		Key: s.prefix + indexes[index], ByLex: true, Start: "(" + after, Stop: "(" + before, Count: int64(limit),
	}).Result()
	if err != nil {
		return nil, err
	}
	replies := make([]*redis.StringCmd, len(found))
	_, err = s.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for i, member := range found {
			replies[i] = pipe.HGet(ctx, s.record(member[len(scope)+len(noTime):]), "record")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	tokens := make([]codegrant.Token, 0, len(found))
	for _, reply := range replies {
		t, err := read(reply)
		if err != nil {
			return nil, err
		}
		// It may have been saved since the index was read, and left the range.
		if member := members(t)[index]; after < member && member < before {
			tokens = append(tokens, t)
		}
	}
	slices.SortFunc(tokens, func(a, b codegrant.Token) int { return cmp.Compare(members(a)[index], members(b)[index]) })
	return tokens, nil
}
