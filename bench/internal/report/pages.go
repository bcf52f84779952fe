package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/doc/comment"
	"html/template"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// group is the lines that stand beside each other: the systems of one bench, case and metric.
type group struct {
	Bench, Case, Metric, Unit string
	Lines                     []*Line
}

// groups keeps the order in which lines were written.
func groups(lines []*Line) (out []*group) {
	for _, l := range lines {
		key := group{Bench: l.Bench, Case: l.CaseText(), Metric: l.Metric, Unit: l.Unit}
		i := slices.IndexFunc(out, func(g *group) bool {
			return g.Bench == key.Bench && g.Case == key.Case && g.Metric == key.Metric && g.Unit == key.Unit
		})
		if i < 0 {
			i, out = len(out), append(out, &key)
		}
		out[i].Lines = append(out[i].Lines, l)
	}
	return out
}

// CaseText is the case in words, keys sorted.
func (l *Line) CaseText() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(l.Case)) {
		parts = append(parts, fmt.Sprint(k, " ", l.Case[k]))
	}
	return strings.Join(parts, ", ")
}

// Pages makes summary.md and index.html of the reports in a folder.
func Pages(folder string) error {
	lines, err := Read(folder)
	if err != nil {
		return err
	}
	if len(lines) == 0 {
		return fmt.Errorf("%s: no report", folder)
	}
	return pages(folder, "Crossfade benchmarks, "+filepath.Base(folder), "", lines)
}

// pages writes both pages of some lines; missing is said at their top.
func pages(folder, title, missing string, lines []*Line) error {
	if err := os.WriteFile(filepath.Join(folder, "summary.md"), []byte(summary(title, missing, lines)), 0o644); err != nil {
		return err
	}
	var page bytes.Buffer
	data := map[string]any{"Title": title, "Missing": missing, "Method": method, "AboutTitle": aboutTitle, "Origins": origins(lines), "Groups": groups(lines), "Aims": aims(lines)}
	if err := pageTemplate.Execute(&page, data); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "index.html"), page.Bytes(), 0o644)
}

// aims are the lines that have one.
func aims(lines []*Line) (out []*Line) {
	for _, l := range lines {
		if l.Aim != nil {
			out = append(out, l)
		}
	}
	return out
}

// aimsMet is how many of a bench's aims are, to stand behind its name.
func aimsMet(bench string, lines []*Line) string {
	met, of := 0, 0
	for _, l := range aims(lines) {
		if l.Bench == bench {
			of++
			if *l.Met {
				met++
			}
		}
	}
	if of == 0 {
		return ", which has no aims"
	}
	return fmt.Sprintf(": %d of %d aims met", met, of)
}

// method is what both pages say about all figures.
var method = []string{
	"Every figure is repeated by the commands above its table, unless it says there that they cannot. go run ./bench/NAME -h says how long that takes; the last command " +
		"takes away what the first leaves, the new report included. That needs Go, git and the network; what is downloaded and built once has up to 4 GB in the home folder, and takes ten minutes for some.",
	"Intervals are of one run on one machine: another machine has other times, and ratios that differ by more than their intervals. What should come out alike are the aims.",
	"Ratios are geometric means over pairs of runs that took turns, or ran at the same time where the benchmark says so, with a 95 % interval by Student's t.",
	"An aim is met only by the worse end of what is known, which stands behind it. That of a ratio is the end of its interval, of five pairs at least. That of a p99 is its upper end, which it is not above with " +
		"97.5 %, whatever the distribution of all samples together; of fewer than 368 samples it is the largest, which alone says less.",
	"Older reports stay as they were judged. Of before commit c457199, the p99 of the samples was held against an aim, which has no end, and three pairs were enough. Of before commit cda3f49, intervals are by a bootstrap, " +
		"which is narrower. Of before commit 5460837, commands without -full were full runs.",
}

// origin says where the lines of one bench come from. Repeat are the commands for that; Doubt is why they may not do.
type origin struct {
	Bench, Repeat, Doubt, Commit, Time, Machine, Versions string
	Took                                                  string // empty where a report does not say it
	about                                                 *comment.Doc
	then                                                  string // the commit, if what was measured then can be read
	rated                                                 bool   // there are lines with a rate
}

