//go:build !linux

package supervise

import "os"

// self is the file of this program.
func self() (string, error) { return os.Executable() }

// giveWay does nothing here.
func giveWay(int, int) error { return nil }

// resident is not known here.
func resident(int) (size int64, known bool) { return 0, false }
