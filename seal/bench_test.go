package seal_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
)

// oneRecord is a store that costs nothing: what is measured is the sealing.
type oneRecord struct{ token codegrant.Token }

func (s *oneRecord) Get(context.Context, string) (codegrant.Token, error) { return s.token, nil }
func (s *oneRecord) Save(_ context.Context, t codegrant.Token) error      { s.token = t; return nil }
func (s *oneRecord) ByFingerprint(context.Context, string) (codegrant.Token, error) {
	return s.token, nil
}
func (s *oneRecord) ByUser(context.Context, string, string) ([]codegrant.Token, error) {
	return nil, nil
}
func (s *oneRecord) Unsettled(context.Context, time.Time, int) ([]codegrant.Token, error) {
	return nil, nil
}

// benchRecord has one value of n bytes, or with n = 0 the three of a sign-up.
func benchRecord(n int) codegrant.Token {
	token := record("r")
	if n > 0 {
		token.Value = codegrant.NewSecret(strings.Repeat("v", n))
		token.Reference, token.LoginID = codegrant.Secret{}, codegrant.Secret{}
	}
	return token
}

func BenchmarkSeal(b *testing.B) {
	for _, n := range []int{0, 32, 4 << 10, 64 << 10} {
		b.Run("bytes="+strconv.Itoa(n), func(b *testing.B) {
			store, token := sealing(b, &oneRecord{}, keyring(b, "k1")), benchRecord(n)
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				if err := store.Save(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{0, 32, 4 << 10, 64 << 10} {
		b.Run("bytes="+strconv.Itoa(n), func(b *testing.B) {
			store := sealing(b, &oneRecord{}, keyring(b, "k1"))
			save(b, store, benchRecord(n))
			b.ReportAllocs()
			b.SetBytes(int64(n))
			for b.Loop() {
				if _, err := store.Get(b.Context(), "r"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
