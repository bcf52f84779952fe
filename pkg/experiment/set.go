package experiment

import (
	"crypto/rand"
	"maps"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// keyBytes is the length of the key of a run.
const keyBytes = 32

// soon is how old a run may be of which nothing is kept, so that nothing can have been lost.
const soon = 10 * time.Second

// Set says which experiments there are, running and ended: all of them. It is called at start and after each change. What is kept of those that
// are not there any more is removed. It calls nobody back.
func (d *Desk) Set(all []Mirror) {
	d.setting.Lock()
	defer d.setting.Unlock()
	now := d.c.Now()
	all = slices.Clone(all)
	fresh := map[string]*run{}
	for i, m := range all {
		if m.Policy == nil {
			all[i].Policy = unresolved(m.Doc)
		}
		if !d.knows(m.Doc) {
			fresh[m.Doc.GetName()] = d.newRun(all[i], d.loaded, now)
		}
	}
	d.loaded = true
	if d.replace(all, fresh, now) {
		d.keeper.sweep(d.ids())
	}
}

// unresolved gives a document its meaning whose service is gone. Documents were checked before they came here.
func unresolved(doc *crossfadev1.Mirror) *policy.Mirror {
	if m, errs := policy.CompileMirror(doc); len(errs) == 0 {
		return m
	}
	return &policy.Mirror{Name: doc.GetName(), Service: doc.GetService(), Control: doc.GetControl(), Candidate: doc.GetCandidate()}
}

func (d *Desk) knows(doc *crossfadev1.Mirror) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.runs[doc.GetName()]
	return r != nil && r.id == doc.GetRun().GetId()
}

// newRun makes a run, with what is kept of it. Of one that is new there can be nothing, whatever the disk says.
func (d *Desk) newRun(m Mirror, isNew bool, now time.Time) *run {
	r := &run{
		mirror: m.Doc.GetName(), id: m.Doc.GetRun().GetId(), started: m.Doc.GetRun().GetStarted().AsTime(),
		policy: m.Policy, parts: map[string]*part{}, limit: 0,
	}
	r.update(m)
	r.touched = false
	r.state = r.stateAt(now)
	if r.id == "" {
		return r
	}
	n, err := d.readKept(r)
	r.waits = err != nil && !isNew
	o, errs := shadow.OptionsOf(m.Policy, r.key)
	if len(errs) == 0 {
		_, errs = shadow.NewTally(o)
	}
	_, known := d.c.Identities[m.Policy.Identity]
	r.stranger = m.Policy.Identity != "" && !known
	if r.options, r.broken = o, errs; len(errs) > 0 {
		d.c.Log.Error("a mirror cannot be worked on", "mirror", r.mirror, "run", r.id, "error", errs)
		return r
	}
	switch {
	case r.waits:
	case n.damaged || n.note != nil && !n.note.restore(r, d.c.Lease, now):
		if !n.damaged {
			d.keeper.putAside(r.id, errContent)
		}
		r.gone = goneLost
	case n.note == nil && now.Sub(r.started) > soon:
		if r.gone = goneLost; !r.open() && now.Sub(r.doc.GetRun().GetEnded().AsTime()) >= d.c.Retention {
			r.gone = goneExpired
		}
	}
	return r
}

// readKept reads the key of a run, or makes one, and what is kept of it. The error says that there may be more, which cannot be read now.
func (d *Desk) readKept(r *run) (kept, error) {
	key, err := d.keeper.key(r.id)
	if r.key, r.keyKept = key, key != nil; key == nil {
		r.key = make([]byte, keyBytes)
		_, _ = rand.Read(r.key) // never fails, see its documentation
		r.keyKept = err == nil && r.open() && d.keeper.keepKey(r.id, r.key)
	}
	var n kept
	if err == nil {
		n, err = d.keeper.read(r.id)
	}
	d.keeper.saidRead(r.id, err)
	return n, err
}

// put takes a run in that was just made. The lock of the desk is held.
func (d *Desk) put(r *run, now time.Time) {
	d.runs[r.mirror], r.touched = r, true
	if !r.open() {
		return
	}
	for _, s := range d.sessions {
		d.join(r, s, now)
	}
	notify(d.begins)
}

// replace makes the experiments what they are now, and says whether one has gone or a run was replaced.
func (d *Desk) replace(all []Mirror, fresh map[string]*run, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed, removed := false, len(d.runs) == 0
	there := map[string]bool{}
	for _, m := range all {
		name := m.Doc.GetName()
		there[name] = true
		if r := fresh[name]; r != nil {
			removed = removed || d.runs[name] != nil
			changed = true
			d.put(r, now)
			continue
		}
		if r := d.runs[name]; r.update(m) {
			changed = true
			r.turns(now)
			if !r.open() {
				r.ending = nil
			}
		}
	}
	for name := range d.runs {
		if !there[name] {
			delete(d.runs, name)
			changed, removed = true, true
		}
	}
	if changed {
		d.setLimits()
		d.regroup()
	}
	return removed
}

// ids are those of all runs that may be kept.
func (d *Desk) ids() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []string
	for _, name := range slices.Sorted(maps.Keys(d.runs)) {
		if r := d.runs[name]; r.id != "" && r.gone != goneExpired {
			out = append(out, r.id)
		}
	}
	return out
}
