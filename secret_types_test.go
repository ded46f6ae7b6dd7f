package codegrant_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
	"github.com/codegrant/codegrant/memstore"
	"github.com/codegrant/codegrant/seal"
	"github.com/codegrant/codegrant/sqlstore"
)

// exportedTypes is every exported type of the packages whose values a merchant
// may print, by folder. gatewaytest is left out: it is a simulator, its salt is
// made up and public, and its ledger is there to be read.
func exportedTypes() map[string][]reflect.Type {
	return map[string][]reflect.Type{
		".": {
			reflect.TypeFor[codegrant.Account](), reflect.TypeFor[codegrant.Accounts](), reflect.TypeFor[codegrant.AccountsConfig](), reflect.TypeFor[codegrant.SaltUsage](), reflect.TypeFor[codegrant.Amount](), reflect.TypeFor[codegrant.ApplyTokenRequest](),
			reflect.TypeFor[codegrant.ApplyTokenResponse](), reflect.TypeFor[codegrant.CancelTokenRequest](), reflect.TypeFor[codegrant.Change](),
			reflect.TypeFor[codegrant.ChargeParams](), reflect.TypeFor[codegrant.Client](), reflect.TypeFor[codegrant.ClientConfig](),
			reflect.TypeFor[codegrant.Code](), reflect.TypeFor[codegrant.Config](), reflect.TypeFor[codegrant.ConfigError](),
			reflect.TypeFor[codegrant.Digest](), reflect.TypeFor[codegrant.EndedBy](), reflect.TypeFor[codegrant.Endpoints](),
			reflect.TypeFor[codegrant.Error](), reflect.TypeFor[codegrant.GatewayError](), reflect.TypeFor[codegrant.Goods](),
			reflect.TypeFor[codegrant.Kind](), reflect.TypeFor[codegrant.Kit](), reflect.TypeFor[codegrant.ListStore](),
			reflect.TypeFor[codegrant.ListTokensRequest](), reflect.TypeFor[codegrant.ListedToken](), reflect.TypeFor[codegrant.Notification](),
			reflect.TypeFor[codegrant.Observer](), reflect.TypeFor[codegrant.Operation](), reflect.TypeFor[codegrant.OperationKind](), reflect.TypeFor[codegrant.Result](), reflect.TypeFor[codegrant.Event](),
			reflect.TypeFor[codegrant.Outcome](), reflect.TypeFor[codegrant.PayRequest](), reflect.TypeFor[codegrant.PayResponse](),
			reflect.TypeFor[codegrant.PayTerminal](), reflect.TypeFor[codegrant.Payment](), reflect.TypeFor[codegrant.PaymentNotification](), reflect.TypeFor[codegrant.PaymentQuery](),
			reflect.TypeFor[codegrant.PaymentStatus](), reflect.TypeFor[codegrant.PaymentStore](), reflect.TypeFor[codegrant.PrepareRequest](), reflect.TypeFor[codegrant.Problem](),
			reflect.TypeFor[codegrant.Receipt](), reflect.TypeFor[codegrant.ReconcileConfig](), reflect.TypeFor[codegrant.RefundNotification](), reflect.TypeFor[codegrant.RefundParams](),
			reflect.TypeFor[codegrant.RefundRecord](), reflect.TypeFor[codegrant.RefundQuery](), reflect.TypeFor[codegrant.RefundRequest](), reflect.TypeFor[codegrant.RefundResponse](),
			reflect.TypeFor[codegrant.RequestError](), reflect.TypeFor[codegrant.Secret](), reflect.TypeFor[codegrant.SignUpParams](),
			reflect.TypeFor[codegrant.SignUpQuery](), reflect.TypeFor[codegrant.SignUpRequest](), reflect.TypeFor[codegrant.SignUpResponse](),
			reflect.TypeFor[codegrant.SignUpState](), reflect.TypeFor[codegrant.SignUpTerminal](), reflect.TypeFor[codegrant.Status](),
			reflect.TypeFor[codegrant.Sweep](), reflect.TypeFor[codegrant.Token](), reflect.TypeFor[codegrant.TokenStore](), reflect.TypeFor[codegrant.TxStore](),
			reflect.TypeFor[codegrant.UnbindParams](), reflect.TypeFor[codegrant.UnbindRequest](), reflect.TypeFor[codegrant.UnknownOutcomeError](),
			reflect.TypeFor[codegrant.Wallet](), reflect.TypeFor[codegrant.WalletInfo](),
		},
		"seal": {
			reflect.TypeFor[seal.Error](), reflect.TypeFor[seal.Key](), reflect.TypeFor[seal.Keyring](), reflect.TypeFor[seal.Option](),
			reflect.TypeFor[seal.Progress](), reflect.TypeFor[seal.ResealOptions](),
		},
		"memstore": {
			reflect.TypeFor[memstore.Store](),
		},
		"sqlstore": {
			reflect.TypeFor[sqlstore.Dialect](), reflect.TypeFor[sqlstore.Options](), reflect.TypeFor[sqlstore.Store](),
		},
	}
}

