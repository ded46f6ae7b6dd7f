//go:build linux

package crash

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a child that does not outlive this one, however this one ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it is dead and its port is free
}

func startProcess(cmd *exec.Cmd) (*process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	p := &process{cmd, make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel sends the signal when the thread ends that started the
		// child, so this one stays until the child is dead.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(p.done)
		}
	}()
	return p, <-started
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) dead() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// children returns the processes that a process has started, with their titles.
func children(parent int) map[int]string {
	found := map[int]string{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid: the name may hold blanks and brackets.
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		title, _ := os.ReadFile(filepath.Join(filepath.Dir(name), "cmdline"))
		found[pid] = strings.ReplaceAll(string(title), "\x00", " ")
	}
	return found
}

var folders struct {
	sync.Mutex
	names []string
}

// newFolder is t.TempDir for what must also go when the test is interrupted,
// and what other users must be able to enter.
func newFolder(t *testing.T) string {
	t.Helper()
	name, err := os.MkdirTemp("", "codegrant-crash-")
	require.NoError(t, err)
	folders.Lock()
	defer folders.Unlock()
	folders.names = append(folders.names, name)
	t.Cleanup(func() { _ = os.RemoveAll(name) })
	return name
}

func removeFolders() {
	folders.Lock()
	defer folders.Unlock()
	for _, name := range folders.names {
		_ = os.RemoveAll(name)
	}
}

// receiver is the merchant's server: one process after the other.
type receiver struct {
	target  target
	logName string
	log     *os.File
	address atomic.Pointer[string] // nil while there is none
	kills   int
}

func newReceiver(t *testing.T, at target) *receiver {
	t.Helper()
	r := &receiver{target: at, logName: filepath.Join(newFolder(t), "receiver.log")}
	var err error
	r.log, err = os.OpenFile(r.logName, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.log.Close() })
	return r
}

// launch returns when the receiver serves.
func (r *receiver) launch() (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	spec, err := json.Marshal(r.target)
	if err != nil {
		return nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envReceiver+"="+string(spec))
	cmd.Stdout, cmd.Stderr = to, r.log
	p, err := startProcess(cmd)
	_ = to.Close()
	if err != nil {
		return nil, err
	}
	hung := time.AfterFunc(patience, func() { _ = p.cmd.Process.Kill() })
	defer hung.Stop()
	address, err := bufio.NewReader(from).ReadString('\n')
	if err != nil {
		p.kill()
		return nil, fmt.Errorf("the receiver did not start: %s", tail(r.logName))
	}
	address = strings.TrimSpace(address)
	r.address.Store(&address)
	return p, nil
}

// run keeps a receiver running until ctx ends. Unless every is 0, it kills it
// about that long after it began to serve, and starts the next one.
func (r *receiver) run(ctx context.Context, every time.Duration, random *rand.Rand) error {
	for {
		p, err := r.launch()
		if err != nil {
			return err
		}
		var due <-chan time.Time
		if every > 0 {
			// Drawn, so that the blow falls on every stage of the work.
			due = time.After(every/2 + time.Duration(random.Int64N(int64(every))))
		}
		select {
		case <-ctx.Done():
			p.kill()
			return nil
		case <-p.done:
			return errors.New("the receiver died by itself: " + tail(r.logName))
		case <-due:
			p.kill()
			r.address.Store(nil)
			r.kills++
		}
	}
}

// tail is the end of a log, for a message.
func tail(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}
