package bolt

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

const (
	// trimBatch is how many revisions one transaction removes: a change waits for one such transaction at most.
	trimBatch = 64
	// trimPause is between two of them, so that a trim leaves the disk to others.
	trimPause = 20 * time.Millisecond
	// scanPage is how many revisions one transaction reads.
	scanPage = 256
)

// Trim implements store.Store.
func (s *Store) Trim(ctx context.Context, r store.Retention, now time.Time) (removed int, err error) {
	if !s.trimming.TryLock() {
		return 0, nil // one is on its way
	}
	defer s.trimming.Unlock()
	list, err := s.trimmable(ctx, r, now)
	for len(list) > 0 && err == nil && s.exports.Load() == 0 {
		part := list[:min(trimBatch, len(list))]
		list = list[len(part):]
		n := 0
		out := s.submit(ctx, func(b *batch) outcome {
			n = b.trim(part)
			return outcome{}
		})
		if err = out.err; err == nil {
			removed += n
			err = pause(ctx, trimPause)
		}
	}
	return removed, err
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return done(ctx, "the trim was not finished")
	}
}

// trimmable returns the revisions that may go, oldest first. What is not live now is never live again, so the answer holds for ever.
func (s *Store) trimmable(ctx context.Context, r store.Retention, now time.Time) ([]int64, error) {
	st := s.state.Load()
	if none, err := s.nothingToTrim(ctx, r, now); none || err != nil {
		return nil, err
	}
	keeper := r.Keeper(now, func(k store.ObjectKey) bool { return st.live.At(k) != nil })
	var list []int64
	for before := st.revision + 1; ; {
		page, err := s.History(ctx, store.HistoryQuery{Before: before, Limit: scanPage})
		if err != nil {
			return nil, err
		}
		for _, rev := range page {
			if before = rev.GetRevision(); keeper.MayGo(rev) {
				list = append(list, before)
			}
		}
		if len(page) < scanPage {
			break
		}
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list, nil
}

// nothingToTrim says whether the oldest revision alone shows that all stay: mostly that is so.
func (s *Store) nothingToTrim(ctx context.Context, r store.Retention, now time.Time) (bool, error) {
	last := s.state.Load().revision
	return read(ctx, s, func(tx *bbolt.Tx) (bool, error) {
		k, v := tx.Bucket(bucketRevisions).Cursor().First()
		if k == nil {
			return true, nil
		}
		oldest, err := parseStored(k, v)
		if err != nil {
			return false, err
		}
		count := last - oldest.GetRevision() + 1 // at most
		young := now.Sub(oldest.GetTime().AsTime()) <= r.Keep && (r.Most <= 0 || count <= int64(r.Most))
		return young || count <= int64(r.Least), nil
	})
}

// trim removes revisions and returns how many there were.
func (b *batch) trim(list []int64) (removed int) {
	for _, n := range list {
		if b.err != nil || !kept(b.tx, n) {
			continue
		}
		r, err := readRevision(b.tx, n)
		if err != nil {
			b.fail(err)
			return removed
		}
		if b.live.At(store.KeyOfRevision(r)).GetRevision() == n {
			continue // never so, see trimmable
		}
		b.unlink(r)
		b.remove(bucketRevisions, revisionKey(n))
		removed++
	}
	if removed > 0 {
		b.markTrimmed()
	}
	return removed
}

// unlink takes a revision out of the index of its object.
func (b *batch) unlink(r *crossfadev1.Revision) {
	object := store.KeyOfRevision(r)
	key := objectKey(object, r.GetRevision())
	before := b.get(bucketObjects, key)
	if before == nil {
		b.fail(corrupt("revision %d is not in the index of %s %s", r.GetRevision(), object.Kind, object.Name))
		return
	}
	before = bytes.Clone(before)
	c := b.tx.Bucket(bucketObjects).Cursor()
	c.Seek(key)
	next, _ := c.Next()
	if bytes.HasPrefix(next, objectPrefix(object)) {
		b.put(bucketObjects, bytes.Clone(next), before)
	}
	b.remove(bucketObjects, key)
}

// markTrimmed says in the file that its numbers have gaps.
func (b *batch) markTrimmed() {
	p := b.get(bucketMeta, keyFormat)
	version, err := parseFormat(p)
	b.fail(err)
	if b.err == nil && version < schemaTrimmed {
		v, _ := seal(bucketMeta, keyFormat, formatPayload(schemaTrimmed))
		b.fail(b.tx.Bucket(bucketMeta).Put(keyFormat, v))
	}
}

// kept says whether a revision is there.
func kept(tx *bbolt.Tx, n int64) bool { return tx.Bucket(bucketRevisions).Get(revisionKey(n)) != nil }
