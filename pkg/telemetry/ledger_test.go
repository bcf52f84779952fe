package telemetry

import (
	"testing"
	"testing/synctest"
	"time"
)

// book is a ledger that is told what happens, in milliseconds.
type book struct {
	ledger
	number uint64
}

// round is a load report of 250 ms with so many answers.
func (b *book) round(ms, answered, failed int) credit {
	return b.ledger.round(at(ms), at(ms), []tries{{endpoint: "a", issued: uint64(answered), succeeded: uint64(answered - failed), failed: uint64(failed)}})
}

// flush is one that arrives at once, after others or, with a gap, after none.
func (b *book) flush(ms, requests, failures int, gap bool) credit {
	b.number++
	return b.ledger.flush(b.number, interval{from: at(ms - 1000), to: at(ms), arrived: at(ms), complete: true, gap: gap}, credit{uint64(requests), uint64(failures)})
}

type bookEntry struct {
	what      string
	got, want credit
}

func checkBook(t *testing.T, entries ...bookEntry) {
	t.Helper()
	for i, e := range entries {
		if e.got != e.want {
			t.Errorf("step %d, %s: %+v, want %+v", i, e.what, e.got, e.want)
		}
	}
}

// What only metrics show was held against all that load reports showed afterwards: after a burst of refused connections each failure was as late as
// metrics are.
func TestRefusedBurstDoesNotHideLaterFailures(t *testing.T) {
	var b book
	checkBook(t,
		bookEntry{"a round", b.round(250, 50, 1), credit{50, 1}},
		bookEntry{"a flush with a burst of 100", b.flush(300, 150, 101, false), credit{}},
		bookEntry{"the round that covers it", b.round(500, 50, 0), credit{100, 100}},
		bookEntry{"a failure", b.round(750, 50, 1), credit{50, 1}},
		bookEntry{"more of them", b.round(1000, 50, 3), credit{50, 3}},
		bookEntry{"a flush of what is known", b.flush(1001, 150, 4, false), credit{}},
		bookEntry{"and on", b.round(1250, 50, 2), credit{50, 2}},
		bookEntry{"the statuses of gRPC, too", b.round(1500, 50, 10), credit{50, 10}},
		bookEntry{"which metrics do not have", b.flush(2000, 100, 2, false), credit{}},
		bookEntry{"a round", b.round(2250, 50, 0), credit{50, 0}},
		bookEntry{"a burst of 5", b.flush(3000, 55, 5, false), credit{}},
		bookEntry{"shows beside them", b.round(3250, 50, 0), credit{55, 5}},
	)
}

// A flush that never came made all further requests as late as metrics are.
func TestLostFlushDoesNotHideLaterRequests(t *testing.T) {
	var b book
	checkBook(t,
		bookEntry{"a round", b.round(250, 500, 5), credit{500, 5}},
		bookEntry{"the flush with it was lost", b.flush(2000, 10, 0, true), credit{}},
		bookEntry{"a round", b.round(2250, 50, 1), credit{50, 1}},
		bookEntry{"a flush", b.flush(4000, 50, 1, false), credit{}},
		bookEntry{"a round", b.round(4250, 50, 1), credit{50, 1}},
		bookEntry{"a burst", b.flush(6000, 70, 21, false), credit{}},
		bookEntry{"shows", b.round(6250, 0, 0), credit{20, 20}},
	)
}

// Streams of gRPC are in metrics when they begin, and in load reports when they end: what was counted twice for that is taken off later.
func TestStreamsAreNotCountedTwiceForGood(t *testing.T) {
	var b book
	total := credit{}
	for _, n := range []credit{
		b.flush(1000, 100, 0, false), // 100 streams begin
		b.round(1250, 0, 0),          // and nothing ends
		b.round(1500, 100, 0),        // they end: counted again
		b.flush(3000, 0, 0, false),
		b.round(3250, 0, 0),
		b.flush(5000, 0, 0, false), // now it is known
	} {
		total.add(n)
	}
	if total != (credit{200, 0}) {
		t.Fatalf("%+v", total)
	}
	checkBook(t,
		bookEntry{"new ones", b.round(5250, 60, 0), credit{}},
		bookEntry{"and more", b.round(5500, 60, 1), credit{20, 1}},
	)
}

