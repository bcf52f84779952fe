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
	"github.com/crossfade-proxy/crossfade/pkg/discovery/tracker"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/store"
	"github.com/crossfade-proxy/crossfade/pkg/xds/translate"
)

// edit is one object's part of a change.
type edit struct {
	key    store.ObjectKey
	after  *crossfadev1.Document // nil deletes
	action string
	accept *acceptance // nil: of no endpoints
	along  bool        // it comes along with the edit that the caller named: the caller's expectation is not about it

	rolledBack bool   // the service is, afterwards; set by newDraft, but for a revert
	cause, by  string // of the service's split, afterwards; set by newDraft

	start *beginning // of a rollout that starts; nil: none does
}

// change is a change that is live, on its way to the fleet.
type change struct {
	edits  []*applied
	called time.Time
	o      Options
	fleets map[string]*following     // by name
	anew   []tracker.Key             // origins that are followed since it
	undone map[store.ObjectKey]int64 // revisions that undid its own

	mirrored bool // other mirrors run since it
}

// applied is an edit that is live.
type applied struct {
	key        store.ObjectKey
	action     string
	before     *crossfadev1.Document
	after      *crossfadev1.Document
	record     *crossfadev1.Revision // nil while a rollback is not recorded, or where nothing changed
	structural bool
	moved      bool     // endpoints may differ
	fleets     []string // that serve it, and those that did until now; of a rollback in one fleet, that one
	narrow     string   // the fleet of a rollback in one of several
	keptPins   bool
	wasBack    bool   // it was rolled back before
	overtaken  bool   // by a rollback, while it was written
	since      string // what holds by now, of a change that is told again; empty: what it made
	start      *beginning
}

// change makes edits durable and live, and waits for the fleet as the options say. plan is called with what is live, and again if
// something else was written in between.
func (c *Controller) change(ctx context.Context, o Options, plan func(live *intent) ([]edit, error)) (changes []*crossfadev1.Change, err error) {
	called := c.now()
	ctx, end := c.span(ctx, "change")
	defer func() { end(err) }()
	c.mu.RLock()
	began := c.live.rollbacks
	c.mu.RUnlock()
	if o.Key != "" {
		if done, replayed, err := c.replay(ctx, o, called); replayed || err != nil {
			return done, err
		}
	}
	if err := c.lockWrite(ctx); err != nil {
		return nil, err
	}
	ch, err := c.writeAndPublish(ctx, called, o, func(live *intent) ([]edit, error) { return notOvertaken(live, began, plan) })
	c.unlockWrite()
	if ch != nil && ch.mirrored { // not before: nobody waits for the disk of the experiments
		c.tellExperiments()
		c.endHaltedSoon()
	}
	c.beginRollouts(ch)
	if errors.Is(err, errReplayed) {
		done, _, err := c.replay(ctx, o, called)
		return done, err
	}
	if err != nil {
		return nil, err
	}
	return c.followNoted(ctx, ch)
}

// notOvertaken plans a change and refuses it if it would move traffic away from where a rollback sent it that came while the change waited.
func notOvertaken(live *intent, began int, plan func(*intent) ([]edit, error)) ([]edit, error) {
	edits, err := plan(live)
	for _, e := range edits {
		s := live.services.At(e.key.Name)
		if s != nil && e.after.GetService() != nil && s.rollbacks > began && raises(s.doc, e.after.GetService()) {
			return nil, &policy.Error{
				Kind: policy.Held, Code: "rolled_back", Field: "split", Value: e.key.Name,
				Message: "the service was rolled back while this change waited; nothing was changed", Next: "look at `shadowctl history " + e.key.Name + "`, then decide again",
			}
		}
	}
	return edits, err
}

// raises tells whether a change can bring requests to another origin than the primary, in all fleets or where one is rolled back.
func raises(before, after *crossfadev1.Service) bool {
	return policy.RaisesTraffic(before, after) || len(policy.RaisesWhereRolledBack(before, after)) > 0
}

// errReplayed: another request with the same idempotency key wrote first.
var errReplayed = errors.New("the idempotency key has been used")

func (c *Controller) lockWrite(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, lockTimeout)
	defer cancel()
	select {
	case c.write <- struct{}{}:
		return nil
	case <-ctx.Done():
		return &policy.Error{Kind: policy.Unavailable, Code: "store_busy", Message: "an earlier change is still being written; nothing was changed", Next: "try again; a rollback does not wait for it"}
	}
}

func (c *Controller) unlockWrite() { <-c.write }

