package telemetry

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var testTime = time.Unix(1_800_000_000, 0)

// at is a moment, in milliseconds after the call.
func at(ms int) time.Time { return testTime.Add(time.Duration(ms) * time.Millisecond) }

// event is something that happens to one proxy, p1 unless it says so.
type event struct {
	when  int // ms after the call
	apply func(*tracker)
	want  string // state, and since in ms: "proven 254"; empty: not checked
}

func p1(t *tracker) *witness { return t.at("p1") }

func connect(when int) event {
	return event{when: when, apply: func(t *tracker) { t.connected("p1", true, at(when)) }}
}

func disconnect(when int, want string) event {
	return event{when, func(t *tracker) { t.connected("p1", false, at(when)) }, want}
}

func ack(when int, want string) event {
	return event{when, func(t *tracker) { t.acked("p1", at(when)) }, want}
}

// flushed is an interval with so many picks away and toward.
func flushed(from, to int, away, toward uint64, want string) event {
	return flushOf(from, to, away, toward, health{used: away > 0, answering: away > 0}, want)
}

func flushOf(from, to int, away, toward uint64, h health, want string) event {
	return event{to, func(t *tracker) {
		p1(t).interval(interval{from: at(from), to: at(to), arrived: at(to), away: []seen{{away, h}}, requests: toward, complete: true})
	}, want}
}

// hole is a flush before which one was lost.
func hole(from, to int, away, toward uint64, want string) event {
	return event{to, func(t *tracker) {
		p1(t).interval(interval{from: at(from), to: at(to), arrived: at(to), away: []seen{{picks: away}}, requests: toward, complete: true, gap: true})
	}, want}
}

// part is a flush of which not all is known.
func part(from, to int, want string) event {
	return event{to, func(t *tracker) {
		p1(t).interval(interval{from: at(from), to: at(to), arrived: at(to), away: []seen{{}}, requests: 5})
	}, want}
}

// loaded is a load report.
func loaded(from, to int, l load, toward uint64, want string) event {
	return event{to, func(t *tracker) {
		p1(t).round(round{notBefore: at(from), arrived: at(to), length: at(to).Sub(at(from)), away: []load{l}, requests: toward, complete: true})
	}, want}
}

func runs(version version) event {
	return event{-2000, func(t *tracker) { p1(t).version = version }, ""}
}

func override(when int, active bool, want string) event {
	return event{when, func(t *tracker) { p1(t).overrides = active }, want}
}

var (
	new140 = version{1, 40, 0}
	old137 = version{1, 37, 0}

	quiet = load{}
)

