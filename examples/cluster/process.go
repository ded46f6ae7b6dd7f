package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// process is a child of this one. Its methods are for one goroutine.
type process struct {
	name    string
	command *exec.Cmd
	leash   io.Closer     // its standard input: closed when this process ends, however it ends
	ended   chan struct{} // closed once it has ended
	err     error         // how; to be read after ended
}

// startProcess starts a program. environment is added to this one's.
func startProcess(name string, log io.Writer, environment []string, program string, args ...string) (*process, error) {
	p := &process{name: name, command: exec.Command(program, args...), ended: make(chan struct{})} //nolint:gosec,noctx // nginx, or this program; stop ends it, in its own time
	p.command.Env = append(os.Environ(), environment...)
	p.command.Stdout, p.command.Stderr = log, log
	// A group of its own: Ctrl+C is for this process, which ends its children in
	// the right order.
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	// What it leaves behind, such as nginx's workers, may hold the log open.
	p.command.WaitDelay = time.Second
	var err error
	if p.leash, err = p.command.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.command.Process.Pid }

// stop sends a signal and waits until the process has ended. When ctx ends
// first, it is killed. The error says that it did not end well.
func (p *process) stop(ctx context.Context, signal os.Signal) error {
	err := p.command.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		err = errors.Join(err, fmt.Errorf("did not stop in time: %w", ctx.Err()), p.kill())
	}
	if err = errors.Join(err, p.err); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// kill ends it, and nginx's workers with their master, as a power failure would.
func (p *process) kill() error {
	err := syscall.Kill(-p.pid(), syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) { // it has ended
		err = nil
	}
	<-p.ended
	return err
}
