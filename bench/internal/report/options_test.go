package report

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func parsed(args ...string) (o Options, n int, err error) {
	f := o.Flags("x", Words{Quick: "seconds", Short: "minutes", Full: "an hour", Parts: "one, two", Seed: "nothing"})
	f.SetOutput(io.Discard)
	f.IntVar(&n, "n", 100, "how many")
	err = o.Parse(f, args, Smaller{Quick: {"n", "1"}})
	return o, n, err
}

func TestOptions(t *testing.T) {
	for args, want := range map[string]struct {
		size Size
		n    int
	}{"": {Short, 100}, "-full": {Full, 100}, "-quick": {Quick, 1}, "-quick -n 7": {Quick, 7}, "-n 7 -full": {Full, 7}} {
		if o, n, err := parsed(strings.Fields(args)...); err != nil || o.Size != want.size || n != want.n {
			t.Errorf("%q: size %v, n %d, %v", args, o.Size, n, err)
		}
	}
	for args, want := range map[string]string{"-quick -full": "exclude each other", "now": `"now" is not a flag`, "-seed x": "invalid value"} {
		if _, _, err := parsed(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", args, err)
		}
	}
	o, _, err := parsed("-only", "tw")
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	parts := []Part{{"one", nil}, {"two", func(context.Context) error { ran = append(ran, "two"); return nil }}}
	if err := o.Parts(t.Context(), parts); err != nil || len(ran) != 1 {
		t.Errorf("%v, %v", ran, err)
	}
	o.Only = "three"
	if err := o.Parts(t.Context(), parts); err == nil {
		t.Error("a part that is not there was run")
	}
}

// TestTheCommandIsThatOfAShell lets one take it apart again.
func TestTheCommandIsThatOfAShell(t *testing.T) {
	if got := command("x", nil, []string{"-full", "-rate=0.5", "-keep", "/tmp/a_b"}); got != "go run ./bench/x -full -rate=0.5 -keep /tmp/a_b" {
		t.Errorf("plain arguments: %s", got)
	}
	for _, args := range [][]string{{"-peers", ""}, {"-peers="}, {"a b", "it's", "$HOME", "*", "~", "a;b", "\"`\\", "ä"}} {
		line := strings.Replace(command("x", nil, args), "go run ./bench/x", `printf '%s\n'`, 1)
		out, err := exec.Command("sh", "-c", line).Output()
		if got := strings.Join(args, "\n") + "\n"; err != nil || string(out) != got {
			t.Errorf("%s: a shell reads %q, %v", line, out, err)
		}
	}
}

