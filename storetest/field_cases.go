package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/codegrant/codegrant"
)

func absentCases() []testCase {
	return []testCase{
		{"Get of an absent id is ErrNotFound", getFinds, func(c *trial) {
			c.save(c.token("other"))
			for _, id := range []string{c.own + "-absent", ""} {
				if got, err := c.store.Get(c.ctx, id); !errors.Is(err, codegrant.ErrNotFound) {
					c.errorf("Get of the absent id %q returned %v and the error %v, want ErrNotFound", id, got, err)
				}
			}
		}},
		{"ByFingerprint of an absent fingerprint is ErrNotFound", fingerprintFinds, func(c *trial) {
			c.save(c.token("other"))
			absent := codegrant.Fingerprint(codegrant.NewSecret(c.own))
			if got, err := c.store.ByFingerprint(c.ctx, absent); !errors.Is(err, codegrant.ErrNotFound) {
				c.errorf("ByFingerprint returned %v and the error %v, want ErrNotFound", got, err)
			}
		}},
		{"ByFingerprint of the empty fingerprint is ErrNotFound", fingerprintFinds, func(c *trial) {
			pending := c.token("pending")
			pending.Value, pending.Fingerprint = codegrant.Secret{}, ""
			c.save(pending)
			if got, err := c.store.ByFingerprint(c.ctx, ""); !errors.Is(err, codegrant.ErrNotFound) {
				c.errorf("with a record that has no token yet, ByFingerprint returned %v and the error %v, want ErrNotFound",
					got, err)
			}
		}},
		{"ByUser of a user without records is empty and no error", userEmpty, func(c *trial) {
			c.save(c.token("other"))
			c.sameRecords("ByUser", c.byUser(c.own+"-account", c.own+"-nobody"))
		}},
	}
}

