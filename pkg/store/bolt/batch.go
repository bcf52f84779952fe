package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/internal/cow"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// batch is a transaction that is being filled, with the state that it leads to.
type batch struct {
	tx      *bbolt.Tx
	head    head
	live    cow.Map[store.ObjectKey, *crossfadev1.Revision]
	changed bool
	commits int       // with an idempotency key
	now     time.Time // of the last commit
	err     error     // the first failure of bbolt or damage; the transaction must not be committed
}

func newBatch(tx *bbolt.Tx, st *state, h head) *batch {
	return &batch{tx: tx, head: h, live: st.live}
}

// setLive changes what is live; nil removes it.
func (b *batch) setLive(k store.ObjectKey, r *crossfadev1.Revision) {
	if r == nil {
		b.live.Delete(k)
		return
	}
	b.live.Set(k, r)
}

// get returns the payload at a key, nil if there is none or after a failure.
func (b *batch) get(bucket, key []byte) []byte {
	v := b.tx.Bucket(bucket).Get(key)
	if v == nil || b.err != nil {
		return nil
	}
	p, err := unseal(bucket, key, v)
	b.fail(err)
	return p
}

// put writes a payload and keeps number and sum of the entries.
func (b *batch) put(bucket, key, payload []byte) {
	b.forget(bucket, key)
	v, sum := seal(bucket, key, payload)
	b.head.entries++
	b.head.sum += sum
	b.changed = true
	b.fail(b.tx.Bucket(bucket).Put(key, v))
}

// remove deletes a key, if it is there.
func (b *batch) remove(bucket, key []byte) {
	if b.forget(bucket, key) {
		b.changed = true
		b.fail(b.tx.Bucket(bucket).Delete(key))
	}
}

// forget takes the entry at a key out of number and sum.
func (b *batch) forget(bucket, key []byte) bool {
	old := b.tx.Bucket(bucket).Get(key)
	if len(old) < sumSize {
		return false
	}
	b.head.entries--
	b.head.sum -= binary.BigEndian.Uint64(old)
	return true
}

func (b *batch) fail(err error) {
	if b.err == nil {
		b.err = err
	}
}

// finish removes expired keys and writes the head.
func (b *batch) finish() error {
	if !b.changed || b.err != nil {
		return b.err
	}
	b.prune()
	v, _ := seal(bucketMeta, keyHead, b.head.payload())
	b.fail(b.tx.Bucket(bucketMeta).Put(keyHead, v))
	return b.err
}

// prune removes expired idempotency keys, oldest first: two for each that was added, so that they never pile up, and a few more.
func (b *batch) prune() {
	if b.now.IsZero() {
		return
	}
	var expired [][]byte
	c := b.tx.Bucket(bucketExpiry).Cursor()
	for k, _ := c.First(); k != nil && len(expired) < 2*b.commits+8; k, _ = c.Next() {
		t, _, err := parseExpiryKey(k)
		if err != nil {
			b.fail(err)
			return
		}
		if !(usedKey{time: t}).expiredAt(b.now) {
			break
		}
		expired = append(expired, bytes.Clone(k))
	}
	for _, k := range expired {
		_, key, _ := parseExpiryKey(k) // parsed above
		b.remove(bucketExpiry, k)
		b.remove(bucketKeys, key)
	}
}

// addCommit applies a valid commit.
func (b *batch) addCommit(c *store.Commit) outcome {
	if out, used := b.replay(c); used {
		return out
	}
	if err := b.compare(c); err != nil {
		return outcome{err: err}
	}
	first := b.head.revision + 1
	revisions := make([]*crossfadev1.Revision, len(c.Writes))
	for i := range c.Writes {
		revisions[i] = b.addWrite(c, &c.Writes[i])
	}
	if c.IdempotencyKey != "" {
		b.keep(c, first)
	}
	b.now = c.Time
	return outcome{revisions: revisions}
}

// compare checks every write of a commit before any is done.
func (b *batch) compare(c *store.Commit) error {
	for i := range c.Writes {
		w := &c.Writes[i]
		have := b.live.At(w.Key).GetRevision()
		switch {
		case w.Expect == store.AnyRevision && w.After == nil && have == 0:
			return notFound("%s %s", w.Key.Kind, w.Key.Name)
		case w.Expect != store.AnyRevision && w.Expect != have:
			return &store.ConflictError{Key: w.Key, Expect: w.Expect, Have: have}
		}
	}
	return nil
}

