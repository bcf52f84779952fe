package report

import (
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// LatestPages makes summary.md and index.html of the latest full report of each bench below a folder of results, in that folder.
func LatestPages(results string) error {
	lines, err := latest(results)
	if err != nil {
		return err
	}
	root, err := Root()
	if err != nil {
		return err
	}
	all, err := benches(filepath.Join(root, "bench"))
	if err != nil {
		return err
	}
	return pages(results, latestTitle, missing(all, lines), lines)
}

// benches are the programs below a folder: those whose folder has a main.go of package main. That which compares reports makes none.
func benches(folder string) (out []string, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*", "main.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly)
		if err != nil {
			return nil, err
		}
		if bench := filepath.Base(filepath.Dir(name)); f.Name.Name == "main" && bench != "compare" {
			out = append(out, bench)
		}
	}
	return out, nil
}

// missing says which of all benchmarks have no line.
func missing(all []string, lines []*Line) string {
	without := slices.DeleteFunc(slices.Clone(all), func(bench string) bool {
		return slices.ContainsFunc(lines, func(l *Line) bool { return l.Bench == bench })
	})
	if len(without) == 0 {
		return ""
	}
	return "Without a full report, so not on this page: " + strings.Join(without, ", ") + "."
}

const latestTitle = "Crossfade benchmarks, the latest full report of each"

// latest are the lines of the latest full report of each bench, by its name.
func latest(results string) (all []*Line, err error) {
	files, err := filepath.Glob(filepath.Join(results, "*", "*.jsonl"))
	if err != nil {
		return nil, err
	}
	last := map[string][]*Line{}
	for _, name := range files {
		if !mayBeLatest(filepath.Dir(name)) {
			continue
		}
		lines, err := readFile(name)
		if err != nil {
			return nil, err
		}
		bench := filepath.Base(name)
		if was := last[bench]; len(lines) > 0 && (len(was) == 0 || lines[0].Time.After(was[0].Time)) {
			last[bench] = lines
		}
	}
	if len(last) == 0 {
		return nil, fmt.Errorf("%s: no report", results)
	}
	for _, bench := range slices.Sorted(maps.Keys(last)) {
		all = append(all, last[bench]...)
	}
	return all, nil
}