// declared is what the package in a folder exports, after its source.
func declared(t *testing.T, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		parsed, err := parser.ParseFile(token.NewFileSet(), file, source, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			general, ok := d.(*ast.GenDecl)
			if !ok || general.Tok != token.TYPE {
				continue
			}
			for _, spec := range general.Specs {
				if name := spec.(*ast.TypeSpec).Name; name.IsExported() {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

// holds reports whether a value of type typ can reach a Secret, and calls text
// for each text on the way. What sits behind an interface or a function is not
// seen: fmt prints no closure, and what is stored is a type of its own.
func holds(typ reflect.Type, path string, text func(path string), seen map[reflect.Type]bool) bool {
	if typ == reflect.TypeFor[codegrant.Secret]() {
		return true
	}
	switch typ.Kind() {
	case reflect.String:
		text(path)
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		return holds(typ.Elem(), path, text, seen)
	case reflect.Map:
		key := holds(typ.Key(), path, text, seen)
		return holds(typ.Elem(), path, text, seen) || key
	case reflect.Struct:
		if seen[typ] || !strings.Contains(typ.PkgPath(), "codegrant") {
			return false
		}
		seen[typ] = true
		found := false
		for i := range typ.NumField() {
			f := typ.Field(i)
			found = holds(f.Type, path+"."+f.Name, text, seen) || found
		}
		return found
	}
	return false
}

// credential is what a text with a secret in it might be called.
var credential = regexp.MustCompile(`(?i)\.[a-z]*(salt|token|secret|password|auth|code|sign|value|body|raw|login|key)[a-z]*$`)

// TestNoExportedTypeIsForgotten: every exported type is known here, those that
// can hold a Secret are among the values that TestNothingPrintsASecret prints,
// and a text that is named like a credential has a reason.
func TestNoExportedTypeIsForgotten(t *testing.T) {
	t.Parallel()
	printed := secretive(t)
	harmless := map[string]bool{}
	for _, fields := range []string{
		"Code IssuerCode SuccessCodes TokenGoneCodes successCodes goneCodes", // results, not credentials
		"SignUp SignUpQuery ApplyToken CancelToken ListTokens",               // paths of Endpoints
		"SignUpStatuses AuthHosts TokenID KeyID tokens keys",                 // words, hosts, numbers of records and keys
		"AuthURL AuthState", // of a sign-up: who has them can bind a wallet of their own, and only the user's session finishes it
	} {
		for field := range strings.FieldsSeq(fields) {
			harmless[field] = true
		}
	}
	for folder, types := range exportedTypes() {
		var known []string
		for _, typ := range types {
			known = append(known, typ.Name())
			text := func(path string) {
				if credential.MatchString(path) && !harmless[path[strings.LastIndexByte(path, '.')+1:]] {
					t.Errorf("%s: %s is a text that is named like a credential", folder, path)
				}
			}
			if holds(typ, typ.Name(), text, map[reflect.Type]bool{}) {
				name := typ.Name()
				if folder != "." {
					name = folder + "." + name
				}
				if printed[name] == nil && printed["*"+name] == nil {
					t.Errorf("%s can hold a secret, and secretive has no sample of it", name)
				}
			}
		}
		require.ElementsMatch(t, declared(t, folder), known, "the exported types of %s; teach exportedTypes and secretive", folder)
	}
}
