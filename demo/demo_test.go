package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// said is the last line, as interface.md fixes it.
type said struct {
	Demo          string
	Requests      uint64
	Failed        uint64
	OriginErrors  uint64
	RollbackAckMs *float64
	LastRequestMs *float64
	Why           string
}

// child is a demo that runs as a process.
type child struct {
	t    *testing.T
	cmd  *exec.Cmd
	tmp  string // its TMPDIR
	mark string // in the environment of all its processes
	out  *bufio.Scanner
	all  strings.Builder
}

// bin has what `make demo` builds.
var bin string

func TestMain(m *testing.M) { os.Exit(withBinaries(m.Run)) }

func withBinaries(run func() int) int {
	var err error
	if bin, err = os.MkdirTemp("", "crossfade-demo-test-*"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	const module = "github.com/crossfade-proxy/crossfade/"
	cmd := exec.Command("go", "build", "-o", bin+"/", module+"demo", module+"cmd/xds-server", module+"cmd/shadowctl")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return run()
}

func start(t *testing.T, args ...string) *child {
	t.Helper()
	p := &child{t: t, tmp: t.TempDir()}
	p.mark = "TMPDIR=" + p.tmp
	p.cmd = exec.Command(filepath.Join(bin, "demo"), append([]string{"-pace", "1s"}, args...)...)
	p.cmd.Env = append(os.Environ(), p.mark)
	p.cmd.Stderr = t.Output()
	pipe, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewScanner(pipe)
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if t.Failed() {
			t.Logf("the demo printed:\n%s", p.all.String())
		}
	})
	return p
}

// await reads until a line contains a text.
func (p *child) await(text string) {
	p.t.Helper()
	for p.out.Scan() {
		p.all.WriteString(p.out.Text() + "\n")
		if strings.Contains(p.out.Text(), text) {
			return
		}
	}
	p.t.Fatalf("the demo ended before it said %q", text)
}

// end reads the rest, waits, and returns the last line and the exit code.
func (p *child) end() (said, int) {
	p.t.Helper()
	last := ""
	for p.out.Scan() {
		last = p.out.Text()
		p.all.WriteString(last + "\n")
	}
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	var s said
	if err := json.Unmarshal([]byte(last), &s); err != nil {
		p.t.Fatalf("the last line %q: %v", last, err)
	}
	return s, p.cmd.ProcessState.ExitCode()
}

// clean checks that no process and no file is left.
func (p *child) clean() {
	p.t.Helper()
	if left := processes(p.mark); len(left) > 0 {
		p.t.Errorf("processes are left: %v", left)
	}
	entries, err := os.ReadDir(p.tmp)
	if err != nil || len(entries) > 0 {
		p.t.Errorf("files are left: %v %v", entries, err)
	}
}

// processes lists those with a variable in their environment, this one's children that are zombies not among them.
func processes(variable string) []string {
	var out []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		environment, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !strings.Contains("\x00"+string(environment), "\x00"+variable+"\x00") {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		out = append(out, fmt.Sprintf("%s %s", filepath.Base(dir), strings.ReplaceAll(string(command), "\x00", " ")))
	}
	return out
}

