package report

import (
	"html"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// written are both pages of a report of a commit that has these lines, as they are read.
func written(t *testing.T, commit string, lines ...*Line) (summary, page string) {
	t.Helper()
	r := NewRun("x", "go run ./bench/x -full", 1, time.Now())
	r.commit = commit
	for _, l := range lines {
		r.Add(l)
	}
	folder := t.TempDir()
	if err := r.Write(folder); err != nil {
		t.Fatal(err)
	}
	var texts [2]string
	for i, name := range []string{"summary.md", "index.html"} {
		b, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = html.UnescapeString(string(b))
	}
	return texts[0], texts[1]
}

func line(metric string) *Line { return NewLine("s", metric, "s", nil, Series{{1, 2, 3}}) }

// TestPagesSayHowTheyAreRepeated by the commands as they were at the commit; what is of none is not.
func TestPagesSayHowTheyAreRepeated(t *testing.T) {
	const checkout = "git worktree add ../crossfade-abcdef0 abcdef0 && (cd ../crossfade-abcdef0 && go run ./bench/x -full)"
	for commit, want := range map[string]string{
		"abcdef0": checkout, "abcdef0-dirty": "cannot be repeated: files differed from commit abcdef0", unknown: "cannot be repeated: nobody knows",
	} {
		summary, page := written(t, commit, line("m"))
		for name, text := range map[string]string{"summary.md": summary, "index.html": page} {
			if !strings.Contains(text, want) || !strings.Contains(text, "go run ./bench/x -full") || slices.ContainsFunc(method, func(m string) bool { return !strings.Contains(text, m) }) {
				t.Errorf("%s of %s lacks %q, the command or the method:\n%s", name, commit, want, text)
			}
			if remove := strings.Contains(text, "git worktree remove --force ../crossfade-abcdef0"); remove != (want == checkout) || want != checkout && strings.Contains(text, "git worktree add") {
				t.Errorf("%s of %s says that it is repeated by a commit, or not how what that leaves is taken away", name, commit)
			}
		}
	}
}

func TestPagesShowRatesAndWhatIsInvalid(t *testing.T) {
	slow := line("slow").AimP99(9).Invalidate("the rate was not reached")
	slow.OfferedRPS, slow.AchievedRPS, slow.Note = ptr(4000.0), ptr(3990.4), "cores 0.2"
	summary, page := written(t, "abcdef0", slow, line("plain").Invalidate("the machine was busy"))
	for _, want := range []string{
		"| aim | per second: reached of offered |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
		"| not met: p99 <= 9 s, 0 failed: p99 3 s, largest of 3 3 s; invalid: the rate was not reached | 3990 of 4000 |\n", "| invalid: the machine was busy |  |\n",
	} {
		if !strings.Contains(summary, want) {
			t.Errorf("summary.md lacks %q:\n%s", want, summary)
		}
	}
	for _, want := range []string{
		"offered 4000/s, 3990 reached; cores 0.2</td>", "p99 3 s, largest of 3 3 s; invalid: the rate was not reached</td>",
		`missed">not met: p99 <= 9 s, 0 failed: p99 3 s, largest of 3 3 s; invalid: the rate was not reached</td>`, `missed">invalid: the machine was busy</td>`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("index.html lacks %q:\n%s", want, page)
		}
	}
	if !strings.Contains(summary, "- [x](#x): 0 of 1 aims met\n") {
		t.Errorf("the contents lack the aims:\n%s", summary)
	}
	if summary, _ := written(t, "abcdef0", line("plain")); strings.Contains(summary, "per second") || !strings.Contains(summary, "- [x](#x), which has no aims\n") {
		t.Errorf("there is a column of rates, and there are none:\n%s", summary)
	}
}

