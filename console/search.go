package console

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/codegrant/codegrant"
)

// match is something that a search found.
type match struct{ Kind, Name, Account, Link string }

// link is the address of a record's page.
func link(page, account, id string) string {
	return page + "?" + url.Values{"account": {account}, "id": {id}}.Encode()
}

// search finds what was typed. It is a POST, and what was typed is never shown
// or logged: it may be a token. Only what the store knows as a name gets into
// an address.
func (v *visit) search(ctx context.Context) error {
	if err := v.r.ParseForm(); err != nil {
		return codegrant.ErrTooLarge
	}
	q, accounts := strings.TrimSpace(v.r.PostForm.Get("q")), v.ids
	if len(q) > maxText {
		return codegrant.ErrTooLarge
	}
	if !readable(q) {
		return codegrant.ErrInvalidRequest
	}
	if id := v.r.PostForm.Get("account"); id != "" {
		if _, err := v.kit(ctx, id); err != nil {
			return err
		}
		accounts = []string{id}
	}
	found, err := v.find(ctx, q, accounts)
	switch {
	case err != nil:
		return err
	case len(found) == 1:
		return v.goTo(found[0].Link)
	case len(found) == 0 && isHex(q) && len(q) >= 8 && len(q) < 64:
		return errShortened
	case len(found) == 0:
		return codegrant.ErrNotFound
	}
	return v.show("matches", page{Title: "Several things have this name", Content: found})
}

// errShortened: what was not found may be the beginning of a fingerprint.
var errShortened = fmt.Errorf("a shortened fingerprint: %w", codegrant.ErrNotFound)

func isHex(s string) bool {
	_, err := hex.DecodeString(s + s) // twice: an odd number of digits is fine too
	return err == nil
}

// find looks q up under every name that it can be.
func (v *visit) find(ctx context.Context, q string, accounts []string) ([]match, error) {
	// First as a token's value: one that is known goes no further.
	t, err := v.cfg.Store.ByFingerprint(ctx, codegrant.Fingerprint(codegrant.NewSecret(q)))
	if !errors.Is(err, codegrant.ErrNotFound) {
		found, err := v.signUp(t, err, accounts)
		for i := range found {
			found[i].Link += "&pasted=yes"
		}
		return found, err
	}
	t, err = v.cfg.Store.Get(ctx, q)
	found, err := v.signUp(t, err, accounts)
	if err != nil {
		return nil, err
	}
	if len(q) == 64 && isHex(q) {
		t, err := v.cfg.Store.ByFingerprint(ctx, strings.ToLower(q))
		byFingerprint, err := v.signUp(t, err, accounts)
		if err != nil {
			return nil, err
		}
		found = append(found, byFingerprint...)
	}
	for _, account := range accounts {
		named, err := v.findIn(ctx, q, account)
		if err != nil {
			return nil, err
		}
		found = append(found, named...)
	}
	return found, nil
}

// signUp is the match for what a look-up of the store returned, if that belongs
// to one of accounts.
func (v *visit) signUp(t codegrant.Token, err error, accounts []string) ([]match, error) {
	if errors.Is(err, codegrant.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, account := range accounts {
		if t.AccountID == account {
			return []match{{"Sign-up", t.ID, account, link("token", account, t.ID)}}, nil
		}
	}
	return nil, nil
}

// findIn looks q up as a user and as an order.
func (v *visit) findIn(ctx context.Context, q, account string) (found []match, err error) {
	tokens, err := v.tokensOf(ctx, account, q)
	if err != nil {
		return nil, err
	}
	if len(tokens) > 0 {
		found = append(found, match{"User", q, account, link("user", account, q)})
	}
	_, err = v.payment(ctx, account, q)
	switch {
	case err == nil:
		found = append(found, match{"Order", q, account, link("order", account, q)})
	case !errors.Is(err, codegrant.ErrNotFound):
		return nil, err
	}
	return found, nil
}

// tokensOf returns the user's records in that account, oldest first.
func (v *visit) tokensOf(ctx context.Context, account, user string) ([]codegrant.Token, error) {
	all, err := v.cfg.Store.ByUser(ctx, account, user)
	own := make([]codegrant.Token, 0, len(all))
	for _, t := range all { // a database may take A for a
		if t.AccountID == account && t.UserID == user {
			own = append(own, t)
		}
	}
	return own, err
}

// payment returns the record of an order in that account.
func (v *visit) payment(ctx context.Context, account, orderID string) (codegrant.Payment, error) {
	if v.cfg.Payments == nil {
		return codegrant.Payment{}, codegrant.ErrNotFound
	}
	kit, err := v.kit(ctx, account)
	if err != nil {
		return codegrant.Payment{}, err
	}
	p, err := kit.Payment(ctx, orderID)
	if err == nil && (p.AccountID != account || p.OrderID != orderID) {
		err = codegrant.ErrNotFound
	}
	return p, err
}
