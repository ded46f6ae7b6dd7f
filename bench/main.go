// Command bench measures codegrant beside other libraries, the bare driver and
// the bare client, each pair in turns in one run, and writes the page
// docs/performance.md:
//
//	go -C bench run . -o ../docs/performance.md
//
// It needs Linux with taskset, and uses wrk, pgbench, strace, a C compiler and
// servers of PostgreSQL and MariaDB where they are; what is missing is named on
// the page. POSTGRES_DSN and MARIADB_DSN name other servers than this machine's.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// session is one run.
type session struct {
	size
	report
	folder string // of this module
	tmp    string // removed at the end
	// folders are removed at the end as well; those who copy a session share
	// them.
	folders *[]string
	log     io.Writer
	raw     io.Writer // benchstat reads it
}

// size is how much is measured.
type size struct {
	rounds    int           // of everything that takes turns
	benchTime string        // of one benchmark in one round
	stretch   time.Duration // of one turn of a load; what is counted instead is scaled to it
	conns     int           // that memory is measured over
	rows      int           // that look-ups are measured among, beside fewRows
	profiles  bool          // of what misses its goal
	only      string        // the name of the only database to measure; empty means all
}

const fewRows = 10_000

// part is one chapter of the page.
type part struct {
	name string
	run  func(*session, context.Context) error
}

var parts = []part{
	{"micro", (*session).micro},
	{"handlers", (*session).handlers},
	{"memory", (*session).memory},
	{"save", (*session).save},
	{"notify", (*session).notify},
	{"slow", (*session).slow},
	{"lookups", (*session).lookups},
}

// leftOut is why a part could not be measured here.
type leftOut string

func (l leftOut) Error() string { return string(l) }

func main() {
	if served() {
		return
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	out := flags.String("o", "", "write the page to this `file` instead of to standard output")
	only := flags.String("parts", "", "measure only these `parts`, with commas between: "+names())
	s := session{log: os.Stderr}
	flags.IntVar(&s.rounds, "rounds", 7, "rounds of everything that takes turns")
	flags.StringVar(&s.benchTime, "benchtime", "50ms", "time of one Go benchmark in one round")
	flags.DurationVar(&s.stretch, "stretch", 400*time.Millisecond, "time of one turn of a load")
	flags.IntVar(&s.conns, "conns", 2000, "connections that memory is measured over")
	flags.IntVar(&s.rows, "rows", 200_000, "stored tokens for the look-ups; from 10 million on the result is kept in recorded.json")
	flags.StringVar(&s.only, "database", "", "measure only this `database`: SQLite, PostgreSQL or MariaDB")
	flags.BoolVar(&s.profiles, "profiles", true, "profile what misses its goal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if !slices.Contains([]string{"", "sqlite", "postgresql", "mariadb"}, strings.ToLower(s.only)) {
		return fmt.Errorf("no database %q; there are SQLite, PostgreSQL and MariaDB", s.only)
	}
	if s.rounds < 1 || s.conns < 1 || s.rows < 1 || s.stretch <= 0 {
		return errors.New("rounds, conns, rows and stretch are at least 1")
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if s.folder, err = os.Getwd(); err != nil {
		return err
	}
	if s.tmp, err = os.MkdirTemp("", "codegrant-bench-"); err != nil {
		return err
	}
	s.folders = &[]string{s.tmp}
	defer func() {
		for _, folder := range *s.folders {
			_ = os.RemoveAll(folder)
		}
	}()
	results := filepath.Join(s.folder, "results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	raw, err := os.Create(filepath.Join(results, time.Now().UTC().Format("20060102T150405")+".txt"))
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	s.raw = raw
	s.lookBusy()
	failed := s.measure(ctx, chosen)
	if ctx.Err() != nil {
		return errors.New("interrupted; no page was written")
	}
	page := s.page(ctx)
	if *out == "" {
		_, err = io.WriteString(os.Stdout, page)
	} else {
		err = os.WriteFile(*out, []byte(page), 0o644)
	}
	return errors.Join(err, failed)
}

// measure runs the parts one after the other. One that fails is named on the
// page and does not stop the others.
func (s *session) measure(ctx context.Context, chosen []part) error {
	var failed error
	for _, p := range chosen {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		began := time.Now()
		fmt.Fprintf(s.log, "%s ...\n", p.name)
		err := p.run(s, ctx)
		var missing leftOut
		switch {
		case errors.As(err, &missing):
			s.missing(p.name, err)
		case err != nil:
			s.missing(p.name, err)
			failed = errors.Join(failed, fmt.Errorf("%s: %w", p.name, err))
		}
		fmt.Fprintf(s.log, "%s: %.0f s\n", p.name, time.Since(began).Seconds())
	}
	return failed
}

func names() string {
	var all []string
	for _, p := range parts {
		all = append(all, p.name)
	}
	return strings.Join(all, ",")
}

func choose(only string) ([]part, error) {
	if only == "" {
		return parts, nil
	}
	var chosen []part
	for name := range strings.SplitSeq(only, ",") {
		found := false
		for _, p := range parts {
			if p.name == name {
				chosen, found = append(chosen, p), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no part %q; there are %s", name, names())
		}
	}
	return chosen, nil
}
