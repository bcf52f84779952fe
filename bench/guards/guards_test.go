package main

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	crossfadev1 "github.com/crossfade-proxy/crossfade/api/crossfade/v1"
	"github.com/crossfade-proxy/crossfade/bench/internal/report"
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

// TestWhatIsNotFoundCounts as long as it was waited for: left out, it would make the rest look better.
func TestWhatIsNotFoundCounts(t *testing.T) {
	b := testBench()
	all := []reaction{{left: 1}, {left: 2}, {left: 600, lost: "it was Baking when time was up"}}
	b.reactions("errors", map[string]any{}, all, sum{}, "", 3)
	if l := b.r.Lines()[0]; l.N != 3 || l.Failed != 1 || l.P50 != 2 || l.P90 != 600 || l.Max != 600 || *l.Met || !strings.Contains(l.Note, "1 not found") {
		t.Errorf("%+v", l)
	}
	b.reactions("errors", map[string]any{}, all[:2], sum{}, "", 3)
	if l := b.r.Lines()[1]; l.N != 2 || l.Failed != 0 || !*l.Met || l.Measured != "max 2 s, 0 of 2 not found" {
		t.Errorf("%+v", l)
	}
}

// TestAReaction: a rollback is as soon as its last request, and everything else as late as it could be.
func TestAReaction(t *testing.T) {
	a := app{name: "orders", eks: &side{tallies: map[string]*tally{host("orders"): {}}}}
	a.tally().note(10*time.Second, true)
	a.tally().note(12*time.Second, false)
	for _, c := range []struct {
		before, after string
		left          float64
	}{{"Baking", "RolledBack", 2}, {"RolledBack", "RolledBack", 60}, {"Baking", "Baking", 60}, {"Baking", "Frozen", 60}} {
		got := a.reaction(&crossfadev1.RolloutStatus{State: c.before}, &crossfadev1.RolloutStatus{State: c.after}, time.Minute)
		if got.left != c.left || (got.lost == "") != (c.left < 60) {
			t.Errorf("%s, then %s: %+v", c.before, c.after, got)
		}
	}
}

// TestASlowLoadMeetsNoAim: a candidate with fewer requests than it should have is another.
func TestASlowLoadMeetsNoAim(t *testing.T) {
	for _, c := range []struct {
		achieved float64
		met      bool
	}{{99, true}, {97, false}} {
		b, sent := testBench(), sum{done: 100, offered: 100, achieved: c.achieved}
		b.failures("before", map[string]any{}, sent)
		first := len(b.r.Lines())
		b.reactions("errors", map[string]any{}, []reaction{{left: 1}}, sent, "", 3)
		b.failures("errors", map[string]any{}, sent)
		b.hold(first, sent)
		lines := b.r.Lines()
		if !*lines[0].Met || *lines[1].Met != c.met || *lines[2].Met != c.met || (lines[1].Invalid == "") != c.met {
			t.Errorf("at %g %% of the rate: %+v", c.achieved, lines[1])
		}
	}
}

func testBench() *bench {
	return &bench{options: &options{}, r: report.NewRun("guards", "", 1, time.Time{})}
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
