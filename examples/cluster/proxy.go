package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

//go:embed nginx.conf
var nginxConf string

// errNoNginx says what is missing.
var errNoNginx = errors.New("nginx is not installed; on Debian: apt-get install nginx-light " +
	"(its own service is not used and need not run)")

// findNginx returns the path of nginx, which Debian keeps outside of the PATH of
// ordinary users.
func findNginx() (string, error) {
	for _, name := range []string{"nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errNoNginx
}

// proxy is an nginx of its own in a folder of its own. Its methods are for one
// goroutine.
type proxy struct {
	program string
	folder  string
	address string
	servers []string // host:port of the instances, in the order of nginx.conf
	down    []string // of these, those that get no requests
	process *process
}

func startProxy(ctx context.Context, address string, servers []string, log io.Writer) (_ *proxy, err error) {
	p := &proxy{address: address, servers: servers}
	if p.program, err = findNginx(); err != nil {
		return nil, err
	}
	if p.folder, err = os.MkdirTemp("", "codegrant-cluster-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(p.folder))
		}
	}()
	// Started by root, its workers are somebody else.
	if err := os.Chmod(p.folder, 0o711); err != nil { //nolint:gosec // G302: no file in it is readable for others
		return nil, err
	}
	if err := p.writeConfig(ctx); err != nil {
		return nil, err
	}
	p.process, err = startProcess("nginx", log, nil, p.program, p.args("-g", "daemon off;")...)
	if err != nil {
		return nil, err
	}
	if err := awaitListening(ctx, p.process, address); err != nil {
		return nil, errors.Join(err, p.process.kill())
	}
	return p, nil
}

func (p *proxy) args(more ...string) []string {
	return append([]string{"-e", "stderr", "-p", p.folder, "-c", "nginx.conf"}, more...)
}

// config is nginx.conf with the addresses of this run.
func (p *proxy) config() (string, error) {
	text := nginxConf
	replace := func(old, new string) error {
		if strings.Count(text, old) != 1 {
			return fmt.Errorf("nginx.conf: %q is not in it exactly once", old)
		}
		text = strings.Replace(text, old, new, 1)
		return nil
	}
	err := replace("listen 127.0.0.1:8080;", "listen "+p.address+";")
	for i, server := range p.servers {
		if slices.Contains(p.down, server) {
			server += " down"
		}
		err = errors.Join(err, replace(fmt.Sprintf("server 127.0.0.1:%d ", 8081+i), "server "+server+" "))
	}
	return text, err
}

func (p *proxy) writeConfig(ctx context.Context) error {
	text, err := p.config()
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(p.folder, "nginx.conf"), []byte(text), 0o600); err != nil {
		return err
	}
	// An nginx that runs keeps its old configuration when the new one is wrong,
	// and only its log says so.
	said, err := exec.CommandContext(ctx, p.program, p.args("-t", "-q")...).CombinedOutput() //nolint:gosec // G204: nginx
	if err != nil {
		return fmt.Errorf("nginx -t: %w\n%s", err, said)
	}
	return nil
}

// takeOut makes nginx send no more requests to a server. When it returns nil,
// every request that was sent to it has been answered.
func (p *proxy) takeOut(ctx context.Context, server string) error {
	p.down = append(p.down, server)
	return p.reload(ctx)
}

// putBack makes nginx send requests to a server again.
func (p *proxy) putBack(ctx context.Context, server string) error {
	p.down = slices.DeleteFunc(p.down, func(s string) bool { return s == server })
	return p.reload(ctx)
}

// reload has nginx read its configuration again, and waits until the workers
// with the old one have ended: until then these may send requests anywhere, such
// as one whose body was still on its way.
func (p *proxy) reload(ctx context.Context) error {
	if err := p.writeConfig(ctx); err != nil {
		return err
	}
	before, err := p.workers(ctx)
	if err != nil {
		return err
	}
	if err := p.process.command.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	return poll(ctx, p.process, "nginx reloads", func() error {
		now, err := p.workers(ctx)
		if err != nil {
			return err
		}
		for _, pid := range before {
			if slices.Contains(now, pid) {
				return fmt.Errorf("worker %d is still busy", pid)
			}
		}
		if len(now) == 0 {
			return errors.New("no worker yet")
		}
		return nil
	})
}

// workers returns the pids of nginx's workers. In a shell: pgrep -P "$(cat nginx.pid)".
func (p *proxy) workers(ctx context.Context) (pids []int, err error) {
	said, err := exec.CommandContext(ctx, "pgrep", "-P", strconv.Itoa(p.process.pid())).Output() //nolint:gosec // G204: a number
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // none
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("pgrep (Debian: procps): %w", err)
	}
	for text := range strings.FieldsSeq(string(said)) {
		pid, err := strconv.Atoi(text)
		if err != nil {
			return nil, fmt.Errorf("pgrep: %w", err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}

// close lets nginx finish what is under way.
func (p *proxy) close(ctx context.Context) error {
	return errors.Join(p.process.stop(ctx, syscall.SIGQUIT), os.RemoveAll(p.folder))
}

// awaitListening waits until the process listens.
func awaitListening(ctx context.Context, of *process, address string) error {
	return poll(ctx, of, address, func() error {
		connection, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return connection.Close()
	})
}

// poll looks every 10 ms until look returns nil, ctx or the process ends.
func poll(ctx context.Context, of *process, what string, look func() error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := look()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-of.ended:
			return fmt.Errorf("%s ended: %w; its own words are above", of.name, errors.Join(of.err, err))
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		}
	}
}
