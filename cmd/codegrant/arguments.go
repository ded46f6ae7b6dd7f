package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/codegrant/codegrant"
)

// maxMessage caps what is read as a message, in bytes. The library's own cap on
// notifications is far below.
const maxMessage = 4 << 20

// flagSet is the flags of one command with the text that its help begins with.
type flagSet struct {
	*flag.FlagSet
	env   environment
	about string
}

func newFlags(env environment, name, about string) *flagSet {
	f := &flagSet{FlagSet: flag.NewFlagSet(name, flag.ContinueOnError), env: env, about: about}
	f.SetOutput(env.stderr)
	f.Usage = func() {}
	return f
}

// parse reads flags that stand before, between and behind the other
// arguments, which it returns. After "--" everything is an argument. -h prints
// the help to standard output.
func (f *flagSet) parse(args []string) ([]string, error) {
	var rest []string
	// Only the flag package knows which flags take a value: it parses up to
	// the first argument that is not a flag, that one is kept, and so on.
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprintf(f.env.stdout, "%s\n\nflags:\n", strings.TrimSpace(f.about))
			f.SetOutput(f.env.stdout)
			f.PrintDefaults()
			return nil, err
		}
		if err != nil {
			return nil, errUsage // the flag package has said what
		}
		left := f.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if end := len(args) - len(left); end > 0 && args[end-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

// parseFile is parse for a command whose one argument is FILE.
func (f *flagSet) parseFile(args []string) (string, error) {
	args, err := f.parse(args)
	if err == nil && len(args) != 1 {
		err = fmt.Errorf("%w: one FILE is wanted, %d given", errUsage, len(args))
	}
	if err != nil {
		return "", err
	}
	return args[0], nil
}

// parseNone is parse for a command that takes no arguments.
func (f *flagSet) parseNone(args []string) error {
	args, err := f.parse(args)
	if err == nil && len(args) > 0 {
		err = fmt.Errorf("%w: no arguments are taken, only flags", errUsage)
	}
	return err
}

// parseMessage is parseFile for a command that works on a message of an
// account, which it reads.
func (f *flagSet) parseMessage(args []string, who *accountFlags) (name string, account codegrant.Account, body []byte, err error) {
	if name, err = f.parseFile(args); err != nil {
		return name, account, nil, err
	}
	if account, err = who.account(f.env); err != nil {
		return name, account, nil, err
	}
	body, err = readMessage(f.env, name)
	return name, account, body, err
}

// readMessage reads a file, or standard input for "-".
func readMessage(env environment, name string) ([]byte, error) {
	in := env.stdin
	if name != "-" {
		file, err := os.Open(name) //nolint:gosec // G304: the file that was asked for
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxMessage+1))
	if err == nil && len(body) > maxMessage {
		err = fmt.Errorf("%s is larger than %d bytes", name, maxMessage)
	}
	return body, err
}
