package codegrant

import (
	"context"
	"log/slog"
	"time"
)

// Change is what [Config.OnToken] is told.
type Change struct {
	// From is the last status that the hook accepted for this record, which
	// need not be the one before: statuses between may have been passed by.
	From Status
	// Token is the record now. Token.Status is the news, Token.Revision the
	// number to compare when calls may overlap.
	Token Token
}

// tokenKeeper keeps the records of sign-ups.
func (k *Kit) tokenKeeper() *keeper[Token] {
	of := func(s TokenStore) records[Token] { return records[Token]{get: s.Get, save: s.Save} }
	tokens := &keeper[Token]{
		kit: k, records: of(k.store),
		id:     func(t Token) string { return t.ID },
		owes:   func(t Token) bool { return t.Handled < t.Status },
		hear:   k.hearToken,
		accept: acceptToken,
		stamp: func(before, t Token, now time.Time) Token {
			t.Revision, t.UpdatedAt = before.Revision+1, now
			return settle(t, now)
		},
		note: func(ctx context.Context, op string, before, after Token) {
			if after.Status != before.Status {
				k.note(ctx, op, "transition", slog.Any("token", after))
			}
		},
	}
	if tx, ok := k.store.(TxStore); ok {
		tokens.inTx = func(ctx context.Context, fn func(context.Context, records[Token]) error) error {
			return tx.InTx(ctx, func(ctx context.Context, s TokenStore) error { return fn(ctx, of(s)) })
		}
	}
	return tokens
}

func (k *Kit) hearToken(ctx context.Context, op string, t Token) error {
	if k.cfg.OnToken == nil {
		return nil
	}
	change := Change{From: t.Handled, Token: t}
	return k.runHook(ctx, op, func(ctx context.Context) error { return k.cfg.OnToken(ctx, change) })
}

func acceptToken(now, heard Token) (Token, bool) {
	if now.Handled >= heard.Status {
		return now, false
	}
	now.Handled = heard.Status
	return now, true
}
