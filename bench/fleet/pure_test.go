package main

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/internal/deltaclient"
)

// TestStatesAreToldApart: the digest must see every change, or the check after each flip holds nothing.
func TestStatesAreToldApart(t *testing.T) {
	w := workload{Services: 4, Flipping: 2}
	quick := digester{workload: w}
	seen := map[uint64]string{}
	for _, at := range []state{
		{},
		{Flip: 1},
		{Flip: 2},
		{Flip: 3},
		{Flip: 3, Folded: 3},
		{Flip: 4, Folded: 3},
		{Flip: 4, Folded: 3, Marked: 1},
		{Flip: 4, Folded: 3, Marked: 2},
		{InRoutes: true},
		{Flip: 1, InRoutes: true},
	} {
		d := digest(w.resources(at)...)
		if before, ok := seen[d]; ok {
			t.Errorf("%+v has the digest of %s", at, before)
		}
		seen[d] = fmt.Sprintf("%+v", at)
		if again := quick.digest(at); again != d {
			t.Errorf("%+v: %x, and of what changes alone %x", at, d, again)
		}
	}
}

func TestSlopes(t *testing.T) {
	x := []float64{1, 10, 100}
	line := func(rounds int) (out report.Series) {
		for round := range rounds {
			out = append(out, []float64{float64(round)})
		}
		return out
	}
	y := []report.Series{line(3), line(2), line(2)} // the third round has one size only
	for i := range y {
		for round := range y[i] {
			y[i][round][0] = 7 + float64(round+1)*x[i]
		}
	}
	got := slopes(x, y, report.ByMean).All()
	if len(got) != 2 || math.Abs(got[0]-1) > 1e-9 || math.Abs(got[1]-2) > 1e-9 {
		t.Errorf("slopes %v, want 1 and 2", got)
	}
	y[2][0] = nil // gave up
	if got := slopes(x, y, report.ByMean).All(); len(got) != 1 {
		t.Errorf("slopes %v, want that of the second round alone", got)
	}
}

// TestWhoMisbehaves: the meter tells by the id alone who can, and those that refuse do so with the marked resource, while it is on.
func TestWhoMisbehaves(t *testing.T) {
	r := &fleetRole{manners: manners{Manners: Manners{Refusing: 1, Slow: 2, Least: time.Nanosecond, Most: time.Nanosecond}}}
	var unruly []int
	for i := range 5 {
		if isUnruly(clientID(i, r.manners.unruly(i))) {
			unruly = append(unruly, i)
		}
		if answers := r.manners.of(i, "marked") != nil; answers != (i < 3) {
			t.Errorf("client %d decides itself: %t", i, answers)
		}
	}
	if !slices.Equal(unruly, []int{0, 1, 2}) {
		t.Errorf("%v can misbehave", unruly)
	}
	answer := r.manners.of(0, "marked")
	refuses := func(typeURL, name string) bool {
		return answer(deltaclient.Response{Type: typeURL, Upserts: []string{name}}).Refuse != ""
	}
	for _, on := range []bool{false, true, false} {
		if err := r.Behave(BehaveArgs{on}, nil); err != nil {
			t.Fatal(err)
		}
		if refuses(deltaclient.Endpoints, "marked") != on || refuses(deltaclient.Endpoints, "other") || refuses(deltaclient.Cluster, "marked") {
			t.Errorf("misbehaving %t: it refuses otherwise", on)
		}
	}
}

// TestHolding: who does not count is not waited for, and who turns wrong again later does no harm.
func TestHolding(t *testing.T) {
	clients := []*deltaclient.Client{deltaclient.New(deltaclient.Config{ID: "a"}), deltaclient.New(deltaclient.Config{ID: "b"})}
	var h holding
	isAll := func(all <-chan struct{}) bool {
		select {
		case <-all:
			return true
		default:
			return false
		}
	}
	if isAll(h.expect([]wanted{{digest: 1}, {}}, clients)) {
		t.Error("one holds nothing, and should hold something")
	}
	if count, one := h.missing(); count != 1 || one != 0 {
		t.Errorf("%d are missing, one of them %d", count, one)
	}
	if !isAll(h.expect([]wanted{{digest: 1, ignored: true}, {}}, clients)) {
		t.Error("who does not count is waited for")
	}
	all := h.expect([]wanted{{}, {}}, clients)
	h.mu.Lock()
	h.want[0].digest = 1
	h.mu.Unlock()
	h.changed(0, clients[0])
	h.mu.Lock()
	h.want[0].digest = 0
	h.mu.Unlock()
	h.changed(0, clients[0])
	if !isAll(all) {
		t.Error("all held it once")
	}
}

// TestTheMeterCountsWhoMust: a stream of one that can misbehave does not count for those that behave.
func TestTheMeterCountsWhoMust(t *testing.T) {
	var m meter
	w := m.expect("type", "name", false, 2)
	m.ack(w, time.Now(), false)
	if left := m.stop(w); left != 1 {
		t.Errorf("%d have not answered, want 1", left)
	}
}

// TestAPeerThatGaveUp: its line is one of the rounds that are there, and says so; ours has no ratio, and says why.
func TestAPeerThatGaveUp(t *testing.T) {
	p := &parts{options: &options{}, report: &report.Run{}}
	own, other := subject{system: crossfade, Clients: 1}, subject{system: linear, Clients: 1}
	well := invented(own, 1)
	runs := results{own: {well, well, well}, other: {well, {GaveUp: "needs over 12 GB"}, well}}
	m := metricOf("memory")
	const why = "linearcache gave up in 1 of 3 rounds: needs over 12 GB"
	l := runs.line(other, linear, m, nil)
	if l.N != 2 || l.Invalid != "" || l.Note != why {
		t.Errorf("the peer's line %+v", l)
	}
	l = runs.line(own, crossfade, m, nil)
	p.compare(runs, l, m.by, side{own, m}, side{other, m}, linear)
	if l.N != 3 || l.Ratio != nil || l.Invalid != "" || l.Note != why {
		t.Errorf("our line %+v", l)
	}
	if l.AimRatio(1); *l.Met {
		t.Error("an aim is met without a ratio")
	}
}

// TestOnlyWantedPeersMisbehave: the part manners has the first peer, if it is wanted at all.
func TestOnlyWantedPeersMisbehave(t *testing.T) {
	for peers, want := range map[string][]string{"": {crossfade}, snapshot: {crossfade}, linear + "," + snapshot: {crossfade, linear}} {
		o, err := parse([]string{"-peers", peers})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range (&parts{options: o}).unrulySubjects() {
			got = append(got, s.system)
		}
		if !slices.Equal(got, want) {
			t.Errorf("-peers %q: %q, want %q", peers, got, want)
		}
	}
}

// TestShortRunsHaveIntervals: of fewer than five rounds no aim is met.
func TestShortRunsHaveIntervals(t *testing.T) {
	o, err := parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	rounds := []int{o.pairs, o.unruly.rounds}
	for _, e := range slices.Concat(o.sizes.proxies, o.services, o.sizes.envoy) {
		rounds = append(rounds, e.rounds)
	}
	if slices.Min(rounds) < 5 {
		t.Errorf("rounds %v", rounds)
	}
}
