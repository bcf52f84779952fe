package journal

import (
	"os"
	"syscall"
)

// datasync makes the content durable, but not the times of the file.
func datasync(f *os.File) error {
	for {
		if err := syscall.Fdatasync(int(f.Fd())); err != syscall.EINTR {
			return err
		}
	}
}
