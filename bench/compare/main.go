package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/crossfade-proxy/crossfade/bench/internal/report"
)

func main() {
	err := run(os.Args[1:], os.Stdout)
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(2)
	}
}

// run compares the reports that args name.
func run(args []string, stdout io.Writer) error {
	f := flag.NewFlagSet("compare", flag.ContinueOnError)
	all := f.Bool("all", false, "show lines that have not changed, too")
	join := f.Bool("join", false, "only make the page of the latest full reports, bench/results/index.html and summary.md")
	results := f.String("results", "", "`FOLDER` of the reports (default bench/results)")
	f.Usage = func() {
		fmt.Fprintln(f.Output(), "Say what differs between two reports beyond the noise.\n\nUsage:\n  compare [flags] BEFORE AFTER\n\nEach is a folder, or a part of the name of one below bench/results, for example a commit:\n  compare 55c0376 ce1f8ad\n\nFlags:")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	root, err := report.Results(*results)
	if err != nil {
		return err
	}
	if *join {
		return report.LatestPages(root)
	}
	if f.NArg() != 2 {
		return fmt.Errorf("%d reports are named, and two are compared: compare BEFORE AFTER", f.NArg())
	}
	var sides [2][]*report.Line
	for i, name := range f.Args() {
		folder, err := find(root, name)
		if err != nil {
			return err
		}
		if sides[i], err = report.Read(folder); err != nil {
			return err
		}
	}
	return show(stdout, sides[0], sides[1], *all)
}

// find is the folder of a report. A whole name, or the end of one, is meant rather than a part: a report has siblings that end in -short.
func find(root, name string) (string, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() && reports(name) > 0 {
		return name, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return "", err
	}
	var found []string
	for _, like := range []func(folder, name string) bool{equal, strings.HasSuffix, strings.Contains} {
		for _, e := range entries {
			if folder := filepath.Join(root, e.Name()); name != "" && e.IsDir() && like(e.Name(), name) && reports(folder) > 0 {
				found = append(found, folder)
			}
		}
		if len(found) > 0 {
			break
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", fmt.Errorf("%q: no report has this in its name; `ls %s` shows them", name, root)
	}
	return "", fmt.Errorf("%q: several reports have this in their names: %s; name one of them", name, strings.Join(found, ", "))
}

func equal(a, b string) bool { return a == b }

// reports counts the reports in a folder.
func reports(folder string) int {
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil {
		return 0
	}
	return len(files)
}

// show prints what has changed, what turned whatever the noise, and counts what has not.
func show(w io.Writer, before, after []*report.Line, all bool) error {
	c := report.CompareReports(before, after)
	if len(c.Changes)+len(c.Bare)+len(c.Invalid) == 0 {
		return errors.New("the two reports have no line in common: they are of different benchmarks, or cases")
	}
	for _, s := range differences(before, after) {
		fmt.Fprintln(w, s)
	}
	changes := slices.Clone(c.Changes)
	slices.SortStableFunc(changes, func(a, b report.Change) int {
		return cmp.Or(cmp.Compare(a.After.Bench, b.After.Bench), cmp.Compare(distance(b), distance(a)))
	})
	if !all {
		changes = slices.DeleteFunc(changes, func(d report.Change) bool { return !d.Sure })
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(changes) > 0 || all {
		fmt.Fprintln(t, "BENCH\tCASE\tMETRIC\tSYSTEM\tBEFORE\tAFTER\tCHANGE\tOF\tBEYOND NOISE")
	}
	for _, d := range changes {
		fmt.Fprintln(t, row(d))
	}
	for _, d := range c.Bare {
		if all && d.Factor > 0 {
			fmt.Fprintln(t, row(d))
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range turned(c.Turns) {
		fmt.Fprintln(w, s)
	}
	fmt.Fprintln(w, counts(c))
	return nil
}

// turned says what needs no statistics; lines of a case that say the same, as all say its rate, say it together.
func turned(turns []report.Turn) (out []string) {
	type of struct{ where, what string }
	var order []of
	metrics := map[of][]string{}
	for _, t := range turns {
		where := t.After.Bench
		if c := t.After.CaseText(); c != "" {
			where += ", " + c
		}
		key := of{where + ", " + t.After.System, t.Text}
		if metrics[key] == nil {
			order = append(order, key)
		}
		metrics[key] = append(metrics[key], t.After.Metric)
	}
	for _, key := range order {
		out = append(out, fmt.Sprintf("turned: %s: %s: %s", key.where, strings.Join(metrics[key], " and "), key.what))
	}
	return out
}

func distance(d report.Change) float64 { return math.Abs(math.Log(d.Factor)) }

func row(d report.Change) string {
	by, beyond := fmt.Sprintf("× %.3g", d.Factor), "not known"
	if d.High > 0 {
		by, beyond = fmt.Sprintf("× %.3g [%.3g, %.3g]", d.Factor, d.Low, d.High), map[bool]string{true: "yes", false: "no"}[d.Sure]
	}
	return strings.Join([]string{
		d.After.Bench, d.After.CaseText(), d.After.Metric, d.After.System, figure(d.Before, d.Of), figure(d.After, d.Of), by, d.Of, beyond,
	}, "\t")
}

// figure is what is compared.
func figure(l *report.Line, of string) string {
	if of == "ratio" {
		return fmt.Sprintf("%.3g of %s", *l.Ratio, *l.Peer)
	}
	return report.Amount(l.Mean, l.Unit)
}

// counts says in a sentence what was compared.
func counts(c report.Comparison) string {
	sure := 0
	for _, d := range c.Changes {
		if d.Sure {
			sure++
		}
	}
	out := fmt.Sprintf("%d of %d lines changed beyond the noise", sure, len(c.Changes))
	if n := len(c.Bare); n > 0 {
		out += fmt.Sprintf("; %d more have no interval, so nobody knows", n)
	}
	if n := len(c.Invalid); n > 0 {
		out += fmt.Sprintf("; %d are invalid in one of the reports, so they are not compared", n)
	}
	if b, a := len(c.OnlyBefore), len(c.OnlyAfter); b+a > 0 {
		out += fmt.Sprintf("; %d are only in the first report, %d only in the second", b, a)
	}
	return out + "."
}

// differences warns of what else is not the same, in the benchmarks that both reports have.
func differences(before, after []*report.Line) (out []string) {
	before, after = common(before, after), common(after, before)
	note := func(what, advice string, of func(*report.Line) string) {
		if a, b := values(before, of), values(after, of); a != b {
			out = append(out, fmt.Sprintf("note: %s was %s, and is %s: %s", what, a, b, advice))
		}
	}
	for _, key := range []string{"cpu", "cores", "memoryBytes", "kernel"} {
		note(key, "trust ratios to a peer, not means", func(l *report.Line) string { return text(l.Machine[key]) })
	}
	benches, versions := map[string]bool{}, map[string]bool{}
	for _, l := range slices.Concat(before, after) {
		benches[l.Bench] = true
		for name := range l.Versions {
			versions[name] = name != "crossfade" // of which the reports are
		}
	}
	for _, name := range slices.Sorted(maps.Keys(versions)) {
		version := func(l *report.Line) string { return l.Versions[name] }
		// Reports of before commit 31cdebe leave out modules that a program has which is measured, and not the benchmark.
		unsaid := strings.Contains(name, "/") && values(before, version) == none
		if versions[name] && !unsaid {
			note(name, "a change may be of that", version)
		}
	}
	for _, bench := range slices.Sorted(maps.Keys(benches)) {
		note("the command of "+bench, "look whether the sizes are the same", func(l *report.Line) string {
			if l.Bench != bench {
				return ""
			}
			return l.Command
		})
	}
	return out
}

// common are the lines of benchmarks that another report has, too.
func common(lines, other []*report.Line) (out []*report.Line) {
	for _, l := range lines {
		if slices.ContainsFunc(other, func(o *report.Line) bool { return o.Bench == l.Bench }) {
			out = append(out, l)
		}
	}
	return out
}

// none stands for a fact that no line has.
const none = "not there"

// values are those of a fact about some lines.
func values(lines []*report.Line, of func(*report.Line) string) string {
	seen := map[string]bool{}
	for _, l := range lines {
		if v := of(l); v != "" {
			seen[v] = true
		}
	}
	if len(seen) == 0 {
		return none
	}
	return strings.Join(slices.Sorted(maps.Keys(seen)), ", ")
}

// text of a fact, empty if it is not known.
func text(fact any) string {
	if fact == nil {
		return ""
	}
	return fmt.Sprint(fact)
}
