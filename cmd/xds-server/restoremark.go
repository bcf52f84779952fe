package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store/bolt"
)

// restoring is the mark of a restore that is not finished: the first thing that is written, the last that goes. A server does not start
// beside it, as it would start empty. It is empty until its restore has seen, beside it, that nothing else is there: from then on the files
// of a data directory that are beside it are of a restore. Whoever has its lock is the one that restores.
const restoring = "restore.unfinished"

// restoredFile is what it becomes: until the first server on it has paused the rollouts of the backup.
const restoredFile = "restored"

// mark is a mark that this process has locked.
type mark struct {
	file *os.File
	dir  string
}

// claim marks a directory that is empty, or that a restore that was killed has left so. What anybody puts into it meanwhile is seen here, or
// its server sees the mark: it looks once more when it has its store.
func claim(dir string) (*mark, error) {
	if err := checkEmpty(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, restoring)
	f, err := lockedMark(dir, path)
	if err != nil {
		return nil, err
	}
	m := &mark{file: f, dir: dir}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.Size() > 0:
		if err := checkEmpty(dir); err != nil {
			return nil, errors.Join(err, m.close())
		}
		return m, nil
	default:
		if err := checkEmpty(dir); err != nil {
			return nil, errors.Join(err, os.Remove(path), m.close())
		}
		_, err = f.WriteString("begun\n")
	}
	if err = errors.Join(err, f.Sync(), syncDir(dir)); err != nil {
		return nil, errors.Join(diskError("data_dir", dir, "cannot be written: "+reason(err)), m.close())
	}
	return m, nil
}

// lockedMark opens the mark, or makes it, and locks it.
func lockedMark(dir, path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, diskError("data_dir", dir, "cannot be written: "+reason(err))
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			return nil, diskError("restore_running", dir, "another restore is at work in it ("+reason(err)+")")
		}
		if same(path, f) {
			return f, nil
		}
		f.Close() // another restore has just finished
	}
}

// same says whether a path names an open file.
func same(path string, f *os.File) bool {
	now, err := os.Lstat(path)
	was, other := f.Stat()
	return err == nil && other == nil && os.SameFile(now, was)
}

// clear removes what a restore that was killed has left.
func (m *mark) clear() error {
	if err := bolt.Remove(filepath.Join(m.dir, storeFile)); err != nil {
		return openError(m.dir, err)
	}
	entries, err := os.ReadDir(m.dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), journalFile) {
			err = errors.Join(err, os.Remove(filepath.Join(m.dir, e.Name())))
		}
	}
	if err != nil {
		return diskError("data_dir", m.dir, "cannot be written: "+reason(err))
	}
	return nil
}

// done says that the directory is whole.
func (m *mark) done() error {
	return errors.Join(os.Rename(filepath.Join(m.dir, restoring), filepath.Join(m.dir, restoredFile)), syncDir(m.dir))
}

// close lets another restore at it.
func (m *mark) close() error { return m.file.Close() }

// checkEmpty refuses a directory that has anything in it but what a restore that was killed has left, and what a new disk has.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diskError("data_dir", dir, "cannot be read: "+reason(err))
	}
	half := begun(dir)
	for _, e := range entries {
		name := e.Name()
		left := name == storeFile || name == storeFile+bolt.ImportSuffix || strings.HasPrefix(name, journalFile)
		if name == restoring || left && half || name == "lost+found" && e.IsDir() {
			continue
		}
		return &policy.Error{
			Kind: policy.Invalid, Code: "not_empty", Field: "--data-dir", Value: dir, Message: "is not empty: " + e.Name() + " is in it",
			Next: "name a new directory, and keep the old one until you know that the restore is what you want",
		}
	}
	return nil
}

// begun says whether a directory has the mark of a restore that had seen that nothing else was there.
func begun(dir string) bool {
	info, err := os.Lstat(filepath.Join(dir, restoring))
	return err == nil && info.Size() > 0
}

// checkRestored refuses a directory in which a restore was not finished.
func checkRestored(dir string) error {
	mark := filepath.Join(dir, restoring)
	if _, err := os.Lstat(mark); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	next := "run `xds-server restore --from FILE --data-dir " + dir + "` again"
	if !begun(dir) {
		next += "; or, if none is running, remove " + mark + ": that one had written nothing else"
	}
	return &policy.Error{
		Kind: policy.Unavailable, Code: "restore_unfinished", Field: "--data-dir", Value: dir, Message: "a restore into this directory was not finished", Next: next,
	}
}

// isRestored says whether a directory was made of a backup, and no server on it has paused the rollouts of that yet.
func isRestored(dir string) bool {
	_, err := os.Lstat(filepath.Join(dir, restoredFile))
	return err == nil
}
