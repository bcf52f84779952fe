package hostile

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// bomb is a file that is small, or not, and would be much more if it were read as it asks: a beginning, and a part that is repeated.
type bomb struct {
	name, begin, again string
	times              int
}

// write makes the file, without holding it.
func (b bomb) write(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	_, _ = w.WriteString(b.begin) // the last error stays
	for i := range b.times {
		_, _ = w.WriteString(strings.ReplaceAll(b.again, "#", strconv.Itoa(i)))
	}
	return errors.Join(w.Flush(), f.Close())
}

func bombs() []bomb {
	laughs := "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 1; i < 30; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i-1), 10), ","))
	}
	header := "apiVersion: crossfade/v1\nkind: Service\n"
	return []bomb{
		{"aliases", header + laughs + "name: *a29\nhosts: *a29\n", "", 0},
		{"aliases to themselves", "&a {apiVersion: crossfade/v1, kind: Service, name: x, hosts: *a}\n", "", 0},
		{"merges", header + "x: &x {a: b}\ny: &y {<<: [*x, *x]}\n<<: [*x, *y]\n", "", 0},
		{"deep lists", header + "hosts: ", "[", 100_000},
		{"deep mappings", header + "split: ", "{a: ", 100_000},
		{"deep blocks", header + deepBlock(1500), "", 0},
		{"many documents", "", "---\n" + header + "name: x#\n", 50_000},
		{"many empty documents", "", "---\n", 1_000_000},
		{"100 MB", "", "a comment that goes on and on -\n", 100 << 20 / 32},
		{"100 MB in one line", "", "xxxxxxxxxxxxxxxx", 100 << 20 / 16},
		{"a long key", header + "? " + strings.Repeat("k", 3<<20) + "\n: v\n", "", 0},
		{"a long value", header + "name: " + strings.Repeat("v", 3<<20) + "\n", "", 0},
		{"many keys", header, "key#: v\n", 200_000},
		{"many anchors", header, "key#: &a {}\n", 100_000},
		{"many pins", header + "name: x\npins:\n", "- {name: p#, origin: o, nonsense: 1}\n", 80_000},
		{"the same key", header, "name: x\n", 300_000},
		{"a tag", "!!python/object/apply:os.system [reboot]\n", "", 0},
		{"zeros", "", "\x00\x00\x00\x00", 1 << 18},
		{"noise", "", "\xff\xfe\x00\x80", 1 << 18},
		{"JSON", `{"apiVersion":"crossfade/v1","kind":"Service","a":`, `{"a":`, 100_000},
	}
}

func deepBlock(depth int) string {
	var b bytes.Buffer
	for i := range depth {
		fmt.Fprintf(&b, "%sa:\n", strings.Repeat(" ", i))
	}
	return b.String()
}

// run runs a command that has to end by itself, and returns its exit code, what it printed, its memory in MiB and how long it took.
func run(t *testing.T, name string, args ...string) (exit int, said string, memory int, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int)
	go func() { // what the kernel says at the end counts what this process had when it started the command
		peak := 0
		for tick := time.NewTicker(2 * time.Millisecond); ; <-tick.C {
			now := statusOf(cmd.Process.Pid, "VmHWM:")
			if peak = max(peak, now>>10); now < 0 {
				ended <- peak
				return
			}
		}
	}()
	var failed *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	took, memory = time.Since(began), <-ended
	if ctx.Err() != nil {
		t.Errorf("%s %v does not end", filepath.Base(name), args)
	}
	return cmd.ProcessState.ExitCode(), out.String(), memory, took
}

// TestYAMLBombs gives them to the CLI and to the server as its settings: a clear refusal, soon, with little memory.
func TestYAMLBombs(t *testing.T) {
	together(t)
	w := newWorld(t, nil)
	file := filepath.Join(t.TempDir(), "bomb.yaml")
	worst, longest := 0, time.Duration(0)
	for _, b := range bombs() {
		name := b.name
		if err := b.write(file); err != nil {
			t.Fatal(err)
		}
		for what, command := range map[string][]string{
			"apply":    {shadowctl, "--server", w.Server.API, "apply", "-f", file},
			"validate": {shadowctl, "validate", "-f", file},
			"settings": {xdsServer, "--dev", "--data-dir", t.TempDir(), "--config", file, "--api-listen", "127.0.0.1:1", "--ready-file", filepath.Join(t.TempDir(), "ready")},
		} {
			exit, said, memory, took := run(t, command[0], command[1:]...)
			worst, longest = max(worst, memory), max(longest, took)
			switch {
			case exit != 2:
				t.Errorf("%s, %s: exit %d, want 2: %.300s", name, what, exit, said)
			case !strings.Contains(said, filepath.Base(file)):
				t.Errorf("%s, %s: it does not say which file: %.300s", name, what, said)
			case len(said) > 1<<20:
				t.Errorf("%s, %s: %d bytes of words", name, what, len(said))
			case strings.Contains(said, "goroutine ") || strings.Contains(said, "panic"):
				t.Errorf("%s, %s: it broke: %.500s", name, what, said)
			}
			if memory > 400 || took > 20*time.Second {
				t.Errorf("%s, %s: %d MiB and %v", name, what, memory, took)
			}
			t.Logf("%-22s %-9s exit %d, %4d MiB, %6v: %.110q", name, what, exit, memory, took.Round(time.Millisecond), firstLine(said))
		}
	}
	t.Logf("at most %d MiB and %v", worst, longest.Round(time.Millisecond))
	if now, peak := w.memory(); peak > 300 {
		t.Errorf("the control plane has %d MiB, and had %d", now, peak)
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
