package shadow_test

import (
	"fmt"
	"time"

	"github.com/crossfade-proxy/crossfade/pkg/shadow"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/rule"
)

// A comparator judges each pair, asks control again where that teaches something, and counts. What it sends on is the tally.
func Example() {
	o := shadow.Options{Key: []byte("sixteen bytes ok"), Rules: []rule.Rule{{Path: "$.**.ts", Action: rule.Ignore}}}
	comparer, errs := shadow.NewComparer(o) // one for each worker
	tally, errs2 := shadow.NewTally(o)      // one for all, under a lock
	if errs.Err() != nil || errs2.Err() != nil {
		fmt.Println(errs, errs2)
		return
	}
	ask := func(body string) *shadow.Answer {
		return &shadow.Answer{Status: 200, Headers: map[string][]string{"Content-Type": {"application/json"}}, Body: []byte(body), Length: int64(len(body)), Duration: time.Millisecond}
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var outcome *shadow.Outcome
	for i := range 100 {
		control, candidate := fmt.Sprintf(`{"id":%d,"total":10,"ts":1}`, i), fmt.Sprintf(`{"ts":2,"id":%d,"total":"10"}`, i)
		p := &shadow.Pair{Method: "GET", Path: fmt.Sprintf("/orders/%d", i), Control: ask(control), Candidate: ask(candidate)}
		outcome = comparer.Judge(p, shadow.Live{}, outcome)
		if tally.Wants(outcome) {
			p.Second, p.Chosen = ask(control), shadow.ByDifference
			outcome = comparer.Judge(p, shadow.Live{}, outcome)
		}
		tally.Add(outcome, now)
	}
	report := tally.Report(shadow.Policy{Control: "ecs", Candidate: "eks"})
	d := report.Differences[0]
	fmt.Println(report.Verdict, d.Endpoint, d.Kind, d.Path, d.Count, "of", d.Compared)
	fmt.Println(d.Example.Control.Type, "and", d.Example.Candidate.Type)
	// Output:
	// Fail /orders/{id} json_type $.total 100 of 100
	// number and string
}
