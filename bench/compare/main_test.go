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

// TestAWholeNameIsMeantRatherThanAPart, since the short form of a report has its name and more.
func TestAWholeNameIsMeantRatherThanAPart(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"2026-01-01-aaaaaaa", "2026-01-01-aaaaaaa-short", "2026-01-01-bbbbbbb-short"} {
		written(t, root, name, 1)
	}
	for name, want := range map[string]string{
		"2026-01-01-aaaaaaa": "2026-01-01-aaaaaaa", "aaaaaaa": "2026-01-01-aaaaaaa", "aaaaaaa-short": "2026-01-01-aaaaaaa-short", "bbbbbbb": "2026-01-01-bbbbbbb-short",
	} {
		if got, err := find(root, name); err != nil || filepath.Base(got) != want {
			t.Errorf("%s is %s, %v", name, got, err)
		}
	}
	if got, err := find(root, "2026-01-01"); err == nil {
		t.Errorf("several are %s", got)
	}
}

func TestDifferences(t *testing.T) {
	of := func(bench, command, envoy, cpu string) *report.Line {
		l := report.NewLine("s", "m", "s", nil, report.Series{{1}})
		l.Bench, l.Command = bench, command
		l.Machine, l.Versions = map[string]any{"cpu": cpu}, map[string]string{"envoy": envoy, "crossfade": command}
		if envoy == "" {
			l.Versions = map[string]string{"example.com/module": "v1"}
		}
		return l
	}
	before := []*report.Line{of("x", "run x", "1.37", "old"), of("y", "run y", "9", "other")}
	for name, c := range map[string]struct {
		after []*report.Line
		want  []string
	}{
		"nothing":          {[]*report.Line{of("x", "run x", "1.37", "old")}, nil},
		"what is not held": {[]*report.Line{of("x", "run x", "1.37", "old"), of("z", "run z", "8", "new")}, nil},
		"all": {[]*report.Line{of("x", "run x -full", "1.40", "new")}, []string{
			"cpu was old, and is new", "envoy was 1.37, and is 1.40", "the command of x was run x, and is run x -full",
		}},
		"no Envoy": {[]*report.Line{of("x", "run x", "", "old")}, []string{"envoy was 1.37, and is not there"}},
	} {
		got := differences(before, c.after)
		if len(got) != len(c.want) {
			t.Errorf("%s: %q", name, got)
			continue
		}
		for i, want := range c.want {
			if !strings.Contains(got[i], want) {
				t.Errorf("%s: %q lacks %q", name, got[i], want)
			}
		}
	}
}

func TestCountsSayWhatIsInvalid(t *testing.T) {
	root := t.TempDir()
	written(t, root, "2026-01-01-aaaaaaa", 1, 1.01, 1.02)
	before, err := report.Read(filepath.Join(root, "2026-01-01-aaaaaaa"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := report.Read(filepath.Join(root, "2026-01-01-aaaaaaa"))
	if err != nil {
		t.Fatal(err)
	}
	after[0].Invalidate("the machine was busy")
	var out strings.Builder
	if err := show(&out, before, after, false); err != nil || !strings.Contains(out.String(), "0 of 1 lines changed beyond the noise; 1 are invalid in one of the reports") {
		t.Errorf("%v: %s", err, out.String())
	}
	after[1].Invalidate("the machine was busy")
	if err := show(&out, before, after, false); err != nil {
		t.Error(err)
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

// TestTurnsAreSaidOnce: what all lines of a case say, as their rate, is said once for them all.
func TestTurnsAreSaidOnce(t *testing.T) {
	of := func(rate float64, failed int) (lines []*report.Line) {
		for _, metric := range []string{"latency", "cpu"} {
			l := report.NewLine("own", metric, "s", map[string]any{"n": 1}, report.Series{{1}})
			l.Bench, l.OfferedRPS = "x", &rate
			lines = append(lines, l)
		}
		lines[0].Failed = failed
		return lines
	}
	var out strings.Builder
	if err := show(&out, of(1000, 0), of(1500, 1), false); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"turned: x, n 1, own: latency and cpu: not of the same load: 1000 were offered per second, and now 1500\n",
		"turned: x, n 1, own: latency: none failed, and now 1 of 1 failed\n", "0 of 0 lines changed beyond the noise; 2 more have no interval",
	} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("%q is not once in:\n%s", want, out.String())
		}
	}
}
