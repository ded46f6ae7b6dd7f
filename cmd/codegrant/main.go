// Codegrant is the command-line companion of the library: it explains why a
// message does not verify, signs, verifies and replays messages, runs the
// simulated gateway for people on other stacks, and checks a configuration.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// environment is what a command may touch, so that tests can give it another.
type environment struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
}

// command is one word after "codegrant". run returns flag.ErrHelp when only
// help was asked for, errFailed after it has printed the verdict itself.
type command struct {
	name, summary string
	run           func(ctx context.Context, env environment, args []string) error
}

func commands() []command {
	return []command{
		{"explain", "say why a message does not verify", explain},
		{"verify", "say whether a message verifies", verify},
		{"sign", "sign a request, or a notification as the gateway does", sign},
		{"replay", "deliver a recorded notification once more", replay},
		{"simulate", "run the simulated gateway, for clients in any language", simulate},
		{"probe", "settle what PingPong does not document, against an endpoint", runProbe},
		{"doctor", "check a configuration, its database and its URLs", runDoctor},
	}
}

var (
	// errUsage: the command line makes no sense; exit status 2.
	errUsage = errors.New("wrong usage")
	// errFailed: the answer is no, and it is printed already; exit status 1.
	errFailed = errors.New("failed")
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	env := environment{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv}
	status := run(ctx, env, os.Args[1:])
	stop()
	os.Exit(status)
}

// run returns the exit status: 0 for yes, 1 for no or an error, 2 for a wrong
// command line.
func run(ctx context.Context, env environment, args []string) int {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		usage(env.stdout)
		return 0
	}
	for _, c := range commands() {
		if c.name != args[0] {
			continue
		}
		switch err := c.run(ctx, env, args[1:]); {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errFailed):
			return 1
		case errors.Is(err, errUsage):
			fmt.Fprintf(env.stderr, "codegrant %s: %v\n", c.name, err)
			return 2
		default:
			fmt.Fprintf(env.stderr, "codegrant %s: %v\n", c.name, err)
			return 1
		}
	}
	fmt.Fprintf(env.stderr, "codegrant: no command %q\n\n", args[0])
	usage(env.stderr)
	return 2
}

func usage(w io.Writer) {
	fmt.Fprint(w, "usage: codegrant COMMAND [flags]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-10s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\ncodegrant COMMAND -h lists the flags. Exit status: 0 yes, 1 no or an error, 2 wrong usage.\n")
}