// TestPagesSayWhatIsMeasured, and how long that took.
func TestPagesSayWhatIsMeasured(t *testing.T) {
	l := line("first_complete")
	l.Bench, l.Commit, l.TookSeconds = "start", "abcdef0", 189
	text := summary("title", "", []*Line{l})
	folder := t.TempDir()
	if err := pages(folder, "title", "", []*Line{l}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(folder, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	const took, fold, then = " UTC, took 3m9s. Machine", "<details><summary>" + aboutTitle + "</summary>", "Of this report: git show abcdef0:bench/start/doc.go"
	for _, want := range []string{took, fold, then, "first\\_complete: the first of the proxies"} {
		if !strings.Contains(text, want) {
			t.Errorf("summary.md lacks %q:\n%s", want, text)
		}
	}
	for _, want := range []string{took, fold, then, "<li>first_complete: the first of the proxies"} {
		if !strings.Contains(string(page), want) {
			t.Errorf("index.html lacks %q:\n%s", want, page)
		}
	}
	if _, page := written(t, "abcdef0", line("m")); strings.Contains(page, "<details>") || strings.Contains(page, ", took") {
		t.Error("of what nobody knows something is said")
	}
}

// TestOldReportsSayWhatWasMeasured, which they do not have in words.
func TestOldReportsSayWhatWasMeasured(t *testing.T) {
	for aim, want := range map[string]string{
		"ratioHigh <= 2": "mean 1 [1, 1] of peer", "p99 <= 5 s, 0 failed": "p99 3 s", "p50 at most 2 s; none longer than 5 s": "p50 2 s", "mean at most 0.4": "mean 2 s",
		"max <= 3 s, 0 not found": "at most 3 s", "at most 1024 MiB": "at most 3 s", "0 failed": "0 of 9 failed",
	} {
		s := Series{{1, 2, 3}, {1, 2, 3}, {1, 2, 3}}
		l := NewLine("s", "m", "s", nil, s).Compare("peer", ByMean, s, s).AimOf(aim, "", true)
		if got := l.measured(); got != want {
			t.Errorf("%s: %q, want %q", aim, got, want)
		}
		if l.Failed = 1; strings.Contains(aim, "most") && l.measured() != want+", 1 of 9 failed" {
			t.Errorf("%s: %q lacks what failed", aim, l.measured())
		}
	}
}

// TestNotesAreInTheSummary, which is what people read: once each, below the table.
func TestNotesAreInTheSummary(t *testing.T) {
	first, second, third, none := line("one"), line("two"), line("three"), NewLine("s", "four", "s", nil, nil)
	first.Note, second.Note, third.Note, none.Note = "gave up in 1 of 8 rounds", "busy", "gave up in 1 of 8 rounds", "as they wrote"
	summary, _ := written(t, "abcdef0", first, second, third, none, line("plain"))
	for _, want := range []string{
		"|  | one | s (1) | 3 |", "|  | two | s (2) | 3 |", "|  | three | s (1) | 3 |", "|  | four | s | 0 | as they wrote |", "|  | plain | s | 3 |",
		"|\n\n1. gave up in 1 of 8 rounds\n2. busy\n",
	} {
		if !strings.Contains(summary, want) {
			t.Errorf("summary.md lacks %q:\n%s", want, summary)
		}
	}
}

// TestPlotsOfFewSamples have a dot for each; only of fewer than five there is none.
func TestPlotsOfFewSamples(t *testing.T) {
	for n, want := range map[int]int{4: -1, 5: 5, 9: 9, 29: 29, 30: 0} {
		var s []float64
		for i := range n {
			s = append(s, float64(i+1))
		}
		of := string(plot(&group{Lines: []*Line{NewLine("s", "m", "s", nil, Series{s})}}))
		if got := strings.Count(of, "h0"); (of != "") != (want >= 0) || got != max(want, 0) || strings.Contains(of, `class="s0 dots"`) != (want > 0) {
			t.Errorf("%d samples: %d dots in %s", n, got, of)
		}
	}
}

// TestColoursOfLegendsAreThoseOfLines, also of more systems than there are colours.
func TestColoursOfLegendsAreThoseOfLines(t *testing.T) {
	var lines []*Line
	for range 8 {
		lines = append(lines, NewLine("s", "m", "s", nil, Series{{1, 2, 3, 4, 5}}))
	}
	_, page := written(t, "abcdef0", lines...)
	for i, want := range []int{2, 2, 1, 1, 1, 1, 0, 0} {
		legend, drawn := strings.Count(page, `<span class="`+"s"+strconv.Itoa(i)+`">`), strings.Count(page, `<path class="`+"s"+strconv.Itoa(i)+`" `)
		if legend != want || drawn != want {
			t.Errorf("colour %d: %d in the legend, %d lines, want %d", i, legend, drawn, want)
		}
	}
}
