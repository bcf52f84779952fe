package experiment

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/crossfade-proxy/crossfade/pkg/policy"
	"github.com/crossfade-proxy/crossfade/pkg/shadow"
)

// summary is what package shadow says of all that was counted, kept until more is.
type summary struct {
	mu     sync.Mutex // taken before that of the desk
	of     int64      // changes of the run
	report *shadow.Report
}

// found is a place that was a finding once. It stays one, though all counts are added up anew each time.
type found struct {
	Endpoint string      `json:"endpoint"`
	Kind     shadow.Kind `json:"kind"`
	Path     string      `json:"path"`
}

// maxFound is how many findings are remembered.
const maxFound = shadow.MaxRows

// summarize adds up what all instances counted, and judges it. The report is not changed afterwards.
func (d *Desk) summarize(r *run) *shadow.Report {
	r.sum.mu.Lock()
	defer r.sum.mu.Unlock()
	d.mu.Lock()
	changes, tallies, remembered := r.changes, r.tallies(), slices.Clone(r.found)
	p := shadow.Policy{
		MinPairs: uint64(max(0, r.policy.MinPairs)), Live: r.live, Dark: r.policy.Mode == policy.Dark, OneBody: r.policy.OneBody,
		Control: r.policy.Control, Candidate: r.policy.Candidate,
	}
	d.mu.Unlock()
	if r.sum.report != nil && r.sum.of == changes {
		return r.sum.report
	}
	report := &shadow.Report{Verdict: shadow.Inconclusive}
	if len(r.broken) == 0 && r.id != "" {
		report = d.addUp(r, tallies, p)
	}
	all := remember(report, remembered, p)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(all) > len(r.found) {
		r.found, r.touched = all, true
	}
	r.sum.of, r.sum.report = changes, report
	return report
}

func (d *Desk) addUp(r *run, tallies []*shadow.Tally, p shadow.Policy) *shadow.Report {
	sum, errs := shadow.NewTally(r.options)
	if errs.Err() != nil {
		return &shadow.Report{Verdict: shadow.Error}
	}
	for _, t := range tallies {
		if err := sum.Merge(t); err != nil {
			d.c.Log.Error("counts of comparators cannot be added up", "mirror", r.mirror, "run", r.id, "error", err)
		}
	}
	return sum.Report(p)
}

// remember makes findings of what once was one, and returns all of them.
func remember(report *shadow.Report, before []found, p shadow.Policy) []found {
	known := map[found]bool{}
	for _, f := range before {
		known[f] = true
	}
	again := false
	out := slices.Clone(before)
	for i := range report.Differences {
		row := &report.Differences[i]
		at := found{row.Endpoint, row.Kind, row.Path}
		was := known[at] || slices.ContainsFunc(before, func(f found) bool {
			return f.Kind == row.Kind && f.Path == row.Path && covers(row.Endpoint, f.Endpoint)
		})
		switch {
		case row.State == shadow.Finding && !was && len(out) < maxFound:
			out = append(out, at)
		case row.State != shadow.Finding && was:
			row.State, again = shadow.Finding, true
		}
	}
	if again && !p.Dark {
		rejudge(report)
	}
	return out
}

// rejudge is what package shadow does where there are findings.
func rejudge(report *shadow.Report) {
	n := 0
	for _, row := range report.Differences {
		if row.State == shadow.Finding {
			n++
		}
	}
	slices.SortStableFunc(report.Differences, func(a, b shadow.Row) int { return cmp.Compare(a.State.Rank(), b.State.Rank()) })
	report.Verdict = shadow.Fail
	report.Why = []shadow.Why{{Code: "differences", Message: plural(n, "difference") + " beyond noise", Next: "look at each: fix it, or say by a rule that it is meant"}}
}

// covers says that a template is what became of an endpoint when more of its paths were seen.
func covers(template, endpoint string) bool {
	if !strings.Contains(template, "{") {
		return false
	}
	a, b := strings.Split(template, "/"), strings.Split(endpoint, "/")
	return slices.EqualFunc(a, b, func(x, y string) bool { return x == y || strings.HasPrefix(x, "{") && strings.HasSuffix(x, "}") })
}
