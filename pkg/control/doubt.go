package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

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
	// A note that adds nothing: when the store takes it, nothing that was sent before is on its way any more.
	if err := c.store.Annotate(ctx, c.Revision(), nil, nil); err != nil && !errors.Is(err, store.ErrNotFound) {
		return storeError(err)
	}
	snapshot, err := c.store.Load(ctx)
	if err != nil {
		return storeError(err)
	}
	live := c.snapshot()
	commit := store.Commit{
		Time: c.now(), Who: "crossfade", Verified: true, Stamp: newStamp(), Writes: live.takeBack(snapshot),
		Reason: "a change that was refused because the store did not answer reached it after all",
	}
	var records []*crossfadev1.Revision
	if len(commit.Writes) > 0 {
		if records, _, err = c.store.Commit(ctx, commit); err != nil {
			return storeError(err)
		}
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

// takeBack returns what makes the store the same as what is live, which was recorded before.
func (in *intent) takeBack(stored *store.Snapshot) []store.Write {
	var out []store.Write
	there := map[store.ObjectKey]bool{}
	for _, o := range stored.Objects {
		there[o.Key] = true
		if in.record(o.Key).GetRevision() != o.Revision {
			out = append(out, in.restore(o.Key, o.Revision))
		}
	}
	for _, key := range in.keys() {
		if !there[key] {
			out = append(out, in.restore(key, 0))
		}
	}
	return out
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
