package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
)

const (
	// maxNote bounds the file of a run, in bytes.
	maxNote = 64 << 20

	notePrefix, keyPrefix = "run-", "key-"
	aside                 = ".damaged"
)

// Why counts are missing, as reports say it.
const (
	goneLost    = "report_lost"
	goneExpired = "report_expired"
)

var (
	errContent  = errors.New("it is damaged, or its key is another")
	errTooLarge = fmt.Errorf("it would have more than %d MiB", maxNote>>20)
)

// keeper keeps runs in files. One goroutine writes notes; others may read, and remove.
type keeper struct {
	dir string // empty: there is none
	log *slog.Logger

	mu      sync.Mutex // one at a time writes or removes
	failing atomic.Bool
	blocked atomic.Bool // reading fails
}

func newKeeper(dir string, log *slog.Logger) *keeper {
	k := &keeper{dir: dir, log: log}
	if k.keeps() {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			k.said(dir, err)
		}
	}
	return k
}

func (k *keeper) keeps() bool { return k.dir != "" }

var plainID = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)

// path is that of a file of a run.
func (k *keeper) path(prefix, id string) string {
	if !plainID.MatchString(id) {
		sum := sha256.Sum256([]byte(id))
		id = "x" + hex.EncodeToString(sum[:])
	}
	return filepath.Join(k.dir, prefix+id)
}

// file reads a file, nil if there is none. The error says that it cannot be read now: what is in it is not known.
func (k *keeper) file(path string, most int64) ([]byte, error) {
	data, err := notefile.Read(path, most)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, nil // the directory could not be made
	}
	return data, err
}

// saidRead says in the log where reading begins or ends to fail.
func (k *keeper) saidRead(id string, err error) {
	switch was := k.blocked.Swap(err != nil); {
	case err != nil && !was:
		k.log.Warn("what is kept of an experiment cannot be read: nobody is asked for it until it can, which is tried again", "run", id, "error", err)
	case err == nil && was:
		k.log.Info("what is kept of experiments is read again", "run", id)
	}
}

// key returns the key that is kept of a run, nil if there is none. The error says that there may be one, which cannot be read now.
func (k *keeper) key(id string) ([]byte, error) {
	if !k.keeps() {
		return nil, nil
	}
	path := k.path(keyPrefix, id)
	key, err := k.file(path, keyBytes)
	if err == nil && key != nil && len(key) != keyBytes {
		k.log.Warn("the key of a run is damaged: what was counted before cannot be read", "file", path)
		key = nil
	}
	return key, err
}

// keepKey keeps the key of a run, and says whether it does. Without it, what is counted does not outlive the process, which is said.
func (k *keeper) keepKey(id string, key []byte) bool {
	if !k.keeps() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.path(keyPrefix, id)
	err := k.replace(path, key)
	k.said(path, err)
	return err == nil
}

// replace writes a file, and makes the directory if it is not there.
func (k *keeper) replace(path string, data []byte) error {
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return err
	}
	return notefile.Replace(path, data)
}

// said says in the log where writing begins or ends to fail.
func (k *keeper) said(path string, err error) {
	switch was := k.failing.Swap(err != nil); {
	case err != nil && !was:
		k.log.Warn("what experiments found cannot be written: it would not outlive this process", "file", path, "error", err)
	case err == nil && was:
		k.log.Info("what experiments found is written again", "file", path)
	}
}

// kept is what a file says.
type kept struct {
	note    *note // nil: there is none
	damaged bool  // there was one
}

// read reads what is kept of a run. A file that is damaged is put aside. The error says that it cannot be read now.
func (k *keeper) read(id string) (kept, error) {
	if !k.keeps() {
		return kept{}, nil
	}
	data, err := k.file(k.path(notePrefix, id), maxNote)
	if err != nil || data == nil {
		return kept{}, err
	}
	n, err := parse(data)
	if err != nil {
		k.putAside(id, err)
		return kept{damaged: true}, nil
	}
	return kept{note: n}, nil
}

func (k *keeper) putAside(id string, why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.path(notePrefix, id)
	if err := os.Rename(path, path+aside); err != nil {
		why = errors.Join(why, err)
	}
	k.log.Warn("what a run found cannot be read: its report starts anew", "file", path, "aside", path+aside, "error", why)
}

// sweep removes what is kept of other runs than these.
func (k *keeper) sweep(ids []string) {
	if !k.keeps() {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	stay := map[string]bool{}
	for _, id := range ids {
		for _, prefix := range []string{notePrefix, keyPrefix} {
			stay[filepath.Base(k.path(prefix, id))] = true
		}
	}
	files, err := os.ReadDir(k.dir)
	if err != nil && k.failing.Load() {
		return // there is no directory, which was said
	}
	for _, f := range files {
		name := f.Name()
		ours := strings.HasPrefix(name, notePrefix) || strings.HasPrefix(name, keyPrefix)
		if f.IsDir() || !ours || stay[strings.TrimSuffix(name, aside)] {
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(k.dir, name)))
	}
	k.sayLeft(err)
}

// remove removes what is kept of runs.
func (k *keeper) remove(ids []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var err error
	for _, id := range ids {
		for _, path := range []string{k.path(notePrefix, id), k.path(notePrefix, id) + aside, k.path(keyPrefix, id)} {
			if e := os.Remove(path); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	k.sayLeft(err)
}

func (k *keeper) sayLeft(err error) {
	if err != nil {
		k.log.Warn("files of experiments that are gone cannot be removed", "directory", k.dir, "error", err)
	}
}
