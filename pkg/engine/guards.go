package engine

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/guard"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// watched is a guard of a metric, with what it knows.
type watched struct {
	g      *guard.Guard
	main   guard.State
	result guard.Result
	// A guard with a limit of its own is held against the primary as well, by a state of its own: with the windows exchanged.
	both    bool
	other   guard.State
	primary guard.Result

	well, wellToo well
}

func newWatched(g *guard.Guard, p *rollout.Plan) *watched {
	w := &watched{g: g, main: g.Start(), other: g.Start(), both: g.Against() == "" && g.Metric() != guard.Requests && !p.Reverse()}
	w.unknown(guard.CodeNoTraffic, "nothing was seen yet")
	return w
}

// unknown says that nothing is known now.
func (w *watched) unknown(code, why string) {
	w.result = guard.Result{Guard: w.g.Name(), Verdict: guard.Inconclusive, Code: code, Message: w.g.Name() + ": " + why}
	w.primary = w.result
}

// unreported says that no proxy reports: that nothing was counted does not mean that nothing came.
func (w *watched) unreported(silent int) {
	w.unknown(guard.CodeSilent, unreported(silent))
	w.result.Next = "see `shadowctl fleet`"
}

// restore takes over what was kept; states of another guard are left.
func (w *watched) restore(main, other guardState) {
	if main.Guard == w.main.Guard && other.Guard == w.other.Guard {
		w.main, w.other = main.State, other.State
	}
}

func (w *watched) nextStep() { w.main, w.other = w.g.NextStep(w.main), w.g.NextStep(w.other) }

// observe takes one more window of both origins.
func (w *watched) observe(p guard.Pair) {
	w.main, w.result = w.g.Observe(w.main, p)
	if w.well.again(w.g, &w.result, p.Candidate.Length) {
		w.main = w.g.Start()
	}
	if !w.both {
		return
	}
	w.other, w.primary = w.g.Observe(w.other, guard.Pair{Candidate: p.Control, Control: p.Candidate})
	if w.wellToo.again(w.g, &w.primary, p.Control.Length) {
		w.other = w.g.Start()
	}
}

// wellAfter is for how long a side that failed has to be well until it is judged anew. Whoever mended it need not wait until all evidence has faded, which
// after many failures takes many minutes; a failure that counts has been acted on by then.
const wellAfter = time.Minute

// well is for how long a guard has failed by what was, while it is within its limit now.
type well time.Duration

func (k *well) again(g *guard.Guard, r *guard.Result, passed time.Duration) bool {
	if r.Verdict != guard.Fail || r.Samples < guard.DefaultMinRequests || r.Window < g.Window() || r.Value > r.Limit {
		*k = 0
		return false
	}
	*k += well(passed)
	if *k < well(wellAfter) {
		return false
	}
	*k = 0
	return true
}

// verdict has all numbers, but where the guard passes: then the value and its limit.
func (w *watched) verdict() rollout.GuardVerdict {
	v := rollout.GuardVerdict{Name: w.g.Name(), Verdict: rollout.Verdict(w.result.Verdict), Why: w.why(&w.result)}
	if w.result.Verdict == guard.Pass {
		v.Why = w.g.Brief(&w.result)
	}
	return v
}

// why is a result in words, without the guard's name: whoever shows it has that.
func (w *watched) why(r *guard.Result) string {
	return strings.TrimPrefix(r.Message, w.g.Name()+": ")
}

// nearly is how much of the evidence for a Fail suffices against the primary while the target fails: what hits both is seen at both within a second of
// each other, and nobody should be sent to a side that is about to fail.
const nearly = 0.5

// primaryFails says why the primary is the unhealthy side; empty: it is not.
func (w *watched) primaryFails() string {
	r := &w.primary
	follows := w.result.Verdict == guard.Fail && r.Value > r.Limit && r.Evidence >= nearly
	if w.both && (r.Verdict == guard.Fail || follows) {
		return w.why(r)
	}
	return ""
}

func (w *watched) status(r *guard.Result) *crossfadev1.GuardStatus {
	return &crossfadev1.GuardStatus{
		Name: w.g.Name(), Verdict: string(r.Verdict), Value: r.Value, Limit: r.Limit, Samples: int64(r.Samples), Window: durationpb.New(r.Window), Code: r.Code,
		Message: w.why(r), Next: r.Next, Metric: string(w.g.Metric()), Evidence: r.Evidence, Against: w.g.Against(),
	}
}

// mirrored is the verdict of a mirror experiment.
type mirrored struct {
	name, mirror string
	asked        time.Time
	last         rollout.GuardVerdict
}

// mirrorEvery is how often a report is asked for: it is made anew each time.
const mirrorEvery = time.Second

func (m *mirrored) verdict(c Control, now time.Time) rollout.GuardVerdict {
	if now.Sub(m.asked) >= mirrorEvery {
		m.asked = now
		verdict, why := c.Mirror(m.mirror)
		m.last = rollout.GuardVerdict{Name: m.name, Verdict: verdict, Why: why}
	}
	return m.last
}

func (m *mirrored) status() *crossfadev1.GuardStatus {
	return &crossfadev1.GuardStatus{Name: m.name, Verdict: string(m.last.Verdict), Message: m.last.Why, Metric: "mirror"}
}
