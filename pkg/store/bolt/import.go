package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// ImportSuffix is behind the name of a store that is being made by [Import]: what is left of one that was killed.
const ImportSuffix = newSuffix

const (
	importBatch = 1024    // items in a transaction
	importBytes = 4 << 20 // or this much of them
)

// Import makes a new store at path of what next returns until io.EOF: the items of an export. The file has its name once all of it is
// written, checked and on the disk. It never replaces a store: whoever else makes one at path waits meanwhile, or was first.
//
// Errors: those of next; store.ErrCorrupt where the items do not fit together; store.ErrUnavailable (there is a file already, another process
// is making one, the disk).
func Import(path string, next func() (store.Item, error)) error {
	vacant := func(*os.File) error {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return unavailable("there is a store already: "+path, err)
		}
		return nil
	}
	return replace(path, path+ImportSuffix, vacant, func(db *bbolt.DB) error {
		i := &importer{db: db, last: map[store.ObjectKey]int64{}}
		return i.run(next)
	})
}

// Remove removes a store that no process has open.
//
// Errors: store.ErrUnavailable (used by another process, the disk). That there is none is no error.
func Remove(path string) error {
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	f, err := openNamed(path, os.O_RDWR, offline.LockTimeout)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close() // only now: who waits for the lock finds that the file has no name any more
	return removeIfThere(path)
}

// replace fills a new file and gives it a name, whatever had that name before, unless check refuses the file while it is locked and empty. The
// other name is left to nobody but after a kill.
func replace(path, temporary string, check func(*os.File) error, fill func(*bbolt.DB) error) error {
	f, err := openNamed(temporary, os.O_RDWR|os.O_CREATE, DefaultLockTimeout)
	if err != nil {
		return err
	}
	if err := check(f); err != nil {
		defer f.Close()
		return errors.Join(err, removeIfThere(temporary))
	}
	db, err := initialise(f)
	if err != nil {
		defer f.Close()
		return errors.Join(unavailable("the file cannot be made", err), removeIfThere(temporary))
	}
	defer db.Close() // only now: the lock keeps others away until the file has its name
	db.NoSync = true
	err = guard(func() error { return fill(db) })
	if err == nil {
		err = wrapUnavailable("the file cannot be written", db.Sync())
	}
	if err == nil {
		err = checkWritten(f)
	}
	if err == nil {
		err = wrapUnavailable("the file cannot get its name", os.Rename(temporary, path))
	}
	if err != nil {
		return errors.Join(err, removeIfThere(temporary))
	}
	return wrapUnavailable("the directory cannot be written", syncDirectory(filepath.Dir(path)))
}

// checkWritten reads a new file as opening it will.
func checkWritten(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return unavailable("the file cannot be used", err)
	}
	_, err = verify(f, info.Size())
	return err
}

func wrapUnavailable(what string, err error) error {
	if err == nil {
		return nil
	}
	return unavailable(what, err)
}

// importer writes items.
type importer struct {
	db    *bbolt.DB
	seq   store.Sequence
	head  head
	last  map[store.ObjectKey]int64 // the last revision of each object so far
	count int                       // items in the transaction
	size  int                       // bytes of them
}

func (i *importer) run(next func() (store.Item, error)) error {
	for more := true; more; {
		tx, err := i.db.Begin(true)
		if err != nil {
			return unavailable("the file cannot be written", err)
		}
		b := &batch{tx: tx, head: i.head}
		more, err = i.part(b, next)
		if err == nil {
			i.head = b.head
			err = wrapUnavailable("the file cannot be written", tx.Commit())
		}
		if err != nil {
			_ = tx.Rollback() // the file is thrown away
			return err
		}
	}
	return nil
}

// part writes the items of one transaction, and says whether there are more.
func (i *importer) part(b *batch, next func() (store.Item, error)) (more bool, err error) {
	for i.count, i.size = 0, 0; i.count < importBatch && i.size < importBytes; i.count++ {
		item, err := next()
		if errors.Is(err, io.EOF) {
			return false, i.end(b)
		}
		if err != nil {
			return false, err
		}
		if err := i.seq.Add(item); err != nil {
			return false, err
		}
		if i.add(b, item); b.err != nil {
			return false, b.err
		}
	}
	return true, b.finish()
}

func (i *importer) end(b *batch) error {
	if err := i.seq.End(); err != nil {
		return err
	}
	b.head.revision, b.changed = i.seq.Last(), true
	if i.seq.Trimmed() {
		b.markTrimmed()
	}
	return b.finish()
}

func (i *importer) add(b *batch, item store.Item) {
	switch {
	case item.Revision != nil:
		i.addRevision(b, item.Revision)
	case item.Live != nil:
		b.put(bucketLive, liveKey(item.Live.Key), revisionKey(item.Live.Revision))
	case item.Used != nil:
		u := item.Used
		b.put(bucketKeys, []byte(u.Key), usedKey{time: u.Time, first: u.First, count: u.Count, digest: u.Digest}.payload())
		b.put(bucketExpiry, expiryKey(u.Time, []byte(u.Key)), nil)
	}
}

func (i *importer) addRevision(b *batch, r *crossfadev1.Revision) {
	key, n := store.KeyOfRevision(r), r.GetRevision()
	b.putRevision(r)
	b.put(bucketObjects, objectKey(key, n), revisionKey(i.last[key]))
	i.last[key] = n
	i.size += proto.Size(r)
}
