//go:build !linux

package envoyproc

import "syscall"

// dieWithParent has no equivalent here: only a clean end of this process ends its children.
func dieWithParent() *syscall.SysProcAttr { return nil }
