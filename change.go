package codegrant

import (
	"context"
	"errors"
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
		hooked:   k.cfg.OnToken != nil,
		id:       func(t Token) string { return t.ID },
		revision: func(t Token) int64 { return t.Revision },
		owes:     func(t Token) bool { return t.Handled < t.Status },
		hear:     k.hearToken,
		accept:   acceptToken,
		stamp: func(before, t Token, now time.Time) Token {
			t.Revision, t.UpdatedAt = before.Revision+1, now
			return settle(t, now)
		},
		note: func(ctx context.Context, op string, before, after Token) {
			if after.Status == before.Status {
				return
			}
			k.note(ctx, op, "transition", slog.Any("token", after))
			if before.Status < StatusActive && after.Status >= StatusActive {
				k.supersede(ctx, op, after)
			}
		},
	}
	if tx, ok := k.cfg.Store.(TxStore); ok && tokens.hooked && !k.cfg.HooksAfterSave {
		tx := checkedTxStore{tx}
		tokens.inTx = func(ctx context.Context, fn func(context.Context, records[Token]) error) error {
			return tx.InTx(ctx, func(ctx context.Context, s TokenStore) error { return fn(ctx, of(s)) })
		}
	}
	return tokens
}

// supersede puts the user's older tokens of the same wallet in doubt: the gateway
// may have ended them, by a rule of the wallet and without a word, and the next
// sweep asks. Until it has, they stay active, and charges take the newest: the
// user is never without one. It holds no lock, for two sign-ups may supersede
// each other's.
// PingPong v4 leaves open how many agreements a wallet allows; see Antom, Alipay+.
func (k *Kit) supersede(ctx context.Context, op string, t Token) {
	if t.Wallet == "" {
		return // adopted, and nobody said of which wallet
	}
	if k.client.endpoints.SignUpQuery == Disabled && !k.cfg.QueryByList {
		return // nobody could ever end the doubt
	}
	tokens, err := k.Tokens(ctx, t.UserID)
	newest := t
	for _, other := range tokens { // the success of an older sign-up may come last
		if other.Wallet == t.Wallet && other.Status >= StatusActive && other.CreatedAt.After(newest.CreatedAt) {
			newest = other
		}
	}
	for _, older := range tokens {
		if older.Wallet != t.Wallet || older.Status != StatusActive || !older.CreatedAt.Before(newest.CreatedAt) {
			continue
		}
		_, updateErr := k.tokens.update(ctx, op, older, true, func(now Token) (Token, bool) {
			if now.Status != StatusActive || !now.DoubtedAt.IsZero() {
				return now, false
			}
			now.DoubtedAt = k.now()
			return now, true
		})
		err = errors.Join(err, updateErr)
	}
	if err != nil {
		k.reject(ctx, op, err, slog.Any("token", t)) // a charge will find out
	}
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
