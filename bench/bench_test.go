package main

import (
	"crypto/sha256"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// BenchmarkTake verifies and decodes a message of bodySize bytes with each
// library, and with codegrant also under two salts and a forgery.
func BenchmarkTake(b *testing.B) {
	s := newSigner()
	defer s.close()
	body := s.paymentBody()
	require.Len(b, body, bodySize)
	run := func(name string, take func() error, refuse bool) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := take(); (err != nil) != refuse {
					b.Fatal(err)
				}
			}
		})
	}
	parse := func(body []byte, a codegrant.Account) func() error {
		return func() error {
			_, err := codegrant.ParseNotification(body, a)
			return err
		}
	}
	run("codegrant", parse(body, account()), false)
	two := account()
	two.Salts = codegrant.Salts("0123456789ABCDEF01234567", two.Salts[0].Reveal())
	run("codegrant-two-salts", parse(body, two), false)
	run("codegrant-forgery", parse(forged(body), account()), true)
	others, err := peers()
	require.NoError(b, err)
	for _, p := range others {
		run(p.name, func() error { return p.take(p.body, p.header) }, false)
	}
	b.Run("sha256-alone", func(b *testing.B) {
		for b.Loop() {
			_ = sha256.Sum256(body)
		}
	})
}

// BenchmarkCall makes the calls of [newCalls].
func BenchmarkCall(b *testing.B) {
	c, err := newCalls()
	require.NoError(b, err)
	for _, call := range []struct {
		name string
		make func() error
	}{{"Charge", c.charge}, {"Charge-bare", c.bareCharge}, {"SignUp", c.signUp}, {"SignUp-bare", c.bareSignUp}} {
		b.Run(call.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := call.make(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
