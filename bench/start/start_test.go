package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

func TestMistakes(t *testing.T) {
	for args, want := range map[string]string{"-runs 0": "-runs: 0: must be", "-proxies 0": "-proxies: 0: must be", "x": `"x" is not a flag`} {
		if _, err := parse(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}
