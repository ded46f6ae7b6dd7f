package codegrant_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/codegrant/codegrant"

// sourceFile is a Go file that is no test, with what it imports.
type sourceFile struct {
	path    string // below the module's root, with slashes
	imports []string
}

// in reports whether f is in folder or below it.
func (f sourceFile) in(folder string) bool { return strings.HasPrefix(f.path, folder+"/") }

// atRoot reports whether f belongs to the root package.
func (f sourceFile) atRoot() bool { return !strings.Contains(f.path, "/") }

// dependencyRule says what the files that it covers may import.
type dependencyRule struct {
	name    string
	covers  func(sourceFile) bool
	allowed func(imported string) bool
}

// broken lists each import that breaks r.
func (r dependencyRule) broken(files []sourceFile) []string {
	var found []string
	for _, f := range files {
		for _, imported := range f.imports {
			if r.covers(f) && !r.allowed(imported) {
				found = append(found, f.path+" imports "+imported)
			}
		}
	}
	return found
}

// dependencyRules keep a merchant's binary and go.sum small, and the simulator
// honest. Anything heavier than this belongs in a nested module.
func dependencyRules() []dependencyRule {
	return []dependencyRule{
		{
			name:   "no package imports anything but the standard library, this module, validator and x/sync",
			covers: func(sourceFile) bool { return true },
			allowed: func(imported string) bool {
				return isStandard(imported) || isOurs(imported) || isAgreed(imported)
			},
		},
		{
			name:    "the root package imports none of its subfolders",
			covers:  sourceFile.atRoot,
			allowed: func(imported string) bool { return !isOurs(imported) },
		},
		{
			name:    "what stands beside the root package imports the standard library and this module",
			covers:  func(f sourceFile) bool { return !f.atRoot() },
			allowed: func(imported string) bool { return isStandard(imported) || isOurs(imported) },
		},
		{
			name: "the simulator shares no wire code with the kit: only its client.go knows the kit",
			covers: func(f sourceFile) bool {
				return f.in("gatewaytest") && f.path != "gatewaytest/client.go"
			},
			allowed: func(imported string) bool {
				return !isOurs(imported) || isIn(imported, module+"/gatewaytest")
			},
		},
	}
}

func isStandard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return !strings.Contains(first, ".") && imported != "C"
}

func isOurs(imported string) bool { return isIn(imported, module) }

func isAgreed(imported string) bool {
	return isIn(imported, "github.com/go-playground/validator/v10") || isIn(imported, "golang.org/x/sync")
}

func isIn(imported, folder string) bool {
	return imported == folder || strings.HasPrefix(imported, folder+"/")
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	files := moduleFiles(t)
	for _, rule := range dependencyRules() {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			require.True(t, slices.ContainsFunc(files, rule.covers), "the rule covers no file")
			require.Empty(t, rule.broken(files))
		})
	}
}

func TestDependencyRulesCatch(t *testing.T) {
	t.Parallel()
	rules := dependencyRules()
	everything, root, plain, simulator := rules[0].name, rules[1].name, rules[2].name, rules[3].name
	for _, tc := range []struct {
		name, path, imported string
		broken               []string
	}{
		{"the standard library is welcome everywhere", "notify.go", "net/http", nil},
		{"the root validates", "validate.go", "github.com/go-playground/validator/v10", nil},
		{"the root groups calls", "handler.go", "golang.org/x/sync/singleflight", nil},
		{"everything imports the root", "memstore/memstore.go", module, nil},
		{"an example uses the simulator", "examples/shop/main.go", module + "/gatewaytest", nil},
		{"the simulator's client knows the kit", "gatewaytest/client.go", module, nil},
		{"a router at the root", "handler.go", "github.com/go-chi/chi/v5", []string{everything}},
		{"a validator of another version", "validate.go", "github.com/go-playground/validator", []string{everything}},
		{"a name that only begins like x/sync", "lock.go", "golang.org/x/syncother", []string{everything}},
		{"a test helper that ships", "storetest/storetest.go", "github.com/stretchr/testify/require", []string{everything, plain}},
		{"a driver inside a store", "sqlstore/sqlstore.go", "github.com/jackc/pgx/v5", []string{everything, plain}},
		{"cgo", "signature.go", "C", []string{everything}},
		{"a default store at the root", "handler.go", module + "/memstore", []string{root}},
		{"the root in its own simulator", "client.go", module + "/gatewaytest", []string{root}},
		{"validator in memstore", "memstore/memstore.go", "github.com/go-playground/validator/v10", []string{plain}},
		{"an example with a framework", "examples/chi/main.go", "github.com/go-chi/chi/v5", []string{everything, plain}},
		{"the simulator signs with the kit", "gatewaytest/sign.go", module, []string{simulator}},
		{"the simulator reaches the kit through a store", "gatewaytest/gateway.go", module + "/memstore", []string{simulator}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var broken []string
			for _, rule := range rules {
				if len(rule.broken([]sourceFile{{tc.path, []string{tc.imported}}})) > 0 {
					broken = append(broken, rule.name)
				}
			}
			require.Equal(t, tc.broken, broken)
		})
	}
}

func TestGoModAsksForNothingHeavy(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	agreed := []string{
		"github.com/go-playground/validator/v10",
		"golang.org/x/sync",
		"github.com/stretchr/testify", // tests only
		"modernc.org/sqlite",          // tests only: a driver without cgo
	}
	var direct []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(line, "require "))
		if len(fields) == 2 && strings.HasPrefix(fields[1], "v") {
			direct = append(direct, fields[0])
		}
	}
	require.NotEmpty(t, direct, "go.mod was not understood; is it tidy?")
	require.Subset(t, agreed, direct, "anything heavier belongs in a nested module")
}

// moduleFiles reads the imports of every file of this module that is no test.
// It needs no go command. Nested modules have a go.sum of their own and are
// left out, as the go command leaves out testdata and hidden folders.
func moduleFiles(t *testing.T) []sourceFile {
	t.Helper()
	var files []sourceFile
	require.NoError(t, filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name != "." && (strings.HasPrefix(entry.Name(), ".") || strings.HasPrefix(entry.Name(), "_") ||
				entry.Name() == "testdata" || isModule(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		name = filepath.ToSlash(name)
		if path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		file := sourceFile{path: name}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			file.imports = append(file.imports, imported)
		}
		files = append(files, file)
		return nil
	}))
	return files
}

func isModule(folder string) bool {
	_, err := os.Stat(filepath.Join(folder, "go.mod"))
	return err == nil
}
