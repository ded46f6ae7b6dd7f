//go:build linux

package crash

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/codegrant/codegrant/sqlstore"
)

// databaseServer is a server of the test's own, which it may kill.
type databaseServer struct {
	target  target
	command func() *exec.Cmd // the server in the foreground
	logName string
	stop    os.Signal // ends it in good order
	process *process
	crash   func(ctx context.Context) error // kills it and returns when it serves again
}

// patience is how long a server may take to start or to recover.
const patience = time.Minute

// launch starts the server, again and again if it dies at once, because those
// that were killed may not all be gone.
func (s *databaseServer) launch(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for {
		cmd := s.command()
		log, err := os.OpenFile(s.logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		cmd.Stdout, cmd.Stderr = log, log
		s.process, err = startProcess(cmd)
		_ = log.Close()
		if err != nil {
			return err
		}
		if err = s.answers(ctx, deadline); err == nil || !s.process.dead() {
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// answers waits until a statement succeeds.
func (s *databaseServer) answers(ctx context.Context, deadline time.Time) error {
	shop, err := newShop(s.target, nil)
	if err != nil {
		return err
	}
	defer func() { _ = shop.db.Close() }()
	for {
		if _, err = shop.db.ExecContext(ctx, "SELECT 1"); err == nil {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-s.process.done:
			return fmt.Errorf("the server ended: %s", tail(s.logName))
		case <-ctx.Done():
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server does not answer: %w: %s", err, tail(s.logName))
		}
	}
}

// begin starts the server for the rest of the test.
func (s *databaseServer) begin(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if s.process == nil {
			return
		}
		_ = s.process.cmd.Process.Signal(s.stop)
		select {
		case <-s.process.done:
		case <-time.After(20 * time.Second):
			s.killAll()
		}
	})
	require.NoError(t, s.launch(t.Context()))
}

// killAll kills the server with all its processes.
func (s *databaseServer) killAll() {
	family := children(s.process.cmd.Process.Pid)
	s.process.kill()
	for pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// walWriter is the process of PostgreSQL that is killed, 0 if it is not there.
func (s *databaseServer) walWriter() int {
	for pid, title := range children(s.process.cmd.Process.Pid) {
		if strings.Contains(title, "walwriter") {
			return pid
		}
	}
	return 0
}

// startPostgreSQL makes a cluster. Its crashes alternate between the two that
// there are: one of its processes dies and it recovers by itself, or all die.
func startPostgreSQL(t *testing.T) *databaseServer {
	t.Helper()
	initdb, postgres := binary("initdb"), binary("postgres")
	if initdb == "" || postgres == "" {
		missing(t, "PostgreSQL")
	}
	folder, port := newFolder(t), freePort(t)
	as := &syscall.SysProcAttr{}
	if os.Geteuid() == 0 { // which PostgreSQL refuses to run as
		account, err := user.Lookup("postgres")
		require.NoError(t, err)
		uid, err := strconv.Atoi(account.Uid)
		require.NoError(t, err)
		gid, err := strconv.Atoi(account.Gid)
		require.NoError(t, err)
		require.NoError(t, os.Chown(folder, uid, gid))
		as.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(name, args...)
		cmd.Dir, cmd.Env = folder, []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
		attributes := *as
		cmd.SysProcAttr = &attributes
		return cmd
	}
	data := filepath.Join(folder, "data")
	output, err := command(initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync").CombinedOutput()
	require.NoError(t, err, string(output))
	s := &databaseServer{
		target: target{
			Dialect: sqlstore.PostgreSQL, Driver: "pgx",
			DSN: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable&connect_timeout=5", port),
		},
		command: func() *exec.Cmd {
			return command(postgres, "-D", data, "-p", strconv.Itoa(port), "-k", folder,
				"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=60")
		},
		logName: filepath.Join(folder, "server.log"), stop: os.Interrupt,
	}
	crashes := 0
	s.crash = func(ctx context.Context) error {
		if crashes++; crashes%2 == 0 {
			s.killAll()
			return s.launch(ctx)
		}
		killed := s.walWriter()
		if killed == 0 {
			return fmt.Errorf("there is no WAL writer: %s", tail(s.logName))
		}
		if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
			return err
		}
		// It answers until it notices, so what counts is the successor.
		deadline := time.Now().Add(patience)
		for now := killed; now == killed || now == 0; now = s.walWriter() {
			if time.Now().After(deadline) {
				return fmt.Errorf("the server does not recover: %s", tail(s.logName))
			}
			time.Sleep(10 * time.Millisecond)
		}
		return s.answers(ctx, deadline)
	}
	s.begin(t)
	return s
}

func startMariaDB(t *testing.T) *databaseServer {
	t.Helper()
	install, mariadbd := binary("mariadb-install-db"), binary("mariadbd")
	if install == "" || mariadbd == "" {
		missing(t, "MariaDB")
	}
	folder, port := newFolder(t), freePort(t)
	common := []string{"--no-defaults", "--datadir=" + filepath.Join(folder, "data")}
	if os.Geteuid() == 0 { // which mariadbd wants to hear said
		common = append(common, "--user=root")
	}
	output, err := exec.Command(install, slices.Concat(common,
		[]string{"--auth-root-authentication-method=normal", "--skip-test-db"})...).CombinedOutput()
	require.NoError(t, err, string(output))
	s := &databaseServer{
		target: target{
			Dialect: sqlstore.MySQL, Driver: "mysql",
			DSN: fmt.Sprintf("root@tcp(127.0.0.1:%d)/mysql?timeout=5s", port),
		},
		command: func() *exec.Cmd {
			return exec.Command(mariadbd, slices.Concat(common, []string{
				"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(port), "--socket=" + filepath.Join(folder, "socket"),
				"--pid-file=" + filepath.Join(folder, "pid"), "--innodb-flush-log-at-trx-commit=1", "--skip-name-resolve",
			})...)
		},
		logName: filepath.Join(folder, "server.log"), stop: syscall.SIGTERM,
	}
	s.crash = func(ctx context.Context) error {
		s.killAll()
		return s.launch(ctx)
	}
	s.begin(t)
	return s
}

// binary finds a program of a database, "" if there is none. Debian keeps
// PostgreSQL's outside of PATH.
func binary(name string) string {
	if found, err := exec.LookPath(name); err == nil {
		return found
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	for _, folder := range []string{"/usr/sbin/", "/usr/local/sbin/", "/usr/local/bin/"} {
		if _, err := os.Stat(folder + name); err == nil {
			found = append(found, folder+name)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return found[len(found)-1]
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}