// repeat is how a report is repeated, a command a line, and why it cannot be.
func (l *Line) repeat() (commands, doubt string) {
	switch clean, changed := strings.CutSuffix(l.Commit, dirty); {
	case changed:
		return l.Command, "It cannot be repeated: files differed from commit " + clean + ". "
	case l.Commit == "" || l.Commit == unknown:
		return l.Command, "It cannot be repeated: nobody knows of which commit it is. "
	}
	// Not a checkout: the run before, and the page of the latest that it wrote, would be in its way.
	return fmt.Sprintf("git worktree add ../crossfade-%[1]s %[1]s && (cd ../crossfade-%[1]s && %[2]s)\ngit worktree remove --force ../crossfade-%[1]s", l.Commit, l.Command), ""
}

func origins(lines []*Line) (out []origin) {
	for _, l := range lines {
		if i := slices.IndexFunc(out, func(o origin) bool { return o.Bench == l.Bench }); i >= 0 {
			out[i].rated = out[i].rated || l.rate() != ""
			continue
		}
		machine := map[string]string{}
		for k, v := range l.Machine {
			machine[k] = fmt.Sprint(v)
		}
		if bytes, ok := l.Machine["memoryBytes"].(float64); ok {
			machine["memoryBytes"] = Amount(bytes, "bytes")
		}
		repeat, doubt := l.repeat()
		out = append(out, origin{
			Bench: l.Bench, Repeat: repeat, Doubt: doubt, Commit: l.Commit, Time: l.Time.Format("2006-01-02 15:04 UTC"), Took: l.took(),
			Machine: pairs(machine), Versions: pairs(l.Versions), about: about(l.Bench), rated: l.rate() != "",
		})
		if doubt == "" {
			out[len(out)-1].then = l.Commit
		}
	}
	return out
}

// took is how long a run took, to stand behind when that was.
func (l *Line) took() string {
	if l.TookSeconds == 0 {
		return ""
	}
	return ", took " + time.Duration(l.TookSeconds*float64(time.Second)).Round(time.Second).String()
}

func pairs(m map[string]string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+" "+m[k])
	}
	return strings.Join(out, ", ")
}

func summary(title, missing string, lines []*Line) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", title)
	if missing != "" {
		fmt.Fprintf(&b, "%s\n\n", missing)
	}
	all := origins(lines)
	for _, o := range all {
		fmt.Fprintf(&b, "- [%[1]s](#%[1]s)%[2]s\n", o.Bench, aimsMet(o.Bench, lines))
	}
	b.WriteString("\nOf all figures:\n\n")
	for _, m := range method {
		fmt.Fprintf(&b, "- %s\n", m)
	}
	for _, o := range all {
		fmt.Fprintf(&b, "\n## %s\n\n    %s\n\n%sCommit %s, %s%s. Machine: %s. Versions: %s.\n", o.Bench, strings.ReplaceAll(o.Repeat, "\n", "\n    "), o.Doubt, o.Commit, o.Time, o.Took, o.Machine, o.Versions)
		if o.about != nil {
			fmt.Fprintf(&b, "\n<details><summary>%s</summary>\n\n%s\n%s\n</details>\n", aboutTitle, o.aboutMarkdown(), o.Then())
		}
		columns := []string{"case", "metric", "system", "n", "p50", "p90", "p99", "max", "ratio [95 %]", "aim"}
		if o.rated {
			columns = append(columns, "per second: reached of offered")
		}
		var notes []string // of all lines alike stand once, below the table
		fmt.Fprintf(&b, "\n| %s |\n|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
		for _, g := range groups(lines) {
			if g.Bench != o.Bench {
				continue
			}
			for _, l := range g.Lines {
				all, system := l.figures(), l.System
				figures := all[:4]
				switch {
				case l.N == 0:
					figures[0] = l.Note
				case l.Note != "":
					if !slices.Contains(notes, l.Note) {
						notes = append(notes, l.Note)
					}
					system += fmt.Sprintf(" (%d)", slices.Index(notes, l.Note)+1)
				}
				cells := slices.Concat([]string{g.Case, g.Metric, system, l.count()}, figures, []string{l.ratioText(), l.aimText()})
				if o.rated {
					cells = append(cells, l.rate())
				}
				fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
			}
		}
		for i, note := range notes {
			fmt.Fprintf(&b, "%s%d. %s\n", map[bool]string{true: "\n"}[i == 0], i+1, note)
		}
	}
	return b.String()
}

