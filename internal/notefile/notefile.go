// Package notefile reads and replaces small files of notes: what a process would like to know again after its end, and can do without.
//
// They are replaced whole, but not forced to the disk, so as to keep nobody waiting there: they outlive the process, and mostly a crash of the
// machine.
package notefile

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// Read returns the content of a file, nil if there is none. Of a file that is larger than most bytes it returns one byte more than that.
func Read(path string, most int64) ([]byte, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, most+1))
}

// Replace puts a file in its place whole, or leaves the one that is there. One process at a time may replace it.
func Replace(path string, data []byte) error {
	next := path + ".new"
	err := os.WriteFile(next, data, 0o600)
	if err == nil {
		err = os.Rename(next, path)
	}
	if err == nil {
		return nil
	}
	if left := os.Remove(next); left != nil && !errors.Is(left, fs.ErrNotExist) {
		err = errors.Join(err, left)
	}
	return err
}