// TestFolders: no report takes the place of one that says more.
func TestFolders(t *testing.T) {
	for _, v := range measuring(os.Environ()) { // those of whoever runs the tests
		name, _, _ := strings.Cut(v, "=")
		t.Setenv(name, "")
	}
	for args, want := range map[string][2]string{
		"-full":                     {"2026-03-01-abcdef0", "2026-03-01-abcdef0-dirty"},
		"-full -seed 2 -results x":  {"2026-03-01-abcdef0", "2026-03-01-abcdef0-dirty"},
		"-full -n 7":                {"2026-03-01-abcdef0-custom", "2026-03-01-abcdef0-dirty-custom"},
		"":                          {"2026-03-01-abcdef0-short", "2026-03-01-abcdef0-dirty-short"},
		"-n 7":                      {"2026-03-01-abcdef0-short", "2026-03-01-abcdef0-dirty-short"},
		"-quick":                    {"2026-03-01-abcdef0-quick", "2026-03-01-abcdef0-dirty-quick"},
		"-quick -seed 2 -results x": {"2026-03-01-abcdef0-quick", "2026-03-01-abcdef0-dirty-quick"},
	} {
		o, _, err := parsed(strings.Fields(args)...)
		if err != nil {
			t.Fatal(err)
		}
		for i, commit := range []string{"abcdef0", "abcdef0-dirty"} {
			r := NewRun("x", "cmd", 1, time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
			r.commit = commit
			if got := filepath.Base(r.folder(&o)); got != want[i] {
				t.Errorf("%q at %s: %s, want %s", args, commit, got, want[i])
			}
			if got := mayBeLatest(r.folder(&o)); got != (want[i] == "2026-03-01-abcdef0") {
				t.Errorf("%s may be the latest: %t", want[i], got)
			}
			if got := r.aside(&o); (got != "") != (o.Size == Full && want[i] != "2026-03-01-abcdef0") {
				t.Errorf("%q at %s: it prints %q", args, commit, got)
			}
		}
	}
}

// TestQuickRunsHaveNoAims, whether they were given before their line was added or after.
func TestQuickRunsHaveNoAims(t *testing.T) {
	for size, want := range map[Size]int{Quick: 0, Short: 2} {
		o := Options{Size: size, Results: t.TempDir()}
		r := NewRun("x", "cmd", 1, time.Now())
		line := func() *Line { return NewLine("s", "m", "s", nil, Series{{1}}) }
		r.Add(line().AimP99(0.5))
		after := line()
		r.Add(after)
		after.AimOf("blue", "red", false)
		if err := r.conclude(&o); err != nil {
			t.Fatal(err)
		}
		lines, err := Read(r.folder(&o))
		if err != nil {
			t.Fatal(err)
		}
		aims := 0
		for _, l := range lines {
			if l.Aim != nil && l.Met != nil && l.Measured != "" {
				aims++
			}
			if l.Aim == nil && (l.Met != nil || l.Measured != "") {
				t.Errorf("size %d: a line without an aim has met %v, measured %q", size, l.Met, l.Measured)
			}
		}
		if len(lines) != 2 || aims != want {
			t.Errorf("size %d: %d of %d lines have an aim, want %d", size, aims, len(lines), want)
		}
	}
}

// TestVariablesAreOfTheCommand: with another collector of garbage, or another Envoy, it is another measurement.
func TestVariablesAreOfTheCommand(t *testing.T) {
	for env, want := range map[string]string{
		"":                            "",
		"HOME=/x GOFLAGS=-v GOGC=":    "",
		"GOGC=400 GODEBUG=gctrace=1":  "GODEBUG=gctrace=1 GOGC=400 ",
		"CROSSFADE_ENVOY=/it's/envoy": `CROSSFADE_ENVOY='/it'\''s/envoy' `,
		"CROSSFADE_KUBE_APISERVER=/a GOMEMLIMIT=1GiB GOMAXPROCS=1":                      "CROSSFADE_KUBE_APISERVER=/a GOMAXPROCS=1 GOMEMLIMIT=1GiB ",
		"CROSSFADE_GRACE=1s CROSSFADE_BENCH_ROLE=x":                                     "CROSSFADE_GRACE=1s ",
		"CROSSFADE_COMPARATOR_TOKEN=secret CROSSFADE_SERVER=h:1 CROSSFADEX=1 XGOGC=400": "",
	} {
		if got := command("x", measuring(strings.Fields(env)), []string{"-full"}); got != want+"go run ./bench/x -full" {
			t.Errorf("%q: %s", env, got)
		}
	}
	t.Setenv("GOGC", "400")
	o, _, err := parsed("-full")
	if err != nil || !o.custom || o.suffix() != custom || !slices.Contains(o.env, "GOGC=400") {
		t.Errorf("custom %t, of %q; %v", o.custom, o.env, err)
	}
}

// TestTheCommitIsAskedAgain: programs are built during all of a run, so one at whose end there is another commit is of none.
func TestTheCommitIsAskedAgain(t *testing.T) {
	git := repository(t)
	begin := func() *Run {
		r := NewRun("x", "cmd", 1, time.Now())
		r.Add(line("m"))
		return r
	}
	hold := func(name string, r *Run, clean string, moved bool) {
		t.Helper()
		o := Options{Size: Full, Results: t.TempDir()}
		r.end()
		if (r.moved != "") != moved || mayBeLatest(r.folder(&o)) == moved || (r.commit == clean) == moved || r.commit != strings.TrimSuffix(clean, dirty)+map[bool]string{true: dirty}[moved] {
			t.Errorf("%s: %s in %s; %q", name, r.commit, r.folder(&o), r.moved)
		}
		if r.lines[0].Commit != r.commit {
			t.Errorf("%s: its lines are of %s", name, r.lines[0].Commit)
		}
	}
	clean := commit()
	hold("nothing", begin(), clean, false)
	r := begin()
	write(t, "bench/main.go", "new")
	hold("an edit", r, clean, true)
	git("checkout", "-q", ".")
	r = begin()
	git("commit", "-q", "--allow-empty", "-m", "y")
	hold("another commit", r, clean, true)
	if !strings.Contains(r.moved, "it was "+clean+" at the start, and is "+commit()) {
		t.Errorf("it says %q", r.moved)
	}
}

// TestReportsAreNoChange: a full run writes the page of the latest, and the one after it is of the same commit for all that.
func TestReportsAreNoChange(t *testing.T) {
	repository(t)
	clean := commit()
	for _, c := range []struct {
		name string
		same bool
	}{
		{"bench/results/summary.md", true},
		{"bench/results/x.go", true},
		{"notes.txt", true},
		{"bin/made.go", true},
		{"bench/new.go", false},
		{"go.sum", false},
		{"tools/go.mod", false},
		{"bench/main.go", false},
	} {
		write(t, c.name, "new")
		if got := commit(); (got == clean) != c.same || strings.TrimSuffix(got, dirty) != clean || len(clean) < 7 {
			t.Errorf("with another %s it is %s, was %s", c.name, got, clean)
		}
		if !c.same && c.name != "bench/main.go" {
			if err := os.Remove(c.name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Chdir("bench")
	if got := commit(); got != clean+dirty {
		t.Errorf("from a folder it is %s, was %s", got, clean)
	}
}

// repository is a small one of one commit, in which it is run from then on.
func repository(t *testing.T) (git func(args ...string)) {
	t.Helper()
	t.Chdir(t.TempDir())
	git = func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@localhost"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	write(t, "bench/results/summary.md", "old")
	write(t, "bench/main.go", "old")
	write(t, ".gitignore", "/bin/")
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "x")
	return git
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestTheMachineSaysWhatItDidMeanwhile, where it can be read.
func TestTheMachineSaysWhatItDidMeanwhile(t *testing.T) {
	start := busyOf("cpu  100 0 50 800 10 0 5 35 7 0\ncpu0 1 2 3 4 5 6 7 8\n")
	if start != (busy{1000, 35}) {
		t.Errorf("at the start it is %+v", start)
	}
	if share, ok := busyOf("cpu  200 0 50 1600 10 0 5 135 7 0\n").stolenSince(start); !ok || share != 0.1 {
		t.Errorf("the share is %g, %t", share, ok)
	}
	for name, stat := range map[string]string{"nothing": "", "old": "cpu 1 2 3 4\n", "other": "intr 1 2 3 4 5 6 7 8\n", "text": "cpu 1 2 3 4 5 6 7 x\n"} {
		if got := busyOf(stat); got != (busy{}) {
			t.Errorf("%s is %+v", name, got)
		}
		if _, ok := busyOf(stat).stolenSince(start); ok {
			t.Errorf("%s: there is a share", name)
		}
		if _, ok := start.stolenSince(busyOf(stat)); ok {
			t.Errorf("%s at the start: there is a share", name)
		}
	}
	r := NewRun("x", "cmd", 1, time.Now())
	r.Add(line("m"))
	r.busy = busy{1, 0} // ticks are long
	r.end()
	_, err := os.Stat("/proc/stat")
	for _, key := range []string{"loadBefore", "loadAfter", "stealShare"} {
		if _, ok := r.lines[0].Machine[key]; ok != (err == nil) {
			t.Errorf("%s is there: %t", key, ok)
		}
	}
}