// figures are p50, p90, p99, the highest and the mean, of what has so many.
func (l *Line) figures() (out [5]string) {
	for i, v := range []float64{l.P50, l.P90, l.P99, l.Max, l.Mean} {
		if l.N > 0 && (i == 0 || v != l.P50 || l.Max != l.P50) {
			out[i] = Amount(v, l.Unit)
		}
	}
	return out
}

func (l *Line) count() string {
	if l.Failed > 0 {
		return fmt.Sprintf("%d, %d failed", l.N, l.Failed)
	}
	return fmt.Sprint(l.N)
}

func (l *Line) ratioText() string {
	if l.Ratio == nil {
		return ""
	}
	if l.RatioHigh == nil {
		return fmt.Sprintf("%s %.3g of %s, too few runs for an interval", *l.RatioOf, *l.Ratio, *l.Peer)
	}
	return fmt.Sprintf("%s %.3g [%.3g, %.3g] of %s", *l.RatioOf, *l.Ratio, *l.RatioLow, *l.RatioHigh, *l.Peer)
}

// rate is how many requests (or whatever the bench offers) came in a second, and how many should have.
func (l *Line) rate() string {
	if l.OfferedRPS == nil || l.AchievedRPS == nil {
		return ""
	}
	return short(*l.AchievedRPS) + " of " + short(*l.OfferedRPS)
}

// notes is what stands below a line.
func (l *Line) notes() string {
	if l.rate() == "" {
		return l.Note
	}
	return strings.TrimSuffix(fmt.Sprintf("offered %s/s, %s reached; %s", short(*l.OfferedRPS), short(*l.AchievedRPS), l.Note), "; ")
}

func (l *Line) aimText() string {
	var parts []string
	if l.Aim != nil {
		parts = append(parts, map[bool]string{true: "met: ", false: "not met: "}[*l.Met]+*l.Aim)
		if measured := l.measured(); measured != l.ratioText() { // which has a column
			parts[0] += ": " + measured
		}
	}
	if l.Invalid != "" {
		parts = append(parts, "invalid: "+l.Invalid)
	}
	return strings.Join(parts, "; ")
}

// texts are the cells of a line that are not plain figures.
func (l *Line) texts() map[string]string {
	t := map[string]string{"Ratio": l.ratioText(), "Aim": l.aimText(), "N": l.count(), "Class": ""}
	if l.Met != nil && !*l.Met || l.Invalid != "" {
		t["Class"] = "missed"
	}
	return t
}

// Amount writes a figure with its unit, in the size that reads best.
func Amount(v float64, unit string) string {
	abs := math.Abs(v)
	switch {
	case unit == "bytes" && abs >= 1e9:
		return fmt.Sprintf("%.2f GB", v/1e9)
	case unit == "bytes" && abs >= 1e6:
		return fmt.Sprintf("%.1f MB", v/1e6)
	case unit == "bytes" && abs >= 1e3:
		return fmt.Sprintf("%.1f kB", v/1e3)
	case unit == "bytes":
		return fmt.Sprintf("%.0f B", v)
	case unit == "s" && abs < 1:
		return short(v*1e3) + " ms"
	}
	return short(v) + " " + unit
}

// short writes three significant digits, and all those before the point.
func short(v float64) string {
	digits := 0
	for size := math.Abs(v); size < 100 && digits < 6 && v != 0; size *= 10 {
		digits++
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if digits > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}

//go:embed page.html.tmpl
var pageText string

var pageTemplate = template.Must(template.New("page").Funcs(template.FuncMap{
	"amount":   Amount,
	"class":    class,
	"plot":     plot,
	"lines":    (*Line).texts,
	"figures":  (*Line).figures,
	"measured": (*Line).measured,
	"notes":    (*Line).notes,
	"deref":    func(b *bool) bool { return b != nil && *b },
}).Parse(pageText))
