package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/store"
)

// A store that does not answer in time leaves it open whether it wrote. The change was refused, so it must not come alive with the next
// restart, nor stand in the way of later ones: once the store answers again, what it wrote after all is taken back by a revision.

// commitWithin writes to the store and notes where that leaves a doubt. The write lock is held.
func (c *Controller) commitWithin(commit store.Commit) ([]*crossfadev1.Revision, bool, error) {
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	records, replayed, err := c.store.Commit(ctx, commit)
	if errors.Is(err, store.ErrUnavailable) && !c.doubt {
		c.doubt = true
		c.recording.Go(c.settle)
	}
	return records, replayed, err
}

// barrier returns when nothing that the store was given before is on its way any more. It is a note to a revision that there is not, which takes
// its turn and writes nothing: a disk may be so slow that whatever is written is in doubt.
func (c *Controller) barrier(ctx context.Context) error {
	if err := c.store.Annotate(ctx, 0, nil, nil); !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return nil
}

// landed returns the revisions of a rollback that reached the store although that did not answer in time, or none. Nothing else is recorded before
// a rollback is, so they are the last.
func (c *Controller) landed(commit store.Commit) ([]*crossfadev1.Revision, error) {
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	if err := c.barrier(ctx); err != nil {
		return nil, err
	}
	last, err := c.store.History(ctx, store.HistoryQuery{Limit: len(commit.Writes)})
	if err != nil || slices.ContainsFunc(last, func(r *crossfadev1.Revision) bool { return r.GetStamp() != commit.Stamp }) {
		return nil, err
	}
	slices.Reverse(last)
	return last, nil
}

// settleEvery is how often a store that does not answer is asked again.
const settleEvery = 250 * time.Millisecond

// settle resolves a doubt when the store answers again, without another change.
func (c *Controller) settle() {
	tick := time.NewTicker(settleEvery)
	defer tick.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-tick.C:
		}
		if c.lockWrite(c.ctx) != nil {
			continue
		}
		err := c.recordRollbacks()
		if err == nil {
			err = c.settleDoubt()
		}
		c.unlockWrite()
		if err == nil {
			return
		}
	}
}

// settleDoubt takes back what the store wrote of refused changes. The write lock is held.
func (c *Controller) settleDoubt() error {
	if !c.doubt {
		return nil
	}
	ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
	defer cancel()
	if err := c.barrier(ctx); err != nil {
		return storeError(err)
	}
	snapshot, err := c.store.Load(ctx)
	if err != nil {
		return storeError(err)
	}
	live := c.snapshot()
	writes, records := live.takeBack(snapshot)
	commit := store.Commit{Time: c.now(), Who: "crossfade", Verified: true, Stamp: newStamp(), Writes: writes, Reason: takenBack}
	if len(writes) > 0 {
		taken, _, err := c.store.Commit(ctx, commit)
		if err != nil {
			return storeError(err)
		}
		records = append(records, taken...)
	}
	c.mu.Lock()
	c.live.note(records)
	c.live.revision = max(c.live.revision, snapshot.Revision)
	c.stamps.add(commit.Stamp)
	c.mu.Unlock()
	for _, r := range records {
		c.events.revision(r)
	}
	c.doubt = false
	return nil
}

// takenBack is the reason of a revision that takes back what was refused.
const takenBack = "a change that was refused because the store did not answer reached it after all"

// takeBack returns what makes the store the same as what is live, which was recorded before, and the revisions that did so already: of a take-back
// that was in doubt itself.
func (in *intent) takeBack(stored *store.Snapshot) (out []store.Write, done []*crossfadev1.Revision) {
	there := map[store.ObjectKey]bool{}
	for _, o := range stored.Objects {
		there[o.Key] = true
		if in.record(o.Key).GetRevision() == o.Revision {
			continue
		}
		w := in.restore(o.Key, o.Revision)
		if r := o.Record; r.GetAction() == w.Action && r.GetRolledBack() == w.RolledBack && r.GetCause() == w.Cause && proto.Equal(o.Document, w.After) {
			done = append(done, r)
		} else {
			out = append(out, w)
		}
	}
	for _, key := range in.keys() {
		if !there[key] {
			out = append(out, in.restore(key, 0))
		}
	}
	return out, done
}

// restore writes what is live of an object, or that there is none.
func (in *intent) restore(key store.ObjectKey, expect int64) store.Write {
	w := store.Write{Key: key, After: in.document(key), Expect: expect, Action: ActionRevert}
	if s := in.services.At(key.Name); s != nil && key.Kind == kindService {
		w.RolledBack, w.Cause = s.rolledBack, s.cause
	}
	return w
}

// keys names every live object, sorted.
func (in *intent) keys() []store.ObjectKey {
	var out []store.ObjectKey
	for name := range in.services.Keys() {
		out = append(out, store.ObjectKey{Kind: kindService, Name: name})
	}
	for name := range in.fleets {
		out = append(out, store.ObjectKey{Kind: kindFleet, Name: name})
	}
	for name := range in.mirrors {
		out = append(out, store.ObjectKey{Kind: kindMirror, Name: name})
	}
	for name := range in.rollouts {
		out = append(out, store.ObjectKey{Kind: kindRollout, Name: name})
	}
	slices.SortFunc(out, func(a, b store.ObjectKey) int { return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name) })
	return out
}

// note makes revisions the last ones of live objects.
func (in *intent) note(records []*crossfadev1.Revision) {
	for _, r := range records {
		key := store.KeyOfRevision(r)
		if s := in.services.At(key.Name); s != nil && key.Kind == kindService {
			now := *s
			now.record = r
			in.services.Set(key.Name, &now)
		}
		if f := in.fleets[key.Name]; f != nil && key.Kind == kindFleet {
			now := *f
			now.record = r
			in.fleets[key.Name] = &now
		}
		if m := in.mirrors[key.Name]; m != nil && key.Kind == kindMirror {
			now := *m
			now.record = r
			in.mirrors[key.Name] = &now
		}
		if p := in.rollouts[key.Name]; p != nil && key.Kind == kindRollout {
			in.setRollout(key.Name, p.doc, r)
		}
		in.revision = max(in.revision, r.GetRevision())
	}
}
