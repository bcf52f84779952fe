package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/store/journal"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// RollbackTarget says what goes back to its primary.
type RollbackTarget struct {
	Service  string // empty with All
	All      bool
	KeepPins bool
	Fleet    string // only there; empty: in every fleet

	primaries map[string]string // of services that have another one since it was asked for
}

// unrecorded is a rollback that is live and not in the store yet.
type unrecorded struct {
	edits    []*applied
	called   time.Time
	o        Options
	stamp    string
	after    int64         // what was recorded before it
	doubt    bool          // the store may have written it; guarded by the controller's write
	recorded chan struct{} // closed when it is in the store
}

// done says whether the store has it.
func (r *unrecorded) done() bool {
	select {
	case <-r.recorded:
		return true
	default:
		return false
	}
}

// Rollback sends services to their primaries: live and published first, then recorded, whatever else is in progress.
func (c *Controller) Rollback(ctx context.Context, t RollbackTarget, o Options) (changes []*crossfadev1.Change, err error) {
	called := c.now()
	ctx, end := c.span(ctx, "rollback")
	defer func() { end(err) }()
	if o.Wait == crossfadev1.Wait_WAIT_UNSPECIFIED {
		o.Wait = crossfadev1.Wait_WAIT_PROVEN
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	ch, r, err := c.rollBackLive(called, t, o, newStamp())
	if err != nil {
		return nil, err
	}
	c.writeDown(ctx, r, t)
	c.endHaltedSoon()
	changes, err = c.follow(ctx, ch)
	select {
	case <-r.recorded:
	case <-time.After(recordGrace):
	case <-ctx.Done():
	}
	c.markRecorded(changesOf(changes, err), r)
	c.annotate(changesOf(changes, err))
	return changes, err
}

// rollBackBeside is a rollback that returns when it is live. What becomes of it goes to the history.
func (c *Controller) rollBackBeside(t RollbackTarget, o Options) error {
	ctx, end := c.span(c.ctx, "rollback")
	ch, r, err := c.rollBackLive(c.now(), t, o, newStamp())
	if err != nil {
		end(err)
		return err
	}
	c.writeDown(ctx, r, t)
	c.endHaltedSoon()
	c.recording.Go(func() {
		changes, err := c.follow(ctx, ch)
		end(err)
		select {
		case <-r.recorded:
		case <-c.ctx.Done():
		}
		c.markRecorded(changesOf(changes, err), r)
		c.annotate(changesOf(changes, err))
	})
	return nil
}

// writeDown brings a rollback that is live to the journal and to the store, beside it.
func (c *Controller) writeDown(ctx context.Context, r *unrecorded, t RollbackTarget) {
	_, stored := c.span(ctx, "store")
	c.recording.Go(func() {
		c.journalRollback(r, t)
		c.record()
		stored(nil)
	})
}

// recordGrace is how much longer than the fleet an answer waits for the store.
const recordGrace = 500 * time.Millisecond

func (t RollbackTarget) check() error {
	switch {
	case t.Service == "" && !t.All:
		return &policy.Error{Kind: policy.Invalid, Code: "required", Field: "service", Message: "name a service, or ask for all"}
	case t.Service != "" && t.All:
		return &policy.Error{Kind: policy.Invalid, Code: "exclusive", Field: "all", Message: "name a service or ask for all, not both"}
	}
	return nil
}

// rollBackLive changes what is live and publishes it. It waits for no disk.
func (c *Controller) rollBackLive(called time.Time, t RollbackTarget, o Options, stamp string) (*change, *unrecorded, error) {
	c.order.Lock()
	defer c.order.Unlock()
	r := &unrecorded{called: called, o: o, stamp: stamp, recorded: make(chan struct{})}
	updates := map[string]*xds.Update{}
	c.mu.Lock()
	targets, err := c.live.targets(t)
	if err != nil {
		c.mu.Unlock()
		return nil, nil, err
	}
	for _, s := range targets {
		r.edits = append(r.edits, c.live.rollBack(s, t, r, updates))
	}
	r.after = c.live.revision
	c.live.stamp = r.stamp
	c.stamps.add(r.stamp)
	c.unrecorded = append(c.unrecorded, r)
	revision := c.live.revision + 1
	c.mu.Unlock()
	ch := &change{edits: r.edits, called: called, o: o, fleets: map[string]*following{}}
	for name, u := range updates {
		u.Revision, u.Stamp, u.Decides, u.Rollback = revision, r.stamp, slices.Sorted(maps.Keys(u.Levers)), true
		ch.fleets[name] = c.send(name, *u)
	}
	for _, e := range r.edits {
		c.serviceChanged(e.key.Name)
	}
	return ch, r, nil
}

func (in *intent) targets(t RollbackTarget) ([]*service, error) {
	if t.All {
		return in.of(t.Fleet), nil
	}
	s, ok := in.services.Get(t.Service)
	switch {
	case !ok:
		return nil, notFound("service", t.Service)
	case t.Fleet != "" && !slices.Contains(s.compiled.Fleets, t.Fleet):
		return nil, &policy.Error{Kind: policy.Invalid, Code: "other_fleet", Field: "fleet", Value: t.Fleet, Message: "service " + t.Service + " is served by fleet " + brief(s.compiled.Fleets)}
	}
	return []*service{s}, nil
}

// rollBack replaces a live service by itself rolled back, and adds that to the updates of its fleets.
func (in *intent) rollBack(old *service, t RollbackTarget, r *unrecorded, updates map[string]*xds.Update) *applied {
	a := &applied{
		key: store.ObjectKey{Kind: kindService, Name: old.compiled.Name}, action: ActionRollback, before: serviceDocument(old.doc),
		fleets: old.compiled.Fleets, keptPins: t.KeepPins, wasBack: old.rolledBack,
	}
	home := cmp.Or(t.primaries[old.compiled.Name], old.compiled.Primary)
	if t.Fleet != "" && len(a.fleets) > 1 && home == old.compiled.Primary {
		a.fleets, a.narrow = []string{t.Fleet}, t.Fleet
	}
	s := old.rolled(a.narrow, home, t.KeepPins)
	in.rollbacks++
	s.roll(a.narrow, in.rollbacks, t.KeepPins)
	s.cause, s.by = cmp.Or(r.o.Cause, causeRollback+r.stamp), r.o.Who
	in.services.Set(a.key.Name, s)
	a.after = serviceDocument(s.doc)
	for _, fleet := range a.fleets {
		updateFor(updates, fleet).Levers[a.key.Name] = translate.Levers(s.compiled.In(fleet))
	}
	return a
}

// record brings rollbacks to the store, for as long as it takes, and then removes them from the journal.
func (c *Controller) record() {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := c.lockWrite(c.ctx)
		if err == nil {
			err = c.recordRollbacks()
			c.unlockWrite()
		}
		if err == nil {
			break
		}
		c.log.Error("a rollback is live but not recorded; trying again", "error", err)
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
	c.tidy()
}

// tidy removes from the journal what the store has, for as long as it takes: an entry that stays for long would be done again by a later start.
// One does it at a time, and again for those who came meanwhile.
func (c *Controller) tidy() {
	if c.journal == nil || c.untidy.Add(1) > 1 {
		return
	}
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Minute) {
		n := c.untidy.Load()
		err := c.journal.DoneWhere(c.ctx, c.isRecorded)
		if err == nil && c.untidy.CompareAndSwap(n, 0) {
			return
		}
		if err != nil {
			c.log.Error("a recorded rollback stays in the journal; trying again", "error", err)
		}
		select {
		case <-c.ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// isRecorded says of an entry of the journal that there is nothing to record of it any more. All that are to be recorded are live.
func (c *Controller) isRecorded(entry []byte) bool {
	var old crossfadev1.Revision
	if proto.Unmarshal(entry, &old) != nil {
		return false
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return !slices.ContainsFunc(c.unrecorded, func(r *unrecorded) bool { return r.stamp == old.GetStamp() })
}

// journalTimeout bounds the write to the journal.
const journalTimeout = 2 * time.Second

func (c *Controller) journalRollback(r *unrecorded, t RollbackTarget) {
	if c.journal == nil {
		return
	}
	entry := &crossfadev1.Revision{
		Time: timestamppb.New(r.called), Who: r.o.Who, Verified: r.o.Verified, Action: ActionRollback, Service: t.Service, Reason: r.o.Reason, Stamp: r.stamp, Cause: r.o.Cause,
		Revision: r.after,
	}
	if t.KeepPins {
		entry.Kind = keepPinsMark
	}
	if t.Fleet != "" {
		entry.Fleet = &crossfadev1.FleetState{Name: t.Fleet}
	}
	data, err := proto.Marshal(entry)
	if err == nil {
		ctx, cancel := context.WithTimeout(c.ctx, journalTimeout)
		defer cancel()
		_, err = c.journal.Append(ctx, data)
	}
	if err != nil {
		c.log.Error("a rollback could not be written to the journal", "error", err)
	}
}

// keepPinsMark is the kind of a journal entry whose rollback keeps pins.
const keepPinsMark = "keep-pins"

// recordRollbacks writes every rollback that is live and not in the store, in order. The write lock is held: no other change can
// come before them.
func (c *Controller) recordRollbacks() error {
	for {
		c.mu.RLock()
		if len(c.unrecorded) == 0 {
			c.mu.RUnlock()
			return nil
		}
		r := c.unrecorded[0]
		commit := c.rollbackCommit(r)
		c.mu.RUnlock()
		var records []*crossfadev1.Revision
		if len(commit.Writes) > 0 {
			var err error
			if records, err = c.commitRollback(r, commit); err != nil {
				return storeError(err)
			}
		}
		c.recorded(r, records)
		c.renewStamps(records)
	}
}

// commitRollback writes a rollback. It is live already, and its stamp is at the proxies, so a key that was used before does not keep it out of
// the store: it is written without the key.
func (c *Controller) commitRollback(r *unrecorded, commit store.Commit) ([]*crossfadev1.Revision, error) {
	if r.doubt {
		if records, err := c.landed(commit); err != nil || records != nil {
			return records, err
		}
	}
	records, replayed, err := c.commitWithin(commit)
	if errors.Is(err, store.ErrKeyReused) || replayed && records[0].GetStamp() != commit.Stamp {
		commit.IdempotencyKey, commit.RequestDigest = "", nil
		records, _, err = c.commitWithin(commit)
	}
	r.doubt = errors.Is(err, store.ErrUnavailable)
	return records, err
}

// rollbackCommit writes the services of a rollback as they are live now: nothing deliberate can have come after it.
func (c *Controller) rollbackCommit(r *unrecorded) store.Commit {
	commit := store.Commit{
		Time: r.called, Who: r.o.Who, Verified: r.o.Verified, Reason: r.o.Reason, IdempotencyKey: r.o.Key, RequestDigest: r.o.Digest, Stamp: r.stamp,
	}
	for _, e := range r.edits {
		if s := c.live.services.At(e.key.Name); s != nil {
			commit.Writes = append(commit.Writes, store.Write{
				Key: e.key, After: serviceDocument(s.doc), Expect: store.AnyRevision, Action: ActionRollback, RolledBack: s.rolledBack, Cause: s.cause,
			})
		}
	}
	return commit
}

func (c *Controller) recorded(r *unrecorded, records []*crossfadev1.Revision) {
	c.mu.Lock()
	c.live.note(records)
	for _, record := range records {
		c.made.note(record)
		for _, e := range r.edits {
			if e.key.Name == record.GetService() {
				e.record = record
			}
		}
	}
	c.unrecorded = c.unrecorded[1:]
	c.mu.Unlock()
	close(r.recorded)
	for _, record := range records {
		c.events.revision(record)
	}
}

// markRecorded writes into the answers what became of the record.
func (c *Controller) markRecorded(changes []*crossfadev1.Change, r *unrecorded) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, change := range changes {
		for _, e := range r.edits {
			if e.key.Name != change.GetService() {
				continue
			}
			change.Recorded, change.Revision = e.record != nil || r.done(), e.record.GetRevision()
			switch {
			case e.record == nil && r.done():
				change.Warnings = append(change.Warnings, "the service was deleted at the same time: there is nothing to record")
			case e.record == nil:
				change.Warnings = append(change.Warnings, "the rollback is live, but not recorded yet: the store does not take it. It will be recorded as soon as it does")
			}
		}
	}
}

// replayJournal makes rollbacks live that a former process could not record.
func (c *Controller) replayJournal(ctx context.Context) error {
	if c.journal == nil {
		return nil
	}
	if n := c.journal.Damaged(); n > 0 {
		c.log.Warn("the rollback journal has entries that are not whole: if a rollback was answered with \"not recorded\", it may be lost; look at the splits, and roll back again", "entries", n)
	}
	pending := c.journal.Pending()
	if len(pending) > 0 {
		defer c.recording.Go(c.record) // not before: it removes what is not to be recorded any more
	}
	for _, entry := range pending {
		var old crossfadev1.Revision
		if err := proto.Unmarshal(entry.Data, &old); err != nil {
			return fmt.Errorf("read the rollback journal: %w", err)
		}
		if err := c.replayEntry(ctx, entry.ID, &old); err != nil {
			return err
		}
	}
	return nil
}

func (c *Controller) replayEntry(ctx context.Context, id journal.ID, old *crossfadev1.Revision) error {
	if c.KnownStamp("", old.GetStamp()) {
		return c.journal.Done(ctx, id)
	}
	// Before a rollback nothing is recorded after it but earlier ones and a change that was being written: if so much was, it is in a part of the history
	// that was not read.
	if after := old.GetRevision(); after > 0 && c.live.revision-after > stampHistory {
		c.log.Info("a rollback that was recorded long ago was still in the journal", "service", old.GetService(), "all", old.GetService() == "")
		return c.journal.Done(ctx, id)
	}
	primaries, err := c.primariesSince(ctx, old.GetRevision())
	if err != nil {
		return err
	}
	t := RollbackTarget{Service: old.GetService(), All: old.GetService() == "", KeepPins: old.GetKind() == keepPinsMark, Fleet: old.GetFleet().GetName(), primaries: primaries}
	o := Options{Who: old.GetWho(), Verified: old.GetVerified(), Reason: old.GetReason(), Cause: old.GetCause()}
	ch, _, err := c.rollBackLive(old.GetTime().AsTime(), t, o, old.GetStamp())
	if err != nil {
		c.log.Warn("a rollback in the journal no longer applies", "service", t.Service, "error", err)
		return c.journal.Done(ctx, id)
	}
	ch.close()
	c.log.Info("a rollback that was not recorded before the restart is live again", "service", t.Service, "all", t.All)
	return nil
}

// primariesSince returns the primaries at a revision of services that have had another one since: by the one change that may be recorded after a rollback
// and before it, as it was being written then.
func (c *Controller) primariesSince(ctx context.Context, revision int64) (map[string]string, error) {
	out := map[string]string{}
	if revision == 0 {
		return out, nil // an older version did not say it
	}
	for r, err := range c.revisions(ctx, store.ObjectKey{}, 100) {
		switch {
		case err != nil:
			return nil, fmt.Errorf("read the history: %w", err)
		case r.GetRevision() <= revision:
			return out, nil
		}
		if was, is := r.GetBefore().GetService().GetPrimary(), r.GetAfter().GetService().GetPrimary(); was != "" && is != "" && was != is {
			out[r.GetService()] = was
		}
	}
	return out, nil
}