// writeAndPublish is the part of a change that happens one at a time.
func (c *Controller) writeAndPublish(ctx context.Context, called time.Time, o Options, plan func(*intent) ([]edit, error)) (*change, error) {
	if err := c.recordRollbacks(); err != nil {
		return nil, err
	}
	if err := c.settleDoubt(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, storeError(ctx.Err())
	}
	d, err := newDraft(c.snapshot(), o, plan)
	if err != nil {
		return nil, err
	}
	if err := c.checkSources(d); err != nil {
		return nil, err
	}
	if err := c.checkMirrorRules(d); err != nil {
		return nil, err
	}
	if err := c.checkRollouts(d, o); err != nil {
		return nil, err
	}
	if !o.Force {
		if err := c.checkCapacity(d); err != nil {
			return nil, err
		}
	}
	if len(d.edits) > 0 {
		_, stored := c.span(ctx, "store")
		d.records, err = c.commit(called, o, d)
		if stored(err); err != nil {
			return nil, err
		}
	}
	ch := c.publishDraft(called, o, d)
	c.renewStamps(d.records)
	return ch, nil
}

// draft is a change that is checked but not written.
type draft struct {
	live       *intent // the snapshot that it was checked against
	edits      []edit
	unchanged  []edit            // asked for, and so already
	services   []*policy.Service // compiled, by position in edits; nil for a deletion or another kind
	fleets     []*policy.Fleet
	mirrors    []*policy.Mirror
	running    map[string][]*policy.Mirror     // afterwards, by service
	derived    map[string]*policy.Service      // services without an edit that a mirror starts or ends on
	rollbacks  map[string]int                  // of each service when it was drafted
	touched    map[string]bool                 // fleets whose structure changes
	structures map[string]*translate.Structure // of those
	expect     []int64
	records    []*crossfadev1.Revision
	stamp      string
}

// snapshot returns what is live. Planning, checking and building work on it, so that a rollback need not wait for them.
func (c *Controller) snapshot() *intent {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.live.clone()
}

