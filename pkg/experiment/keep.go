package experiment

import (
	"context"
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
	"time"

	"github.com/crossfade-proxy/crossfade/internal/notefile"
)

const (
	saveEvery = 5 * time.Second
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
	failing bool
}

func newKeeper(dir string, log *slog.Logger) (*keeper, error) {
	if dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("the directory of experiments: %w", err)
		}
	}
	return &keeper{dir: dir, log: log}, nil
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

// key returns the key that is kept of a run.
func (k *keeper) key(id string) ([]byte, bool) {
	if !k.keeps() {
		return nil, false
	}
	path := k.path(keyPrefix, id)
	key, err := notefile.Read(path, keyBytes)
	if err == nil && key != nil && len(key) != keyBytes {
		err = errContent
	}
	if err != nil {
		k.log.Warn("the key of a run cannot be read: what was counted before cannot be read either", "file", path, "error", err)
	}
	return key, err == nil && key != nil
}

// keepKey keeps the key of a run, and says whether it does. Without it, what is counted does not outlive the process, which is said.
func (k *keeper) keepKey(id string, key []byte) bool {
	if !k.keeps() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.path(keyPrefix, id)
	err := notefile.Replace(path, key)
	k.said(path, err)
	return err == nil
}

// said says in the log where writing begins or ends to fail.
func (k *keeper) said(path string, err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Warn("what experiments found cannot be written: it would not outlive this process", "file", path, "error", err)
	case err == nil && k.failing:
		k.log.Info("what experiments found is written again", "file", path)
	}
	k.failing = err != nil
}

// kept is what a file says.
type kept struct {
	note    *note // nil: there is none
	damaged bool  // there was one
}

// read reads what is kept of a run. A file that is damaged is put aside.
func (k *keeper) read(id string) kept {
	if !k.keeps() {
		return kept{}
	}
	data, err := notefile.Read(k.path(notePrefix, id), maxNote)
	if data == nil && err == nil {
		return kept{}
	}
	var n *note
	if err == nil {
		n, err = parse(data)
	}
	if err != nil {
		k.putAside(id, err)
		return kept{damaged: true}
	}
	return kept{note: n}
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

// saveAll writes what has changed every five seconds, and at once what must not wait, until ctx ends.
func (d *Desk) saveAll(ctx context.Context) {
	if !d.keeper.keeps() {
		return
	}
	last := d.c.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.saves:
		}
		d.mu.Lock()
		urgent := d.urgent
		d.mu.Unlock()
		if now := d.c.Now(); urgent || now.Sub(last) >= saveEvery {
			d.save(now)
			last = now
		}
	}
}

// save writes what has changed, and removes what has expired. Whatever comparators have told until then, they may forget.
func (d *Desk) save(now time.Time) {
	if !d.keeper.keeps() {
		return
	}
	d.mu.Lock()
	d.urgent = false
	notes, expired := map[*run]*note{}, []string(nil)
	for _, r := range d.runs {
		if r.id == "" || !r.touched {
			continue
		}
		r.touched = false
		if r.gone == goneExpired {
			expired = append(expired, r.id)
			continue
		}
		notes[r] = r.note()
	}
	taken := map[*session]int64{}
	for _, s := range d.sessions {
		taken[s] = s.sequence
	}
	d.mu.Unlock()
	for r, n := range notes {
		d.write(r, n)
	}
	d.keeper.remove(expired)
	d.mu.Lock()
	defer d.mu.Unlock()
	for s, sequence := range taken {
		s.acked = sequence
	}
}

// write writes one note, unless its run has been replaced meanwhile. One that cannot be written is tried again: the report lives on in memory.
func (d *Desk) write(r *run, n *note) {
	k := d.keeper
	data, err := n.encode()
	k.mu.Lock()
	defer k.mu.Unlock()
	d.mu.Lock()
	current := d.runs[r.mirror] == r
	d.mu.Unlock()
	if !current {
		return
	}
	path := k.path(notePrefix, r.id)
	if err == nil && !r.keyKept {
		err = notefile.Replace(k.path(keyPrefix, r.id), r.key)
	}
	if err == nil {
		r.keyKept = true
		err = notefile.Replace(path, data)
	}
	if k.said(path, err); err != nil {
		d.mu.Lock()
		r.touched = true
		d.mu.Unlock()
	}
}