// A proxy whose load reports stopped while it was asked for them left its metrics waiting.
func TestMetricsDoNotWaitForRoundsForEver(t *testing.T) {
	var b book
	checkBook(t,
		bookEntry{"a round", b.round(250, 10, 0), credit{10, 0}},
		bookEntry{"a flush", b.flush(2000, 100, 3, false), credit{}},
		bookEntry{"the next", b.flush(4000, 100, 3, false), credit{90, 3}},
		bookEntry{"and so on", b.flush(6000, 100, 3, false), credit{100, 3}},
	)
}

// What has failed after it had a connection is not what has found none.
func TestTriesWithoutAConnectionAreNoFailures(t *testing.T) {
	type step struct {
		report []tries
		want   credit
	}
	for name, steps := range map[string][]step{
		"a refusing endpoint beside a good one": {{[]tries{{"good", 10, 10, 0, 0}, {"dead", 0, 0, 9, 0}}, credit{10, 0}}},
		"slow failures":                         {{[]tries{{"a", 3, 0, 0, 3}}, credit{}}, {[]tries{{"a", 0, 0, 0, 3}}, credit{}}, {[]tries{{"a", 0, 0, 3, 0}}, credit{3, 3}}},
		"open since before":                     {{[]tries{{"a", 0, 0, 0, 5}}, credit{}}, {[]tries{{"a", 0, 0, 5, 0}}, credit{5, 5}}},
		"open streams that were answered": {
			{[]tries{{"a", 0, 0, 0, 0}}, credit{}}, {[]tries{{"a", 50, 50, 0, 50}}, credit{50, 0}}, {[]tries{{"a", 0, 0, 7, 50}}, credit{}},
		},
		"an endpoint that dies":    {{[]tries{{"a", 20, 18, 0, 2}}, credit{18, 0}}, {[]tries{{"a", 5, 1, 16, 0}}, credit{7, 6}}, {[]tries{{"a", 0, 0, 9, 0}}, credit{}}},
		"clients that go away":     {{[]tries{{"a", 9, 0, 0, 9}}, credit{}}, {nil, credit{}}, {[]tries{{"a", 0, 0, 9, 0}}, credit{}}},
		"numbers that cannot be":   {{[]tries{{"a", 1 << 63, 0, 1 << 63, 1 << 63}, {"a", 1 << 63, 1 << 63, 0, 1 << 63}}, credit{2 * most, most}}},
		"a locality without names": {{[]tries{{"", 4, 3, 1, 0}}, credit{4, 1}}},
	} {
		var u unanswered
		for i, s := range steps {
			if got := u.round(s.report); got != s.want {
				t.Errorf("%s, report %d: %+v, want %+v", name, i, got, s.want)
			}
		}
	}
}

// A proxy that is forgotten takes nothing with it that has come already.
func TestForgottenProxyWasCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel := New(Options{})
		p, end := proxyPipe(t, tel, "p1")
		defer end()
		w := tel.Watch("orders", []string{"default"}, "eks")
		defer w.Close()
		expect(t, "watched", p.asked(), "[orders/eks] 250ms")
		<-time.After(100 * time.Millisecond)
		busy(t, tel, "p1", "orders")
		if got := counts(w.Read(time.Now())); got != "0/0 " {
			t.Errorf("no round has come that covers it, and it shows %s", got)
		}
		tel.Forget("default", "p1")
		if got := counts(w.Read(time.Now())); got != "0/9 " {
			t.Errorf("counted %s", got)
		}
	})
}
