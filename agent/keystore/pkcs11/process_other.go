//go:build !linux && !windows

package pkcs11

import (
	"os/exec"
	"syscall"
)

// group is the process group of a helper.
type group struct{ id int }

// startGroup starts the helper in a process group of its own. When the agent ends, the helper sees its input end.
func startGroup(cmd *exec.Cmd) (*group, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &group{id: cmd.Process.Pid}, nil
}

func (g *group) kill() { _ = syscall.Kill(-g.id, syscall.SIGKILL) }

func (g *group) release() {}
