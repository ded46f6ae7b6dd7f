package dbtest

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// BenchmarkStore is what one delivery costs, by as many callers as there are
// connections. Every commit is durable where the server is set up so.
func BenchmarkStore(b *testing.B) {
	var ids atomic.Int64
	insert := func(ctx context.Context, store codegrant.TokenStore) error {
		return store.Save(ctx, token(fmt.Sprint("REQ-", ids.Add(1))))
	}
	for _, s := range servers() {
		b.Run(s.name, func(b *testing.B) {
			db, err := sql.Open(s.driver, s.create(b))
			require.NoError(b, err)
			b.Cleanup(func() { require.NoError(b, db.Close()) })
			db.SetMaxOpenConns(8)
			db.SetMaxIdleConns(8)
			store := s.migrated(b, db)
			updatable := make(chan codegrant.Token, 1024)
			for range 1024 {
				t := token(fmt.Sprint("REQ-", ids.Add(1)))
				require.NoError(b, store.Save(b.Context(), t))
				updatable <- t
			}
			for name, work := range map[string]func(ctx context.Context) error{
				"update": func(ctx context.Context) error {
					t := <-updatable
					t.Revision++
					defer func() { updatable <- t }()
					return store.Save(ctx, t)
				},
				"update in a transaction": func(ctx context.Context) error {
					t := <-updatable
					t.Revision++
					defer func() { updatable <- t }()
					return store.InTx(ctx, func(ctx context.Context, tx codegrant.TokenStore) error { return tx.Save(ctx, t) })
				},
				"insert":                  func(ctx context.Context) error { return insert(ctx, store) },
				"insert in a transaction": func(ctx context.Context) error { return store.InTx(ctx, insert) },
				"get": func(ctx context.Context) error {
					_, err := store.ByUser(ctx, "A1", "nobody")
					return err
				},
			} {
				b.Run(name, func(b *testing.B) {
					b.SetParallelism(32)
					b.RunParallel(func(pb *testing.PB) {
						for pb.Next() {
							if err := work(b.Context()); err != nil {
								b.Error(err)
								return
							}
						}
					})
				})
			}
		})
	}
}
