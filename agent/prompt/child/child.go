// Package child starts the programs that prompts need (a browser's window, a PIN dialog) so that none outlives its
// question: each runs in a process group of its own, is ended when its context is, and dies with the agent where the
// system can promise that (Linux: the parent death signal; Windows: a job object).
//
// On other systems an agent that is killed outright leaves its child behind; the window then finds its server gone.
package child

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"
)

// How long a program may take to leave by itself after it was asked to, since a browser writes its profile, and how long
// what it started may then take. Where nobody reaps orphans, as in some containers, the dead among those look alive.
const (
	grace       = 2 * time.Second
	orphanGrace = 200 * time.Millisecond
)

// Process is a running program and whatever it started.
type Process struct {
	cmd   *exec.Cmd
	group group
	done  chan struct{}
	err   error
	stop  sync.Once
}

// Start starts cmd, which must be fresh and whose SysProcAttr it owns. When ctx ends the program is stopped as by Stop.
func Start(ctx context.Context, cmd *exec.Cmd) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, done: make(chan struct{})}
	if cmd.WaitDelay == 0 {
		cmd.WaitDelay = time.Second // a grandchild that keeps stderr open must not keep Wait
	}
	started := make(chan error)
	go func() {
		// The parent death signal of Linux is that of the thread which forked, so this one stays until the child is gone.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.group.start(cmd)
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	go func() {
		select {
		case <-ctx.Done():
			p.Stop()
		case <-p.done:
		}
	}()
	return p, nil
}

// StartReading is Start with the program's standard output, all of which can be read after the program has ended.
func StartReading(ctx context.Context, cmd *exec.Cmd) (*Process, *os.File, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	cmd.Stdout = in
	p, err := Start(ctx, cmd)
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		return nil, nil, err
	}
	return p, out, nil
}

// Done is closed when the program itself has ended; what it started may still run until Stop.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended, once Done is closed: nil for exit status 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Stop asks the program and all that it started to leave, and ends them when they do not. It returns when they are gone,
// and may be called more than once and by several goroutines.
func (p *Process) Stop() {
	p.stop.Do(func() {
		p.group.terminate()
		select {
		case <-p.done:
		case <-time.After(grace):
		}
		for until := time.Now().Add(orphanGrace); p.ended() && p.group.alive() && time.Now().Before(until); {
			time.Sleep(10 * time.Millisecond)
		}
		p.group.kill()
		<-p.done
	})
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
