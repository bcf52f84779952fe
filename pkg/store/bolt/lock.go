package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// openNamed opens and locks the file that has the name once it is locked: another may have come in its place while we waited.
func openNamed(path string, flags int, timeout time.Duration) (*os.File, error) {
	for {
		f, err := openLocked(path, flags, timeout)
		if err != nil {
			return nil, err
		}
		same, err := stillThere(path, f)
		if same && err == nil {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
}

// openLocked opens a file and locks it, as bbolt would. The lock belongs to the open file and ends with it.
func openLocked(path string, flags int, timeout time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, unavailable("the file cannot be opened for writing", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, unavailable("the file cannot be used", err)
	}
	if err := lock(f, timeout); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lock takes the lock of an open file.
func lock(f *os.File, timeout time.Duration) error {
	end := time.NewTimer(timeout)
	defer end.Stop()
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return unavailable("the file cannot be locked", err)
		}
		select {
		case <-end.C:
			return unavailable(fmt.Sprintf("another process has the file open (waited %s); stop it, or choose another path", timeout), nil)
		case <-poll.C:
		}
	}
}

// stillThere says whether a path still names an open file: a store that is compacted gets a new one, one that is made another name.
func stillThere(path string, f *os.File) (bool, error) {
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, unavailable("the file cannot be used", err)
	}
	was, err := f.Stat()
	if err != nil {
		return false, unavailable("the file cannot be used", err)
	}
	return os.SameFile(now, was), nil
}
