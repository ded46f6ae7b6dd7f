package storetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// lookalikes are texts that databases are known to take for each other, by
// case, accents, blanks at the end, or letters that sort alike.
func lookalikes(text string) []string {
	return []string{
		text + "-Cafe", text + "-cafe", text + "-CAFE", text + "-Café", text + "-Cafe\u0301",
		text + "-Cafe ", text + "-Cafe  ", text + "-Cafe\t", text + "-Cafe\u200b", text + "-Cafe\u00a0",
		text + "-strasse", text + "-straße", text + "-ｃafe", text + "-c\u0430fe",
	}
}

func exactCases() []testCase {
	return []testCase{
		{"ids are compared exactly", getFinds, func(c *trial) {
			c.tellsApart(func(t *codegrant.Token, text string) { t.ID = text })
			c.save(c.token("plain"))
			for _, id := range others(c.own + "-plain") {
				if got, err := c.store.Get(c.ctx, id); !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("Get of %q returned the record %q and the error %v, want ErrNotFound", id, got.ID, err)
				}
			}
		}},
		{"users are compared exactly", userFinds, func(c *trial) {
			c.tellsApart(func(t *codegrant.Token, text string) { t.UserID = text })
			t := c.token("plain")
			c.save(t)
			for _, user := range others(t.UserID) {
				if got := c.byUser(t.AccountID, user); len(got) > 0 {
					c.errorf("ByUser of %q returned a record of the user %q", user, got[0].UserID)
				}
			}
		}},
		{"accounts are compared exactly", userFinds, func(c *trial) {
			c.tellsApart(func(t *codegrant.Token, text string) { t.AccountID, t.UserID = text, c.own })
			t := c.token("plain")
			c.save(t)
			for _, account := range others(t.AccountID) {
				if got := c.byUser(account, t.UserID); len(got) > 0 {
					c.errorf("ByUser in the account %q returned a record of the account %q", account, got[0].AccountID)
				}
			}
		}},
		{"fingerprints are compared exactly", fingerprintFinds, func(c *trial) {
			t := c.token("plain")
			c.save(t)
			for _, fingerprint := range others(t.Fingerprint) {
				if got, err := c.store.ByFingerprint(c.ctx, fingerprint); !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("ByFingerprint of %q returned the record with %q and the error %v, want ErrNotFound",
						fingerprint, got.Fingerprint, err)
				}
			}
		}},
		{"account and user do not run together", userFinds, func(c *trial) {
			for i, separator := range []string{"", ":", "/", "|", "-", "_", ",", ";", "#", ".", "&", "=", " ", "\t", "\n", "\x1e", "\x1f"} {
				a, b := c.token(fmt.Sprint("run-a", i)), c.token(fmt.Sprint("run-b", i))
				left, middle, right := fmt.Sprint(c.own, "x", i), "y"+separator+"y", "z"
				a.AccountID, a.UserID = left, middle+separator+right
				b.AccountID, b.UserID = left+separator+middle, right
				c.save(a, b)
				c.sameRecords("ByUser", c.byUser(a.AccountID, a.UserID), a)
				c.sameRecords("ByUser", c.byUser(b.AccountID, b.UserID), b)
			}
		}},
	}
}

// tellsApart saves a record for each lookalike and expects to find them all.
func (c *trial) tellsApart(set func(t *codegrant.Token, text string)) {
	var saved []codegrant.Token
	for i, text := range lookalikes(c.own) {
		t := c.token(fmt.Sprint("lookalike-", i))
		set(&t, text)
		if err := c.store.Save(c.ctx, t); err != nil {
			c.fatalf("Save of %q beside lookalikes of it returned the error %v", text, err)
		}
		saved = append(saved, t)
	}
	for _, t := range saved {
		c.finds(t)
	}
}

// others are texts that are not text but match it where a store compares
// loosely, by a pattern, or by a prefix.
func others(text string) []string {
	short := text[:len(text)-1]
	all := []string{
		strings.ToUpper(text), strings.ToLower(text), strings.Replace(text, "a", "á", 1), strings.Replace(text, "a", "a\u0301", 1),
		text + " ", " " + text, text + "\t", text + "\u200b", short, "%", text + "%", short + "%", short + "_",
		"*", short + "*", short + "?", short + "[a-z0-9]", ".*", "' OR '1'='1",
	}
	return slices.DeleteFunc(all, func(other string) bool { return other == text })
}
