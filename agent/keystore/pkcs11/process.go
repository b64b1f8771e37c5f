package pkcs11

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"certsign/agent/keystore/pkcs11/wire"
	"certsign/internal/problem"
)

// process is a running certsign-pkcs11 with one module. One call is under way at a time.
type process struct {
	module  string
	timeout time.Duration
	in      *os.File
	out     *os.File
	answers *bufio.Reader // from out
	group   *group
	exited  chan struct{}
	how     string // it ended; set before exited is closed
	mu      sync.Mutex
	broken  bool // killed, or never to be talked to again
}

// start starts the helper for one module. Its environment is ours, where modules look for their configuration; its
// standard error goes nowhere, because drivers and their loggers print PINs.
func start(helper, module string, timeout time.Duration) (*process, error) {
	stdin, in, err := os.Pipe()
	if err != nil {
		return nil, problem.Wrap(problem.StoreUnavailable, err, "no pipe")
	}
	out, stdout, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(problem.Wrap(problem.StoreUnavailable, err, "no pipe"), stdin.Close(), in.Close())
	}
	p := &process{module: module, timeout: timeout, in: in, out: out, answers: bufio.NewReader(out), exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// On Linux the kernel kills the process when the thread that started it ends: that thread stays with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := exec.Command(helper, module)
		cmd.Stdin, cmd.Stdout = stdin, stdout
		group, err := startGroup(cmd)
		_, _ = stdin.Close(), stdout.Close()
		if err != nil {
			started <- err
			return
		}
		p.group = group
		started <- nil
		_ = cmd.Wait()
		p.how = cmd.ProcessState.String()
		close(p.exited)
	}()
	if err := <-started; err != nil {
		_, _ = in.Close(), out.Close()
		return nil, problem.Wrap(problem.StoreUnavailable, err, "the program certsign-pkcs11 cannot be started")
	}
	return p, nil
}

// call does one operation. A failure of the module is translated; a process that ends, breaks the frames or does not answer
// in time is killed and is driver_failed; a cancelled context kills it too.
func (p *process) call(ctx context.Context, limit time.Duration, op wire.Op, params any, secret []byte, result wire.Checker) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return problem.New(problem.DriverFailed, "the driver's process has ended")
	}
	if err := ctx.Err(); err != nil {
		return interrupted(err)
	}
	call := wire.Call{Version: wire.Version, Op: op}
	if p, ok := params.(wire.SignParams); ok {
		call.Sign = &p
	} else if params != nil {
		var err error
		if call.Params, err = json.Marshal(params); err != nil {
			return err
		}
	}
	var answer wire.Answer
	// No goroutine and no channel: a signature is to cost little more than the token's own time.
	timer := time.AfterFunc(limit, p.stop)
	watch := context.AfterFunc(ctx, p.stop)
	err := wire.Write(p.in, call, secret)
	if err == nil {
		_, err = wire.Read(p.answers, &answer)
	}
	late, cancelled := !timer.Stop(), !watch()
	if late || cancelled {
		p.kill()
	}
	switch {
	case err == nil:
	case cancelled:
		return interrupted(ctx.Err())
	case late:
		return problem.New(problem.DriverFailed, "the driver did not answer within %s", limit)
	default:
		return p.ended(err)
	}
	if answer.Failure != nil {
		return translate(answer.Failure)
	}
	if result == nil {
		return nil
	}
	if signed, ok := result.(*wire.SignResult); ok && answer.Signature != nil {
		*signed = *answer.Signature
	} else {
		err = wire.Decode(answer.Result, result)
	}
	if err == nil {
		err = result.Check()
	}
	if err != nil {
		p.kill()
		return problem.Wrap(problem.DriverFailed, err, "the driver's answer makes no sense")
	}
	return nil
}

// ended says how a process went that could not be talked to.
func (p *process) ended(err error) error {
	select {
	case <-p.exited:
	case <-time.After(time.Second):
	}
	p.kill()
	<-p.exited
	if errors.Is(err, wire.ErrFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return problem.Wrap(problem.DriverFailed, err, "the driver disturbed its process")
	}
	return problem.Wrap(problem.DriverFailed, err, "the driver crashed: %s", p.how)
}

// kill ends the process and whatever it started, at once.
func (p *process) kill() {
	p.broken = true
	p.stop()
}

// stop is kill for others than the one who talks to the process: what that one waits for ends.
func (p *process) stop() {
	p.group.kill()
	p.hangUp()
}

func (p *process) hangUp() { _, _ = p.in.Close(), p.out.Close() }

// grace is how long a driver may take to end in order.
const grace = 2 * time.Second

// end lets the driver log out and end in order, and kills it when it does not.
func (p *process) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.broken {
		done := make(chan error, 1)
		go func() { done <- wire.Write(p.in, wire.Call{Version: wire.Version, Op: wire.OpEnd}, nil) }()
		select {
		case <-p.exited:
			p.broken = true
			p.hangUp() // what a driver started on purpose, such as the program in its tray, stays
		case <-time.After(grace):
			p.kill()
		}
		<-done
	}
	<-p.exited
	p.group.release()
}
