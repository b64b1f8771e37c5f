//go:build unix

package child

import (
	"os/exec"
	"syscall"
)

// group is a process group, led by the program.
type group struct{ id int }

func (g *group) start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = attributes()
	if err := cmd.Start(); err != nil {
		return err
	}
	g.id = cmd.Process.Pid
	return nil
}

func (g *group) terminate()  { _ = syscall.Kill(-g.id, syscall.SIGTERM) }
func (g *group) kill()       { _ = syscall.Kill(-g.id, syscall.SIGKILL) }
func (g *group) alive() bool { return syscall.Kill(-g.id, 0) == nil }
