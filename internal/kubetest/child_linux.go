package kubetest

import (
	"os/exec"
	"runtime"
	"syscall"
)

// childAttributes make the child die with the thread that started it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// start starts a command from a thread that lives as long as it, and closes done when it has ended.
func start(cmd *exec.Cmd, done chan<- struct{}) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(done)
		}
	}()
	return <-started
}
