package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

// written makes a report in which a benchmark took this long, in seconds, at the side of a peer that took 2.
func written(t *testing.T, root, name string, took ...float64) {
	t.Helper()
	r := report.NewRun("x", "cmd", 1, time.Now())
	var own, peer report.Series
	for i, v := range took {
		own, peer = append(own, []float64{v}), append(peer, []float64{2 + float64(i)/100})
	}
	r.Add(report.NewLine("own", "took", "s", map[string]any{"n": 1}, own).Compare("peer", report.ByMean, own, peer))
	r.Add(report.NewLine("peer", "took", "s", map[string]any{"n": 1}, peer))
	if err := r.Write(filepath.Join(root, name)); err != nil {
		t.Fatal(err)
	}
}

func TestCompare(t *testing.T) {
	root := t.TempDir()
	written(t, root, "2026-01-01-aaaaaaa", 1, 1.01, 1.02, 1.01, 1)
	written(t, root, "2026-01-02-bbbbbbb", 1.5, 1.52, 1.51, 1.5, 1.53)
	written(t, root, "2026-01-02-ccccccc", 1.01, 1, 1, 1.02, 1.01)
	written(t, root, "2026-01-03-ddddddd", 1)
	for _, c := range []struct {
		args []string
		want []string // of the output, or of the error
		fail bool
	}{
		{[]string{"aaaaaaa", "bbbbbbb"}, []string{"BEYOND NOISE", "× 1.5", "1 of 2 lines changed beyond the noise"}, false},
		{[]string{"aaaaaaa", "ccccccc"}, []string{"0 of 2 lines changed beyond the noise"}, false},
		{[]string{"-all", "aaaaaaa", "ccccccc"}, []string{"took", "no\n"}, false},
		{[]string{"-all", "aaaaaaa", "ddddddd"}, []string{"not known", "2 more have no interval"}, false},
		{[]string{filepath.Join(root, "2026-01-01-aaaaaaa"), "ccccccc"}, []string{"0 of 2"}, false},
		{[]string{"aaaaaaa"}, []string{"1 reports are named"}, true},
		{[]string{"aaaaaaa", "2026-01-02"}, []string{"several reports", "bbbbbbb", "ccccccc"}, true},
		{[]string{"aaaaaaa", "eeeeeee"}, []string{`"eeeeeee": no report`}, true},
		{[]string{"aaaaaaa", ""}, []string{`"": no report`}, true},
	} {
		var out strings.Builder
		err := run(append([]string{"-results", root}, c.args...), &out)
		text := out.String()
		if err != nil {
			text = err.Error()
		}
		if (err != nil) != c.fail {
			t.Errorf("%v: %v", c.args, err)
		}
		for _, want := range c.want {
			if !strings.Contains(text, want) {
				t.Errorf("%v: %q is not in:\n%s", c.args, want, text)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(root, "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"-results", root, "empty", "aaaaaaa"}, &strings.Builder{}); err == nil {
		t.Error("a folder without a report is compared")
	}
}
