package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Usage is what a file takes.
type Usage struct {
	Bytes int64 // of the file
	Pages int   // in it, of Bytes/Pages each or a little less: the file grows by more than a page at a time
	Free  int   // pages that hold nothing, and are used before the file grows
}

// FreeShare is the share of pages that hold nothing, 0 to 1.
func (u Usage) FreeShare() float64 {
	if u.Pages == 0 {
		return 0
	}
	return float64(u.Free) / float64(u.Pages)
}

// Usage looks at the file. It reads a few bytes and takes no lock. While a commit is written it may be off by what that changes.
func (s *Store) Usage() (Usage, error) { return usageOf(s.file) }

func usageOf(f *os.File) (Usage, error) {
	info, err := f.Stat()
	if err != nil {
		return Usage{}, unavailable("the file cannot be used", err)
	}
	m, err := newestMeta(f)
	if err != nil {
		return Usage{}, err
	}
	var b [pageHeaderSize + 8]byte
	if _, err := f.ReadAt(b[:], int64(m.freelist)*int64(m.pageSize)); err != nil {
		return Usage{}, unavailable("the list of free pages cannot be read", err)
	}
	p, _ := parsePage(b[:])
	free := uint64(p.count)
	if free == 0xFFFF { // the number itself comes first
		free = order.Uint64(b[pageHeaderSize:])
	}
	if p.flags != pageFreelist || free > m.pages {
		return Usage{}, unavailable("the list of free pages is being written", nil)
	}
	return Usage{Bytes: info.Size(), Pages: int(m.pages), Free: int(free)}, nil
}

// newestMeta returns the newer of the meta pages that are whole: one may be half written.
func newestMeta(f *os.File) (boltMeta, error) {
	var newest boltMeta
	size := int64(os.Getpagesize())
	for page := range int64(2) {
		var b [pageHeaderSize + metaSize]byte
		if _, err := f.ReadAt(b[:], page*size); err != nil {
			return newest, unavailable("the file cannot be read", err)
		}
		if m, ok := parseMeta(b[:]); ok && m.txid >= newest.txid {
			newest = m
		}
	}
	if newest.pageSize == 0 {
		return newest, unavailable("the first pages are being written", nil)
	}
	return newest, nil
}

// Contents is what a store holds, for who looks at a file.
type Contents struct {
	Schema    int            // version of the file's form
	Revision  int64          // the last
	Revisions int            // that are kept
	Oldest    int64          // the first of them; 0: none
	Live      map[string]int // objects by kind
	Keys      int            // idempotency keys
	Usage     Usage
}

// Inspect checks a store that nobody has open as [Open] does, and that its entries are true of each other. It changes nothing.
// Errors are those of [Open].
func Inspect(ctx context.Context, path string) (*Contents, error) {
	if _, err := os.Lstat(path); err != nil {
		return nil, fmt.Errorf("%s: %w", path, unavailable("there is no store", err))
	}
	s, err := Open(path, offline)
	if err != nil {
		return nil, err
	}
	c, err := s.contents(ctx)
	return c, errors.Join(err, s.Close())
}

func (s *Store) contents(ctx context.Context) (*Contents, error) {
	c := &Contents{Live: map[string]int{}}
	var seq store.Sequence
	err := s.Export(ctx, func(i store.Item) error {
		switch {
		case i.Revision != nil && c.Oldest == 0:
			c.Oldest = i.Revision.GetRevision()
		case i.Live != nil:
			c.Live[i.Live.Key.Kind]++
		case i.Used != nil:
			c.Keys++
		}
		return seq.Add(i)
	})
	if err = errors.Join(err, s.checkIndex(ctx)); err != nil {
		return nil, err
	}
	c.Revision = seq.Last()
	c.Revisions, _ = seq.Counts()
	if c.Schema, err = s.schema(ctx); err != nil {
		return nil, err
	}
	c.Usage, err = s.Usage()
	return c, err
}

func (s *Store) schema(ctx context.Context) (int, error) {
	return read(ctx, s, func(tx *bbolt.Tx) (int, error) {
		p, err := unseal(bucketMeta, keyFormat, tx.Bucket(bucketMeta).Get(keyFormat))
		if err != nil {
			return 0, err
		}
		v, err := parseFormat(p)
		return int(v), err
	})
}

// checkIndex says whether the index names every revision, and the one before it of the same object. Nothing else uses the store meanwhile.
func (s *Store) checkIndex(ctx context.Context) error {
	_, err := read(ctx, s, func(tx *bbolt.Tx) (struct{}, error) {
		entries, last := 0, []byte(nil)
		err := tx.Bucket(bucketObjects).ForEach(func(k, v []byte) error {
			entries++
			p, err := unseal(bucketObjects, k, v)
			if err == nil && (len(k) < 9 || len(p) != 8) {
				err = corrupt("the index has the key %x", k)
			}
			if err != nil {
				return err
			}
			n, _ := parseRevision(k[len(k)-8:])
			before, _ := parseRevision(p)
			want := int64(0)
			if len(last) > 8 && bytes.Equal(last[:len(last)-8], k[:len(k)-8]) {
				want, _ = parseRevision(last[len(last)-8:])
			}
			if !kept(tx, n) || before != want {
				return corrupt("the index says that revision %d follows %d, not %d", n, before, want)
			}
			last = bytes.Clone(k)
			return nil
		})
		if n := countKeys(tx.Bucket(bucketRevisions)); err == nil && n != entries {
			err = corrupt("the index has %d revisions, there are %d", entries, n)
		}
		return struct{}{}, err
	})
	return err
}

func countKeys(b *bbolt.Bucket) (n int) {
	c := b.Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		n++
	}
	return n
}
