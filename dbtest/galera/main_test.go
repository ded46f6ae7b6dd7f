//go:build linux

// Package galera delivers notifications to three receivers at once, each on
// its own node of a MariaDB Galera cluster, while nodes are killed and rejoin.
//
// # What Galera changes
//
// Locks do not leave their node. SELECT ... FOR UPDATE holds up the other
// sessions of one node only; two nodes may both read revision 1, run the hook
// and write revision 2. What decides is certification at COMMIT: of two
// transactions that wrote the same row the first in the cluster's order stands,
// and the other one fails with error 1213 there, or with 1213 at whatever
// statement it has reached when the winner is applied on its node. A node whose
// reads are behind loses in the same way, because certification compares what
// it had applied. Either way the hook's rows go with the record's, and the kit
// tries again.
//
// A node without a quorum, or not yet synced, refuses every statement with 1047;
// one that was killed refuses connections; and for evs.suspect_timeout (5 s)
// after a kill the others hold every COMMIT. Notify answers all three with 503.
//
// # Settings for merchants
//
//   - wsrep_sync_wait=1 in the connection string of go-sql-driver, on every
//     node, or the store does not keep its contract, by which all processes see
//     what was saved. A read that finds nothing has nothing to certify: without
//     the setting an unbinding that reaches a node before its record does fits no
//     record, which is answered 503 and delivered again (see stale_test.go), but
//     goes to Config.OnUnknown where there is one. For records that every node
//     has, the guarded update holds with 0 too. The store warns at start.
//   - A hook that returns every error of its statements. 1213 ends the
//     transaction on the server; what a hook does after it stands for itself,
//     and the kit's save is refused.
//   - A primary key in every table that hooks write. Without one, Galera
//     replicates inserts but refuses deletes.
//   - wsrep_dirty_reads=OFF, innodb_autoinc_lock_mode=2 and binlog_format=ROW,
//     all of them defaults or Galera's own demand.
//   - innodb_flush_log_at_trx_commit=1. Other nodes have a commit too, but all
//     of them may lose power at once.
//   - wsrep_sst_method=mariabackup where a node must serve while it is a donor:
//     rsync stops all writing there.
//   - Notifications balanced over all nodes are right; sent to one node, with
//     the others in reserve, they are also free of conflicts.
package galera

import (
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	// The nodes die with this process; their folders would stay.
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		removeFolders()
		os.Exit(1)
	}()
	// The driver would tell of every connection to a node that was killed.
	_ = mysql.SetLogger(log.New(io.Discard, "", 0))
	status := m.Run()
	removeFolders()
	os.Exit(status)
}

const provider = "/usr/lib/galera/libgalera_smm.so"

// packages are what a cluster needs, by a file of each.
var packages = map[string]string{
	"mariadb-server": "/usr/sbin/mariadbd", "galera-4": provider, "rsync": "/usr/bin/rsync",
}

// unavailable ends the test on a machine that cannot run a cluster.
func unavailable(t *testing.T, why error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// requirePackages skips the test where Debian's packages are not installed, and
// with CI=true installs them.
func requirePackages(t *testing.T) {
	t.Helper()
	var missing []string
	for name, file := range packages {
		if _, err := os.Stat(file); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("CI") != "true" {
		unavailable(t, fmt.Errorf("not installed: %v", missing))
	}
	for _, args := range [][]string{
		{"update", "-qq"},
		append([]string{"install", "-y", "-qq", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(t.Context(), "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err, "apt-get %v: %s", args, output)
	}
}

var folders struct {
	sync.Mutex
	names []string
}

func newFolder(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("", "codegrant-galera-")
	require.NoError(t, err)
	folders.Lock()
	defer folders.Unlock()
	folders.names = append(folders.names, name)
	t.Cleanup(func() { removeFolder(name) })
	return name
}

func removeFolders() {
	folders.Lock()
	defer folders.Unlock()
	for _, name := range folders.names {
		removeFolder(name)
	}
}

func removeFolder(name string) {
	killAllOf(name)
	if err := os.RemoveAll(name); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
