//go:build linux

package galera

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience is how long a node may take to start, to recover and to get a copy
// of everything.
const patience = 90 * time.Second

// cluster is three nodes of the test's own.
type cluster struct {
	name  string
	nodes [3]*node
	as    *syscall.Credential // nil for the account of the test
}

// node is one server. The four ports are those of clients, of the group, and of
// the two ways in which a node gets what it has missed.
type node struct {
	cluster                *cluster
	name, folder           string
	port, group, part, all int

	process *os.Process
	done    chan struct{} // closed when it is dead
	admin   *sql.DB
}

// startCluster makes a cluster. The first node gets a new database; the others
// are empty and get a copy of it, which is the first test of the transfer.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	requirePackages(t)
	c := &cluster{name: fmt.Sprintf("codegrant_%d", os.Getpid())}
	ports := freePorts(t, 4*len(c.nodes))
	for i := range c.nodes {
		n := &node{cluster: c, name: fmt.Sprintf("node%d", i+1), folder: newFolder(t)}
		n.port, n.group, n.part, n.all = ports[4*i], ports[4*i+1], ports[4*i+2], ports[4*i+3]
		for _, folder := range []string{n.data(), filepath.Join(n.folder, "tmp")} {
			require.NoError(t, os.Mkdir(folder, 0o700))
		}
		var err error
		c.as, err = serverAccount()
		require.NoError(t, err)
		require.NoError(t, c.own(n.folder, n.data(), filepath.Join(n.folder, "tmp")))
		n.admin, err = sql.Open("mysql", n.dsn("", "wsrep_sync_wait=15"))
		require.NoError(t, err)
		c.nodes[i] = n
		t.Cleanup(func() {
			_ = n.admin.Close()
			n.kill()
		})
	}
	output, err := c.command(t.Context(), "mariadb-install-db", "--no-defaults", "--datadir="+c.nodes[0].data(),
		"--auth-root-authentication-method=normal", "--skip-test-db").CombinedOutput()
	require.NoError(t, err, string(output))
	for i, more := range [][]string{{"--wsrep-new-cluster"}, nil, nil} {
		if err := c.nodes[i].start(t.Context(), more...); err != nil {
			unavailable(t, err)
		}
	}
	return c
}

// serverAccount is Debian's for the server where the test is root: rsync as
// root would become nobody, who may not write what is transferred.
func serverAccount() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	account, err := user.Lookup("mysql")
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(account.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(account.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}

func (c *cluster) own(names ...string) error {
	for _, name := range names {
		if c.as == nil {
			continue
		}
		if err := os.Chown(name, int(c.as.Uid), int(c.as.Gid)); err != nil {
			return err
		}
	}
	return nil
}

// command runs as the server's account.
func (c *cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Credential: c.as}
	return cmd
}

func (n *node) data() string { return filepath.Join(n.folder, "data") }

// dsn is a connection string as a merchant would write it, with one setting.
func (n *node) dsn(database, setting string) string {
	return fmt.Sprintf("root@tcp(127.0.0.1:%d)/%s?timeout=5s&%s", n.port, database, setting)
}

