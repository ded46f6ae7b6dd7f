package main

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// transcript is a command line of the README with what it prints.
type transcript struct{ line, output string }

func transcripts(t *testing.T) []transcript {
	t.Helper()
	page, err := os.ReadFile("README.md")
	require.NoError(t, err)
	var all []transcript
	for i, block := range strings.Split(string(page), "```\n") {
		if i%2 == 0 || !strings.HasPrefix(block, "$ ") {
			continue
		}
		for _, text := range strings.Split("\n"+block, "\n$ ")[1:] {
			line, output, _ := strings.Cut(text, "\n")
			all = append(all, transcript{line, strings.TrimSuffix(output, "\n")})
		}
	}
	return all
}

// took is the one part of an output that differs from run to run.
var took = regexp.MustCompile(`(?m)^(\d+) {2}[0-9.]+(µs|ms|s) `)

func TestREADMEShowsWhatTheCommandsPrint(t *testing.T) {
	t.Parallel()
	dir, ran := t.TempDir(), make(map[string]int)
	s := newShop(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("OK")) })
	for _, step := range transcripts(t) {
		line, target, redirected := strings.Cut(step.line, " > ")
		words := strings.Fields(line)
		output := ""
		switch {
		case words[0] == "cat":
			require.NoError(t, os.WriteFile(filepath.Join(dir, words[1]), []byte(step.output+"\n"), 0o600))
			continue
		case words[0] == "sed":
			require.Equal(t, `sed 's,/,\\\\/,g' n.json`, line)
			content, err := os.ReadFile(filepath.Join(dir, "n.json"))
			require.NoError(t, err)
			output = strings.ReplaceAll(string(content), "/", `\\/`)
		case words[0] == "codegrant" && words[1] != "probe":
			for i, word := range words {
				if strings.HasSuffix(word, ".json") {
					words[i] = filepath.Join(dir, word)
				}
				words[i] = strings.Replace(words[i], "http://127.0.0.1:8080", s.URL, 1)
			}
			c := configured()
			c.run(t, words[1:]...)
			require.Empty(t, c.err.String())
			output = strings.ReplaceAll(c.out.String(), dir+"/", "")
			ran[words[1]]++
		default:
			continue // needs a gateway or a shop on the internet
		}
		if redirected {
			require.NoError(t, os.WriteFile(filepath.Join(dir, target), []byte(output), 0o600))
			output = ""
		}
		require.Equal(t, took.ReplaceAllString(step.output, "$1 "), took.ReplaceAllString(strings.TrimSuffix(output, "\n"), "$1 "), step.line)
	}
	require.Equal(t, map[string]int{"sign": 1, "verify": 2, "explain": 1, "replay": 1}, ran)
}
