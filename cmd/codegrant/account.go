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

// account returns what flags and environment say. The salts are as given,
// blanks and all: the library refuses those with blanks around them, and
// explain names them.
func (a *accountFlags) account(env environment) (codegrant.Account, error) {
	salts, err := saltValues(a.saltFile, env.getenv("CODEGRANT_SALTS"))
	if err != nil {
		return codegrant.Account{}, err
	}
	account := codegrant.Account{
		ID:       or(a.id, env.getenv("CODEGRANT_ACCOUNT")),
		ClientID: or(a.client, env.getenv("CODEGRANT_CLIENT")),
		Digest:   codegrant.Digest(or(or(a.digest, env.getenv("CODEGRANT_DIGEST")), string(codegrant.SHA256))),
		Salts:    codegrant.Salts(salts...),
	}
	if account.ClientID == "" && len(account.ID) > 3 {
		account.ClientID = account.ID[:len(account.ID)-3]
	}
	switch {
	case account.ID == "":
		return account, fmt.Errorf("%w: no account: set CODEGRANT_ACCOUNT or -account", errUsage)
	case len(salts) == 0:
		return account, fmt.Errorf("%w: no salt: set CODEGRANT_SALTS or -salt-file", errUsage)
	case account.Digest != codegrant.SHA256 && account.Digest != codegrant.MD5:
		return account, fmt.Errorf("%w: the digest is SHA256 or MD5", errUsage)
	}
	return account, nil
}

// saltValues reads salts from a file, one a line, or else from a list with
// commas. Only the ends of lines are taken off, and lines that are empty.
func saltValues(file, list string) ([]string, error) {
	if file == "" {
		if list == "" {
			return nil, nil
		}
		return strings.Split(list, ","), nil
	}
	content, err := os.ReadFile(file)
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

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
