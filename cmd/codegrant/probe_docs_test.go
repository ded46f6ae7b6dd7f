package main

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	goName   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(\.[A-Z][A-Za-z0-9]*)?$`)
	stepName = regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	inTicks  = regexp.MustCompile("`([^`]+)`")
	wireWord = regexp.MustCompile(`^[A-Z]+$`) // SUCCESS and the like
)

// unknownRows returns the cells of each row of docs/unknowns.md.
func unknownRows(t *testing.T) [][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/unknowns.md")
	require.NoError(t, err)
	var rows [][]string
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if strings.HasPrefix(line, "|") && !strings.HasPrefix(line, "|---") && !strings.HasPrefix(line, "| Unknown") {
			rows = append(rows, cells)
		}
	}
	return rows
}

func ticked(cell string) []string {
	var found []string
	for _, m := range inTicks.FindAllStringSubmatch(cell, -1) {
		found = append(found, m[1])
	}
	return found
}

func TestEveryGoNameOnThePageExists(t *testing.T) {
	t.Parallel()
	exported := exportedNames(t, "../..")
	require.Contains(t, exported, "Endpoints.SignUpQuery")
	require.NotContains(t, exported, "Endpoints.paths")
	checked := 0
	for _, row := range unknownRows(t) {
		require.Len(t, row, 5, row[0])
		for _, name := range ticked(strings.Join(row, " ")) {
			if goName.MatchString(name) && (!wireWord.MatchString(name) || name == "SHA256") {
				require.Contains(t, exported, name, row[0])
				checked++
			}
		}
	}
	require.Greater(t, checked, 50)
}

func TestEveryRowSaysWhatCoversItAndHowToSettleIt(t *testing.T) {
	t.Parallel()
	for _, row := range unknownRows(t) {
		for _, cell := range row {
			require.NotEmpty(t, strings.TrimSpace(cell), row[0])
		}
		covered := slices.ContainsFunc(ticked(row[1]), goName.MatchString) ||
			strings.Contains(row[1], "No setting: ") || strings.Contains(row[1], "None needed")
		require.True(t, covered, row[0])
	}
}

func TestThePageAndTheProbeNameTheSameSteps(t *testing.T) {
	t.Parallel()
	var steps []string
	for _, s := range probeSteps() {
		require.NotContains(t, steps, s.id)
		require.Regexp(t, stepName, s.id)
		steps = append(steps, s.id)
	}
	var named []string
	for _, row := range unknownRows(t) {
		inRow := ticked(row[4])
		for _, name := range inRow {
			if stepName.MatchString(name) {
				require.Contains(t, steps, name, row[0])
				named = append(named, name)
			}
		}
		byHand := strings.Contains(row[4], "By hand: ")
		require.True(t, byHand || slices.ContainsFunc(inRow, stepName.MatchString), row[0])
	}
	for _, id := range steps {
		require.Contains(t, named, id, "the page does not say what the step is for")
	}
}

// exportedNames lists what a package exports: names, and Type.Field and
// Type.Method.
func exportedNames(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	var parsed []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, path, nil, parser.ParseComments)
		require.NoError(t, err)
		parsed = append(parsed, file)
	}
	pkg, err := doc.NewFromFiles(files, parsed, "github.com/codegrant/codegrant")
	require.NoError(t, err)
	names := make(map[string]bool)
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, name := range v.Names {
				names[name] = true
			}
		}
	}
	functions := func(prefix string, list []*doc.Func) {
		for _, f := range list {
			names[prefix+f.Name] = true
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	functions("", pkg.Funcs)
	for _, typ := range pkg.Types {
		names[typ.Name] = true
		values(typ.Consts)
		functions("", typ.Funcs)
		functions(typ.Name+".", typ.Methods)
		for _, spec := range typ.Decl.Specs {
			structure, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range structure.Fields.List {
				for _, name := range field.Names {
					if name.IsExported() {
						names[typ.Name+"."+name.Name] = true
					}
				}
			}
		}
	}
	return names
}
