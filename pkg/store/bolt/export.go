package bolt

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"go.etcd.io/bbolt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Export implements store.Store. Its transactions are short, see the package comment; no trim runs meanwhile, so that what was there is there.
func (s *Store) Export(ctx context.Context, visit func(store.Item) error) error {
	s.exports.Add(1)
	defer s.exports.Add(-1)
	st := s.state.Load()
	count, err := s.countUpTo(ctx, st.revision)
	if err != nil {
		return err
	}
	if err := visit(store.Item{Head: &store.Head{Revision: st.revision, Revisions: count}}); err != nil {
		return err
	}
	if err := s.exportRevisions(ctx, st.revision, visit); err != nil {
		return err
	}
	for _, l := range st.all() {
		if err := visit(store.Item{Live: &l}); err != nil {
			return err
		}
	}
	return s.exportKeys(ctx, st.revision, visit)
}

// countUpTo is how many revisions may be there: exactly so where none was ever trimmed.
func (s *Store) countUpTo(ctx context.Context, last int64) (int, error) {
	return read(ctx, s, func(tx *bbolt.Tx) (int, error) {
		k, _ := tx.Bucket(bucketRevisions).Cursor().First()
		if k == nil || last == 0 {
			return 0, nil
		}
		first, err := parseRevision(k)
		return int(last - first + 1), err
	})
}

func (s *Store) exportRevisions(ctx context.Context, last int64, visit func(store.Item) error) error {
	for next := int64(1); ; {
		page, err := read(ctx, s, func(tx *bbolt.Tx) ([]*crossfadev1.Revision, error) { return pageFrom(tx, next, last) })
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := visit(store.Item{Revision: r}); err != nil {
				return err
			}
			next = r.GetRevision() + 1
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// maxPageBytes ends a page of an export early where revisions are this large.
const maxPageBytes = 4 << 20

// pageFrom reads some revisions from a number up to another.
func pageFrom(tx *bbolt.Tx, from, last int64) ([]*crossfadev1.Revision, error) {
	var out []*crossfadev1.Revision
	size := 0
	c := tx.Bucket(bucketRevisions).Cursor()
	for k, v := c.Seek(revisionKey(from)); k != nil && len(out) < scanPage && size < maxPageBytes; k, v = c.Next() {
		r, err := parseStored(k, v)
		if err != nil {
			return nil, err
		}
		if r.GetRevision() > last {
			break
		}
		size += len(v)
		out = append(out, r)
	}
	return out, nil
}

// all lists what is live, sorted by kind and name.
func (st *state) all() []store.Live {
	out := make([]store.Live, 0, st.live.Len())
	for k, r := range st.live.All() {
		out = append(out, store.Live{Key: k, Revision: r.GetRevision()})
	}
	slices.SortFunc(out, func(a, b store.Live) int {
		return cmp.Or(cmp.Compare(a.Key.Kind, b.Key.Kind), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return out
}

// exportKeys visits the keys that were used up to a revision. One that is used anew meanwhile had expired.
func (s *Store) exportKeys(ctx context.Context, last int64, visit func(store.Item) error) error {
	for after := []byte(nil); ; {
		page, err := read(ctx, s, func(tx *bbolt.Tx) ([]store.Used, error) { return keysAfter(tx, after) })
		if err != nil {
			return err
		}
		for _, u := range page {
			after = []byte(u.Key)
			if u.First+u.Count-1 > last {
				continue
			}
			if err := visit(store.Item{Used: &u}); err != nil {
				return err
			}
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// keysAfter reads some keys above one, from the first if it is nil.
func keysAfter(tx *bbolt.Tx, after []byte) ([]store.Used, error) {
	var out []store.Used
	c := tx.Bucket(bucketKeys).Cursor()
	k, v := c.Seek(after)
	if bytes.Equal(k, after) && k != nil {
		k, v = c.Next()
	}
	for ; k != nil && len(out) < scanPage; k, v = c.Next() {
		p, err := unseal(bucketKeys, k, v)
		if err != nil {
			return nil, err
		}
		u, err := parseUsedKey(p)
		if err != nil {
			return nil, err
		}
		out = append(out, store.Used{Key: string(k), Time: u.time, First: u.first, Count: u.count, Digest: u.digest})
	}
	return out, nil
}
