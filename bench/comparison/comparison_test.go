package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

// TestThePeer finds each place once, and decodes nothing if there is nothing to find.
func TestThePeer(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{`{"a":[{"b":1},{"b":2}],"c":null}`, `{"c":null,"a":[{"b":1},{"b":2}]}`, ""},
		{`{"a":[{"b":1,"x":{"y":1}},{"b":2}]}`, `{"a":[{"b":1,"x":{"y":2}},{"b":3}]}`, "$.a[*].b $.a[*].x.y"},
		{`{"a":1,"c":{"d":1}}`, `{"b":1,"c":{"e":1}}`, "$.a $.b $.c.d $.c.e"},
		{`{"a":[1,2],"b":{},"c":[]}`, `{"a":[1],"b":[],"c":"x"}`, "$.a $.b $.c"},
		{`1`, `"1"`, "$"},
		{`{`, `{}`, "invalid"},
	} {
		got := naive([]byte(c.a), []byte(c.b))
		slices.Sort(got)
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s and %s: %s, not %s", c.a, c.b, text, c.want)
		}
	}
	p := pairOf(2<<10, true)
	if n := testing.AllocsPerRun(10, func() { naive(p.Control.Body, p.Candidate.Body) }); n > 0 {
		t.Errorf("equal bodies take %g allocations", n)
	}
}

// TestRecallHoldsFalseFindingsToo: who reports everything misses nothing.
func TestRecallHoldsFalseFindingsToo(t *testing.T) {
	for _, c := range []struct {
		missed, invented int
		met              bool
	}{{0, 0, true}, {1, 0, false}, {0, 1, false}} {
		if l := recallLine(report.Series{{30}}, c.missed, c.invented, 1, 60); *l.Met != c.met || l.Failed != c.missed+c.invented {
			t.Errorf("%+v: %+v", c, l)
		}
	}
}

// TestSmall runs what there is, as small as it may be. It asks no clock: what it holds is that both ways of the cost find the same, that the
// world is found and nothing else, and that the report has a line for all.
func TestSmall(t *testing.T) {
	r := report.NewRun("comparison", "test", 1, time.Now())
	o := &options{runs: 2, run: 50 * time.Millisecond, noisy: 2, pairs: 1000, Options: report.Options{Seed: 1}}
	if err := cost(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	if err := noise(t.Context(), o, r); err != nil {
		t.Fatal(err)
	}
	got, err := recallOne(t.Context(), 1, 1, 60)
	if err != nil {
		t.Fatal(err)
	}
	r.Add(recallLine(report.Series{got.needed}, got.missed, got.invented, 1, 60))
	both, err := besideOne(t.Context(), 1, shadowtest.Options{Endpoints: 3, Rate: 0.5, Noise: 0.1, Noisy: 40}, 2000)
	if err != nil {
		t.Fatal(err)
	}
	besideLines(r, []beside{both}, map[string]any{"pairs": 2000})
	const ofCost, ofDiffy = 4 * 3 * 2, 4
	if n := len(r.Lines()); n != ofCost+2+ofDiffy {
		t.Errorf("%d lines", n)
	}
	if got.missed+got.invented > 0 || both.planted != len(shadowtest.Kinds) || both.invented[0] > 0 || min(both.found[0], both.found[1]) < 18 {
		t.Errorf("%+v, %+v", got, both)
	}
	for _, l := range r.Lines() {
		say(l) // two runs have no interval
		if aimed := l.Metric == "cpu of a pair" && l.System == system && l.Case["equal"] == false; l.Case["equal"] != nil && (l.Aim != nil) != aimed {
			t.Errorf("%s of %v, %s: the aim is %v", l.Metric, l.Case, l.System, l.Aim)
		}
	}
	if err := r.Write(t.TempDir()); err != nil {
		t.Error(err)
	}
}
