package engine

import (
	"context"
	"fmt"
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
}

func newWatched(g *guard.Guard, p *rollout.Plan) *watched {
	w := &watched{g: g, main: g.Start(), other: g.Start(), both: g.Against() == "" && g.Metric() != guard.Requests && !p.Reverse()}
	w.result = guard.Result{Guard: g.Name(), Verdict: guard.Inconclusive, Code: guard.CodeNoTraffic, Message: g.Name() + ": nothing was seen yet"}
	w.primary = w.result
	return w
}

// restore takes over what was kept; states of another guard are left.
func (w *watched) restore(main, other guard.State) {
	if main.Guard == w.main.Guard && other.Guard == w.other.Guard {
		w.main, w.other = main, other
	}
}

func (w *watched) nextStep() { w.main, w.other = w.g.NextStep(w.main), w.g.NextStep(w.other) }

// observe takes one more window of both origins.
func (w *watched) observe(p guard.Pair) {
	w.main, w.result = w.g.Observe(w.main, p)
	if w.both {
		w.other, w.primary = w.g.Observe(w.other, guard.Pair{Candidate: p.Control, Control: p.Candidate})
	}
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
func (w *watched) why(r *guard.Result) string { return withoutName(r.Message, w.g.Name()) }

// primaryFails says why the primary is the unhealthy side; empty: it is not.
func (w *watched) primaryFails() string {
	if w.both && w.primary.Verdict == guard.Fail {
		return w.why(&w.primary)
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

// queried is a question to Prometheus.
type queried struct {
	name  string
	query *rollout.Query
	work  work

	asked, answered time.Time
	value           float64
	ok              bool   // there is a value
	why             string // there is none, or what the server said beside it
	err             error
	beyond          int // answers in a row
}

// stale is after how many intervals without an answer nothing is known any more.
const stale = 3

// ask asks in the background, when it is time.
func (q *queried) ask(w *walker, now time.Time) {
	if w.e.Queries == nil {
		q.err, q.answered = fmt.Errorf("the server's settings have no Prometheus"), now
		return
	}
	if now.Sub(q.asked) < q.query.Every || q.work.busy {
		return
	}
	q.asked = now
	var value float64
	var ok bool
	var why string
	q.work.do(w, "", func(ctx context.Context) (err error) {
		value, ok, why, err = w.e.Queries.Ask(ctx, q.query.Server, q.query.Query, time.Time{})
		return err
	}, func(err error) {
		q.answered, q.value, q.ok, q.why, q.err = time.Now(), value, ok, why, err
		switch {
		case err != nil || !ok:
		case q.query.Within(value):
			q.beyond = 0
		default:
			q.beyond++
		}
	})
}

func (q *queried) verdict(now time.Time) rollout.GuardVerdict {
	v := rollout.GuardVerdict{Name: q.name, Verdict: rollout.Inconclusive}
	switch {
	case q.answered.IsZero():
		v.Why = "it was not answered yet"
	case q.err != nil:
		v.Verdict, v.Why = rollout.Error, sentence(q.err)
	case now.Sub(q.answered) > stale*q.query.Every:
		v.Verdict, v.Why = rollout.Error, fmt.Sprintf("the last answer is %s old", now.Sub(q.answered).Round(time.Second))
	case !q.ok:
		v.Why = q.why
	case q.beyond == 0:
		v.Verdict, v.Why = rollout.Pass, fmt.Sprintf("%g, within %s%s", q.value, q.limits(), q.warning())
	case q.beyond >= q.query.Failures:
		v.Verdict, v.Why = rollout.Fail, fmt.Sprintf("%g, beyond %s, %d times in a row", q.value, q.limits(), q.beyond)
	default:
		v.Why = fmt.Sprintf("%g, beyond %s, %d times in a row of %d", q.value, q.limits(), q.beyond, q.query.Failures)
	}
	return v
}

// warning is what the server said beside a value.
func (q *queried) warning() string {
	if q.why == "" {
		return ""
	}
	return " (" + q.why + ")"
}

// limits are the least and the most in words.
func (q *queried) limits() string {
	switch low, high := q.query.Min, q.query.Max; {
	case low == nil && high == nil:
		return "no limit"
	case low == nil:
		return fmt.Sprintf("at most %g", *high)
	case high == nil:
		return fmt.Sprintf("at least %g", *low)
	default:
		return fmt.Sprintf("%g to %g", *low, *high)
	}
}

func (q *queried) status(now time.Time) *crossfadev1.GuardStatus {
	v := q.verdict(now)
	out := &crossfadev1.GuardStatus{Name: q.name, Verdict: string(v.Verdict), Value: q.value, Message: v.Why, Metric: "prometheus", Window: durationpb.New(q.query.Every)}
	switch {
	case q.query.Max != nil:
		out.Limit = *q.query.Max
	case q.query.Min != nil:
		out.Limit = *q.query.Min
	}
	return out
}
