package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/codegrant/codegrant/sqlstore"
)

// slowBy is how much longer every flush to the disk is made to take.
const slowBy = 2 * time.Millisecond

// shim, preloaded into a database server, delays its flushes.
const shim = `#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
static int delayed(const char *name, int fd) {
	struct timespec t = {0, %d};
	nanosleep(&t, 0);
	return ((int (*)(int))dlsym(RTLD_NEXT, name))(fd);
}
int fsync(int fd) { return delayed("fsync", fd); }
int fdatasync(int fd) { return delayed("fdatasync", fd); }
`

var slowFlights = []int{1, 64}

// slow repeats the durable deliveries with a slower disk, on servers of its
// own.
func (s *session) slow(ctx context.Context) error {
	slower := *s
	slower.rounds = min(s.rounds, 3)
	var rows [][]string
	for _, one := range []struct {
		name    string
		measure func(context.Context) ([]notified, error)
	}{
		{"SQLite", slower.tracedSQLite},
		{"PostgreSQL", func(ctx context.Context) ([]notified, error) { return slower.onOwnServer(ctx, slower.ownPostgreSQL) }},
		{"MariaDB", func(ctx context.Context) ([]notified, error) { return slower.onOwnServer(ctx, slower.ownMariaDB) }},
	} {
		if s.only != "" && !strings.EqualFold(s.only, one.name) {
			continue
		}
		results, err := one.measure(ctx)
		var missing leftOut
		if errors.As(err, &missing) {
			s.missing("slow disk, "+one.name, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", one.name, err)
		}
		if alone := median(results[0].Each.P50); alone < slowBy.Seconds()*1000 {
			return fmt.Errorf("%s: a commit takes %s ms although a flush takes longer", one.name, number(alone))
		}
		rows = append(rows, notifyRows(one.name, results)...)
	}
	if len(rows) == 0 {
		return leftOut("nothing to make a disk slow with")
	}
	s.chapter("The same on a slower disk", fmt.Sprintf(
		"First deliveries as above, with every fsync and fdatasync made %d ms slower: PostgreSQL and MariaDB are servers of their\n"+
			"own with a preloaded shim, SQLite is a process whose system calls strace delays, which costs it some speed besides.\n"+
			"PostgreSQL and MariaDB merge the flushes of commits that come at the same time on their own.", slowBy.Milliseconds()),
		notifyTable(rows))
	return nil
}

// tracedSQLite measures in a child whose flushes strace delays: the driver is
// Go and calls the kernel itself.
func (s *session) tracedSQLite(ctx context.Context) ([]notified, error) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		return nil, leftOut("strace is not installed")
	}
	wrapper := []string{strace, "-f", "--seccomp-bpf", "-qq", "-o", filepath.Join(s.tmp, "strace.out"),
		"-e", "trace=fsync,fdatasync", "-e", fmt.Sprintf("inject=fsync,fdatasync:delay_enter=%d", slowBy.Microseconds())}
	if out, err := exec.CommandContext(ctx, wrapper[0], append(wrapper[1:], "true")...).CombinedOutput(); err != nil {
		return nil, leftOut("strace may not trace here: " + strings.TrimSpace(string(out)))
	}
	settings, err := json.Marshal(traced{Rounds: s.rounds, Stretch: s.stretch, Folder: s.tmp})
	if err != nil {
		return nil, err
	}
	c, in, out, err := child(ctx, "sqlite:"+string(settings), -1, wrapper...)
	if err != nil {
		return nil, err
	}
	var answer traced
	err = json.NewDecoder(out).Decode(&answer)
	_ = in.Close()
	if err = errors.Join(err, c.Wait()); err != nil {
		return nil, err
	}
	_, _ = io.WriteString(s.raw, answer.Raw)
	return answer.Results, nil
}

// traced is what the child is told, and what it answers.
type traced struct {
	Rounds  int
	Stretch time.Duration
	Folder  string
	Results []notified
	Raw     string
}

// slowSQLite is the child.
func slowSQLite(settings string) error {
	var t traced
	if err := json.Unmarshal([]byte(settings), &t); err != nil {
		return err
	}
	var raw strings.Builder
	s := session{tmp: t.Folder, log: io.Discard, raw: &raw}
	s.rounds, s.stretch = t.Rounds, t.Stretch
	d, err := s.sqlite("slow")
	if err != nil {
		return err
	}
	d.name = "SQLite-slow"
	if t.Results, err = s.notifyOn(context.Background(), d, slowFlights); err != nil {
		return err
	}
	t.Raw = raw.String()
	return json.NewEncoder(os.Stdout).Encode(t)
}

// onOwnServer measures on a server that start starts with the shim.
func (s *session) onOwnServer(ctx context.Context, start func(context.Context, string) (*ownServer, error)) ([]notified, error) {
	library, err := s.shim(ctx)
	if err != nil {
		return nil, err
	}
	server, err := start(ctx, library)
	if err != nil {
		return nil, err
	}
	defer server.stop()
	d, err := server.database(ctx)
	if err != nil {
		return nil, err
	}
	d.name += "-slow"
	return s.notifyOn(ctx, d, slowFlights)
}

func (s *session) shim(ctx context.Context) (string, error) {
	compiler, err := exec.LookPath("cc")
	if err != nil {
		return "", leftOut("no C compiler")
	}
	// The servers may be other users.
	folder, err := os.MkdirTemp("", "codegrant-bench-shim-")
	if err != nil {
		return "", err
	}
	s.removeLater(folder)
	source, library := filepath.Join(folder, "slow.c"), filepath.Join(folder, "slow.so")
	err = errors.Join(os.Chmod(folder, 0o755), os.WriteFile(source, fmt.Appendf(nil, shim, slowBy.Nanoseconds()), 0o644))
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl").CombinedOutput()
	if err != nil {
		return "", leftOut("the shim does not compile: " + string(out))
	}
	return library, nil
}

// database waits until the server answers, and makes one on it.
func (o *ownServer) database(ctx context.Context) (database, error) {
	var err error
	for range 150 {
		var d database
		if o.dialect == sqlstore.PostgreSQL {
			d, err = createPostgreSQL(ctx, o.dsn)
		} else {
			d, err = createMariaDB(ctx, o.dsn)
		}
		var missing leftOut
		if !errors.As(err, &missing) {
			return d, err
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-o.ended:
			return database{}, fmt.Errorf("the server ended: %s", o.output.String())
		case <-ctx.Done():
			return database{}, ctx.Err()
		}
	}
	return database{}, fmt.Errorf("the server does not answer: %w", err)
}
