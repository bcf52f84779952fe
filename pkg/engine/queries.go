package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/pkg/policy/rollout"
)

// queried is a question to Prometheus.
type queried struct {
	name  string
	query *rollout.Query
	busy  bool

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
		q.err, q.answered = errors.New("the server's settings have no Prometheus"), now
		return
	}
	if q.busy || !q.asked.IsZero() && now.Sub(q.asked) < q.query.Every {
		return
	}
	q.asked, q.busy = now, true
	w.background(func(ctx context.Context) func() {
		value, ok, why, err := w.e.Queries.Ask(ctx, q.query.Server, q.query.Query, time.Time{})
		return func() { q.take(value, ok, why, err) }
	})
}

// take takes an answer. One without a value neither ends nor lengthens a row of those beyond the limit.
func (q *queried) take(value float64, ok bool, why string, err error) {
	q.busy, q.answered, q.value, q.ok, q.why, q.err = false, time.Now(), value, ok, why, err
	switch {
	case err != nil || !ok:
	case q.query.Within(value):
		q.beyond = 0
	default:
		q.beyond++
	}
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
