// Cluster is one small shop as three instances behind nginx, on one PostgreSQL,
// with a rolling restart that loses no request and no notification. The gateway
// is the simulator of package gatewaytest. It needs a Unix system with nginx
// and a PostgreSQL server.
//
//	go run .            # serves until Ctrl+C; Enter restarts one after the other
//	go run . -restart   # buyers, a rolling restart under them, and a tally
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends it at once
	var err error
	if len(os.Args) > 1 && os.Args[1] == instanceCommand {
		err = runInstance(ctx, os.Args[2:])
	} else {
		err = run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// run starts everything and waits for ctx to end or, with -restart, until the
// restart has been made.
func run(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) (err error) {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dsn := flags.String("dsn", cmp.Or(os.Getenv("POSTGRES_DSN"), "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable"),
		"PostgreSQL `server`; the database of the example is made there, and removed at the end")
	port := flags.Int("port", 8080, "of nginx, on 127.0.0.1; the instances have the next three")
	restart := flags.Bool("restart", false, "let buyers in, restart one instance after the other under them, print what was lost, end")
	level := slog.LevelInfo
	flags.TextVar(&level, "log-level", slog.LevelInfo, "`level` of the instances' log; with -restart WARN unless it is set")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stdout)
		flags.Usage()
		return nil
	} else if err != nil {
		return fmt.Errorf("%w; see -help", err)
	}

	if *restart && !isSet(flags, "log-level") {
		level = slog.LevelWarn // so that the tally can be read
	}

	ownDSN, drop, err := createDatabase(ctx, *dsn)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	c, err := startCluster(ctx, clusterConfig{DSN: ownDSN, Port: *port, Log: os.Stderr, Level: level})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if *restart {
		return demonstrate(ctx, c, stdout)
	}
	announce(stdout, c)
	return serveUntil(ctx, c, stdin, stdout)
}

func isSet(flags *flag.FlagSet, name string) bool {
	set := false
	flags.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

func announce(w io.Writer, c *cluster) {
	fmt.Fprintf(w, `Three instances are up. Nothing here moves real money.

  Shop           %s   (nginx, pid %d, in %s)
  Instances      %s   %s   %s
  Your wallets   %s/wallet   (simulated: what the wallet apps show you)
  Ledger         %s/ledger   (simulated: what the gateway did)

Press Enter, or send SIGHUP to %d, to restart one instance after the other.
Press Ctrl+C to stop.
`, c.url, c.proxy.process.pid(), c.proxy.folder,
		c.instances[0].url, c.instances[1].url, c.instances[2].url, c.gateway.URL, c.gateway.URL, os.Getpid())
}

// serveUntil restarts whenever it is asked to, until ctx ends.
func serveUntil(ctx context.Context, c *cluster, stdin io.Reader, stdout io.Writer) error {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGHUP)
	defer signal.Stop(asked)
	go func() { // ends with the program: a read of the terminal cannot be called off
		for lines := bufio.NewScanner(stdin); lines.Scan(); {
			select {
			case asked <- syscall.SIGHUP:
			default: // one is waiting
			}
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
			if err := c.rollingRestart(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			fmt.Fprintln(stdout, "All three were restarted.")
		}
	}
}

// demonstrate lets buyers in, restarts everything under them and says what they
// saw.
func demonstrate(ctx context.Context, c *cluster, stdout io.Writer) error {
	fmt.Fprintf(stdout, "Eight buyers at %s; restarting one instance after the other, twice.\n", c.url)
	crowd := newCrowd(ctx, c, 8)
	var err error
	for range 2 {
		if err = c.rollingRestart(ctx); err != nil {
			break
		}
	}
	t := crowd.leave()
	c.gateway.Wait() // for the notifications of the last payments
	firstTry, notifications := 0, c.gateway.Notifications()
	for _, n := range notifications {
		if len(n.Attempts) > 0 && n.Attempts[0].Accepted() {
			firstTry++
		}
	}
	fmt.Fprintf(stdout, "%d requests, %d lost. %d wallets connected, %d orders paid, %d orders charged twice.\n"+
		"%d notifications, %d accepted at their first delivery.\n",
		t.requests, len(t.lost), len(t.connected), len(t.paid), len(c.gateway.Ledger().ChargedTwice()),
		len(notifications), firstTry)
	for _, what := range t.lost {
		fmt.Fprintln(stdout, "lost:", what)
	}
	return err
}