// addWrite makes one revision.
func (b *batch) addWrite(c *store.Commit, w *store.Write) *crossfadev1.Revision {
	b.head.revision++
	before := b.live.At(w.Key)
	r := &crossfadev1.Revision{
		Revision: b.head.revision,
		Time:     timestamppb.New(c.Time),
		Who:      c.Who,
		Verified: c.Verified,
		Action:   w.Action,
		Kind:     w.Key.Kind,
		Service:  w.Key.Name,
		Reason:   c.Reason,
		Stamp:    c.Stamp,
		Before:   before.GetAfter(),
		After:    w.After,

		RolledBack: w.RolledBack,
		Cause:      w.Cause,
	}
	b.putRevision(r)
	last, err := lastOf(b.tx, w.Key)
	b.fail(err)
	b.put(bucketObjects, objectKey(w.Key, r.Revision), revisionKey(last))
	if w.After == nil {
		b.remove(bucketLive, liveKey(w.Key))
		b.setLive(w.Key, nil)
	} else {
		b.put(bucketLive, liveKey(w.Key), revisionKey(r.Revision))
		b.setLive(w.Key, r)
	}
	return r
}

// putRevision stores a revision.
func (b *batch) putRevision(r *crossfadev1.Revision) {
	p, err := proto.MarshalOptions{Deterministic: true}.Marshal(r)
	b.fail(err)
	b.put(bucketRevisions, revisionKey(r.GetRevision()), p)
}

// replay answers a commit whose idempotency key is in use; used is false where it is not.
func (b *batch) replay(c *store.Commit) (out outcome, used bool) {
	if b.err != nil {
		return out, false
	}
	revisions, used, err := usedFor(b.tx, c.IdempotencyKey, c.RequestDigest, c.Time)
	if err != nil && !errors.Is(err, store.ErrKeyReused) {
		b.fail(err)
	}
	return outcome{revisions: revisions, replayed: used && err == nil, err: err}, used || err != nil
}

// usedFor returns the revisions that an idempotency key wrote for the same request; used is false where the key is free.
func usedFor(tx *bbolt.Tx, key string, digest []byte, now time.Time) (revisions []*crossfadev1.Revision, used bool, err error) {
	if key == "" {
		return nil, false, nil
	}
	v := tx.Bucket(bucketKeys).Get([]byte(key))
	if v == nil {
		return nil, false, nil
	}
	p, err := unseal(bucketKeys, []byte(key), v)
	if err != nil {
		return nil, false, err
	}
	u, err := parseUsedKey(p)
	if err != nil || u.expiredAt(now) {
		return nil, false, err
	}
	if !bytes.Equal(u.digest, digest) {
		return nil, true, store.ErrKeyReused
	}
	for n := u.first; n < u.first+u.count; n++ {
		if !kept(tx, n) { // trimmed, by a clock that was ahead: the key had expired then
			return nil, false, nil
		}
		r, err := readRevision(tx, n)
		if err != nil {
			return nil, true, err
		}
		revisions = append(revisions, r)
	}
	return revisions, true, nil
}

// keep remembers the idempotency key of a commit. One that has expired is replaced.
func (b *batch) keep(c *store.Commit, first int64) {
	key := []byte(c.IdempotencyKey)
	if p := b.get(bucketKeys, key); p != nil {
		old, err := parseUsedKey(p)
		b.fail(err)
		b.remove(bucketExpiry, expiryKey(old.time, key))
	}
	u := usedKey{time: c.Time, first: first, count: int64(len(c.Writes)), digest: c.RequestDigest}
	b.put(bucketKeys, key, u.payload())
	b.put(bucketExpiry, expiryKey(c.Time, key), nil)
	b.commits++
}

// annotate adds what the fleet confirmed to a revision.
func (b *batch) annotate(n int64, fleet *crossfadev1.FleetState, proof *crossfadev1.Proof) outcome {
	if n < 1 || n > b.head.revision || !kept(b.tx, n) {
		return outcome{err: notFound("revision %d", n)}
	}
	r, err := readRevision(b.tx, n)
	if err != nil {
		b.fail(err)
		return outcome{err: err}
	}
	if fleet != nil {
		r.Fleet = fleet
	}
	if proof != nil {
		r.Proof = proof
	}
	b.putRevision(r)
	if key := store.KeyOfRevision(r); b.live.At(key).GetRevision() == n {
		b.setLive(key, r)
	}
	return outcome{}
}
