package natsstore

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// BeforeRecord returns s with a pause between the markers and the record of
// each Save, in which pause is called.
func BeforeRecord(s *Store, pause func()) *Store {
	return &Store{kv: pausing{s.kv, pause}, stream: s.stream}
}

type pausing struct {
	jetstream.KeyValue
	pause func()
}

func (p pausing) Create(ctx context.Context, key string, value []byte, o ...jetstream.KVCreateOpt) (uint64, error) {
	p.before(key)
	return p.KeyValue.Create(ctx, key, value, o...)
}

func (p pausing) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	p.before(key)
	return p.KeyValue.Update(ctx, key, value, revision)
}

func (p pausing) before(key string) {
	if strings.HasPrefix(key, "t.") {
		p.pause()
	}
}
