package stack

import (
	"io"
	"os"
)

// maxLog is the size in bytes at which a proxy's log begins anew: it has a line for every request.
const maxLog = 32 << 20

// capped is a file that never exceeds [maxLog] by more than one write.
type capped struct {
	file *os.File
	size int
}

// Write appends, after emptying a file that is full.
func (c *capped) Write(p []byte) (int, error) {
	if c.size >= maxLog {
		if err := c.file.Truncate(0); err != nil {
			return 0, err
		}
		if _, err := c.file.Seek(0, io.SeekStart); err != nil {
			return 0, err
		}
		c.size = 0
	}
	n, err := c.file.Write(p)
	c.size += n
	return n, err
}
