package bolt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// Load implements store.Store. It answers from memory, whatever the disk does.
func (s *Store) Load(ctx context.Context) (*store.Snapshot, error) {
	if err := s.usable(ctx); err != nil {
		return nil, err
	}
	st := s.state.Load()
	snap := &store.Snapshot{Revision: st.revision, Objects: make([]store.Object, 0, st.live.Len())}
	for k, r := range st.live.All() {
		snap.Objects = append(snap.Objects, store.Object{
			Key: k, Revision: r.GetRevision(), Document: proto.CloneOf(r.GetAfter()), Record: proto.CloneOf(r),
		})
	}
	slices.SortFunc(snap.Objects, func(a, b store.Object) int {
		return cmp.Or(cmp.Compare(a.Key.Kind, b.Key.Kind), cmp.Compare(a.Key.Name, b.Key.Name))
	})
	return snap, nil
}

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, c store.Commit) ([]*crossfadev1.Revision, bool, error) {
	if err := c.Validate(); err != nil {
		return nil, false, err
	}
	own := cloneCommit(c)
	out := s.submit(ctx, func(b *batch) outcome { return b.addCommit(own) })
	return cloneRevisions(out.revisions), out.replayed, out.err
}

// Replay implements store.Store. Where the write that used the key hangs or is in doubt, it is a store.ErrUnavailable.
func (s *Store) Replay(ctx context.Context, key string, digest []byte, now time.Time) ([]*crossfadev1.Revision, bool, error) {
	rs, err := read(ctx, s, func(tx *bbolt.Tx) ([]*crossfadev1.Revision, error) {
		rs, _, err := usedFor(tx, key, digest, now)
		return rs, err
	})
	if err != nil || len(rs) == 0 {
		return nil, false, err
	}
	if !s.soonDurable(ctx, rs[len(rs)-1].GetRevision()) {
		return nil, false, unavailable("the change with this idempotency key is on its way to the disk", nil)
	}
	return rs, true, nil
}

