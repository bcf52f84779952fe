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
