package storetest

import (
	"cmp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// brokenStore is a store with one flaw and what it comes to.
type brokenStore[S any] struct {
	name   string
	store  func() S
	breaks []string // the cases that it fails, and no others
	among  []string // instead of breaks: cases that are among many that it fails
	// only limits the cases to those in which the flaw shows in every run:
	// stores that meet inside Save wait for each other without a clock.
	only []string
}

func TestBrokenStoresAreCaught(t *testing.T) {
	t.Parallel()
	for _, broken := range append(brokenTokenStores(), brokenTxStores()...) {
		t.Run(broken.name, func(t *testing.T) {
			t.Parallel()
			isCaught(t, allCases(), broken)
		})
	}
}

func isCaught[S any](t *testing.T, cases []testCase, broken brokenStore[S]) {
	t.Helper()
	var names []string
	for _, f := range check(t.Context(), cases, broken.store, broken.only...) {
		names = append(names, f.name)
		require.NotEmpty(t, f.rule)
	}
	if broken.among != nil {
		require.Subset(t, names, broken.among)
		return
	}
	require.ElementsMatch(t, broken.breaks, names)
}

// flawed makes stores of which f broke something.
func flawed(f func(*memory)) func() codegrant.TokenStore {
	return func() codegrant.TokenStore {
		m := newMemory()
		f(m)
		return m
	}
}

// keeping makes stores that change what they store.
func keeping(f func(t *codegrant.Token)) func() codegrant.TokenStore {
	return flawed(func(m *memory) {
		m.keep = func(_, t codegrant.Token) codegrant.Token { f(&t); return t }
	})
}

func brokenTokenStores() []brokenStore[codegrant.TokenStore] {
	return []brokenStore[codegrant.TokenStore]{
		{name: "the last write wins", among: []string{
			"a second insert conflicts and keeps the first",
			"a stale revision conflicts and changes nothing",
			"a skipped revision conflicts and changes nothing",
			"one of 32 concurrent updates wins and is what is stored",
		}, store: flawed(func(m *memory) {
			m.accept = func(_, _ codegrant.Token) bool { return true }
		})},
		{name: "an insert overwrites", breaks: []string{
			"a second insert conflicts and keeps the first",
			"the same record saved again conflicts",
			"a stale revision conflicts and changes nothing",
			"one of 32 concurrent inserts wins and is what is stored",
			"saves at the same time are judged one by one",
		}, store: flawed(func(m *memory) {
			m.accept = func(old, t codegrant.Token) bool { return t.Revision == 1 || old.Revision == t.Revision-1 }
		})},
		{name: "any newer revision is taken", breaks: []string{
			"an absent record is inserted by revision 1 only",
			"a skipped revision conflicts and changes nothing",
			"saves at the same time are judged one by one",
		}, store: flawed(func(m *memory) {
			m.accept = func(old, t codegrant.Token) bool { return t.Revision > old.Revision }
		})},
		{name: "revisions are kept in a byte", breaks: []string{"revisions count on beyond 255"},
			store: flawed(func(m *memory) {
				m.accept = func(old, t codegrant.Token) bool { return byte(old.Revision) == byte(t.Revision-1) }
			})},
		{name: "absent is no error", among: []string{
			"Get of an absent id is ErrNotFound",
			"ByFingerprint of an absent fingerprint is ErrNotFound",
		}, store: flawed(func(m *memory) { m.missing = nil })},
		{name: "sub-seconds are dropped", among: []string{
			"times are kept to the microsecond",
			"ByUser orders by CreatedAt",
			"Unsettled orders by UnsettledSince",
		}, store: keeping(func(t *codegrant.Token) {
			eachTimeOf(t, func(at time.Time) time.Time { return at.Truncate(time.Second) })
		})},
		{name: "microseconds are rounded to milliseconds", among: []string{"times are kept to the microsecond"},
			store: keeping(func(t *codegrant.Token) {
				eachTimeOf(t, func(at time.Time) time.Time { return at.Round(time.Millisecond) })
			})},
		{name: "times come back in the local zone", breaks: []string{"times come back in UTC"},
			store: flawed(func(m *memory) {
				m.show = func(t codegrant.Token) codegrant.Token {
					eachTimeOf(&t, func(at time.Time) time.Time { return at.In(time.FixedZone("CET", 3600)) })
					return t
				}
			})},
		{name: "zero times become 1970", breaks: []string{
			"zero times stay zero",
			"an update can clear every field",
		}, store: keeping(func(t *codegrant.Token) {
			t.CreatedAt, t.UpdatedAt = orEpoch(t.CreatedAt), orEpoch(t.UpdatedAt)
		})},
		{name: "times are 32 bits", breaks: []string{
			"times between now and 2100 are kept, also where clocks change",
			"zero times stay zero",
		}, store: keeping(func(t *codegrant.Token) {
			t.CreatedAt = time.Unix(int64(int32(t.CreatedAt.Unix())), int64(t.CreatedAt.Nanosecond())).UTC()
		})},
		{name: "the time of the last change is the store's", among: []string{"times are the caller's"},
			store: flawed(func(m *memory) {
				m.keep = func(old, t codegrant.Token) codegrant.Token {
					if t.UpdatedAt.Equal(old.UpdatedAt) {
						t.UpdatedAt = time.Now().UTC()
					}
					return t
				}
			})},
		{name: "AuthURL ends at 255", breaks: []string{"an AuthURL of 3,000 characters is kept"},
			store: keeping(func(t *codegrant.Token) { t.AuthURL = t.AuthURL[:min(len(t.AuthURL), 255)] })},
		{name: "users end at 255", breaks: []string{"user ids of 256 characters are kept and told apart"},
			store: keeping(func(t *codegrant.Token) {
				t.UserID = string([]rune(t.UserID)[:min(len([]rune(t.UserID)), 255)])
			})},
		{name: "blanks are trimmed", breaks: []string{"blanks at the ends are kept"},
			store: keeping(func(t *codegrant.Token) { t.ReturnTo = strings.TrimSpace(t.ReturnTo) })},
		{name: "text is three-byte", breaks: []string{"text of any script is kept"},
			store: keeping(func(t *codegrant.Token) {
				t.ReturnTo = strings.Map(func(r rune) rune { return min(r, 0xffff) }, t.ReturnTo)
			})},
		{name: "quotes are doubled", breaks: []string{"hostile text is kept"},
			store: keeping(func(t *codegrant.Token) { t.AuthState = strings.ReplaceAll(t.AuthState, "'", "''") })},
		{name: "secrets go through JSON", among: []string{
			"secrets are kept exactly",
			"every field is kept",
		}, store: keeping(func(t *codegrant.Token) {
			text, _ := t.LoginID.MarshalText()
			t.LoginID = codegrant.NewSecret(string(text))
		})},
		{name: "a field is forgotten", among: []string{
			"every field is kept",
			"an update replaces every field",
		}, store: keeping(func(t *codegrant.Token) { t.DoubtedAt = time.Time{} })},
		{name: "a cleared field keeps its value", breaks: []string{
			"an update can clear every field",
			"a status may fall and a hook be owed again",
		}, store: flawed(func(m *memory) {
			m.keep = func(old, t codegrant.Token) codegrant.Token {
				t.EndedBy = cmp.Or(t.EndedBy, old.EndedBy)
				return t
			}
		})},
		{name: "a status never falls", among: []string{
			"an update can clear every field",
			"a status may fall and a hook be owed again",
		}, store: flawed(func(m *memory) {
			m.keep = func(old, t codegrant.Token) codegrant.Token {
				t.Handled = max(t.Handled, old.Handled)
				return t
			}
		})},
		{name: "wallets are an enumeration", breaks: []string{"every wallet is kept, unknown ones too"},
			store: keeping(func(t *codegrant.Token) {
				if strings.HasPrefix(string(t.Wallet), "Wallet of") {
					t.Wallet = ""
				}
			})},
		{name: "ids ignore case", breaks: []string{"ids are compared exactly"},
			store: flawed(func(m *memory) { m.id = strings.ToLower })},
		{name: "ids ignore blanks at the end", breaks: []string{"ids are compared exactly"}, store: flawed(func(m *memory) {
			m.id = func(id string) string { return strings.TrimRight(id, " ") }
		})},
		{name: "users ignore accents", breaks: []string{"users are compared exactly"}, store: flawed(func(m *memory) {
			m.owner = func(account, user string) string {
				return account + "\x00" + strings.NewReplacer("é", "e", "á", "a", "\u0301", "").Replace(user)
			}
		})},
		{name: "fingerprints ignore case", breaks: []string{"fingerprints are compared exactly"},
			store: flawed(func(m *memory) { m.mark = strings.ToLower })},
		{name: "ByUser ignores the account", breaks: []string{
			"accounts are compared exactly",
			"account and user do not run together",
			"ByUser keeps accounts apart",
		}, store: flawed(func(m *memory) {
			m.owner = func(_, user string) string { return user }
		})},
		{name: "ByUser joins account and user", breaks: []string{"account and user do not run together"},
			store: flawed(func(m *memory) {
				m.owner = func(account, user string) string { return account + ":" + user }
			})},
		{name: "ByUser is newest first", among: []string{"ByUser orders by CreatedAt"}, store: flawed(func(m *memory) {
			m.order = func(a, b codegrant.Token) int { return byCreation(b, a) }
		})},
		{name: "ByUser ignores the order of IDs", among: []string{"ByUser orders by ID what was created at the same time"},
			store: flawed(func(m *memory) {
				m.order = func(a, b codegrant.Token) int {
					return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(b.ID, a.ID))
				}
			})},
		{name: "ByUser leaves out the ended", among: []string{"ByUser returns records of every status"},
			store: func() codegrant.TokenStore { return withoutEnded{newMemory()} }},
		{name: "ByUser returns the same slice each time", breaks: []string{"results belong to the caller"},
			store: func() codegrant.TokenStore { return &sameSlice{memory: newMemory()} }},
		{name: "ByFingerprint returns the oldest", breaks: []string{
			"ByFingerprint returns the newest of several",
			"ByFingerprint returns the last ID of several created at the same time",
			"ByFingerprint finds the older record again when the newer one changes",
		}, store: func() codegrant.TokenStore { return oldestFirst{newMemory()} }},
		{name: "the empty fingerprint is one", breaks: []string{"ByFingerprint of the empty fingerprint is ErrNotFound"},
			store: func() codegrant.TokenStore { return emptyFound{newMemory()} }},
		{name: "Unsettled includes the settled", breaks: []string{
			"an update can clear every field",
			"Unsettled leaves out what is settled",
			"Unsettled forgets what was settled and follows what changed",
			"look-ups are right among 2,000 records",
		}, store: flawed(func(m *memory) {
			m.waits = func(t codegrant.Token, at time.Time) bool { return !t.UnsettledSince.After(at) }
		})},
		{name: "Unsettled leaves out the moment itself", among: []string{"Unsettled includes olderThan itself"},
			store: flawed(func(m *memory) {
				m.waits = func(t codegrant.Token, at time.Time) bool {
					return !t.UnsettledSince.IsZero() && t.UnsettledSince.Before(at)
				}
			})},
		{name: "Unsettled includes the later", breaks: []string{"Unsettled leaves out what is later than olderThan"},
			store: flawed(func(m *memory) {
				m.waits = func(t codegrant.Token, at time.Time) bool {
					return !t.UnsettledSince.IsZero() && !t.UnsettledSince.After(at.Add(time.Microsecond))
				}
			})},
		{name: "Unsettled goes by the status", breaks: []string{
			"every look-up returns whole records",
			"Unsettled looks at no other field",
		}, store: flawed(func(m *memory) {
			waits := m.waits
			m.waits = func(t codegrant.Token, at time.Time) bool { return waits(t, at) && t.Status != codegrant.StatusUnbound }
		})},
		{name: "Unsettled is newest first", breaks: []string{
			"Unsettled orders by UnsettledSince",
			"Unsettled returns no more than limit, the oldest first",
			"look-ups are right among 2,000 records",
		}, store: flawed(func(m *memory) {
			m.settle = func(a, b codegrant.Token) int {
				return cmp.Or(b.UnsettledSince.Compare(a.UnsettledSince), cmp.Compare(a.ID, b.ID))
			}
		})},
		{name: "Unsettled ignores the limit", breaks: []string{
			"Unsettled returns no more than limit, the oldest first",
			"Unsettled with a limit of zero or less returns nothing",
		}, store: func() codegrant.TokenStore { return withoutLimit{newMemory()} }},
		{name: "Unsettled limits before it sorts", breaks: []string{"Unsettled returns no more than limit, the oldest first"},
			store: func() codegrant.TokenStore { return limitFirst{newMemory()} }},
		{name: "an ended context is ignored", breaks: []string{
			"an ended context inserts nothing",
			"an ended context updates nothing",
			"an ended context reads nothing",
		}, store: flawed(func(m *memory) { m.rush = true })},
		{name: "an ended context is ErrNotFound", breaks: []string{"an ended context reads nothing"},
			store: func() codegrant.TokenStore { return endedIsAbsent{newMemory()} }},
		{name: "concurrent inserts are not one step", breaks: []string{"one of 32 concurrent inserts wins and is what is stored"},
			store: flawed(func(m *memory) { m.pause = meetAt(1) }),
			only:  []string{"one of 32 concurrent inserts wins and is what is stored"}},
		{name: "concurrent updates are not one step", breaks: []string{
			"one of 32 concurrent updates wins and is what is stored",
			"concurrent read, change and save with retry loses no update",
		}, store: flawed(func(m *memory) { m.pause = meetAt(2) }),
			only: []string{
				"one of 32 concurrent updates wins and is what is stored",
				"concurrent read, change and save with retry loses no update",
			}},
		{name: "one lock refuses whoever has to wait", breaks: []string{"different ids do not conflict"},
			store: func() codegrant.TokenStore { return newImpatient() },
			only:  []string{"different ids do not conflict"}},
		{name: "a save is written in two halves", breaks: []string{"readers never see half a save"},
			store: func() codegrant.TokenStore { return newHalves() },
			only:  []string{"readers never see half a save"}},
		{name: "look-ups lag behind by one save", among: []string{"what was saved is found at once, while others save"},
			store: func() codegrant.TokenStore { return &lagging{memory: newMemory()} }},
		{name: "List ignores case", breaks: []string{
			"List goes by the bytes of ids and returns whole records",
			"List begins after afterID, stored or not",
			"List walks over all records, page by page",
			"List begins with the first record for the empty id",
		}, store: listing(func(l *lister) {
			l.byID = func(a, b codegrant.Token) int { return cmp.Compare(strings.ToLower(a.ID), strings.ToLower(b.ID)) }
		})},
		{name: "List begins with afterID", breaks: []string{
			"List begins after afterID, stored or not",
			"List walks over all records, page by page",
		}, store: listing(func(l *lister) { l.after = func(id, afterID string) bool { return id >= afterID } })},
		{name: "List returns one too many", among: []string{"List with a limit of zero or less returns nothing"},
			store: listing(func(l *lister) { l.atMost = func(limit int) int { return limit + 1 } })},
	}
}

// listing makes ListStores of which f broke something.
func listing(f func(*lister)) func() codegrant.TokenStore {
	return func() codegrant.TokenStore {
		l := newLister()
		f(l)
		return l
	}
}
