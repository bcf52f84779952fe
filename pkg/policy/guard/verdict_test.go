package guard

import (
	"strings"
	"testing"
	"time"
)

// latency is a histogram of n requests in one bucket.
func latency(from, to time.Duration, n uint64) []Bucket { return []Bucket{{from, to, n}} }

// after observes the same pair so many times.
func after(g *Guard, s State, p Pair, times int) (State, Result) {
	var r Result
	for range times {
		s, r = g.Observe(s, p)
	}
	return s, r
}

func win(n, failed uint64, l []Bucket) Window {
	return Window{Length: time.Second, Completed: n, Failed: failed, Latency: l}
}

func TestVerdicts(t *testing.T) {
	const ms = time.Millisecond
	fine, slow := latency(90*ms, 99*ms, 200), latency(400*ms, 440*ms, 200)
	tenth := append(latency(90*ms, 99*ms, 180), Bucket{400 * ms, 440 * ms, 20})
	rate := Spec{Name: "g", Metric: ErrorRate, Max: "0.5%"}
	p99 := Spec{Name: "g", Metric: P99, Max: "250ms"}
	ratio := Spec{Name: "g", Metric: P99, MaxRatio: 1.2, Against: "ecs"}
	for _, c := range []struct {
		name  string
		spec  Spec
		pair  Pair
		times int
		want  Verdict
		code  string
		says  string
	}{
		{"no requests", rate, Pair{win(0, 0, nil), win(100, 0, nil)}, 20, Inconclusive, CodeNoTraffic, "no requests in the last 10s"},
		{"few requests", rate, Pair{win(1, 0, nil), Window{}}, 20, Inconclusive, CodeFew, "10 requests in the last 10s, and 20 are needed"},
		{"all is well", rate, Pair{win(200, 0, nil), Window{}}, 20, Pass, CodeOK, "error rate 0 % in the last 10s (0 of 2000), limit 0.5 %"},
		{"all fails", rate, Pair{win(200, 200, nil), Window{}}, 3, Fail, CodeLimit, "error rate 100 %"},
		{"all is refused", rate, Pair{Window{Length: time.Second, ConnectFail: 100, Overflow: 50, NoneHealthy: 50}, Window{}}, 3, Fail, CodeLimit, "(600 of 600)"},
		{"all is cut off", rate, Pair{Window{Length: time.Second, Reset: 100, Timeout: 100}, Window{}}, 3, Fail, CodeLimit, "(600 of 600)"},
		{"a second is no proof", rate, Pair{win(200, 200, nil), Window{}}, 1, Inconclusive, CodeOver, "which may still be chance"},
		{"just above the limit", rate, Pair{win(1000, 6, nil), Window{}}, 3, Inconclusive, CodeOver, "error rate 0.6 %"},
		{"silent proxies", rate, Pair{Window{Length: time.Second, Completed: 200, Silent: 2}, Window{}}, 20, Inconclusive, CodeSilent, "2 connected proxies report nothing"},
		{"silent proxies, and it fails", rate, Pair{Window{Length: time.Second, Completed: 200, Failed: 100, Silent: 2}, Window{}}, 20, Fail, CodeLimit, "50 %"},
		{"too many failures", rate, Pair{Window{Length: time.Second, Completed: 1, Failed: 2}, Window{}}, 1, Error, CodeUnusable, "2 answers that failed among 1"},
		{"no length", rate, Pair{}, 1, Error, CodeUnusable, "covers 0s"},
		{"within a latency", p99, Pair{win(200, 0, fine), Window{}}, 20, Pass, CodeOK, "p99 94.4ms in the last 10s (0 of 2000"},
		{"settling", p99, Pair{win(200, 0, slow), Window{}}, 4, Inconclusive, CodeSettling, "the step began 4s ago"},
		{"beyond a latency", p99, Pair{win(200, 0, slow), Window{}}, 8, Fail, CodeLimit, "p99 420ms"},
		{"a tenth beyond a latency", p99, Pair{win(200, 0, tenth), Window{}}, 8, Fail, CodeLimit, "p99 420ms"},
		{"the limit in a bucket", p99, Pair{win(200, 0, latency(240*ms, 264*ms, 200)), Window{}}, 20, Inconclusive, CodeCoarse, "between 240ms and 264ms"},
		{"the limit at the end of a bucket", p99, Pair{win(200, 0, latency(230*ms, 250*ms, 200)), Window{}}, 20, Pass, CodeOK, "p99 240ms"},
		{"no histogram", p99, Pair{win(200, 0, nil), Window{}}, 20, Inconclusive, CodeNoTraffic, ""},
		{"mean", Spec{Name: "g", Metric: Mean, Max: "250ms"}, Pair{win(200, 0, slow), Window{}}, 8, Fail, CodeLimit, "mean 420ms"},
		{"mean within", Spec{Name: "g", Metric: Mean, Max: "250ms"}, Pair{win(200, 0, fine), Window{}}, 8, Pass, CodeOK, "mean 94.5ms"},
		{"no comparison", ratio, Pair{win(200, 0, slow), Window{}}, 20, Inconclusive, CodeNoControl, "ecs had 0 requests"},
		{"as slow as the other", ratio, Pair{win(200, 0, slow), win(2000, 0, latency(400*ms, 440*ms, 2000))}, 20, Pass, CodeOK, "p99 1.00 times that of ecs"},
		{"slower than the other", ratio, Pair{win(200, 0, slow), win(2000, 0, latency(200*ms, 220*ms, 2000))}, 20, Fail, CodeLimit, "p99 2.00 times that of ecs"},
		{"finer than the histogram", ratio, Pair{win(200, 0, slow), win(2000, 0, latency(2*ms, 3*ms, 2000))}, 20, Inconclusive, CodeNoControl, "coarser than a ratio of 1.2"},
		{"mean slower than the other", Spec{Name: "g", Metric: Mean, MaxRatio: 1.2, Against: "ecs"}, Pair{win(200, 0, slow), win(2000, 0, latency(200*ms, 220*ms, 2000))}, 20, Fail, CodeLimit, "mean 2.00 times"},
		{"more errors than the other", Spec{Name: "g", Metric: ErrorRate, MaxRatio: 2, Against: "ecs"}, Pair{win(200, 10, nil), win(2000, 10, nil)}, 20, Fail, CodeLimit, "error rate 10.00 times"},
		{"errors only here", Spec{Name: "g", Metric: ErrorRate, MaxRatio: 2, Against: "ecs"}, Pair{win(200, 10, nil), win(2000, 0, nil)}, 20, Fail, CodeLimit, "far above"},
		{"twice the errors of the other", Spec{Name: "g", Metric: ErrorRate, MaxRatio: 2, Against: "ecs"}, Pair{win(200, 2, nil), win(2000, 10, nil)}, 100, Pass, CodeOK, "2.00 times"},
		{"enough traffic", Spec{Name: "g", Metric: Requests, Min: "100"}, Pair{win(10, 0, nil), Window{}}, 20, Pass, CodeOK, "100 requests in the last 10s, of at least 100"},
		{"little traffic", Spec{Name: "g", Metric: Requests, Min: "101"}, Pair{win(10, 0, nil), Window{}}, 20, Inconclusive, CodeFew, "100 requests"},
	} {
		g := compile(t, usualPlan, c.spec)[0]
		_, r := after(g, g.Start(), c.pair, c.times)
		if r.Verdict != c.want || r.Code != c.code || !strings.Contains(r.Message, c.says) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}

func TestConsecutiveFailures(t *testing.T) {
	bad := Pair{Candidate: win(200, 200, nil)}
	for failures, want := range map[int]int{0: 2, 1: 2, 3: 4} {
		g := compile(t, usualPlan, Spec{Name: "g", Metric: ErrorRate, Max: "0.5%", Failures: failures})[0]
		for n := 1; ; n++ {
			if _, r := after(g, g.Start(), bad, n); r.Verdict == Fail {
				if n != want {
					t.Errorf("failures: %d: failed after %d seconds", failures, n)
				}
				break
			}
		}
	}
}

// TestShortFailureOfALongWindow: what is shown is the time that shows it.
func TestShortFailureOfALongWindow(t *testing.T) {
	g := compile(t, usualPlan, Spec{Name: "g", Metric: ErrorRate, Max: "0.5%", Window: 10 * time.Minute})[0]
	s, _ := after(g, g.Start(), Pair{Candidate: win(200, 0, nil)}, 600)
	_, r := after(g, s, Pair{Candidate: win(200, 10, nil)}, 3)
	if r.Verdict != Fail || r.Value <= 0.005 || r.Window > 40*time.Second || r.Evidence < 1 {
		t.Errorf("%+v", r)
	}
}

// TestNextStepAsksAnew: what was seen before a step makes no Pass in it, and latencies settle anew.
func TestNextStepAsksAnew(t *testing.T) {
	const ms = time.Millisecond
	g := compile(t, usualPlan, Spec{Name: "g", Metric: P99, Max: "250ms"})[0]
	fine := Pair{Candidate: win(200, 0, latency(90*ms, 99*ms, 200))}
	s, r := after(g, g.Start(), fine, 20)
	if r.Verdict != Pass {
		t.Fatal(r)
	}
	if s, r = after(g, g.NextStep(s), fine, 1); r.Code != CodeSettling {
		t.Error(r)
	}
	if _, r = after(g, g.NextStep(s), Pair{Candidate: win(0, 0, nil)}, 6); r.Code != CodeNoTraffic {
		t.Error(r)
	}
}

// TestASideThatFailsByItselfIsSeen: with the windows exchanged a guard tells whether the primary is the unhealthy one.
func TestASideThatFailsByItselfIsSeen(t *testing.T) {
	g := compile(t, usualPlan, Spec{Name: "g", Metric: ErrorRate, Max: "0.5%"})[0]
	p := Pair{Candidate: win(200, 0, nil), Control: win(1800, 900, nil)}
	if _, r := after(g, g.Start(), p, 10); r.Verdict != Pass {
		t.Error(r)
	}
	if _, r := after(g, g.Start(), Pair{p.Control, p.Candidate}, 10); r.Verdict != Fail {
		t.Error(r)
	}
}

func TestStateOfAnotherGuard(t *testing.T) {
	guards := compile(t, usualPlan, usualGuards()...)
	s, r := guards[0].Observe(guards[1].Start(), Pair{Candidate: win(1, 0, nil)})
	if r.Verdict != Error || s.Seen != 0 {
		t.Error(r)
	}
}
