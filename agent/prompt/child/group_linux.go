package child

import "syscall"

// attributes: a new group, and SIGKILL when the agent dies, however it dies (prctl(2), PR_SET_PDEATHSIG).
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
