package main

import (
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strings"

	"github.com/codegrant/codegrant"
)

// probeSettings are the values of codegrant's settings that the probe found to
// differ from the defaults. The printed text and the values that tests build a
// kit with come from the same fields.
type probeSettings struct {
	digest         codegrant.Digest
	endpoints      codegrant.Endpoints // Host, and the paths that differ
	successCodes   []string            // beside the default ones
	goneCodes      []string
	notifyTypes    map[string]codegrant.Kind
	statuses       map[string]codegrant.Kind // beside the default ones; KindUnknown takes one out
	queryUnsigned  bool
	queryByList    bool
	authHosts      []string // only as a comment: the list may be incomplete
	confirmed      []string // ids of steps
	settled        []string // what the settings above came from
	notSettled     []string
	needsAttention []string // what no setting covers
}

// account returns a with the digest that was found.
func (s *probeSettings) account(a codegrant.Account) codegrant.Account {
	if s.digest != "" {
		a.Digest = s.digest
	}
	return a
}

// client returns the settings of the client.
func (s *probeSettings) client(a codegrant.Account) codegrant.ClientConfig {
	cfg := codegrant.ClientConfig{Account: s.account(a), Endpoints: s.endpoints, TokenGoneCodes: s.goneCodes}
	if len(s.successCodes) > 0 {
		cfg.SuccessCodes = append([]string{"000000", "001000"}, s.successCodes...)
	}
	return cfg
}

// kit returns the settings of the kit.
func (s *probeSettings) kit() codegrant.Config {
	return codegrant.Config{
		NotifyTypes: s.notifyTypes, SignUpStatuses: s.signUpStatuses(),
		QueryUnsigned: s.queryUnsigned, QueryByList: s.queryByList,
	}
}

// signUpStatuses is nil while the default table is right. A table of one's own
// takes its place, so the default words are repeated.
func (s *probeSettings) signUpStatuses() map[string]codegrant.Kind {
	if len(s.statuses) == 0 {
		return nil
	}
	table := defaultSignUpStatuses()
	for word, kind := range s.statuses {
		if kind == codegrant.KindUnknown {
			delete(table, word)
		} else {
			table[word] = kind
		}
	}
	return table
}

// defaultSignUpStatuses is the table that a nil Config.SignUpStatuses means.
func defaultSignUpStatuses() map[string]codegrant.Kind {
	return map[string]codegrant.Kind{
		"SUCCESS": codegrant.KindSignedUp, "FAILED": codegrant.KindSignUpFailed, "CLOSED": codegrant.KindSignUpFailed,
		"CANCEL": codegrant.KindSignUpFailed, "UNBOUND": codegrant.KindTokenGone,
	}
}

func (s *probeSettings) setStatus(word string, kind codegrant.Kind) {
	if defaultSignUpStatuses()[word] == kind {
		return
	}
	if s.statuses == nil {
		s.statuses = make(map[string]codegrant.Kind)
	}
	s.statuses[word] = kind
}

