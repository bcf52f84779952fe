package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

// CompactSuffix is behind the name of a file that is being made by [Compact]: what is left of one that was killed. It may be removed.
const CompactSuffix = ".compact"

// fillPercent of the pages of a compacted file: nearly full, with room for notes on the last revisions.
const fillPercent = 0.9

// offline are the options of who works on a store that no server should have: one that is about to end is waited for.
var offline = Options{LockTimeout: time.Second}

// Compact writes a store that nobody has open anew, without the pages that hold nothing, and puts the new file in place of the old one once
// it is whole, checked and on the disk. A process that is killed meanwhile leaves the old file or the new one. The new file has owner, group
// and mode of the old one, and is where that was: a link to it stays. Errors are those of [Open], and store.ErrUnavailable where the file
// cannot be given to its owner.
func Compact(path string) (before, after Usage, err error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return before, after, fmt.Errorf("%s: %w", path, unavailable("there is no store", err))
	}
	path = target
	s, err := Open(path, offline)
	if err != nil {
		return before, after, err
	}
	if before, err = s.Usage(); err == nil {
		err = replace(path, path+CompactSuffix, s.giveAway, func(db *bbolt.DB) error {
			return s.view(func(tx *bbolt.Tx) error { return copyAll(db, tx) })
		})
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return before, after, fmt.Errorf("%s: %w", path, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return before, after, unavailable("the new file cannot be opened", err)
	}
	defer f.Close()
	after, err = usageOf(f)
	return before, after, err
}

// giveAway gives a new file the owner, the group and the mode of the store's: who compacts it may be root.
func (s *Store) giveAway(f *os.File) error {
	old, err := s.file.Stat()
	if err != nil {
		return unavailable("the file cannot be used", err)
	}
	if of, ok := old.Sys().(*syscall.Stat_t); ok {
		err = f.Chown(int(of.Uid), int(of.Gid))
	}
	if err = errors.Join(err, f.Chmod(old.Mode().Perm())); err != nil {
		return unavailable("the new file cannot get the owner and the mode of the old one; do this as its owner or as root", err)
	}
	return nil
}

// copyAll copies every entry into an empty store, as it is: its checksum holds there too.
func copyAll(to *bbolt.DB, from *bbolt.Tx) error {
	for _, name := range append(dataBuckets[:len(dataBuckets):len(dataBuckets)], bucketMeta) {
		c := from.Bucket(name).Cursor()
		k, v := c.First()
		for k != nil {
			err := to.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket(name)
				b.FillPercent = fillPercent
				for n, size := 0, 0; k != nil && n < importBatch && size < importBytes; n++ {
					size += len(k) + len(v)
					if err := b.Put(k, v); err != nil {
						return err
					}
					k, v = c.Next()
				}
				return nil
			})
			if err != nil {
				return unavailable("the new file cannot be written", err)
			}
		}
	}
	return nil
}
