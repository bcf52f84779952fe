package experiment

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// maxPaths is how many of the paths that were seen while learning a report lists.
const maxPaths = 1000

// Report says what an experiment found, and whether there is one of this name.
func (d *Desk) Report(name string) (*crossfadev1.MirrorReport, bool) {
	d.mu.Lock()
	r := d.runs[name]
	d.mu.Unlock()
	if r == nil {
		return nil, false
	}
	sum := d.summarize(r)
	out := reportOf(sum)
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	r.describe(out, now)
	for _, s := range d.sessions {
		if !d.silent(s, now) {
			out.Comparators++
		}
	}
	out.Verdict, out.Why = r.verdict(sum, now)
	if d.keeper.failing.Load() && r.id != "" && r.gone != goneExpired {
		out.Why = append(out.Why, &crossfadev1.MirrorWhy{
			Code: "report_not_kept", Message: "what was counted cannot be written: it would not outlive the server's process", Next: "look at the disk of --data-dir; the log says why",
		})
	}
	return out, true
}

// Statuses are the experiments on a service, of all if it is empty, by name.
func (d *Desk) Statuses(service string) []*crossfadev1.MirrorStatus {
	d.mu.Lock()
	var all []*run
	for _, name := range slices.Sorted(maps.Keys(d.runs)) {
		if r := d.runs[name]; service == "" || r.policy.Service == service {
			all = append(all, r)
		}
	}
	d.mu.Unlock()
	out := make([]*crossfadev1.MirrorStatus, 0, len(all))
	for _, r := range all {
		out = append(out, d.status(r))
	}
	return out
}

func (d *Desk) status(r *run) *crossfadev1.MirrorStatus {
	sum := d.summarize(r)
	now := d.c.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	out := &crossfadev1.MirrorStatus{
		Mirror: r.mirror, Service: r.policy.Service, Mode: string(r.policy.Mode), Control: r.policy.Control, Candidate: r.policy.Candidate,
		State: r.stateAt(now), Mirrored: int64(sum.Mirrored), Compared: int64(sum.Compared), Started: r.doc.GetRun().GetStarted(), Ends: r.endsAt(),
		EndedBy: r.doc.GetRun().GetWhy(), Revision: r.revision,
	}
	out.Verdict, _ = r.verdict(sum, now)
	for _, row := range sum.Differences {
		if row.State == shadow.Finding {
			out.Findings++
		}
	}
	return out
}

// endsAt is when it ends by itself, or ended.
func (r *run) endsAt() *timestamppb.Timestamp {
	switch run := r.doc.GetRun(); {
	case run.GetEnded() != nil:
		return run.GetEnded()
	case run == nil:
		return nil
	}
	return timestamppb.New(r.ends())
}

// describe fills in what is not of the counts.
func (r *run) describe(out *crossfadev1.MirrorReport, now time.Time) {
	out.Mirror, out.Service, out.Mode = r.mirror, r.policy.Service, string(r.policy.Mode)
	out.Control, out.Candidate, out.State = r.policy.Control, r.policy.Candidate, r.stateAt(now)
	if out.Run = proto.CloneOf(r.doc.GetRun()); out.Run != nil {
		out.Ends = timestamppb.New(r.ends())
	}
	out.Share, out.MaxRps = int32(r.policy.Share), r.limit
	if !r.when.IsZero() {
		out.Counted = timestamppb.New(r.when)
	}
	out.AskedRps, out.Asked = map[string]float64{}, map[string]int64{}
	r.addAsked(out, &r.past.signals)
	out.Lost, out.Seen = r.past.lost, r.past.seen
	for _, p := range r.sorted() {
		r.addAsked(out, &p.signals)
		control, candidate := p.rates(now)
		if r.policy.Control != "" {
			out.AskedRps[r.policy.Control] += control
		}
		out.AskedRps[r.policy.Candidate] += candidate
		out.Lost += p.lost
		out.Seen = mergeSeen(out.Seen, p.seen)
	}
	out.Seen = out.Seen[:min(len(out.Seen), maxPaths)]
}

// addAsked adds the requests that instances have sent.
func (r *run) addAsked(out *crossfadev1.MirrorReport, s *signals) {
	if r.policy.Control != "" {
		out.Asked[r.policy.Control] += s.askedControl
	}
	out.Asked[r.policy.Candidate] += s.askedCandidate
}

// verdict is that of the counts, but where these cannot be the whole truth.
func (r *run) verdict(sum *shadow.Report, now time.Time) (string, []*crossfadev1.MirrorWhy) {
	verdict := string(sum.Verdict)
	var why []*crossfadev1.MirrorWhy
	for _, w := range sum.Why {
		why = append(why, &crossfadev1.MirrorWhy{Code: w.Code, Message: w.Message, Next: w.Next})
	}
	add := func(code, message, next string) {
		w := &crossfadev1.MirrorWhy{Code: code, Message: message, Next: next}
		switch shadow.Verdict(verdict) {
		case shadow.Fail, shadow.Error: // whatever else is not known
			why = append(why, w)
		default:
			verdict, why = string(shadow.Inconclusive), slices.Insert(why, 0, w)
		}
	}
	if r.stranger {
		add("identity_unknown", fmt.Sprintf("the server's settings have no identity %q: nobody is asked", r.policy.Identity),
			"add it to mirrors.identities and start the server again, or choose another one")
	}
	if r.untaken() {
		add("counts_untaken", "the last counts of a comparator could not be taken: some are missing", "the log says why; are comparator and server of the same version?")
	}
	switch {
	case len(r.broken) > 0:
		e := r.broken[0]
		return string(shadow.Error), []*crossfadev1.MirrorWhy{{Code: e.Code, Message: e.Error(), Next: e.Next}}
	case r.waits:
		add("report_unreadable", "what was counted before cannot be read now: nobody is asked", "look at the disk of --data-dir; the log says why, and it is tried again")
	case r.gone == goneLost:
		add(goneLost, "what was counted before could not be read after a restart of the server", "start the experiment anew if that counts; the log says why")
	case r.gone == goneExpired:
		add(goneExpired, "the run ended so long ago that its report was removed", "start the experiment anew")
	case r.stateAt(now) == stateLearning:
		add("learning", "nobody is asked yet", "wait until "+r.started.Add(r.policy.Learn).UTC().Format(time.TimeOnly)+" UTC")
	}
	if r.policy.Mode != policy.Dark && sum.Compared == 0 && verdict == string(shadow.Pass) {
		verdict = string(shadow.Inconclusive)
	}
	return verdict, why
}
