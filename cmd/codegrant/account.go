package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/codegrant/codegrant"
)

// accountFlags say whose messages a command works on. There is no flag for a
// salt: it would stand in the shell's history and in the list of processes.
type accountFlags struct {
	id, client, digest, saltFile string
}

const accountHelp = `
The account comes from CODEGRANT_ACCOUNT, CODEGRANT_CLIENT (empty: the account
without its last three digits), CODEGRANT_DIGEST and CODEGRANT_SALTS, which holds
one salt or several, separated by commas. A salt is never taken from the command
line, where it would stay in the shell's history and in ps.
`

func (a *accountFlags) register(flags *flagSet) {
	flags.StringVar(&a.id, "account", "", "accId; default $CODEGRANT_ACCOUNT")
	flags.StringVar(&a.client, "client", "", "clientId; default $CODEGRANT_CLIENT")
	flags.StringVar(&a.digest, "digest", "", "SHA256 or MD5; default $CODEGRANT_DIGEST, then SHA256")
	flags.StringVar(&a.saltFile, "salt-file", "", "read the salts, one a line, from this `file`; default $CODEGRANT_SALTS")
}

// read returns what flags and environment say. The salts are as given, blanks
// and all: the library refuses those with blanks around them, and explain and
// doctor name them.
func (a *accountFlags) read(env environment) (codegrant.Account, error) {
	salts, err := saltValues(a.saltFile, env.getenv("CODEGRANT_SALTS"))
	account := codegrant.Account{
		ID:       or(a.id, env.getenv("CODEGRANT_ACCOUNT")),
		ClientID: or(a.client, env.getenv("CODEGRANT_CLIENT")),
		Digest:   codegrant.Digest(or(or(a.digest, env.getenv("CODEGRANT_DIGEST")), string(codegrant.SHA256))),
		Salts:    codegrant.Salts(salts...),
	}
	if account.ClientID == "" {
		account.ClientID = account.ID[:max(0, len(account.ID)-3)]
	}
	return account, err
}

// account is read for commands that need an account and a salt.
func (a *accountFlags) account(env environment) (codegrant.Account, error) {
	account, err := a.read(env)
	switch {
	case err != nil:
		return account, err
	case account.ID == "":
		return account, fmt.Errorf("%w: no account: set CODEGRANT_ACCOUNT or -account", errUsage)
	case len(account.Salts) == 0:
		return account, fmt.Errorf("%w: no salt: set CODEGRANT_SALTS or -salt-file", errUsage)
	case account.Digest != codegrant.SHA256 && account.Digest != codegrant.MD5:
		return account, fmt.Errorf("%w: the digest is SHA256 or MD5", errUsage)
	}
	return account, nil
}

// revealed returns the salts' characters, for masking and explaining.
func revealed(salts []codegrant.Secret) []string {
	texts := make([]string, len(salts))
	for i, s := range salts {
		texts[i] = s.Reveal()
	}
	return texts
}

// saltValues reads salts from a file, one a line, or else from a list with
// commas. Only the ends of lines are taken off, and lines that are empty.
func saltValues(file, list string) ([]string, error) {
	if file == "" {
		return splitList(list), nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // G304: the file that was asked for
	if err != nil {
		return nil, err
	}
	var salts []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"); line != "" {
			salts = append(salts, line)
		}
	}
	return salts, nil
}

// splitList splits a list with commas. Blanks around the items stay: in a salt
// they are a mistake that must be seen.
func splitList(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