// source is a Go file with the settings. It compiles as it is; everything that
// it leaves out is a default.
func (s *probeSettings) source(a codegrant.Account) string {
	var b strings.Builder
	b.WriteString("// Package settings was written by codegrant probe. What is not set here is\n// codegrant's default.\n")
	for _, list := range []struct {
		title string
		lines []string
	}{
		{"Confirmed by these steps:", []string{strings.Join(s.confirmed, " ")}},
		{"Settled:", s.settled},
		{"NOT settled, so left at the default:", grouped(s.notSettled)},
		{"Settled, but no setting covers it; please report it to codegrant:", s.needsAttention},
	} {
		writeComment(&b, list.title, list.lines)
	}
	b.WriteString("package settings\n\nimport \"github.com/codegrant/codegrant\"\n\n")
	b.WriteString("// Endpoints says where the gateway is.\nfunc Endpoints() codegrant.Endpoints {\nreturn codegrant.Endpoints{\n")
	fmt.Fprintf(&b, "Host: %q,\n", s.endpoints.Host)
	for _, p := range []struct{ name, path string }{
		{"SignUp", s.endpoints.SignUp},
		{"SignUpQuery", s.endpoints.SignUpQuery}, {"Unbind", s.endpoints.Unbind}, {"RefundQuery", s.endpoints.RefundQuery},
	} {
		switch p.path {
		case "":
		case codegrant.Disabled:
			fmt.Fprintf(&b, "%s: codegrant.Disabled,\n", p.name)
		default:
			fmt.Fprintf(&b, "%s: %q,\n", p.name, p.path)
		}
	}
	b.WriteString("}\n}\n\n// Client is for codegrant.NewClient.\n" +
		"func Client(salts []codegrant.Secret) codegrant.ClientConfig {\nreturn codegrant.ClientConfig{\n")
	fmt.Fprintf(&b, "Account: codegrant.Account{ID: %q, ClientID: %q, Salts: salts", a.ID, a.ClientID)
	if s.digest != "" && s.digest != codegrant.SHA256 {
		fmt.Fprintf(&b, ", Digest: codegrant.%s", s.digest)
	}
	b.WriteString("},\nEndpoints: Endpoints(),\n")
	writeStrings(&b, "SuccessCodes", s.client(a).SuccessCodes)
	writeStrings(&b, "TokenGoneCodes", s.goneCodes)
	b.WriteString("}\n}\n\n// Kit is for codegrant.New, which wants Store, BaseURL and User too.\n" +
		"func Kit(client *codegrant.Client) codegrant.Config {\nreturn codegrant.Config{\nClient: client,\n")
	writeKinds(&b, "NotifyTypes", s.notifyTypes)
	writeKinds(&b, "SignUpStatuses", s.signUpStatuses())
	if s.queryUnsigned {
		b.WriteString("QueryUnsigned: true,\n")
	}
	if s.queryByList {
		b.WriteString("QueryByList: true,\n")
	}
	if len(s.authHosts) > 0 {
		fmt.Fprintf(&b, "// Wallet pages were seen on these hosts; other wallets may use others:\n// AuthHosts: %#v,\n", s.authHosts)
	}
	b.WriteString("}\n}\n")
	formatted, err := format.Source([]byte(b.String()))
	if err != nil {
		return b.String() // shown all the same: it says what was found
	}
	return string(formatted)
}

// grouped joins the lines that say the same of several steps.
func grouped(lines []string) []string {
	var texts []string
	ids := make(map[string][]string)
	for _, line := range lines {
		id, text, _ := strings.Cut(line, ": ")
		if ids[text] == nil {
			texts = append(texts, text)
		}
		ids[text] = append(ids[text], id)
	}
	for i, text := range texts {
		texts[i] = strings.Join(ids[text], " ") + ": " + text
	}
	return texts
}

func writeComment(b *strings.Builder, title string, lines []string) {
	if strings.Join(lines, "") == "" {
		return
	}
	fmt.Fprintf(b, "//\n// %s\n", title)
	for _, line := range lines {
		fmt.Fprintf(b, "//   - %s\n", strings.Join(strings.Fields(line), " "))
	}
}

func writeStrings(b *strings.Builder, name string, values []string) {
	if len(values) > 0 {
		fmt.Fprintf(b, "%s: %#v,\n", name, values)
	}
}

func writeKinds(b *strings.Builder, name string, table map[string]codegrant.Kind) {
	if len(table) == 0 {
		return
	}
	fmt.Fprintf(b, "%s: map[string]codegrant.Kind{\n", name)
	for _, word := range slices.Sorted(maps.Keys(table)) {
		fmt.Fprintf(b, "%q: %s,\n", word, kindName(table[word]))
	}
	b.WriteString("},\n")
}

// kindName is the Go name of the kinds that the probe finds.
func kindName(k codegrant.Kind) string {
	switch k {
	case codegrant.KindSignedUp:
		return "codegrant.KindSignedUp"
	case codegrant.KindSignUpFailed:
		return "codegrant.KindSignUpFailed"
	case codegrant.KindUnboundByUser:
		return "codegrant.KindUnboundByUser"
	case codegrant.KindUnboundByMerchant:
		return "codegrant.KindUnboundByMerchant"
	case codegrant.KindTokenGone:
		return "codegrant.KindTokenGone"
	}
	return fmt.Sprintf("codegrant.Kind(%q)", string(k))
}

// statusKind is what a status means by the defaults and what was found.
func (s *probeSettings) statusKind(word string) codegrant.Kind {
	if kind, found := s.statuses[word]; found {
		return kind
	}
	return defaultSignUpStatuses()[word]
}