func TestTracker(t *testing.T) {
	// Until the call eks answered, in the flush that ended then.
	answering := []event{runs(new140), connect(-2000), flushed(-2000, 0, 100, 100, "pending 0")}
	refusing := []event{runs(new140), connect(-2000), flushOf(-2000, 0, 100, 100, health{used: true}, "")}
	cases := map[string][][]event{
		"load reports prove an answering origin": {answering, {
			ack(4, "pending 4"), loaded(5, 255, quiet, 50, "proven 5"), loaded(255, 505, quiet, 50, "proven 5"),
			flushed(0, 2000, 1, 400, "proven 5"),    // before the acknowledgement: no news
			flushed(2000, 4000, 0, 400, "proven 5"), // and none later
		}},
		"a flush narrows when the last pick was": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), flushed(0, 2000, 0, 400, "proven 0"),
		}},
		"a load report that began before the acknowledgement proves nothing": {answering, {
			ack(300, ""), loaded(200, 450, quiet, 50, "pending 300"), loaded(450, 700, quiet, 50, "proven 200"),
		}},
		"load reports prove nothing on 1.37": {answering, {
			runs(old137), ack(4, ""), loaded(5, 255, quiet, 50, "pending 4"), flushed(0, 2000, 3, 400, "pending 2000"), flushed(2000, 4000, 0, 400, "proven 2000"),
		}},
		"nor of a version that is not known": {answering, {
			runs(version{}), ack(4, ""), loaded(5, 255, quiet, 50, "pending 4"),
		}},
		"nor where the origin refuses": {refusing, {
			ack(4, ""), loaded(5, 255, quiet, 50, "pending 4"), loaded(255, 505, quiet, 50, "pending 4"),
			flushOf(0, 2000, 9, 400, health{used: true}, "pending 2000"), flushed(2000, 4000, 0, 400, "proven 2000"),
		}},
		"nor where it had no request": {{runs(new140), connect(-2000), flushed(-2000, 0, 0, 100, "")}, {
			ack(4, ""), loaded(5, 255, quiet, 50, "pending 4"), flushed(0, 2000, 0, 400, "pending 0"), flushed(2000, 4000, 0, 400, "proven 0"),
		}},
		"nor while requests hang at it": {answering, {
			ack(4, ""), loaded(5, 255, load{open: 3}, 50, "pending 4"), loaded(255, 505, load{open: 3}, 50, "pending 4"), loaded(505, 755, quiet, 50, "proven 5"),
		}},
		"nor without a request for the service": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 0, "pending 4"), loaded(255, 505, quiet, 1, "proven 5"),
		}},
		"a pick in a load report": {answering, {
			ack(4, ""), loaded(5, 255, load{issued: 2}, 50, "pending 255"), loaded(255, 505, quiet, 50, "proven 255"),
			loaded(505, 755, load{failed: 1}, 50, "pending 755"), loaded(755, 1005, quiet, 50, "proven 755"),
		}},
		"a flush takes back what load reports did not see": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), flushed(0, 2000, 3, 400, "proven 5"),
			flushed(2000, 4000, 1, 400, "pending 4000"), loaded(4000, 4250, quiet, 50, "pending 4000"), flushed(4000, 6000, 0, 400, "proven 4000"),
		}},
		"what connects late counts as a pick": {refusing, {
			ack(4, ""), flushed(0, 2000, 50, 400, "pending 2000"), flushed(2000, 4000, 0, 400, "proven 2000"),
			flushed(4000, 6000, 1, 400, "pending 6000"), flushed(6000, 8000, 0, 400, "proven 6000"),
		}},
		"a flush must begin after the acknowledgement": {refusing, {
			ack(2010, ""), flushed(0, 2000, 50, 400, "pending 2000"), flushed(2000, 4000, 0, 400, "pending 2000"), flushed(4000, 6000, 0, 400, "proven 2000"),
		}},
		"by a margin, for its times may be late": {refusing, {
			ack(1980, ""), flushed(0, 2000, 50, 400, "pending 2000"), flushed(2000, 4000, 0, 400, "pending 2000"), flushed(4000, 6000, 0, 400, "proven 2000"),
		}},
		"silent at once if there was no request at all": {{runs(new140), connect(-2000), flushed(-2000, 0, 0, 0, "")}, {
			ack(4, "pending 4"), flushed(0, 2000, 0, 0, "silent 0"), flushed(2000, 4000, 0, 0, "silent 0"), flushed(4000, 6000, 0, 1, "proven 0"),
		}},
		"silent after earlier requests": {answering, {
			ack(4, ""), flushed(0, 2000, 1, 1, "pending 2000"), flushed(2000, 4000, 0, 0, "silent 2000"),
		}},
		"not silent any more": {{runs(old137), connect(-2000), flushed(-2000, 0, 0, 0, "")}, {
			ack(4, ""), flushed(0, 2000, 0, 0, "silent 0"), loaded(2000, 2250, quiet, 3, "pending 0"), flushed(2000, 4000, 0, 3, "proven 0"),
		}},
		"proven stays when requests end": {answering, {
			ack(4, ""), flushed(0, 2000, 0, 5, ""), flushed(2000, 4000, 0, 5, "proven 0"), flushed(4000, 6000, 0, 0, "proven 0"),
		}},
		"absent is not zero: a flush was lost": {answering, {
			ack(4, ""), hole(2000, 4000, 0, 400, "proven 2000"), hole(6000, 8000, 0, 0, "proven 6000"),
		}},
		"part of a flush proves nothing": {answering, {
			ack(4, ""), flushed(0, 2000, 0, 5, ""), part(2000, 4000, "pending 4000"), flushed(4000, 6000, 0, 5, "proven 4000"),
		}},
		"no acknowledgement": {answering, {
			flushed(0, 2000, 0, 400, "pending 0"), flushed(2000, 4000, 0, 400, "pending 0"), loaded(4000, 4250, quiet, 50, "pending 0"), ack(4300, "pending 0"), flushed(4000, 6000, 0, 400, "pending 0"), flushed(6000, 8000, 0, 400, "proven 0"),
		}},
		"an override": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), override(2000, true, "unknown 0"), flushed(0, 2000, 1, 9, "unknown 0"), flushed(2000, 4000, 0, 9, "unknown 0"), override(4001, false, "proven 5"),
		}},
		"never reported":  {{runs(new140), connect(-2000)}, {ack(4, "unknown 0")}},
		"stops reporting": {answering, {ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), {6999, nothing, "proven 5"}, {7001, nothing, "unknown 0"}}},
		"comes back as another process": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), disconnect(300, "unknown 0"), connect(400),
			{401, nothing, "pending 400"},
			flushed(2000, 4000, 0, 9, "pending 400"), ack(4100, "pending 400"), flushed(4000, 6000, 0, 9, "pending 400"), flushed(6000, 8000, 0, 9, "proven 400"),
		}},
		"a load report without the origin": {answering, {
			ack(4, ""), loaded(5, 255, quiet, 50, "proven 5"), {505, func(t *tracker) {
				p1(t).round(round{notBefore: at(255), arrived: at(505), length: 250 * time.Millisecond, away: []load{{}}, requests: 9})
			}, "pending 4"}, loaded(505, 755, quiet, 50, "proven 505"),
		}},
		"a pick in a load report after metrics were clean": {refusing, {
			ack(4, ""), flushed(0, 2000, 1, 9, ""), flushed(2000, 4000, 0, 9, "proven 2000"), loaded(4000, 4250, load{failed: 1}, 9, "pending 4250"),
			flushed(4000, 6000, 1, 9, "pending 6000"), flushed(6000, 8000, 0, 9, "proven 6000"),
		}},
		"it answered, but not in the last flush": {{runs(new140), connect(-5000), flushed(-4000, -2000, 9, 9, ""), flushed(-2000, 0, 0, 9, "")}, {
			ack(4, ""), loaded(5, 255, quiet, 50, "pending 4"),
		}},
		"a flush that ended before the acknowledgement and came after it": {refusing, {
			ack(900, ""), {901, func(t *tracker) {
				p1(t).interval(interval{from: at(100), to: at(890), arrived: at(901), away: []seen{{}}, complete: true})
			}, "pending 0"},
		}},
	}
	for name, parts := range cases {
		t.Run(name, func(t *testing.T) {
			tr := newTracker(Change{Fleet: "default", Service: "orders", Away: []string{"eks"}, Toward: []string{"ecs"}, Called: testTime})
			for _, events := range parts {
				for _, e := range events {
					e.apply(tr)
					s := tr.state(at(e.when))
					if got := fmt.Sprintf("%s %d", s.State, s.Since.Milliseconds()); e.want != "" && got != e.want {
						t.Fatalf("at %d ms: %s (%s), want %s", e.when, got, s.Reason, e.want)
					}
					if (s.Reason == "") != (s.State == Proven) {
						t.Errorf("at %d ms: %s with reason %q", e.when, s.State, s.Reason)
					}
				}
			}
		})
	}
}