func (n *node) args() []string {
	var members []string
	for _, member := range n.cluster.nodes {
		members = append(members, fmt.Sprintf("127.0.0.1:%d", member.group))
	}
	return []string{
		"--no-defaults", "--datadir=" + n.data(), "--tmpdir=" + filepath.Join(n.folder, "tmp"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(n.port), "--skip-name-resolve",
		"--socket=" + filepath.Join(n.folder, "socket"), "--pid-file=" + filepath.Join(n.folder, "pid"),
		"--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", // small: a copy of all is made twice
		"--innodb-flush-log-at-trx-commit=1", "--innodb-autoinc-lock-mode=2", "--binlog-format=ROW",
		"--wsrep-on=ON", "--wsrep-provider=" + provider, "--wsrep-slave-threads=4",
		"--wsrep-cluster-name=" + n.cluster.name, "--wsrep-cluster-address=gcomm://" + strings.Join(members, ","),
		"--wsrep-node-name=" + n.name, fmt.Sprintf("--wsrep-node-address=127.0.0.1:%d", n.group),
		"--wsrep-sst-method=rsync", fmt.Sprintf("--wsrep-sst-receive-address=127.0.0.1:%d", n.all),
		fmt.Sprintf("--wsrep-provider-options=gmcast.listen_addr=tcp://127.0.0.1:%d;ist.recv_addr=127.0.0.1:%d;gcache.size=32M",
			n.group, n.part),
	}
}

// start returns when the node is synced.
func (n *node) start(ctx context.Context, more ...string) error {
	log, err := os.OpenFile(n.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	// Not with ctx: a node outlives the step that it is started in.
	cmd := n.cluster.command(context.Background(), "/usr/sbin/mariadbd", slices.Concat(n.args(), more)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	n.done = make(chan struct{})
	started := make(chan error)
	go func() {
		// The signal comes when the thread ends that started the child.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(n.done)
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	n.process = cmd.Process
	return n.synced(ctx)
}

func (n *node) log() string { return filepath.Join(n.folder, "log") }

// synced waits until the node takes part.
func (n *node) synced(ctx context.Context) error {
	for deadline := time.Now().Add(patience); ; {
		state, err := n.status(ctx, "wsrep_local_state_comment")
		if err == nil && state == "Synced" {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is %q (%w) and not synced: %s", n.name, state, err, n.cluster.tails())
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-n.done:
			return fmt.Errorf("%s ended: %s", n.name, n.cluster.tails())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (n *node) status(ctx context.Context, name string) (value string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err = n.admin.QueryRowContext(ctx, "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = ?",
		name).Scan(&value)
	return value, err
}

// number is a counter of the node, 0 if it cannot be read.
func (n *node) number(ctx context.Context, name string) int {
	value, _ := n.status(ctx, name)
	found, _ := strconv.Atoi(value)
	return found
}

// kill ends the server and the scripts that it has started, which it puts into
// process groups of their own.
func (n *node) kill() {
	if n.process == nil {
		return
	}
	_ = n.process.Kill()
	<-n.done
	killAllOf(n.folder)
}

// killAllOf kills the processes whose command line names a folder that was made
// here, and so has a name that nothing else has.
func killAllOf(folder string) {
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, line := range lines {
		text, err := os.ReadFile(line)
		if err != nil || !strings.Contains(string(text), folder) {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(line))); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

var recovered = regexp.MustCompile(`Recovered position: (\S+)`)

// rejoin starts a killed node again as Debian's service does: it first asks the
// node's own files how far it had come, so that only the rest is transferred.
func (n *node) rejoin(ctx context.Context) error {
	output, err := n.cluster.command(ctx, "/usr/sbin/mariadbd", append(n.args(), "--wsrep-recover")...).CombinedOutput()
	position := recovered.FindSubmatch(output)
	if err != nil || position == nil {
		return fmt.Errorf("%s has no position: %w: %s", n.name, err, output)
	}
	return n.start(ctx, "--wsrep-start-position="+string(position[1]))
}

// replace starts a killed node as a new machine: with nothing.
func (n *node) replace(ctx context.Context) error {
	if err := os.RemoveAll(n.data()); err != nil {
		return err
	}
	if err := os.Mkdir(n.data(), 0o700); err != nil {
		return err
	}
	if err := n.cluster.own(n.data()); err != nil {
		return err
	}
	return n.start(ctx)
}

// exec runs a statement on a node.
func (n *node) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := n.admin.ExecContext(t.Context(), statement)
	require.NoError(t, err, statement)
}

// tails are the ends of all logs: why a node cannot join, its donor knows.
func (c *cluster) tails() (all string) {
	for _, n := range c.nodes {
		text, _ := os.ReadFile(n.log())
		all += "\n" + n.name + ":\n" + string(text[max(0, len(text)-9000):])
	}
	return all
}

// freePorts returns ports that differ: they are all open at a time.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer func() { require.NoError(t, l.Close()) }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