// newDraft plans and checks a change against a snapshot, and builds the structures that it changes.
func newDraft(live *intent, o Options, plan func(*intent) ([]edit, error)) (*draft, error) {
	edits, err := plan(live)
	if err != nil {
		return nil, err
	}
	d := &draft{live: live, rollbacks: map[string]int{}, structures: map[string]*translate.Structure{}, stamp: newStamp()}
	for _, e := range edits {
		have := live.record(e.key).GetRevision()
		if o.Expect != 0 && o.Expect != have && !e.along {
			return nil, conflict(e.key, o.Expect, have)
		}
		if proto.Equal(live.document(e.key), e.after) && e.accept == nil && !live.claims(e.key, o) {
			d.unchanged = append(d.unchanged, e)
			continue
		}
		service := live.serviceOf(e.key)
		if m := e.after.GetMirror(); m != nil {
			service = m.GetService()
		}
		if s := live.services.At(service); s != nil {
			d.rollbacks[service] = s.rollbacks
			if e.key.Kind == kindService && e.action != ActionRevert {
				forced := e.action == ActionApply && e.after != nil && raises(s.doc, e.after.GetService()) // [service.held] lets others not pass
				e.rolledBack = s.rolledBack && !decides(e.action) && e.after != nil && !forced
			}
		}
		if e.key.Kind == kindService {
			e.cause, e.by = causeAfter(live.services.At(e.key.Name), e.after.GetService(), o, d.stamp)
		}
		d.edits = append(d.edits, e)
		d.expect = append(d.expect, have)
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	d.build()
	return d, nil
}

func conflict(key store.ObjectKey, expect, have int64) *policy.Error {
	return &policy.Error{
		Kind: policy.Conflict, Code: "revision_conflict", Field: "expectRevision", Value: fmt.Sprint(expect),
		Message: fmt.Sprintf("%s %s is at revision %d", strings.ToLower(key.Kind), key.Name, have),
		Next:    "look at `shadowctl history " + key.Name + "`, then try again with the revision that it shows",
	}
}

// commit writes edits to the store. It does not end with the caller's patience: the store would write all the same.
func (c *Controller) commit(called time.Time, o Options, d *draft) ([]*crossfadev1.Revision, error) {
	commit := store.Commit{
		Time: called, Who: o.Who, Verified: o.Verified, Reason: o.Reason, IdempotencyKey: o.Key, RequestDigest: o.Digest, Stamp: d.stamp,
	}
	for i, e := range d.edits {
		commit.Writes = append(commit.Writes, store.Write{Key: e.key, After: e.after, Expect: d.expect[i], Action: e.action, RolledBack: e.rolledBack, Cause: e.cause})
	}
	records, replayed, err := c.commitWithin(commit)
	switch {
	case err != nil:
		return nil, storeError(err)
	case replayed:
		return nil, errReplayed
	}
	return records, nil
}

// storeTimeout is how long a write may take before the change is refused.
const storeTimeout = 5 * time.Second

// lockTimeout is how long a change waits for those before it.
const lockTimeout = 2 * storeTimeout

func storeError(err error) error {
	switch {
	case errors.Is(err, store.ErrConflict):
		return &policy.Error{Kind: policy.Conflict, Code: "revision_conflict", Message: err.Error(), Next: "read what is live and try again"}
	case errors.Is(err, store.ErrKeyReused):
		return &policy.Error{Kind: policy.Invalid, Code: "idempotency_key_reused", Field: "idempotencyKey", Message: "the key belongs to another request of the last 24 hours", Next: "use a new key for a new request"}
	case errors.Is(err, store.ErrNotFound):
		return &policy.Error{Kind: policy.NotFound, Code: "not_found", Message: err.Error()}
	}
	next := "free the disk or repair the store; a rollback works all the same"
	if strings.Contains(err.Error(), "in doubt") { // see [store.ErrUnavailable]
		next += ". If the store wrote it after all, that is taken back as soon as it answers; if the server ends before, the next one has it: look at `shadowctl history` then"
	}
	return &policy.Error{Kind: policy.Unavailable, Code: "store_unavailable", Message: "the change could not be recorded, so it was not made: " + err.Error(), Next: next}
}

// check compiles the edits of a draft and holds them against everything that is live.
func (d *draft) check() error {
	d.services, d.fleets = make([]*policy.Service, len(d.edits)), make([]*policy.Fleet, len(d.edits))
	var all policy.Errors
	for i, e := range d.edits {
		var errs policy.Errors
		switch {
		case e.after.GetService() != nil:
			d.services[i], errs = policy.CompileService(e.after.GetService())
		case e.after.GetFleet() != nil:
			d.fleets[i], errs = policy.CompileFleet(e.after.GetFleet())
		}
		all = append(all, inDocument(errs, i)...)
	}
	if len(all) > 0 {
		return all
	}
	if errs := d.checkMirrors(); len(errs) > 0 {
		return errs
	}
	d.touched = d.live.structural(d)
	if len(d.touched) == 0 {
		return nil
	}
	return policy.CheckServices(d.live.with(d)).Err()
}

// structural returns the fleets whose structure a draft changes.
func (in *intent) structural(d *draft) map[string]bool {
	out := map[string]bool{}
	for i, e := range d.edits {
		if e.key.Kind == kindFleet {
			out[e.key.Name] = true
		}
		if e.key.Kind != kindService {
			continue
		}
		old := in.services.At(e.key.Name)
		if old != nil && sameStructure(old.doc, e.after.GetService()) {
			continue
		}
		for _, fleet := range in.fleetsOf(kindService, e.key.Name) {
			out[fleet] = true
		}
		if d.services[i] != nil {
			for _, fleet := range d.services[i].Fleets {
				out[fleet] = true
			}
		}
	}
	for _, s := range d.changedMirrors() {
		for _, fleet := range s.Fleets {
			out[fleet] = true
		}
	}
	return out
}

// changedMirrors are the services on which another mirror runs afterwards.
func (d *draft) changedMirrors() []*policy.Service {
	var out []*policy.Service
	for _, name := range slices.Sorted(maps.Keys(d.derived)) {
		out = append(out, d.derived[name])
	}
	for i, s := range d.services {
		if s == nil {
			continue
		}
		if old := d.live.services.At(d.edits[i].key.Name); old != nil && !sameRun(old.compiled.Mirror, s.Mirror) {
			out = append(out, s)
		}
	}
	return out
}

// sameRun says whether two mirrors are one run, or both none: what it asks does not change then.
func sameRun(a, b *policy.Mirror) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Run.ID == b.Run.ID
}

// build makes the structures that a draft changes. A rollback that comes while it is written changes no structure.
func (d *draft) build() {
	if len(d.touched) == 0 {
		return
	}
	after := d.live.with(d)
	for fleet := range d.touched {
		d.structures[fleet] = translate.Build(d.settings(fleet), after, translate.Options{Reuse: d.live.structures[fleet], Comparators: d.live.comparators})
	}
}

// with returns the compiled services as they will be.
func (in *intent) with(d *draft) []*policy.Service {
	replaced := map[string]bool{}
	var out []*policy.Service
	for i, e := range d.edits {
		if e.key.Kind == kindService {
			replaced[e.key.Name] = true
			if d.services[i] != nil {
				out = append(out, d.services[i])
			}
		}
	}
	for _, s := range in.of("") {
		switch derived := d.derived[s.compiled.Name]; {
		case replaced[s.compiled.Name]:
		case derived != nil:
			out = append(out, derived)
		default:
			out = append(out, s.compiled)
		}
	}
	return out
}

// settings are those that a fleet will have.
func (d *draft) settings(fleet string) *policy.Fleet {
	for i, e := range d.edits {
		if e.key == (store.ObjectKey{Kind: kindFleet, Name: fleet}) {
			if d.fleets[i] == nil {
				return policy.DefaultFleetSettings(fleet)
			}
			return d.fleets[i]
		}
	}
	if f, ok := d.live.fleets[fleet]; ok {
		return f.compiled
	}
	return policy.DefaultFleetSettings(fleet)
}
