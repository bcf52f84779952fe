package main

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/monotime"
)

// TestASideLogsTheFirstWrongAnswerAndTheLastRequest asks a real origin.
func TestASideLogsTheFirstWrongAnswerAndTheLastRequest(t *testing.T) {
	s, err := newSide("eks", 2, 1, "a.test", "b.test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	ask := func(endpoint int, host string) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.endpoints[endpoint], nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		got, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = got.Body.Close()
		return got.StatusCode
	}
	a := s.tallies["a.test"]
	if got := ask(0, "a.test"); got != http.StatusOK {
		t.Fatalf("a sound origin answers %d", got)
	}
	if _, ok := a.left(); ok {
		t.Error("something is wrong before anything was")
	}
	s.behave(func(a arrival) fate { return fate{failed: a.pod == 1, wrong: a.pod == 1} })
	a.mark()
	before := monotime.Now()
	for i, want := range []int{http.StatusOK, http.StatusInternalServerError} {
		if got := ask(i, "a.test"); got != want {
			t.Errorf("endpoint %d answers %d, not %d", i, got, want)
		}
	}
	ask(0, "a.test")
	ask(1, "b.test")
	left, ok := a.left()
	if !ok || left <= 0 || left > (monotime.Now()-before).Seconds() {
		t.Errorf("the last request came %g s after the first wrong answer, %t", left, ok)
	}
	if n := a.count.Load(); n != 4 {
		t.Errorf("the log has %d requests of the service, not 4", n)
	}
	if got := ask(0, "c.test"); got != http.StatusNotFound {
		t.Errorf("a service without a log is answered %d", got)
	}
}

// TestLatenciesAreAsThePageSays: guards are set by a mean of 60 ms and a p99 of 202 ms.
func TestLatenciesAreAsThePageSays(t *testing.T) {
	mean := float64(median) * math.Exp(spread*spread/2) / float64(time.Millisecond)
	p99 := float64(arrival{normal: 2.3263}.latency(1)) / float64(time.Millisecond)
	if math.Abs(mean-60) > 0.5 || math.Abs(p99-202) > 0.5 {
		t.Errorf("mean %.1f ms, p99 %.1f ms", mean, p99)
	}
}

func TestTheLimitOfARareShare(t *testing.T) {
	for _, c := range []struct {
		k, n int
		want float64
	}{{0, 40, 1 - math.Pow(0.05, 1.0/40)}, {0, 1, 0.95}, {1, 20, 0.2161}, {0, 0, 1}, {3, 3, 1}} {
		if got := upper(c.k, c.n); math.Abs(got-c.want) > 1e-4 {
			t.Errorf("%d of %d: at most %.4f, not %.4f", c.k, c.n, got, c.want)
		}
	}
}

// TestWhenThingsWereSeen: stages are after the first wrong answer, and evidence of before is not that of the failure.
func TestWhenThingsWereSeen(t *testing.T) {
	var tally tally
	w := &watcher{events: []event{
		{at: 9 * time.Second, state: "Baking", evidence: 0.2},
		{at: 10500 * time.Millisecond, state: "Baking", evidence: 0.205},
		{at: 11 * time.Second, state: "Baking", evidence: 0.5},
		{at: 12 * time.Second, state: "RollingBack", reason: "a guard failed", evidence: 1},
		{at: 14 * time.Second, state: "RolledBack"},
	}}
	var r reaction
	if w.complete(&r, &tally); r != (reaction{}) {
		t.Errorf("nothing was wrong, and yet %+v", r)
	}
	tally.note(10*time.Second, true)
	if w.complete(&r, &tally); r != (reaction{seen: 1, decided: 2, proven: 4, why: "a guard failed"}) {
		t.Errorf("got %+v", r)
	}
}
