package storetest

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codegrant/codegrant"
)

// timeLimit ends the context of a case, so that a store that waits for ever is
// named instead of running into the time limit of go test.
const timeLimit = 2 * time.Minute

// Run tries the stores that newStore returns against every rule of
// [codegrant.TokenStore], and of [codegrant.TxStore] and [codegrant.ListStore]
// where they are one. It returns when every case has ended, so the caller may
// then close what the stores share.
//
// newStore is called once per case, from parallel sub-tests; its t is that of
// the sub-test, for Cleanup and Helper. It may return stores over one shared
// database.
func Run(t *testing.T, newStore func(t *testing.T) codegrant.TokenStore) {
	t.Helper()
	run(t, groups(), func(t *testing.T) any { return newStore(t) })
}

func run(t *testing.T, groups []group, newStore func(t *testing.T) any) {
	t.Helper()
	// Parallel sub-tests start when their parent returns, so they get a parent
	// of their own: Run can wait for them.
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, tc := range g.cases {
				t.Run(tc.name, func(t *testing.T) {
					t.Parallel()
					result := tc.try(t.Context(), newStore(t))
					if result.skipped != "" {
						t.Skip(result.skipped)
					}
					if f, failed := result.failure(tc); failed {
						t.Error(f)
					}
				})
			}
		})
	}
}

// testCase is one thing that is expected of a store.
type testCase struct {
	name string // what is expected
	rule string // the sentence of the contract that says so
	run  func(*trial)
}

type group struct {
	name  string
	cases []testCase
}

func groups() []group {
	return []group{{"TokenStore", tokenStoreCases()}, {"TxStore", txStoreCases()}, {"ListStore", listStoreCases()}}
}

func tokenStoreCases() []testCase {
	return slices.Concat(absentCases(), fieldCases(), timeCases(), exactCases(), saveCases(),
		concurrencyCases(), togetherCases(), togetherLookUpCases(), byUserCases(), byFingerprintCases(), unsettledCases(), contextCases(), volumeCases())
}

func txStoreCases() []testCase {
	return slices.Concat(commitCases(), rollbackCases(), txConflictCases(), isolationCases(), txContextCases())
}

func allCases() []testCase {
	return slices.Concat(tokenStoreCases(), txStoreCases(), listStoreCases())
}

// failure is a rule that a store broke.
type failure struct {
	name, rule string
	seen       []string
}

// String is what a store's author reads.
func (f failure) String() string {
	return fmt.Sprintf("rule broken: %s\nseen: %s", f.rule, strings.Join(f.seen, "\nseen: "))
}

// check runs the cases with these names, or all of them, one after the other,
// each on a fresh store, and returns what was broken.
func check[S any](ctx context.Context, cases []testCase, newStore func() S, names ...string) []failure {
	var broken []failure
	for _, tc := range cases {
		if len(names) > 0 && !slices.Contains(names, tc.name) {
			continue
		}
		if f, failed := tc.try(ctx, newStore()).failure(tc); failed {
			broken = append(broken, f)
		}
	}
	return broken
}

// ended unwinds a case that cannot go on.
type ended struct{}

// try runs one case on one store of whatever kind. The trial that it returns
// has ended.
func (tc testCase) try(ctx context.Context, store any) *trial {
	ctx, cancel := context.WithTimeout(ctx, timeLimit)
	defer cancel()
	c := newTrial(ctx, store)
	c.guard(func() { tc.run(c) })
	c.guard(c.settle)
	return c
}

// guard runs f up to its end, to fatalf or skip, or to a panic of the store.
func (c *trial) guard(f func()) {
	defer func() {
		switch p := recover().(type) {
		case nil, ended:
		default:
			c.errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	f()
}

func (c *trial) failure(tc testCase) (f failure, failed bool) {
	return failure{tc.name, tc.rule, c.seen}, len(c.seen) > 0
}
