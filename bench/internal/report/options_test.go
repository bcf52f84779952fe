package report

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
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
	if got := command("x", []string{"-full", "-rate=0.5", "-keep", "/tmp/a_b"}); got != "go run ./bench/x -full -rate=0.5 -keep /tmp/a_b" {
		t.Errorf("plain arguments: %s", got)
	}
	for _, args := range [][]string{{"-peers", ""}, {"-peers="}, {"a b", "it's", "$HOME", "*", "~", "a;b", "\"`\\", "ä"}} {
		line := strings.Replace(command("x", args), "go run ./bench/x", `printf '%s\n'`, 1)
		out, err := exec.Command("sh", "-c", line).Output()
		if got := strings.Join(args, "\n") + "\n"; err != nil || string(out) != got {
			t.Errorf("%s: a shell reads %q, %v", line, out, err)
		}
	}
}

// TestFolders: no report takes the place of one that says more.
func TestFolders(t *testing.T) {
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

// TestReportsAreNoChange: a full run writes the page of the latest, and the one after it is of the same commit for all that.
func TestReportsAreNoChange(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("git", append([]string{"-c", "user.name=x", "-c", "user.email=x@localhost"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	write("bench/results/summary.md", "old")
	write("bench/main.go", "old")
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "x")
	clean := commit()
	write("bench/results/summary.md", "new")
	if got := commit(); got != clean || strings.Contains(got, dirty) || len(got) < 7 {
		t.Errorf("with another report it is %s, was %s", got, clean)
	}
	write("bench/main.go", "new")
	if got := commit(); got != clean+dirty {
		t.Errorf("with another program it is %s, was %s", got, clean)
	}
	t.Chdir("bench")
	if got := commit(); got != clean+dirty {
		t.Errorf("from a folder it is %s, was %s", got, clean)
	}
}
