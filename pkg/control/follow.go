package control

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds"
)

// ChangeError is an error that comes with what is known of the changes: they stand, or were reverted, as the error says.
type ChangeError struct {
	Err     error
	Changes []*crossfadev1.Change
}

// Error gives the sentence for people.
func (e *ChangeError) Error() string { return e.Err.Error() }

// Unwrap makes errors.As find the coded error.
func (e *ChangeError) Unwrap() error { return e.Err }

// close ends the following of a change.
func (ch *change) close() {
	for _, f := range ch.fleets {
		f.waiter.Close()
	}
}

// follow waits until the fleets have a change, as far as its options say, and describes what became of it.
func (c *Controller) follow(ctx context.Context, ch *change) ([]*crossfadev1.Change, error) {
	defer ch.close()
	traceChange(ctx, ch)
	defer c.tracePushes(ctx, ch)
	if ch.o.Wait == crossfadev1.Wait_WAIT_NONE {
		return c.describe(ch, nil), nil
	}
	timeout := ch.o.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	proofs := c.startProofs(ch)
	defer proofs.close()
	err := c.awaitAcks(ctx, ch, proofs)
	c.awaitEndpoints(ctx, ch)
	if err == nil && ch.o.Wait == crossfadev1.Wait_WAIT_PROVEN {
		err = proofs.await(ctx, ch)
	}
	changes := c.describe(ch, proofs)
	if err != nil {
		return nil, &ChangeError{Err: err, Changes: changes}
	}
	return changes, nil
}

// followNoted is follow whose outcome goes to the history.
func (c *Controller) followNoted(ctx context.Context, ch *change) ([]*crossfadev1.Change, error) {
	changes, err := c.follow(ctx, ch)
	if ch.o.Wait != crossfadev1.Wait_WAIT_NONE {
		c.annotate(changesOf(changes, err))
	}
	return changes, err
}

// changesOf are the changes of an answer, or those that its error comes with.
func changesOf(changes []*crossfadev1.Change, err error) []*crossfadev1.Change {
	if failed := (*ChangeError)(nil); errors.As(err, &failed) {
		return failed.Changes
	}
	return changes
}

// revert undoes a change that a proxy refused, by a revision of its own, and returns the refusal.
func (c *Controller) revert(ctx context.Context, ch *change, refusal xds.Refusal) error {
	refused := &policy.Error{
		Kind: policy.Refused, Code: "refused_by_proxy", Field: strings.Join(refusal.Resources, ", "), Value: refusal.Proxy,
		Message: fmt.Sprintf("the proxy refused %s %s: %s", refusal.Type, strings.Join(refusal.Resources, ", "), refusal.Message),
	}
	o := Options{Who: "crossfade", Verified: true, Reason: "refused by proxy " + refusal.Proxy + ": " + refusal.Message, Wait: crossfadev1.Wait_WAIT_NONE}
	undone, err := c.change(context.WithoutCancel(ctx), o, func(live *intent) ([]edit, error) { return ch.undoEdits(live), nil })
	if err == nil && len(undone) == 0 {
		refused.Next = "somebody changed it since, so it was not undone: `shadowctl history` shows what holds"
		return refused
	}
	if err != nil {
		refused.Next = "the change could not be undone (" + err.Error() + "): it stands; undo it with `shadowctl undo`"
		return refused
	}
	ch.undone = map[store.ObjectKey]int64{}
	for _, u := range undone {
		ch.undone[store.ObjectKey{Kind: u.GetKind(), Name: u.GetService()}] = u.GetRevision()
	}
	refused.Next = "the change was undone: the fleet has what it had before"
	return refused
}

// undoEdits restores what was before a change, where nobody changed it since.
func (ch *change) undoEdits(live *intent) []edit {
	var out []edit
	for _, e := range ch.edits {
		if e.action != "none" && live.record(e.key).GetRevision() == e.record.GetRevision() {
			out = append(out, edit{key: e.key, after: e.before, action: ActionRevert, rolledBack: e.wasBack})
		}
	}
	return out
}

// describe says what became of each object of a change.
func (c *Controller) describe(ch *change, p *proofs) []*crossfadev1.Change {
	out := make([]*crossfadev1.Change, 0, len(ch.edits))
	for _, e := range ch.edits {
		c.mu.RLock() // a rollback may be recorded at this moment
		record := e.record
		c.mu.RUnlock()
		a := &crossfadev1.Change{
			Service: e.key.Name, Kind: e.key.Kind, Action: e.action, Revision: record.GetRevision(), Recorded: record != nil,
			UndoneBy: ch.undone[e.key],
		}
		if s := e.service(); s != nil {
			a.Split = policy.Weights(policy.InFleet(s, e.narrow))
		}
		c.describeFleets(ch, e, p, a)
		a.Warnings = append(a.Warnings, stillBack(e)...)
		a.Warnings = append(a.Warnings, c.originWarnings(ch, e)...)
		a.Warnings = append(a.Warnings, c.mirrorWarnings(e)...)
		a.Warnings = append(a.Warnings, c.rolloutWarnings(ch, e)...)
		a.Warnings = append(a.Warnings, c.bootstrapWarnings(ch, e)...)
		if e.since != "" {
			a.Warnings = append(a.Warnings, e.since)
		}
		if e.overtaken {
			a.Warnings = append(a.Warnings, overtakenBy(e))
		}
		out = append(out, a)
	}
	return out
}

