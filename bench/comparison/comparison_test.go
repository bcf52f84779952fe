package main

import (
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
	"github.com/crossfade-proxy/crossfade/pkg/shadow/shadowtest"
)

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
	if err := r.Write(t.TempDir()); err != nil {
		t.Error(err)
	}
}
