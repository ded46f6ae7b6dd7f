package storetest

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
)

func TestRightStoresBreakNoRule(t *testing.T) {
	t.Parallel()
	for name, newStore := range map[string]func() codegrant.TokenStore{
		"memstore":                              func() codegrant.TokenStore { return memstore.New() },
		"a ListStore":                           func() codegrant.TokenStore { return newLister() },
		"a plain store":                         func() codegrant.TokenStore { return newMemory() },
		"a TxStore that makes nobody wait":      func() codegrant.TokenStore { return newOptimist() },
		"a TxStore that makes everybody wait":   func() codegrant.TokenStore { return pessimist{newMemory()} },
		"one TxStore for all cases, optimistic": shared(newOptimist()),
		"one TxStore for all cases, locking":    shared(pessimist{newMemory()}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, func(*testing.T) codegrant.TokenStore { return newStore() })
		})
	}
}

func TestRightPaymentStoresBreakNoRule(t *testing.T) {
	t.Parallel()
	oneOptimist, oneLocking := newBank(), newVault()
	for name, newStore := range map[string]func() codegrant.PaymentStore{
		"memstore":                              func() codegrant.PaymentStore { return memstore.New() },
		"a store of payments alone":             func() codegrant.PaymentStore { return newLedger() },
		"a TxStore that makes nobody wait":      func() codegrant.PaymentStore { return newBank() },
		"a TxStore that makes everybody wait":   func() codegrant.PaymentStore { return newVault() },
		"one TxStore for all cases, optimistic": func() codegrant.PaymentStore { return oneOptimist },
		"one TxStore for all cases, locking":    func() codegrant.PaymentStore { return oneLocking },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			RunPayments(t, func(*testing.T) codegrant.PaymentStore { return newStore() })
		})
	}
}

// As TestAFullSharedDatabaseBreaksNoRule, for payments.
func TestAFullSharedDatabaseOfPaymentsBreaksNoRule(t *testing.T) {
	t.Parallel()
	store := newBank()
	for i := range 1_200 {
		p := codegrant.Payment{ID: fmt.Sprint("left-", i), Revision: 1, UnsettledSince: time.Unix(1, 0)}
		require.NoError(t, store.SavePayment(t.Context(), p))
	}
	cases := slices.Concat(unsettledPaymentCases(), paymentCopyCases(), paymentCommitCases(), paymentRollbackCases())
	require.Empty(t, check(t.Context(), cases, func() bank { return store }))
	left, err := store.UnsettledPayments(t.Context(), time.Now(), 10_000)
	require.NoError(t, err)
	require.Len(t, left, 1_200, "the suite left records unsettled")
}

func shared(store codegrant.TokenStore) func() codegrant.TokenStore {
	return func() codegrant.TokenStore { return store }
}

// The cases that call Unsettled do so among more records than they first ask
// for.
func TestAFullSharedDatabaseBreaksNoRule(t *testing.T) {
	t.Parallel()
	store := newOptimist()
	for i := range 1_200 {
		id := fmt.Sprint("left-", i)
		require.NoError(t, store.Save(t.Context(), codegrant.Token{ID: id, Revision: 1, UnsettledSince: time.Unix(1, 0)}))
	}
	var names []string
	for _, tc := range slices.Concat(unsettledCases(), saveCases(), commitCases(), isolationCases()) {
		names = append(names, tc.name)
	}
	require.Empty(t, check(t.Context(), allCases(), shared(store), names...))
	left, err := store.Unsettled(t.Context(), time.Now(), 10_000)
	require.NoError(t, err)
	require.Len(t, left, 1_200, "the suite left records unsettled")
}

func TestThereAreEnoughCasesAndTheirNamesDiffer(t *testing.T) {
	t.Parallel()
	require.GreaterOrEqual(t, len(tokenStoreCases()), 34)
	require.GreaterOrEqual(t, len(txStoreCases()), 10)
	require.GreaterOrEqual(t, len(paymentStoreCases()), 40)
	require.GreaterOrEqual(t, len(paymentTxCases()), 15)
	names := map[string]bool{}
	for _, tc := range slices.Concat(allCases(), allPaymentCases()) {
		require.False(t, names[tc.name], tc.name)
		names[tc.name] = true
	}
}

func TestFilledTokensHaveEveryField(t *testing.T) {
	t.Parallel()
	epoch := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	first, second := fill("own", epoch, 0), fill("own", epoch, 1)
	for i := range reflect.TypeFor[codegrant.Token]().NumField() {
		name := reflect.TypeFor[codegrant.Token]().Field(i).Name
		require.False(t, reflect.ValueOf(first).Field(i).IsZero(), name)
	}
	require.Len(t, differences(first, second), reflect.TypeFor[codegrant.Token]().NumField())
	require.Empty(t, differences(first, first))
}

// The one field that may be empty is the token, which the kit takes out.
func TestFilledPaymentsHaveEveryField(t *testing.T) {
	t.Parallel()
	epoch := time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC)
	first, second := fillPayment("own", epoch, 0), fillPayment("own", epoch, 1)
	var zero []string
	eachLeaf("", reflect.ValueOf(first), func(name string, v reflect.Value) {
		if v.IsZero() {
			zero = append(zero, name)
		}
	})
	require.Equal(t, []string{"Last.Token"}, zero)
	require.Len(t, first.Refunds, 1)
	second.Refunds = second.Refunds[:1]
	leaves := 0
	eachLeaf("", reflect.ValueOf(first), func(string, reflect.Value) { leaves++ })
	require.Len(t, differences(first, second), leaves-1)
	require.Empty(t, differences(first, first))
	require.NotEmpty(t, differences(first, fillPayment("own", epoch, 2)), "of three refunds")
}