// overtakenBy says what became of a change that was being written when a rollback came.
func overtakenBy(e *applied) string {
	const holds = "a rollback came while this was written: it holds"
	was, is := e.before.GetService().GetPrimary(), e.service().GetPrimary()
	if was == is || was == "" || policy.Weights(e.service())[was] != int32(policy.Whole) {
		return holds
	}
	return fmt.Sprintf("%s, and everything is at %s, which was the primary then. The next rollback would go to %s: run `shadowctl service set-primary %s %s` unless you want that", holds, was, is, e.key.Name, was)
}

// mostLost is how many lost proxies a change names: where tasks are replaced all day there are thousands, and each revision keeps them.
const mostLost = 100

func fleetState(name string, f *following, called time.Time) *crossfadev1.FleetState {
	acks, pending, partial, lost := f.waiter.Acks(), f.waiter.Pending(), f.waiter.Partial(), f.fleet.Lost()
	for _, proxy := range lost { // it may have acknowledged before
		delete(acks, proxy)
	}
	partial = slices.DeleteFunc(partial, func(proxy string) bool { _, is := slices.BinarySearch(lost, proxy); return is })
	st := &crossfadev1.FleetState{
		Name: name, Connected: int32(len(acks) + len(pending) + len(partial)), Acked: int32(len(acks)), Pending: pending,
		Lost: lost[:min(len(lost), mostLost)], LostMore: int32(max(0, len(lost)-mostLost)),
	}
	for _, at := range acks {
		st.AckMs = max(st.AckMs, milliseconds(at.Sub(called)))
	}
	for _, r := range f.waiter.Refusals() {
		st.Refused = append(st.Refused, &crossfadev1.Refusal{Proxy: r.Proxy, Type: r.Type, Message: r.Message, Resources: r.Resources})
	}
	for _, proxy := range partial {
		if !slices.ContainsFunc(st.Refused, func(r *crossfadev1.Refusal) bool { return r.GetProxy() == proxy }) {
			st.Refused = append(st.Refused, earlierRefusal(f.fleet, proxy))
		}
	}
	return st
}

