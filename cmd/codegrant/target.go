package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"strings"

	"github.com/codegrant/codegrant"
)

// target says which gateway a command talks to.
type target struct{ endpoint, site string }

func (t *target) addFlags(flags *flag.FlagSet) {
	flags.StringVar(&t.endpoint, "endpoint", "", "scheme and host of the gateway, instead of -site")
	flags.StringVar(&t.site, "site", "sandbox", "sandbox, fra, sg or us")
}

// endpoints returns the gateway's host, without paths.
func (t *target) endpoints() (codegrant.Endpoints, error) {
	if t.endpoint != "" {
		u, err := url.Parse(t.endpoint)
		if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return codegrant.Endpoints{}, fmt.Errorf("%w: -endpoint must be scheme and host", errUsage)
		}
		if u.Scheme != "https" && (u.Scheme != "http" || !isLocal(u.Hostname())) {
			return codegrant.Endpoints{}, fmt.Errorf("%w: -endpoint must be https, or http on this machine", errUsage)
		}
		return codegrant.Endpoints{Host: u.Scheme + "://" + u.Host}, nil
	}
	switch t.site {
	case "sandbox":
		return codegrant.Sandbox(), nil
	case "fra":
		return codegrant.ProductionFRA(), nil
	case "sg":
		return codegrant.ProductionSG(), nil
	case "us":
		return codegrant.ProductionUS(), nil
	}
	return codegrant.Endpoints{}, fmt.Errorf("%w: -site must be sandbox, fra, sg or us", errUsage)
}

// accountFrom reads the account from the environment. The library judges it.
func accountFrom(getenv func(string) string) (codegrant.Account, error) {
	a := codegrant.Account{
		ID: getenv("CODEGRANT_ACCOUNT"), ClientID: getenv("CODEGRANT_CLIENT"),
		Salts: codegrant.Salts(splitList(getenv("CODEGRANT_SALTS"))...), Digest: digestFrom(getenv),
	}
	if _, err := codegrant.NewClient(codegrant.ClientConfig{Account: a, Endpoints: codegrant.Sandbox()}); err != nil {
		return a, fmt.Errorf("CODEGRANT_ACCOUNT, CODEGRANT_CLIENT, CODEGRANT_DIGEST or CODEGRANT_SALTS: %w", err)
	}
	if a.ClientID == "" {
		a.ClientID = a.ID[:len(a.ID)-3]
	}
	return a, nil
}

func digestFrom(getenv func(string) string) codegrant.Digest {
	return codegrant.Digest(cmp.Or(getenv("CODEGRANT_DIGEST"), string(codegrant.SHA256)))
}

// splitList splits a comma-separated list. Blanks around the items stay: in a
// salt they are a mistake that must be seen.
func splitList(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func revealed(secrets []codegrant.Secret) []string {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		texts[i] = s.Reveal()
	}
	return texts
}

// parseFlags parses a command line of flags alone. -h prints about and the
// flags to standard output.
func parseFlags(env environment, flags *flag.FlagSet, about string, args []string) error {
	flags.SetOutput(env.stderr)
	flags.Usage = func() {}
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(env.stdout, "usage: codegrant %s [flags]\n\n%s\n\n", flags.Name(), about)
		flags.SetOutput(env.stdout)
		flags.PrintDefaults()
		return err
	case err != nil:
		return errUsage // the flag package has said what
	case flags.NArg() > 0:
		return fmt.Errorf("%w: no arguments are taken, only flags", errUsage)
	}
	return nil
}
