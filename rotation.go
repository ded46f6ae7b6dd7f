package codegrant

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// SaltUsage says how much one of [Account.Salts] is in use, so that an old one
// can be removed when it is no longer. A salt is idle since the later of Last
// and Since. It may go when, in every process, it has been idle for longer than
// the 12 h 03 min 10 s for which the gateway repeats a notification, as it was
// signed, and the gateway began to sign with the new one before that.
type SaltUsage struct {
	Salt     int       // index in Account.Salts
	Verified int64     // notifications and answers that it verified
	Last     time.Time // when it verified the last one; zero when it has not yet
	Since    time.Time // when this process began to count
}

// SaltUsage returns one entry for each of [Account.Salts], in their order. Only
// what verified counts. An [Accounts] goes on counting when Find returns a new
// Kit with the same salts.
func (k *Kit) SaltUsage() []SaltUsage { return k.client.SaltUsage() }

// SaltUsage is that of [Kit.SaltUsage], which counts the notifications too.
func (c *Client) SaltUsage() []SaltUsage {
	list := make([]SaltUsage, len(c.usage))
	for i := range list {
		u := c.usage[i].Load()
		list[i] = SaltUsage{Salt: i, Verified: u.verified.Load(), Since: u.since}
		if last := u.last.Load(); last != 0 {
			list[i].Last = time.UnixMicro(last).UTC()
		}
	}
	return list
}

// saltUse counts what one salt verified.
type saltUse struct {
	since    time.Time
	verified atomic.Int64
	last     atomic.Int64 // Unix time in microseconds; 0 is never
	noted    atomic.Bool  // its use was logged
}

func newSaltUsage(salts int) []atomic.Pointer[saltUse] {
	usage := make([]atomic.Pointer[saltUse], salts)
	for i := range usage {
		usage[i].Store(&saltUse{since: time.Now().UTC().Truncate(time.Microsecond)})
	}
	return usage
}

func (u *saltUse) count() {
	u.last.Store(time.Now().UnixMicro())
	u.verified.Add(1)
}

// countSalt counts a verified notification, and logs once that a salt other
// than the one that signs is in use.
func (k *Kit) countSalt(ctx context.Context, salt int) {
	u := k.client.usage[salt].Load()
	u.count()
	if salt > 0 && !u.noted.Load() && u.noted.CompareAndSwap(false, true) {
		k.note(ctx, Event{Code: EventOtherSalt, Op: "notify"}, func() []slog.Attr {
			return []slog.Attr{slog.String("account", k.client.account.ID), slog.Int("salt", salt)}
		})
	}
}

// continueUsage makes c count on where old, of the same account, stands. What is
// verified at the same moment may be missed.
func (c *Client) continueUsage(old *Client) {
	for i, salt := range c.account.Salts {
		for j, same := range old.account.Salts {
			if !salt.Equal(same) {
				continue
			}
			before := old.usage[j].Load()
			if mine := c.usage[i].Swap(before); mine != before {
				before.verified.Add(mine.verified.Load())
				before.last.Store(max(before.last.Load(), mine.last.Load()))
			}
		}
	}
}
