package bolt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// newSuffix is behind the name of a store that is being made, by [Open] or by [Import]: who has the lock of that file is the one that makes it.
const newSuffix = ".new"

// create makes an empty store at path. It is written under another name first, so that no half of one is ever at path; an empty file
// there is therefore damage. Of several processes that do this at once, one does it and the others find its file.
func create(path string, o Options) error {
	temporary := path + newSuffix
	f, err := openNamed(temporary, os.O_RDWR|os.O_CREATE, o.LockTimeout)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		defer f.Close() // another process was first
		return removeIfThere(temporary)
	}
	db, err := initialise(f)
	if err != nil {
		defer f.Close()
		return errors.Join(unavailable("the file cannot be made", err), removeIfThere(temporary))
	}
	defer db.Close() // only now: the lock keeps the others away until the file has its name
	if err := os.Rename(temporary, path); err != nil {
		return unavailable("the file cannot be made", err)
	}
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return unavailable("the directory cannot be written", err)
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return unavailable("the file "+path+" cannot be removed", err)
	}
	return nil
}

// initialise writes an empty store into a locked file. Closing the result closes and unlocks the file.
func initialise(f *os.File) (*bbolt.DB, error) {
	if err := f.Truncate(0); err != nil {
		return nil, err
	}
	db, err := openBolt(f)
	if err != nil {
		return nil, err
	}
	if err := db.Update(writeEmpty); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// writeEmpty makes the buckets and the entries that say what the file is.
func writeEmpty(tx *bbolt.Tx) error {
	for _, name := range dataBuckets {
		if _, err := tx.CreateBucket(name); err != nil {
			return err
		}
	}
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	format, _ := seal(bucketMeta, keyFormat, formatPayload(schemaFirst))
	if err := meta.Put(keyFormat, format); err != nil {
		return err
	}
	h, _ := seal(bucketMeta, keyHead, head{}.payload())
	return meta.Put(keyHead, h)
}

// syncDirectory makes a rename durable.
func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