func (p *child) signal(sig syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// The whole story, two at once: one to its end, one that stays up until it is told to end.
func TestDemo(t *testing.T) {
	t.Parallel()
	t.Run("to the end", func(t *testing.T) {
		t.Parallel()
		p := start(t)
		s, exit := p.end()
		p.good(s, exit)
	})
	t.Run("keep", func(t *testing.T) {
		t.Parallel()
		p := start(t, "-keep")
		p.await("Ctrl-C here ends it all")
		if n := len(processes(p.mark)); n != 4 {
			t.Errorf("%d processes run, not 4: %v", n, processes(p.mark))
		}
		p.signal(syscall.SIGUSR1)
		p.await("eks answers 30%")
		p.signal(syscall.SIGUSR1)
		p.await("eks is sound again")
		p.signal(os.Interrupt.(syscall.Signal))
		s, exit := p.end()
		p.good(s, exit)
	})
}

// good checks what a demo says at the end of a good story.
func (p *child) good(s said, exit int) {
	p.t.Helper()
	if s.Demo != "ok" || exit != 0 || s.Failed != 0 || s.Requests < 2000 || s.OriginErrors == 0 || s.Why != "" {
		p.t.Errorf("exit %d: %+v", exit, s)
	}
	if s.RollbackAckMs == nil || s.LastRequestMs == nil || *s.RollbackAckMs <= 0 || *s.LastRequestMs < 0 {
		p.t.Errorf("times: %v %v", s.RollbackAckMs, s.LastRequestMs)
	}
	for _, want := range []string{"shadowctl rollback orders", "no new request to eks", "each request reached exactly one of them, once"} {
		if !strings.Contains(p.all.String(), want) {
			p.t.Errorf("it did not say %q", want)
		}
	}
	p.clean()
}

// However it is ended in the middle, nothing is left.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	t.Run("by signals", func(t *testing.T) {
		t.Parallel()
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			p := start(t)
			p.await("A tenth to eks")
			p.signal(sig)
			s, exit := p.end()
			if s.Demo != "failed" || s.Why != "interrupted" || exit != 130 || s.Failed != 0 || s.Requests == 0 {
				t.Errorf("%v: exit %d: %+v", sig, exit, s)
			}
			p.clean()
		}
	})
	t.Run("by kill -9", func(t *testing.T) {
		t.Parallel()
		p := start(t)
		p.await("A tenth to eks")
		if n := len(processes(p.mark)); n < 4 {
			t.Fatalf("%d processes run, not 4", n)
		}
		p.signal(syscall.SIGKILL)
		_ = p.cmd.Wait()
		deadline := time.Now().Add(10 * time.Second)
		for len(processes(p.mark)) > 0 { // the kernel kills them at once, and they take a moment to die
			if time.Now().After(deadline) {
				t.Fatalf("processes are left: %v", processes(p.mark))
			}
		}
	})
	t.Run("by a reader that goes away", func(t *testing.T) {
		t.Parallel()
		pr, pw, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := &child{t: t, tmp: t.TempDir()}
		p.mark = "TMPDIR=" + p.tmp
		p.cmd = exec.Command(filepath.Join(bin, "demo"), "-pace", "1s")
		p.cmd.Env, p.cmd.Stdout = append(os.Environ(), p.mark), pw
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_ = pw.Close()
		p.out = bufio.NewScanner(pr)
		p.await("A tenth to eks")
		_ = pr.Close()
		if err := p.cmd.Wait(); err == nil {
			t.Error("it ended as if all were well")
		}
		p.clean()
	})
}

// A promise that is not kept is said, and is the exit code: here the split does not move, and shadowctl says that it does.
func TestBrokenPromise(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\n[ \"$1\" = split ] && echo 'as you wish' || exec %s \"$@\"\n", filepath.Join(bin, "shadowctl"))
	err := errors.Join(
		os.Symlink(filepath.Join(bin, "xds-server"), filepath.Join(dir, "xds-server")),
		os.WriteFile(filepath.Join(dir, "shadowctl"), []byte(script), 0o755),
	)
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, "-bin", dir)
	p.await("NOT AS PROMISED: eks answered 0 requests")
	s, exit := p.end()
	if s.Demo != "failed" || exit != 1 || !strings.Contains(s.Why, "not what 10% of") || !strings.Contains(s.Why, "not what 50% of") {
		t.Errorf("exit %d: %+v", exit, s)
	}
	p.clean()
}

func durations(ns []int64) []time.Duration {
	out := make([]time.Duration, len(ns))
	for i, n := range ns {
		out[i] = time.Duration(n)
	}
	return out
}
