package codegrant_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant"
)

// docPages returns the text of README.md, docs/*.md and the examples' READMEs
// by path, and at least as many as there are today.
func docPages(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	names = append(names, "README.md")
	require.NoError(t, filepath.WalkDir("examples", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "README.md" {
			names = append(names, name)
		}
		return err
	}))
	require.Greater(t, len(names), 10)
	pages := make(map[string]string)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		pages[filepath.ToSlash(name)] = string(text)
	}
	return pages
}

// blocks returns the fenced blocks of a page in that language.
func blocks(page, language string) []string {
	var found []string
	for i, block := range strings.Split(page, "```") {
		if code, ok := strings.CutPrefix(block, language+"\n"); ok && i%2 == 1 {
			found = append(found, code)
		}
	}
	return found
}

func TestDocsSnippetsAreCompiled(t *testing.T) {
	t.Parallel()
	squeeze := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	names, err := filepath.Glob("docs*_test.go")
	require.NoError(t, err)
	var compiled strings.Builder
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		compiled.WriteString(squeeze(string(source)) + " ")
	}
	snippets := 0
	for name, page := range docPages(t) {
		if !strings.HasPrefix(name, "docs/") {
			continue
		}
		for _, code := range blocks(page, "go") {
			snippets++
			for part := range strings.SplitSeq(code, "// handle err") {
				require.Contains(t, compiled.String(), squeeze(part), name)
			}
		}
	}
	require.GreaterOrEqual(t, snippets, 15)
}

// codeInSource finds where a Code is made: a constant, the third argument of
// Kit.note, an attribute of a log record, and what codeOf falls back to.
var codeInSource = regexp.MustCompile(
	`Code = "(\w+)"|\.note\(ctx, [\w"]+, "(\w+)"|slog\.String\("code", "(\w+)"\)|return "(internal)"`)

func sourceCodes(t *testing.T) map[string]bool {
	t.Helper()
	codes := make(map[string]bool)
	for _, folder := range []string{".", "sqlstore", "seal"} {
		names, err := filepath.Glob(folder + "/*.go")
		require.NoError(t, err)
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			require.NoError(t, err)
			for _, found := range codeInSource.FindAllStringSubmatch(string(source), -1) {
				codes[strings.Join(found[1:], "")] = true // one of them is not empty
			}
		}
	}
	require.Greater(t, len(codes), 40)
	return codes
}

func TestTroubleshootingExplainsEveryCode(t *testing.T) {
	t.Parallel()
	page := docPages(t)["docs/troubleshooting.md"]
	sources := sourceCodes(t)
	sections := regexp.MustCompile("(?m)^### `(\\w+)`$").FindAllStringSubmatchIndex(page, -1)
	explained := make(map[string]bool)
	for i, at := range sections {
		code := page[at[2]:at[3]]
		require.Contains(t, sources, code, "no such code")
		require.False(t, explained[code], "%s is explained twice", code)
		explained[code] = true
		end := len(page)
		if i+1 < len(sections) {
			end = sections[i+1][0]
		}
		text := page[at[1]:end]
		require.Regexp(t, `(?s)\S.*\n- HTTP: .+\n- Causes: .+\n- Do: .+`, text, code)
		answered := regexp.MustCompile(`- HTTP: (\d+)`).FindStringSubmatch(text)
		if answered != nil {
			require.Equal(t, answered[1], fmt.Sprint(codegrant.HTTPStatus(codegrant.Code(code))), code)
		}
	}
	for code := range sources {
		require.True(t, explained[code], "docs/troubleshooting.md does not explain %s", code)
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksOfTheDocsLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := 0
	for name, page := range docPages(t) {
		for _, l := range link.FindAllStringSubmatch(page, -1) {
			u, err := url.Parse(l[1])
			require.NoError(t, err, name)
			if u.Scheme != "" {
				continue
			}
			links++
			target := name
			if u.Path != "" {
				target = path.Join(path.Dir(name), u.Path)
				if _, err := os.Stat(filepath.FromSlash(target)); err != nil {
					t.Errorf("%s: nothing at %s", name, l[1])
					continue
				}
			}
			if u.Fragment != "" {
				text, err := os.ReadFile(filepath.FromSlash(target))
				require.NoError(t, err)
				if !anchors(string(text))[u.Fragment] {
					t.Errorf("%s: no heading for %s", name, l[1])
				}
			}
		}
	}
	require.Greater(t, links, 60)
}

// anchors are the names that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	found := make(map[string]bool)
	inBlock := false
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
		}
		heading := strings.TrimLeft(line, "#")
		if inBlock || heading == line || !strings.HasPrefix(heading, " ") {
			continue
		}
		found[strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(heading))] = true
	}
	return found
}

func TestCommandsOfTheDocsExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("Makefile")
	require.NoError(t, err)
	names, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	var tests strings.Builder
	for _, name := range names {
		source, err := os.ReadFile(name)
		require.NoError(t, err)
		tests.Write(source)
	}
	commands := 0
	for name, page := range docPages(t) {
		text := strings.Join(blocks(page, "sh"), "\n")
		for i, inline := range strings.Split(regexp.MustCompile("(?s)```.*?```").ReplaceAllString(page, ""), "`") {
			if i%2 == 1 {
				text += "\n" + inline
			}
		}
		for _, c := range regexp.MustCompile(`\bgo (?:-C (\S+)|(?:run|test|build) (?:-\w+ )*\./(\S+))`).FindAllStringSubmatch(text, -1) {
			folder := strings.TrimSuffix(c[1]+c[2], "/...")
			if folder == "..." || folder == "" {
				continue
			}
			commands++
			info, err := os.Stat(folder)
			if err != nil || !info.IsDir() {
				t.Errorf("%s: %s is no folder", name, folder)
			}
		}
		for _, c := range regexp.MustCompile(`\bgo test -run (\w+) \.(?:\s|$)`).FindAllStringSubmatch(text, -1) {
			commands++
			require.Regexp(t, `(?m)^func Test\w*`+c[1], tests.String(), name)
		}
		for _, c := range regexp.MustCompile(`(?m)(?:^|\s)make ([a-z-]+)(?:\s|$)`).FindAllStringSubmatch(text, -1) {
			commands++
			require.Regexp(t, "(?m)^"+c[1]+":", string(makefile), name)
		}
	}
	require.Greater(t, commands, 15)
}

func TestProtocolPageIsTrue(t *testing.T) {
	t.Parallel()
	page := docPages(t)["docs/protocol.md"]
	const salt = "F78BC96A55548B2319EE68E0"
	require.Contains(t, page, salt)
	messages, texts := blocks(page, "json"), blocks(page, "text")
	require.Len(t, messages, 2)
	require.Len(t, texts, 2*len(messages))
	for i, message := range messages {
		var members map[string]string
		require.NoError(t, json.Unmarshal([]byte(message), &members))
		canonical, signature := strings.TrimSpace(texts[2*i]), strings.TrimSpace(texts[2*i+1])
		require.Equal(t, members["sign"], signature)
		require.Equal(t, signature, fmt.Sprintf("%X", sha256.Sum256([]byte(salt+canonical))))
		delete(members, "sign")
		require.Equal(t, signature, sign(salt, members))
	}
	account := codegrant.Account{ID: "2018092714313010016291", Salts: codegrant.Salts(salt)}
	n, err := codegrant.ParseNotification([]byte(messages[1]), account)
	require.NoError(t, err)
	require.Equal(t, codegrant.KindSignedUp, n.Kind)
	_, err = codegrant.ParseNotification([]byte(strings.Replace(messages[1], "REQ-0001", "REQ-0002", 1)), account)
	require.ErrorIs(t, err, codegrant.ErrBadSignature)

	text, err := os.ReadFile("testdata/vectors.json")
	require.NoError(t, err)
	var file vectorFile
	require.NoError(t, json.Unmarshal(text, &file))
	require.Contains(t, page, fmt.Sprintf("has %d cases", len(file.Vectors)))
	require.NoError(t, docsVectors(file))
	file.Vectors[0].Canonical += "&"
	require.Error(t, docsVectors(file))
}
