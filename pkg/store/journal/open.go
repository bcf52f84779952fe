package journal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Open opens the journal at path, or makes an empty one if there is no file.
//
// Errors: store.ErrCorrupt (not a journal), store.ErrNewerVersion, store.ErrUnavailable (in use by another process, no directory, no
// permission, disk full). Damaged entries are no error: a torn one was never answered.
func Open(path string) (*Journal, error) {
	j, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	go j.write()
	return j, nil
}

func open(path string) (*Journal, error) {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		if err := create(path); err != nil {
			return nil, unavailable("the file cannot be made", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, unavailable("the file cannot be opened for writing", err)
	}
	j, err := read(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return j, nil
}

// read locks a journal and finds its entries.
func read(f *os.File) (*Journal, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = errors.New("another process has it open")
		}
		return nil, unavailable("the file cannot be locked", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, fileSize+1))
	if err != nil {
		return nil, unavailable("the file cannot be read", err)
	}
	if err := checkFile(b); err != nil {
		if errors.Is(err, store.ErrCorrupt) {
			err = fmt.Errorf("%w; move the file away to start with an empty one", err)
		}
		return nil, err
	}
	j := &Journal{file: f, work: make(chan func()), stop: make(chan struct{}), gone: make(chan struct{}), live: map[ID]slot{}}
	j.writeAt = j.writeSync
	return j, j.scan(b)
}

// create makes an empty journal. It is written whole under another name first, so that its blocks exist before it has its own.
func create(path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new*")
	if err != nil {
		return err
	}
	_, err = f.Write(newFile())
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), path) // unlike a rename it replaces nothing
		if errors.Is(err, fs.ErrExist) {
			err = nil
		}
	}
	return errors.Join(err, os.Remove(f.Name()), syncDirectory(filepath.Dir(path)))
}

// syncDirectory makes a new name durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeSync overwrites a part of the file and makes it durable.
func (j *Journal) writeSync(b []byte, offset int64) error {
	if _, err := j.file.WriteAt(b, offset); err != nil {
		return err
	}
	return datasync(j.file)
}
