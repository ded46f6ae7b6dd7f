package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// maxMessage caps what is read as a message, in bytes. The library's own cap on
// notifications is far below.
const maxMessage = 4 << 20

// newFlags returns the flags of a command. Its help begins with about.
func newFlags(env environment, name, about string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(env.stderr)
	flags.Usage = func() {
		flags.SetOutput(env.stdout)
		fmt.Fprintf(env.stdout, "%s\n\nflags:\n", strings.TrimSpace(about))
		flags.PrintDefaults()
		flags.SetOutput(env.stderr)
	}
	return flags
}

// parse reads flags that stand before, between and behind the other
// arguments, which it returns. After "--" everything is an argument.
func parse(flags *flag.FlagSet, args []string) ([]string, error) {
	var rest []string
	// Only flag.FlagSet knows which flags take a value: it parses up to the
	// first argument that is not a flag, that one is kept, and so on.
	for {
		err := flags.Parse(args)
		if err == flag.ErrHelp { //nolint:errorlint // returned as it is
			return nil, err
		}
		if err != nil {
			return nil, errUsage // and printed already
		}
		left := flags.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if end := len(args) - len(left); end > 0 && args[end-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// one returns the only argument.
func one(args []string, what string) (string, error) {
	if len(args) != 1 {
		return "", fmt.Errorf("%w: one %s is wanted, %d given", errUsage, what, len(args))
	}
	return args[0], nil
}

// readMessage reads a file, or standard input for "-".
func readMessage(env environment, name string) ([]byte, error) {
	in := env.stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if err == nil && len(body) > maxMessage {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxMessage)
	}
	return body, err
}
