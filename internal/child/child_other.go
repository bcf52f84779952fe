//go:build !linux

package child

import (
	"os/exec"
	"syscall"
)

// Attributes: only a clean end of this process ends its children here.
func Attributes() *syscall.SysProcAttr { return nil }

// Start starts a command and closes done when it has ended.
func Start(cmd *exec.Cmd, done chan<- struct{}) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}