func eachLeaf(name string, v reflect.Value, f func(name string, v reflect.Value)) {
	switch {
	case isRecord(v):
		for i := range v.NumField() {
			eachLeaf(inner(name, v.Type().Field(i).Name), v.Field(i), f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			eachLeaf(fmt.Sprintf("%s[%d]", name, i), v.Index(i), f)
		}
	default:
		f(name, v)
	}
}

// Every sentence of the contract is a rule that a case checks, and every rule
// is a sentence of the contract.
func TestRulesAreTheContract(t *testing.T) {
	t.Parallel()
	contract := contractOf(t)
	asked := map[string]bool{
		// Sentences that ask nothing of a store.
		"TokenStore keeps the records of sign-ups.":                                             true,
		"The kit waits for a call, so one that is under way should return soon after ctx ends.": true,
		"Run storetest against a new one.":                                                      true,
		"Any other error leaves open whether t was stored: the caller looks again.":             true,
		"A record that is saved meanwhile may or may not be seen.":                              true,
		"PaymentStore keeps the records of orders.":                                             true,
	}
	for _, tc := range slices.Concat(allCases(), allPaymentCases()) {
		require.Contains(t, contract.everything, tc.rule, "%s: the rule is no longer in store.go or payment.go", tc.name)
		asked[tc.rule] = true
	}
	for _, sentence := range contract.sentences {
		require.True(t, asked[sentence], "no case checks: %s", sentence)
	}
}

type contract struct {
	everything string
	sentences  []string // of TokenStore and PaymentStore, and of the methods of the four interfaces
}

func contractOf(t *testing.T) contract {
	t.Helper()
	plain := func(text string) string {
		return strings.Join(strings.Fields(strings.NewReplacer("[", "", "]", "").Replace(text)), " ")
	}
	var c contract
	var declarations []ast.Decl
	for _, name := range []string{"../store.go", "../payment.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		require.NoError(t, err)
		for _, comment := range file.Comments {
			c.everything += plain(comment.Text()) + "\n"
		}
		declarations = append(declarations, file.Decls...)
	}
	ends := strings.NewReplacer(". ", ".\n")
	add := func(doc *ast.CommentGroup) {
		c.sentences = append(c.sentences, strings.Split(ends.Replace(plain(doc.Text())), "\n")...)
	}
	for _, declared := range declarations {
		general, ok := declared.(*ast.GenDecl)
		if !ok || general.Tok != token.TYPE {
			continue
		}
		spec, ok := general.Specs[0].(*ast.TypeSpec)
		if !ok || !slices.Contains([]string{"TokenStore", "TxStore", "ListStore", "PaymentStore"}, spec.Name.Name) {
			continue
		}
		if spec.Name.Name == "TokenStore" || spec.Name.Name == "PaymentStore" {
			add(general.Doc)
		}
		for _, method := range spec.Type.(*ast.InterfaceType).Methods.List {
			if len(method.Names) > 0 {
				add(method.Doc)
			}
		}
	}
	require.NotEmpty(t, c.sentences)
	return c
}

// TestRunNamesTheRule runs itself again, as the test of a broken store.
func TestRunNamesTheRule(t *testing.T) {
	t.Parallel()
	const asAuthor = "STORETEST_BROKEN_STORE"
	if os.Getenv(asAuthor) != "" {
		Run(t, func(*testing.T) codegrant.TokenStore {
			m := newMemory()
			m.accept = func(_, _ codegrant.Token) bool { return true }
			return m
		})
		return
	}
	test := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRunNamesTheRule$", "-test.v")
	test.Env = append(os.Environ(), asAuthor+"=1")
	out, err := test.CombinedOutput()
	require.Error(t, err, "the broken store passed")
	for _, text := range []string{
		"--- FAIL: TestRunNamesTheRule/TokenStore/a_stale_revision_conflicts_and_changes_nothing",
		"rule broken: " + saveConflicts,
		"seen: Save of revision 2 over revision 3 returned <nil>, want ErrConflict",
		"--- PASS: TestRunNamesTheRule/TokenStore/every_field_is_kept",
		"--- SKIP: TestRunNamesTheRule/TxStore/fn_is_called_once",
		"not a TxStore",
	} {
		require.Contains(t, string(out), text)
	}
}

func TestAPanicOfAStoreIsAFailure(t *testing.T) {
	t.Parallel()
	broken := check(t.Context(), allCases(), func() codegrant.TokenStore { return (*memory)(nil) }, "every field is kept")
	require.Len(t, broken, 1)
	require.Contains(t, broken[0].String(), "rule broken: "+keepsFields+"\nseen: panic: ")
}

func TestAStoreThatHangsIsAFailure(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hung := newMemory()
	hung.lock <- struct{}{}
	broken := check(ctx, allCases(), shared(hung), "every field is kept")
	require.Len(t, broken, 1)
	require.Contains(t, broken[0].String(), context.DeadlineExceeded.Error())
}

func TestLongTextsAreShownWhereTheyPart(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3_000)
	require.Equal(t, []string{`AuthURL is …` + strings.Repeat("x", 20) + `"… (257 bytes), want …` + strings.Repeat("x", 100) + `… (3002 bytes)`},
		differences(codegrant.Token{AuthURL: long}, codegrant.Token{AuthURL: long[:255]}))
}
