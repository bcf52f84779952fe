package envoyproc

import "syscall"

// dieWithParent makes the kernel kill the child when this process ends, however it ends. A Ctrl-C at the terminal does not reach it:
// whoever started it ends it.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