func nothing(*tracker) {}

func TestTrackerOfFleet(t *testing.T) {
	change := Change{Fleet: "default", Service: "orders", Away: []string{"eks", "old"}, Toward: []string{"ecs"}, Called: testTime}
	proven := func(w *witness, open int64) {
		w.connected, w.acked, w.reported, w.period = true, at(1), at(1000), time.Second
		w.clean = evidence{is: true, whole: true, served: true, length: time.Second}
		w.open = []int64{open, 1}
	}
	tr := newTracker(change)
	if s := tr.state(at(1000)); s.State != Unknown || !strings.Contains(s.Reason, "no proxy of fleet default") {
		t.Errorf("no proxy: %+v", s)
	}
	proven(tr.at("p2"), 2)
	proven(tr.at("p1"), 3)
	s := tr.state(at(1000))
	if s.State != Proven || s.Reason != "" || s.OpenStreams["eks"] != 5 || s.OpenStreams["old"] != 2 || s.PerProxy[0].Proxy != "p1" || s.Resolution != time.Second {
		t.Errorf("%+v", s)
	}
	tr.at("p2").clean.served = false
	if s = tr.state(at(1000)); s.State != Silent || s.Count(Proven) != 1 || !strings.HasPrefix(s.Reason, "p2: no request") {
		t.Errorf("one silent: %+v", s)
	}
	for _, id := range []string{"p3", "p4"} {
		proven(tr.at(id), 0)
		tr.at(id).acked, tr.at(id).clean = time.Time{}, evidence{}
	}
	if s = tr.state(at(1000)); s.State != Pending || !strings.HasPrefix(s.Reason, "p3: has not acknowledged") || !strings.HasSuffix(s.Reason, "; 1 more is pending") {
		t.Errorf("two pending: %+v", s)
	}
	tr.connected("p0", true, at(900))
	tr.connected("p0", false, at(1000))
	if s = tr.state(at(1000)); s.State != Unknown || !strings.HasPrefix(s.Reason, "p0: is not connected") {
		t.Errorf("one lost: %+v", s)
	}
	tr.forget("p3")
	tr.forget("p4")
	if s = tr.state(at(1000).Add(keepLost + time.Second)); s.Count(Unknown) != 2 || len(s.PerProxy) != 2 {
		t.Errorf("p0 is lost for longer than a day, the others stopped reporting: %+v", s)
	}
	tr.change.KeepPins = true
	tr.forget("p0")
	if s = tr.state(at(1000)); s.State != Unknown || !strings.Contains(s.Reason, "pins are kept") {
		t.Errorf("pins kept: %+v", s)
	}
}

// A model of a proxy: requests pick or do not, at random times, whatever the control plane was told; flushes and load reports are made from
// them by the rules that were measured. A proof may never be contradicted by a pick that it should have seen.
func TestTrackerNeverClaimsFalsely(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	verdicts := map[State]int{}
	for range 1000 {
		m := newModel(random)
		m.run(t, verdicts)
	}
	t.Log(verdicts)
	if verdicts[Proven] < 5000 || verdicts[Pending] < 5000 || verdicts[Silent] < 1000 {
		t.Errorf("the models show little: %v", verdicts)
	}
}
