package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/codegrant/codegrant/sqlstore"
)

// ownServer is a database server that this run started, with its data in a
// folder of its own.
type ownServer struct {
	dialect sqlstore.Dialect
	dsn     string
	command *exec.Cmd
	ended   chan struct{}
	output  bytes.Buffer
}

// stop ends the server, by force if it takes too long.
func (o *ownServer) stop() {
	_ = o.command.Process.Signal(syscall.SIGINT) // PostgreSQL: at once, but in order
	if o.dialect == sqlstore.MySQL {
		_ = o.command.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-o.ended:
	case <-time.After(20 * time.Second):
		_ = o.command.Process.Kill()
		<-o.ended
	}
}

// removeLater removes a folder at the end of the run.
func (s *session) removeLater(folder string) { *s.folders = append(*s.folders, folder) }

// asUser makes a folder of the user that a server runs as, and returns what
// starts programs as that user. PostgreSQL refuses to run as root.
func (s *session) asUser(name string) (string, *syscall.SysProcAttr, error) {
	folder, err := os.MkdirTemp("", "codegrant-bench-"+name+"-")
	if err != nil {
		return "", nil, err
	}
	s.removeLater(folder)
	// The server ends when this process does, however that comes about.
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if os.Getuid() != 0 {
		return folder, attr, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return "", nil, leftOut("there is no user " + name)
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2, os.Chown(folder, uid, gid)); err != nil {
		return "", nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return folder, attr, nil
}

func (s *session) ownPostgreSQL(ctx context.Context, preload string) (*ownServer, error) {
	initdb, postgres := installed("initdb"), installed("postgres")
	if initdb == "" || postgres == "" {
		return nil, leftOut("initdb or postgres is not installed")
	}
	folder, attr, err := s.asUser("postgres")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	if err := finish(ctx, folder, attr, initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	o := &ownServer{dialect: sqlstore.PostgreSQL, dsn: fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", port)}
	return o, o.start(ctx, folder, attr, preload, postgres, "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+folder)
}

func (s *session) ownMariaDB(ctx context.Context, preload string) (*ownServer, error) {
	install, mariadbd := installed("mariadb-install-db"), installed("mariadbd")
	if install == "" || mariadbd == "" {
		return nil, leftOut("mariadb-install-db or mariadbd is not installed")
	}
	folder, attr, err := s.asUser("mysql")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(folder, "data")
	if err := finish(ctx, folder, attr, install, "--no-defaults", "--datadir="+data, "--auth-root-authentication-method=normal",
		"--skip-test-db"); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	o := &ownServer{dialect: sqlstore.MySQL, dsn: fmt.Sprintf("root@tcp(127.0.0.1:%d)/mysql", port)}
	return o, o.start(ctx, folder, attr, preload, mariadbd, "--no-defaults", "--datadir="+data, "--port="+strconv.Itoa(port),
		"--bind-address=127.0.0.1", "--socket="+filepath.Join(folder, "s"), "--pid-file="+filepath.Join(folder, "pid"),
		"--innodb-flush-log-at-trx-commit=1", "--skip-log-bin")
}

// start starts the server and notes when it ends. Interrupting the run does not
// end it: stop does, in order.
func (o *ownServer) start(ctx context.Context, folder string, attr *syscall.SysProcAttr, preload, name string, args ...string) error {
	o.command = exec.CommandContext(context.WithoutCancel(ctx), name, args...)
	o.command.Dir, o.command.SysProcAttr = folder, attr
	o.command.Env = append(os.Environ(), "LD_PRELOAD="+preload)
	o.command.Stdout, o.command.Stderr = &o.output, &o.output
	o.ended = make(chan struct{})
	if err := o.command.Start(); err != nil {
		return err
	}
	go func() {
		_ = o.command.Wait()
		close(o.ended)
	}()
	return nil
}

func finish(ctx context.Context, folder string, attr *syscall.SysProcAttr, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.SysProcAttr = folder, attr
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", filepath.Base(name), err, out)
	}
	return nil
}

// installed finds a program, also where Debian keeps those of servers.
func installed(name string) string {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if len(found) > 0 {
		return found[len(found)-1]
	}
	for _, path := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(path); err == nil {
			return path
		}
	}
	return ""
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