// earlierRefusal is what a proxy refused before a change of which it has everything.
func earlierRefusal(fleet *xds.Fleet, proxy string) *crossfadev1.Refusal {
	out := &crossfadev1.Refusal{Proxy: proxy}
	if p, ok := fleet.Proxy(proxy); ok && p.LastNack != nil {
		out.Type, out.Message, out.Resources = p.LastNack.Type, p.LastNack.Message, strings.Split(p.LastNack.Resource, ", ")
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func warnings(e *applied, st *crossfadev1.FleetState) []string {
	var out []string
	if st.Connected == 0 {
		out = append(out, fmt.Sprintf("no proxy of fleet %s is connected: nothing serves %s yet", st.Name, e.key.Name))
	}
	if len(st.Lost) > 0 {
		out = append(out, "not connected, and with what they last had: "+briefOf(st.Lost, len(st.Lost)+int(st.LostMore)))
	}
	return out
}

// overrideWarnings names the connected proxies where weights that were set by hand beat those of a service.
func (c *Controller) overrideWarnings(e *applied, fleet string, f *following) []string {
	if e.service() == nil {
		return nil
	}
	connected := slices.AppendSeq(f.waiter.Pending(), maps.Keys(f.waiter.Acks()))
	slices.Sort(connected)
	return overridesAt(e.key.Name, slices.Compact(connected), func(proxy string) bool { return c.overridden(fleet, proxy) })
}

func overridesAt(service string, proxies []string, overridden func(proxy string) bool) []string {
	var at []string
	for _, proxy := range proxies {
		if overridden(proxy) {
			at = append(at, proxy)
		}
	}
	if len(at) == 0 {
		return nil
	}
	follow := "does not follow"
	if len(at) > 1 {
		follow = "do not follow"
	}
	return []string{fmt.Sprintf("override: %s %s levers; `shadowctl break-glass %s` shows how to clear it", brief(at), follow, service)}
}

// annotate adds what the fleet confirmed to the history, one after the other: the store's queue is for changes. It is a note: its failure is only
// logged.
func (c *Controller) annotate(changes []*crossfadev1.Change) {
	type note struct {
		revision int64
		fleet    *crossfadev1.FleetState
		proof    *crossfadev1.Proof
	}
	var notes []note // of now: a rollback's answer is still being written
	for _, a := range changes {
		if a.GetRevision() != 0 && a.GetAction() != "none" { // else nothing was written, or not yet
			notes = append(notes, note{a.GetRevision(), a.GetFleet(), a.GetProof()})
		}
	}
	c.recording.Go(func() {
		for i, n := range notes {
			ctx, cancel := context.WithTimeout(c.ctx, storeTimeout)
			err := c.store.Annotate(ctx, n.revision, n.fleet, n.proof)
			cancel()
			if err != nil {
				c.log.Warn("what the fleet confirmed could not be added to the history", "revision", n.revision, "of", len(notes), "left", len(notes)-i-1, "error", err)
			}
			if errors.Is(err, store.ErrUnavailable) {
				return // so it is for the others
			}
		}
	})
}

// replay answers a request whose idempotency key was used before: with what it did then, and what the fleet has now. What was undone since was not
// done; where something else holds since, the answer says what.
func (c *Controller) replay(ctx context.Context, o Options, now time.Time) ([]*crossfadev1.Change, bool, error) {
	records, used, err := c.store.Replay(ctx, o.Key, o.Digest, now)
	if err != nil {
		return nil, true, storeError(err)
	}
	if !used {
		return nil, false, nil
	}
	if err := c.withoutDoubt(ctx); err != nil {
		return nil, true, err
	}
	ch := &change{called: now, o: o, fleets: map[string]*following{}}
	live := c.snapshot()
	for _, r := range records {
		key := store.KeyOfRevision(r)
		e := &applied{key: key, action: r.GetAction(), before: r.GetBefore(), after: r.GetAfter(), record: r, fleets: live.fleetsOf(key.Kind, key.Name)}
		if e.since, err = c.since(ctx, live, r); err != nil {
			return nil, true, err
		}
		if e.since != "" {
			e.after = live.document(key)
		}
		ch.edits = append(ch.edits, e)
	}
	c.followRest(ch)
	follow := c.followNoted
	if slices.ContainsFunc(ch.edits, func(e *applied) bool { return e.since != "" || e.record.GetFleet() != nil }) {
		follow = c.follow // what was noted of the change stays
	}
	changes, err := follow(ctx, ch)
	return changes, true, err
}

// withoutDoubt returns when nothing that the store has may be taken back yet.
func (c *Controller) withoutDoubt(ctx context.Context) error {
	if err := c.lockWrite(ctx); err != nil {
		return err
	}
	defer c.unlockWrite()
	if !c.doubt {
		return nil
	}
	err := c.recordRollbacks()
	if err == nil {
		err = c.settleDoubt()
	}
	if err != nil {
		c.log.Warn("a key was used again while the store does not answer", "error", err)
		return &policy.Error{Kind: policy.Unavailable, Code: "store_busy", Message: "what became of an earlier change is not known yet", Next: "try again with the same key"}
	}
	return nil
}

// since says what holds of an object since a revision, if it is something else, and refuses if that revision was undone.
func (c *Controller) since(ctx context.Context, live *intent, r *crossfadev1.Revision) (string, error) {
	key := store.KeyOfRevision(r)
	last := live.record(key)
	same := proto.Equal(live.document(key), r.GetAfter())
	if same && (last == nil || last.GetRevision() == r.GetRevision()) {
		return "", nil
	}
	next, err := c.next(ctx, r)
	if err != nil {
		return "", storeError(err)
	}
	if next.GetAction() == ActionRevert {
		e := &policy.Error{
			Kind: policy.Refused, Code: "undone", Field: "idempotencyKey", Value: key.Name,
			Message: fmt.Sprintf("revision %d, which this key made, was undone by revision %d: %s", r.GetRevision(), next.GetRevision(), next.GetReason()),
			Next:    "use a new key to try it anew",
		}
		if next.GetReason() == takenBack {
			e.Kind = policy.Unavailable
		}
		return "", e
	}
	switch {
	case same || key.Kind == kindMirror || key.Kind == kindRollout: // those go on by themselves
		return "", nil
	case last == nil:
		return "it was deleted since", nil
	case last.GetRevision() == r.GetRevision():
		return "it was rolled back since", nil
	}
	return fmt.Sprintf("it was changed since: revision %d (%s by %s) holds", last.GetRevision(), last.GetAction(), last.GetWho()), nil
}

// next returns the revision of the same object that followed another; nil for none.
func (c *Controller) next(ctx context.Context, r *crossfadev1.Revision) (next *crossfadev1.Revision, err error) {
	for later, err := range c.revisions(ctx, store.KeyOfRevision(r), store.DefaultHistoryLimit) {
		switch {
		case err != nil:
			return nil, err
		case later.GetRevision() <= r.GetRevision():
			return next, nil
		}
		next = later
	}
	return next, nil
}
