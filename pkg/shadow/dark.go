package shadow

import "time"

// AddDark counts what the candidate said when it alone was asked: an answer, or that it gave none.
func (t *Tally) AddDark(path string, a *Answer, _ time.Time) {
	t.endpoint(t.template(path))
	if a.Failure != "" {
		t.targetFailed[Reason(known(a.Failure))]++
		return
	}
	t.answered++
	t.latency[1].Add(a.Duration)
}
