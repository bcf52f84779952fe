package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/crossfade-proxy/crossfade/internal/version"
)

// Results is the folder for results: the one that was given, or bench/results of this repository.
func Results(given string) (string, error) {
	if given != "" {
		return given, nil
	}
	root, err := Root()
	return filepath.Join(root, "bench", "results"), err
}

// Run is one invocation of a benchmark.
type Run struct {
	bench, command string
	seed           uint64
	started        time.Time
	began          time.Time // by the clock that nobody sets
	commit         string
	moved          string // how the commit is another than it was at the start, in words
	busy           busy   // the processors at the start
	machine        map[string]any
	versions       map[string]string
	lines          []*Line
}

// NewRun begins a report. command repeats the run when typed at the root; modules are those whose versions matter.
func NewRun(bench, command string, seed uint64, now time.Time, modules ...string) *Run {
	r := &Run{bench: bench, command: command, seed: seed, started: now.UTC(), began: time.Now(), commit: commit(), busy: busyNow(), machine: machine()}
	r.versions = map[string]string{"crossfade": version.String(), "go": runtime.Version()}
	for _, m := range modules {
		r.versions[m] = module(m)
	}
	return r
}

// Version notes the version of something that is not a Go module.
func (r *Run) Version(name, version string) { r.versions[name] = version }

// Add adds a line to the report and completes it with what all lines share.
func (r *Run) Add(l *Line) {
	l.Bench, l.Command, l.Seed, l.Time = r.bench, r.command, r.seed, r.started
	l.Run = r.started.Format("20060102T150405Z")
	l.Commit, l.Machine, l.Versions = r.commit, r.machine, r.versions
	r.lines = append(r.lines, l)
}

// Lines that were added.
func (r *Run) Lines() []*Line { return r.lines }

// aims says of every aim what was held against it, and whether that met it.
func (r *Run) aims() (out []string) {
	for _, l := range r.lines {
		if l.Aim == nil {
			continue
		}
		of := l.System + " " + l.Metric
		if c := l.CaseText(); c != "" {
			of += " (" + c + ")"
		}
		words := fmt.Sprintf("aim %s: %s: %s: %s", map[bool]string{true: "met", false: "missed"}[*l.Met], of, *l.Aim, l.measured())
		if l.Invalid != "" {
			words += "; invalid: " + l.Invalid
		}
		out = append(out, words)
	}
	return out
}

// end notes what the machine did meanwhile, and whether the commit is still that of the start: programs are built, and started, during all of a run.
func (r *Run) end() {
	if one, ok := load(); ok {
		r.machine["loadAfter"] = one
	}
	if share, ok := busyNow().stolenSince(r.busy); ok {
		r.machine["stealShare"] = round(share)
	}
	took := time.Since(r.began).Round(time.Second).Seconds()
	for _, l := range r.lines {
		l.TookSeconds = took
	}
	now := commit()
	if now == r.commit {
		return
	}
	r.moved = fmt.Sprintf("files or the commit changed during the run: it was %s at the start, and is %s", r.commit, now)
	r.commit = strings.TrimSuffix(r.commit, dirty) + dirty
	for _, l := range r.lines {
		l.Commit = r.commit
	}
}

// measured is what an aim was held against, in words. Reports of before that was written down have it by the first word of the aim.
func (l *Line) measured() string {
	if l.Measured != "" {
		return l.Measured
	}
	var out string
	switch aim := *l.Aim; {
	case strings.HasPrefix(aim, "ratio"):
		return l.ratioText()
	case strings.HasPrefix(aim, "p99"):
		out = "p99 " + Amount(l.P99, l.Unit)
	case strings.HasPrefix(aim, "p50"):
		out = "p50 " + Amount(l.P50, l.Unit)
	case strings.HasPrefix(aim, "mean"):
		out = "mean " + Amount(l.Mean, l.Unit)
	case strings.Contains(aim, "at most") || strings.HasPrefix(aim, "max"):
		out = "at most " + Amount(l.Max, l.Unit)
	default:
		return l.failures()
	}
	if l.Failed > 0 {
		out += ", " + l.failures()
	}
	return out
}

// folder is where a report belongs below results, for example bench/results/2026-03-01-abcdef0. What is no full run of a commit has a folder of its own.
func (r *Run) folder(o *Options) string {
	return filepath.Join(o.Results, r.started.Format(time.DateOnly)+"-"+r.commit+o.suffix())
}

// conclude prints what became of the aims and, unless only a part was run, writes the report and prints where. A quick run says nothing about speed, so
// its lines lose their aims, whenever they were given.
func (r *Run) conclude(o *Options) error {
	r.end()
	if o.Size == Quick {
		for _, l := range r.lines {
			l.Aim, l.Met, l.Measured = nil, nil, ""
		}
	}
	for _, aim := range r.aims() {
		fmt.Println(aim)
	}
	if r.moved != "" {
		fmt.Println(r.moved)
	}
	if o.Only != "" {
		return nil
	}
	folder := r.folder(o)
	if err := r.Write(folder); err != nil {
		return err
	}
	fmt.Println(filepath.Join(folder, "summary.md") + r.aside(o))
	if !mayBeLatest(folder) {
		return nil
	}
	return LatestPages(o.Results)
}

// aside says why a full report is not the latest of its benchmark.
func (r *Run) aside(o *Options) string {
	switch {
	case o.Size != Full:
		return ""
	case o.custom:
		return " (not on the page of the latest: flags or variables of the measuring were given by hand)"
	case strings.HasSuffix(r.commit, dirty):
		return " (not on the page of the latest: files differ from the commit)"
	}
	return ""
}

// Write writes BENCH.jsonl into a folder, and makes summary.md and index.html of all reports there.
func (r *Run) Write(folder string) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, l := range r.lines {
		if err := e.Encode(l); err != nil {
			return fmt.Errorf("%s %s: %w", l.System, l.Metric, err)
		}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, r.bench+".jsonl"), b.Bytes(), 0o644); err != nil {
		return err
	}
	return Pages(folder)
}

// Read reads all reports of a folder, by bench; of several, if it is a pattern of package filepath.
func Read(folder string) (lines []*Line, err error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		of, err := readFile(name)
		if err != nil {
			return nil, err
		}
		lines = append(lines, of...)
	}
	return lines, nil
}

// readFile reads the report of one bench.
func readFile(name string) (lines []*Line, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var l Line
		if err := json.Unmarshal(s.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		lines = append(lines, &l)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lines, nil
}

// Root is the folder with the go.mod above the working directory.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			return d, nil
		}
		if d == filepath.Dir(d) {
			return "", fmt.Errorf("no go.mod above %s: run it in the repository", dir)
		}
	}
}
