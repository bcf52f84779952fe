package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

func TestQuick(t *testing.T) {
	results := t.TempDir()
	if err := run(t.Context(), []string{"-quick", "-runs", "1", "-proxies", "2", "-results", results}); err != nil {
		t.Fatal(err)
	}
	lines, err := report.Read(filepath.Join(results, "*-quick"))
	if err != nil {
		t.Fatal(err)
	}
	for _, metric := range []string{"ready", "first_complete", "all_complete", "resident", "resident_peak"} {
		if !slices.ContainsFunc(lines, func(l *report.Line) bool { return l.Metric == metric && l.N == 1 && l.Max > 0 }) {
			t.Errorf("%s was not measured", metric)
		}
	}
}

// TestAims are amounts that people can read, of the size that they are stated for, and can be missed.
func TestAims(t *testing.T) {
	runs := func(v float64) report.Series { return report.Series{{v}} }
	for _, c := range []struct {
		services                 int
		first, all, memory, peak float64
		want                     string
	}{
		{aimServices, 0.2, 0.29, 90e6, 99e6, "first_complete 300 ms: true; all_complete 300 ms: true; resident 100.0 MB: true; resident_peak 100.0 MB: true; "},
		{aimServices, 0.2, 0.31, 90e6, 101e6, "first_complete 300 ms: true; all_complete 300 ms: false; resident 100.0 MB: true; resident_peak 100.0 MB: false; "},
		{aimServices, 0.4, 0.41, 101e6, 102e6, "first_complete 300 ms: false; all_complete 300 ms: false; resident 100.0 MB: false; resident_peak 100.0 MB: false; "},
		{1000, 0.2, 0.2, 90e6, 90e6, ""},
	} {
		r := report.NewRun("start", "", 1, time.Time{})
		o := &options{proxies: aimProxies}
		o.lines(r, c.services, &measured{ready: runs(0.1), first: runs(c.first), all: runs(c.all), resident: runs(c.memory), peak: runs(c.peak)})
		got := ""
		for _, l := range r.Lines() {
			if l.Aim != nil {
				got += fmt.Sprintf("%s %s: %t; ", l.Metric, strings.TrimSuffix(strings.TrimPrefix(*l.Aim, "p99 <= "), ", 0 failed"), *l.Met)
			}
		}
		if got != c.want {
			t.Errorf("%d services: %s, not %s", c.services, got, c.want)
		}
	}
}

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{"-runs 0": "-runs: 0: must be", "-proxies 0": "-proxies: 0: must be", "x": `"x" is not a flag`} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