// soonDurable says whether a revision that can be read is durable: what a healthy disk has taken is so in a moment.
func (s *Store) soonDurable(ctx context.Context, revision int64) bool {
	ctx, cancel := context.WithTimeout(ctx, hungAfter)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s.state.Load().revision < revision {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// Annotate implements store.Store.
func (s *Store) Annotate(ctx context.Context, n int64, fleet *crossfadev1.FleetState, proof *crossfadev1.Proof) error {
	fleet, proof = proto.CloneOf(fleet), proto.CloneOf(proof)
	return s.submit(ctx, func(b *batch) outcome { return b.annotate(n, fleet, proof) }).err
}

// History implements store.Store.
func (s *Store) History(ctx context.Context, q store.HistoryQuery) ([]*crossfadev1.Revision, error) {
	newest := s.state.Load().revision
	if q.Before < 1 || q.Before > newest {
		q.Before = newest + 1
	}
	if q.Limit < 1 {
		q.Limit = store.DefaultHistoryLimit
	}
	return read(ctx, s, func(tx *bbolt.Tx) ([]*crossfadev1.Revision, error) {
		if q.Key == (store.ObjectKey{}) {
			return history(tx, q.Before, q.Limit)
		}
		return objectHistory(tx, q.Key, q.Before, q.Limit)
	})
}

// history returns revisions below a number, newest first.
func history(tx *bbolt.Tx, before int64, limit int) ([]*crossfadev1.Revision, error) {
	var out []*crossfadev1.Revision
	c := tx.Bucket(bucketRevisions).Cursor()
	move := c.Prev
	if k, _ := c.Seek(revisionKey(before)); k == nil {
		move = c.Last
	}
	for k, v := move(); k != nil && len(out) < limit; k, v = c.Prev() {
		r, err := parseStored(k, v)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

// objectHistory follows the index of one object, in which each entry names the one before.
func objectHistory(tx *bbolt.Tx, k store.ObjectKey, before int64, limit int) ([]*crossfadev1.Revision, error) {
	n, err := lastBelow(tx, k, before)
	var out []*crossfadev1.Revision
	for ; err == nil && n > 0 && len(out) < limit; n, err = previous(tx, k, n) {
		r, err := readRevision(tx, n)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, err
}

// lastOf returns the last revision of an object, live or not; 0: none.
func lastOf(tx *bbolt.Tx, k store.ObjectKey) (int64, error) {
	return lastBelow(tx, k, 1<<62)
}

// lastBelow returns the last revision of an object below a number; 0: none.
func lastBelow(tx *bbolt.Tx, k store.ObjectKey, before int64) (int64, error) {
	c := tx.Bucket(bucketObjects).Cursor()
	at, _ := c.Seek(objectKey(k, before))
	if at == nil {
		at, _ = c.Last()
	} else {
		at, _ = c.Prev()
	}
	prefix := objectPrefix(k)
	if !bytes.HasPrefix(at, prefix) {
		return 0, nil
	}
	return parseRevision(at[len(prefix):])
}

// previous returns the revision of an object before one of it; 0: none.
func previous(tx *bbolt.Tx, k store.ObjectKey, n int64) (int64, error) {
	key := objectKey(k, n)
	v := tx.Bucket(bucketObjects).Get(key)
	if v == nil {
		return 0, corrupt("revision %d is not in the index of %s %s", n, k.Kind, k.Name)
	}
	p, err := unseal(bucketObjects, key, v)
	if err != nil {
		return 0, err
	}
	before, err := parseRevision(p)
	if err == nil && before >= n {
		err = corrupt("the index of %s %s goes from revision %d to %d", k.Kind, k.Name, n, before)
	}
	return before, err
}

// Revision implements store.Store.
func (s *Store) Revision(ctx context.Context, n int64) (*crossfadev1.Revision, error) {
	if n < 1 || n > s.state.Load().revision {
		if err := s.usable(ctx); err != nil {
			return nil, err
		}
		return nil, notFound("revision %d", n)
	}
	return read(ctx, s, func(tx *bbolt.Tx) (*crossfadev1.Revision, error) {
		if !kept(tx, n) {
			return nil, notFound("revision %d", n)
		}
		return readRevision(tx, n)
	})
}

// usable gives an error where the store is closed or ctx is over.
func (s *Store) usable(ctx context.Context) error {
	if s.closed() {
		return errClosed
	}
	if ctx.Err() != nil {
		return done(ctx, "nothing was read")
	}
	return nil
}

// read runs fn in a read transaction, until ctx ends: on a hung disk it is left behind. fn must return copies.
func read[T any](ctx context.Context, s *Store, fn func(*bbolt.Tx) (T, error)) (T, error) {
	var none T
	if err := s.usable(ctx); err != nil {
		return none, err
	}
	select {
	case s.reads <- struct{}{}:
	case <-ctx.Done():
		return none, done(ctx, "too many reads wait for the disk")
	}
	type result struct {
		value T
		err   error
	}
	c := make(chan result, 1)
	go func() {
		defer func() { <-s.reads }()
		var r result
		r.err = s.view(func(tx *bbolt.Tx) (err error) {
			r.value, err = fn(tx)
			return err
		})
		c <- r
	}()
	select {
	case r := <-c:
		if r.err != nil {
			return none, r.err
		}
		return r.value, nil
	case <-ctx.Done():
		return none, done(ctx, "the read has not come back from the disk")
	}
}

// view runs fn in a read transaction. Damage is store.ErrCorrupt.
func (s *Store) view(fn func(*bbolt.Tx) error) error {
	s.draining.RLock()
	defer s.draining.RUnlock()
	tx, err := s.begin(false)
	if err != nil {
		return err
	}
	err = guard(func() error { return fn(tx) })
	if e := s.rollback(tx); err == nil {
		err = e
	}
	return err
}

// cloneCommit makes a commit independent of its caller.
func cloneCommit(c store.Commit) *store.Commit {
	c.Writes = slices.Clone(c.Writes)
	for i := range c.Writes {
		c.Writes[i].After = proto.CloneOf(c.Writes[i].After)
	}
	c.RequestDigest = bytes.Clone(c.RequestDigest)
	return &c
}

func cloneRevisions(rs []*crossfadev1.Revision) []*crossfadev1.Revision {
	if rs == nil {
		return nil
	}
	out := make([]*crossfadev1.Revision, len(rs))
	for i, r := range rs {
		out[i] = proto.CloneOf(r)
	}
	return out
}

func notFound(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), store.ErrNotFound)
}
