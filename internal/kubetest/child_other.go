//go:build !linux

package kubetest

import (
	"os/exec"
	"syscall"
)

// childAttributes: only a clean end of this process ends its children here.
func childAttributes() *syscall.SysProcAttr { return nil }

func start(cmd *exec.Cmd, done chan<- struct{}) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	return nil
}
