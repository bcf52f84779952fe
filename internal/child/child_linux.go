package child

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Attributes make a child die with the thread that started it, and of nothing that is typed at the terminal: whoever started it
// ends it.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}

// Start starts a command from a thread that lives as long as it, and closes done when it has ended.
func Start(cmd *exec.Cmd, done chan<- struct{}) error {
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
