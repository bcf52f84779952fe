package experiment

import (
	"cmp"
	"slices"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// run is one run of an experiment. What is not marked otherwise is under the lock of the desk.
type run struct {
	// These do not change.
	mirror, id string
	started    time.Time
	key        []byte
	options    shadow.Options
	broken     policy.Errors // why nothing can be compared
	stranger   bool          // its identity is not in the settings
	keyKept    bool          // once it may be ordered, of whoever writes

	doc      *crossfadev1.Mirror
	policy   *policy.Mirror
	order    *crossfadev1.Mirror // the document as comparators get it: control is named
	fleets   []string
	revision int64

	parts  map[string]*part // by instance
	past   past
	live   shadow.Live // that has grown since the start
	grown  [6]uint64   // as last observed
	looked bool        // grown is of this run
	rps    map[string]float64
	limit  float64 // copies per second

	state   string
	found   []found
	waits   bool   // what is kept of it cannot be read now, so that nothing may be counted or written
	gone    string // code of why counts are missing; empty if none are
	ending  *ending
	slow    int  // reports in a row in which the candidate was too slow
	counted bool // counts came since the last look at them
	when    time.Time

	changes int64 // of what a report says
	touched bool  // since it was written last
	aged    bool  // only what is live has changed since
	strange bool  // counts under another key were said in the log
	sum     summary
}

// States of runs, as in MirrorStatus.
const (
	stateLearning = "learning"
	stateRunning  = "running"
	stateEnded    = "ended"
)

// open says that it runs, as far as intent is known.
func (r *run) open() bool { return r.id != "" && r.doc.GetRun().GetEnded() == nil }

// ordered says that comparators are to work on it.
func (r *run) ordered() bool {
	known := r.policy.Mode == policy.Dark || r.policy.Control != ""
	return r.open() && r.ending == nil && !r.waits && len(r.broken) == 0 && !r.stranger && known
}

func (r *run) stateAt(now time.Time) string {
	switch {
	case !r.open():
		return stateEnded
	case now.Before(r.started.Add(r.policy.Learn)):
		return stateLearning
	}
	return stateRunning
}

// turns says that it has come into another state.
func (r *run) turns(now time.Time) bool {
	was := r.state
	r.state = r.stateAt(now)
	return was != r.state
}

// ends is when it ends by itself.
func (r *run) ends() time.Time { return r.started.Add(r.policy.Duration) }

// observe takes over what is live. It is written with what is counted, and at the end: it alone is not worth a file each time. Counters that have become smaller have begun anew.
func (r *run) observe(t Traffic) {
	r.rps = t.RPS
	for i, n := range t.Classes {
		if was := r.grown[i]; r.looked && n > was {
			r.live[i] += n - was
			r.aged = true
			r.changes++ // a report says how live traffic answers, too
		}
	}
	r.grown, r.looked = t.Classes, true
}

// touch says that what is counted has changed.
func (r *run) touch() {
	r.changes++
	r.touched = true
}

// update takes over the document of the same run, and says whether anything has changed.
func (r *run) update(m Mirror) bool {
	p := m.Policy
	changed := r.doc != m.Doc || r.policy.Share != p.Share || r.policy.Control != p.Control || r.revision != m.Revision
	if changed {
		r.order = m.Doc
		if p.Mode != policy.Dark && m.Doc.GetControl() != p.Control {
			r.order = withControl(m.Doc, p.Control)
		}
		r.touch()
	}
	r.doc, r.policy, r.fleets, r.revision = m.Doc, p, m.Fleets, m.Revision
	return changed
}

// part returns what is known of an instance, nothing at first.
func (r *run) part(instance string) *part {
	p := r.parts[instance]
	if p == nil {
		p = &part{instance: instance}
		r.parts[instance] = p
	}
	return p
}

// tallies are all that were counted. What they point to does not change.
func (r *run) tallies() []*shadow.Tally {
	var out []*shadow.Tally
	if r.past.tally != nil {
		out = append(out, r.past.tally)
	}
	for _, p := range r.sorted() {
		if p.tally != nil {
			out = append(out, p.tally)
		}
	}
	return out
}

// sorted are the parts by instance, so that sums do not depend on the order of a map.
func (r *run) sorted() []*part {
	out := make([]*part, 0, len(r.parts))
	for _, p := range r.parts {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *part) int { return cmp.Compare(a.instance, b.instance) })
	return out
}

// untaken says that the last word of an instance could not be taken.
func (r *run) untaken() bool {
	for _, p := range r.parts {
		if p.untaken {
			return true
		}
	}
	return r.past.untaken
}