func fieldCases() []testCase {
	return []testCase{
		{"every field is kept", keepsFields, func(c *trial) {
			for variant := range 3 {
				t := c.filled(variant, int64(variant)+1)
				c.save(t)
				c.holds(t)
			}
		}},
		{"every look-up returns whole records", keepsFields, func(c *trial) {
			t := c.filled(0, 1)
			c.save(t)
			c.finds(t)
			c.sameRecords("Unsettled", c.allUnsettled(t.UnsettledSince), t)
		}},
		{"empty fields stay empty", keepsFields, func(c *trial) {
			empty := codegrant.Token{
				ID: c.own + "-empty", AccountID: c.own, UserID: c.own, Revision: 1, CreatedAt: c.epoch, UpdatedAt: c.epoch,
			}
			c.save(empty)
			c.finds(empty)
		}},
		{"every status is kept", keepsFields, func(c *trial) {
			for status := codegrant.Status(0); status <= codegrant.StatusUnbound; status++ {
				t := c.token(fmt.Sprint("status-", int8(status)))
				t.Status, t.Handled = status, codegrant.StatusUnbound-status
				c.save(t)
				c.holds(t)
			}
		}},
		{"every wallet is kept, unknown ones too", keepsFields, func(c *trial) {
			wallets := []codegrant.Wallet{"", "Wallet of Tomorrow", codegrant.Wallet(strings.Repeat("w", 64))}
			for _, known := range codegrant.Wallets() {
				wallets = append(wallets, known.Wallet)
			}
			for i, wallet := range wallets {
				t := c.token(fmt.Sprint("wallet-", i))
				t.Wallet = wallet
				c.save(t)
				c.holds(t)
			}
		}},
		{"secrets are kept exactly", keepsFields, func(c *trial) {
			for i, secret := range []string{
				"7dda0a6f6958105204fd6637001f900efd9b3168c948b68b6f7f2bf063eadf97",
				strings.Repeat("0123456789abcdef", 32),
				"Zoë+钱包@例え.jp 💳", " ", "[redacted]", `{"a":"\u0000"}`,
			} {
				t := c.token(fmt.Sprint("secret-", i))
				t.Value = codegrant.NewSecret(secret)
				t.Reference, t.LoginID = codegrant.NewSecret(secret+"R"), codegrant.NewSecret(secret+"L")
				c.save(t)
				c.holds(t)
			}
		}},
		{"text of any script is kept", keepsFields, func(c *trial) {
			c.keepsTexts("用户-007", "Zoë Ångström", "नमस्ते", "שלום עולם", "👩‍👩‍👧‍👦🇭🇰💳", "𠮷野家 𝒳",
				"é composed, e\u0301 decomposed", "\u202eright to left", "\ufeffmark", "\u2028line", "\ufffd")
		}},
		{"hostile text is kept", keepsFields, func(c *trial) {
			c.keepsTexts(`'; DROP TABLE tokens; --`, `" OR ""="`, `\' OR 1=1 #`, `\`, `\\n\x00\u0000`, "`id`", `%_%`, `$1 ? :id @p`,
				`${x} {{.}} %s %d`, `<script>&amp;`, "a\tb\r\nc", "\x01\x1f\x7f", `null`, `0`, `{"id":1}`, `*[a-z]?`, "/* */")
		}},
		{"blanks at the ends are kept", keepsFields, func(c *trial) {
			for _, blank := range []string{" ", "   ", "\t", "\n", "\u00a0"} {
				t := spell(c.token(""), blank+c.own+blank)
				c.save(t)
				c.finds(t)
			}
		}},
		{"user ids of 256 characters are kept and told apart", keepsFields, func(c *trial) {
			for name, unit := range map[string]string{"narrow": "x", "wide": "💳"} {
				long := c.own + strings.Repeat(unit, 255-len(c.own))
				a, b := c.token(name+"-a"), c.token(name+"-b")
				a.UserID, b.UserID = long+"1", long+"2"
				c.save(a, b)
				c.finds(a)
				c.finds(b)
			}
		}},
		{"an AuthURL of 3,000 characters is kept", keepsFields, func(c *trial) {
			t := c.token("long")
			t.AuthURL = "https://wallet.example/authorize?contract=" + strings.Repeat("%7B0123456789", 300)
			t.AuthURL = t.AuthURL[:3_000]
			c.save(t)
			c.holds(t)
		}},
		{"revisions count on beyond 255", saveStores, func(c *trial) {
			t := c.token("busy")
			c.save(t)
			for range 300 {
				t = next(t, func(*codegrant.Token) {})
				c.save(t)
			}
			c.finds(t)
			wrapped := next(t, func(t *codegrant.Token) { t.Revision -= 256 })
			if err := c.store.Save(c.ctx, wrapped); !errors.Is(err, codegrant.ErrConflict) {
				c.errorf("Save of revision %d over revision %d returned %v, want ErrConflict", wrapped.Revision, t.Revision, err)
			}
			c.finds(t)
		}},
	}
}

// keepsTexts saves each text in every field that holds text.
func (c *trial) keepsTexts(texts ...string) {
	for _, text := range texts {
		t := spell(c.token(""), c.own+text)
		c.save(t)
		c.finds(t)
	}
}

func timeCases() []testCase {
	return []testCase{
		{"times are kept to the microsecond", keepsTimes, func(c *trial) {
			for i, fraction := range []time.Duration{1, 999_999, 500_000, 123_456, 999_499} {
				c.keepsTime(fmt.Sprint("fraction-", i), c.epoch.Add(fraction*time.Microsecond))
			}
		}},
		{"times come back in UTC", keepsTimes, func(c *trial) {
			t := c.filled(0, 1)
			c.save(t)
			for method, got := range map[string]codegrant.Token{
				"Get": c.get(t.ID), "ByFingerprint": c.byFingerprint(t.Fingerprint),
				"ByUser":    append(c.byUser(t.AccountID, t.UserID), t)[0],
				"Unsettled": append(c.allUnsettled(t.UnsettledSince), t)[0],
			} {
				eachTime(got, func(name string, at time.Time) {
					if at.Location() != time.UTC {
						c.errorf("%s is in the zone %v in what %s returned", name, at.Location(), method)
					}
				})
			}
		}},
		{"times between now and 2100 are kept, also where clocks change", keepsTimes, func(c *trial) {
			for i, at := range []time.Time{
				time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC), // skipped by clocks in Berlin
				time.Date(2026, 10, 25, 0, 30, 0, 0, time.UTC),
				time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC), // shown twice in Berlin
				time.Date(2026, 3, 8, 2, 30, 0, 0, time.UTC),   // skipped in New York
				time.Date(2026, 11, 1, 5, 30, 0, 0, time.UTC),
				time.Date(2026, 11, 1, 6, 30, 0, 0, time.UTC), // shown twice in New York
				time.Date(2028, 2, 29, 23, 59, 59, 999_999_000, time.UTC),
				time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), // one second beyond 32 bits
				time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
			} {
				c.keepsTime(fmt.Sprint("at-", i), at)
			}
		}},
		{"zero times stay zero", keepsTimes, func(c *trial) {
			t := c.token("timeless")
			t.CreatedAt, t.UpdatedAt = time.Time{}, time.Time{}
			c.save(t)
			eachTime(c.get(t.ID), func(name string, at time.Time) {
				if !at.IsZero() {
					c.errorf("%s was saved as zero and came back as %v", name, at)
				}
			})
		}},
		{"times are the caller's", saveStores, func(c *trial) {
			t := c.token("clockwork")
			c.save(t)
			t = next(t, func(t *codegrant.Token) { t.Status = codegrant.StatusUnbound })
			c.save(t) // where a database keeps the time of the last change, it would set it here
			c.holds(t)
			t = next(t, func(t *codegrant.Token) {
				t.UpdatedAt, t.CreatedAt = t.UpdatedAt.Add(-time.Hour), t.CreatedAt.Add(-2*time.Hour)
			})
			c.save(t)
			c.holds(t)
		}},
	}
}

// keepsTime saves at as the times that nothing looks for.
func (c *trial) keepsTime(name string, at time.Time) {
	t := c.token(name)
	t.CreatedAt, t.UpdatedAt, t.DoubtedAt = at, at, at
	c.save(t)
	c.holds(t)
	unsettled := c.unsettled(name+"-unsettled", at)
	c.save(unsettled)
	c.holds(unsettled)
}
